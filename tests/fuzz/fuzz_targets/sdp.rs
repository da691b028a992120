//! Any session description; see `relay_daemon::sdp::fuzz`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| relay_daemon::sdp::fuzz::fuzz(data));
