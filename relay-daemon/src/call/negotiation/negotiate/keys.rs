//! Encryption, as a message negotiates it with both sides of a section.

use crate::call::model::state::Call;
use crate::call::section::crypto::Exchange;
use crate::call::section::ice;
use crate::call::section::kind::Kind;
use crate::call::section::ports::Reservations;
use crate::call::section::random::Random;

use super::{Message, Pair};

impl Message<'_> {
    /// Sections that the sender has never spoken of are in the answer to the receiver all the same.
    pub(in crate::call) fn answer_unmentioned(&self, call: &mut Call, reservations: &mut Reservations<'_>) {
        let Some((sender, receiver)) = self.parties(call).filter(|_| self.kind == Kind::Answer) else {
            return;
        };
        let pairs = sender.media.iter().zip(&mut receiver.media);
        for (_, receiver) in
            pairs.filter(|(sender, receiver)| sender.remote_section.is_none() && receiver.is_rtp())
        {
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
        if receiver.passes_through() || sender.passes_through() || !section.protocol.is_rtp() {
            for media in [sender, receiver] {
                media.crypto.leave_to_the_ends(&section.protocol);
            }
            return;
        }
        let exchange = Exchange {
            kind: message.kind,
            section,
            options: message.options,
            dtls_passive: message.environment.settings.dtls_passive,
            credentials: &message.credentials,
            ice_restarted: ice == ice::IceChange::Restarted,
            passes_on: !message.is_of_a_party(),
        };
        exchange.run(sender.crypto_side(), receiver.crypto_side(), random);
    }
}
