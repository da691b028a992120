//! What one direction of SRTP needs (RFC 3711).

use std::fmt;

use super::Suite;

/// One direction of SRTP and SRTCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srtp {
    /// Suite, master key and salt.
    pub key: MasterKey,
    /// The master key identifier that packets carry, if they do.
    pub mki: Option<Mki>,
    /// Deviations from what the suite says.
    pub parameters: SessionParameters,
}

impl Srtp {
    /// Just as the suite says, without an MKI.
    pub fn new(key: MasterKey) -> Srtp {
        Srtp {
            key,
            mki: None,
            parameters: SessionParameters::default(),
        }
    }

    /// How packets are encrypted and authenticated.
    pub fn suite(&self) -> Suite {
        self.key.suite()
    }
}

/// A master key and its salt, of the lengths that the suite wants. Not shown in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    /// The key, then the salt; zero behind them.
    bytes: [u8; MasterKey::MAX_LENGTH],
}

impl MasterKey {
    /// Bytes of the longest key with its salt.
    pub const MAX_LENGTH: usize = 46;

    /// Key and salt in one. None if they are not as long as the suite wants.
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<MasterKey> {
        let mut bytes = [0; MasterKey::MAX_LENGTH];
        bytes.get_mut(..key_and_salt.len())?.copy_from_slice(key_and_salt);
        (key_and_salt.len() == length(suite)).then_some(MasterKey { suite, bytes })
    }

    /// As many of these bytes as the suite wants.
    pub fn cut(suite: Suite, mut bytes: [u8; MasterKey::MAX_LENGTH]) -> MasterKey {
        bytes[length(suite)..].fill(0);
        MasterKey { suite, bytes }
    }

    /// The suite that it is for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.bytes[..self.suite.key_length()]
    }

    /// The salt.
    pub fn salt(&self) -> &[u8] {
        &self.key_and_salt()[self.suite.key_length()..]
    }

    /// The key, then the salt.
    pub fn key_and_salt(&self) -> &[u8] {
        &self.bytes[..length(self.suite)]
    }
}

fn length(suite: Suite) -> usize {
    suite.key_length() + suite.salt_length()
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// A master key identifier: a number, and the bytes that it takes in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mki {
    /// The number.
    pub value: u128,
    /// Bytes in a packet, at least 1. The number is big-endian there.
    pub length: u8,
}

/// Session parameters (RFC 4568 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionParameters {
    /// `UNENCRYPTED_SRTP`: RTP is only authenticated.
    pub unencrypted_srtp: bool,
    /// `UNENCRYPTED_SRTCP`: RTCP is only authenticated.
    pub unencrypted_srtcp: bool,
    /// `UNAUTHENTICATED_SRTP`: RTP is only encrypted.
    pub unauthenticated_srtp: bool,
    /// `KDR`: session keys are derived anew every 2^n packets; never for `None`.
    pub key_derivation_rate: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_as_long_as_its_suite_wants() {
        for suite in Suite::ALL {
            let length = length(suite);
            let bytes: Vec<u8> = (1..).take(length).collect();
            let key = MasterKey::new(suite, &bytes).unwrap();
            assert_eq!(key.key_and_salt(), bytes);
            assert_eq!([key.key(), key.salt()].concat(), bytes);
            assert_eq!(key.salt().len(), suite.salt_length());
            let mut long = [7; MasterKey::MAX_LENGTH];
            long[..length].copy_from_slice(&bytes);
            assert_eq!(MasterKey::cut(suite, long), key);
            assert_eq!(MasterKey::new(suite, &bytes[1..]), None);
            assert_eq!(MasterKey::new(suite, &[bytes, vec![0]].concat()), None);
        }
    }

    #[test]
    fn keys_do_not_show() {
        let key = MasterKey::new(Suite::AeadAes128Gcm, &[171; 28]).unwrap();
        assert_eq!(format!("{key:?}"), "MasterKey(..)");
    }
}
