//! DTLS-SRTP in the SDP (RFC 5763, 8122, 8842): fingerprints, roles, and when an association ends.

use std::sync::Arc;

use crate::call::negotiate::Kind;
use crate::call::random::{Random, hexadecimal};
use crate::dtls::Credentials;
use crate::sdp::{self, MediaSection, Setup, Text};
use crate::security::{DtlsPeer, DtlsRole, Fingerprint, HashFunction};

use super::DtlsOptions;

/// Digits of `a=tls-id`.
const TLS_ID_LENGTH: usize = 32;

/// DTLS with one party, in one media section.
#[derive(Clone, Debug, Default)]
pub(super) struct Dtls {
    /// What the party's newest SDP says. None if it does without DTLS.
    peer: Option<Peer>,
    /// Our part, once it is clear.
    role: Option<DtlsRole>,
    /// Names the association; made when the party is first told of it.
    association: Option<Arc<str>>,
    /// Who we are in it; likewise.
    credentials: Option<Arc<Credentials>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Peer {
    fingerprint: Fingerprint,
    /// Names the party's end of the association.
    tls_id: Option<Text>,
}

/// What is known when a party speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing<'a> {
    pub(super) kind: Kind,
    pub(super) section: &'a MediaSection,
    pub(super) options: DtlsOptions,
    /// Whether we wait for the party to open the association if it leaves the choice to us.
    pub(super) passive: bool,
    /// Whether the party has restarted ICE with this message.
    pub(super) ice_restarted: bool,
}

impl Dtls {
    /// The party speaks. Tells whether it does DTLS, as far as we can.
    pub(super) fn hear(&mut self, hearing: Hearing<'_>) -> bool {
        let Some(peer) = peer(hearing.section) else {
            *self = Dtls::default();
            return false;
        };
        if self.ends(&peer, hearing) {
            self.role = None;
            self.association = None;
        }
        let role = role(self.role, hearing);
        if self.role.is_some_and(|former| former != role) {
            self.association = None;
        }
        self.role = Some(role);
        self.peer = Some(peer);
        true
    }

    /// Whether the party does DTLS, as far as its newest SDP says.
    pub(super) fn is_offered(&self) -> bool {
        self.peer.is_some()
    }

    /// The party is told of the association: gives it a name if it has none, and says who we are.
    pub(super) fn tell(&mut self, credentials: &Arc<Credentials>, random: Random<'_>) {
        self.association
            .get_or_insert_with(|| hexadecimal(TLS_ID_LENGTH, random));
        self.credentials.get_or_insert_with(|| Arc::clone(credentials));
    }

    /// Who we are to the party, if it was told.
    pub(super) fn credentials(&self) -> Option<&Arc<Credentials>> {
        self.credentials.as_ref()
    }

    /// What the association needs. None if the party does without, or before anything was said.
    pub(super) fn agreed(&self) -> Option<DtlsPeer> {
        Some(DtlsPeer {
            role: self.role?,
            fingerprint: self.peer.as_ref()?.fingerprint.clone(),
            association: Arc::clone(self.association.as_ref()?),
        })
    }

    /// Our part in the association, once it is clear.
    pub(super) fn role(&self) -> Option<DtlsRole> {
        self.role
    }

    /// The lines for the party: an offer leaves the roles open.
    pub(super) fn text(&self, kind: Kind, options: DtlsOptions) -> sdp::Dtls {
        let setup = match (kind, self.role) {
            (Kind::Offer, _) => Setup::ActPass,
            (Kind::Answer, Some(DtlsRole::Passive)) => Setup::Passive,
            (Kind::Answer, Some(DtlsRole::Active) | None) => Setup::Active,
        };
        let of_peer = self.peer.as_ref().map(|peer| peer.fingerprint.hash());
        let hash = options.fingerprint.or(of_peer).unwrap_or_default();
        let own = self.credentials.as_deref();
        let fingerprint = own.map(|own| own.fingerprints().by(hash));
        let tls_id = self.association.as_deref().filter(|_| !options.no_tls_id);
        sdp::Dtls {
            setup: Some(setup),
            fingerprint: fingerprint.map(|fingerprint| sdp::Fingerprint {
                hash: Text::from_static(fingerprint.hash().name()),
                digest: Text::from(fingerprint.to_string()),
            }),
            tls_id: tls_id.map(Text::from),
        }
    }

    /// Whether what the party says ends the association (RFC 8842 section 4).
    fn ends(&self, heard: &Peer, hearing: Hearing<'_>) -> bool {
        let Some(before) = &self.peer else {
            return false;
        };
        let unnamed = heard.tls_id.is_none() && !hearing.options.no_tls_id;
        before != heard || (hearing.ice_restarted && unnamed)
    }
}

/// None without a fingerprint that we can check.
fn peer(section: &MediaSection) -> Option<Peer> {
    let fingerprint = section.dtls.fingerprint.as_ref()?;
    let hash = HashFunction::named(&fingerprint.hash)?;
    Some(Peer {
        fingerprint: Fingerprint::parse(hash, &fingerprint.digest)?,
        tls_id: section.dtls.tls_id.clone(),
    })
}

/// Our part. What was settled stays where the party leaves the choice. Without `a=setup` whoever offers is active
/// (RFC 4145 section 4).
fn role(former: Option<DtlsRole>, hearing: Hearing<'_>) -> DtlsRole {
    match (hearing.section.dtls.setup, hearing.kind) {
        (Some(Setup::Active), _) | (None, Kind::Offer) => DtlsRole::Passive,
        (Some(Setup::Passive), _) | (None, Kind::Answer) => DtlsRole::Active,
        (Some(Setup::ActPass | Setup::HoldConn), _) => former.unwrap_or(match hearing.passive {
            true => DtlsRole::Passive,
            false => DtlsRole::Active,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::crypto::testing::{counting, own_credentials, section};

    fn offer(setup: &str, byte: &str, tls_id: Option<&str>) -> MediaSection {
        let digest = vec![byte; 20].join(":");
        let tls_id = tls_id.map_or(String::new(), |id| format!("a=tls-id:{id}\r\n"));
        let lines = format!("a=setup:{setup}\r\na=fingerprint:SHA-1 {digest}\r\n{tls_id}");
        section("UDP/TLS/RTP/SAVP", &lines)
    }

    fn hear(dtls: &mut Dtls, kind: Kind, section: &MediaSection, change: impl Fn(&mut Hearing<'_>)) {
        let mut hearing = Hearing {
            kind,
            section,
            options: DtlsOptions::default(),
            passive: false,
            ice_restarted: false,
        };
        change(&mut hearing);
        assert!(dtls.hear(hearing));
        dtls.tell(&own_credentials(), &mut counting());
    }

    fn heard(kind: Kind, setup: &str, passive: bool) -> Option<DtlsRole> {
        let mut dtls = Dtls::default();
        hear(&mut dtls, kind, &offer(setup, "AB", None), |hearing| {
            hearing.passive = passive;
        });
        dtls.role()
    }

    #[test]
    fn roles() {
        use {DtlsRole::Active, DtlsRole::Passive};
        for (kind, setup, passive, role) in [
            (Kind::Offer, "actpass", false, Active),
            (Kind::Offer, "actpass", true, Passive),
            (Kind::Offer, "active", false, Passive),
            (Kind::Offer, "passive", true, Active),
            (Kind::Offer, "nonsense", false, Passive),
            (Kind::Answer, "active", false, Passive),
            (Kind::Answer, "passive", false, Active),
            (Kind::Answer, "nonsense", false, Active),
        ] {
            assert_eq!(heard(kind, setup, passive), Some(role), "{kind:?} {setup}");
        }
    }

    #[test]
    fn a_repeated_offer_changes_nothing() {
        let mut dtls = Dtls::default();
        hear(
            &mut dtls,
            Kind::Offer,
            &offer("actpass", "AB", Some("x")),
            |hearing| {
                hearing.passive = true;
            },
        );
        let before = dtls.agreed().unwrap();
        hear(
            &mut dtls,
            Kind::Offer,
            &offer("actpass", "ab", Some("x")),
            |hearing| {
                hearing.ice_restarted = true;
            },
        );
        assert_eq!(dtls.agreed(), Some(before));
    }

    /// Whether a second offer makes a new association.
    fn restarts(second: &MediaSection, change: impl Fn(&mut Hearing<'_>)) -> bool {
        let mut dtls = Dtls::default();
        hear(&mut dtls, Kind::Offer, &offer("actpass", "AB", None), |_| {});
        let before = dtls.agreed().unwrap().association;
        let peer = dtls.hear(Hearing {
            kind: Kind::Offer,
            section: &offer("actpass", "AB", None),
            options: DtlsOptions::default(),
            passive: false,
            ice_restarted: false,
        });
        assert!(peer);
        let mut hearing = Hearing {
            kind: Kind::Offer,
            section: second,
            options: DtlsOptions::default(),
            passive: false,
            ice_restarted: false,
        };
        change(&mut hearing);
        dtls.hear(hearing);
        dtls.association.as_ref() != Some(&before)
    }

    #[test]
    fn what_ends_an_association() {
        let same = offer("actpass", "AB", None);
        assert!(!restarts(&same, |_| {}));
        assert!(restarts(&offer("actpass", "CD", None), |_| {}), "fingerprint");
        assert!(restarts(&offer("actpass", "AB", Some("y")), |_| {}), "tls-id");
        assert!(restarts(&offer("active", "AB", None), |_| {}), "roles");
        assert!(restarts(&same, |hearing| hearing.ice_restarted = true), "ICE");
        assert!(!restarts(&same, |hearing| {
            hearing.ice_restarted = true;
            hearing.options.no_tls_id = true;
        }));
    }

    #[test]
    fn the_hash_is_that_of_the_party() {
        let mut dtls = Dtls::default();
        dtls.tell(&own_credentials(), &mut counting());
        let hash = |dtls: &Dtls, options| {
            let text = dtls.text(Kind::Offer, options);
            text.fingerprint.unwrap().hash.to_string()
        };
        assert_eq!(hash(&dtls, DtlsOptions::default()), "sha-256");
        hear(&mut dtls, Kind::Offer, &offer("actpass", "AB", None), |_| {});
        assert_eq!(hash(&dtls, DtlsOptions::default()), "sha-1");
        let options = DtlsOptions {
            fingerprint: Some(HashFunction::Sha512),
            ..DtlsOptions::default()
        };
        assert_eq!(hash(&dtls, options), "sha-512");
    }

    #[test]
    fn a_fingerprint_that_cannot_be_checked_is_none() {
        let mut dtls = Dtls::default();
        for line in [
            "a=fingerprint:md5 00:11",
            "a=fingerprint:sha-256 00:11",
            "a=setup:active",
        ] {
            let section = section("UDP/TLS/RTP/SAVP", &format!("{line}\r\n"));
            assert!(!dtls.hear(Hearing {
                kind: Kind::Offer,
                section: &section,
                options: DtlsOptions::default(),
                passive: false,
                ice_restarted: false,
            }));
            assert_eq!(dtls.agreed(), None);
        }
    }
}
