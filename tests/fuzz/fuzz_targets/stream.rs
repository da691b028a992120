//! Any bytes of an ng connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_common::ng::stream::fuzz(data));
