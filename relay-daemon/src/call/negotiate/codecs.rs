//! Which codecs the receiver of a message is told of.

use crate::sdp::{Codec, MediaKind};

use super::super::codecs::{is_alike, is_same, is_supplemental};
use super::super::media::ToldCodecs;
use super::super::transcode::{Events, OwnCodecs, Transcoding, channels, made_by_us, with_additions};
use super::Pair;

impl Pair<'_> {
    /// What the receiver is told of an offer: what its sender has, and what is added.
    pub(super) fn choose_codecs(&mut self) {
        let options = &self.message.options.codecs;
        let all = &self.section.codecs;
        let known = self.receiver.told_codecs.list();
        let additions = match self.section.kind {
            MediaKind::Audio if !options.transcode.is_empty() => {
                let left = options.left(&all.iter().collect::<Vec<_>>());
                let events = match self.message.is_of_a_party() {
                    true => Events::AtEachRate,
                    false => Events::AsTheyAre,
                };
                with_additions(&left, all, &options.transcode, events)
            }
            MediaKind::Audio
            | MediaKind::Video
            | MediaKind::Text
            | MediaKind::Application
            | MediaKind::Image
            | MediaKind::Message
            | MediaKind::Other(_) => None,
        };
        self.receiver.transcoding = match additions {
            Some(_) => Transcoding::Offered,
            None => Transcoding::None,
        };
        self.receiver.told_codecs = match additions {
            Some(codecs) => ToldCodecs::Listed(codecs),
            None => options.select(all.iter().collect(), known).into(),
        };
        self.sender.transcoding = Transcoding::None;
        self.sender.own_codecs = OwnCodecs::of(all, options).map(Box::new);
    }

    /// What the receiver is told of an answer.
    pub(super) fn choose_answered_codecs(&mut self) {
        let (told, transcoding) = self.answered_codecs();
        self.receiver.told_codecs = told;
        self.sender.transcoding = transcoding;
        self.receiver.transcoding = transcoding;
    }

    /// Only what was offered, unless nothing would be left of it, and in terms of what the receiver offered itself.
    fn answered_codecs(&self) -> (ToldCodecs, Transcoding) {
        let options = &self.message.options.codecs;
        let offered = self.sender.told_codecs.list();
        let is_offered = |codec: &&Codec| {
            let alike = |other: &Codec| options.asymmetric && is_alike(codec, other);
            offered.iter().any(|other| is_same(codec, other) || alike(other))
        };
        let all: Vec<&Codec> = self.section.codecs.iter().collect();
        let mut codecs: Vec<&Codec> = all.iter().copied().filter(is_offered).collect();
        let partners = self.receiver.own_codecs.as_ref().map(|own| own.partners(&codecs));
        let are_supplemental = |codecs: &[&Codec]| codecs.iter().all(|codec| is_supplemental(codec));
        match &partners {
            Some(partners) => codecs = partners.codecs.iter().collect(),
            None if codecs.is_empty() => codecs = all,
            // They have no codec in common.
            None if are_supplemental(&codecs) && !are_supplemental(&all) => {
                return (ToldCodecs::Formats, Transcoding::None);
            }
            None => {}
        }
        let repacked: Vec<Codec>;
        if self.section.kind == MediaKind::Audio && self.sender.told_ptime.is_some() {
            let made = |codec| made_by_us(codec, channels(codec) > 1);
            repacked = codecs.into_iter().map(made).collect();
            codecs = repacked.iter().collect();
        }
        let known = self.receiver.told_codecs.list();
        let told = options.select(options.choose(codecs), known).into();
        let transcoding = partners.as_ref().map(|partners| partners.transcoding);
        (told, transcoding.unwrap_or_default())
    }
}
