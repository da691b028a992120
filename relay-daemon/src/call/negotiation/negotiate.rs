//! What an offer or an answer changes: for each of its media sections, the sender's side and the receiver's.

mod codecs;
mod keys;
mod transport;

use std::sync::Arc;

use crate::call::command::{Extensions, SignalOptions};
use crate::call::model::dialogue::Dialogue;
use crate::call::model::media::{Media, RemoteSection, Role, Sending, Sources, Visibility};
use crate::call::model::state::{Call, Party};
use crate::call::section::crypto::Profile;
use crate::call::section::crypto::doubled::{Doubled, Half, Paired};
use crate::call::section::environment::Environment;
use crate::call::section::ice::{self, IceMessage};
use crate::call::section::kind::Kind;
use crate::call::section::mux::Agreed;
use crate::call::section::ports::Reservations;
use crate::call::section::random::Random;
use crate::clock::Time;
use crate::dtls::Credentials;
use crate::host::OutOfPorts;
use crate::sdp::{self, Description, Direction, MediaSection, Protocol, Text};

use super::bundle::accepted_extensions;
use super::fax::Gateway;

pub(in crate::call) use self::transport::{place, places};

/// A message that is being handled.
pub(in crate::call) struct Message<'a> {
    pub(in crate::call) kind: Kind,
    pub(in crate::call) dialogue: Dialogue,
    pub(in crate::call) description: Arc<Description>,
    /// Sections that stand for two of the sender's.
    pub(in crate::call) doubled: Vec<(usize, Paired)>,
    /// Sections for which there is a gateway.
    pub(in crate::call) gateways: Vec<Gateway>,
    pub(in crate::call) options: &'a SignalOptions,
    pub(in crate::call) environment: &'a Environment,
    /// Who we are in DTLS to the call's parties.
    pub(in crate::call) credentials: Arc<Credentials>,
    /// Marks the SDP as handled by us, if that is wanted.
    pub(in crate::call) loop_id: Option<Text>,
    /// What says that we play music for the receiver, if that is to be said.
    pub(in crate::call) music: Option<Text>,
    pub(in crate::call) now: Time,
}

/// Whether a section of a party has been spoken of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Familiarity {
    New,
    Known,
}

impl Message<'_> {
    /// Takes over what the message says into both parties.
    pub(in crate::call) fn apply(
        &self,
        call: &mut Call,
        reservations: &mut Reservations<'_>,
    ) -> Result<(), OutOfPorts> {
        let Dialogue { sender, receiver } = self.dialogue;
        self.choose_interfaces(call, reservations);
        let count = self.description.media.len();
        let of_receiver = call.party(receiver).media.iter();
        let muxing: Vec<bool> = of_receiver
            .map(|media| media.mux.agreed == Agreed::Muxed)
            .collect();
        let told = self.description.media.iter().map(|section| self.shows(section));
        let receiver_muxes = muxing.iter().zip(told).any(|(muxes, told)| *muxes && told);
        let (mut indices, mut heard) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let known = call.party(sender).media.len();
        let of_sender = call.party(sender).identified(&self.description.media);
        let of_receiver = call.party(receiver).identified(&self.description.media);
        let identified = of_sender.into_iter().zip(of_receiver);
        for ((position, section), identified) in self.description.media.iter().enumerate().zip(identified) {
            let at_place = || {
                call.party(sender)
                    .section_index(self.kind, position, section, &indices)
            };
            let (own, others) = identified;
            let index = match own.filter(|index| !indices.contains(index)) {
                Some(own) => own,
                None => match at_place() {
                    added if added >= known => {
                        let of_receiver = &call.party(receiver).media;
                        let is_like = |index: &usize| of_receiver[*index].kind == section.kind;
                        others.filter(is_like).unwrap_or(added)
                    }
                    known => known,
                },
            };
            let mut of_sender = self.ensure_media(call, sender.0, index, section);
            let mut of_receiver = self.ensure_media(call, receiver.0, index, section);
            let doubled = self.doubled.iter().find(|(doubled, _)| *doubled == position);
            let gateway = self.gateways.iter().find(|gateway| gateway.position == position);
            let ice = self.pair(call, section, index).and_then(|mut pair| {
                if pair.is_taken_away(index, of_receiver) {
                    pair.receiver.shown = Visibility::Before;
                    return None;
                }
                let remote_section = RemoteSection::new(&self.description, position);
                if pair.is_unheard(of_receiver) {
                    pair.take_note(remote_section);
                    return None;
                }
                if [pair.sender.shown, pair.receiver.shown].contains(&Visibility::Removed) {
                    (of_sender, of_receiver) = (Familiarity::New, Familiarity::New);
                }
                pair.receiver_muxes = receiver_muxes;
                if self.kind == Kind::Offer {
                    pair.sender.stand_alone();
                    pair.receiver.stand_alone();
                    if pair.sender.remote_section.is_none() {
                        // It has not answered the offer that it got.
                        pair.sender.role = Role::Offerer;
                    }
                }
                pair.hear(remote_section, of_sender, of_receiver);
                pair.hear_doubled(doubled.map(|(_, paired)| *paired));
                pair.hear_gateway(gateway);
                Some(pair.exchange_ice(of_sender, &mut reservations.randomness()))
            });
            indices.push(index);
            heard.push(ice);
        }
        let spoken = indices.iter().zip(&heard).filter(|(_, heard)| heard.is_some());
        let spoken: Vec<usize> = spoken.map(|(index, _)| *index).collect();
        if self.kind == Kind::Offer {
            self.pass_over(call, &spoken, &muxing);
        }
        self.bundle(call, &spoken);
        self.take_apart(call, &spoken, reservations)?;
        for ((section, &index), &ice) in self.description.media.iter().zip(&indices).zip(&heard) {
            if let (Some(ice), Some(mut pair)) = (ice, self.pair(call, section, index)) {
                pair.open_ports(index, reservations)?;
                pair.exchange_keys(ice, &mut reservations.randomness());
                pair.hear_extensions();
            }
        }
        self.answer_unmentioned(call, &spoken, reservations);
        self.share_transports(call, &spoken);
        call.party_mut(sender).remote_description = Some(Arc::clone(&self.description));
        Ok(())
    }

    /// The receiver's sections that an offer says nothing of. `muxing` tells of each whether RTCP was multiplexed before.
    fn pass_over(&self, call: &mut Call, indices: &[usize], muxing: &[bool]) {
        let of_receiver = call
            .party_mut(self.dialogue.receiver)
            .media
            .iter_mut()
            .enumerate();
        for (index, media) in of_receiver.filter(|(index, _)| !indices.contains(index)) {
            let mut others = muxing.iter().enumerate().filter(|(other, _)| *other != index);
            media.mux.is_passed_over(others.any(|(_, muxes)| *muxes));
        }
    }

    /// Whether the receiver may be told of a section.
    fn shows(&self, section: &MediaSection) -> bool {
        let kind = sdp::Place::kind(section.kind.as_str()).unwrap_or("other");
        !self.options.removed_media.contains(&kind)
    }

    /// Both sides of a section.
    fn pair<'a>(&'a self, call: &'a mut Call, section: &'a MediaSection, index: usize) -> Option<Pair<'a>> {
        let (sender, receiver) = self.parties(call)?;
        let (sender, receiver) = (sender.media.get_mut(index)?, receiver.media.get_mut(index)?);
        Some(Pair::new(self, section, sender, receiver))
    }

    /// Sender and receiver.
    pub(in crate::call) fn parties<'c>(&self, call: &'c mut Call) -> Option<(&'c mut Party, &'c mut Party)> {
        let ids = [self.dialogue.sender.0, self.dialogue.receiver.0];
        let [sender, receiver] = call.parties.get_disjoint_mut(ids).ok()?;
        Some((sender, receiver))
    }

    /// Makes a party's section if this is the first message about it.
    fn ensure_media(
        &self,
        call: &mut Call,
        party: usize,
        index: usize,
        section: &MediaSection,
    ) -> Familiarity {
        let Party { media, interface, .. } = &mut call.parties[party];
        if let Some(media) = media.get_mut(index) {
            media.interface = interface.unwrap_or_default();
            return Familiarity::Known;
        }
        let is_offered_to = self.kind == Kind::Offer && party == self.dialogue.receiver.0;
        let role = match is_offered_to {
            true => Role::Answerer,
            false => Role::Offerer,
        };
        let Call { parties, streams, .. } = call;
        let Party { media, interface, .. } = &mut parties[party];
        media.resize_with(index + 1, || Media {
            interface: interface.unwrap_or_default(),
            ..Media::new(
                section,
                role,
                self.environment.settings.learning,
                streams,
                self.now,
            )
        });
        Familiarity::New
    }

    /// Whether it goes from one party to another. Else the relay speaks or is spoken to.
    pub(in crate::call) fn is_of_a_party(&self) -> bool {
        self.dialogue.sender != self.dialogue.receiver
    }
}

/// A media section on both sides.
pub(in crate::call) struct Pair<'a> {
    pub(in crate::call) message: &'a Message<'a>,
    pub(in crate::call) section: &'a MediaSection,
    /// Whether the receiver multiplexes RTCP in any of the sections that are spoken of.
    pub(in crate::call) receiver_muxes: bool,
    pub(in crate::call) sender: &'a mut Media,
    pub(in crate::call) receiver: &'a mut Media,
}

impl<'a> Pair<'a> {
    /// Of a receiver that multiplexes RTCP nowhere, as far as is known.
    pub(in crate::call) fn new(
        message: &'a Message<'a>,
        section: &'a MediaSection,
        sender: &'a mut Media,
        receiver: &'a mut Media,
    ) -> Pair<'a> {
        Pair {
            message,
            section,
            receiver_muxes: false,
            sender,
            receiver,
        }
    }
}

impl Pair<'_> {
    /// Takes over everything but the ports.
    pub(in crate::call) fn hear(
        &mut self,
        remote_section: RemoteSection,
        of_sender: Familiarity,
        of_receiver: Familiarity,
    ) {
        self.choose_protocol(of_sender, of_receiver);
        let former = self.sender.section().map(|section| section.kind.clone());
        let spoken_of = former.unwrap_or_else(|| self.sender.kind.clone());
        if self.message.kind == Kind::Offer && self.message.options.reset && self.message.is_of_a_party() {
            // As if nobody had spoken before.
            (self.sender.role, self.receiver.role) = (Role::Offerer, Role::Answerer);
        }
        let speaks_first = self.sender.remote_section.is_none();
        let before = self.sender.remote;
        self.sender.remote_section = Some(remote_section);
        self.sender.unheeded = false;
        if let (Kind::Offer, Some(mid)) = (self.message.kind, &self.section.mid) {
            self.sender.bundle.mid = Some(mid.clone());
        }
        // Who offered is answered with the kind that it offered (RFC 3264 section 6), unless the answer turns to another one.
        let is_new = self.message.kind == Kind::Offer || self.receiver.remote_section.is_none();
        let is_new = is_new || self.receiver.speaks.is_some();
        if is_new || spoken_of != self.section.kind {
            self.receiver.kind = self.section.kind.clone();
        }
        self.sender.kind = self.section.kind.clone();
        let rejected = self.section.is_rejected();
        (self.sender.rejected, self.receiver.rejected) = (rejected, rejected);
        (self.sender.bare, self.receiver.bare) = (false, false);
        self.sender.remote = self.message.remote_of(self.section);
        if !self.section.is_rejected() {
            self.sender.takes_feedback = takes_feedback(self.section);
        }
        let reach = self.sender.reach();
        self.sender
            .endpoints
            .hear(self.sender.remote, ice::has_ice(self.section), reach);
        for (media, familiarity) in [(&mut *self.sender, of_sender), (&mut *self.receiver, of_receiver)] {
            media.is_unused = self.section.is_rejected()
                && (media.is_unused || (familiarity == Familiarity::New && self.message.kind == Kind::Offer));
        }
        // Who has no candidates yet has no address either (RFC 8840 section 4.1.3).
        let held = self.section.has_zero_address() && !ice::trickles(self.section);
        self.sender.direction = match held {
            true => Direction::new(self.section.direction.sends(), false),
            false => self.section.direction,
        };
        self.receiver.direction = self.sender.direction.reversed();
        let is_elsewhere = self.sender.remote.is_some() && before != self.sender.remote;
        if !self.section.is_rejected() {
            self.sender.sources = self.sources(speaks_first, is_elsewhere);
        }
        self.receiver.told_label.clone_from(&self.section.label);
        self.hear_ptime();
        let accepted = accepted_extensions(self.message.kind, self.section, self.sender);
        self.sender.accepted_extensions.clone_from(&accepted);
        self.receiver.accepted_extensions = accepted;
        self.sender.unidirectional = self.message.options.unidirectional;
        self.agree_on_mux();
        self.choose_families(of_receiver);
        match self.message.kind {
            Kind::Offer => self.choose_codecs(),
            Kind::Answer => self.choose_answered_codecs(),
        }
        self.sender.remember_codecs();
        self.receiver.remember_codecs();
        if std::mem::take(&mut self.sender.shown) == Visibility::Removed {
            // It was never told of another one beside it.
            self.sender.crypto.doubled = Doubled::No;
        }
        if self.message.kind == Kind::Offer {
            let masked = &self.message.options.masked_extensions;
            if *masked != Extensions::None {
                self.receiver.masked_extensions = masked.clone();
            }
            self.receiver.shown = self.shown();
        }
        // Who speaks of it knows it.
        self.sender.shown = Visibility::Listed;
        for stream in [
            &mut self.sender.rtp,
            &mut self.sender.rtcp,
            &mut self.receiver.rtp,
            &mut self.receiver.rtcp,
        ] {
            stream.signalled_at = self.message.now;
        }
    }

    /// What is to be told of packet times lasts for the whole call, and counts for both directions. Else both sides go by what
    /// was stated last, by whichever of them; where media is packed anew, what the other side answers does not count.
    fn hear_ptime(&mut self) {
        let options = self.message.options;
        if self.message.kind == Kind::Offer {
            self.receiver.told_ptime = options.ptime.or(self.receiver.told_ptime);
            self.sender.told_ptime = options.ptime_reverse.or(self.sender.told_ptime);
        }
        let Some(stated) = self.section.ptime else {
            return;
        };
        let is_repacked = self.sender.told_ptime.is_some() || self.receiver.told_ptime.is_some();
        if is_repacked && self.message.kind == Kind::Answer {
            return;
        }
        self.sender.ptime = Some(stated);
        if !is_repacked || self.receiver.role == Role::Answerer {
            self.receiver.ptime = Some(stated);
        }
    }

    /// The receiver keeps the transport that it knows, until the sender changes its own.
    fn choose_protocol(&mut self, of_sender: Familiarity, of_receiver: Familiarity) {
        let options = self.message.options;
        let profile = Profile::of(self.section);
        let wish = options.transport_protocol.as_deref();
        let asked = wish.and_then(Protocol::named).filter(Protocol::is_rtp);
        let asked = asked.filter(|_| profile.protocol.is_rtp()).map(Profile::plain);
        let is_rejection = self.message.kind == Kind::Answer && self.section.is_rejected();
        let same_kind = is_rejection || self.receiver.protocol.is_rtp() == profile.protocol.is_rtp();
        let known = of_receiver == Familiarity::Known && same_kind && !self.receiver.crypto.profile_open;
        let spoken = match of_sender {
            Familiarity::Known if !self.sender.crypto.profile_open => Some(self.sender.profile()),
            Familiarity::Known | Familiarity::New => None,
        };
        match self.message.kind {
            Kind::Offer => {
                // The relay has no transport of its own.
                let same = spoken.as_ref() == Some(&profile) || !self.message.is_of_a_party();
                let keeps = known && same;
                match asked {
                    Some(asked) => self.receiver.take_profile(asked),
                    None if keeps => {}
                    None => self.receiver.take_profile(profile.clone()),
                }
                let is_asked = self.message.is_of_a_party();
                if options.osrtp.offer && is_asked && self.receiver.protocol.is_plain_rtp() {
                    self.receiver.crypto.opportunistic = true;
                }
                self.sender.take_profile(profile);
            }
            Kind::Answer => {
                // Another profile for plain RTP than the one that was offered refuses what was opportunistic.
                let is_plain = profile.protocol.is_plain_rtp() && !profile.opportunistic;
                let refuses = is_plain && spoken.as_ref() != Some(&profile) && self.message.is_of_a_party();
                let refused = self.receiver.crypto.opportunistic && refuses;
                let same = spoken.as_ref() == Some(&profile);
                match asked {
                    Some(asked) => self.receiver.take_profile(asked),
                    None if known && !refused && (wish != Some("accept") || same) => {}
                    None => self.receiver.take_profile(profile.clone()),
                }
                let is_open = profile.opportunistic && spoken.as_ref() != Some(&profile);
                let shown = is_open.then(|| self.receiver.protocol.clone());
                self.sender.take_profile(profile);
                self.sender.crypto.profile_open = is_open;
                self.sender.shown_protocol = shown;
            }
        }
    }

    /// The sender has two sections in the place of this one.
    pub(in crate::call) fn hear_doubled(&mut self, pair: Option<Paired>) {
        let doubled = &mut self.sender.crypto.doubled;
        *doubled = match (pair, *doubled) {
            (Some(pair), Doubled::ByUs(_)) => Doubled::ByUs(pair.half),
            (Some(pair), Doubled::No | Doubled::ByParty(_)) => Doubled::ByParty(pair),
            (None, Doubled::ByParty(_)) if self.message.kind == Kind::Offer => Doubled::No,
            (None, unchanged) => unchanged,
        };
        let wanted = self.message.options.osrtp.offer_legacy && self.message.kind == Kind::Offer;
        let receiver = &mut *self.receiver;
        let is_open = self.message.kind == Kind::Offer && receiver.remote_section.is_none();
        if is_open && matches!(receiver.crypto.doubled, Doubled::ByUs(_)) {
            receiver.crypto.doubled = Doubled::No;
        }
        if wanted && receiver.is_encrypted() && !matches!(receiver.crypto.doubled, Doubled::ByParty(_)) {
            receiver.crypto.doubled = Doubled::ByUs(Half::Srtp);
        }
    }

    /// A gateway lasts until an offer does without it.
    fn hear_gateway(&mut self, gateway: Option<&Gateway>) {
        if self.message.kind == Kind::Offer {
            self.sender.speaks = gateway.map(|gateway| gateway.sender.clone());
            self.receiver.speaks = gateway.map(|gateway| gateway.receiver.clone());
        }
    }

    /// ICE with both sides, as far as it does not depend on ports.
    pub(in crate::call) fn exchange_ice(
        &mut self,
        of_sender: Familiarity,
        random: Random<'_>,
    ) -> ice::IceChange {
        let message = self.message;
        let exchange = IceMessage {
            is_new: of_sender == Familiarity::New,
            kind: message.kind,
            section: self.section,
            peer_lite: message.description.ice_lite,
            options: message.options.ice,
            reset: message.options.reset,
            passes_on: !message.is_of_a_party(),
        };
        exchange.apply(&mut self.sender.ice, &mut self.receiver.ice, random)
    }

    fn sources(&self, speaks_first: bool, is_elsewhere: bool) -> Sources {
        let options = self.message.options;
        Sources {
            // What the message says counts that first names the place.
            learning: match (speaks_first || is_elsewhere, options.learning) {
                (true, Some(learning)) => learning,
                (true, None) => self.message.environment.settings.learning,
                (false, _) => self.sender.sources.learning,
            },
            others: options.other_source,
            strict_handover: options.strict_handover,
            sending: if options.asymmetric {
                Sending::Asymmetric
            } else {
                Sending::Symmetric
            },
            wait: options.nat_wait || self.sender.sources.wait,
            pierce: options.pierce_nat && speaks_first || self.sender.sources.pierce,
            recrypt: options.recrypt,
            block_short: options.block_short || self.sender.sources.block_short,
        }
    }

    fn agree_on_mux(&mut self) {
        let section = self.section;
        let implied = section.rtcp.is_some_and(|rtcp| rtcp.port == section.port);
        let muxed = section.rtcp_mux || implied;
        let options = self.message.options.rtcp_mux;
        match self.message.kind {
            Kind::Offer => {
                let answer = self.sender.mux.offers(muxed, options);
                let elsewhere = self.receiver_muxes;
                self.receiver.mux.is_offered(muxed, options, elsewhere, answer);
            }
            Kind::Answer => match section.is_rejected() {
                true => self.sender.mux.is_rejected(),
                false => {
                    let meaning = self.sender.mux.answers(muxed);
                    self.receiver.mux.is_answered(muxed, meaning);
                }
            },
        }
    }

    /// Whether the receiver knows of a section that it is not to be told of any more: then it stays as it is, and this offer
    /// says nothing of it.
    fn is_taken_away(&self, index: usize, of_receiver: Familiarity) -> bool {
        let is_carried = [&self.sender, &self.receiver]
            .iter()
            .any(|media| media.bundle.carrier(index).is_some());
        let is_known =
            of_receiver == Familiarity::Known && self.receiver.shown != Visibility::Removed && !is_carried;
        self.message.kind == Kind::Offer && is_known && self.shown() == Visibility::Removed
    }

    fn shown(&self) -> Visibility {
        match self.message.shows(self.section) {
            true => Visibility::Listed,
            false => Visibility::Removed,
        }
    }

    /// Whether an offer says something of a section that its receiver neither knows nor learns of.
    fn is_unheard(&self, of_receiver: Familiarity) -> bool {
        let is_unknown = of_receiver == Familiarity::New || self.receiver.shown == Visibility::Removed;
        self.message.kind == Kind::Offer && is_unknown && self.shown() == Visibility::Removed
    }

    /// Takes note of a section and of its place, and does nothing about it. What concerns the call as a whole counts all the same.
    fn take_note(&mut self, remote_section: RemoteSection) {
        self.hear_ptime();
        self.note_packing();
        self.choose_families(Familiarity::New);
        self.sender.protocol = self.section.protocol.clone();
        self.sender.kind = self.section.kind.clone();
        self.receiver.kind = self.section.kind.clone();
        if let Some(mid) = &self.section.mid {
            self.sender.bundle.mid = Some(mid.clone());
        }
        self.sender.remote_section = Some(remote_section);
        self.sender.unheeded = true;
        self.receiver.shown = Visibility::Removed;
    }
}

/// Whether the sender of a section takes RTCP feedback.
pub(in crate::call) fn takes_feedback(section: &MediaSection) -> bool {
    let for_all = section
        .attributes
        .iter()
        .any(|attribute| attribute.name() == "rtcp-fb");
    for_all || section.codecs.iter().any(|codec| !codec.feedback.is_empty())
}
