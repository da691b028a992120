//! `subscribe request`, `subscribe answer`, `unsubscribe`: a party of its own that gets the media of others.

use crate::call::command::{
    CommandError, MediaError, SdesOptions, SignalOptions, SourceChoice, SubscribeAnswer, SubscribeRequest,
    SubscribedMedia, SubscriptionFlags, Tag,
};
use crate::call::model::flow::{MediaId, PartyId, Subscribed, Subscription};
use crate::call::model::media::{Media, Role};
use crate::call::model::state::Call;
use crate::call::negotiation::legacy;
use crate::call::negotiation::relay_side::RelaySide;
use crate::call::section::codecs::{is_equal, is_supplemental};
use crate::call::section::crypto::doubled::Doubled;
use crate::call::section::environment::Environment;
use crate::call::section::kind::Kind;
use crate::call::section::ports::Reservations;
use crate::clock::Time;
use crate::host::Host;
use crate::sdp::{Codec, Description, Direction, Ice, MediaSection, Text};

/// What a subscriber is offered.
pub(in crate::call) struct SubscriptionOffer {
    pub(in crate::call) sdp: String,
    /// The tag of each section's source, in their order.
    pub(in crate::call) from_tags: Vec<Tag>,
    /// Whether there is only one section of one source.
    pub(in crate::call) is_single: bool,
    /// The sections.
    pub(in crate::call) media: Vec<SubscribedMedia>,
}

/// A section for the subscriber, and what it gets there.
struct Planned {
    section: MediaSection,
    sources: Vec<MediaId>,
}

impl Call {
    /// Subscribes a party to others, in place of what it was subscribed to before.
    pub(in crate::call) fn offer_subscription(
        &mut self,
        subscriber: PartyId,
        request: &SubscribeRequest,
        environment: &Environment,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) -> Result<SubscriptionOffer, CommandError> {
        let all = matches!(request.sources, SourceChoice::All);
        let mut parties = self.choose_sources(&request.sources)?;
        parties.retain(|party| *party != subscriber);
        if parties.is_empty() {
            return Err(match all {
                true => MediaError::NoSections.into(),
                false => MediaError::NoSources.into(),
            });
        }
        if !self
            .sections_of(&parties)
            .all(|media| media.section().is_some_and(is_subscribable))
        {
            return Err(MediaError::NoSections.into());
        }
        let planned = self.plan_subscription(subscriber, &parties, all, request.flags);
        let mut speakers = planned
            .iter()
            .flat_map(|planned| planned.sources.iter().map(|source| source.party));
        let first = speakers.next().ok_or(MediaError::NoSections)?;
        let is_single = speakers.all(|party| party == first);
        let description = self
            .party(first)
            .remote_description
            .clone()
            .ok_or(MediaError::NoSections)?;
        let mut offered = Description {
            bandwidth: Default::default(),
            groups: Default::default(),
            media: planned.iter().map(|planned| planned.section.clone()).collect(),
            ..(*description).clone()
        };
        if !is_single {
            // What one of them says of its session does not hold for the others.
            offered.attributes.clear();
        }
        if !self.is_subscribed(subscriber) && !self.party(subscriber).media.iter().any(Media::is_open) {
            // It begins anew.
            self.party_mut(subscriber).media.clear();
        }
        self.drop_subscriptions(subscriber, None);
        let mut relay = RelaySide::new(subscriber, Role::Answerer, environment, now);
        let options = SignalOptions {
            sdes: SdesOptions {
                // As in the reference: what parameters there are is the source's word.
                parameters: Default::default(),
                ..request.options.sdes.clone()
            },
            ..request.options.clone()
        };
        let sdp = relay.say(self, Kind::Offer, offered, &options, reservations)?;
        self.turn_away(subscriber);
        self.link(subscriber, &planned, request.flags);
        Ok(self.describe(sdp, &planned))
    }

    /// Takes a subscriber's answer.
    pub(in crate::call) fn answer_subscription(
        &mut self,
        subscriber: PartyId,
        answer: &SubscribeAnswer,
        description: Description,
        environment: &Environment,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) -> Result<(), MediaError> {
        let (mut description, doubled) =
            legacy::merge(description, self.party(subscriber), legacy::Accepts::Known);
        for (position, paired) in doubled {
            if let Some(media) = self.party_mut(subscriber).media.get_mut(position) {
                media.crypto.doubled = Doubled::ByUs(paired.half);
            }
        }
        let media = &self.party(subscriber).media;
        // Nobody has offered it more.
        description.media.truncate(media.len());
        let mut sections = description.media.iter().zip(media).enumerate();
        let fits = |(index, (section, media)): (usize, (&MediaSection, &Media))| {
            let own = MediaId {
                party: subscriber,
                index,
            };
            fits(section, media, &self.codecs_for(own), answer)
        };
        if !sections.all(fits) {
            return Err(MediaError::SubscriptionRefused);
        }
        let offered: Vec<Direction> = media.iter().map(|media| media.direction).collect();
        let mut relay = RelaySide::new(subscriber, Role::Answerer, environment, now);
        relay.hear(self, Kind::Answer, description, &answer.options, reservations);
        for (media, offered) in self.party_mut(subscriber).media.iter_mut().zip(offered) {
            // Nobody asked it for more.
            media.direction = Direction::new(
                media.direction.sends() && offered.sends(),
                media.direction.receives() && offered.receives(),
            );
        }
        Ok(())
    }

    /// Ends what a party was subscribed to, or only what it gets of one source. Its ports are given up with the last
    /// of it.
    pub(in crate::call) fn end_subscriptions(
        &mut self,
        subscriber: PartyId,
        source: Option<PartyId>,
        host: &dyn Host,
    ) {
        self.drop_subscriptions(subscriber, source);
        if !self.has_flows(subscriber) {
            for media in &mut self.party_mut(subscriber).media {
                media.give_up_ports(host);
            }
        }
    }

    /// Drops the subscriptions of a party, and with them what goes back to its sources.
    fn drop_subscriptions(&mut self, subscriber: PartyId, source: Option<PartyId>) {
        let is_meant = |party: PartyId| source.is_none_or(|source| source == party);
        let of_subscriber: Vec<PartyId> = self
            .subscriptions
            .iter()
            .filter(|known| known.sink.party == subscriber && is_meant(known.source.party))
            .map(|known| known.source.party)
            .collect();
        self.unsubscribe(|known| {
            let forth = known.sink.party == subscriber && of_subscriber.contains(&known.source.party);
            let back = known.source.party == subscriber && of_subscriber.contains(&known.sink.party);
            (forth || back) && known.what != Subscribed::Injection
        });
    }

    /// The codecs of what comes to a subscriber.
    fn codecs_for(&self, own: MediaId) -> Vec<Codec> {
        let is_source = |known: &&Subscription| {
            known.sink == own && matches!(known.what, Subscribed::Media | Subscribed::Egress)
        };
        let sources = self.subscriptions.iter().filter(is_source);
        let codecs = sources.filter_map(|known| {
            let media = self.media(known.source)?;
            let flags = SubscriptionFlags {
                egress: known.what == Subscribed::Egress,
                ..SubscriptionFlags::default()
            };
            Some(offered_section(media, media.section()?, flags).codecs)
        });
        codecs.flatten().collect()
    }

    /// A party that talks to others and now subscribes gets nothing of them but what it has subscribed to.
    fn turn_away(&mut self, subscriber: PartyId) {
        for peer in self.party(subscriber).peers.clone() {
            let deaf_to = &mut self.party_mut(subscriber).deaf_to;
            if !deaf_to.contains(&peer) {
                deaf_to.push(peer);
            }
        }
    }

    /// The sections of some parties.
    fn sections_of(&self, parties: &[PartyId]) -> impl Iterator<Item = &Media> {
        parties.iter().flat_map(|party| &self.party(*party).media)
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

    /// Whether a party gets media that it has subscribed to.
    fn is_subscribed(&self, subscriber: PartyId) -> bool {
        self.subscriptions
            .iter()
            .any(|known| known.sink.party == subscriber && known.what != Subscribed::Injection)
    }

    /// One section for each of the sources', or for all of a kind together. What the subscriber has been offered before
    /// keeps its place (RFC 3264, section 8), without media if it is not wanted any more.
    fn plan_subscription(
        &self,
        subscriber: PartyId,
        parties: &[PartyId],
        all: bool,
        flags: SubscriptionFlags,
    ) -> Vec<Planned> {
        let wanted = self.sources_of(parties, all);
        let mut planned: Vec<Planned> = Vec::new();
        for index in 0..self.party(subscriber).media.len() {
            let own = MediaId {
                party: subscriber,
                index,
            };
            let known = self.sources_in(own, &wanted).into_iter();
            let (kept, ended): (Vec<MediaId>, Vec<MediaId>) = known.partition(|id| wanted.contains(id));
            let Some(first) = kept.first().or(ended.first()).copied() else {
                break;
            };
            planned.extend(self.planned(first, flags).map(|section| Planned {
                section: match kept.is_empty() {
                    true => MediaSection { port: 0, ..section },
                    false => section,
                },
                sources: kept,
            }));
        }
        for id in wanted {
            let Some(media) = self.media(id) else { continue };
            let is_known = planned.iter().any(|planned| planned.sources.contains(&id));
            if is_known || !media.section().is_some_and(is_subscribable) {
                continue;
            }
            let Some(section) = self.planned(id, flags) else {
                continue;
            };
            let same_kind = |planned: &&mut Planned| {
                flags.mix && planned.section.kind == section.kind && !planned.sources.is_empty()
            };
            match planned.iter_mut().find(same_kind) {
                Some(known) => {
                    // As in the reference: the last of them says what comes.
                    known.section.ptime = section.ptime.or(known.section.ptime);
                    known.section.maxptime = section.maxptime.or(known.section.maxptime);
                    known.section.codecs = section.codecs;
                    known.section.formats = section.formats;
                    known.section.direction = section.direction;
                    known.sources.push(id);
                }
                None => planned.push(Planned {
                    section,
                    sources: vec![id],
                }),
            }
        }
        planned
    }

    /// The sections of some parties: of one after the other, or of all in the order in which they came up.
    fn sources_of(&self, parties: &[PartyId], all: bool) -> Vec<MediaId> {
        let sections = self.sections().filter(|(id, _)| parties.contains(&id.party));
        let mut sections: Vec<(MediaId, &Media)> = sections.collect();
        match all {
            true => sections.sort_by_key(|(_, media)| media.rtp.id),
            false => {
                sections.sort_by_key(|(id, _)| parties.iter().position(|party| *party == id.party));
            }
        }
        sections.into_iter().map(|(id, _)| id).collect()
    }

    /// What a subscriber is offered of a section.
    fn planned(&self, source: MediaId, flags: SubscriptionFlags) -> Option<MediaSection> {
        let media = self.media(source)?;
        let mut section = offered_section(media, media.section()?, flags);
        if flags.siprec {
            section.label = Some(Text::from(media.ordinal().to_string()));
        }
        Some(section)
    }

    fn link(&mut self, subscriber: PartyId, planned: &[Planned], flags: SubscriptionFlags) {
        for (index, planned) in planned.iter().enumerate() {
            let own = MediaId {
                party: subscriber,
                index,
            };
            let what = match flags.egress {
                true => Subscribed::Egress,
                false => Subscribed::Media,
            };
            for source in planned.sources.iter().copied() {
                self.subscribe(Subscription {
                    source,
                    sink: own,
                    what,
                });
                let back = |what| Subscription {
                    source: own,
                    sink: source,
                    what,
                };
                if planned.section.direction.receives() {
                    self.subscribe(back(Subscribed::Media));
                }
                if flags.rtcp_mirror {
                    self.subscribe(back(Subscribed::Rtcp));
                }
            }
        }
    }

    fn describe(&self, sdp: String, planned: &[Planned]) -> SubscriptionOffer {
        let tag = |id: MediaId| self.party(id.party).tag.clone().unwrap_or_else(|| "".into());
        let mut from_tags: Vec<Tag> = Vec::new();
        let mut media = Vec::new();
        for planned in planned {
            let Some(first) = planned.sources.first().copied() else {
                continue;
            };
            from_tags.push(tag(first));
            media.push(SubscribedMedia {
                tag: tag(first),
                party_label: self.party(first.party).label.clone(),
                index: first.index,
                kind: planned.section.kind.to_string(),
                label: planned.section.label.as_ref().map(ToString::to_string),
                direction: self
                    .media(first)
                    .map(|media| media.direction.reversed())
                    .unwrap_or_default(),
            });
        }
        SubscriptionOffer {
            sdp,
            from_tags,
            is_single: planned.iter().map(|planned| planned.sources.len()).sum::<usize>() == 1,
            media,
        }
    }
}

/// Whether there is something to get.
fn is_subscribable(section: &MediaSection) -> bool {
    !section.is_rejected()
}

/// What the subscriber is offered of a section: what its party sends, or with `egress` what is sent to it. It is inactive
/// where the party does not send, as in the reference.
fn offered_section(media: &Media, remote_section: &MediaSection, flags: SubscriptionFlags) -> MediaSection {
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
    if !media.ice.is_on() {
        section.ice = Ice::default();
    }
    if section.has_zero_address() {
        // Who is on hold may be listened to all the same.
        section.address = media.ports.current().map(|set| set.place.advertised);
    }
    if !media.codecs.is_empty() {
        section.codecs = media.codecs.clone();
    }
    if let Some(accepted) = &media.accepted_extensions {
        section.extmaps.retain(|extmap| accepted.contains(&extmap.uri));
    }
    section
}

/// Whether the subscriber takes what comes to it: all codecs, as long as it may not refuse any. What is not RTP it may reject.
fn fits(section: &MediaSection, media: &Media, sent: &[Codec], answer: &SubscribeAnswer) -> bool {
    let is_taken =
        |wanted: &Codec| !section.is_rejected() && section.codecs.iter().any(|codec| is_equal(codec, wanted));
    let mut needed = sent.iter().filter(|codec| !is_supplemental(codec));
    let is_alike =
        section.is_rejected() || (section.kind == media.kind && section.protocol.is_rtp() == media.is_rtp());
    answer.may_refuse_codecs || (is_alike && needed.all(is_taken))
}
