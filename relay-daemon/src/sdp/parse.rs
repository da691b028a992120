//! The parser.

use std::net::IpAddr;

use smallvec::{SmallVec, smallvec};

use super::connection::parse_address;
use super::media::MediaLine;
use super::{
    Attribute, Bandwidth, Candidate, Codec, Crypto, Description, Direction, Dtls, ExtMap, Fingerprint, Ice,
    MediaSection, Origin, Problem, Rtcp, RtpMap, SdpError, Setup, Source, Text, attribute, codec,
};

/// Largest SDP, bytes.
pub const MAX_BYTES: usize = 256 * 1024;
/// Highest number of lines.
pub const MAX_LINES: usize = 8192;
/// Highest number of media sections.
pub const MAX_MEDIA: usize = 1000;
/// Highest number of formats in one media section.
pub const MAX_FORMATS: usize = 256;

/// What a blank line means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlankLine {
    /// The SDP ends there.
    #[default]
    Ends,
    /// The SDP is refused, unless nothing follows.
    Refused,
}

pub(super) fn parse(sdp: &str, blank_line: BlankLine) -> Result<Description, SdpError> {
    if sdp.len() > MAX_BYTES {
        return Err(SdpError {
            line: 1,
            problem: Problem::TooLarge,
        });
    }
    let source = Source::new(sdp);
    let mut parser = Parser::new(&source);
    let mut lines = source
        .as_str()
        .lines()
        .map(|line| line.trim_end_matches('\r'))
        .enumerate()
        .peekable();
    let is_whole = sdp.ends_with(['\n', '\r']);
    while let Some((index, line)) = lines.next() {
        if line.len() == 1 && !is_whole && lines.peek().is_none() {
            // What was cut off so early says nothing.
            break;
        }
        let at = |problem| SdpError {
            line: index + 1,
            problem,
        };
        if is_blank(line) {
            let refused = blank_line == BlankLine::Refused && lines.any(|(_, line)| !is_blank(line));
            if refused {
                return Err(at(Problem::BlankLine));
            }
            break;
        }
        parser.line(index + 1, line).map_err(at)?;
    }
    parser.finish()
}

fn is_blank(line: &str) -> bool {
    line.is_empty()
}

struct Parser<'a> {
    source: &'a Source,
    description: Description,
    /// What the session says for all media sections.
    defaults: Defaults,
    /// Whether the first line was seen.
    started: bool,
    /// Whether a section has begun since the newest `v=`.
    in_media: bool,
    /// Whether the newest `v=` was followed by an `o=`.
    has_origin: bool,
    /// Line of the newest `m=`.
    media_line: usize,
    /// The first thing that is missing: reported only if all else is well.
    incomplete: Option<SdpError>,
}

#[derive(Default)]
struct Defaults {
    address: Option<IpAddr>,
    direction: Direction,
    dtls: Dtls,
    ice: Ice,
    extmaps: Vec<ExtMap>,
    extmap_allow_mixed: bool,
}

impl<'a> Parser<'a> {
    fn new(source: &'a Source) -> Parser<'a> {
        Parser {
            source,
            description: Description::default(),
            defaults: Defaults::default(),
            started: false,
            in_media: false,
            has_origin: false,
            media_line: 0,
            incomplete: None,
        }
    }

    fn line(&mut self, number: usize, line: &str) -> Result<(), Problem> {
        if number > MAX_LINES {
            return Err(Problem::TooManyLines);
        }
        let (kind, value) = line
            .split_once('=')
            .filter(|(kind, _)| kind.len() == 1)
            .ok_or(Problem::NotALine)?;
        if !self.started {
            self.started = true;
            return if (kind, value) == ("v", "0") {
                Ok(())
            } else {
                Err(Problem::NotVersion0)
            };
        }
        match kind {
            "v" if value == "0" => self.start_session(),
            "v" => return Err(Problem::NotVersion0),
            "m" => self.start_media(number, value)?,
            _ if !self.in_media => self.session_line(kind, value)?,
            _ => self.media_line(kind, value)?,
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Description, SdpError> {
        self.end_media();
        match self.incomplete {
            Some(error) => Err(error),
            None => Ok(self.description),
        }
    }

    /// Another session begins: of what was said before of the session, only the origin, attributes and groups count on.
    fn start_session(&mut self) {
        self.end_media();
        self.in_media = false;
        self.has_origin = false;
        self.defaults = Defaults::default();
        let before = std::mem::take(&mut self.description);
        self.description = Description {
            origin: before.origin,
            attributes: before.attributes,
            groups: before.groups,
            loop_id: before.loop_id,
            media: before.media,
            ..Description::default()
        };
    }

    fn session_line(&mut self, kind: &str, value: &str) -> Result<(), Problem> {
        let source = self.source;
        let description = &mut self.description;
        match kind {
            "o" => {
                let origin = Origin::parse(value, source).ok_or(Problem::Origin)?;
                if std::mem::replace(&mut self.has_origin, true) {
                    return Err(Problem::Origin);
                }
                // Of several sessions it is that of the first.
                description.origin.get_or_insert(origin);
            }
            "i" | "u" | "e" | "p" if value.trim_end().is_empty() => {}
            // A space is a name: see RFC 8866 section 5.3.
            "s" => description.session_name = Some(source.text(value)),
            "i" => description.information = Some(source.text(value)),
            "u" => description.uri = Some(source.text(value.trim_end())),
            "e" => description.emails = smallvec![source.text(value)],
            "p" => description.phones = smallvec![source.text(value)],
            "c" => {
                let address = parse_address(value).ok_or(Problem::Connection)?;
                if self.defaults.address.replace(address).is_some() {
                    return Err(Problem::Connection);
                }
            }
            "b" => description.bandwidth.add(value),
            "t" if value.trim_end().is_empty() => description.timing.clear(),
            "t" => description.timing = smallvec![source.text(value.trim_end())],
            "a" => self.session_attribute(value),
            // Repeat times, time zones and keys do not pass.
            "r" | "z" | "k" => {}
            _ => return Err(Problem::UnknownLine),
        }
        Ok(())
    }

    fn session_attribute(&mut self, line: &str) {
        let source = self.source;
        let (name, value) = attribute::split(line.trim_end());
        let value = value.unwrap_or_default();
        let mut owned = true;
        match name {
            "group" => self.description.groups.push(source.text(value)),
            "ice-lite" => self.description.ice_lite = true,
            "rtpengine" => set(&mut self.description.loop_id, value, source),
            "extmap" => self.defaults.extmaps.extend(ExtMap::parse(value, source)),
            "extmap-allow-mixed" => self.defaults.extmap_allow_mixed = true,
            // Packet times are a matter of each section (RFC 8866 section 6.4).
            "ptime" | "maxptime" => {}
            "candidate" | "crypto" | "ice-mismatch" | "rtcp" | "rtcp-fb" | "rtcp-mux" => {}
            "mid" | "label" | "rtpmap" | "fmtp" => {}
            _ if is_of_fax(name) => {}
            _ => {
                owned = direction(name, &mut self.defaults.direction).is_some()
                    || dtls(name, value, &mut self.defaults.dtls, source)
                    || ice(name, value, &mut self.defaults.ice, source);
            }
        }
        self.description
            .attributes
            .push(Attribute::new(line, owned, source));
    }

    fn start_media(&mut self, number: usize, value: &str) -> Result<(), Problem> {
        self.end_media();
        self.in_media = true;
        if self.description.media.len() == MAX_MEDIA {
            return Err(Problem::TooManyMedia);
        }
        self.media_line = number;
        let line = MediaLine::parse(value, self.source).ok_or(Problem::Media)?;
        if line.formats.split_ascii_whitespace().count() > MAX_FORMATS {
            return Err(Problem::TooManyFormats);
        }
        let codecs = if line.protocol.is_rtp() {
            self.codecs(&line)
        } else {
            Vec::new()
        };
        self.description.media.push(MediaSection {
            kind: line.kind,
            port: line.port,
            port_count: line.port_count,
            protocol: line.protocol,
            formats: self.source.text(line.formats),
            codecs,
            information: None,
            address: None,
            bandwidth: Bandwidth::default(),
            direction: self.defaults.direction,
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
            extmap_allow_mixed: self.defaults.extmap_allow_mixed,
            attributes: Vec::new(),
        });
        Ok(())
    }

    fn codecs(&mut self, line: &MediaLine<'_>) -> Vec<Codec> {
        let mut codecs = Vec::with_capacity(8);
        for format in line.formats.split_ascii_whitespace() {
            match format.parse() {
                Ok(number) if number < 128 => codecs.push(Codec::bare(number)),
                _ if line.port == 0 => {}
                _ => self.incomplete(Problem::PayloadType(format.to_owned())),
            }
        }
        codecs
    }

    /// Fills in what the section leaves to the session and to its payload types.
    fn end_media(&mut self) {
        let Some(section) = self.description.media.last_mut().filter(|_| self.in_media) else {
            return;
        };
        complete_codecs(&mut section.codecs);
        section.address = section.address.or(self.defaults.address);
        section.dtls.default_to(&self.defaults.dtls);
        section.ice.default_to(&self.defaults.ice);
        if section.extmaps.is_empty() {
            section.extmaps.clone_from(&self.defaults.extmaps);
        }
        if section.address.is_none() {
            self.incomplete(Problem::NoConnection);
        }
    }

    fn incomplete(&mut self, problem: Problem) {
        self.incomplete.get_or_insert(SdpError {
            line: self.media_line,
            problem,
        });
    }

    fn media_line(&mut self, kind: &str, value: &str) -> Result<(), Problem> {
        let source = self.source;
        let Some(section) = self.description.media.last_mut() else {
            return Ok(());
        };
        match kind {
            "i" if value.trim_end().is_empty() => {}
            "i" => section.information = Some(source.text(value)),
            "c" => {
                let address = parse_address(value).ok_or(Problem::Connection)?;
                if section.address.replace(address).is_some() {
                    return Err(Problem::Connection);
                }
            }
            "b" => section.bandwidth.add(value),
            "a" => media_attribute(section, value, source),
            "r" | "z" | "k" => {}
            _ => return Err(Problem::UnknownLine),
        }
        Ok(())
    }
}

/// A packet time: whole milliseconds, whatever follows them. None for zero.
fn milliseconds(value: &str) -> Option<u32> {
    let value = value.trim();
    let digits = value.find(|character: char| !character.is_ascii_digit());
    let time = value[..digits.unwrap_or(value.len())].parse().ok()?;
    (time > 0).then_some(time)
}

/// Whether a section has had an attribute of that name before.
fn is_stated(section: &MediaSection, name: &str) -> bool {
    section
        .attributes
        .iter()
        .any(|attribute| attribute.name() == name)
}

fn media_attribute(section: &mut MediaSection, line: &str, source: &Source) {
    let (name, value) = attribute::split(line.trim_end());
    let value = value.unwrap_or_default();
    let mut owned = true;
    match name {
        "rtcp-fb" if !section.codecs.is_empty() && value.starts_with('*') => {
            section.feedback.push(source.text(value));
        }
        // Without a value they mean nothing to anybody.
        "rtpmap" | "fmtp" | "rtcp" | "extmap" | "fingerprint" | "crypto" if value.is_empty() => return,
        "rtpmap" | "fmtp" | "rtcp-fb" if !section.codecs.is_empty() => {
            payload_type_attribute(section, name, value, source);
        }
        "rtcp" => match Rtcp::parse(value) {
            Some(rtcp) => section.rtcp = section.rtcp.or(Some(rtcp)),
            None => return,
        },
        "rtcp-mux" => section.rtcp_mux = true,
        "mid" => set(&mut section.mid, value, source),
        "label" => set(&mut section.label, value, source),
        "bundle-only" => {
            section.bundle_only = true;
            // Of a section that is rejected, or has no port but that of its group, nothing passes.
            owned = section.port == 0;
        }
        "group" => {}
        _ if is_of_fax(name) => {}
        // The first of several counts, also if it states none.
        "ptime" if !is_stated(section, name) => section.ptime = milliseconds(value),
        "maxptime" if !is_stated(section, name) => section.maxptime = milliseconds(value),
        "ptime" | "maxptime" => {}
        "crypto" => section.crypto.extend(Crypto::parse(value, source)),
        "extmap" => match ExtMap::parse(value, source) {
            Some(extmap) => section.extmaps.push(extmap),
            None => return,
        },
        "candidate" => match Candidate::parse(value, source) {
            Some(candidate) => section.ice.candidates.push(candidate),
            // Not even copied: it would be the receiver's to make sense of.
            None => return,
        },
        "extmap-allow-mixed" => section.extmap_allow_mixed = true,
        "ice-lite" | "ice-mismatch" | "rtpengine" => {}
        _ => {
            if let Some(stated) = direction(name, &mut section.direction) {
                section.stated_direction = Some(section.stated_direction.unwrap_or(stated).merged(stated));
            } else {
                owned = dtls(name, value, &mut section.dtls, source)
                    || ice(name, value, &mut section.ice, source);
            }
        }
    }
    section.attributes.push(Attribute::new(line, owned, source));
}

/// Gives static payload types their meaning, and those that are listed again that of the first.
fn complete_codecs(codecs: &mut [Codec]) {
    for index in 0..codecs.len() {
        let (before, rest) = codecs.split_at_mut(index);
        let codec = &mut rest[0];
        if codec.rtpmap.is_none() {
            let same = before
                .iter()
                .find(|other| other.payload_type == codec.payload_type);
            codec.rtpmap = match same {
                Some(same) => same.rtpmap.clone(),
                None => codec::static_payload_type(codec.payload_type),
            };
        }
    }
}

/// An attribute whose value starts with a payload type. Where that is listed twice, it goes to the first.
fn payload_type_attribute(section: &mut MediaSection, name: &str, value: &str, source: &Source) {
    let (number, value) = value.split_once(' ').unwrap_or((value, ""));
    let Ok(number) = number.parse::<u8>() else {
        return;
    };
    let value = value.trim();
    let Some(codec) = section
        .codecs
        .iter_mut()
        .find(|codec| codec.payload_type == number)
    else {
        return;
    };
    match name {
        _ if value.is_empty() => {}
        // The last of several counts.
        "rtpmap" => codec.rtpmap = RtpMap::parse(value, source).or(codec.rtpmap.take()),
        "fmtp" => codec.fmtp = Some(source.text(value)),
        "rtcp-fb" => codec.feedback.push(source.text(value)),
        _ => {}
    }
}

/// Attributes of T.38 (ITU-T T.38 annex D, RFC 7345). They mean nothing outside of sections for it.
fn is_of_fax(name: &str) -> bool {
    matches!(
        name,
        "T38FaxVersion"
            | "T38MaxBitRate"
            | "T38FaxRateManagement"
            | "T38FaxMaxBuffer"
            | "T38FaxMaxDatagram"
            | "T38FaxUdpEC"
            | "T38FaxUdpECDepth"
            | "T38FaxUdpFECMaxSpan"
            | "T38FaxFillBitRemoval"
            | "T38FaxTranscodingMMR"
            | "T38FaxTranscodingJBIG"
    )
}

/// Takes in a direction attribute and returns it, if it is one.
fn direction(name: &str, current: &mut Direction) -> Option<Direction> {
    let stated = Direction::named(name)?;
    *current = current.merged(stated);
    Some(stated)
}

/// Takes in an attribute of DTLS. False if it is none.
fn dtls(name: &str, value: &str, dtls: &mut Dtls, source: &Source) -> bool {
    match name {
        "setup" => dtls.setup = dtls.setup.or(Setup::parse(value)),
        "fingerprint" => dtls.fingerprints.extend(Fingerprint::parse(value, source)),
        "tls-id" => set(&mut dtls.tls_id, value, source),
        _ => return false,
    }
    true
}

/// Takes in an attribute of ICE other than a candidate. False if it is none.
fn ice(name: &str, value: &str, ice: &mut Ice, source: &Source) -> bool {
    match name {
        "ice-ufrag" => set(&mut ice.ufrag, value, source),
        "ice-pwd" => set(&mut ice.pwd, value, source),
        "ice-options" => set(&mut ice.options, value, source),
        "remote-candidates" => set(&mut ice.remote_candidates, value, source),
        "end-of-candidates" => ice.end_of_candidates = true,
        _ => return false,
    }
    true
}

/// The first of several lines counts, unless it has no value.
fn set(field: &mut Option<Text>, value: &str, source: &Source) {
    if field.is_none() && !value.is_empty() {
        *field = Some(source.text(value));
    }
}
