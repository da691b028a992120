//! What all calls have in common.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::config::CallSettings;
use crate::security::{HashFunction, OwnFingerprints};

use super::ice::Foundations;

/// The configuration, and who we are to the other side.
#[derive(Clone, Debug)]
pub(super) struct Premises {
    pub(super) settings: CallSettings,
    /// Of the certificate that we show in DTLS.
    pub(super) fingerprints: OwnFingerprints,
    /// Names of our addresses in ICE.
    pub(super) foundations: Foundations,
}

impl Premises {
    /// The names of the addresses differ from one certificate to the next, and so from one process to the next.
    pub(super) fn new(settings: CallSettings, fingerprints: OwnFingerprints) -> Premises {
        let seed = fingerprints.by(HashFunction::Sha256).digest();
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
            fingerprints,
        }
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
