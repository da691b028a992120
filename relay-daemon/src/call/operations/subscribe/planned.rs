//! What a subscriber is to be offered.

use crate::call::command::SubscriptionFlags;
use crate::call::model::flow::{MediaId, PartyId, Subscribed, Subscription};
use crate::call::model::media::{Media, Visibility};
use crate::call::model::state::Call;
use crate::sdp::{Codec, CodecPattern, Direction, Ice, MediaKind, MediaSection, Protocol, Text};

/// A section for the subscriber, and what it gets there.
pub(super) struct Planned {
    pub(super) section: MediaSection,
    pub(super) sources: Vec<MediaId>,
    /// Whether anything is known of it that could be said in an SDP.
    pub(super) is_usable: bool,
}

impl Call {
    /// One section for each of the sources', or for all of a kind together. What the subscriber has been offered before
    /// keeps its place (RFC 3264, section 8), without media if it is not wanted any more.
    pub(super) fn plan_subscription(
        &self,
        subscriber: PartyId,
        parties: &[PartyId],
        all: bool,
        flags: SubscriptionFlags,
    ) -> Vec<Planned> {
        let wanted = self.sources_of(parties, all);
        let kind = |id: MediaId| self.media(id).map(|media| &media.kind);
        let own = |index| MediaId {
            party: subscriber,
            index,
        };
        let count = self.party(subscriber).media.len();
        let known: Vec<MediaId> = (0..count)
            .flat_map(|index| self.sources_in(own(index), &wanted))
            .collect();
        let mut newcomers: Vec<MediaId> = wanted.clone();
        newcomers.retain(|id| !known.contains(id));
        let mut planned: Vec<Planned> = Vec::new();
        for own in (0..count).map(own) {
            let known = self.sources_in(own, &wanted).into_iter();
            let (mut kept, ended): (Vec<MediaId>, Vec<MediaId>) = known.partition(|id| wanted.contains(id));
            if flags.mix {
                // Newcomers are mixed with the first of their kind.
                let (alike, others): (Vec<MediaId>, _) =
                    newcomers.iter().partition(|id| kind(**id) == kind(own));
                newcomers = others;
                kept = wanted
                    .iter()
                    .copied()
                    .filter(|id| kept.contains(id) || alike.contains(id))
                    .collect();
            }
            let Some(first) = kept.first().or(ended.first()).copied() else {
                break;
            };
            let mut sections = kept.iter().filter_map(|id| self.planned(*id, flags));
            let Some((section, is_usable)) = sections.next().or_else(|| self.planned(first, flags)) else {
                continue;
            };
            let section = sections.fold(section, |known, (section, _)| mixed(&known, section));
            planned.push(Planned {
                section: match kept.is_empty() {
                    true => MediaSection { port: 0, ..section },
                    false => section,
                },
                sources: kept,
                is_usable,
            });
        }
        for id in wanted {
            let is_known = planned.iter().any(|planned| planned.sources.contains(&id));
            let Some((section, is_usable)) = self.planned(id, flags).filter(|_| !is_known) else {
                continue;
            };
            let same_kind = |planned: &&mut Planned| {
                flags.mix && planned.section.kind == section.kind && !planned.sources.is_empty()
            };
            match planned.iter_mut().find(same_kind) {
                Some(known) => {
                    known.section = mixed(&known.section, section);
                    known.sources.push(id);
                }
                None => planned.push(Planned {
                    section,
                    sources: vec![id],
                    is_usable,
                }),
            }
        }
        planned
    }

    /// What a source has offered and does not use may be offered all the same.
    pub(super) fn take_back(&self, planned: &mut Planned, wanted: &[CodecPattern]) {
        let source = planned.sources.first().and_then(|source| self.media(*source));
        let all = source.filter(|source| !source.rejected).and_then(Media::section);
        let all = all.map(|section| section.codecs.as_slice()).unwrap_or_default();
        let codecs = &mut planned.section.codecs;
        let named = wanted.iter().filter(|pattern| **pattern != CodecPattern::All);
        for codec in named.flat_map(|pattern| all.iter().filter(|codec| pattern.matches(codec))) {
            let is_taken = |known: &Codec| known.payload_type == codec.payload_type;
            if !codecs.iter().any(is_taken) {
                codecs.push(codec.clone());
            }
        }
    }

    /// The sections of some parties: of one after the other, or of all in the order in which they came up.
    fn sources_of(&self, parties: &[PartyId], all: bool) -> Vec<MediaId> {
        let is_told = |media: &Media| media.shown != Visibility::Removed;
        let sections = self.sections().filter(|(id, _)| parties.contains(&id.party));
        let sections = sections.filter(|(_, media)| is_told(media));
        let mut sections: Vec<(MediaId, &Media)> = sections.collect();
        match all {
            true => sections.sort_by_key(|(_, media)| media.rtp.id),
            false => {
                sections.sort_by_key(|(id, _)| parties.iter().position(|party| *party == id.party));
            }
        }
        sections.into_iter().map(|(id, _)| id).collect()
    }

    /// What a subscriber is offered of a section, and whether it can be.
    fn planned(&self, source: MediaId, flags: SubscriptionFlags) -> Option<(MediaSection, bool)> {
        let media = self.media(source)?;
        let Some(remote_section) = media.section().filter(|_| is_subscribable(media)) else {
            return Some((unknown_section(media), false));
        };
        let mut section = offered_section(media, remote_section, flags);
        if flags.siprec {
            section.label = Some(Text::from(media.ordinal().to_string()));
        }
        Some((section, true))
    }

    /// The sections that a subscriber's section gets media of; of a party in a dialogue, that in its place if it is wanted.
    fn sources_in(&self, own: MediaId, wanted: &[MediaId]) -> Vec<MediaId> {
        let is_source = |known: &&Subscription| {
            known.sink == own && matches!(known.what, Subscribed::Media | Subscribed::Egress)
        };
        let known = self.subscriptions.iter().filter(is_source);
        let known: Vec<MediaId> = known.map(|known| known.source).collect();
        if !known.is_empty() {
            return known;
        }
        let peers = self.party(own.party).peers.iter();
        let in_place = peers.map(|party| MediaId { party: *party, ..own });
        in_place.filter(|id| wanted.contains(id)).collect()
    }
}

/// Whether its party has ever spoken of the section otherwise than to reject it.
fn is_subscribable(media: &Media) -> bool {
    media.endpoints.stated.is_some()
}

/// A section of which nobody knows what it is.
fn unknown_section(media: &Media) -> MediaSection {
    MediaSection {
        kind: MediaKind::Other(Text::from_static("")),
        protocol: Protocol::Other(Text::from_static("")),
        ..MediaSection::of(
            &media.kind,
            Direction::new(media.direction.sends() && !media.bare, false),
        )
    }
}

/// What is offered of several sections together. As in the reference: the last of them says what comes.
fn mixed(known: &MediaSection, last: MediaSection) -> MediaSection {
    MediaSection {
        protocol: known.protocol.clone(),
        attributes: known.attributes.clone(),
        bandwidth: known.bandwidth.clone(),
        information: known.information.clone(),
        ptime: last.ptime.or(known.ptime),
        ..last
    }
}

/// What the subscriber is offered of a section: what its party sends, or with `egress` what is sent to it. It is inactive
/// where the party does not send, as in the reference.
pub(super) fn offered_section(
    media: &Media,
    remote_section: &MediaSection,
    flags: SubscriptionFlags,
) -> MediaSection {
    let mut section = MediaSection {
        direction: match flags {
            SubscriptionFlags { inactive: true, .. } => Direction::Inactive,
            SubscriptionFlags { .. } => Direction::new(
                media.direction.sends(),
                flags.bidirectional && media.direction.receives(),
            ),
        },
        stated_direction: None,
        // Each party counts its own.
        mid: None,
        crypto: media.crypto.in_use(&remote_section.crypto),
        label: media.told_label.clone(),
        ..remote_section.clone()
    };
    if !media.ice.is_on() && !media.ice.is_answered_unasked() {
        section.ice = Ice::default();
    }
    if !media.codecs.is_empty() {
        section.codecs = media.codecs.clone();
        let numbers = section.codecs.iter().map(|codec| codec.payload_type.to_string());
        section.formats = Text::from(numbers.collect::<Vec<_>>().join(" "));
    }
    if media.rejected && section.protocol.is_rtp() {
        // What was said of the formats does not hold any more.
        section.codecs.clear();
    }
    if section.is_rejected() {
        section.port = media.endpoints.stated.map_or(0, |stated| stated.rtp.port());
        section.address = media.endpoints.stated.map(|stated| stated.rtp.ip());
    }
    if let Some(accepted) = &media.accepted_extensions {
        section.extmaps.retain(|extmap| accepted.contains(&extmap.uri));
    }
    section
}
