//! The signalling engine: which parties a call has, what they offered and answered, and what that asks of the media.

mod command;

pub use command::*;

use crate::plan::{CallKey, Plan};

/// What the driver must do after a command or a timeout, before the reply goes out.
#[derive(Clone, Debug)]
pub enum Action {
    /// Hand the plan to the call's worker.
    Apply(Plan),
    /// Tell the call's worker to end the session and give its ports back.
    End(CallKey),
}
