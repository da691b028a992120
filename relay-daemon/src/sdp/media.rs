//! `m=` (RFC 8866 section 5.14) and what stands below it.

use std::fmt;
use std::net::IpAddr;

use smallvec::SmallVec;

use super::{
    Attribute, Bandwidth, Codec, Crypto, Direction, Dtls, ExtMap, Ice, Protocol, Rtcp, Source, Text,
};

/// A media section, with what the session says for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSection {
    /// What kind of media it is.
    pub kind: MediaKind,
    /// The port; 0 if the section is rejected.
    pub port: u16,
    /// Number of ports (`PORT/N`); 1 if none is said.
    pub port_count: u16,
    /// The transport.
    pub protocol: Protocol,
    /// The list of formats as it came, without the spaces around it.
    pub formats: Text,
    /// The formats of an RTP section, in the order of the list. Empty for any other section.
    pub codecs: Vec<Codec>,
    /// `i=`
    pub information: Option<Text>,
    /// The address of `c=`, here or in the session. `None` only if the port is 0.
    pub address: Option<IpAddr>,
    /// `b=`
    pub bandwidth: Bandwidth,
    /// Direction of the media as the sender sees it, taken from the section and from the session.
    pub direction: Direction,
    /// The direction that the section itself states.
    pub stated_direction: Option<Direction>,
    /// `a=rtcp`
    pub rtcp: Option<Rtcp>,
    /// `a=rtcp-mux`
    pub rtcp_mux: bool,
    /// `a=mid`
    pub mid: Option<Text>,
    /// `a=label`
    pub label: Option<Text>,
    /// `a=bundle-only`
    pub bundle_only: bool,
    /// `a=ptime`, ms.
    pub ptime: Option<u32>,
    /// `a=maxptime`, ms.
    pub maxptime: Option<u32>,
    /// `a=rtcp-fb` for all formats of an RTP section, as far as it follows the name.
    pub feedback: SmallVec<[Text; 1]>,
    /// `a=crypto` lines that can be read. Those of the session do not count.
    pub crypto: Vec<Crypto>,
    /// `a=setup`, `a=fingerprint`, `a=tls-id`, here or in the session.
    pub dtls: Dtls,
    /// `a=ice-ufrag` and its like, here or in the session; candidates.
    pub ice: Ice,
    /// `a=extmap` with a valid identifier, here or else in the session.
    pub extmaps: Vec<ExtMap>,
    /// `a=extmap-allow-mixed`, here or in the session.
    pub extmap_allow_mixed: bool,
    /// All attributes of the section, in the order of input.
    pub attributes: Vec<Attribute>,
}

impl MediaSection {
    /// A section of which nothing is known but its kind and its direction. It is not rejected.
    pub fn of(kind: &MediaKind, direction: Direction) -> MediaSection {
        MediaSection {
            kind: kind.clone(),
            port: DISCARD,
            port_count: 1,
            protocol: Protocol::RtpAvp,
            formats: Text::from_static(""),
            codecs: Vec::new(),
            information: None,
            address: None,
            bandwidth: Bandwidth::default(),
            direction,
            stated_direction: None,
            rtcp: None,
            rtcp_mux: false,
            mid: None,
            label: None,
            bundle_only: false,
            ptime: None,
            maxptime: None,
            feedback: SmallVec::new(),
            crypto: Vec::new(),
            dtls: Dtls::default(),
            ice: Ice::default(),
            extmaps: Vec::new(),
            extmap_allow_mixed: false,
            attributes: Vec::new(),
        }
    }

    /// Whether the sender rejects or removes the section.
    pub fn is_rejected(&self) -> bool {
        self.port == 0
    }

    /// Whether the sender wants no media to come to the address that it gives (`c=IN IP4 0.0.0.0`).
    pub fn has_zero_address(&self) -> bool {
        self.address.is_some_and(|address| address.is_unspecified())
    }

    /// Attributes that are not the relay's: those that are copied where it takes part in the media.
    pub fn other_attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(|attribute| !attribute.is_owned())
    }
}

/// The port where nobody listens (RFC 863): of sections whose addresses are not known yet.
const DISCARD: u16 = 9;

/// The kind of a media section. Compared as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `text`
    Text,
    /// `application`
    Application,
    /// `image`
    Image,
    /// `message`
    Message,
    /// Any other, as it was written.
    Other(Text),
}

impl MediaKind {
    /// The kind as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
            MediaKind::Text => "text",
            MediaKind::Application => "application",
            MediaKind::Image => "image",
            MediaKind::Message => "message",
            MediaKind::Other(kind) => kind,
        }
    }

    fn parse(kind: &str, source: &Source) -> MediaKind {
        match kind {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            "text" => MediaKind::Text,
            "application" => MediaKind::Application,
            "image" => MediaKind::Image,
            "message" => MediaKind::Message,
            other => MediaKind::Other(source.text(other)),
        }
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `m=<kind> <port>[/<count>] <protocol> <formats>`
pub(super) struct MediaLine<'a> {
    pub(super) kind: MediaKind,
    pub(super) port: u16,
    pub(super) port_count: u16,
    pub(super) protocol: Protocol,
    /// The formats, separated by spaces; may be empty.
    pub(super) formats: &'a str,
}

impl<'a> MediaLine<'a> {
    /// Parses what follows `m=`. `None` if a field other than the formats is missing or if the port is none.
    pub(super) fn parse(value: &'a str, source: &Source) -> Option<MediaLine<'a>> {
        let mut rest = value.trim();
        let mut field = || {
            let (field, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = tail.trim_start();
            (!field.is_empty()).then_some(field)
        };
        let kind = field()?;
        let ports = field()?;
        let protocol = field()?;
        let (port, port_count) = ports.split_once('/').unwrap_or((ports, "1"));
        Some(MediaLine {
            kind: MediaKind::parse(kind, source),
            port: port.parse().ok()?,
            port_count: leading_number(port_count).filter(|count| (1..=MAX_PORTS).contains(count))?,
            protocol: Protocol::parse(protocol, source),
            formats: rest,
        })
    }
}

/// Highest number of ports in one section.
const MAX_PORTS: u16 = 10;

/// The number that a text starts with.
fn leading_number(text: &str) -> Option<u16> {
    let digits = text.find(|character: char| !character.is_ascii_digit());
    text[..digits.unwrap_or(text.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<MediaLine<'_>> {
        MediaLine::parse(value, &Source::default())
    }

    #[test]
    fn the_fields_of_a_line() {
        let line = parse("audio 4000/2 rtp/avp  0 8 ").unwrap();
        assert_eq!(line.kind, MediaKind::Audio);
        assert_eq!((line.port, line.port_count), (4000, 2));
        assert_eq!(line.protocol, Protocol::RtpAvp);
        assert_eq!(line.formats, "0 8");
    }

    #[test]
    fn formats_may_be_missing() {
        assert_eq!(parse("audio 4000 RTP/AVP").unwrap().formats, "");
    }

    #[test]
    fn broken_lines() {
        for value in [
            "",
            "audio",
            "audio 4000",
            "audio RTP/AVP 0",
            "audio 70000 RTP/AVP 0",
            "audio 1/0 RTP/AVP 0",
            "audio 1/11 RTP/AVP 0",
            "audio 1/ RTP/AVP 0",
        ] {
            assert!(parse(value).is_none(), "{value}");
        }
    }

    #[test]
    fn unknown_kinds_are_kept() {
        assert_eq!(parse("x-thing 1 RTP/AVP 0").unwrap().kind.to_string(), "x-thing");
    }
}
