//! Any bytes as RTCP for a party that knows no feedback.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_daemon::session::rtcp::fuzz(data));
