//! Encryption, as a message negotiates it with both sides of a section.

use crate::call::model::media::Media;
use crate::call::model::state::Call;
use crate::call::section::crypto::{Exchange, Side, Transport};
use crate::call::section::ice;
use crate::call::section::kind::Kind;
use crate::call::section::ports::Reservations;
use crate::call::section::random::Random;

use super::{Message, Pair};

impl Message<'_> {
    /// Sections that the message says nothing of are told to the receiver all the same: in an offer those that are not among
    /// `indices`, in an answer those that the sender has never spoken of.
    pub(in crate::call) fn answer_unmentioned(
        &self,
        call: &mut Call,
        indices: &[usize],
        reservations: &mut Reservations<'_>,
    ) {
        let Some((sender, receiver)) = self.parties(call) else {
            return;
        };
        let has_spoken = |index: usize| {
            let own: Option<&Media> = sender.media.get(index);
            match self.kind {
                Kind::Offer => indices.contains(&index),
                Kind::Answer => own.is_some_and(|own| own.remote_section.is_some()),
            }
        };
        let of_receiver = receiver.media.iter_mut().enumerate();
        for (_, receiver) in of_receiver.filter(|(index, media)| !has_spoken(*index) && media.is_rtp()) {
            let side = receiver.crypto_side();
            side.answer_unmentioned(
                self.options.dtls,
                &self.credentials,
                &mut reservations.randomness(),
            );
        }
    }
}

impl Pair<'_> {
    /// Encryption with both sides.
    pub(in crate::call) fn exchange_keys(&mut self, ice: ice::IceChange, random: Random<'_>) {
        for media in [&mut *self.sender, &mut *self.receiver] {
            if let Some(ports) = media.ports.current() {
                media.ice.settle_at(ports.rtp.id, &mut *random);
            }
        }
        let Pair {
            message,
            section,
            receiver_muxes: _,
            sender,
            receiver,
        } = self;
        let exchange = Exchange {
            kind: message.kind,
            section,
            options: message.options,
            dtls_passive: message.environment.settings.dtls_passive,
            credentials: &message.credentials,
            ice_restarted: ice == ice::IceChange::Restarted,
            passes_on: !message.is_of_a_party(),
        };
        if receiver.passes_through() || sender.passes_through() || !section.protocol.is_rtp() {
            let mut own = [sender.crypto.clone(), receiver.crypto.clone()];
            let [of_sender, of_receiver] = &mut own;
            let side = |protocol, crypto| Side {
                protocol,
                transport: Transport::default(),
                crypto,
            };
            if message.kind == Kind::Offer && section.protocol.is_rtp() {
                let (of_sender, of_receiver) = (
                    side(&sender.protocol, of_sender),
                    side(&receiver.protocol, of_receiver),
                );
                exchange.run(of_sender, of_receiver, random);
            }
            for (media, own) in [sender, receiver].into_iter().zip(&own) {
                let own = Some(own).filter(|_| section.protocol.is_rtp());
                media
                    .crypto
                    .leave_to_the_ends(&section.protocol, message.kind, own);
            }
            return;
        }
        exchange.run(sender.crypto_side(), receiver.crypto_side(), random);
    }
}
