//! The compiled XDP program.

/// The object file that `build.rs` made of `relay-ebpf`: program `relay` and maps `LOCALS`, `LOCAL_HINTS`,
/// `SLOTS`, `ROUTES` and `PASSES`, laid out as [`relay_common::slot`] says.
pub static PROGRAM: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/relay.o"));
