//! What commands other than offers and answers do to a call.

pub(super) mod connect;
pub(super) mod controls;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod publish;
pub(super) mod selection;
pub(super) mod subscribe;
pub(super) mod transcode;
pub(super) mod transform;
