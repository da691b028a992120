//! `MESSAGE-INTEGRITY` and `FINGERPRINT` (RFC 8489 sections 14.5 and 14.7).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Bytes of a signature.
pub(super) const SIGNATURE: usize = 20;

/// A short-term password (RFC 8489 section 9.1): HMAC-SHA1 with the key worked in already, as it serves many messages. Not
/// shown in logs.
#[derive(Clone)]
pub struct Key(Hmac<Sha1>);

impl Key {
    /// For a password.
    pub fn new(password: &[u8]) -> Key {
        Key(Hmac::new_from_slice(password).expect("HMAC has keys of any length"))
    }

    /// HMAC-SHA1 of some bytes in pieces.
    pub fn sign(&self, pieces: &[&[u8]]) -> [u8; SIGNATURE] {
        let mut mac = self.0.clone();
        pieces.iter().for_each(|piece| mac.update(piece));
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// CRC-32 as of ITU-T V.42.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        CHECKSUMS[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8)
    })
}

/// The checksum of each byte.
const CHECKSUMS: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};
