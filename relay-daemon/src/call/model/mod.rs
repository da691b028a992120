//! A call: its parties, their media sections, and who gets whose media.

pub(super) mod alias;
pub(super) mod dialogue;
pub(super) mod flow;
pub(super) mod grouping;
pub(super) mod half;
pub(super) mod media;
pub(super) mod spoken;
pub(super) mod state;
pub(super) mod stream;
pub(super) mod subscription;
pub(super) mod switches;
pub(super) mod transcoding;
