//! The real daemon between network namespaces: real XDP, real sockets, real traffic.
#![cfg(feature = "kernel")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on is to fail")]

mod bench;
mod client;
mod injection;
mod interfaces;
mod lifecycle;
mod media;
mod ports;
mod privileges;
mod reinvite;
mod robustness;
mod sources;
mod srtp;
mod streams;
mod timeouts;
