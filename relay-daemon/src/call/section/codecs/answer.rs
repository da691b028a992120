//! What becomes of an answer's codecs on their way to whoever made the offer.
//!
//! It is answered in terms of what it offered itself. A codec that both sides have passes; one that the relay added to the
//! offer stands for one of the offerer's. An answer with nothing that was offered is taken by the names of its codecs,
//! whatever their payload types.

use crate::call::command::{CodecChoice, CodecOptions, CodecOrder};
use crate::config::Preferences;
use crate::sdp::{Codec, CodecPattern};

use super::draft::{Draft, Events};
use super::known::{EVENT, formats_fit, is_known, made_by_us};
use super::{Selection, channels, clock_rate, encoding, in_order, is_alike, is_same, is_supplemental};

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
    /// What the offerer has. Nothing if it has not spoken of that, or if it is the relay.
    pub(in crate::call) own: &'a [Codec],
    /// Whether it is the relay that offered: then it takes what it gets, if it has named nothing.
    pub(in crate::call) is_for_us: bool,
    /// What the answerer was told of it.
    pub(in crate::call) offered: &'a [Codec],
    /// What the answerer says.
    pub(in crate::call) remote_codecs: &'a [Codec],
    /// None if the offer says nothing about the answer.
    pub(in crate::call) terms: Option<&'a Terms>,
    /// What the operator prefers.
    pub(in crate::call) preferences: &'a Preferences,
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
    /// Whether the answerer has accepted a codec that was added to the offer.
    pub(in crate::call) has_additions: bool,
}

impl Terms {
    /// Of an offer of these codecs. None if neither the options nor the offer before say anything about them. What the
    /// offerer is answered with in any case lasts while it has that.
    pub(in crate::call) fn of(
        codecs: &[Codec],
        options: &CodecOptions,
        before: Option<&Terms>,
    ) -> Option<Terms> {
        let listed = |list: &[CodecPattern]| -> Vec<Codec> {
            let named = codecs.iter().filter(|codec| options.is_listed(list, codec));
            named.cloned().collect()
        };
        let (mut ignored, mut accepted) = (listed(&options.ignore), listed(&options.accept));
        if let Some(before) = before {
            let lasting = codecs.iter().filter(|codec| is_listed(&before.accepted, codec));
            accepted.extend(lasting.cloned());
        }
        if ignored.len() == codecs.len() {
            // It must be answered with something.
            ignored.clear();
        }
        let is_masked = codecs.iter().any(|codec| options.is_listed(&options.mask, codec));
        let has_terms = is_masked || !ignored.is_empty() || !accepted.is_empty();
        has_terms.then_some(Terms { ignored, accepted })
    }
}

impl Terms {
    /// Whether the offerer may be answered with something that nobody else has.
    pub(in crate::call) fn has_accepted(&self) -> bool {
        !self.accepted.is_empty()
    }
}

impl Answer<'_> {
    /// What it comes to.
    pub(in crate::call) fn taken(&self) -> Answered {
        let valid = self.remote_codecs.iter().filter(|codec| self.is_valid(codec));
        let mut valid: Vec<Codec> = valid.cloned().collect();
        let is_stray = valid.is_empty();
        let is_unknown = self.own.is_empty();
        let is_for_us = is_unknown && self.is_for_us;
        if is_stray || is_for_us {
            valid = self.remote_codecs.to_vec();
        }
        let has_media = self
            .own
            .iter()
            .any(|codec| !is_supplemental(codec) && is_known(codec));
        let is_taken = is_stray && !is_unknown && (self.options.asymmetric || !has_media);
        if is_for_us || is_taken {
            let told = match self.options.asymmetric {
                true => valid.clone(),
                false => self.in_own_numbers(&valid),
            };
            return Answered {
                told: Selection::Codecs(told),
                accepted: valid,
                translated: false,
                has_additions: false,
            };
        }
        let mut draft = Draft::new(&valid, self.remote_codecs);
        draft.edit(self.options, |codec| {
            self.options.is_listed(&self.options.strip, codec)
        });
        if self.options.choice == CodecChoice::First {
            draft.choose_first();
        }
        let (accepted, is_stray) = match draft.finish(self.options, Events::AtEachRate) {
            Selection::Codecs(codecs) => (codecs, is_stray),
            // Also what was never offered.
            Selection::Restored => (self.remote_codecs.to_vec(), true),
            told @ (Selection::Formats | Selection::Rejected) => {
                return Answered {
                    told,
                    accepted: valid,
                    translated: false,
                    has_additions: false,
                };
            }
        };
        if is_unknown {
            return Answered {
                told: Selection::Codecs(accepted.clone()),
                accepted,
                translated: false,
                has_additions: false,
            };
        }
        let mut reply = Reply::new(self, &accepted, is_stray);
        reply.fill();
        let told = match self.options.order {
            _ if reply.codecs.is_empty() && !accepted.is_empty() => Selection::Formats,
            CodecOrder::Known => Selection::Codecs(in_order(&reply.codecs, self.own)),
            CodecOrder::Sender | CodecOrder::Static => Selection::Codecs(reply.codecs),
        };
        Answered {
            told,
            translated: reply.translated,
            has_additions: !is_stray && accepted.iter().any(|codec| self.is_added(codec)),
            accepted,
        }
    }

    /// What only goes with other codecs has the number that the offerer has for it.
    fn in_own_numbers(&self, codecs: &[Codec]) -> Vec<Codec> {
        let mut numbered: Vec<Codec> = Vec::with_capacity(codecs.len());
        for codec in codecs {
            let own = self.own.iter().filter(|_| is_supplemental(codec));
            let codec = own.clone().find(|own| is_alike(own, codec)).unwrap_or(codec);
            if !numbered
                .iter()
                .any(|known| known.payload_type == codec.payload_type)
            {
                numbered.push(codec.clone());
            }
        }
        numbered
    }

    /// Whether a codec of the answer is media that the offerer does not have.
    fn is_added(&self, codec: &Codec) -> bool {
        !is_supplemental(codec) && !self.own.iter().any(|own| self.fits(own, codec))
    }

    /// Whether a codec of the answer is one that was offered, or that the offerer has.
    fn is_valid(&self, codec: &Codec) -> bool {
        self.own
            .iter()
            .chain(self.offered)
            .any(|other| self.fits(other, codec))
    }

    /// Whether the offerer is to be answered with a codec even if nobody else has it.
    fn is_wanted(&self, codec: &Codec) -> bool {
        self.terms.is_some_and(|terms| is_listed(&terms.accepted, codec))
    }

    /// Whether a codec of the offer is meant by one of the answer.
    fn fits(&self, one: &Codec, other: &Codec) -> bool {
        let is_it = is_same(one, other) || (self.options.asymmetric && is_alike(one, other));
        is_it && formats_fit(one, other)
    }
}

/// Whether a codec comes with any media of its clock rate. Redundancy is made of media that passes as it is.
fn is_companion(codec: &Codec) -> bool {
    is_supplemental(codec) && !codec.is("red")
}

fn is_listed(list: &[Codec], codec: &Codec) -> bool {
    list.iter().any(|other| is_same(other, codec))
}

/// The list for the offerer in the making.
struct Reply<'a> {
    answer: &'a Answer<'a>,
    accepted: &'a [Codec],
    is_stray: bool,
    /// The offerer's codecs that it may be answered with.
    usable: Vec<&'a Codec>,
    /// Of these, the media that others can be translated into.
    media: Vec<&'a Codec>,
    /// What it is answered with whatever the other side takes.
    favourite: Option<&'a Codec>,
    codecs: Vec<Codec>,
    /// What goes with codecs that were put in the place of others.
    companions: Vec<Codec>,
    /// The offerer's first of a kind, where the answerer took another one.
    others: Vec<Codec>,
    translated: bool,
    /// Clock rates of the answerer's media that the offerer does not have.
    translated_rates: Vec<Option<u32>>,
}

impl<'a> Reply<'a> {
    fn new(answer: &'a Answer<'a>, accepted: &'a [Codec], is_stray: bool) -> Reply<'a> {
        let is_ignored = |codec: &Codec| answer.terms.is_some_and(|terms| is_listed(&terms.ignored, codec));
        let usable: Vec<&Codec> = answer.own.iter().filter(|codec| !is_ignored(codec)).collect();
        let media = usable.iter().copied();
        let media: Vec<&Codec> = media
            .filter(|codec| !is_supplemental(codec) && is_known(codec))
            .collect();
        Reply {
            favourite: media.iter().copied().find(|codec| answer.is_wanted(codec)),
            media,
            usable,
            answer,
            accepted,
            is_stray,
            codecs: Vec::new(),
            companions: Vec::new(),
            others: Vec::new(),
            translated: false,
            translated_rates: Vec::new(),
        }
    }

    fn fill(&mut self) {
        let accepted = self.accepted;
        let media: Vec<Option<Codec>> = accepted
            .iter()
            .map(|codec| (!is_supplemental(codec)).then(|| self.media_for(codec)))
            .collect();
        let rates: Vec<Option<u32>> = media.iter().flatten().map(clock_rate).collect();
        for (codec, media) in accepted.iter().zip(media) {
            match (media, self.answer.terms) {
                (Some(media), _) => self.push(media),
                (None, None) => self.add_supplemental(codec, &rates),
                // It comes with media, or there is no media that it could come with.
                (None, Some(_)) if self.is_out_of_reach(codec) && self.own(codec).is_some() => {
                    self.push(codec.clone());
                }
                (None, Some(_)) => {}
            }
        }
        let is_empty = self.codecs.is_empty() && self.others.is_empty();
        if self.is_stray && is_empty && self.answer.terms.is_none() {
            self.add_first();
        }
        for kind in [EVENT, "CN"] {
            if self.is_accepted(kind) {
                for rate in self.rates() {
                    self.add_companion(kind, rate);
                }
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
    fn media_for(&mut self, codec: &Codec) -> Codec {
        let best = self.best(codec);
        let own = self.own(codec);
        let partner = match own {
            _ if !is_known(codec) => None,
            Some(own) => best.filter(|best| self.answer.is_wanted(best) && !is_same(own, best)),
            None if self.favourite.is_some() => best,
            None => {
                let mut media = self.media.iter().copied();
                media.find(|own| is_alike(own, codec)).or(best)
            }
        };
        let goes_with = |other: &&Codec| is_companion(other) && clock_rate(other) == clock_rate(codec);
        let companions = self.accepted.iter().filter(goes_with);
        let has =
            |own: &Codec, other: &Codec| own.is(encoding(other)) && clock_rate(own) == clock_rate(other);
        let lacks = |other: &Codec| !self.answer.own.iter().any(|own| has(own, other));
        // Events that the offerer does not have are written into its media.
        let has_foreign_events = !self.is_stray && is_known(codec) && companions.clone().any(lacks);
        let partner = partner.or(own.filter(|_| has_foreign_events));
        let told = match partner {
            Some(partner) => made_by_us(partner, channels(codec) > 1),
            None => codec.clone(),
        };
        if partner.is_some_and(|partner| has_foreign_events || !is_alike(partner, codec)) {
            self.translated = true;
            self.translated_rates.push(clock_rate(codec));
        }
        if is_known(codec) && (partner.is_some() || self.answer.terms.is_some()) {
            for other in companions {
                let companion = self.partner(encoding(other), clock_rate(&told));
                self.companions.extend(companion);
            }
        }
        told
    }

    /// Which of the offerer's codecs stands best for another one: what the operator prefers, what it is to be answered with,
    /// what it named first.
    fn best(&self, codec: &Codec) -> Option<&'a Codec> {
        let preferences = self.answer.preferences;
        let rank = |own: &Codec| (preferences.weight(codec, own), self.answer.is_wanted(own));
        // The first of equals is the last of them from behind.
        self.media.iter().copied().rev().max_by_key(|own| rank(own))
    }

    /// What only goes with others: if the offerer has it, or if nothing was offered of what the answerer says.
    fn add_supplemental(&mut self, codec: &Codec, rates: &[Option<u32>]) {
        let rate = clock_rate(codec);
        let partner = self.partner(encoding(codec), rate);
        let is_translated = self.translated_rates.contains(&rate) && !is_companion(codec);
        let is_lost = !self.translated_rates.is_empty() && !rates.contains(&rate);
        if !self.is_stray && (is_translated || is_lost) {
            return;
        }
        match self.own(codec) {
            Some(_) => self.push(codec.clone()),
            None if !self.is_stray => return,
            None if partner.is_some() => {}
            None if self.media.is_empty() => self.push(codec.clone()),
            None => {
                self.add_first();
                for rate in self.rates().into_iter().filter(|_| is_companion(codec)) {
                    self.add_companion(encoding(codec), rate);
                }
            }
        }
        self.others
            .extend(partner.filter(|_| !self.answer.options.asymmetric));
    }

    /// Whether nothing that the offerer may be answered with has this clock rate.
    fn is_out_of_reach(&self, codec: &Codec) -> bool {
        let has_rate = |other: &Codec| clock_rate(other) == clock_rate(codec);
        let mut media = self.media.iter();
        match self.favourite {
            Some(_) => {
                let reaches = |own: &&&Codec| self.answer.is_wanted(own) && has_rate(own);
                !self.is_accepted(EVENT) && media.find(reaches).is_none()
            }
            None => {
                // What was ignored would have reached it.
                let mut of_offerer = self
                    .answer
                    .own
                    .iter()
                    .filter(|own| !is_supplemental(own) && is_known(own));
                !self.media.is_empty() && !of_offerer.any(has_rate)
            }
        }
    }

    /// Whether some of a kind are to be answered with even if nobody else has them.
    fn is_accepted(&self, kind: &str) -> bool {
        let accepted = self.answer.terms.map_or(&[][..], |terms| &terms.accepted);
        accepted.iter().any(|codec| codec.is(kind))
    }

    fn add_first(&mut self) {
        let Some(first) = self.favourite.or(self.media.first().copied()) else {
            return;
        };
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
mod tests;
