//! What a message asks of encryption.

use crate::security::{HashFunction, SessionParameters, Suite, SuiteSet};

/// `SDES`: SRTP with keys in the SDP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SdesOptions {
    /// `off`: not offered.
    pub off: bool,
    /// `no-SUITE`: these neither.
    pub excluded: SuiteSet,
    /// `only-SUITE`: if there is any, these alone, none for a name that is unknown; counts before `excluded`.
    pub allowed: Option<SuiteSet>,
    /// `nonew`: only what the sender offers; counts before both.
    pub no_new: bool,
    /// `order`: these come first in an offer, in this order.
    pub order: Vec<Suite>,
    /// `offerer_pref`: the sender of an offer is answered with the first of these that it offers.
    pub preferred: Vec<Suite>,
    /// `unencrypted_srtp` and its like.
    pub parameters: ParameterChanges,
    /// `pad`: keys are padded to full base64.
    pub pad: bool,
    /// `lifetime`: keys are given one.
    pub lifetime: bool,
    /// `static`: the suite in use is answered again, if it is offered again, and the other side has keys in the SDP too.
    pub keep_suite: bool,
    /// `prefer`: chosen where DTLS is offered as well.
    pub prefer: bool,
}

impl SdesOptions {
    /// Whether a suite may be used.
    pub(in crate::call) fn allows(&self, suite: Suite) -> bool {
        match self.allowed {
            _ if self.no_new => true,
            None => !self.excluded.contains(suite),
            Some(allowed) => allowed.contains(suite),
        }
    }
}

/// Session parameters to set in what is offered, or to remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParameterChanges {
    /// `unencrypted_srtp`, `encrypted_srtp`.
    pub unencrypted_srtp: Option<bool>,
    /// `unencrypted_srtcp`, `encrypted_srtcp`.
    pub unencrypted_srtcp: Option<bool>,
    /// `unauthenticated_srtp`, `authenticated_srtp`.
    pub unauthenticated_srtp: Option<bool>,
}

impl ParameterChanges {
    pub(in crate::call) fn apply(self, parameters: &mut SessionParameters) {
        let SessionParameters {
            unencrypted_srtp,
            unencrypted_srtcp,
            unauthenticated_srtp,
            key_derivation_rate: _,
        } = parameters;
        for (change, parameter) in [
            (self.unencrypted_srtp, unencrypted_srtp),
            (self.unencrypted_srtcp, unencrypted_srtcp),
            (self.unauthenticated_srtp, unauthenticated_srtp),
        ] {
            *parameter = change.unwrap_or(*parameter);
        }
    }
}

/// `DTLS`, `DTLS-fingerprint`: SRTP with keys from a DTLS association.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DtlsOptions {
    /// `off`: not offered.
    pub off: bool,
    /// `passive`, `active`: who opens the association with the sender of an offer that leaves it open; default from the
    /// configuration.
    pub passive: Option<bool>,
    /// `DTLS-fingerprint`: the hash function; default that of the party.
    pub fingerprint: Option<HashFunction>,
    /// `no-tls-id`: no `a=tls-id`, and an ICE restart does not end the association.
    pub no_tls_id: bool,
}

/// `OSRTP`: SRTP that either side may do without (RFC 8643).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OsrtpOptions {
    /// `offer`: keys under a profile for plain RTP.
    pub offer: bool,
    /// `offer-legacy`: a section for plain RTP, and one for SRTP.
    pub offer_legacy: bool,
    /// `accept-legacy`: two sections that offer RTP and SRTP at one port are one.
    pub accept_legacy: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_counts_before_no_and_nonew_before_both() {
        let one = |suite| [suite].into_iter().collect();
        let mut options = SdesOptions {
            excluded: one(Suite::AesCm128HmacSha1_80),
            ..SdesOptions::default()
        };
        assert!(!options.allows(Suite::AesCm128HmacSha1_80));
        assert!(options.allows(Suite::AesCm128HmacSha1_32));
        options.allowed = Some(one(Suite::AesCm128HmacSha1_80));
        assert!(options.allows(Suite::AesCm128HmacSha1_80));
        assert!(!options.allows(Suite::AesCm128HmacSha1_32));
        options.no_new = true;
        assert!(options.allows(Suite::AesCm128HmacSha1_32));
    }
}
