//! Which codecs the receiver of a message is told of.

use crate::sdp::{Codec, MediaKind};

use super::super::codecs::{Answer, Answered, Events, Selection, Terms, made_by_us};
use super::super::media::ToldCodecs;
use super::super::transcode::Transcoding;
use super::Pair;

impl Pair<'_> {
    /// What the receiver is told of an offer: what its sender has, and what is added.
    pub(super) fn choose_codecs(&mut self) {
        let options = &self.message.options.codecs;
        let all = &self.section.codecs;
        let events = match self.message.is_of_a_party() {
            true => Events::AtEachRate,
            false => Events::AsTheyAre,
        };
        let offered = options.offered(all, &self.receiver.codecs, &self.section.kind, events);
        let terms = match (self.message.is_of_a_party(), self.sender.transcoding) {
            (false, _) => None,
            // It speaks what was added for it, and may be answered so.
            (true, Transcoding::Answered) => Terms::of(all, options).or(Some(Terms::default())),
            (true, _) => Terms::of(all, options),
        };
        self.sender.terms = terms.map(Box::new);
        self.sender.transcoding = Transcoding::None;
        self.receiver.transcoding = match offered.has_additions {
            true => Transcoding::Offered,
            false => Transcoding::None,
        };
        self.sender.codecs = all.clone();
        self.tell(offered.selection, all);
    }

    /// What the receiver is told of an answer.
    pub(super) fn choose_answered_codecs(&mut self) {
        let offered = self.sender.told_codecs.list();
        let own = self.receiver.section().map(|section| section.codecs.as_slice());
        let answer = Answer {
            own: own.unwrap_or_default(),
            offered,
            said: &self.section.codecs,
            terms: self.receiver.terms.as_deref(),
            preferences: &self.message.premises.settings.preferences,
            options: &self.message.options.codecs,
        };
        let Answered {
            told,
            accepted,
            translated,
            has_additions,
        } = answer.taken();
        let transcoding = match translated {
            true => Transcoding::Needed,
            false => Transcoding::None,
        };
        self.receiver.transcoding = transcoding;
        self.sender.transcoding = match has_additions {
            true => Transcoding::Answered,
            false => transcoding,
        };
        let told = match told {
            Selection::Codecs(codecs) if self.is_made_anew() => {
                let made = |codec: &Codec| {
                    made_by_us(codec, codec.rtpmap.as_ref().is_some_and(|map| map.channels > 1))
                };
                Selection::Codecs(codecs.iter().map(made).collect())
            }
            Selection::Codecs(_) | Selection::Restored | Selection::Formats | Selection::Rejected => told,
        };
        self.tell(told, &accepted);
        self.sender.codecs = accepted;
    }

    /// Whether what the receiver gets is written by us, in packets of another length.
    fn is_made_anew(&self) -> bool {
        self.section.kind == MediaKind::Audio && self.sender.told_ptime.is_some()
    }

    fn tell(&mut self, selection: Selection, all: &[Codec]) {
        self.receiver.told_codecs = match selection {
            Selection::Codecs(codecs) => ToldCodecs::Listed(codecs),
            Selection::Restored => ToldCodecs::Listed(all.to_vec()),
            Selection::Formats => ToldCodecs::Formats,
            Selection::Rejected => ToldCodecs::Rejected,
        };
        self.receiver.codecs = match &self.receiver.told_codecs {
            ToldCodecs::Listed(codecs) => codecs.clone(),
            ToldCodecs::Formats | ToldCodecs::Rejected => all.to_vec(),
        };
    }
}
