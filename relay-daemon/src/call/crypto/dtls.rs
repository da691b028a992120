//! DTLS-SRTP in the SDP (RFC 5763, 8122, 8842): fingerprints, roles, and when an association ends.

use std::sync::Arc;

use crate::call::negotiate::Kind;
use crate::call::random::{Random, hexadecimal};
use crate::dtls::Credentials;
use crate::plan::PortId;
use crate::sdp::{self, MediaSection, Setup, Text};
use crate::security::{DtlsPeer, DtlsRole, Fingerprint, HashFunction};

use super::{DtlsOptions, Transport};

/// Digits of `a=tls-id`.
const TLS_ID_LENGTH: usize = 32;

/// How many former associations at other ports are remembered.
const MAX_ELSEWHERE: usize = 16;

/// DTLS with one party, in one media section.
#[derive(Clone, Debug, Default)]
pub(super) struct Dtls {
    /// What the party's newest SDP says. None if it does without DTLS.
    peer: Option<Peer>,
    /// Our part, once it is clear.
    role: Option<DtlsRole>,
    /// Which parts may be ours.
    roles: &'static [DtlsRole],
    /// What the party was told, once it was.
    told: Option<Told>,
    /// Names of associations at other ports that the party was told of before, the newest last.
    elsewhere: Vec<(PortId, Arc<str>)>,
}

/// Our end of an association.
#[derive(Clone, Debug)]
struct Told {
    /// Names the association.
    association: Arc<str>,
    /// Who we are in it.
    credentials: Arc<Credentials>,
    /// By which function the party is told our fingerprint.
    hash: HashFunction,
    /// What it goes over. The association ends where ICE begins or ceases; another port has another one.
    transport: Transport,
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
    /// Whether we wait for the party to open the association if it leaves the choice to us, and the message does not say.
    pub(super) passive: bool,
    /// Whether the party has restarted ICE with this message.
    pub(super) ice_restarted: bool,
}

/// What is known when a party is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling<'a> {
    pub(super) kind: Kind,
    pub(super) options: DtlsOptions,
    /// Who we are to parties that were not told yet.
    pub(super) credentials: &'a Arc<Credentials>,
    pub(super) transport: Transport,
}

impl Dtls {
    /// The party speaks. Tells whether it does DTLS, as far as we can.
    pub(super) fn hear(&mut self, hearing: Hearing<'_>) -> bool {
        let setup = hearing.section.dtls.setup;
        let role = setup.and_then(|setup| role(setup, self.role, hearing));
        let roles = roles(setup, role, hearing.kind);
        let (Some(peer), Some(role)) = (peer(hearing.section), role) else {
            *self = Dtls {
                roles,
                ..Dtls::default()
            };
            return false;
        };
        if self.ends(&peer, hearing) {
            self.begin_again();
        }
        self.roles = roles;
        self.role = Some(role);
        self.peer = Some(peer);
        true
    }

    /// Keys are agreed on otherwise. What the party has said of roles stays.
    pub(super) fn gives_way(&mut self) {
        *self = Dtls {
            roles: self.roles,
            ..Dtls::default()
        };
    }

    /// Which parts may be ours.
    pub(super) fn roles(&self) -> &'static [DtlsRole] {
        self.roles
    }

    /// The party is told of the association: gives it a name if it has none, and says who we are.
    pub(super) fn tell(&mut self, telling: Telling<'_>, random: Random<'_>) {
        let Telling {
            kind,
            options,
            credentials,
            transport,
        } = telling;
        if kind == Kind::Offer {
            self.roles = &[DtlsRole::Active, DtlsRole::Passive];
        }
        let wish = options.fingerprint.filter(|_| kind == Kind::Offer);
        let of_peer = self.peer.as_ref().map(|peer| peer.fingerprint.hash());
        let told = self.told.get_or_insert_with(|| Told {
            association: Arc::default(),
            credentials: Arc::clone(credentials),
            hash: wish.or(of_peer).unwrap_or_default(),
            transport,
        });
        if told.transport.ice != transport.ice && !options.no_tls_id {
            told.association = Arc::default();
        }
        if let (Some(former), Some(port)) = (told.transport.port, transport.port)
            && former != port
        {
            let known = self.elsewhere.iter().position(|(known, _)| *known == port);
            let known = known.map(|index| self.elsewhere.remove(index).1);
            let former = (
                former,
                std::mem::replace(&mut told.association, known.unwrap_or_default()),
            );
            if self.elsewhere.len() == MAX_ELSEWHERE {
                self.elsewhere.remove(0);
            }
            self.elsewhere.push(former);
        }
        if told.association.is_empty() {
            told.association = hexadecimal(TLS_ID_LENGTH, random);
        }
        told.transport = transport;
    }

    /// The next association has another name.
    fn begin_again(&mut self) {
        if let Some(told) = &mut self.told {
            told.association = Arc::default();
        }
    }

    /// Who we are to the party, if it was told.
    pub(super) fn credentials(&self) -> Option<&Arc<Credentials>> {
        self.told.as_ref().map(|told| &told.credentials)
    }

    /// What the association needs. None if the party does without, or before anything was said.
    pub(super) fn agreed(&self) -> Option<DtlsPeer> {
        let association = self.told.as_ref().map(|told| &told.association);
        Some(DtlsPeer {
            role: self.role?,
            fingerprint: self.peer.as_ref()?.fingerprint.clone(),
            association: Arc::clone(association.filter(|name| !name.is_empty())?),
        })
    }

    /// The lines for the party: an offer leaves the roles open.
    pub(super) fn text(&self, kind: Kind, no_tls_id: bool) -> sdp::Dtls {
        let Some(told) = &self.told else {
            return sdp::Dtls::default();
        };
        let setup = match (kind, self.role) {
            (Kind::Offer, _) => Setup::ActPass,
            (Kind::Answer, Some(DtlsRole::Passive)) => Setup::Passive,
            (Kind::Answer, Some(DtlsRole::Active) | None) => Setup::Active,
        };
        let fingerprint = told.credentials.fingerprints().by(told.hash);
        sdp::Dtls {
            setup: Some(setup),
            fingerprints: vec![sdp::Fingerprint {
                hash: Text::from_static(told.hash.name()),
                digest: Text::from(fingerprint.to_string()),
            }],
            tls_id: (!no_tls_id).then(|| Text::from(&*told.association)),
        }
    }

    /// Whether what the party says ends the association (RFC 8842 section 4).
    fn ends(&self, heard: &Peer, hearing: Hearing<'_>) -> bool {
        let Some(before) = &self.peer else {
            return false;
        };
        let unnamed = heard.tls_id.is_none() && !hearing.options.no_tls_id;
        let named = matches!((&before.tls_id, &heard.tls_id), (Some(before), Some(heard)) if before != heard);
        before.fingerprint != heard.fingerprint || named || (hearing.ice_restarted && unnamed)
    }
}

/// None without a fingerprint that we can check. Of several, the first that we can.
fn peer(section: &MediaSection) -> Option<Peer> {
    let fingerprint = section.dtls.fingerprints.iter().find_map(|fingerprint| {
        let hash = HashFunction::named(&fingerprint.hash)?;
        Fingerprint::parse(hash, &fingerprint.digest)
    })?;
    Some(Peer {
        fingerprint,
        tls_id: section.dtls.tls_id.clone(),
    })
}

/// Which parts may be ours: both if an answer leaves that open.
fn roles(setup: Option<Setup>, role: Option<DtlsRole>, kind: Kind) -> &'static [DtlsRole] {
    match (role, kind) {
        (None, _) => &[],
        (Some(_), Kind::Answer) if setup == Some(Setup::ActPass) => &[DtlsRole::Active, DtlsRole::Passive],
        (Some(DtlsRole::Active), _) => &[DtlsRole::Active],
        (Some(DtlsRole::Passive), _) => &[DtlsRole::Passive],
    }
}

/// Our part. Where the party leaves the choice, the options of an offer make it; else what was settled stays. None if it
/// wants no association for now.
fn role(setup: Setup, former: Option<DtlsRole>, hearing: Hearing<'_>) -> Option<DtlsRole> {
    let part = |passive| match passive {
        true => DtlsRole::Passive,
        false => DtlsRole::Active,
    };
    let is_offer = hearing.kind == Kind::Offer;
    let wish = hearing.options.passive.filter(|_| is_offer).map(part);
    match setup {
        Setup::Active => Some(DtlsRole::Passive),
        Setup::Passive => Some(DtlsRole::Active),
        Setup::ActPass => wish.or(former).or(Some(part(hearing.passive && is_offer))),
        Setup::HoldConn => None,
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
        tell(dtls, Kind::Offer, |_| {});
    }

    fn tell(dtls: &mut Dtls, kind: Kind, change: impl Fn(&mut Telling<'_>)) -> sdp::Dtls {
        let credentials = own_credentials();
        let mut telling = Telling {
            kind,
            options: DtlsOptions::default(),
            credentials: &credentials,
            transport: Transport::default(),
        };
        change(&mut telling);
        dtls.tell(telling, &mut counting());
        dtls.text(kind, telling.options.no_tls_id)
    }

    fn heard(kind: Kind, setup: &str, passive: bool) -> Option<DtlsRole> {
        let mut dtls = Dtls::default();
        hear(&mut dtls, kind, &offer(setup, "AB", None), |hearing| {
            hearing.passive = passive;
        });
        dtls.role
    }

    #[test]
    fn roles() {
        use {DtlsRole::Active, DtlsRole::Passive};
        for (kind, setup, passive, role) in [
            (Kind::Offer, "actpass", false, Active),
            (Kind::Offer, "actpass", true, Passive),
            (Kind::Offer, "active", false, Passive),
            (Kind::Offer, "passive", true, Active),
            (Kind::Answer, "active", false, Passive),
            (Kind::Answer, "passive", false, Active),
            (Kind::Answer, "actpass", true, Active),
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
        dtls.agreed().is_none_or(|agreed| agreed.association != before)
    }

    #[test]
    fn what_ends_an_association() {
        let same = offer("actpass", "AB", None);
        assert!(!restarts(&same, |_| {}));
        assert!(restarts(&offer("actpass", "CD", None), |_| {}), "fingerprint");
        assert!(
            !restarts(&offer("actpass", "AB", Some("y")), |_| {}),
            "a name is given"
        );
        assert!(!restarts(&offer("active", "AB", None), |_| {}), "roles");
        assert!(restarts(&same, |hearing| hearing.ice_restarted = true), "ICE");
        assert!(!restarts(&same, |hearing| {
            hearing.ice_restarted = true;
            hearing.options.no_tls_id = true;
        }));
    }

    #[test]
    fn another_name_is_another_association() {
        let mut dtls = Dtls::default();
        let mut random = different();
        let credentials = own_credentials();
        let associations = ["x", "x", "y"].map(|name| {
            assert!(dtls.hear(Hearing {
                kind: Kind::Offer,
                section: &offer("actpass", "AB", Some(name)),
                options: DtlsOptions::default(),
                passive: false,
                ice_restarted: false,
            }));
            let telling = Telling {
                kind: Kind::Answer,
                options: DtlsOptions::default(),
                credentials: &credentials,
                transport: Transport::default(),
            };
            dtls.tell(telling, &mut random);
            dtls.agreed().unwrap().association
        });
        assert_eq!(associations[0], associations[1]);
        assert_ne!(associations[1], associations[2]);
    }

    #[test]
    fn the_hash_stays_what_it_was_first() {
        let hash = |dtls: &mut Dtls, kind, wish| {
            let text = tell(dtls, kind, |telling| telling.options.fingerprint = wish);
            text.fingerprints[0].hash.to_string()
        };
        let of_party = |kind| {
            let mut dtls = Dtls::default();
            hear(&mut dtls, kind, &offer("actpass", "AB", None), |_| {});
            dtls
        };
        let wish = Some(HashFunction::Sha512);
        let mut unknown = Dtls::default();
        assert_eq!(hash(&mut unknown, Kind::Offer, None), "sha-256");
        assert_eq!(hash(&mut unknown, Kind::Offer, wish), "sha-256");
        assert_eq!(hash(&mut Dtls::default(), Kind::Offer, wish), "sha-512");
        assert_eq!(hash(&mut of_party(Kind::Offer), Kind::Answer, None), "sha-1");
        let mut heard = Dtls {
            peer: of_party(Kind::Offer).peer,
            ..Dtls::default()
        };
        assert_eq!(hash(&mut heard, Kind::Answer, wish), "sha-1", "only of offers");
    }

    /// Other bytes each time.
    fn different() -> impl FnMut(&mut [u8]) {
        let mut next = 0;
        move |bytes| {
            next += 1;
            bytes.fill(next);
        }
    }

    #[test]
    fn every_port_has_an_association_of_its_own() {
        let mut dtls = Dtls::default();
        let (mut random, credentials) = (different(), own_credentials());
        let told: Vec<_> = [1, 1, 2, 1, 3, 2]
            .map(|port| {
                let telling = Telling {
                    kind: Kind::Offer,
                    options: DtlsOptions::default(),
                    credentials: &credentials,
                    transport: Transport {
                        port: Some(PortId(port)),
                        ice: false,
                    },
                };
                dtls.tell(telling, &mut random);
                dtls.text(Kind::Offer, false).tls_id
            })
            .into();
        assert_eq!(told[0], told[1]);
        assert_ne!(told[1], told[2]);
        assert_eq!(told[3], told[0], "back again");
        assert!(told[..4].iter().all(|known| *known != told[4]));
        assert_eq!(told[5], told[2]);
    }

    #[test]
    fn where_ice_begins_or_ceases_a_new_association_does() {
        for (no_tls_id, ends) in [(false, true), (true, false)] {
            let mut dtls = Dtls::default();
            let mut random = different();
            let credentials = own_credentials();
            let told = [true, true, false].map(|ice| {
                let telling = Telling {
                    kind: Kind::Offer,
                    options: DtlsOptions {
                        no_tls_id,
                        ..DtlsOptions::default()
                    },
                    credentials: &credentials,
                    transport: Transport { port: None, ice },
                };
                dtls.tell(telling, &mut random);
                dtls.text(Kind::Offer, false).tls_id
            });
            assert_eq!(told[0], told[1]);
            assert_eq!(told[2] != told[1], ends);
        }
    }

    #[test]
    fn without_a_part_there_is_no_association() {
        for line in ["", "a=setup:holdconn\r\n", "a=setup:nonsense\r\n"] {
            let digest = ["AB"; 20].join(":");
            let section = section(
                "UDP/TLS/RTP/SAVP",
                &format!("{line}a=fingerprint:sha-1 {digest}\r\n"),
            );
            for kind in [Kind::Offer, Kind::Answer] {
                let mut dtls = Dtls::default();
                assert!(!dtls.hear(Hearing {
                    kind,
                    section: &section,
                    options: DtlsOptions::default(),
                    passive: false,
                    ice_restarted: false,
                }));
            }
        }
    }

    #[test]
    fn of_several_fingerprints_the_first_that_can_be_checked_counts() {
        let (sha1, sha256) = (["AB"; 20].join(":"), ["CD"; 32].join(":"));
        let lines = format!(
            "a=setup:actpass\r\na=fingerprint:md5 00:11\r\na=fingerprint:sha-512 22\r\n\
             a=fingerprint:sha-256 {sha256}\r\na=fingerprint:sha-1 {sha1}\r\n"
        );
        let mut dtls = Dtls::default();
        hear(
            &mut dtls,
            Kind::Offer,
            &section("UDP/TLS/RTP/SAVP", &lines),
            |_| {},
        );
        let text = tell(&mut dtls, Kind::Answer, |_| {});
        assert_eq!(text.fingerprints[0].hash.as_str(), "sha-256");
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
