//! What is negotiated for a media section, each mechanism by itself: codecs, encryption, ICE, RTCP, ports.

pub(super) mod codecs;
pub(super) mod crypto;
pub(super) mod environment;
pub(super) mod ice;
pub(super) mod interfaces;
pub(super) mod kind;
pub(super) mod mux;
pub(super) mod origin;
pub(super) mod ports;
pub(super) mod random;
