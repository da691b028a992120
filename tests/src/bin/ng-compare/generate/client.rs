//! What a client says: a session description as a model, and what can become of it in a re-offer.

use crate::random::Random;

/// A party, and what it said last.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) tag: String,
    /// Its number among the clients of the conversation, from 0.
    pub(crate) number: usize,
    pub(crate) sdp: Option<Sdp>,
}

#[derive(Clone, Debug)]
pub(crate) struct Sdp {
    pub(crate) user: String,
    pub(crate) id: u64,
    pub(crate) version: u64,
    pub(crate) address: String,
    /// `s=`.
    pub(crate) name: String,
    /// Lines between `s=` and `t=`, without `c=`.
    pub(crate) head: Vec<String>,
    /// Whether `c=` is written once, or in each section.
    pub(crate) one_connection: bool,
    /// Attributes of the session.
    pub(crate) attributes: Vec<String>,
    pub(crate) media: Vec<Section>,
    /// What is at the end of each line.
    pub(crate) line_end: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) kind: String,
    pub(crate) port: u16,
    pub(crate) protocol: String,
    pub(crate) codecs: Vec<Codec>,
    /// Formats of what is no RTP.
    pub(crate) formats: String,
    /// A `c=` of its own.
    pub(crate) address: Option<String>,
    pub(crate) bandwidth: Vec<String>,
    /// Attributes but for those of codecs.
    pub(crate) attributes: Vec<String>,
    pub(crate) direction: Option<&'static str>,
    /// Whether codecs come after the other attributes.
    pub(crate) codecs_last: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Codec {
    pub(crate) pt: String,
    /// `PCMU/8000`; empty if there is no `a=rtpmap`.
    pub(crate) map: String,
    pub(crate) fmtp: String,
    pub(crate) feedback: Vec<String>,
}

pub(crate) const DIRECTIONS: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];

/// Names of the parties, which are their tags and users.
pub(crate) const NAMES: [&str; 6] = ["anna", "bert", "carl", "dora", "emil", "fred"];

impl Client {
    /// The user name of its `o=`: the first word of its tag.
    pub(crate) fn user(&self) -> String {
        let name = self.tag.split(' ').next().filter(|name| !name.is_empty());
        name.unwrap_or("-").to_owned()
    }

    /// The session id of its `o=`.
    pub(crate) fn session_id(&self) -> u64 {
        5501 + 1101 * (self.number as u64)
    }

    pub(crate) fn new(number: usize) -> Client {
        Client {
            tag: NAMES[number % NAMES.len()].to_owned(),
            number,
            sdp: None,
        }
    }

    pub(crate) fn host(&self, is_ipv6: bool) -> String {
        match is_ipv6 {
            true => format!("2001:db8:4321:10{}::{}", self.number, self.number + 10),
            false => format!("198.51.{}.{}", 97 + self.number, 10 * (self.number + 1)),
        }
    }

    /// Of the first section.
    pub(crate) fn port(&self) -> u16 {
        21_000 + 1000 * u16::try_from(self.number).unwrap_or_default()
    }
}

impl Sdp {
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![
            "v=0".to_owned(),
            format!(
                "o={} {} {} IN {}",
                self.user,
                self.id,
                self.version,
                typed(&self.address)
            ),
            format!("s={}", self.name),
        ];
        lines.extend(self.head.iter().filter(|line| !line.starts_with("b=")).cloned());
        if self.one_connection {
            lines.push(format!("c=IN {}", typed(&self.address)));
        }
        lines.extend(self.head.iter().filter(|line| line.starts_with("b=")).cloned());
        lines.push("t=0 0".to_owned());
        lines.extend(self.attributes.iter().map(|attribute| format!("a={attribute}")));
        for section in &self.media {
            section.write(&mut lines, (!self.one_connection).then_some(&self.address));
        }
        lines.push(String::new());
        lines.join(self.line_end)
    }
}

impl Section {
    fn write(&self, lines: &mut Vec<String>, session_address: Option<&String>) {
        let formats: Vec<&str> = self.codecs.iter().map(|codec| codec.pt.as_str()).collect();
        let formats = if formats.is_empty() {
            self.formats.clone()
        } else {
            formats.join(" ")
        };
        lines.push(format!(
            "m={} {} {} {formats}",
            self.kind, self.port, self.protocol
        ));
        if let Some(address) = self.address.as_ref().or(session_address) {
            lines.push(format!("c=IN {}", typed(address)));
        }
        lines.extend(self.bandwidth.iter().cloned());
        let attributes: Vec<String> = self
            .attributes
            .iter()
            .map(|attribute| format!("a={attribute}"))
            .collect();
        let mut codecs = Vec::new();
        for codec in &self.codecs {
            if !codec.map.is_empty() {
                codecs.push(format!("a=rtpmap:{} {}", codec.pt, codec.map));
            }
            if !codec.fmtp.is_empty() {
                codecs.push(format!("a=fmtp:{} {}", codec.pt, codec.fmtp));
            }
            codecs.extend(
                codec
                    .feedback
                    .iter()
                    .map(|feedback| format!("a=rtcp-fb:{} {feedback}", codec.pt)),
            );
        }
        let (first, second) = if self.codecs_last {
            (attributes, codecs)
        } else {
            (codecs, attributes)
        };
        lines.extend(first);
        lines.extend(second);
        lines.extend(self.direction.map(|direction| format!("a={direction}")));
    }

    pub(crate) fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|line| name_of(line) == attribute)
    }

    pub(crate) fn remove(&mut self, attribute: &str) {
        self.attributes.retain(|line| name_of(line) != attribute);
    }

    pub(crate) fn is_rtp(&self) -> bool {
        self.protocol.contains("RTP/")
    }

    /// As it is when it is rejected.
    pub(crate) fn reject(&mut self, random: &mut Random) {
        self.port = 0;
        if random.percent(60) {
            self.codecs.truncate(1 + random.below(2));
            self.attributes.retain(|line| name_of(line) == "mid");
            for codec in &mut self.codecs {
                codec.feedback.clear();
                if random.percent(50) {
                    codec.map.clear();
                    codec.fmtp.clear();
                }
            }
            self.direction = None;
        }
    }
}

pub(crate) fn name_of(attribute: &str) -> &str {
    attribute.split(':').next().unwrap_or_default()
}

/// With the family before it.
fn typed(address: &str) -> String {
    match address.contains(':') {
        true => format!("IP6 {address}"),
        false => format!("IP4 {address}"),
    }
}
