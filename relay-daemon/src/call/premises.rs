//! What all calls have in common.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::config::CallSettings;
use crate::dtls::Credentials;
use crate::security::HashFunction;

use super::ice::Foundations;

/// The configuration, and who we are to the other side.
#[derive(Clone, Debug)]
pub(super) struct Premises {
    pub(super) settings: CallSettings,
    /// Who we are in DTLS, to new calls.
    pub(super) credentials: Arc<Credentials>,
    /// Names of our addresses in ICE.
    pub(super) foundations: Foundations,
}

impl Premises {
    /// The names of the addresses differ from one process to the next, as its first certificate does.
    pub(super) fn new(settings: CallSettings, credentials: Arc<Credentials>) -> Premises {
        let seed = credentials.fingerprints().by(HashFunction::Sha256).digest();
        let mut state = hash(seed);
        let mut random = |bytes: &mut [u8]| {
            for chunk in bytes.chunks_mut(size_of::<u64>()) {
                state = hash(&(state, seed));
                chunk.copy_from_slice(&state.to_ne_bytes()[..chunk.len()]);
            }
        };
        Premises {
            foundations: Foundations::new(settings.interfaces.addresses.len(), &mut random),
            settings,
            credentials,
        }
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
