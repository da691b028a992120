//! How media is protected: what signalling negotiates with a party, in the terms in which the media is then handled.
//!
//! [`MediaSecurity`] is the outcome for one media section of one party: SRTP keys that the SDP named, what a DTLS
//! association needs, or nothing. [`IceAgent`] is what ICE with the party goes by.

mod fingerprint;
mod ice;
mod srtp;
mod suite;

use std::sync::Arc;

pub use fingerprint::{Fingerprint, HashFunction, OwnFingerprints};
pub use ice::{
    CandidateKind, IceAgent, IceCredentials, IceRole, MAX_CANDIDATES, RemoteCandidate, candidate_priority,
};
pub use srtp::{MasterKey, Mki, SessionParameters, Srtp};
pub use suite::{Suite, SuiteSet};

/// How media between us and one party is protected, in one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaSecurity {
    /// Not at all.
    Plain,
    /// SRTP was agreed on, but we were not told the keys: only the other end can read it.
    Opaque,
    /// Protection was offered, the answer is not here yet.
    Offered {
        /// Whether the party was offered DTLS: it may open an association before its answer is here.
        dtls: bool,
    },
    /// SRTP with keys from the SDP (RFC 4568).
    Sdes(SrtpKeys),
    /// SRTP with keys from a DTLS association (RFC 5763, 5764).
    Dtls(DtlsPeer),
}

/// Both directions of SRTP with a party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpKeys {
    /// What the party protects its media with.
    pub inbound: Srtp,
    /// What media for the party is protected with.
    pub outbound: Srtp,
    /// Whether that is the key of another party, so that its media can pass unchanged.
    pub is_copied: bool,
}

/// What a DTLS association with a party needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtlsPeer {
    /// Who opens the association.
    pub role: DtlsRole,
    /// The party's certificate has this fingerprint.
    pub fingerprint: Fingerprint,
    /// Names the association: with another one, a new association replaces the old. 32 hexadecimal digits.
    pub association: Arc<str>,
}

/// Our part in a DTLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsRole {
    /// Client: we open the association.
    Active,
    /// Server: the party opens it.
    Passive,
}

impl MediaSecurity {
    /// Whether what comes in so protected can go out so protected without a change to it.
    pub fn passes_to(&self, other: &MediaSecurity) -> bool {
        match (self, other) {
            (MediaSecurity::Plain, MediaSecurity::Plain) | (MediaSecurity::Opaque, MediaSecurity::Opaque) => {
                true
            }
            (MediaSecurity::Sdes(from), MediaSecurity::Sdes(to)) => from.inbound == to.outbound,
            (
                MediaSecurity::Plain
                | MediaSecurity::Opaque
                | MediaSecurity::Offered { .. }
                | MediaSecurity::Sdes(_)
                | MediaSecurity::Dtls(_),
                _,
            ) => false,
        }
    }

    /// Whether what comes in so protected can be made what has to go out so protected.
    pub fn reaches(&self, other: &MediaSecurity) -> bool {
        self.passes_to(other) || (self.is_readable() && other.is_readable())
    }

    /// Whether we can read it and write it, given the keys.
    pub fn is_readable(&self) -> bool {
        *self == MediaSecurity::Plain || self.is_srtp()
    }

    /// Whether it is SRTP that we have the keys of, or will have.
    pub fn is_srtp(&self) -> bool {
        match self {
            MediaSecurity::Sdes(_) | MediaSecurity::Dtls(_) => true,
            MediaSecurity::Plain | MediaSecurity::Opaque | MediaSecurity::Offered { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srtp(fill: u8) -> Srtp {
        Srtp::new(MasterKey::cut(Suite::AesCm128HmacSha1_80, [fill; 46]))
    }

    fn sdes(inbound: u8, outbound: u8) -> MediaSecurity {
        MediaSecurity::Sdes(SrtpKeys {
            is_copied: false,
            inbound: srtp(inbound),
            outbound: srtp(outbound),
        })
    }

    #[test]
    fn what_is_equally_protected_on_both_sides_passes() {
        assert!(MediaSecurity::Plain.passes_to(&MediaSecurity::Plain));
        assert!(MediaSecurity::Opaque.passes_to(&MediaSecurity::Opaque));
        assert!(sdes(1, 2).passes_to(&sdes(2, 1)));
        assert!(sdes(1, 3).passes_to(&sdes(4, 1)), "one direction only");
    }

    #[test]
    fn nothing_else_does() {
        let offered = MediaSecurity::Offered { dtls: true };
        assert!(!MediaSecurity::Plain.passes_to(&sdes(1, 2)));
        assert!(!sdes(1, 2).passes_to(&MediaSecurity::Plain));
        assert!(!sdes(1, 2).passes_to(&sdes(1, 2)));
        assert!(!MediaSecurity::Plain.passes_to(&MediaSecurity::Opaque));
        assert!(!MediaSecurity::Opaque.passes_to(&sdes(1, 2)));
        assert!(!offered.passes_to(&offered));
        assert!(!MediaSecurity::Plain.passes_to(&offered));
    }

    #[test]
    fn what_we_have_keys_of_reaches_all_but_what_we_have_none_of() {
        let offered = MediaSecurity::Offered { dtls: true };
        assert!(MediaSecurity::Plain.reaches(&sdes(1, 2)));
        assert!(sdes(1, 2).reaches(&MediaSecurity::Plain));
        assert!(sdes(1, 2).reaches(&sdes(1, 2)));
        assert!(MediaSecurity::Opaque.reaches(&MediaSecurity::Opaque));
        assert!(!MediaSecurity::Opaque.reaches(&MediaSecurity::Plain));
        assert!(!MediaSecurity::Plain.reaches(&MediaSecurity::Opaque));
        assert!(!MediaSecurity::Plain.reaches(&offered));
        assert!(!offered.reaches(&sdes(1, 2)));
    }
}
