//! Attributes added, removed and substituted by hand (`sdp-attr`), in an SDP that is written already.

use super::attribute;

/// Changes to attributes, section by section. Attributes are given without `a=`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeEdits(pub Vec<(Place, AttributeEdit)>);

/// Where attributes are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Above the media sections.
    Session,
    /// In all media sections of a kind, such as `audio`.
    Media(&'static str),
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeEdit {
    /// A line at the end.
    Add(String),
    /// Lines that match are left out.
    Remove(String),
    /// Lines that match are replaced.
    Substitute(String, String),
}

/// Kinds of media that can be named.
const KINDS: [&str; 7] = ["audio", "video", "image", "message", "application", "text", OTHER];

/// What media of none of these kinds is called.
const OTHER: &str = "other";

impl Place {
    /// The place of a name: `none` or `global` for the session, else a kind of media.
    pub fn named(name: &str) -> Option<Place> {
        if matches!(name, "none" | "global") {
            return Some(Place::Session);
        }
        // Media of no kind of its own cannot be named: the reference refuses it.
        Place::kind(name).filter(|kind| *kind != OTHER).map(Place::Media)
    }

    /// The kind of media of a name.
    pub fn kind(name: &str) -> Option<&'static str> {
        KINDS.into_iter().find(|kind| *kind == name)
    }

    /// Where the lines below an `m=` line are.
    fn of(media: &str) -> Place {
        let kind = media.split(' ').next().unwrap_or_default();
        Place::Media(Place::kind(kind).unwrap_or(OTHER))
    }
}

impl AttributeEdits {
    /// The SDP with the changes made.
    pub fn apply(&self, sdp: String) -> String {
        if self.0.is_empty() {
            return sdp;
        }
        let mut edited = String::with_capacity(sdp.len());
        let mut place = Place::Session;
        for line in sdp.split_inclusive("\r\n") {
            if let Some(media) = line.strip_prefix("m=") {
                self.end(place, &mut edited);
                place = Place::of(media);
            }
            match line.trim_end().strip_prefix("a=") {
                Some(attribute) => self.attribute(place, attribute, &mut edited),
                None => edited.push_str(line),
            }
        }
        self.end(place, &mut edited);
        edited
    }

    fn edits(&self, place: Place) -> impl Iterator<Item = &AttributeEdit> {
        let here = self.0.iter().filter(move |(where_, _)| *where_ == place);
        here.map(|(_, edit)| edit)
    }

    /// Copies an attribute unless it is removed or replaced. What is to be removed is not replaced.
    fn attribute(&self, place: Place, line: &str, edited: &mut String) {
        let removes =
            |edit: &AttributeEdit| matches!(edit, AttributeEdit::Remove(name) if matches(name, line));
        if self.edits(place).any(removes) {
            return;
        }
        let replacement = self.edits(place).find_map(|edit| match edit {
            AttributeEdit::Substitute(pattern, new) if matches(pattern, line) => Some(new.as_str()),
            AttributeEdit::Remove(_) | AttributeEdit::Substitute(..) | AttributeEdit::Add(_) => None,
        });
        push(replacement.unwrap_or(line), edited);
    }

    /// Adds what is to stand at the end.
    fn end(&self, place: Place, edited: &mut String) {
        for edit in self.edits(place) {
            if let AttributeEdit::Add(line) = edit {
                push(line, edited);
            }
        }
    }
}

fn push(line: &str, edited: &mut String) {
    edited.push_str("a=");
    edited.push_str(line);
    edited.push_str("\r\n");
}

/// Attributes of ours whose values begin with what tells one from the other.
const TAGGED: [&str; 8] = [
    "rtpmap",
    "fmtp",
    "rtcp-fb",
    "extmap",
    "crypto",
    "fingerprint",
    "candidate",
    "group",
];

/// Whether a pattern is the name of an attribute, all of it, or, for those that the relay writes itself, its name and the
/// first word of its value.
fn matches(pattern: &str, line: &str) -> bool {
    let (name, _) = attribute::split(line);
    let first_word = line.split(' ').next().unwrap_or_default();
    pattern == line || pattern.eq_ignore_ascii_case(name) || (pattern == first_word && TAGGED.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\na=tool:x\r\nm=audio 1 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n\
                       m=video 2 RTP/AVP 96\r\na=ptime:20\r\n";

    fn edit(edits: &[(&str, AttributeEdit)]) -> String {
        let edits = edits
            .iter()
            .map(|(place, edit)| (Place::named(place).unwrap(), edit.clone()));
        AttributeEdits(edits.collect()).apply(SDP.to_owned())
    }

    #[test]
    fn what_is_removed_is_not_replaced() {
        let edits = [
            (
                "audio",
                AttributeEdit::Substitute("ptime".to_owned(), "ptime:30".to_owned()),
            ),
            ("audio", AttributeEdit::Remove("ptime:20".to_owned())),
        ];
        assert!(!edit(&edits).contains("PCMA/8000\r\na=ptime"));
    }

    #[test]
    fn nothing_to_do() {
        assert_eq!(edit(&[]), SDP);
    }

    #[test]
    fn lines_are_added_at_the_end_of_their_section() {
        let edited = edit(&[
            ("none", AttributeEdit::Add("s".to_owned())),
            ("audio", AttributeEdit::Add("a".to_owned())),
            ("video", AttributeEdit::Add("v".to_owned())),
        ]);
        let sections: Vec<&str> = edited.split("m=").collect();
        assert!(sections[0].ends_with("a=tool:x\r\na=s\r\n"));
        assert!(sections[1].ends_with("a=ptime:20\r\na=a\r\n"));
        assert!(sections[2].ends_with("a=ptime:20\r\na=v\r\n"));
    }

    #[test]
    fn lines_are_removed_and_replaced_where_they_match() {
        let edited = edit(&[
            (
                "global",
                AttributeEdit::Substitute("tool".to_owned(), "tool:y".to_owned()),
            ),
            ("audio", AttributeEdit::Remove("ptime".to_owned())),
            ("audio", AttributeEdit::Remove("rtpmap".to_owned())),
        ]);
        assert_eq!(
            edited,
            SDP.replace("tool:x", "tool:y")
                .replacen("a=ptime:20\r\n", "", 1)
                .replacen("a=rtpmap:8 PCMA/8000\r\n", "", 1)
        );
    }

    #[test]
    fn what_matches() {
        for (pattern, matching) in [
            ("rtpmap:8", true),
            ("rtpmap:8 PCMA/8000", true),
            ("rtpmap", true),
            ("RTPMAP", true),
            ("rtpmap:80", false),
        ] {
            assert_eq!(matches(pattern, "rtpmap:8 PCMA/8000"), matching, "{pattern}");
        }
        assert!(!matches("ssrc:5", "ssrc:5 cname:x"), "not ours");
        assert!(matches("ptime", "ptime:20"));
        assert!(matches("sendrecv", "sendrecv"));
    }

    #[test]
    fn places_have_names() {
        assert_eq!(Place::named("video"), Some(Place::Media("video")));
        assert_eq!(Place::named("bogus"), None);
        assert_eq!(Place::named("other"), None);
        assert_eq!(Place::of("telepathy 1 RTP/AVP 0"), Place::Media("other"));
    }
}
