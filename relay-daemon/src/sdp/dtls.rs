//! `a=setup` (RFC 4145), `a=fingerprint` (RFC 8122), `a=tls-id` (RFC 8842).

use std::fmt;

use super::{Source, Text};

/// Who opens the DTLS association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Either.
    ActPass,
    /// The speaker.
    Active,
    /// The other end.
    Passive,
    /// Nobody for now.
    HoldConn,
}

impl Setup {
    /// The value of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Setup::ActPass => "actpass",
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::HoldConn => "holdconn",
        }
    }

    /// Parses what follows `a=setup:`.
    pub(super) fn parse(value: &str) -> Option<Setup> {
        [Setup::ActPass, Setup::Active, Setup::Passive, Setup::HoldConn]
            .into_iter()
            .find(|setup| value.trim().eq_ignore_ascii_case(setup.as_str()))
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The digest of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Name of the hash, such as `sha-256`.
    pub hash: Text,
    /// Pairs of hexadecimal digits, separated by colons.
    pub digest: Text,
}

impl Fingerprint {
    /// Parses what follows `a=fingerprint:`.
    pub(super) fn parse(value: &str, source: &Source) -> Option<Fingerprint> {
        let (hash, digest) = value.trim().split_once(' ')?;
        Some(Fingerprint {
            hash: source.text(hash),
            digest: source.text(digest.trim_start()),
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.hash, self.digest)
    }
}

/// What a media section says about DTLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dtls {
    /// `a=setup`.
    pub setup: Option<Setup>,
    /// `a=fingerprint`: of one certificate by several hash functions, or of several (RFC 8122 section 5).
    pub fingerprints: Vec<Fingerprint>,
    /// `a=tls-id`.
    pub tls_id: Option<Text>,
}

impl Dtls {
    /// Fills in what is not said.
    pub(super) fn default_to(&mut self, session: &Dtls) {
        self.setup = self.setup.or(session.setup);
        if self.fingerprints.is_empty() {
            self.fingerprints.clone_from(&session.fingerprints);
        }
        if self.tls_id.is_none() {
            self.tls_id.clone_from(&session.tls_id);
        }
    }
}

impl fmt::Display for Dtls {
    /// The attribute lines, each with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(setup) = self.setup {
            write!(f, "a=setup:{setup}\r\n")?;
        }
        for fingerprint in &self.fingerprints {
            write!(f, "a=fingerprint:{fingerprint}\r\n")?;
        }
        if let Some(tls_id) = &self.tls_id {
            write!(f, "a=tls-id:{tls_id}\r\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setup_round_trips() {
        for value in ["actpass", "active", "passive", "holdconn"] {
            assert_eq!(Setup::parse(value).unwrap().to_string(), value);
        }
        assert_eq!(Setup::parse("other"), None);
    }

    #[test]
    fn lines_come_in_order() {
        let dtls = Dtls {
            setup: Setup::parse("actpass"),
            fingerprints: ["sha-256 AB:CD", "sha-1 EF"]
                .map(|value| Fingerprint::parse(value, &Source::default()).unwrap())
                .to_vec(),
            tls_id: Some(Text::from_static("f00d")),
        };
        assert_eq!(
            dtls.to_string(),
            "a=setup:actpass\r\na=fingerprint:sha-256 AB:CD\r\na=fingerprint:sha-1 EF\r\na=tls-id:f00d\r\n"
        );
        assert_eq!(Dtls::default().to_string(), "");
    }

    #[test]
    fn a_fingerprint_needs_both_parts() {
        assert_eq!(Fingerprint::parse("sha-256", &Source::default()), None);
    }
}
