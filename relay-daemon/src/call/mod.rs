//! The signalling engine: which parties a call has, what they offered and answered, and what that asks of the media.
//!
//! [`Calls`] is driven by commands and by time. It answers with rewritten SDPs, and with a [`Plan`] for the media of
//! each call that changed: the whole of it, computed anew.

mod calls;
mod command;
mod derived;
#[doc(hidden)]
pub mod fuzz;
mod model;
mod negotiation;
mod operations;
mod section;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use calls::{CallLine, Calls, Setting};
pub use command::*;

pub use crate::sdp::{AddressFamily, CodecPattern};

use crate::plan::{CallKey, Plan};

/// What the driver must do after a command or a timeout, before the reply goes out.
#[derive(Clone, Debug)]
pub enum Action {
    /// Hand the plan to the call's worker.
    Apply(Plan),
    /// Two calls became one. The streams of `from` go on in the plan's call, under ids that are greater by `offset`.
    Merge {
        /// The call that is no more.
        from: CallKey,
        /// What is added to the ids of its streams.
        offset: u32,
        /// The plan for all streams.
        plan: Plan,
    },
    /// Tell the operator that media of a call is not relayed: it would have to be decrypted or encrypted.
    WarnOfEncryption(CallId),
    /// Tell the call's worker to end the session and give its ports back.
    End(CallKey),
}
