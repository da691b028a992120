//! What a fuzzer does with bytes that may be payloads.

use super::{Format, Kind};

/// Every codec that there may be, at its rates.
pub(super) const CODECS: [(&str, u32); 10] = [
    ("PCMU", 8000),
    ("PCMA", 8000),
    ("G722", 8000),
    ("L16", 16_000),
    ("GSM", 8000),
    ("G729", 8000),
    ("speex", 8000),
    ("speex", 16_000),
    ("speex", 32_000),
    ("opus", 48_000),
];

/// Hands payloads to every decoder that there is, each with its length in front, in one byte.
pub fn fuzz(bytes: &[u8]) {
    for (encoding, clock_rate) in CODECS {
        let kind = Kind::new(encoding, clock_rate, 1);
        let Some(mut decoder) = kind.and_then(|kind| kind.decoder(Format::mono(8000))) else {
            continue;
        };
        let mut bytes = bytes;
        let mut samples = Vec::new();
        while let Some((&length, rest)) = bytes.split_first() {
            let (payload, rest) = rest.split_at(usize::from(length).min(rest.len()));
            samples.clear();
            let result = decoder.decode(payload, &mut samples);
            assert!(result.is_ok() || samples.is_empty(), "{encoding}");
            decoder.conceal(160, &mut samples);
            bytes = rest;
        }
    }
}
