//! `MESSAGE-INTEGRITY` and `FINGERPRINT` (RFC 8489 sections 14.5 and 14.7).

use std::fmt;

use openssl::sha::Sha1;

/// Bytes of a signature.
pub(super) const SIGNATURE: usize = 20;

/// Bytes that SHA-1 takes in at once.
const BLOCK: usize = 64;

/// A short-term password (RFC 8489 section 9.1): HMAC-SHA1 (RFC 2104) with the key worked in already, as the key serves
/// many messages. Not shown in logs.
#[derive(Clone)]
pub struct Key {
    inner: Sha1,
    outer: Sha1,
}

impl Key {
    /// For a password.
    pub fn new(password: &[u8]) -> Key {
        let mut block = [0; BLOCK];
        match block.get_mut(..password.len()) {
            Some(start) => start.copy_from_slice(password),
            None => block[..SIGNATURE].copy_from_slice(&openssl::sha::sha1(password)),
        }
        let state = |pad: u8| {
            let mut hash = Sha1::new();
            hash.update(&block.map(|byte| byte ^ pad));
            hash
        };
        Key {
            inner: state(0x36),
            outer: state(0x5c),
        }
    }

    /// HMAC-SHA1 of some bytes in pieces.
    pub fn sign(&self, pieces: &[&[u8]]) -> [u8; SIGNATURE] {
        let mut inner = self.inner.clone();
        pieces.iter().for_each(|piece| inner.update(piece));
        let mut outer = self.outer.clone();
        outer.update(&inner.finish());
        outer.finish()
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
