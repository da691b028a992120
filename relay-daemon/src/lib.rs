//! Relay: a media relay for SIP.
//!
//! Two engines without I/O do the thinking: [`call`] (signalling: what each party offered and
//! answered) and [`session`] (the media of one call). They share the vocabulary of [`plan`]:
//! signalling states what it wants, the session of the call's worker makes it so. Everything
//! else drives them: [`control`] speaks ng, [`ports`] binds sockets, [`datapath`] moves packets.

pub mod background;
pub mod call;
pub mod cli;
pub mod clock;
pub mod codec;
pub mod config;
pub mod control;
pub mod datapath;
pub mod dtls;
pub mod host;
pub mod ice;
mod identity;
pub mod logging;
pub mod outbox;
pub mod plan;
pub mod ports;
mod prefetch;
pub mod report;
pub mod run;
mod scheduling;
pub mod sdp;
pub mod security;
pub mod session;
pub mod srtp;
pub mod stun;
pub mod supervise;
