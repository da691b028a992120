//! What follows from a call as it stands: the plan for its media, its statistics, its timeouts.

pub(super) mod clocks;
pub(super) mod plan;
pub(super) mod snapshot;
pub(super) mod timer;
