//! Any datagrams that may be DTLS; see `relay_daemon::dtls::fuzz`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| relay_daemon::dtls::fuzz::fuzz(data));
