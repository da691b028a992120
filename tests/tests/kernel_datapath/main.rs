//! The kernel datapath in network namespaces: real XDP, real routing, real packets.
#![cfg(feature = "kernel")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on is to fail")]

mod attachment;
mod bench;
mod calls;
mod changes;
mod floods;
mod ingress;
mod routes;
mod streams;
