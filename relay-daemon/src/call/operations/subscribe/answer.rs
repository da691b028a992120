//! What a subscriber answers.

use crate::call::command::{MediaError, SubscribeAnswer, SubscriptionFlags};
use crate::call::model::flow::{MediaId, PartyId, Subscribed, Subscription};
use crate::call::model::media::{Media, Role};
use crate::call::model::state::Call;
use crate::call::negotiation::legacy;
use crate::call::negotiation::negotiate::takes_feedback;
use crate::call::negotiation::relay_side::RelaySide;
use crate::call::section::codecs::{is_equal, is_supplemental};
use crate::call::section::crypto::Profile;
use crate::call::section::crypto::doubled::Doubled;
use crate::call::section::environment::Environment;
use crate::call::section::kind::Kind;
use crate::call::section::ports::Reservations;
use crate::clock::Time;
use crate::sdp::{Codec, Description, Direction, MediaSection, Protocol, Text};

use super::planned::offered_section;

impl Call {
    /// Takes a subscriber's answer. Where it does not take what comes to a section, the answer is refused; as in the reference,
    /// the sections before have been heard.
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
        let (count, known) = (media.iter().take_while(|media| !media.bare).count(), media.len());
        // Nobody has offered it more.
        let more = description.media.split_off(count.min(description.media.len()));
        let fits = |(index, section): (usize, &MediaSection)| {
            let own = MediaId {
                party: subscriber,
                index,
            };
            answer.may_refuse_codecs || fits(section, &self.codecs_for(own))
        };
        let heard = description.media.iter().enumerate();
        let heard = heard.take_while(|numbered| fits(*numbered)).count();
        let refused = description.media.drain(heard..).next();
        self.hear_subscriber(subscriber, answer, description, environment, now, reservations);
        let party = self.party_mut(subscriber);
        if let Some(refused) = refused {
            if let Some(media) = party.media.get_mut(heard) {
                media.take_profile(Profile::of(&refused));
                media.ptime = refused.ptime.or(media.ptime);
                media.takes_feedback = takes_feedback(&refused);
            }
            return Err(MediaError::SubscriptionRefused);
        }
        let learning = environment.settings.learning;
        let Call { parties, streams, .. } = self;
        let bare = more.iter().skip(known - count).map(|section| Media {
            bare: true,
            protocol: Protocol::Other(Text::from_static("")),
            ..Media::new(section, Role::Answerer, learning, streams, now)
        });
        parties[subscriber.0].media.extend(bare);
        Ok(())
    }

    fn hear_subscriber(
        &mut self,
        subscriber: PartyId,
        answer: &SubscribeAnswer,
        description: Description,
        environment: &Environment,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) {
        let party = self.party(subscriber);
        let interface = party.interface;
        let offered = party.media.iter();
        let offered = offered.map(|media| (media.kind.clone(), media.family));
        let offered: Vec<_> = offered.collect();
        let mut options = answer.options.clone();
        // Whether media passes from end to end is not the subscriber's to say.
        options.ice.passthrough = None;
        let mut relay = RelaySide::new(subscriber, Role::Answerer, environment, now);
        relay.hear(self, Kind::Answer, description, &options, reservations);
        let party = self.party_mut(subscriber);
        // It goes on being served from where it was told, whatever it speaks from.
        party.interface = interface;
        for (media, (kind, family)) in party.media.iter_mut().zip(offered) {
            (media.kind, media.family) = (kind, family);
            // Nobody gets what it sends. It gets what it wants, also where it was offered nothing: a source on hold comes back.
            media.direction = Direction::new(false, media.direction.receives());
        }
    }

    /// The codecs of what comes to a subscriber.
    fn codecs_for(&self, own: MediaId) -> Vec<Codec> {
        let is_source = |known: &&Subscription| {
            known.sink == own && matches!(known.what, Subscribed::Media | Subscribed::Egress)
        };
        let sources = self.subscriptions.iter().filter(is_source);
        let codecs = sources.filter_map(|known| {
            let media = self.media(known.source)?;
            if media.bare || (media.is_called && media.section().is_none()) {
                return Some(media.codecs.clone());
            }
            let flags = SubscriptionFlags {
                egress: known.what == Subscribed::Egress,
                ..SubscriptionFlags::default()
            };
            Some(offered_section(media, media.section()?, flags).codecs)
        });
        codecs.flatten().collect()
    }
}

/// Whether the subscriber takes what comes to it: all codecs. Where nobody knows what comes, anything will do.
fn fits(section: &MediaSection, sent: &[Codec]) -> bool {
    let is_taken =
        |wanted: &Codec| !section.is_rejected() && section.codecs.iter().any(|codec| is_equal(codec, wanted));
    let mut needed = sent.iter().filter(|codec| !is_supplemental(codec));
    needed.all(is_taken)
}
