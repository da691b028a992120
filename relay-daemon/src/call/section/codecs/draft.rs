//! A list of codecs while it is being changed.
//!
//! Telephone events, comfort noise and redundancy go with media of their own clock rate. Where media of a clock rate comes or
//! goes, they come and go with it, and they stay behind whatever else is added.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use crate::call::command::{CodecOptions, CodecSpec, NothingLeft};
use crate::sdp::{Codec, CodecPattern, RtpMap, Text};

use super::known::{EVENT, EVENTS, FIRST_DYNAMIC, asked_for, own_number};
use super::{Selection, clock_rate, is_alike, is_supplemental};

/// The list.
pub(in crate::call) struct Draft<'a> {
    /// What there was before anything was left out.
    all: &'a [Codec],
    codecs: Vec<Codec>,
    /// Index of what new codecs come before: the first one that only goes with others, or what came after it. None: they
    /// come last.
    place: Option<usize>,
    touched: Touched,
    changed: bool,
}

/// Clock rates of which media came or went.
enum Touched {
    These(BTreeSet<u32>),
    All,
}

/// Whether what only goes with others is added where it is missing, and taken away where the others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Events {
    /// It stays as it is.
    AsTheyAre,
    /// There are some for each clock rate.
    AtEachRate,
}

impl<'a> Draft<'a> {
    /// Starts with `codecs`; what comes back is taken from `all`.
    pub(in crate::call) fn new(codecs: &[Codec], all: &'a [Codec]) -> Draft<'a> {
        Draft {
            all,
            place: codecs.iter().position(is_supplemental),
            codecs: codecs.to_vec(),
            touched: Touched::These(BTreeSet::new()),
            changed: false,
        }
    }

    /// Leaves codecs out, and takes back those that were to be offered all the same.
    pub(in crate::call) fn edit(&mut self, options: &CodecOptions, left_out: impl Fn(&Codec) -> bool) {
        if options.offer.contains(&CodecPattern::All) {
            return;
        }
        let mut index = 0;
        while let Some(codec) = self.codecs.get(index) {
            match left_out(codec) {
                true => self.remove(index),
                false => index += 1,
            }
        }
        for wanted in &options.offer {
            for codec in self.all.iter().filter(|codec| wanted.matches(codec)) {
                if !self
                    .codecs
                    .iter()
                    .any(|other| other.payload_type == codec.payload_type)
                {
                    self.add(codec.clone());
                }
            }
        }
    }

    /// Leaves out all media but the first. What goes with others stays, whatever their clock rate.
    pub(in crate::call) fn choose_first(&mut self) {
        let first = self.codecs.iter().position(|codec| !is_supplemental(codec));
        let mut index = first.map_or(self.codecs.len(), |first| first + 1);
        while let Some(codec) = self.codecs.get(index) {
            match is_supplemental(codec) {
                true => index += 1,
                false => drop(self.take(index)),
            }
        }
    }

    /// Adds codecs that are asked for. Whether there are any that the list did not have.
    /// What the receiver knows of `before` it is told again.
    pub(in crate::call) fn transcode(&mut self, specs: &[CodecSpec], before: &[Codec]) -> bool {
        let mut added = false;
        for codec in specs.iter().filter_map(asked_for) {
            if self.codecs.iter().any(|other| is_alike(&codec, other)) {
                continue;
            }
            // What was left out comes back as it was.
            let left_out = self.all.iter().find(|other| is_alike(&codec, other));
            let mut known = before.iter().filter(|other| is_alike(&codec, other));
            let known = left_out.or_else(|| known.find(|other| !self.is_taken(other.payload_type)));
            let Some(codec) = known.cloned().or_else(|| self.numbered(codec)) else {
                continue;
            };
            self.add(codec);
            added = true;
        }
        added
    }

    /// Adds codecs of which nothing but the name is known at the end, as media other than audio has them. Names that cannot
    /// stand in an SDP are left out.
    pub(in crate::call) fn add_named(&mut self, specs: &[CodecSpec]) {
        let is_word = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        for spec in specs.iter().filter(|spec| is_word(&spec.encoding)) {
            let codec = Codec {
                rtpmap: Some(RtpMap {
                    encoding: Text::from(spec.encoding.as_str()),
                    clock_rate: spec.clock_rate.unwrap_or(VIDEO_CLOCK_RATE),
                    channels: spec.channels.unwrap_or(1),
                }),
                ..Codec::new(FIRST_DYNAMIC)
            };
            self.codecs.extend(self.numbered(codec));
        }
    }

    /// The list as it is.
    pub(in crate::call) fn into_codecs(self) -> Vec<Codec> {
        self.codecs
    }

    /// What is left.
    pub(in crate::call) fn finish(mut self, options: &CodecOptions, events: Events) -> Selection {
        let nothing_left = |otherwise| match options.nothing_left {
            NothingLeft::Rejected => Selection::Rejected,
            NothingLeft::Restored => otherwise,
        };
        if self.changed && self.codecs.is_empty() {
            return nothing_left(Selection::Restored);
        }
        if events == Events::AtEachRate {
            self.complete();
        }
        match self.changed && self.codecs.is_empty() {
            true => nothing_left(Selection::Formats),
            false => Selection::Codecs(self.codecs),
        }
    }

    fn remove(&mut self, index: usize) {
        let codec = self.take(index);
        self.touch(&codec);
    }

    fn take(&mut self, index: usize) -> Codec {
        let codec = self.codecs.remove(index);
        self.changed = true;
        self.place = self
            .place
            .map(|place| place - usize::from(index < place))
            .filter(|place| *place < self.codecs.len());
        codec
    }

    fn add(&mut self, codec: Codec) {
        match is_supplemental(&codec) {
            true => self.touched = Touched::All,
            false => self.touch(&codec),
        }
        self.insert(codec);
    }

    fn insert(&mut self, codec: Codec) {
        self.changed = true;
        match self.place {
            Some(place) => {
                self.codecs.insert(place, codec);
                self.place = Some(place + 1);
            }
            None => {
                self.place = is_supplemental(&codec).then_some(self.codecs.len());
                self.codecs.push(codec);
            }
        }
    }

    fn touch(&mut self, codec: &Codec) {
        if let (false, Some(rate), Touched::These(rates)) =
            (is_supplemental(codec), clock_rate(codec), &mut self.touched)
        {
            rates.insert(rate);
        }
    }

    /// Brings what only goes with others in line with the clock rates that are left.
    fn complete(&mut self) {
        let rates = match std::mem::replace(&mut self.touched, Touched::These(BTreeSet::new())) {
            Touched::These(rates) => rates,
            Touched::All => self.codecs.iter().filter_map(clock_rate).collect(),
        };
        let kinds: SmallVec<[&'static str; 3]> = SUPPLEMENTAL
            .into_iter()
            .filter(|kind| self.codecs.iter().any(|codec| codec.is(kind)))
            .collect();
        let (kept, lost): (BTreeSet<u32>, BTreeSet<u32>) = rates.into_iter().partition(|rate| {
            let mut media = self.codecs.iter().filter(|codec| !is_supplemental(codec));
            media.any(|codec| clock_rate(codec) == Some(*rate))
        });
        for kind in kinds {
            for rate in &kept {
                self.complete_with(kind, *rate);
            }
        }
        let mut index = 0;
        while let Some(codec) = self.codecs.get(index) {
            match is_supplemental(codec) && clock_rate(codec).is_some_and(|rate| lost.contains(&rate)) {
                true => self.remove(index),
                false => index += 1,
            }
        }
    }

    fn complete_with(&mut self, kind: &'static str, rate: u32) {
        let is_it = |codec: &&Codec| codec.is(kind) && clock_rate(codec) == Some(rate);
        if self.codecs.iter().any(|codec| is_it(&codec)) {
            return;
        }
        let made = Codec {
            rtpmap: Some(RtpMap::from_static(kind, rate)),
            fmtp: (kind == EVENT).then_some(Text::from_static(EVENTS)),
            ..Codec::new(FIRST_DYNAMIC)
        };
        let known = self.all.iter().find(is_it).cloned();
        if let Some(codec) = known.or_else(|| self.numbered(made)) {
            self.insert(codec);
        }
    }

    /// Whether a payload type stands for a codec that is there, or was before it was left out.
    fn is_taken(&self, number: u8) -> bool {
        self.codecs
            .iter()
            .chain(self.all)
            .any(|other| other.payload_type == number)
    }

    /// The codec with a payload type that is not taken: its own if it has one, else the first free one. None if none is
    /// left. Media does not take that of a codec which was left out, as that could come back; what goes with it may.
    fn numbered(&self, codec: Codec) -> Option<Codec> {
        let taken = |number: &u8| match is_supplemental(&codec) {
            true => self.codecs.iter().any(|other| other.payload_type == *number),
            false => self.is_taken(*number),
        };
        let own = own_number(&codec).filter(|number| !taken(number));
        let payload_type = own.or_else(|| (FIRST_DYNAMIC..128).find(|number| !taken(number)))?;
        Some(Codec {
            payload_type,
            ..codec
        })
    }
}

/// Hz, where nobody says which (RFC 3551 section 5).
const VIDEO_CLOCK_RATE: u32 = 90_000;

/// What only goes with others, in the order in which it is added.
const SUPPLEMENTAL: [&str; 3] = ["red", "CN", EVENT];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::section::codecs::tests::{codecs, options, selected, written};

    /// What is left of a list; numbers only.
    fn edited(list: &str, options: &str) -> String {
        let (all, options) = (codecs(list), self::options(options));
        let mut draft = Draft::new(&all, &all);
        draft.edit(&options, |codec| {
            options.is_listed(&options.strip, codec) || options.is_listed(&options.mask, codec)
        });
        draft.transcode(&options.transcode, &[]);
        match draft.finish(&options, Events::AtEachRate) {
            Selection::Codecs(codecs) => {
                let bare = codecs.into_iter().map(|codec| Codec { fmtp: None, ..codec });
                written(&bare.collect::<Vec<_>>())
            }
            other @ (Selection::Restored | Selection::Formats | Selection::Rejected) => selected(&other),
        }
    }

    #[test]
    fn where_but_the_first_is_chosen_events_stay() {
        for (list, left) in [
            ("96=opus/48000/2 0 101=te/8000", "96 101"),
            ("101=te/8000 0 8", "101 0"),
        ] {
            let all = codecs(list);
            let mut draft = Draft::new(&all, &all);
            draft.choose_first();
            assert_eq!(written(&draft.into_codecs()), left);
        }
    }

    #[test]
    fn codecs_of_which_only_the_name_is_known_come_last() {
        let mut draft = Draft::new(&[], &[]);
        draft.add_named(&["telephone-event", "VP8", "two words", "H264/90000"].map(CodecSpec::from));
        let named: Vec<String> = draft.into_codecs().iter().map(ToString::to_string).collect();
        assert_eq!(
            named.concat(),
            "a=rtpmap:96 telephone-event/90000\r\na=rtpmap:97 VP8/90000\r\na=rtpmap:98 H264/90000\r\n"
        );
    }

    const MIXED: &str = "101=te/8000 0 110=te/48000 111=opus/48000/2 8 9 3";

    #[test]
    fn events_go_with_the_media_of_their_clock_rate() {
        for (edit, left) in [
            ("strip=opus", "101 0 8 9 3"),
            ("strip=PCMU", "101 110 111 8 9 3"),
            ("strip=PCMU,PCMA,G722,GSM", "110 111"),
            ("strip=telephone-event/8000", "0 110 111 8 9 3"),
            ("strip=all except=telephone-event/48000,PCMU", "101 0"),
            ("strip=all except=telephone-event/8000,opus,PCMA", "101 111 8"),
            ("strip=all offer=opus", "111"),
            ("strip=all offer=all", "101 0 110 111 8 9 3"),
        ] {
            assert_eq!(edited(MIXED, edit), left, "{edit}");
        }
    }

    #[test]
    fn what_comes_back_stands_before_the_first_that_goes_with_others() {
        for (edit, left) in [
            ("strip=PCMU offer=PCMU", "0 101 110 111 8 9 3"),
            ("strip=PCMU,opus offer=opus,PCMU", "111 0 101 110 8 9 3"),
            (
                "strip=telephone-event offer=telephone-event",
                "101 110 0 111 8 9 3",
            ),
            (
                "strip=all offer=G722,telephone-event,opus,PCMU",
                "9 110 111 0 101",
            ),
            (
                "strip=all offer=G722,opus,telephone-event/48000,PCMU",
                "9 111 0 101 110",
            ),
            ("strip=telephone-event,PCMU offer=PCMU", "0 111 8 9 3"),
        ] {
            assert_eq!(edited(MIXED, edit), left, "{edit}");
        }
    }

    #[test]
    fn codecs_are_added_with_what_goes_with_them() {
        for (list, edit, left) in [
            ("0 101=te/8000", "+PCMA", "0 8 101"),
            ("0", "+opus", "0 96"),
            ("8 101=te/8000", "+opus +AMR-WB", "8 96 97 98 99 101"),
            ("8", "+telephone-event", "8 96"),
            ("111=opus/48000/2", "+telephone-event", "111 97"),
            ("0", "+telephone-event +opus", "0 97 98 96"),
            ("0 101=te/8000 13", "+speex +opus", "0 96 97 98 99 100 102 101 13"),
            ("0 101=te/8000", "+L16/44100", "0 10 96 101"),
            ("0", "+pcmu", "0"),
            ("0", "+NOSUCH", "0"),
            ("0 96=opus/48000/2", "+opus", "0 96"),
            (
                "96=opus/48000/2 120=te/48000",
                "mask=all +PCMA +telephone-event",
                "8 96",
            ),
            ("96=opus/48000/2", "strip=opus +speex", "97"),
        ] {
            assert_eq!(edited(list, edit), left, "{list} {edit}");
        }
        let every: Vec<String> = (35..128).map(|number| number.to_string()).collect();
        let every = every.join(" ");
        assert_eq!(edited(&every, "+AMR"), every, "no number is left");
    }
}
