//! Offers, answers and fragments of two parties; see `relay_daemon::call::fuzz`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| relay_daemon::call::fuzz::talk(data));
