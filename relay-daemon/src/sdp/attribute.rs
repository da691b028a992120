//! `a=` lines as they came.

use std::fmt;

use super::{Source, Text};

/// An attribute: `a=<name>` or `a=<name>:<value>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    line: Text,
    /// Whether the relay writes such lines itself, where it takes part in the media.
    owned: bool,
}

impl Attribute {
    /// Whether an attribute may be called so (RFC 8866 section 9: a token).
    pub fn is_name(text: &str) -> bool {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte);
        !text.is_empty() && text.bytes().all(is_token)
    }

    /// The name.
    pub fn name(&self) -> &str {
        split(&self.line).0
    }

    /// What follows the colon, if there is one.
    pub fn value(&self) -> Option<&str> {
        split(&self.line).1
    }

    /// Whether the relay writes such lines itself, so that this one is not copied where it takes part in the
    /// media.
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    pub(super) fn new(line: &str, owned: bool, source: &Source) -> Attribute {
        // A colon that nothing follows says no more than none, unless a line would end otherwise without it.
        let line = match split(line) {
            (name, Some("")) if !name.is_empty() && !name.ends_with('\r') => name,
            _ => line,
        };
        Attribute {
            line: source.text(line),
            owned,
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Name and value of what follows `a=`.
pub(super) fn split(line: &str) -> (&str, Option<&str>) {
    match line.split_once(':') {
        Some((name, value)) => (name, Some(value)),
        None => (line, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values() {
        let attribute = |line| Attribute::new(line, false, &Source::default());
        assert_eq!(attribute("sendrecv").name(), "sendrecv");
        assert_eq!(attribute("sendrecv").value(), None);
        assert_eq!(attribute("path:msrp://a:1/s").name(), "path");
        assert_eq!(attribute("path:msrp://a:1/s").value(), Some("msrp://a:1/s"));
        assert_eq!(attribute("empty:").value(), None);
        assert_eq!(attribute("empty:").to_string(), "empty");
        assert_eq!(attribute("return\r:").to_string(), "return\r:");
        assert_eq!(attribute("path:msrp://a:1/s").to_string(), "path:msrp://a:1/s");
    }
}
