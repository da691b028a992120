//! Offers and answers between a party and the relay itself: with publishers, subscribers, and those whom it calls.
//!
//! The relay takes the place of the other party. Sections are negotiated as between two parties, but those of the
//! relay have no ports and do not outlive the message.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::call::command::{CommandError, Replace, SignalOptions};
use crate::call::model::dialogue::Dialogue;
use crate::call::model::flow::PartyId;
use crate::call::model::media::{Media, RemoteSection, Role, StreamIds};
use crate::call::model::state::Call;
use crate::call::section::environment::Environment;
use crate::call::section::kind::Kind;
use crate::call::section::mux::Mux;
use crate::call::section::ports::{Latch, PortSet, Reservations};
use crate::clock::Time;
use crate::config::CallSettings;
use crate::host::{OutOfPorts, PortCount};
use crate::identity::software;
use crate::sdp::{Description, Dtls, Ice, MediaSection, Text};

use super::negotiate::{Familiarity, Message, Pair, places};
use super::rewrite::NothingUsable;

/// The relay, talking to a party.
pub(in crate::call) struct RelaySide<'a> {
    party: PartyId,
    /// The party's part in its first offer.
    role: Role,
    environment: &'a Environment,
    now: Time,
    /// The relay's sections.
    media: Vec<Media>,
    /// Names of streams that never are.
    streams: StreamIds,
}

impl<'a> RelaySide<'a> {
    pub(in crate::call) fn new(
        party: PartyId,
        role: Role,
        environment: &'a Environment,
        now: Time,
    ) -> RelaySide<'a> {
        RelaySide {
            party,
            role,
            environment,
            now,
            media: Vec::new(),
            streams: StreamIds::default(),
        }
    }

    /// The party speaks. Where it rejects a section, its ports are closed.
    pub(in crate::call) fn hear(
        &mut self,
        call: &mut Call,
        kind: Kind,
        description: Description,
        options: &SignalOptions,
        reservations: &mut Reservations<'_>,
    ) {
        let message = self.message(call, kind, description, options);
        message.choose_for_sender(call, reservations);
        let was_called = kind == Kind::Answer && self.role == Role::Offerer;
        for (index, section) in message.description.media.iter().enumerate() {
            let (party, own) = self.pair(call, index, section);
            let mut pair = Pair::new(&message, section, party.0, own.0);
            pair.hear(RemoteSection::new(&message.description, index), party.1, own.1);
            let ice = pair.exchange_ice(Familiarity::Known, &mut reservations.randomness());
            pair.exchange_keys(ice, &mut reservations.randomness());
            pair.hear_extensions();
            // Who was called by the relay is offered the section again.
            if section.is_rejected() && !was_called {
                pair.sender.ports.close();
            }
        }
        call.party_mut(self.party).remote_description = Some(message.description);
    }

    /// The relay speaks. Gives back the SDP for the party. Ports are opened for whatever is not rejected.
    pub(in crate::call) fn say(
        &mut self,
        call: &mut Call,
        kind: Kind,
        description: Description,
        options: &SignalOptions,
        reservations: &mut Reservations<'_>,
    ) -> Result<String, CommandError> {
        let calls = kind == Kind::Offer && self.role == Role::Offerer;
        let mut options = options.clone();
        let unanswered = |media: &Media| media.mux.is_done_at_once();
        // An offer that nobody has answered is made again as it was.
        options.rtcp_mux.offer |= calls && call.party(self.party).media.iter().any(unanswered);
        let message = self.message(call, kind, description, &options);
        message.choose_for_receiver(call, reservations);
        let settings = &self.environment.settings;
        let muxes_at_once = calls && options.rtcp_mux.offer;
        let is_subscription = kind == Kind::Offer && self.role == Role::Answerer;
        for (index, section) in message.description.media.iter().enumerate() {
            let (party, own) = self.pair(call, index, section);
            let mut pair = Pair::new(&message, section, own.0, party.0);
            if is_subscription || pair.receiver.mux.is_done_at_once() {
                // What a subscriber said of mux before does not count, nor what we did without an answer.
                pair.receiver.mux = Mux::default();
            }
            pair.hear(RemoteSection::new(&message.description, index), own.1, party.1);
            pair.hear_doubled(None);
            pair.receiver.is_called |= calls;
            if muxes_at_once {
                // A relay that calls does what it offers.
                pair.receiver.mux.do_at_once();
            }
            let ice = pair.exchange_ice(Familiarity::Known, &mut reservations.randomness());
            match section.is_rejected() || section.protocol.is_msrp() {
                true => pair.receiver.ports.close(),
                false => open(pair.receiver, kind, is_subscription, settings, reservations)?,
            }
            pair.exchange_keys(ice, &mut reservations.randomness());
            pair.hear_extensions();
        }
        let party = call.party_mut(self.party);
        let indices: Vec<usize> = (0..message.description.media.len()).collect();
        message.identify(&self.media, &mut party.media, &indices);
        for media in party.media.iter_mut().skip(message.description.media.len()) {
            media.ports.close();
        }
        let own: Vec<&Media> = self.media.iter().collect();
        message
            .write(&mut party.told, &own, &party.media, reservations)
            .map_err(|NothingUsable| CommandError::Rewriting)
    }

    fn message<'m>(
        &self,
        call: &Call,
        kind: Kind,
        description: Description,
        options: &'m SignalOptions,
    ) -> Message<'m>
    where
        'a: 'm,
    {
        Message {
            kind,
            dialogue: Dialogue {
                sender: self.party,
                receiver: self.party,
            },
            description: Arc::new(description),
            options,
            doubled: Vec::new(),
            gateways: Vec::new(),
            environment: self.environment,
            credentials: Arc::clone(&call.credentials),
            loop_id: options
                .loop_protect
                .then(|| Text::from(&*self.environment.instance)),
            music: None,
            now: self.now,
        }
    }

    /// A section of the party, and the relay's, both made if this is the first message about it.
    fn pair<'m>(
        &'m mut self,
        call: &'m mut Call,
        index: usize,
        section: &MediaSection,
    ) -> (Known<'m>, Known<'m>) {
        let interface = call.party(self.party).interface.unwrap_or_default();
        let ensure = |media: &'m mut Vec<Media>, streams: &mut StreamIds| -> Known<'m> {
            let familiarity = match index < media.len() {
                true => Familiarity::Known,
                false => Familiarity::New,
            };
            if familiarity == Familiarity::New {
                let learning = self.environment.settings.learning;
                media.resize_with(index + 1, || {
                    Media::new(section, self.role, learning, streams, self.now)
                });
            }
            media[index].interface = interface;
            (&mut media[index], familiarity)
        };
        let Call { parties, streams, .. } = call;
        (
            ensure(&mut parties[self.party.0].media, streams),
            ensure(&mut self.media, &mut self.streams),
        )
    }
}

/// A section, and whether it was there before.
type Known<'m> = (&'m mut Media, Familiarity);

/// The options of an SDP that only the relay speaks in: nobody's interfaces but the party's are chosen, and `o=` is
/// its own. Its version stays unless somebody wants it otherwise.
pub(in crate::call) fn own_options(options: &SignalOptions) -> SignalOptions {
    SignalOptions {
        interfaces: Default::default(),
        replace: Replace {
            session_name: true,
            version: options.replace.version,
            force_version: options.replace.force_version,
            ..Replace::default()
        },
        ..options.clone()
    }
}

/// A section without what its sender says in it of itself: that is not the relay's to repeat.
pub(in crate::call) fn plain(remote_section: &MediaSection) -> MediaSection {
    MediaSection {
        stated_direction: None,
        information: None,
        bandwidth: Default::default(),
        label: None,
        feedback: Default::default(),
        attributes: Vec::new(),
        crypto: Vec::new(),
        dtls: Dtls::default(),
        ice: Ice::default(),
        ..remote_section.clone()
    }
}

/// A description of the relay's own.
pub(in crate::call) fn own_description(media: Vec<MediaSection>) -> Description {
    Description {
        session_name: Some(Text::from_static(software())),
        media,
        ..Description::default()
    }
}

/// A subscriber gets two ports also where it is told of one.
fn open(
    media: &mut Media,
    kind: Kind,
    is_subscription: bool,
    settings: &CallSettings,
    reservations: &mut Reservations<'_>,
) -> Result<(), OutOfPorts> {
    let places = places(media, settings).ok_or(OutOfPorts)?;
    let count = match kind {
        _ if !media.is_rtp() || is_subscription => PortCount::Pair,
        Kind::Offer => media.mux.port_count(),
        Kind::Answer => media.mux.agreed.port_count(),
    };
    let suits = |set: &PortSet| set.serves(count) && set.is_at(&places);
    match media.ports.current() {
        // It was offered one port and is offered two now, or other addresses.
        Some(set) if !suits(set) => {
            let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
            media
                .ports
                .open_for(nowhere, Latch::Change, &places, count, reservations)
        }
        // Whoever talks to the party later may have them.
        Some(_) | None => media.ports.open(&places, count, reservations),
    }
}
