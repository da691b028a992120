//! `o=` (RFC 8866 section 5.2).

use std::fmt;
use std::net::IpAddr;

use super::{Source, Text, address_type};

/// `o=<username> <sess-id> <sess-version> IN <addrtype> <unicast-address>`
///
/// Identifier and version are text: devices send more digits than any integer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// User name; `-` for none. May hold spaces, though it should not.
    pub username: Text,
    /// Session identifier.
    pub session_id: Text,
    /// Session version.
    pub version: Text,
    /// `IP4` or `IP6`.
    pub address_type: Text,
    /// Address or host name of the originator.
    pub address: Text,
}

impl Origin {
    /// The same session as told by another host.
    pub fn with_address(&self, address: IpAddr) -> Origin {
        Origin {
            address_type: Text::from_static(address_type(address)),
            address: Text::from(address.to_string()),
            ..self.clone()
        }
    }

    /// With a version that is a number: the digits that it begins with.
    pub fn numbered(&self) -> Origin {
        let rest = self
            .version
            .trim_start_matches(|letter: char| letter.is_ascii_digit());
        let version = match self.version.strip_suffix(rest) {
            Some("") | None => Text::from_static("0"),
            Some(digits) if digits.len() < self.version.len() => Text::from(digits.to_owned()),
            Some(_) => self.version.clone(),
        };
        Origin {
            version,
            ..self.clone()
        }
    }

    /// Parses what follows `o=`. `None` if a field is missing. Words too many belong to the user name, unless they follow the
    /// address: then they are none of the line.
    pub(super) fn parse(value: &str, source: &Source) -> Option<Origin> {
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        if let [username, session_id, version, "IN", address_type, address, _, ..] = *words
            && ["IP4", "IP6"].contains(&address_type)
        {
            return Some(Origin {
                username: source.text(username),
                session_id: source.text(session_id),
                version: source.text(version),
                address_type: source.text(address_type),
                address: source.text(address),
            });
        }
        let mut rest = value.trim_ascii();
        let mut last = || {
            let (head, field) = rest.rsplit_once(|space: char| space.is_ascii_whitespace())?;
            rest = head.trim_ascii_end();
            Some(field)
        };
        let address = last()?;
        let address_type = last()?;
        let _network_type = last()?;
        let version = last()?;
        let session_id = last()?;
        let username = rest;
        if username.is_empty() {
            return None;
        }
        Some(Origin {
            username: source.text(username),
            session_id: source.text(session_id),
            version: source.text(version),
            address_type: source.text(address_type),
            address: source.text(address),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin {
            username,
            session_id,
            version,
            address_type,
            address,
        } = self;
        write!(f, "{username} {session_id} {version} IN {address_type} {address}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_after_the_address_are_none_of_the_line() {
        for (line, expected) in [
            ("a 1 2 IN IP4 198.51.100.1 and more", "a 1 2 IN IP4 198.51.100.1"),
            (
                "two words 1 2 IN IP4 198.51.100.1",
                "two words 1 2 IN IP4 198.51.100.1",
            ),
        ] {
            let origin = Origin::parse(line, &Source::default()).unwrap();
            assert_eq!(origin.to_string(), expected);
        }
    }

    #[test]
    fn a_version_is_the_number_that_it_begins_with() {
        for (version, expected) in [("2", "2"), ("2x", "2"), ("x", "0"), ("-", "0"), ("007", "007")] {
            let origin = Origin::parse(&format!("a 1 {version} IN IP4 x"), &Source::default()).unwrap();
            assert_eq!(&*origin.numbered().version, expected, "{version}");
        }
    }

    fn parse(value: &str) -> Option<Origin> {
        Origin::parse(value, &Source::default())
    }

    #[test]
    fn long_numbers_survive() {
        let line = "- 123456789012345678901234567 1 IN IP4 198.51.100.1";
        assert_eq!(parse(line).unwrap().to_string(), line);
    }

    #[test]
    fn a_user_name_may_hold_spaces() {
        let origin = parse("Example Phone 1 2 IN IP6 ::1").unwrap();
        assert_eq!(origin.username, "Example Phone");
        assert_eq!(origin.version, "2");
    }

    /// Whatever white space parts the words, the line that comes of it is read as it was meant.
    #[test]
    fn what_is_written_is_read_again() {
        for line in [
            "- 1 1 IN IP4 198.51.100.1\r?",
            "- 1 1 x IP4 198.51.100.1\r?",
            "- 1 1 IN IP4 198.51.100.1\r and more",
            "\r- 1 1 IN IP4 198.51.100.1 and more",
            "a\tb c IN\r IP4 IN IP4 198.51.100.1",
        ] {
            let written = parse(line).unwrap().to_string();
            assert_eq!(parse(&written).unwrap().to_string(), written, "{line:?}");
        }
        let line = "- 1 1 IN IP4 198.51.100.1\r and more";
        assert_eq!(parse(line).unwrap().to_string(), "- 1 1 IN IP4 198.51.100.1");
    }

    #[test]
    fn a_missing_field_is_an_error() {
        assert_eq!(parse("- 1 1 IN IP4"), None);
        assert_eq!(parse(" 1 1 IN IP4 198.51.100.1"), None);
    }

    #[test]
    fn spaces_may_be_doubled() {
        let origin = parse("-  1 1 IN IP4   198.51.100.1 ").unwrap();
        assert_eq!(origin.to_string(), "- 1 1 IN IP4 198.51.100.1");
    }

    #[test]
    fn another_address_brings_its_type() {
        let origin = parse("- 1 1 IN IP4 198.51.100.1").unwrap();
        let moved = origin.with_address("2001:db8::1".parse().unwrap());
        assert_eq!(moved.to_string(), "- 1 1 IN IP6 2001:db8::1");
    }

    proptest! {
        #[test]
        fn any_words_are_read_again(
            words in prop::collection::vec(
                prop::sample::select(&["a", "1", "IN", "IP4", " ", " ", " ", "\r", "\t", "\u{b}", "\u{a0}"][..]),
                0..24,
            ),
        ) {
            if let Some(origin) = parse(&words.concat()) {
                let written = origin.to_string();
                prop_assert_eq!(parse(&written).map(|again| again.to_string()), Some(written));
            }
        }
    }
}
