//! Crypto suites of SRTP.

use std::fmt;

/// A crypto suite, as `a=crypto` names it (RFC 4568, 6188, 7714). The order is that of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Suite {
    AeadAes256Gcm,
    AeadAes128Gcm,
    Aes256CmHmacSha1_80,
    Aes256CmHmacSha1_32,
    Aes192CmHmacSha1_80,
    Aes192CmHmacSha1_32,
    AesCm128HmacSha1_80,
    AesCm128HmacSha1_32,
    F8_128HmacSha1_80,
    F8_128HmacSha1_32,
    NullHmacSha1_80,
    NullHmacSha1_32,
}

impl Suite {
    /// All suites, the most wanted first.
    pub const ALL: [Suite; 12] = [
        Suite::AeadAes256Gcm,
        Suite::AeadAes128Gcm,
        Suite::Aes256CmHmacSha1_80,
        Suite::Aes256CmHmacSha1_32,
        Suite::Aes192CmHmacSha1_80,
        Suite::Aes192CmHmacSha1_32,
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
        Suite::F8_128HmacSha1_80,
        Suite::F8_128HmacSha1_32,
        Suite::NullHmacSha1_80,
        Suite::NullHmacSha1_32,
    ];

    /// The suite of a name, in any case.
    pub fn named(name: &str) -> Option<Suite> {
        Suite::ALL
            .into_iter()
            .find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Suite::Aes256CmHmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Suite::Aes256CmHmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Suite::Aes192CmHmacSha1_80 => "AES_192_CM_HMAC_SHA1_80",
            Suite::Aes192CmHmacSha1_32 => "AES_192_CM_HMAC_SHA1_32",
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::F8_128HmacSha1_80 => "F8_128_HMAC_SHA1_80",
            Suite::F8_128HmacSha1_32 => "F8_128_HMAC_SHA1_32",
            Suite::NullHmacSha1_80 => "NULL_HMAC_SHA1_80",
            Suite::NullHmacSha1_32 => "NULL_HMAC_SHA1_32",
        }
    }

    /// Bytes of the master key.
    pub fn key_length(self) -> usize {
        match self {
            Suite::AeadAes256Gcm | Suite::Aes256CmHmacSha1_80 | Suite::Aes256CmHmacSha1_32 => 32,
            Suite::Aes192CmHmacSha1_80 | Suite::Aes192CmHmacSha1_32 => 24,
            Suite::AeadAes128Gcm
            | Suite::AesCm128HmacSha1_80
            | Suite::AesCm128HmacSha1_32
            | Suite::F8_128HmacSha1_80
            | Suite::F8_128HmacSha1_32
            | Suite::NullHmacSha1_80
            | Suite::NullHmacSha1_32 => 16,
        }
    }

    /// Bytes of the master salt.
    pub fn salt_length(self) -> usize {
        match self {
            Suite::AeadAes256Gcm | Suite::AeadAes128Gcm => 12,
            Suite::Aes256CmHmacSha1_80
            | Suite::Aes256CmHmacSha1_32
            | Suite::Aes192CmHmacSha1_80
            | Suite::Aes192CmHmacSha1_32
            | Suite::AesCm128HmacSha1_80
            | Suite::AesCm128HmacSha1_32
            | Suite::F8_128HmacSha1_80
            | Suite::F8_128HmacSha1_32
            | Suite::NullHmacSha1_80
            | Suite::NullHmacSha1_32 => 14,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of suites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SuiteSet(u16);

impl SuiteSet {
    /// Adds a suite.
    pub fn insert(&mut self, suite: Suite) {
        self.0 |= 1 << suite as u16;
    }

    /// Whether it is in the set.
    pub fn contains(self, suite: Suite) -> bool {
        self.0 & 1 << suite as u16 != 0
    }

    /// Whether no suite is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Suite> for SuiteSet {
    fn from_iter<T: IntoIterator<Item = Suite>>(suites: T) -> SuiteSet {
        let mut set = SuiteSet::default();
        suites.into_iter().for_each(|suite| set.insert(suite));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_suites() {
        for suite in Suite::ALL {
            assert_eq!(Suite::named(suite.name()), Some(suite));
            assert_eq!(Suite::named(&suite.name().to_ascii_lowercase()), Some(suite));
        }
        assert_eq!(Suite::named("FOO_BAR"), None);
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: SuiteSet = [Suite::AeadAes128Gcm, Suite::NullHmacSha1_32]
            .into_iter()
            .collect();
        let members: Vec<Suite> = Suite::ALL
            .into_iter()
            .filter(|suite| set.contains(*suite))
            .collect();
        assert_eq!(members, [Suite::AeadAes128Gcm, Suite::NullHmacSha1_32]);
        assert!(SuiteSet::default().is_empty());
    }
}
