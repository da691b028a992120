use crate::call::section::crypto::testing::{counting, own_credentials, section};

use super::*;

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
    assert!(!restarts(&same, |hearing| hearing.ice_restarted = true), "ICE");
}

/// Whether a second offer changes `a=tls-id` of the answer, and whether the association.
fn renames(first: Option<&str>, second: Option<&str>, change: impl Fn(&mut Hearing<'_>)) -> (bool, bool) {
    let mut dtls = Dtls::default();
    let (mut random, credentials) = (different(), own_credentials());
    let answers = [first, second].map(|name| {
        let section = offer("actpass", "AB", name);
        let mut hearing = Hearing {
            kind: Kind::Offer,
            section: &section,
            options: DtlsOptions::default(),
            passive: false,
            ice_restarted: false,
        };
        if dtls.peer.is_some() {
            change(&mut hearing);
        }
        assert!(dtls.hear(hearing));
        let telling = Telling {
            kind: Kind::Answer,
            options: DtlsOptions::default(),
            credentials: &credentials,
            transport: Transport::default(),
        };
        dtls.tell(telling, &mut random);
        (
            dtls.text(Kind::Answer, false).tls_id,
            dtls.agreed().unwrap().association,
        )
    });
    (answers[0].0 != answers[1].0, answers[0].1 != answers[1].1)
}

#[test]
fn who_names_no_association_keeps_it_over_an_ice_restart() {
    let restarted = |hearing: &mut Hearing<'_>| hearing.ice_restarted = true;
    assert_eq!(renames(None, None, |_| {}), (false, false));
    assert_eq!(renames(None, None, restarted), (true, false));
    assert_eq!(
        renames(Some("x"), None, |_| {}),
        (true, false),
        "no name any more"
    );
    assert_eq!(renames(None, Some("x"), restarted), (false, false));
    assert_eq!(renames(Some("x"), Some("y"), restarted), (true, true));
    let silent = |hearing: &mut Hearing<'_>| {
        hearing.ice_restarted = true;
        hearing.options.no_tls_id = true;
    };
    assert_eq!(renames(None, None, silent), (false, false));
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
