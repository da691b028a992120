//! Any bytes as SRTP; the first one chooses suite and parameters.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_daemon::srtp::fuzz_rtp(data));
