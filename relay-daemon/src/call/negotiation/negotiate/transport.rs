//! Addresses and ports of both sides of a section.

use std::net::IpAddr;

use smallvec::SmallVec;

use crate::call::command::PortLatching;
use crate::call::model::dialogue::Dialogue;
use crate::call::model::media::Media;
use crate::call::model::state::Call;
use crate::call::section::interfaces::Wish;
use crate::call::section::kind::Kind;
use crate::call::section::ports::{Latch, Place, Places, Reservations};
use crate::config::{CallSettings, Interface, InterfaceAddress};
use crate::host::{OutOfPorts, PortCount};
use crate::sdp::{AddressFamily, MediaSection};

use super::super::bundle::passes;
use super::{Familiarity, Message, Pair};

impl Message<'_> {
    /// Sections that a message says nothing of, and that have left their group, are at ports of their own again.
    pub(super) fn take_apart(
        &self,
        call: &mut Call,
        spoken: &[usize],
        reservations: &mut Reservations<'_>,
    ) -> Result<(), OutOfPorts> {
        let settings = &self.environment.settings;
        let Dialogue { sender, receiver } = self.dialogue;
        let parties = [Some(sender), Some(receiver).filter(|_| self.kind == Kind::Offer)];
        for party in parties.into_iter().flatten() {
            let media = call.party_mut(party).media.iter_mut().enumerate();
            for (index, media) in media.filter(|(index, _)| !spoken.contains(index)) {
                if media.bundle.carrier(index).is_none() && media.ports.are_borrowed() {
                    media.stand_alone();
                    let places = places(media, settings).ok_or(OutOfPorts)?;
                    media
                        .ports
                        .keep_open(&places, media.mux.port_count(), reservations)?;
                }
            }
        }
        Ok(())
    }

    /// The address to use in place of those in the SDP.
    pub(in crate::call) fn source_address(&self) -> Option<IpAddr> {
        self.options
            .sip_source(self.environment.settings.sip_source)
            .flatten()
    }

    /// What is said of interfaces holds for all sections of the parties, also for those that come later.
    pub(super) fn choose_interfaces(&self, call: &mut Call, reservations: &Reservations<'_>) {
        self.choose_for_receiver(call, reservations);
        self.choose_for_sender(call, reservations);
    }

    /// The interface of the party that speaks: it has to have the family that the party speaks from.
    pub(in crate::call) fn choose_for_sender(&self, call: &mut Call, reservations: &Reservations<'_>) {
        let party = call.party_mut(self.dialogue.sender);
        let name = self.options.interfaces.from.as_deref();
        let wish = Wish {
            name,
            current: party.interface,
            family: self.family_named(name).unwrap_or_else(|| self.spoken_family()),
            strict: true,
        };
        party.interface = Some(self.environment.choose_interface(wish, reservations.host()));
    }

    /// The interface of the party that is spoken to.
    pub(in crate::call) fn choose_for_receiver(&self, call: &mut Call, reservations: &Reservations<'_>) {
        let party = call.party_mut(self.dialogue.receiver);
        let known = party.media.first().map(|media| media.family);
        let name = self.options.interfaces.to.as_deref();
        let family = self.family_named(name).or(self.options.address_family).or(known);
        let wish = Wish {
            name,
            current: party.interface,
            family: family.unwrap_or_else(|| self.spoken_family()),
            strict: false,
        };
        party.interface = Some(self.environment.choose_interface(wish, reservations.host()));
    }

    /// The family that the name of an interface stands for where there is no such interface: `internal` has always been
    /// IPv4, and `external` IPv6.
    pub(super) fn family_named(&self, name: Option<&str>) -> Option<AddressFamily> {
        let family = match name? {
            "internal" => AddressFamily::Ip4,
            "external" => AddressFamily::Ip6,
            _ => return None,
        };
        let is_known = self.environment.settings.interfaces.meaning(name?).is_some();
        (!is_known).then_some(family)
    }

    /// The family of the first address that the sender names.
    pub(super) fn spoken_family(&self) -> AddressFamily {
        let mut sections = self.description.media.iter();
        let named = || sections.find_map(|section| section.address);
        let address = self.source_address().or_else(named);
        address.map_or(AddressFamily::Ip4, AddressFamily::of)
    }
}

impl Pair<'_> {
    pub(super) fn choose_families(&mut self, of_receiver: Familiarity) {
        let options = self.message.options;
        let interfaces = &options.interfaces;
        let named = |name: &Option<String>| self.message.family_named(name.as_deref());
        // Also of a section that it rejects.
        let spoken = self.message.source_address().or(self.section.address);
        let spoken = spoken.map_or(self.sender.family, AddressFamily::of);
        // With ICE the address that it gives says nothing of where it is to be reached.
        let reached = match self.sender.ice.is_on() {
            true => self.sender.family,
            false => spoken,
        };
        self.sender.family = named(&interfaces.from).unwrap_or(reached);
        if let Some(family) = named(&interfaces.to).or(options.address_family) {
            self.receiver.family = family;
        } else if of_receiver == Familiarity::New {
            self.receiver.family = spoken;
        }
    }

    /// Opens ports for the section at `index`, unless another one carries it.
    pub(super) fn open_ports(
        &mut self,
        index: usize,
        reservations: &mut Reservations<'_>,
    ) -> Result<(), OutOfPorts> {
        let relayed = passes(self.sender, self.receiver);
        let Some(remote) = self.sender.remote.filter(|_| relayed) else {
            for media in [&mut *self.sender, &mut *self.receiver] {
                media.ports.refuse();
                media.ice.unsettle();
            }
            return Ok(());
        };
        let settings = &self.message.environment.settings;
        let for_sender = places(self.sender, settings).ok_or(OutOfPorts)?;
        let for_receiver = places(self.receiver, settings).ok_or(OutOfPorts)?;
        let (sender_count, receiver_count) = match self.message.kind {
            _ if !self.section.protocol.is_rtp() => (PortCount::Pair, PortCount::Pair),
            Kind::Offer => (self.sender.mux.port_count(), self.receiver.mux.port_count()),
            Kind::Answer => (
                self.sender.mux.agreed.port_count(),
                self.receiver.mux.agreed.port_count(),
            ),
        };
        let latch = self.latch();
        let is_refused = self.receiver.section().is_some_and(MediaSection::is_rejected);
        if self.sender.bundle.carrier(index).is_none() {
            let ports = &mut self.sender.ports;
            match self.message.kind {
                // It is told one in the answer.
                Kind::Offer if ports.are_refused() => {}
                // It answers to a section that there is not.
                Kind::Answer if is_refused => {}
                Kind::Offer | Kind::Answer => ports.keep_open(&for_sender, sender_count, reservations)?,
            }
        }
        if self.receiver.bundle.carrier(index).is_none() {
            self.receiver
                .ports
                .open_for(remote.rtp, latch, &for_receiver, receiver_count, reservations)?;
        }
        Ok(())
    }

    /// A sender that does not receive, that was in a group, or that answers to one, may move without the receiver being told
    /// another port. So may any sender if the receiver does ICE, which would have to start anew.
    pub(super) fn latch(&self) -> Latch {
        let is_answer = self.message.kind == Kind::Answer;
        match self.message.options.port_latching {
            PortLatching::Always => Latch::Keep,
            PortLatching::Never => Latch::Change,
            PortLatching::Automatic if self.receiver.ice.is_on() => Latch::KeepWhole,
            PortLatching::Automatic if !self.sender.direction.receives() => Latch::Keep,
            PortLatching::Automatic if self.sender.bundle.was_grouped => Latch::KeepThere,
            PortLatching::Automatic if is_answer && self.sender.bundle.is_at_lead() => Latch::KeepThere,
            PortLatching::Automatic => Latch::Change,
        }
    }
}

/// The local address that a party is served from.
pub(in crate::call) fn place(media: &Media, settings: &CallSettings) -> Option<Place> {
    places(media, settings).map(|places| places.main)
}

/// The local addresses that a party is served from: with ICE all those of the interface.
pub(in crate::call) fn places(media: &Media, settings: &CallSettings) -> Option<Places> {
    let interfaces = &settings.interfaces.interfaces;
    let interface: &Interface = interfaces.get(media.interface).or(interfaces.first())?;
    let primary = interface.primary(media.family)?;
    let uses_others = media.ice.is_on() && !settings.saves_ports;
    let at = |address: &InterfaceAddress| Place {
        interface: media.interface,
        local: address.local,
        advertised: address.advertised,
    };
    let is_other_family = |address: &Place| address.advertised.is_ipv4() != primary.advertised.is_ipv4();
    let others = interface.addresses.iter().filter(|address| *address != primary);
    let mut others: SmallVec<[Place; 2]> = others.filter(|_| uses_others).map(at).collect();
    others.sort_by_key(is_other_family);
    Some(Places {
        main: at(primary),
        others,
    })
}
