//! Which of the sender's codecs the receiver is told of (`codec`).

mod answer;
mod coding;
mod draft;
mod known;

use crate::call::command::{CodecOptions, CodecOrder, CodecSpec};
use crate::sdp::{Codec, CodecPattern, MediaKind};

pub(in crate::call) use self::answer::{Answer, Answered, Terms};
pub(in crate::call) use self::coding::coding;
pub(in crate::call) use self::draft::{Draft, Events};
pub(in crate::call) use self::known::{EVENT, has_events, is_known, made_by_us};

/// What is left of a list of codecs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::call) enum Selection {
    /// These.
    Codecs(Vec<Codec>),
    /// None: all come back.
    Restored,
    /// None that could stand alone: the formats stay, without a word on what they mean.
    Formats,
    /// None: the section is rejected.
    Rejected,
}

/// What is offered of a list of codecs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::call) struct Offered {
    pub(in crate::call) selection: Selection,
    /// Whether some were added.
    pub(in crate::call) has_additions: bool,
}

impl CodecOptions {
    /// What of an offer's codecs the receiver is told, who knew others before.
    pub(in crate::call) fn offered(
        &self,
        codecs: &[Codec],
        known: &[Codec],
        kind: &MediaKind,
        events: Events,
    ) -> Offered {
        let base = self.ordered(codecs, known);
        let mut draft = Draft::new(&base, codecs);
        draft.edit(self, |codec| {
            self.is_listed(&self.strip, codec) || self.is_listed(&self.mask, codec)
        });
        let has_additions = *kind == MediaKind::Audio && draft.transcode(&self.transcode, known);
        let selection = match draft.finish(self, events) {
            // With those that the receiver knows in front, whether the sender has them or not.
            Selection::Restored if events == Events::AtEachRate => Selection::Codecs(joined(known, &base)),
            Selection::Restored => Selection::Formats,
            left @ (Selection::Codecs(_) | Selection::Formats | Selection::Rejected) => left,
        };
        Offered {
            selection,
            has_additions,
        }
    }

    fn ordered(&self, codecs: &[Codec], known: &[Codec]) -> Vec<Codec> {
        match self.order {
            CodecOrder::Sender => codecs.to_vec(),
            CodecOrder::Static if known.is_empty() => codecs.to_vec(),
            CodecOrder::Static => known.to_vec(),
            CodecOrder::Known => in_order(codecs, known),
        }
    }

    /// Whether a list names a codec, or all of them but for the exceptions.
    fn is_listed(&self, list: &[CodecPattern], codec: &Codec) -> bool {
        let by_name = |pattern: &CodecPattern| *pattern != CodecPattern::All && pattern.matches(codec);
        let excepted = self.except.iter().any(|pattern| pattern.matches(codec));
        let all = list.contains(&CodecPattern::All) && !excepted;
        all || list.iter().any(by_name)
    }
}

impl CodecPattern {
    /// A codec to be made of the name. None of a payload type, or if it is no name.
    pub(in crate::call) fn spec(&self) -> Option<CodecSpec> {
        let CodecPattern::Named {
            encoding,
            clock_rate,
            channels,
        } = self
        else {
            return None;
        };
        Some(CodecSpec {
            encoding: encoding.clone(),
            clock_rate: *clock_rate,
            channels: *channels,
            fmtp: None,
        })
    }
}

/// Both lists, each payload type once.
fn joined(first: &[Codec], then: &[Codec]) -> Vec<Codec> {
    let mut joined = first.to_vec();
    for codec in then {
        if !joined
            .iter()
            .any(|known| known.payload_type == codec.payload_type)
        {
            joined.push(codec.clone());
        }
    }
    joined
}

/// Codecs in the order in which others stand, then those that are not among these.
fn in_order(codecs: &[Codec], others: &[Codec]) -> Vec<Codec> {
    let same = |codec: &Codec| codecs.iter().find(|other| is_same(other, codec));
    let mut ordered: Vec<Codec> = others.iter().filter_map(same).cloned().collect();
    for codec in codecs {
        if !ordered.contains(codec) {
            ordered.push(codec.clone());
        }
    }
    ordered
}

/// Whether two payload types of one session are the same codec.
pub(in crate::call) fn is_same(one: &Codec, other: &Codec) -> bool {
    let same_encoding = match (&one.rtpmap, &other.rtpmap) {
        (Some(one), Some(other)) => one.matches(other),
        // What nobody has named is not what somebody has.
        (one, other) => one.is_none() && other.is_none(),
    };
    one.payload_type == other.payload_type && same_encoding
}

/// The same, where a payload type whose codec is not known is like none whose codec is.
pub(in crate::call) fn is_equal(one: &Codec, other: &Codec) -> bool {
    is_same(one, other) && one.rtpmap.is_some() == other.rtpmap.is_some()
}

/// Whether two payload types are the same codec, whatever their numbers.
pub(in crate::call) fn is_alike(one: &Codec, other: &Codec) -> bool {
    matches!((&one.rtpmap, &other.rtpmap), (Some(one), Some(other)) if one.matches(other))
}

/// Whether a codec only goes with others.
pub(in crate::call) fn is_supplemental(codec: &Codec) -> bool {
    [EVENT, "CN", "red"].iter().any(|name| codec.is(name))
}

/// Hz.
pub(in crate::call) fn clock_rate(codec: &Codec) -> Option<u32> {
    codec.rtpmap.as_ref().map(|rtpmap| rtpmap.clock_rate)
}

fn channels(codec: &Codec) -> u8 {
    codec.rtpmap.as_ref().map_or(1, |rtpmap| rtpmap.channels)
}

fn encoding(codec: &Codec) -> &str {
    codec.rtpmap.as_ref().map_or("", |rtpmap| &rtpmap.encoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::command::{CodecChoice, NothingLeft};
    use crate::sdp::Description;

    /// Codecs as they stand in an SDP: `NUMBER[=ENCODING/RATE[/CHANNELS]][{FMTP}]`, separated by spaces.
    pub(in crate::call) fn codecs(list: &str) -> Vec<Codec> {
        let (mut numbers, mut lines) = (String::new(), String::new());
        for entry in list.split_whitespace() {
            let (entry, fmtp) = entry.split_once('{').unwrap_or((entry, ""));
            let (number, rtpmap) = entry.split_once('=').unwrap_or((entry, ""));
            numbers.extend([" ", number]);
            if !rtpmap.is_empty() {
                lines.push_str(&format!(
                    "a=rtpmap:{number} {}\r\n",
                    rtpmap.replace("te/", "telephone-event/")
                ));
            }
            if let Some(fmtp) = fmtp.strip_suffix('}') {
                lines.push_str(&format!("a=fmtp:{number} {fmtp}\r\n"));
            }
        }
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP{numbers}\r\n{lines}"
        );
        Description::parse(&sdp).unwrap().media.remove(0).codecs
    }

    /// The payload types, with the parameters of those that have any.
    pub(in crate::call) fn written(codecs: &[Codec]) -> String {
        let entry = |codec: &Codec| match &codec.fmtp {
            Some(fmtp) => format!("{}{{{fmtp}}}", codec.payload_type),
            None => codec.payload_type.to_string(),
        };
        codecs.iter().map(entry).collect::<Vec<_>>().join(" ")
    }

    pub(in crate::call) fn patterns(list: &str) -> Vec<CodecPattern> {
        list.split_whitespace().map(CodecPattern::from).collect()
    }

    /// Options in the form `KEY=NAME,NAME ...`.
    pub(in crate::call) fn options(text: &str) -> CodecOptions {
        let mut options = CodecOptions::default();
        for (key, names) in text
            .split_whitespace()
            .filter_map(|option| option.split_once('='))
        {
            let names = patterns(&names.replace(',', " "));
            match key {
                "strip" => options.strip = names,
                "mask" => options.mask = names,
                "offer" => options.offer = names,
                "except" => options.except = names,
                "ignore" => options.ignore = names,
                "accept" => options.accept = names,
                "order" => options.order = CodecOrder::Known,
                "static" => options.order = CodecOrder::Static,
                "reject" => options.nothing_left = NothingLeft::Rejected,
                "single" => options.choice = CodecChoice::First,
                "asymmetric" => options.asymmetric = true,
                _ => panic!("{key}"),
            }
        }
        let transcode = text
            .split_whitespace()
            .filter_map(|option| option.strip_prefix("+"));
        options.transcode = transcode.map(CodecSpec::from).collect();
        options
    }

    pub(in crate::call) fn selected(selection: &Selection) -> String {
        match selection {
            Selection::Codecs(codecs) => written(codecs),
            Selection::Restored => "restored".to_owned(),
            Selection::Formats => "formats".to_owned(),
            Selection::Rejected => "rejected".to_owned(),
        }
    }

    fn offered(list: &str, options: &str, known: &str) -> String {
        let options = self::options(options);
        let offered = options.offered(
            &codecs(list),
            &codecs(known),
            &MediaKind::Audio,
            Events::AtEachRate,
        );
        selected(&offered.selection)
    }

    #[test]
    fn codecs_are_left_out() {
        for (left_out, left) in [
            ("PCMA", "0 96 98"),
            ("pcma/8000,opus/48000/2", "0 98"),
            ("PCMA/16000,opus/48000,PCMA/8000///20", "8 0 96 98"),
            ("98,8", "8 0 96"),
            ("all", "0 8 96 98"),
        ] {
            assert_eq!(
                offered("8 0 96=opus/48000/2 98", &format!("strip={left_out}"), "0"),
                left,
                "{left_out}"
            );
        }
    }

    #[test]
    fn nothing_is_left() {
        assert_eq!(offered("8 0 101=te/8000", "strip=PCMA,PCMU", "0"), "formats");
        assert_eq!(offered("8 0", "strip=PCMA,PCMU", ""), "8 0");
        assert_eq!(offered("8 0", "strip=all", "9 0"), "9 0 8");
        assert_eq!(
            offered("8 0 101=te/8000", "strip=PCMA,PCMU reject=", "0"),
            "rejected"
        );
        assert_eq!(
            offered("101=te/8000", "strip=PCMA", "0"),
            "101",
            "nothing was left out"
        );
        assert_eq!(
            offered("8 101=te/8000", "mask=all +telephone-event", ""),
            "formats"
        );
    }

    #[test]
    fn the_receivers_order() {
        assert_eq!(
            offered("0 8 9 101=te/8000", "order=", "101=te/8000 8 0 3"),
            "101 8 0 9"
        );
        assert_eq!(
            offered("0 8 9 101=te/8000", "static=", "101=te/8000 8 3"),
            "101 8 3"
        );
        assert_eq!(offered("9 0 8", "static= +G722", "8"), "8 9");
    }

    #[test]
    fn the_receiver_is_told_again_what_it_knows() {
        let known = "97=opus/48000/2{stereo=1}";
        assert_eq!(offered("0", "+opus", known), "0 97{stereo=1}");
        assert_eq!(
            offered("0 97=speex/16000", "+opus", known),
            "0 97 96{useinbandfec=1}"
        );
    }
}
