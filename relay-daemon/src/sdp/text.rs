//! Text that is cheap to keep: a view into the SDP that it came in, or a constant of ours.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A piece of text, dereferencing to `str`. Cloning copies no characters.
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Shared {
        source: Arc<str>,
        start: usize,
        end: usize,
    },
}

impl Text {
    /// A constant.
    pub const fn from_static(text: &'static str) -> Text {
        Text(Repr::Static(text))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(text) => text,
            Repr::Shared { source, start, end } => &source[*start..*end],
        }
    }
}

/// The SDP that is being parsed.
#[derive(Clone, Default)]
pub(super) struct Source(Arc<str>);

impl Source {
    pub(super) fn new(sdp: &str) -> Source {
        Source(Arc::from(sdp))
    }

    /// The whole of it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// A view of `part`, which is a piece of the source; a copy if it is not.
    pub(super) fn text(&self, part: &str) -> Text {
        match range_of(&self.0, part) {
            Some(Range { start, end }) => Text(Repr::Shared {
                source: Arc::clone(&self.0),
                start,
                end,
            }),
            None => Text::from(part),
        }
    }
}

/// Where `part` lies in `source`, if it is a piece of it.
fn range_of(source: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(source.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    source.get(start..end)?;
    Some(start..end)
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(Repr::Shared {
            source: Arc::from(text),
            start: 0,
            end: text.len(),
        })
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::from(text.as_str())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_shares_the_source_and_reads_as_its_part() {
        let source = Source::new("one two three");
        let two = source.text(&source.as_str()[4..7]);
        assert_eq!(two, "two");
        assert_eq!(Arc::strong_count(&source.0), 2);
        assert_eq!(two, Text::from_static("two"));
        assert_eq!(two.clone(), Text::from("two"));
    }

    #[test]
    fn a_foreign_part_is_copied() {
        let source = Source::new("one");
        assert_eq!(source.text("two"), "two");
        assert_eq!(Arc::strong_count(&source.0), 1);
    }
}
