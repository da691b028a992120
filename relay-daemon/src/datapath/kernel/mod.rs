//! The XDP datapath: slots, routes, attachment.

#[cfg(feature = "kernel")]
pub mod program;
