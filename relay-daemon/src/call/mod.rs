//! The signalling engine: which parties a call has, what they offered and answered, and what that asks of the media.
//!
//! [`Calls`] is driven by commands and by time. It answers with rewritten SDPs, and with a [`Plan`] for the media of
//! each call that changed: the whole of it, computed anew.

mod bundle;
mod calls;
mod clocks;
mod codecs;
mod command;
mod connect;
mod controls;
mod create;
mod crypto;
mod delete;
mod dialogue;
mod extensions;
mod fax;
#[doc(hidden)]
pub mod fuzz;
mod ice;
mod interfaces;
mod limit;
mod media;
mod music;
mod mux;
mod negotiate;
mod origin;
mod plan;
mod ports;
mod premises;
mod publish;
mod random;
mod rewrite;
mod selection;
mod snapshot;
mod stand_in;
mod state;
mod stream;
mod subscribe;
mod subscription;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timer;
mod transcode;
mod transform;

pub use bundle::{BundleOffer, BundleOptions};
pub use calls::{CallLine, Calls, Setting};
pub use codecs::{CodecChoice, CodecOptions, CodecOrder, CodecPattern, CodecSpec, NothingLeft};
pub use command::*;
pub use crypto::{DtlsOptions, OsrtpOptions, ParameterChanges, SdesOptions};
pub use fax::FaxOptions;
pub use ice::{IceLite, IceMode, IceOptions};
pub use limit::Limit;
pub use music::{Music, MusicSource};

pub use crate::sdp::AddressFamily;

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
