//! Keys of SRTP that are not in use at present. Counters live as long as the key (RFC 3711 section 9.1): signalling may come
//! back to one, after an interval without encryption, from another device, or for another stream.

use std::collections::VecDeque;

use crate::security::Srtp;
use crate::srtp::{Inbound, Outbound, State};

/// How many keys are remembered for each direction. The one that was put away first is forgotten first.
const MAX_KEYS: usize = 32;

/// What was known under keys that were in use, for a whole session.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    inbound: Ring,
    outbound: Ring,
}

#[derive(Debug, Default)]
struct Ring(VecDeque<State>);

impl Keyring {
    /// A key of a party is not in use any more.
    pub(super) fn put_inbound(&mut self, inbound: &Inbound) {
        self.inbound.put(inbound.state());
    }

    /// A key of ours is not in use any more.
    pub(super) fn put_outbound(&mut self, outbound: &Outbound) {
        self.outbound.put(outbound.state());
    }

    /// What a party protects its media with from here on, with what is known under that key.
    pub(super) fn inbound(&mut self, srtp: &Srtp) -> Option<Inbound> {
        self.inbound.take(srtp).map(|state| Inbound::restore(&state))
    }

    /// What we protect media with from here on. `before` is what was in use until now, if indices go on.
    pub(super) fn outbound(&mut self, srtp: &Srtp, before: Option<&Outbound>) -> Option<Outbound> {
        let mut state = self.outbound.take(srtp)?;
        if let Some(before) = before {
            state.succeed(&before.state());
        }
        Some(Outbound::restore(&state))
    }

    /// Takes over what another session has put away.
    pub(super) fn absorb(&mut self, other: Keyring) {
        other
            .inbound
            .0
            .into_iter()
            .for_each(|state| self.inbound.put(state));
        other
            .outbound
            .0
            .into_iter()
            .for_each(|state| self.outbound.put(state));
    }
}

impl Ring {
    fn put(&mut self, mut state: State) {
        if let Some(known) = self.take(&state.srtp) {
            state.merge(&known);
        }
        if self.0.len() == MAX_KEYS {
            self.0.pop_front();
        }
        self.0.push_back(state);
    }

    /// What is known under a master key, whatever else was agreed on with it.
    fn take(&mut self, srtp: &Srtp) -> Option<State> {
        let place = self.0.iter().position(|state| state.srtp.key == srtp.key)?;
        let mut state = self.0.remove(place)?;
        state.srtp = srtp.clone();
        Some(state)
    }
}
