//! `a=extmap` (RFC 8285).

use std::fmt;

use super::{Source, Text};

/// An RTP header extension: `a=extmap:<id> <uri>`.
///
/// The direction and the attributes that may come with it do not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtMap {
    /// Local identifier: 1 to 14, or 16 to 255.
    pub id: u8,
    /// Name of the extension.
    pub uri: Text,
}

impl ExtMap {
    /// Parses what follows `a=extmap:`. `None` for an identifier outside the valid range.
    pub(super) fn parse(value: &str, source: &Source) -> Option<ExtMap> {
        let mut fields = value.split_ascii_whitespace();
        let id: u8 = fields.next()?.split('/').next()?.parse().ok()?;
        let uri = fields.next()?;
        let valid = id != 0 && id != 15;
        valid.then(|| ExtMap {
            id,
            uri: source.text(uri),
        })
    }
}

impl fmt::Display for ExtMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<ExtMap> {
        ExtMap::parse(value, &Source::default())
    }

    #[test]
    fn direction_and_attributes_go() {
        assert_eq!(
            parse("5/sendonly urn:example:ext1 foo bar").unwrap().to_string(),
            "5 urn:example:ext1"
        );
    }

    #[test]
    fn only_valid_identifiers() {
        for id in ["0", "15", "256", "4097", "x", ""] {
            assert_eq!(parse(&format!("{id} urn:x")), None, "{id}");
        }
        for id in ["1", "14", "16", "255"] {
            assert!(parse(&format!("{id} urn:x")).is_some(), "{id}");
        }
        assert_eq!(parse("1"), None);
    }
}
