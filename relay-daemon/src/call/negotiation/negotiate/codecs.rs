//! Which codecs the receiver of a message is told of.

use crate::call::model::media::LocalCodecs;
use crate::call::model::transcoding::Transcoding;
use crate::call::section::codecs::{
    Answer, Answered, Events, Selection, Terms, has_events, is_known, is_same, made_by_us,
};
use crate::sdp::{Codec, MediaKind};

use super::Pair;

impl Pair<'_> {
    /// What the receiver is told of an offer: what its sender has, and what is added.
    pub(in crate::call) fn choose_codecs(&mut self) {
        let options = &self.message.options.codecs;
        let all = &self.section.codecs;
        let events = match self.message.is_of_a_party() {
            true => Events::AtEachRate,
            false => Events::AsTheyAre,
        };
        let offered = options.offered(all, &self.receiver.codecs, &self.section.kind, events);
        let before = self.sender.terms.as_deref();
        let terms = match (self.message.is_of_a_party(), self.sender.transcoding) {
            (false, _) => None,
            // It speaks what was added for it, and may be answered so.
            (true, Transcoding::Answered) => Terms::of(all, options, before).or(Some(Terms::default())),
            (true, _) => Terms::of(all, options, before),
        };
        let accepts = terms.as_ref().is_some_and(Terms::has_accepted);
        self.receiver.gets_digits |= options.events_to_come;
        let is_forced = accepts || options.force || (self.receiver.gets_digits && !has_events(all));
        let is_forced = self.note_packing() || is_forced;
        let is_decodable = self.section.kind == MediaKind::Audio && all.iter().any(is_known);
        let is_of_a_party = self.message.is_of_a_party();
        self.receiver.forced_transcoding = is_of_a_party && is_decodable && is_forced;
        self.receiver.transcodes = self.receiver.forced_transcoding || offered.has_additions;
        (self.receiver.is_reencoded, self.sender.is_reencoded) = (options.force, false);
        (self.sender.forced_transcoding, self.sender.transcodes) = (false, false);
        self.sender.terms = terms.map(Box::new);
        self.sender.transcoding = Transcoding::None;
        self.receiver.transcoding = match offered.has_additions {
            true => Transcoding::Offered,
            false => Transcoding::None,
        };
        self.sender.codecs = all.clone();
        self.sender.offered_codecs = all.clone();
        self.tell(offered.selection, all);
        self.receiver.offered_codecs = self.receiver.local_codecs.list().to_vec();
        if self.message.options.ptime_reverse.is_some() {
            let told = &self.receiver.offered_codecs;
            let is_told = |codec: &&Codec| told.iter().any(|told| is_same(told, codec));
            self.sender.unpaced_codecs = all.iter().filter(|codec| !is_told(codec)).cloned().collect();
        }
    }

    /// What the receiver is told of an answer.
    pub(in crate::call) fn choose_answered_codecs(&mut self) {
        let remote_codecs = self.receiver.section().map(|section| section.codecs.as_slice());
        let own = match (self.message.is_of_a_party(), remote_codecs) {
            (true, Some(_)) => self.receiver.offered_codecs.as_slice(),
            // It was never asked for anything.
            (true, None) => &[],
            (false, remote_codecs) => remote_codecs.unwrap_or_default(),
        };
        let is_unknown = own.is_empty();
        let answer = Answer {
            own,
            offered: &self.sender.offered_codecs,
            is_for_us: !self.message.is_of_a_party(),
            remote_codecs: &self.section.codecs,
            terms: self.receiver.terms.as_deref(),
            preferences: &self.message.environment.settings.preferences,
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
        let is_forced = self.sender.forced_transcoding;
        self.receiver.forced_transcoding = self.note_packing() && is_forced;
        // Whose codecs the other side has as well is sent what comes from there as it is.
        let has_all = match &told {
            Selection::Codecs(codecs) => codecs
                .iter()
                .all(|codec| accepted.iter().any(|other| is_same(codec, other))),
            Selection::Restored | Selection::Formats | Selection::Rejected => true,
        };
        let is_sent_other = translated && (has_additions || !has_all);
        self.receiver.transcodes = self.receiver.forced_transcoding || is_sent_other;
        self.sender.transcodes = is_forced || translated || has_additions;
        self.receiver.gets_digits |= self.message.options.codecs.events_to_come;
        if !self.have_events() && self.section.codecs.iter().any(is_known) {
            self.sender.transcodes |= self.sender.gets_digits && self.section.kind == MediaKind::Audio;
            self.receiver.transcodes |= self.receiver.gets_digits && self.section.kind == MediaKind::Audio;
        }
        let told = match told {
            Selection::Codecs(codecs) => {
                let made = |codec: &Codec| match !is_unknown && self.is_made_anew(codec) {
                    true => made_by_us(codec, codec.rtpmap.as_ref().is_some_and(|map| map.channels > 1)),
                    false => codec.clone(),
                };
                Selection::Codecs(codecs.iter().map(made).collect())
            }
            Selection::Restored | Selection::Formats | Selection::Rejected => told,
        };
        self.tell(told, &accepted);
        self.sender.codecs = accepted;
    }

    /// Whether telephone events can be sent to both sides.
    fn have_events(&self) -> bool {
        let offered = self.receiver.section().map(|section| section.codecs.as_slice());
        has_events(offered.unwrap_or_default()) && has_events(&self.section.codecs)
    }

    /// Whether a side is told another packet time, which both take note of.
    pub(super) fn note_packing(&mut self) -> bool {
        let is_repacked = self.sender.told_ptime.is_some() || self.receiver.told_ptime.is_some();
        (self.sender.is_repacked, self.receiver.is_repacked) = (is_repacked, is_repacked);
        is_repacked
    }

    /// Whether what the receiver gets is written by us, in packets of another length.
    fn is_made_anew(&self, codec: &Codec) -> bool {
        self.section.kind == MediaKind::Audio && self.sender.pace(codec) != self.receiver.pace(codec)
    }

    fn tell(&mut self, selection: Selection, all: &[Codec]) {
        self.receiver.local_codecs = match selection {
            Selection::Codecs(codecs) => LocalCodecs::Listed(codecs),
            Selection::Restored => LocalCodecs::Listed(all.to_vec()),
            Selection::Formats => LocalCodecs::Formats,
            Selection::Rejected => LocalCodecs::Rejected,
        };
        self.receiver.codecs = match &self.receiver.local_codecs {
            LocalCodecs::Listed(codecs) => codecs.clone(),
            LocalCodecs::Formats | LocalCodecs::Rejected => all.to_vec(),
        };
    }
}
