//! Fingerprints of certificates (RFC 8122).

use std::fmt;

use smallvec::SmallVec;

/// A hash function of a fingerprint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashFunction {
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-224, 28 bytes.
    Sha224,
    /// SHA-256, 32 bytes.
    #[default]
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl HashFunction {
    /// All of them.
    pub const ALL: [HashFunction; 5] = [
        HashFunction::Sha1,
        HashFunction::Sha224,
        HashFunction::Sha256,
        HashFunction::Sha384,
        HashFunction::Sha512,
    ];

    /// The function of a name such as `SHA-256`, in any case.
    pub fn named(name: &str) -> Option<HashFunction> {
        HashFunction::ALL
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(name))
    }

    /// The name, lower case.
    pub fn name(self) -> &'static str {
        match self {
            HashFunction::Sha1 => "sha-1",
            HashFunction::Sha224 => "sha-224",
            HashFunction::Sha256 => "sha-256",
            HashFunction::Sha384 => "sha-384",
            HashFunction::Sha512 => "sha-512",
        }
    }

    /// Bytes of a digest.
    pub fn length(self) -> usize {
        match self {
            HashFunction::Sha1 => 20,
            HashFunction::Sha224 => 28,
            HashFunction::Sha256 => 32,
            HashFunction::Sha384 => 48,
            HashFunction::Sha512 => 64,
        }
    }
}

/// The digest of a certificate. Shown as in the SDP: `12:AB:...`.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    hash: HashFunction,
    digest: SmallVec<[u8; 32]>,
}

impl Fingerprint {
    /// None if the digest is not as long as the function makes it.
    pub fn new(hash: HashFunction, digest: &[u8]) -> Option<Fingerprint> {
        (digest.len() == hash.length()).then(|| Fingerprint {
            hash,
            digest: SmallVec::from_slice(digest),
        })
    }

    /// Parses a digest as the SDP has it: pairs of hexadecimal digits with colons between.
    pub fn parse(hash: HashFunction, digest: &str) -> Option<Fingerprint> {
        let bytes = digest.trim().split(':').map(|pair| {
            let digits = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
            digits.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        });
        // One byte too many is enough to tell that it is too long.
        let digest: Option<SmallVec<[u8; 32]>> = bytes.take(hash.length() + 1).collect();
        Fingerprint::new(hash, &digest?)
    }

    /// The hash function.
    pub fn hash(&self) -> HashFunction {
        self.hash
    }

    /// The digest.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.digest.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.hash.name())
    }
}

/// The fingerprints of our own certificate, by every hash function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFingerprints([Fingerprint; 5]);

impl OwnFingerprints {
    /// Computes them. `digest` gives the digest by a function, as long as the function makes it.
    pub fn compute(mut digest: impl FnMut(HashFunction) -> Vec<u8>) -> OwnFingerprints {
        OwnFingerprints(HashFunction::ALL.map(|hash| Fingerprint {
            hash,
            digest: SmallVec::from_vec(digest(hash)),
        }))
    }

    /// By one function.
    pub fn by(&self, hash: HashFunction) -> &Fingerprint {
        &self.0[hash as usize]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_leads_back_to_the_digest() {
        for hash in HashFunction::ALL {
            let digest: Vec<u8> = (150..).take(hash.length()).collect();
            let fingerprint = Fingerprint::new(hash, &digest).unwrap();
            let text = fingerprint.to_string();
            assert_eq!(Fingerprint::parse(hash, &text), Some(fingerprint.clone()));
            assert_eq!(
                Fingerprint::parse(hash, &text.to_ascii_lowercase()),
                Some(fingerprint)
            );
            assert_eq!(HashFunction::named(&hash.name().to_ascii_uppercase()), Some(hash));
        }
    }

    #[test]
    fn a_digest_of_another_length_is_none() {
        let digest = "AB:".repeat(20);
        let digest = digest.trim_end_matches(':');
        assert!(Fingerprint::parse(HashFunction::Sha1, digest).is_some());
        assert!(Fingerprint::parse(HashFunction::Sha256, digest).is_none());
        assert!(Fingerprint::parse(HashFunction::Sha1, &format!("{digest}:AB")).is_none());
        assert!(Fingerprint::parse(HashFunction::Sha1, &format!("{digest}:")).is_none());
        assert!(Fingerprint::parse(HashFunction::Sha1, &digest.replace("AB:AB", "A+:AB")).is_none());
    }

    #[test]
    fn own_fingerprints_are_found_by_their_function() {
        let own = OwnFingerprints::compute(|hash| vec![0; hash.length()]);
        for hash in HashFunction::ALL {
            assert_eq!(own.by(hash).hash(), hash);
            assert_eq!(own.by(hash).digest().len(), hash.length());
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,200}") {
            for hash in HashFunction::ALL {
                let _ = Fingerprint::parse(hash, &text);
            }
        }
    }
}
