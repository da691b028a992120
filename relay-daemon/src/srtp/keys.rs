//! The keys of one direction, and what the suite and the session parameters make of them.

use hmac::{Hmac, KeyInit};
use sha1::Sha1;

use super::derive::{Label, derive};
use super::transform::{AesKey, Cipher, F8, Transform, aead_key};
use crate::security::{MasterKey, Srtp, Suite};

/// Master key, and the session keys derived from it.
pub(super) struct Keys {
    srtp: Srtp,
    /// Session keys are derived anew every 2^n packets.
    rate: Option<u8>,
    rtp: Derived,
    rtcp: Derived,
}

/// Session keys of a period: an index divided by the key derivation rate.
struct Derived {
    period: u64,
    transform: Transform,
}

/// What packets look like.
#[derive(Debug)]
pub(super) struct Format {
    /// Bytes of the HMAC of an RTP packet; 0 without authentication.
    pub(super) rtp_tag: usize,
    pub(super) encrypts_rtp: bool,
    pub(super) encrypts_rtcp: bool,
    pub(super) mki: MkiBytes,
}

/// Bytes of the HMAC of an RTCP packet, whatever that of RTP has (RFC 4568 section 6.2).
pub(super) const RTCP_TAG: usize = 10;

/// A master key identifier as it is in packets.
#[derive(Debug)]
pub(super) struct MkiBytes {
    bytes: [u8; 255],
    length: usize,
}

impl Keys {
    pub(super) fn new(srtp: &Srtp) -> Keys {
        Keys {
            rate: srtp.parameters.key_derivation_rate,
            rtp: Derived::new(&srtp.key, Kind::Rtp, 0),
            rtcp: Derived::new(&srtp.key, Kind::Rtcp, 0),
            srtp: srtp.clone(),
        }
    }

    pub(super) fn srtp(&self) -> &Srtp {
        &self.srtp
    }

    /// Session keys for RTP with this index.
    pub(super) fn rtp(&mut self, index: u64) -> &Transform {
        self.rtp.at(&self.srtp.key, Kind::Rtp, period(self.rate, index))
    }

    /// Session keys for RTCP with this index.
    pub(super) fn rtcp(&mut self, index: u64) -> &Transform {
        self.rtcp.at(&self.srtp.key, Kind::Rtcp, period(self.rate, index))
    }

    /// Whether the suite is one of authenticated encryption.
    pub(super) fn is_aead(&self) -> bool {
        matches!(self.rtp.transform, Transform::Aead { .. })
    }
}

fn period(rate: Option<u8>, index: u64) -> u64 {
    match rate {
        None | Some(0) => 0,
        Some(rate) => index >> rate.min(63),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Rtp,
    Rtcp,
}

impl Derived {
    fn new(master: &MasterKey, kind: Kind, period: u64) -> Derived {
        Derived {
            period,
            transform: transform(master, kind, period),
        }
    }

    fn at(&mut self, master: &MasterKey, kind: Kind, period: u64) -> &Transform {
        if self.period != period {
            *self = Derived::new(master, kind, period);
        }
        &self.transform
    }
}

const FITS: &str = "a master key is as long as its suite wants, and AES has keys of that length";

fn transform(master: &MasterKey, kind: Kind, period: u64) -> Transform {
    let prf = AesKey::new(master.key()).expect(FITS);
    let [encryption, authentication, salt] = match kind {
        Kind::Rtp => [Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt],
        Kind::Rtcp => [Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt],
    };
    let key: [u8; 32] = derive(master, &prf, encryption, period);
    let salt: [u8; 14] = derive(master, &prf, salt, period);
    let length = master.key().len();
    let cipher = match master.suite() {
        Suite::AeadAes256Gcm | Suite::AeadAes128Gcm => {
            let key = aead_key(&key[..length]).expect(FITS);
            let [salt @ .., _, _] = salt;
            return Transform::Aead { key, salt };
        }
        Suite::Aes256CmHmacSha1_80
        | Suite::Aes256CmHmacSha1_32
        | Suite::Aes192CmHmacSha1_80
        | Suite::Aes192CmHmacSha1_32
        | Suite::AesCm128HmacSha1_80
        | Suite::AesCm128HmacSha1_32 => {
            let mut counter = [0; 16];
            counter[..14].copy_from_slice(&salt);
            Cipher::Counter(AesKey::new(&key[..length]).expect(FITS), counter)
        }
        Suite::F8_128HmacSha1_80 | Suite::F8_128HmacSha1_32 => {
            let [key @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = key;
            Cipher::F8(F8::new(key, salt))
        }
        Suite::NullHmacSha1_80 | Suite::NullHmacSha1_32 => Cipher::Null,
    };
    let key: [u8; 20] = derive(master, &prf, authentication, period);
    let mac = Hmac::<Sha1>::new_from_slice(&key).expect("HMAC has keys of any length");
    Transform::Classic { cipher, mac }
}

impl Format {
    pub(super) fn of(srtp: &Srtp) -> Format {
        let parameters = &srtp.parameters;
        let rtp_tag = match srtp.suite() {
            Suite::AeadAes256Gcm | Suite::AeadAes128Gcm => 0,
            Suite::Aes256CmHmacSha1_80
            | Suite::Aes192CmHmacSha1_80
            | Suite::AesCm128HmacSha1_80
            | Suite::F8_128HmacSha1_80
            | Suite::NullHmacSha1_80 => 10,
            Suite::Aes256CmHmacSha1_32
            | Suite::Aes192CmHmacSha1_32
            | Suite::AesCm128HmacSha1_32
            | Suite::F8_128HmacSha1_32
            | Suite::NullHmacSha1_32 => 4,
        };
        let mut mki = MkiBytes {
            bytes: [0; 255],
            length: 0,
        };
        if let Some(of) = srtp.mki {
            mki.length = usize::from(of.length);
            let value = of.value.to_be_bytes();
            let common = mki.length.min(value.len());
            mki.bytes[mki.length - common..mki.length].copy_from_slice(&value[value.len() - common..]);
        }
        Format {
            rtp_tag: if parameters.unauthenticated_srtp {
                0
            } else {
                rtp_tag
            },
            encrypts_rtp: !parameters.unencrypted_srtp,
            encrypts_rtcp: !parameters.unencrypted_srtcp,
            mki,
        }
    }
}

impl MkiBytes {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
