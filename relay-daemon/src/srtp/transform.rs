//! Encryption and authentication with one set of session keys.

use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc, Block};
use ctr::{Ctr128BE, CtrCore};
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;

use super::Error;

/// Bytes of an AEAD tag.
pub(super) const AEAD_TAG: usize = 16;

/// Session keys for RTP or for RTCP.
pub(super) enum Transform {
    /// A key stream, and a truncated HMAC-SHA1 over what it made.
    Classic {
        cipher: Cipher,
        mac: Hmac<Sha1>,
    },
    Aead {
        key: LessSafeKey,
        salt: [u8; 12],
    },
}

/// What makes a key stream.
pub(super) enum Cipher {
    Null,
    /// AES in counter mode, with its salt, shifted to where the counter leaves room.
    Counter(AesKey, [u8; 16]),
    F8(F8),
}

/// AES with a key, for encryption only.
pub(super) enum AesKey {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

/// AES in f8 mode (RFC 3711 section 4.1.2).
pub(super) struct F8 {
    key: Aes128Enc,
    /// The same, its key combined with the salt.
    masked: Aes128Enc,
}

/// Which packet it is: all that an initialisation vector is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Which {
    pub(super) ssrc: u32,
    /// Extended index.
    pub(super) index: u64,
    /// Whether it is RTCP.
    pub(super) rtcp: bool,
}

impl AesKey {
    /// None for lengths that AES does not have.
    pub(super) fn new(key: &[u8]) -> Option<AesKey> {
        Some(match key.len() {
            16 => AesKey::Aes128(Aes128Enc::new_from_slice(key).ok()?),
            24 => AesKey::Aes192(Aes192Enc::new_from_slice(key).ok()?),
            32 => AesKey::Aes256(Aes256Enc::new_from_slice(key).ok()?),
            _ => return None,
        })
    }
}

impl F8 {
    pub(super) fn new(key: [u8; 16], salt: [u8; 14]) -> F8 {
        let mut mask = [0x55; 16];
        mask[..14].copy_from_slice(&salt);
        let masked: [u8; 16] = std::array::from_fn(|place| key[place] ^ mask[place]);
        F8 {
            key: Aes128Enc::new(&key.into()),
            masked: Aes128Enc::new(&masked.into()),
        }
    }

    fn apply(&self, iv: [u8; 16], text: &mut [u8]) {
        let mut start = Block::from(iv);
        self.masked.encrypt_block(&mut start);
        let mut stream = Block::default();
        for (counter, chunk) in (0u32..).zip(text.chunks_mut(16)) {
            for (byte, start) in stream.iter_mut().zip(&start) {
                *byte ^= start;
            }
            for (byte, counter) in stream[12..].iter_mut().zip(counter.to_be_bytes()) {
                *byte ^= counter;
            }
            self.key.encrypt_block(&mut stream);
            chunk.iter_mut().zip(&stream).for_each(|(byte, key)| *byte ^= key);
        }
    }
}

impl Cipher {
    /// Encrypts or decrypts what follows the header, in place. For f8, the header must be as it is on the way, and an
    /// SRTCP packet's `word` is what follows it.
    pub(super) fn apply(&self, which: &Which, word: u32, header: &[u8], text: &mut [u8]) {
        match self {
            Cipher::Null => {}
            Cipher::Counter(key, salt) => {
                let iv = which.counter(salt);
                match key {
                    AesKey::Aes128(aes) => counter_mode(aes, &iv, text),
                    AesKey::Aes192(aes) => counter_mode(aes, &iv, text),
                    AesKey::Aes256(aes) => counter_mode(aes, &iv, text),
                }
            }
            Cipher::F8(f8) => f8.apply(which.f8(word, header), text),
        }
    }
}

fn counter_mode<C: BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>>(
    aes: &C,
    iv: &[u8; 16],
    text: &mut [u8],
) {
    let core = CtrCore::<&C, ctr::flavors::Ctr128BE>::inner_iv_init(aes, iv.into());
    Ctr128BE::from_core(core).apply_keystream(text);
}

impl Which {
    /// The upper 32 bits of an RTP index.
    #[expect(clippy::cast_possible_truncation, reason = "an index has 48 bits")]
    pub(super) fn rollover_counter(&self) -> [u8; 4] {
        ((self.index >> 16) as u32).to_be_bytes()
    }

    /// RFC 3711 section 4.1.1.
    fn counter(&self, salt: &[u8; 16]) -> [u8; 16] {
        let iv = u128::from(self.ssrc) << 64 ^ u128::from(self.index) << 16;
        (u128::from_be_bytes(*salt) ^ iv).to_be_bytes()
    }

    /// RFC 3711 sections 4.1.2.2 and 4.1.2.3.
    fn f8(&self, word: u32, header: &[u8]) -> [u8; 16] {
        let mut iv = [0; 16];
        if self.rtcp {
            iv[4..8].copy_from_slice(&word.to_be_bytes());
            iv[8..].copy_from_slice(&header[..8]);
        } else {
            iv[1..12].copy_from_slice(&header[1..12]);
            iv[12..].copy_from_slice(&self.rollover_counter());
        }
        iv
    }

    /// RFC 7714 sections 8.1 and 9.1.
    fn nonce(&self, salt: &[u8; 12]) -> Nonce {
        let mut nonce = *salt;
        let ssrc = self.ssrc.to_be_bytes();
        // The rollover counter and the sequence number, or the SRTCP index.
        let index = &self.index.to_be_bytes()[2..];
        nonce[2..6]
            .iter_mut()
            .zip(ssrc)
            .for_each(|(salt, byte)| *salt ^= byte);
        nonce[6..]
            .iter_mut()
            .zip(index)
            .for_each(|(salt, byte)| *salt ^= byte);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// The authenticated key of an AEAD suite: None for a key of another length.
pub(super) fn aead_key(key: &[u8]) -> Option<LessSafeKey> {
    let algorithm = if key.len() == 32 {
        &AES_256_GCM
    } else {
        &AES_128_GCM
    };
    UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new)
}

/// Encrypts in place; the result is the tag.
pub(super) fn aead_seal(
    key: &LessSafeKey,
    salt: &[u8; 12],
    which: &Which,
    additional: &[u8],
    text: &mut [u8],
) -> Result<[u8; AEAD_TAG], Error> {
    let tag = key
        .seal_in_place_separate_tag(which.nonce(salt), Aad::from(additional), text)
        .map_err(|_| Error::TooLong)?;
    tag.as_ref().try_into().map_err(|_| Error::TooLong)
}

/// Decrypts in place what ends with its tag. If it is not authentic, it is lost.
pub(super) fn aead_open(
    key: &LessSafeKey,
    salt: &[u8; 12],
    which: &Which,
    additional: &[u8],
    text_and_tag: &mut [u8],
) -> Result<(), Error> {
    match key.open_in_place(which.nonce(salt), Aad::from(additional), text_and_tag) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::Authentication),
    }
}

/// HMAC-SHA1 over two parts, one after the other.
pub(super) fn authenticate(mac: &Hmac<Sha1>, first: &[u8], second: &[u8]) -> Hmac<Sha1> {
    let mut mac = mac.clone();
    mac.update(first);
    mac.update(second);
    mac
}
