//! What more than one crate must agree on: the table shared with the XDP program, header views,
//! the rewrite that both datapaths perform, and (feature `ng`) the ng control protocol.
//!
//! Without features this crate is `no_std` and allocates nothing: the XDP program links it.
#![cfg_attr(not(any(test, feature = "ng", feature = "user")), no_std)]

pub mod bench;
pub mod checksum;
#[cfg(feature = "ng")]
pub mod ng;
pub mod packet;
pub mod reception;
pub mod rewrite;
pub mod slot;
