//! Offers and answers, brought into a call, and the SDP for the other side.

pub(super) mod bundle;
pub(super) mod extensions;
pub(super) mod fax;
pub(super) mod fragment;
pub(super) mod legacy;
pub(super) mod music;
pub(super) mod negotiate;
pub(super) mod relay_side;
pub(super) mod rewrite;
