//! What becomes of an answer's codecs on their way to whoever made the offer.
//!
//! It is answered in terms of what it offered itself. A codec that both sides have passes; one that the relay added to the
//! offer stands for one of the offerer's. An answer with nothing that was offered is taken by the names of its codecs,
//! whatever their payload types.

use crate::sdp::Codec;

use super::draft::{Draft, Events};
use super::known::{EVENT, formats_fit, is_known, made_by_us};
use super::{
    CodecOptions, CodecPattern, Selection, channels, clock_rate, encoding, is_alike, is_same, is_supplemental,
};

/// What the options of an offer say about the answer.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct Terms {
    /// What the offerer is not answered with.
    ignored: Vec<Codec>,
    /// What it is answered with even if nobody else has it.
    accepted: Vec<Codec>,
}

/// An answer, and what it answers.
pub(in crate::call) struct Answer<'a> {
    /// What the offerer has.
    pub(in crate::call) own: &'a [Codec],
    /// What the answerer was told of it.
    pub(in crate::call) offered: &'a [Codec],
    /// What the answerer says.
    pub(in crate::call) said: &'a [Codec],
    /// None if the offer says nothing about the answer.
    pub(in crate::call) terms: Option<&'a Terms>,
    /// Options of the answer.
    pub(in crate::call) options: &'a CodecOptions,
}

/// What an answer comes to.
#[derive(Clone, Debug)]
pub(in crate::call) struct Answered {
    /// What the offerer is told.
    pub(in crate::call) told: Selection,
    /// What the answerer has accepted.
    pub(in crate::call) accepted: Vec<Codec>,
    /// Whether one side uses a codec that the other one does not have.
    pub(in crate::call) translated: bool,
}

impl Terms {
    /// Of an offer of these codecs. None if the options say nothing about them.
    pub(in crate::call) fn of(codecs: &[Codec], options: &CodecOptions) -> Option<Terms> {
        let listed = |list: &[CodecPattern]| -> Vec<Codec> {
            let named = codecs.iter().filter(|codec| options.is_listed(list, codec));
            named.cloned().collect()
        };
        let (mut ignored, accepted) = (listed(&options.ignore), listed(&options.accept));
        if ignored.len() == codecs.len() {
            // It must be answered with something.
            ignored.clear();
        }
        let is_masked = codecs.iter().any(|codec| options.is_listed(&options.mask, codec));
        let has_terms = is_masked || !ignored.is_empty() || !accepted.is_empty();
        has_terms.then_some(Terms { ignored, accepted })
    }
}

impl Answer<'_> {
    /// What it comes to.
    pub(in crate::call) fn taken(&self) -> Answered {
        let valid = self.said.iter().filter(|codec| self.is_valid(codec));
        let mut valid: Vec<Codec> = valid.cloned().collect();
        let is_stray = valid.is_empty();
        if is_stray {
            valid = self.said.to_vec();
        }
        let answers_nothing = self.own.is_empty() && self.offered.is_empty();
        if answers_nothing || (is_stray && self.options.asymmetric) {
            return Answered {
                told: Selection::Codecs(valid.clone()),
                accepted: valid,
                translated: false,
            };
        }
        let mut draft = Draft::new(&valid, self.said);
        draft.edit(self.options, |codec| {
            self.options.is_listed(&self.options.strip, codec)
        });
        let accepted = match draft.finish(self.options, Events::AtEachRate) {
            Selection::Codecs(codecs) => self.options.choose(codecs),
            Selection::Restored => self.said.to_vec(),
            told @ (Selection::Formats | Selection::Rejected) => {
                return Answered {
                    told,
                    accepted: valid,
                    translated: false,
                };
            }
        };
        let mut reply = Reply::new(self, &accepted, is_stray);
        reply.fill();
        let told = match reply.codecs.is_empty() && !accepted.is_empty() {
            true => Selection::Formats,
            false => Selection::Codecs(reply.codecs),
        };
        Answered {
            told,
            translated: reply.translated,
            accepted,
        }
    }

    /// Whether a codec of the answer is one that was offered, or that the offerer has.
    fn is_valid(&self, codec: &Codec) -> bool {
        self.own
            .iter()
            .chain(self.offered)
            .any(|other| self.fits(other, codec))
    }

    /// Whether a codec of the offer is meant by one of the answer.
    fn fits(&self, one: &Codec, other: &Codec) -> bool {
        let is_it = is_same(one, other) || (self.options.asymmetric && is_alike(one, other));
        is_it && formats_fit(one, other)
    }
}

/// The list for the offerer in the making.
struct Reply<'a> {
    answer: &'a Answer<'a>,
    accepted: &'a [Codec],
    is_stray: bool,
    /// The offerer's codecs that it may be answered with.
    usable: Vec<&'a Codec>,
    /// What it is answered with whatever the other side takes.
    favourite: Option<&'a Codec>,
    /// What stands for codecs that it does not have.
    first: Option<&'a Codec>,
    codecs: Vec<Codec>,
    /// What goes with codecs that were put in the place of others.
    companions: Vec<Codec>,
    /// The offerer's first of a kind, where the answerer took another one.
    others: Vec<Codec>,
    translated: bool,
}

impl<'a> Reply<'a> {
    fn new(answer: &'a Answer<'a>, accepted: &'a [Codec], is_stray: bool) -> Reply<'a> {
        let is_listed = |list: &[Codec], codec: &Codec| list.iter().any(|other| is_same(other, codec));
        let is_ignored = |codec: &Codec| answer.terms.is_some_and(|terms| is_listed(&terms.ignored, codec));
        let is_wanted = |codec: &Codec| {
            answer
                .terms
                .is_some_and(|terms| is_listed(&terms.accepted, codec))
        };
        let usable: Vec<&Codec> = answer.own.iter().filter(|codec| !is_ignored(codec)).collect();
        let mut media = usable
            .iter()
            .copied()
            .filter(|codec| !is_supplemental(codec) && is_known(codec));
        let favourite = media.clone().find(|codec| is_wanted(codec));
        Reply {
            favourite,
            first: favourite.or(media.next()),
            usable,
            answer,
            accepted,
            is_stray,
            codecs: Vec::new(),
            companions: Vec::new(),
            others: Vec::new(),
            translated: false,
        }
    }

    fn fill(&mut self) {
        for codec in self.accepted {
            match (is_supplemental(codec), self.answer.terms) {
                (false, _) => self.add_media(codec),
                (true, None) => self.add_supplemental(codec),
                // It comes with media, or there is no media that it could come with.
                (true, Some(_)) if self.is_out_of_reach(codec) && self.own(codec).is_some() => {
                    self.push(codec.clone());
                }
                (true, Some(_)) => {}
            }
        }
        if self.is_stray && self.codecs.is_empty() && self.answer.terms.is_none() {
            self.add_first();
        }
        if self.has_accepted_events() {
            for rate in self.rates() {
                self.add_companion(EVENT, rate);
            }
        }
        self.join_companions();
    }

    /// The codec of the offerer that is meant.
    fn own(&self, codec: &Codec) -> Option<&'a Codec> {
        self.usable
            .iter()
            .copied()
            .find(|own| self.answer.fits(own, codec))
    }

    /// A codec that the answerer has accepted, or what the offerer has in its place.
    fn add_media(&mut self, codec: &Codec) {
        let partner = match (self.own(codec), self.favourite, self.first) {
            _ if !is_known(codec) => None,
            (Some(own), Some(favourite), _) if !is_same(own, favourite) => Some(favourite),
            (Some(_), _, _) | (None, _, None) => None,
            (None, None, Some(first)) => {
                let alike = self.usable.iter().copied().find(|own| is_alike(own, codec));
                alike.or(Some(first))
            }
            (None, Some(favourite), _) => Some(favourite),
        };
        let told = match partner {
            Some(partner) => made_by_us(partner, channels(codec) > 1),
            None => codec.clone(),
        };
        self.translated |= partner.is_some_and(|partner| !is_alike(partner, codec));
        let rate = clock_rate(&told);
        self.push(told);
        if partner.is_some() || self.answer.terms.is_some() {
            let goes_with = |other: &&Codec| is_supplemental(other) && clock_rate(other) == clock_rate(codec);
            for other in self.accepted.iter().filter(goes_with) {
                self.add_companion(encoding(other), rate);
            }
        }
    }

    /// What only goes with others: if the offerer has it, or if nothing was offered of what the answerer says.
    fn add_supplemental(&mut self, codec: &Codec) {
        let partner = self.partner(encoding(codec), clock_rate(codec));
        match self.own(codec) {
            Some(_) => self.push(codec.clone()),
            None if !self.is_stray => return,
            None if partner.is_some() => {}
            None => {
                self.add_first();
                for rate in self.rates() {
                    self.add_companion(encoding(codec), rate);
                }
            }
        }
        self.others
            .extend(partner.filter(|_| !self.answer.options.asymmetric));
    }

    /// Whether nothing that the offerer is to be answered with has this clock rate.
    fn is_out_of_reach(&self, codec: &Codec) -> bool {
        let accepted = self.answer.terms.map_or(&[][..], |terms| &terms.accepted);
        let reaches = |other: &Codec| other.is(EVENT) || clock_rate(other) == clock_rate(codec);
        self.favourite.is_some() && !accepted.iter().any(reaches)
    }

    fn has_accepted_events(&self) -> bool {
        let accepted = self.answer.terms.map_or(&[][..], |terms| &terms.accepted);
        accepted.iter().any(|codec| codec.is(EVENT))
    }

    fn add_first(&mut self) {
        if self.codecs.iter().any(|codec| !is_supplemental(codec)) {
            return;
        }
        let Some(first) = self.first else { return };
        self.translated = true;
        self.push(made_by_us(first, false));
    }

    /// Clock rates of the media in the list.
    fn rates(&self) -> Vec<Option<u32>> {
        let media = self.codecs.iter().filter(|codec| !is_supplemental(codec));
        media.map(clock_rate).collect()
    }

    /// What the offerer has of a kind that goes with media of a clock rate.
    fn partner(&self, encoding: &str, rate: Option<u32>) -> Option<Codec> {
        let mut usable = self.usable.iter().copied();
        let is_it = |own: &&Codec| own.is(encoding) && clock_rate(own) == rate;
        usable.find(is_it).filter(|own| is_supplemental(own)).cloned()
    }

    fn add_companion(&mut self, encoding: &str, rate: Option<u32>) {
        let companion = self.partner(encoding, rate);
        self.companions.extend(companion);
    }

    /// The offerer's own word counts for what goes with media that the answerer did not choose.
    fn join_companions(&mut self) {
        for companion in std::mem::take(&mut self.companions) {
            let number = companion.payload_type;
            match self.codecs.iter_mut().find(|codec| codec.payload_type == number) {
                Some(known) => *known = companion,
                None => self.codecs.push(companion),
            }
        }
        for other in std::mem::take(&mut self.others) {
            self.push(other);
        }
    }

    fn push(&mut self, codec: Codec) {
        let is_there = |other: &Codec| other.payload_type == codec.payload_type;
        if !self.codecs.iter().any(is_there) {
            self.codecs.push(codec);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sdp::MediaKind;

    use super::super::tests::{codecs, options, selected};
    use super::*;

    /// What the offerer is told, after an offer and an answer with these codecs and options.
    fn answered(offer: &str, offer_options: &str, answer: &str, answer_options: &str) -> String {
        let (own, said) = (codecs(offer), codecs(answer));
        let offer_options = options(offer_options);
        let offered = offer_options.offered(&own, &[], &MediaKind::Audio, Events::AtEachRate);
        let offered = match offered.selection {
            Selection::Codecs(codecs) => codecs,
            Selection::Restored | Selection::Formats | Selection::Rejected => Vec::new(),
        };
        let terms = Terms::of(&own, &offer_options);
        let answer = Answer {
            own: &own,
            offered: &offered,
            said: &said,
            terms: terms.as_ref(),
            options: &options(answer_options),
        };
        selected(&answer.taken().told)
    }

    fn plain(offer: &str, answer: &str) -> String {
        answered(offer, "", answer, "")
    }

    #[test]
    fn what_both_have_passes() {
        assert_eq!(plain("0 8 101=te/8000", "8 0"), "8 0");
        assert_eq!(
            plain("0 8 101=te/8000{0-15}", "8 101=te/8000{0-11}"),
            "8 101{0-11}"
        );
        assert_eq!(plain("0 8", "9 0 100"), "0", "the rest does not");
        assert_eq!(plain("0 8 101=te/8000", "9 101=te/8000"), "101");
        assert_eq!(
            answered("0 8 101=te/8000", "strip=PCMU", "0 101=te/8000", ""),
            "0 101"
        );
        assert_eq!(plain("8 101=te/8000 96=te/8000", "8 96=te/8000"), "8 96 101");
    }

    #[test]
    fn an_answer_with_nothing_that_was_offered_is_taken_by_names() {
        let opus = "111=opus/48000/2 110=te/48000";
        let stereo = "111{stereo=1;useinbandfec=1}";
        assert_eq!(plain("0 8", "97=PCMA/8000 98=PCMU/8000"), "8 0");
        assert_eq!(
            plain(opus, "106=opus/48000/2 97=te/48000"),
            format!("{stereo} 110")
        );
        assert_eq!(
            plain(opus, "106=opus/48000/2 97=te/8000"),
            format!("{stereo} 110")
        );
        assert_eq!(plain("0 8 101=te/8000", "9 97=te/8000"), "0 101");
        assert_eq!(plain("0 8 101=te/8000", "9"), "0");
        assert_eq!(plain("0 8", "101=te/8000"), "0");
        assert_eq!(plain("8 101=te/8000", "97=te/48000"), "8 101");
        assert_eq!(plain("0 8", "100=foo/8000"), "100", "it cannot be anything else");
        assert_eq!(answered("0 8", "", "9", "asymmetric="), "9");
    }

    #[test]
    fn parameters_may_keep_ends_apart() {
        let amr = "96=AMR-WB/16000{octet-align=1} 8";
        assert_eq!(plain(amr, "96=AMR-WB/16000 8"), "8");
        assert_eq!(
            plain(amr, "96=AMR-WB/16000{octet-align=1;mode-set=2} 8"),
            "96{octet-align=1;mode-set=2} 8"
        );
        assert_eq!(plain("3 8", "3{odd=yes} 8"), "8");
        assert_eq!(plain("18{annexb=no} 8", "18 8"), "18 8");
    }

    #[test]
    fn added_codecs_stand_for_one_of_the_offerer() {
        let told = |answer: &str| answered("0 8 101=te/8000{0-15}", "+G722", answer, "");
        assert_eq!(told("9 8"), "0 8");
        assert_eq!(told("9 101=te/8000"), "0 101{0-15}", "in its own words");
        assert_eq!(told("3 9"), "0");
        let told = |answer: &str| answered("0 8 101=te/8000{0-15}", "+opus", answer, "");
        assert_eq!(told("96=opus/48000/2 97=te/48000"), "0 101{0-15}");
        assert_eq!(told("96=opus/48000/2 101=te/8000"), "0 101");
        assert_eq!(told("8 97=te/48000"), "8");
    }

    #[test]
    fn some_codecs_are_answered_whatever_the_answer_is() {
        let list = "111=opus/48000/2{useinbandfec=1} 0 8 110=te/48000{0-11} 101=te/8000{0-15}";
        let told = |options: &str, answer: &str| answered(list, options, answer, "");
        let mono = "111{stereo=0;useinbandfec=1}";
        assert_eq!(told("accept=opus", "8"), mono);
        assert_eq!(
            told("accept=opus", "8 101=te/8000{0-12}"),
            format!("{mono} 101{{0-12}} 110{{0-11}}")
        );
        assert_eq!(
            told("accept=opus,PCMA", "8 101=te/8000"),
            format!("{mono} 110{{0-11}}")
        );
        assert_eq!(told("accept=PCMU", "8 101=te/8000"), "0 101{0-15}");
        assert_eq!(told("accept=PCMU", "101=te/8000"), "formats");
        assert_eq!(told("accept=all", "111=opus/48000/2"), "111 110{0-11}");
        assert_eq!(told("ignore=all except=PCMA", "8 101=te/8000"), "8");
        assert_eq!(told("ignore=all", "0"), "0", "something must be left");
        assert_eq!(
            told("mask=all +G722", "9 101=te/8000"),
            format!("{mono} 110{{0-11}}")
        );
    }

    #[test]
    fn answers_are_edited_before_they_are_taken() {
        let told = |answer: &str, options: &str| answered("0 8 101=te/8000", "+G722", answer, options);
        assert_eq!(told("9 8 101=te/8000", "strip=G722"), "8 101");
        assert_eq!(told("9 8 101=te/8000", "strip=PCMU"), "0 8 101");
        assert_eq!(told("0 8 101=te/8000", "strip=PCMU,PCMA"), "formats");
        assert_eq!(told("0 8 101=te/8000", "strip=all offer=PCMA"), "8");
        assert_eq!(told("9 8 101=te/8000", "single="), "0 101");
    }
}
