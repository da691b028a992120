//! Any datagram that may be STUN; see `relay_daemon::stun::fuzz`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| relay_daemon::stun::fuzz::fuzz(data));
