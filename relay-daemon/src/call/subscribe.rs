//! `subscribe request`, `subscribe answer`, `unsubscribe`: a party of its own that gets the media of others.

use crate::clock::Time;
use crate::host::Host;
use crate::sdp::{Description, Direction, MediaSection, Text};

use super::codecs::{is_same, is_supplemental};
use super::media::{Media, Role};
use super::negotiate::Kind;
use super::ports::Reservations;
use super::premises::Premises;
use super::stand_in::StandIn;
use super::state::{Call, PartyId};
use super::subscription::{MediaId, Subscribed, Subscription};
use super::{
    CommandError, MediaError, SubscribeAnswer, SubscribeRequest, SubscribedMedia, SubscriptionFlags, Tag,
};

/// What a subscriber is offered.
pub(super) struct SubscriptionOffer {
    pub(super) sdp: String,
    /// Tags of the sources, each once.
    pub(super) from_tags: Vec<Tag>,
    /// Whether there is only one section of one source.
    pub(super) is_single: bool,
    /// The sections.
    pub(super) media: Vec<SubscribedMedia>,
}

/// A section for the subscriber, and what it gets there.
struct Planned {
    section: MediaSection,
    sources: Vec<MediaId>,
}

impl Call {
    /// Subscribes a party to others, in place of what it was subscribed to before.
    pub(super) fn offer_subscription(
        &mut self,
        subscriber: PartyId,
        request: &SubscribeRequest,
        premises: &Premises,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) -> Result<SubscriptionOffer, CommandError> {
        if !self.party(subscriber).peers.is_empty() {
            return Err(CommandError::InvalidDialogue);
        }
        let mut parties = self.choose_sources(&request.sources)?;
        parties.retain(|party| *party != subscriber);
        let planned = self.plan_subscription(&parties, request.flags);
        let first = planned.first().and_then(|planned| planned.sources.first());
        let said = first.and_then(|first| self.party(first.party).said.clone());
        let said = said.ok_or(MediaError::NoSources)?;
        let offered = Description {
            bandwidth: Default::default(),
            groups: Default::default(),
            media: planned.iter().map(|planned| planned.section.clone()).collect(),
            ..(*said).clone()
        };
        self.drop_subscriptions(subscriber, None);
        let mut relay = StandIn::new(subscriber, Role::Answerer, premises, now);
        let sdp = relay.say(self, Kind::Offer, offered, &request.options, reservations)?;
        self.link(subscriber, &planned, request.flags);
        Ok(self.describe(sdp, &planned))
    }

    /// Takes a subscriber's answer.
    pub(super) fn answer_subscription(
        &mut self,
        subscriber: PartyId,
        answer: &SubscribeAnswer,
        description: Description,
        premises: &Premises,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) -> Result<(), MediaError> {
        let media = &self.party(subscriber).media;
        if description.media.len() > media.len() {
            return Err(MediaError::SubscriptionRefused);
        }
        let sections = description.media.iter().zip(media);
        let mut accepted = sections.filter(|(section, _)| !section.is_rejected()).peekable();
        let is_rejected = accepted.peek().is_none();
        if is_rejected || !accepted.all(|(section, media)| fits(section, media, answer)) {
            return Err(MediaError::SubscriptionRefused);
        }
        let offered: Vec<Direction> = media.iter().map(|media| media.direction).collect();
        let mut relay = StandIn::new(subscriber, Role::Answerer, premises, now);
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
    pub(super) fn end_subscriptions(
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

    /// One section for each of the sources', or for all of a kind together.
    fn plan_subscription(&self, parties: &[PartyId], flags: SubscriptionFlags) -> Vec<Planned> {
        let mut planned: Vec<Planned> = Vec::new();
        let sections = self.sections().filter(|(id, _)| parties.contains(&id.party));
        let mut sections: Vec<(MediaId, &Media)> = sections.collect();
        sections.sort_by_key(|(id, _)| parties.iter().position(|party| *party == id.party));
        for (id, media) in sections {
            let Some(said) = media.section().filter(|section| is_subscribable(section)) else {
                continue;
            };
            let same_kind = |planned: &&mut Planned| flags.mix && planned.section.kind == said.kind;
            if let Some(known) = planned.iter_mut().find(same_kind) {
                known.section.ptime = said.ptime.or(known.section.ptime);
                known.section.maxptime = said.maxptime.or(known.section.maxptime);
                known.sources.push(id);
                continue;
            }
            let mut section = offered_section(media, said, flags);
            if parties.len() > 1 {
                // Each party counts its own.
                section.mid = None;
            }
            if flags.siprec {
                section.label = Some(Text::from(planned.len().to_string()));
            }
            planned.push(Planned {
                section,
                sources: vec![id],
            });
        }
        planned
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
            if !from_tags.contains(&tag(first)) {
                from_tags.push(tag(first));
            }
            media.push(SubscribedMedia {
                tag: tag(first),
                party_label: self.party(first.party).label.clone(),
                index: first.index,
                kind: planned.section.kind.to_string(),
                label: planned.section.label.as_ref().map(ToString::to_string),
                direction: self.media(first).map(|media| media.direction).unwrap_or_default(),
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
    !section.is_rejected() && !section.protocol.is_msrp()
}

/// What the subscriber is offered of a section.
fn offered_section(media: &Media, said: &MediaSection, flags: SubscriptionFlags) -> MediaSection {
    let mut section = MediaSection {
        direction: match flags {
            SubscriptionFlags { inactive: true, .. } => Direction::Inactive,
            SubscriptionFlags { .. } => {
                Direction::new(true, flags.bidirectional && media.direction.receives())
            }
        },
        stated_direction: None,
        ..said.clone()
    };
    if section.has_zero_address() {
        // Who is on hold may be listened to all the same.
        section.address = media.ports.current().map(|set| set.place.advertised);
    }
    let told = media.told_codecs.list();
    if flags.egress && !told.is_empty() {
        section.codecs = told.to_vec();
    }
    section
}

/// Whether the subscriber takes what it was offered: all codecs, as long as it may not refuse any.
fn fits(section: &MediaSection, media: &Media, answer: &SubscribeAnswer) -> bool {
    let is_taken = |wanted| section.codecs.iter().any(|codec| is_same(codec, wanted));
    let mut offered = media.told_codecs.list().iter();
    let codecs_fit = match answer.may_refuse_codecs {
        true => offered.clone().next().is_none() || offered.any(is_taken),
        false => offered.filter(|codec| !is_supplemental(codec)).all(is_taken),
    };
    section.kind == media.kind && section.protocol.is_rtp() == media.is_rtp() && codecs_fit
}
