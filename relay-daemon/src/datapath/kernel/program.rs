//! The compiled XDP programs.

/// The object file that `build.rs` made of `relay-ebpf`: program `relay` and maps `LOCALS`, `LOCAL_HINTS`,
/// `SLOTS`, `ROUTES` and `PASSES`, laid out as [`relay_common::slot`] says.
pub static PROGRAM: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/relay.o"));

/// The object file with programs `generate`, `bare`, `drop` and `sink` and maps `SETTINGS` and `COUNTS`, to measure
/// [`PROGRAM`] with. Laid out as [`relay_common::bench`] says. Not a part of the daemon.
pub static BENCH: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench.o"));
