//! What the relay knows of codecs: those that it can be asked for, how it writes them, and which format parameters keep
//! two ends from understanding each other.

use crate::call::command::CodecSpec;
use crate::sdp::{Codec, RtpMap, Text, static_payload_type};

impl CodecSpec {
    /// Whether it can be added to an offer.
    pub(in crate::call) fn is_known(&self) -> bool {
        asked_for(self).is_some()
    }
}

/// Telephone events (RFC 4733).
pub(in crate::call) const EVENT: &str = "telephone-event";

/// Events that are offered where nobody says which: digits and the four letters.
pub(in crate::call) const EVENTS: &str = "0-15";

/// The first payload type that has no meaning of its own.
pub(in crate::call) const FIRST_DYNAMIC: u8 = 96;

/// An encoding that can be translated.
struct Known {
    name: &'static str,
    clock_rate: u32,
    channels: u8,
    fmtp: Option<&'static str>,
    /// Whether it can be added to an offer.
    is_offered: bool,
    formats: Formats,
}

/// Which format parameters go together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Formats {
    /// All: they say what an end prefers.
    Any,
    /// The same ones: what they mean is not known.
    Equal,
    /// Those with the same payload format (RFC 4867).
    SamePayload,
}

const fn known(name: &'static str, clock_rate: u32, channels: u8, formats: Formats) -> Known {
    Known {
        name,
        clock_rate,
        channels,
        fmtp: None,
        is_offered: true,
        formats,
    }
}

/// An encoding for which nobody has said how it is called in RTP.
const fn unnumbered(name: &'static str) -> Known {
    Known {
        is_offered: false,
        ..known(name, 48000, 1, Formats::Equal)
    }
}

const KNOWN: [Known; 24] = [
    known("PCMU", 8000, 1, Formats::Any),
    known("PCMA", 8000, 1, Formats::Any),
    known("G722", 8000, 1, Formats::Any),
    Known {
        fmtp: Some("useinbandfec=1"),
        ..known("opus", 48000, 2, Formats::Any)
    },
    known("GSM", 8000, 1, Formats::Equal),
    known("G723", 8000, 1, Formats::Equal),
    Known {
        fmtp: Some("annexb=yes"),
        ..known("G729", 8000, 1, Formats::Any)
    },
    Known {
        fmtp: Some("annexb=no"),
        ..known("G729a", 8000, 1, Formats::Any)
    },
    Known {
        fmtp: Some("octet-align=1;mode-change-capability=2"),
        ..known("AMR", 8000, 1, Formats::SamePayload)
    },
    Known {
        fmtp: Some("octet-align=1;mode-change-capability=2"),
        ..known("AMR-WB", 16000, 1, Formats::SamePayload)
    },
    known("speex", 16000, 1, Formats::Equal),
    known("L16", 44100, 1, Formats::Equal),
    known("X-L16", 44100, 1, Formats::Equal),
    known("G726-16", 8000, 1, Formats::Equal),
    known("G726-24", 8000, 1, Formats::Equal),
    known("G726-32", 8000, 1, Formats::Equal),
    known("G726-40", 8000, 1, Formats::Equal),
    unnumbered("vorbis"),
    unnumbered("AC3"),
    unnumbered("EAC3"),
    unnumbered("MP3"),
    known("CN", 8000, 1, Formats::Any),
    known("red", 8000, 1, Formats::Any),
    Known {
        fmtp: Some(EVENTS),
        ..known(EVENT, 8000, 1, Formats::Any)
    },
];

impl Known {
    fn of(codec: &Codec) -> Option<&'static Known> {
        KNOWN.iter().find(|known| codec.is(known.name))
    }
}

/// A codec that is asked for, without a number yet. None if it is not known.
pub(in crate::call) fn asked_for(spec: &CodecSpec) -> Option<Codec> {
    let known = KNOWN
        .iter()
        .filter(|known| known.is_offered)
        .find(|known| known.name.eq_ignore_ascii_case(&spec.encoding))?;
    let fmtp = match &spec.fmtp {
        Some(fmtp) => Some(Text::from(fmtp.clone())),
        None => known.fmtp.map(Text::from_static),
    };
    // RFC 7587 section 4.1: the clock of Opus is always the same.
    let clock_rate = spec.clock_rate.filter(|_| known.name != "opus");
    Some(Codec {
        rtpmap: Some(RtpMap {
            channels: spec.channels.unwrap_or(known.channels),
            ..RtpMap::from_static(known.name, clock_rate.unwrap_or(known.clock_rate))
        }),
        fmtp,
        ..Codec::new(FIRST_DYNAMIC)
    })
}

/// The payload type that a codec has of itself, if the relay goes by it.
pub(in crate::call) fn own_number(codec: &Codec) -> Option<u8> {
    let rtpmap = codec.rtpmap.as_ref()?;
    if rtpmap.encoding.eq_ignore_ascii_case("G729a") {
        return Some(18);
    }
    let is_own = |number: &u8| static_payload_type(*number).is_some_and(|meaning| meaning.matches(rtpmap));
    (0..35).filter(|_| rtpmap.channels == 1).find(is_own)
}

/// Whether the codec is one that can be translated into others.
pub(in crate::call) fn is_known(codec: &Codec) -> bool {
    Known::of(codec).is_some()
}

/// Whether telephone events can be sent with one of the codecs.
pub(in crate::call) fn has_events(codecs: &[Codec]) -> bool {
    codecs.iter().any(|codec| codec.is(EVENT))
}

/// As we would make it ourselves, of something in stereo or not: unless the party says what it sends or wants, which is turned
/// round.
pub(in crate::call) fn made_by_us(codec: &Codec, stereo: bool) -> Codec {
    if !codec.is("opus") {
        return codec.clone();
    }
    let sent = value_of(codec, "sprop-stereo").unwrap_or(if stereo { "1" } else { "0" });
    let mut parameters = format!("stereo={sent}");
    if let Some(wanted) = value_of(codec, "stereo") {
        parameters += ";sprop-stereo=";
        parameters += wanted;
    }
    parameters += ";useinbandfec=1";
    Codec {
        fmtp: Some(Text::from(parameters)),
        ..codec.clone()
    }
}

/// `0` or `1` in the parameters of a codec.
fn value_of<'a>(codec: &'a Codec, name: &str) -> Option<&'a str> {
    let parameters = codec.fmtp.as_deref()?.split(';');
    let mut pairs = parameters.filter_map(|parameter| parameter.trim().split_once('='));
    let (_, value) = pairs.find(|(other, _)| other.trim() == name)?;
    Some(value.trim()).filter(|value| ["0", "1"].contains(value))
}

/// Whether two ends with these parameters of the same encoding understand each other.
pub(in crate::call) fn formats_fit(one: &Codec, other: &Codec) -> bool {
    match Known::of(one).map_or(Formats::Any, |known| known.formats) {
        Formats::Any => true,
        Formats::Equal => one.fmtp == other.fmtp,
        Formats::SamePayload => PAYLOAD_PARAMETERS
            .iter()
            .all(|name| is_on(one, name) == is_on(other, name)),
    }
}

/// Parameters of AMR that change how frames are laid out (RFC 4867 section 8.1).
const PAYLOAD_PARAMETERS: [&str; 4] = ["octet-align", "crc", "robust-sorting", "interleaving"];

fn is_on(codec: &Codec, name: &str) -> bool {
    let parameters = codec.fmtp.as_deref().unwrap_or_default();
    let value = parameters
        .split(';')
        .filter_map(|parameter| parameter.trim().split_once('='))
        .find_map(|(known, value)| {
            known
                .trim_end()
                .eq_ignore_ascii_case(name)
                .then_some(value.trim())
        });
    value.is_some_and(|value| value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_has_many_fields() {
        let spec = CodecSpec::from("opus/48000/2/24000/40/useinbandfec=0/x");
        assert_eq!((spec.clock_rate, spec.channels), (Some(48000), Some(2)));
        assert_eq!(spec.fmtp.as_deref(), Some("useinbandfec=0"));
        let spec = CodecSpec::from("AMR/8000///20");
        assert_eq!((spec.channels, spec.fmtp), (Some(1), None));
        assert_eq!(CodecSpec::from("").encoding, "");
    }

    #[test]
    fn a_codec_is_made_of_a_spec() {
        let made = |text: &str| {
            let codec = asked_for(&CodecSpec::from(text))?;
            let number = own_number(&codec);
            Some((codec.rtpmap?.to_string(), number))
        };
        let dynamic = |text: &str| Some((text.to_owned(), None));
        assert_eq!(made("pcma"), Some(("PCMA/8000".to_owned(), Some(8))));
        assert_eq!(made("G729a"), Some(("G729a/8000".to_owned(), Some(18))));
        assert_eq!(made("opus/24000/2"), dynamic("opus/48000/2"));
        assert_eq!(made("L16/44100/2"), dynamic("L16/44100/2"));
        assert_eq!(made("G722/16000"), dynamic("G722/16000"));
        assert_eq!((made("iLBC"), made("vorbis"), made("")), (None, None, None));
    }
}
