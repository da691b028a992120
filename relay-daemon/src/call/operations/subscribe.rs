//! `subscribe request`, `subscribe answer`, `unsubscribe`: a party of its own that gets the media of others.

mod answer;
mod planned;

use crate::call::command::{
    CommandError, IceMode, MediaError, SdesOptions, SignalOptions, SourceChoice, SubscribeRequest,
    SubscribedMedia, SubscriptionFlags, Tag,
};
use crate::call::model::flow::{MediaId, PartyId, Subscribed, Subscription};
use crate::call::model::media::{Media, Role};
use crate::call::model::state::{Call, Presence};
use crate::call::negotiation::negotiate::takes_feedback;
use crate::call::negotiation::relay_side::RelaySide;
use crate::call::section::environment::Environment;
use crate::call::section::ice::has_ice;
use crate::call::section::kind::Kind;
use crate::call::section::ports::Reservations;
use crate::clock::Time;
use crate::host::Host;
use crate::sdp::{Description, Protocol, Text};

use self::planned::Planned;

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

impl Call {
    /// Subscribes a party to others, in place of what it was subscribed to before. None if there is something to which no
    /// SDP can be made: as in the reference, it is subscribed all the same.
    pub(in crate::call) fn offer_subscription(
        &mut self,
        subscriber: PartyId,
        request: &SubscribeRequest,
        environment: &Environment,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) -> Result<Option<SubscriptionOffer>, CommandError> {
        let all = matches!(request.sources, SourceChoice::All);
        let mut parties = self.choose_sources(&request.sources)?;
        parties.retain(|party| *party != subscriber);
        if !parties.iter().any(|party| !self.party(*party).media.is_empty()) {
            let was_refused = |party: &PartyId| self.party(*party).remote_description.is_none();
            return Err(match all || parties.iter().any(was_refused) {
                true => MediaError::NoSections.into(),
                false => MediaError::NoSources.into(),
            });
        }
        let mut planned = self.plan_subscription(subscriber, &parties, all, request.flags);
        for planned in &mut planned {
            self.take_back(planned, &request.options.codecs.offer);
        }
        let is_bare = self.party(subscriber).media.iter().any(|media| media.bare);
        let can_be_offered = !is_bare && planned.iter().all(|planned| planned.is_usable);
        let mut speakers = planned
            .iter()
            .flat_map(|planned| planned.sources.iter().map(|source| source.party));
        let first = speakers.next().ok_or(MediaError::NoSections)?;
        let is_single = speakers.all(|party| party == first);
        let description = self.party(first).remote_description.clone().unwrap_or_default();
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
        let is_known = self.party(subscriber).media.iter().any(Media::is_open);
        let mut ice = request.options.ice;
        let does_ice = |planned: &Planned| has_ice(&planned.section);
        if ice.mode == IceMode::Default && !planned.iter().any(does_ice) {
            // It is offered what its sources do, whatever it does itself.
            ice.mode = IceMode::Remove;
        }
        let options = SignalOptions {
            ice,
            // It stays with the family that it was told.
            address_family: request.options.address_family.filter(|_| !is_known),
            removed_media: Vec::new(),
            sdes: SdesOptions {
                // As in the reference: what parameters there are is the source's word.
                parameters: Default::default(),
                ..request.options.sdes.clone()
            },
            ..request.options.clone()
        };
        let told = self.party(subscriber).told.clone();
        let sdp = relay.say(self, Kind::Offer, offered, &options, reservations);
        for (media, planned) in self.party_mut(subscriber).media.iter_mut().zip(&planned) {
            // It is spoken of as its source has it.
            media.takes_feedback |= takes_feedback(&planned.section);
        }
        self.turn_away(subscriber);
        self.link(subscriber, &planned, request.flags);
        self.restart_learning(now);
        if can_be_offered {
            return Ok(Some(self.describe(sdp?, &planned)));
        }
        self.party_mut(subscriber).told = told;
        for source in planned.iter().flat_map(|planned| &planned.sources) {
            let media = self.party_mut(source.party).media.get_mut(source.index);
            if let Some(bare) = media.filter(|media| media.bare) {
                // Nobody knows what it is, as in the reference.
                bare.protocol = Protocol::Other(Text::from_static(""));
            }
        }
        match sdp {
            Err(error @ CommandError::OutOfPorts(_)) => Err(error),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// Ends what a party was subscribed to, or only what it gets of one source. With all of it, its ports are given up, and
    /// nobody is known by its tag any more, unless it takes part in a dialogue.
    pub(in crate::call) fn end_subscriptions(
        &mut self,
        subscriber: PartyId,
        source: Option<PartyId>,
        host: &dyn Host,
    ) {
        self.drop_subscriptions(subscriber, source);
        if source.is_none() && !self.has_flows(subscriber) {
            let party = self.party_mut(subscriber);
            for media in &mut party.media {
                media.give_up_ports(host);
            }
            if party.known_parties.is_empty() {
                party.presence = Presence::Gone;
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

    /// A party that talks to others and now subscribes gets nothing of them but what it has subscribed to.
    fn turn_away(&mut self, subscriber: PartyId) {
        for peer in self.party(subscriber).peers.clone() {
            let deaf_to = &mut self.party_mut(subscriber).deaf_to;
            if !deaf_to.contains(&peer) {
                deaf_to.push(peer);
            }
        }
    }

    /// Whether a party gets media that it has subscribed to.
    fn is_subscribed(&self, subscriber: PartyId) -> bool {
        self.subscriptions
            .iter()
            .any(|known| known.sink.party == subscriber && known.what != Subscribed::Injection)
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
                if flags.rtcp_mirror {
                    self.subscribe(Subscription {
                        source: own,
                        sink: source,
                        what: Subscribed::Rtcp,
                    });
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
