//! Session keys out of master keys (RFC 3711 section 4.3, RFC 6188 section 3, RFC 7714 section 11).

use aes::cipher::BlockCipherEncrypt;

use super::transform::AesKey;
use crate::security::MasterKey;

/// What a session key is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Derives the bytes for a label. `period` is the packet index divided by the key derivation rate; 0 without one.
pub(super) fn derive<const N: usize>(master: &MasterKey, prf: &AesKey, label: Label, period: u64) -> [u8; N] {
    // A 96-bit salt is used as a 112-bit one that ends with zeroes. The last two bytes count the blocks.
    let mut block = [0; 16];
    block[..master.salt().len()].copy_from_slice(master.salt());
    block[7] ^= label as u8;
    for (byte, of_period) in block[8..14].iter_mut().zip(&period.to_be_bytes()[2..]) {
        *byte ^= of_period;
    }
    let mut derived = [0; N];
    for (counter, chunk) in (0u16..).zip(derived.chunks_mut(16)) {
        block[14..].copy_from_slice(&counter.to_be_bytes());
        let mut stream = block.into();
        match prf {
            AesKey::Aes128(aes) => aes.encrypt_block(&mut stream),
            AesKey::Aes192(aes) => aes.encrypt_block(&mut stream),
            AesKey::Aes256(aes) => aes.encrypt_block(&mut stream),
        }
        chunk.copy_from_slice(&stream[..chunk.len()]);
    }
    derived
}
