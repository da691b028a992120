//! `a=crypto` (RFC 4568).

use std::fmt;

use super::{Source, Text};

/// `a=crypto:<tag> <suite> <key parameters> [<session parameters>]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// Tag: the number by which an answer refers to an offered line.
    pub tag: u32,
    /// Name of the suite.
    pub suite: Text,
    /// Key parameters, with their `inline:`.
    pub key: Text,
    /// Session parameters, separated by spaces; may be empty.
    pub parameters: Text,
}

impl Crypto {
    /// Parses what follows `a=crypto:`. `None` if it is broken.
    pub(super) fn parse(value: &str, source: &Source) -> Option<Crypto> {
        let (tag, rest) = value.trim().split_once(' ')?;
        let (suite, rest) = rest.trim_start().split_once(' ')?;
        let rest = rest.trim_start();
        let (key, parameters) = rest.split_once(' ').unwrap_or((rest, ""));
        let (method, _) = key.split_once(':')?;
        if !method.eq_ignore_ascii_case("inline") {
            return None;
        }
        Some(Crypto {
            tag: tag.parse().ok()?,
            suite: source.text(suite),
            key: source.text(key),
            parameters: source.text(parameters.trim_start()),
        })
    }
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.tag, self.suite, self.key)?;
        if !self.parameters.is_empty() {
            write!(f, " {}", self.parameters)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<Crypto> {
        Crypto::parse(value, &Source::default())
    }

    #[test]
    fn with_and_without_parameters() {
        for value in [
            "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "3 AES_CM_128_HMAC_SHA1_32 inline:WVNf|2^31|1:4 UNENCRYPTED_SRTCP KDR=0",
        ] {
            assert_eq!(parse(value).unwrap().to_string(), value);
        }
    }

    #[test]
    fn broken_ones() {
        for value in ["", "x y z", "1 SUITE", "1 SUITE key", "x SUITE inline:abc"] {
            assert_eq!(parse(value), None, "{value}");
        }
    }
}
