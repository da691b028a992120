//! What all calls have in common.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::config::CallSettings;
use crate::dtls::Credentials;
use crate::host::Host;
use crate::plan::{CallKey, ReportPlan, StreamId};
use crate::security::HashFunction;

use super::ice::Foundations;
use super::interfaces::{Turns, Wish};

/// The configuration, and who we are to the other side.
#[derive(Clone, Debug)]
pub(in crate::call) struct Environment {
    pub(in crate::call) settings: CallSettings,
    /// Who we are in DTLS, to new calls.
    pub(in crate::call) credentials: Arc<Credentials>,
    /// Whose turn it is in groups of interfaces.
    turns: Arc<Turns>,
    /// Names of our addresses in ICE.
    pub(in crate::call) foundations: Foundations,
    /// Twelve hexadecimal digits that tell this process from others.
    pub(in crate::call) instance: Arc<str>,
}

impl Environment {
    /// The names of the addresses differ from one process to the next, as its first certificate does.
    pub(in crate::call) fn new(settings: CallSettings, credentials: Arc<Credentials>) -> Environment {
        let seed = credentials.fingerprints().by(HashFunction::Sha256).digest();
        let mut state = hash(seed);
        let mut random = |bytes: &mut [u8]| {
            for chunk in bytes.chunks_mut(size_of::<u64>()) {
                state = hash(&(state, seed));
                chunk.copy_from_slice(&state.to_ne_bytes()[..chunk.len()]);
            }
        };
        let known = &settings.interfaces;
        let foundations = Foundations::new(known.interfaces.len(), known.addresses.len(), &mut random);
        let mut instance = [0; 8];
        random(&mut instance);
        let instance = u64::from_ne_bytes(instance) >> 16;
        Environment {
            foundations,
            turns: Arc::new(Turns::new(&settings.interfaces)),
            instance: format!("{instance:012x}").into(),
            settings,
            credentials,
        }
    }

    /// Index of the interface that serves a party.
    pub(in crate::call) fn choose_interface(&self, wish: Wish<'_>, host: &dyn Host) -> usize {
        self.turns.choose(wish, &self.settings.interfaces, host)
    }

    /// What a call goes by that writes RTCP itself, going out by these streams.
    pub(in crate::call) fn reports(&self, call: CallKey, ways: Vec<(StreamId, StreamId)>) -> ReportPlan {
        ReportPlan {
            interval: self.settings.rtcp_interval,
            epoch: self.settings.epoch,
            name: Arc::clone(&self.instance),
            seed: hash(&(&self.instance, call)),
            ways,
        }
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
