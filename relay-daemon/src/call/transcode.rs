//! What transcoding does to the SDP: codecs that are added to an offer, and what stands for them in the answer. The
//! media does not follow yet: it passes as it is, and the reply says so.

use std::collections::BTreeSet;

use crate::sdp::{Codec, RtpMap, Text, static_payload_type};

use super::codecs::{CodecOptions, is_alike, is_same, is_supplemental};
use super::state::{Call, PartyId};

/// A codec as `transcode` names it: `NAME[/CLOCK[/CHANNELS[/BITRATE[/PTIME[/FMTP[/OPTIONS]]]]]]`.
///
/// Bit rate, packet time and options say nothing in an SDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecSpec {
    /// Name of the encoding, in any case.
    pub encoding: String,
    /// Clock rate, Hz.
    pub clock_rate: Option<u32>,
    /// Number of channels: 1 if a clock rate is given without.
    pub channels: Option<u8>,
    /// Format parameters in place of the usual ones.
    pub fmtp: Option<String>,
}

/// What it takes to bring both sides of a section together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Transcoding {
    /// Nothing.
    #[default]
    None,
    /// The party may choose a codec that the other one does not have.
    Offered,
    /// They have chosen different codecs.
    Needed,
}

/// The codecs of an offer that its sender may be answered with, where those that go on are not all of them.
#[derive(Clone, Debug)]
pub(super) struct OwnCodecs {
    usable: Vec<Codec>,
    /// Indices of those that it is answered with even if nobody else has them.
    preferred: Vec<usize>,
}

/// The codecs of an answer, as the sender of the offer is told of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partners {
    pub(super) codecs: Vec<Codec>,
    pub(super) transcoding: Transcoding,
}

impl Transcoding {
    /// What the operator must know.
    pub(super) fn warning(self) -> Option<&'static str> {
        match self {
            Transcoding::None => None,
            Transcoding::Offered => {
                Some("codecs were added to the offer, but there is no transcoding yet: media passes as it is")
            }
            Transcoding::Needed => {
                Some("the sides use different codecs, but there is no transcoding yet: media passes as it is")
            }
        }
    }
}

impl Call {
    /// What was asked for in a message and cannot be done yet.
    pub(super) fn warning(&self, receiver: PartyId) -> Option<&'static str> {
        let media = self.party(receiver).media.iter();
        media.filter_map(|media| media.transcoding.warning()).next()
    }
}

impl From<&str> for CodecSpec {
    fn from(text: &str) -> CodecSpec {
        let mut fields = text.splitn(7, '/').map(str::trim);
        let mut field = || fields.next().filter(|field| !field.is_empty());
        let encoding = field().unwrap_or_default().to_owned();
        let clock_rate = field().and_then(|field| field.parse().ok());
        let channels = field().and_then(|field| field.parse().ok());
        let (_bit_rate, _packet_time) = (field(), field());
        CodecSpec {
            encoding,
            clock_rate,
            channels: channels.or(clock_rate.map(|_| 1)),
            fmtp: field().map(str::to_owned),
        }
    }
}

/// Which telephone events go with codecs that are added to some that have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Events {
    /// Those that were there.
    AsTheyAre,
    /// Some for each clock rate.
    AtEachRate,
}

/// What is left of an offer with the codecs that are to be added, those that only go with others at the end. `all` are
/// those of the sender. None if there is nothing to add.
pub(super) fn with_additions(
    left: &[&Codec],
    all: &[Codec],
    specs: &[CodecSpec],
    events: Events,
) -> Option<Vec<Codec>> {
    let mut added: Vec<Codec> = Vec::new();
    for spec in specs {
        let Some(codec) = Codec::of(spec) else { continue };
        let is_there = |other: &Codec| is_alike(&codec, other);
        if left.iter().any(|other| is_there(other)) || added.iter().any(is_there) {
            continue;
        }
        // What was left out comes back as it was.
        let before = all.iter().find(|other| is_there(other));
        match before {
            Some(before) => added.push(before.clone()),
            None => added.extend(numbered(codec, all, &added)),
        }
    }
    if added.is_empty() {
        return None;
    }
    if events == Events::AtEachRate && left.iter().any(|codec| codec.is(EVENT)) {
        for clock_rate in clock_rates(&added) {
            let codec = event(clock_rate);
            let is_there = |other: &Codec| is_alike(&codec, other);
            if !left.iter().any(|other| is_there(other)) && !added.iter().any(is_there) {
                added.extend(numbered(codec, all, &added));
            }
        }
    }
    let left = left.iter().map(|codec| (*codec).clone());
    let (last, first): (Vec<Codec>, Vec<Codec>) = left.partition(is_supplemental);
    let (then_last, then): (Vec<Codec>, Vec<Codec>) = added.into_iter().partition(is_supplemental);
    Some([first, then, then_last, last].concat())
}

impl OwnCodecs {
    /// None if whatever is told of the codecs is all there is.
    pub(super) fn of(codecs: &[Codec], options: &CodecOptions) -> Option<OwnCodecs> {
        if !options.may_transcode() {
            return None;
        }
        let usable = codecs.iter().filter(|codec| options.is_usable(codec));
        let mut usable: Vec<Codec> = usable.cloned().collect();
        if usable.iter().all(is_supplemental) {
            // It must be answered with something that it knows.
            usable = codecs.to_vec();
        }
        let preferred = usable.iter().enumerate();
        let preferred = preferred.filter(|(_, codec)| options.is_preferred(codec) && !is_supplemental(codec));
        Some(OwnCodecs {
            preferred: preferred.map(|(index, _)| index).collect(),
            usable,
        })
    }

    /// What the sender of the offer is told if these were accepted. With telephone events, if both sides have them.
    pub(super) fn partners(&self, accepted: &[&Codec]) -> Partners {
        let same = |codec: &Codec| accepted.iter().find(|other| is_same(codec, other)).copied();
        let is_own = |codec: &&&Codec| self.usable.iter().any(|own| is_same(own, codec));
        let (real, supplemental): (Vec<&Codec>, Vec<&Codec>) = accepted
            .iter()
            .copied()
            .partition(|codec| !is_supplemental(codec));
        let preferred = self.preferred.first().map(|index| &self.usable[*index]);
        let mut chosen: Vec<Codec> = match preferred {
            Some(preferred) if same(preferred).is_none() => vec![preferred.clone()],
            Some(_) | None => real.iter().filter(is_own).map(|codec| (*codec).clone()).collect(),
        };
        if chosen.len() == real.len() && chosen.iter().all(|codec| same(codec).is_some()) {
            let known = accepted.iter().filter(|codec| is_own(codec));
            let codecs: Vec<Codec> = known.map(|codec| (*codec).clone()).collect();
            let transcoding = match codecs.len() == accepted.len() {
                true => Transcoding::None,
                false => Transcoding::Needed,
            };
            return Partners { codecs, transcoding };
        }
        if chosen.is_empty() {
            let first = self.usable.iter().find(|codec| !is_supplemental(codec));
            chosen.extend(first.cloned());
        }
        if chosen.is_empty() {
            return Partners {
                codecs: accepted.iter().map(|codec| (*codec).clone()).collect(),
                transcoding: Transcoding::Needed,
            };
        }
        let stereo = real.first().is_some_and(|codec| channels(codec) > 1);
        for codec in &mut chosen {
            if same(codec).is_none() {
                *codec = made_by_us(codec, stereo);
            }
        }
        let clock_rates = clock_rates(&chosen);
        let goes_with = |own: &&Codec| {
            let rate = own.rtpmap.as_ref().map(|rtpmap| rtpmap.clock_rate);
            let kind = supplemental.iter().any(|other| other.is(name(own)));
            is_supplemental(own) && kind && rate.is_some_and(|rate| clock_rates.contains(&rate))
        };
        let others = self.usable.iter().filter(goes_with);
        let others: Vec<Codec> = others.map(|own| same(own).unwrap_or(own).clone()).collect();
        chosen.extend(others);
        Partners {
            codecs: chosen,
            transcoding: Transcoding::Needed,
        }
    }
}

/// Telephone events (RFC 4733).
const EVENT: &str = "telephone-event";

/// Events that are offered where nobody says which: digits and the four letters.
const EVENTS: &str = "0-15";

/// Codecs that can be asked for: name, clock rate, channels, usual format parameters.
const KNOWN: [(&str, u32, u8, Option<&str>); 10] = [
    ("PCMU", 8000, 1, None),
    ("PCMA", 8000, 1, None),
    ("G722", 8000, 1, None),
    ("opus", 48000, 2, Some("useinbandfec=1")),
    ("GSM", 8000, 1, None),
    ("G723", 8000, 1, None),
    ("AMR", 8000, 1, Some("octet-align=1;mode-change-capability=2")),
    ("AMR-WB", 16000, 1, Some("octet-align=1;mode-change-capability=2")),
    ("speex", 16000, 1, None),
    (EVENT, 8000, 1, Some(EVENTS)),
];

/// The first payload type that has no meaning of its own.
const FIRST_DYNAMIC: u8 = 96;

impl Codec {
    /// A codec that is asked for, without a number yet. None if it is not known.
    fn of(spec: &CodecSpec) -> Option<Codec> {
        let known = KNOWN
            .iter()
            .find(|(name, ..)| name.eq_ignore_ascii_case(&spec.encoding))?;
        let (encoding, clock_rate, channels, fmtp) = *known;
        let fmtp = match &spec.fmtp {
            Some(fmtp) => Some(Text::from(fmtp.clone())),
            None => fmtp.map(Text::from_static),
        };
        Some(Codec {
            rtpmap: Some(RtpMap {
                channels: spec.channels.unwrap_or(channels),
                ..RtpMap::from_static(encoding, spec.clock_rate.unwrap_or(clock_rate))
            }),
            fmtp,
            ..Codec::new(FIRST_DYNAMIC)
        })
    }
}

fn event(clock_rate: u32) -> Codec {
    Codec {
        rtpmap: Some(RtpMap::from_static(EVENT, clock_rate)),
        fmtp: Some(Text::from_static(EVENTS)),
        ..Codec::new(FIRST_DYNAMIC)
    }
}

/// As we would make it ourselves.
pub(super) fn made_by_us(codec: &Codec, stereo: bool) -> Codec {
    let parameters = match (codec.is("opus"), stereo) {
        (false, _) => return codec.clone(),
        (true, true) => "stereo=1;useinbandfec=1",
        (true, false) => "stereo=0;useinbandfec=1",
    };
    Codec {
        fmtp: Some(Text::from_static(parameters)),
        ..codec.clone()
    }
}

/// A codec with a payload type that is not taken: its own if it has one, else the first free one. None if none is left.
fn numbered(codec: Codec, all: &[Codec], added: &[Codec]) -> Option<Codec> {
    let taken = |number: &u8| all.iter().chain(added).any(|other| other.payload_type == *number);
    let is_own = |number: &u8| {
        let meaning = static_payload_type(*number);
        meaning.is_some_and(|meaning| {
            codec
                .rtpmap
                .as_ref()
                .is_some_and(|rtpmap| rtpmap.matches(&meaning))
        })
    };
    let own = (0..35).find(is_own).filter(|number| !taken(number));
    let free = || (FIRST_DYNAMIC..128).find(|number| !taken(number));
    let payload_type = own.or_else(free)?;
    Some(Codec {
        payload_type,
        ..codec
    })
}

/// The clock rates of the codecs, leaving out those that only go with others.
fn clock_rates(codecs: &[Codec]) -> BTreeSet<u32> {
    let real = codecs.iter().filter(|codec| !is_supplemental(codec));
    real.filter_map(|codec| Some(codec.rtpmap.as_ref()?.clock_rate))
        .collect()
}

pub(super) fn channels(codec: &Codec) -> u8 {
    codec.rtpmap.as_ref().map_or(1, |rtpmap| rtpmap.channels)
}

fn name(codec: &Codec) -> &str {
    codec.rtpmap.as_ref().map_or("", |rtpmap| &rtpmap.encoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CodecPattern;
    use crate::sdp::Description;

    fn codecs(list: &str) -> Vec<Codec> {
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP {list}\r\n\
             a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 speex/16000\r\na=rtpmap:98 telephone-event/48000\r\n\
             a=rtpmap:101 telephone-event/8000\r\n"
        );
        Description::parse(&sdp).unwrap().media.remove(0).codecs
    }

    fn written(codecs: &[Codec]) -> String {
        let names = codecs.iter().map(|codec| {
            let rtpmap = codec.rtpmap.as_ref().unwrap();
            format!("{}={rtpmap}", codec.payload_type)
        });
        names.collect::<Vec<_>>().join(" ")
    }

    fn add(list: &str, specs: &[&str]) -> String {
        let all = codecs(list);
        let specs: Vec<CodecSpec> = specs.iter().map(|spec| CodecSpec::from(*spec)).collect();
        let added = with_additions(&all.iter().collect::<Vec<_>>(), &all, &specs, Events::AtEachRate);
        added.map_or("nothing".to_owned(), |added| written(&added))
    }

    #[test]
    fn codecs_are_added_before_those_that_only_go_with_others() {
        assert_eq!(
            add("0 101", &["PCMA"]),
            "0=PCMU/8000 8=PCMA/8000 101=telephone-event/8000"
        );
        assert_eq!(add("0", &["opus"]), "0=PCMU/8000 96=opus/48000/2");
        assert_eq!(
            add("8 101", &["opus", "AMR-WB"]),
            "8=PCMA/8000 96=opus/48000/2 97=AMR-WB/16000 98=telephone-event/16000 \
             99=telephone-event/48000 101=telephone-event/8000"
        );
        assert_eq!(
            add("8", &["telephone-event"]),
            "8=PCMA/8000 96=telephone-event/8000"
        );
        for nothing in [&["pcmu"][..], &["NOSUCH", ""], &["opus"], &[]] {
            assert_eq!(add("0 96", nothing), "nothing", "{nothing:?}");
        }
    }

    #[test]
    fn numbers_that_are_taken_are_not_given_again() {
        assert_eq!(
            add("8 96 97", &["PCMU", "GSM", "AMR"]),
            "8=PCMA/8000 96=opus/48000/2 97=speex/16000 0=PCMU/8000 3=GSM/8000 98=AMR/8000"
        );
        let every: Vec<String> = (35..128).map(|number| number.to_string()).collect();
        assert_eq!(add(&every.join(" "), &["AMR"]), "nothing", "no number is left");
    }

    #[test]
    fn a_spec_has_many_fields() {
        let spec = CodecSpec::from("opus/48000/2/24000/40/useinbandfec=0/x");
        assert_eq!((spec.clock_rate, spec.channels), (Some(48000), Some(2)));
        assert_eq!(spec.fmtp.as_deref(), Some("useinbandfec=0"));
        let spec = CodecSpec::from("AMR/8000///20");
        assert_eq!((spec.channels, spec.fmtp), (Some(1), None));
        assert_eq!(CodecSpec::from("").encoding, "");
    }

    /// What the caller is told, and whether it takes transcoding.
    fn partners(offered: &str, options: &CodecOptions, accepted: &str) -> (String, bool) {
        let own = OwnCodecs::of(&codecs(offered), options).unwrap();
        let accepted = codecs(accepted);
        let partners = own.partners(&accepted.iter().collect::<Vec<_>>());
        (
            written(&partners.codecs),
            partners.transcoding == Transcoding::Needed,
        )
    }

    #[test]
    fn the_caller_is_answered_with_what_it_offered() {
        let transcode = CodecOptions {
            transcode: vec!["PCMA".into()],
            ..CodecOptions::default()
        };
        let all = ("0=PCMU/8000 101=telephone-event/8000".to_owned(), true);
        assert_eq!(partners("0 101", &transcode, "8 101"), all);
        assert_eq!(
            partners("0 101", &transcode, "8"),
            ("0=PCMU/8000".to_owned(), true)
        );
        assert_eq!(partners("0 101", &transcode, "0 101"), (all.0, false));
        assert_eq!(
            partners("0 9", &transcode, "8 9 0"),
            ("9=G722/8000 0=PCMU/8000".to_owned(), true)
        );
        assert_eq!(
            partners("8 101 98", &transcode, "96 98"),
            ("8=PCMA/8000 101=telephone-event/8000".to_owned(), true),
            "events at the clock rate of what they go with"
        );
        assert_eq!(
            partners("101", &transcode, "8").0,
            "8=PCMA/8000",
            "nothing of its own"
        );
    }

    #[test]
    fn masked_and_preferred_codecs_count() {
        let pattern = || vec![CodecPattern::from("PCMA")];
        let mask = CodecOptions {
            mask: pattern(),
            ..CodecOptions::default()
        };
        assert_eq!(partners("8 101", &mask, "0"), ("8=PCMA/8000".to_owned(), true));
        let accept = CodecOptions {
            accept: pattern(),
            ..CodecOptions::default()
        };
        assert_eq!(partners("8 0", &accept, "0"), ("8=PCMA/8000".to_owned(), true));
        assert_eq!(
            partners("8 0", &accept, "0 8"),
            ("0=PCMU/8000 8=PCMA/8000".to_owned(), false)
        );
        let replace_all = CodecOptions {
            strip: vec![CodecPattern::All],
            transcode: vec!["opus".into()],
            ..CodecOptions::default()
        };
        assert_eq!(
            partners("8 0", &replace_all, "96"),
            ("8=PCMA/8000".to_owned(), true)
        );
        let ignore = CodecOptions {
            ignore: pattern(),
            ..CodecOptions::default()
        };
        assert_eq!(partners("8 0", &ignore, "8"), ("0=PCMU/8000".to_owned(), true));
    }
}
