//! Payload types and what is said about them: `a=rtpmap`, `a=fmtp` (RFC 8866 sections 6.6, 6.15) and
//! `a=rtcp-fb` (RFC 4585).

use std::fmt;

use smallvec::SmallVec;

use super::{Source, Text, fmtp};

/// A payload type of a media section with everything that is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// `a=rtpmap`, or what a static payload type means without one (RFC 3551). `None` for a dynamic one
    /// without `a=rtpmap`.
    pub rtpmap: Option<RtpMap>,
    /// Format parameters, as they came.
    pub fmtp: Option<Text>,
    /// Values of the `a=rtcp-fb` lines for this payload type. Those for all (`*`) are among the
    /// attributes of the media section.
    pub feedback: SmallVec<[Text; 1]>,
}

impl Codec {
    /// A payload type of which nothing more than the number is known.
    pub fn new(payload_type: u8) -> Codec {
        Codec {
            rtpmap: static_payload_type(payload_type),
            ..Codec::bare(payload_type)
        }
    }

    /// A payload type without the meaning that it may have of itself.
    pub(super) fn bare(payload_type: u8) -> Codec {
        Codec {
            payload_type,
            rtpmap: None,
            fmtp: None,
            feedback: SmallVec::new(),
        }
    }

    /// Whether the encoding has this name (in any case).
    pub fn is(&self, encoding: &str) -> bool {
        self.rtpmap
            .as_ref()
            .is_some_and(|rtpmap| rtpmap.encoding.eq_ignore_ascii_case(encoding))
    }
}

impl fmt::Display for Codec {
    /// The attribute lines, each with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.payload_type;
        if let Some(rtpmap) = &self.rtpmap {
            write!(f, "a=rtpmap:{number} {rtpmap}\r\n")?;
        }
        match &self.fmtp {
            Some(parameters) if self.is("opus") => fmtp::write_opus(f, number, parameters)?,
            Some(parameters) => write!(f, "a=fmtp:{number} {parameters}\r\n")?,
            None => {}
        }
        for feedback in &self.feedback {
            write!(f, "a=rtcp-fb:{number} {feedback}\r\n")?;
        }
        Ok(())
    }
}

/// `<encoding>/<clock rate>[/<channels>]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpMap {
    /// Name of the encoding.
    pub encoding: Text,
    /// Clock rate, Hz.
    pub clock_rate: u32,
    /// Number of channels. One is never written.
    pub channels: u8,
}

/// Longest name of an encoding, bytes. The registered ones are shorter by far.
const MAX_ENCODING: usize = 128;

impl RtpMap {
    /// The mono encoding of a constant name.
    pub const fn from_static(encoding: &'static str, clock_rate: u32) -> RtpMap {
        RtpMap {
            encoding: Text::from_static(encoding),
            clock_rate,
            channels: 1,
        }
    }

    /// Whether both name the same encoding. Names are compared regardless of case.
    pub fn matches(&self, other: &RtpMap) -> bool {
        self.clock_rate == other.clock_rate
            && self.channels == other.channels
            && self.encoding.eq_ignore_ascii_case(&other.encoding)
    }

    /// Parses what follows the payload type. A missing or unreadable number of channels means one. An encoding may go without a
    /// name, which is then like no other.
    pub(super) fn parse(value: &str, source: &Source) -> Option<RtpMap> {
        let (encoding, rest) = value.trim().split_once('/')?;
        let (clock_rate, channels) = rest.split_once('/').unwrap_or((rest, "1"));
        if encoding.len() > MAX_ENCODING || encoding.contains(' ') {
            return None;
        }
        Some(RtpMap {
            encoding: source.text(encoding),
            clock_rate: clock_rate.parse().ok()?,
            channels: channels.parse().ok().filter(|count| *count > 0).unwrap_or(1),
        })
    }
}

impl fmt::Display for RtpMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.encoding, self.clock_rate)?;
        if self.channels > 1 {
            write!(f, "/{}", self.channels)?;
        }
        Ok(())
    }
}

/// What a payload type means without `a=rtpmap` (RFC 3551 section 6).
pub fn static_payload_type(number: u8) -> Option<RtpMap> {
    let mono = |encoding, clock_rate| Some(RtpMap::from_static(encoding, clock_rate));
    match number {
        0 => mono("PCMU", 8000),
        3 => mono("GSM", 8000),
        4 => mono("G723", 8000),
        5 => mono("DVI4", 8000),
        6 => mono("DVI4", 16000),
        7 => mono("LPC", 8000),
        8 => mono("PCMA", 8000),
        9 => mono("G722", 8000),
        10 => mono("L16", 44100),
        11 => Some(RtpMap {
            channels: 2,
            ..RtpMap::from_static("L16", 44100)
        }),
        12 => mono("QCELP", 8000),
        13 => mono("CN", 8000),
        14 => mono("MPA", 90000),
        15 => mono("G728", 8000),
        16 => mono("DVI4", 11025),
        17 => mono("DVI4", 22050),
        18 => mono("G729", 8000),
        25 => mono("CelB", 90000),
        26 => mono("JPEG", 90000),
        28 => mono("nv", 90000),
        31 => mono("H261", 90000),
        32 => mono("MPV", 90000),
        33 => mono("MP2T", 90000),
        34 => mono("H263", 90000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rtpmap(value: &str) -> Option<RtpMap> {
        RtpMap::parse(value, &Source::default())
    }

    #[test]
    fn rtpmaps_round_trip() {
        for value in ["PCMU/8000", "opus/48000/2", "L16/44100/2"] {
            assert_eq!(rtpmap(value).unwrap().to_string(), value);
        }
    }

    #[test]
    fn one_channel_is_not_written() {
        assert_eq!(rtpmap("AMR-WB/16000/1 ").unwrap().to_string(), "AMR-WB/16000");
        assert_eq!(rtpmap("foo/8000/x").unwrap().to_string(), "foo/8000");
    }

    #[test]
    fn broken_rtpmaps() {
        for value in ["", "PCMU", "PCMU/x", "two words/8000"] {
            assert_eq!(rtpmap(value), None, "{value}");
        }
    }

    #[test]
    fn an_encoding_without_a_name_is_like_no_other() {
        let nameless = rtpmap("/0").unwrap();
        assert_eq!(nameless.to_string(), "/0");
        assert!(!nameless.matches(&rtpmap("PCMU/8000").unwrap()));
    }

    #[test]
    fn encodings_match_in_any_case() {
        assert!(
            rtpmap("OPUS/48000/2")
                .unwrap()
                .matches(&rtpmap("opus/48000/2").unwrap())
        );
        assert!(
            !rtpmap("opus/48000")
                .unwrap()
                .matches(&rtpmap("opus/48000/2").unwrap())
        );
        assert!(!rtpmap("CN/16000").unwrap().matches(&rtpmap("CN/8000").unwrap()));
    }

    #[test]
    fn lines_come_in_order() {
        let codec = Codec {
            payload_type: 96,
            rtpmap: rtpmap("VP8/90000"),
            fmtp: Some(Text::from_static("max-fr=30")),
            feedback: SmallVec::from_iter([Text::from_static("nack"), Text::from_static("nack pli")]),
        };
        assert_eq!(
            codec.to_string(),
            "a=rtpmap:96 VP8/90000\r\na=fmtp:96 max-fr=30\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n"
        );
    }

    #[test]
    fn opus_parameters_are_written_anew() {
        let mut codec = Codec {
            rtpmap: rtpmap("OPUS/48000/2"),
            ..Codec::new(96)
        };
        codec.fmtp = Some(Text::from_static("minptime=10;useinbandfec=1"));
        assert_eq!(
            codec.to_string(),
            "a=rtpmap:96 OPUS/48000/2\r\na=fmtp:96 useinbandfec=1; minptime=10\r\n"
        );
        codec.fmtp = Some(Text::from_static("ptime=20; "));
        assert_eq!(codec.to_string(), "a=rtpmap:96 OPUS/48000/2\r\n");
    }

    #[test]
    fn static_types_have_names_and_dynamic_ones_none() {
        assert_eq!(Codec::new(11).to_string(), "a=rtpmap:11 L16/44100/2\r\n");
        assert_eq!(Codec::new(34).to_string(), "a=rtpmap:34 H263/90000\r\n");
        assert_eq!(Codec::new(96).to_string(), "");
    }
}
