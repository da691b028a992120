//! Associations against each other, in virtual time.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Duration;

use openssl::ssl::{Ssl, SslVersion};
use proptest::prelude::*;

use super::*;
use crate::clock::Time;
use crate::config::{CertificateKey, CertificateSettings, DtlsSettings, DtlsVersion};
use crate::security::{DtlsRole, Fingerprint, HashFunction};

const START: Time = Time(7_000_000_000_000);

/// Two associations and what is on its way between them.
struct World {
    now: Time,
    /// Client and server.
    sides: [Association; 2],
    in_flight: VecDeque<(usize, Vec<u8>)>,
    /// How many datagrams were sent.
    sent: usize,
}

fn identities() -> &'static [Identity; 3] {
    static IDENTITIES: OnceLock<[Identity; 3]> = OnceLock::new();
    IDENTITIES.get_or_init(|| {
        let rsa = CertificateSettings {
            key: CertificateKey::Rsa { bits: 2048 },
            ..CertificateSettings::default()
        };
        [
            CertificateSettings::default(),
            rsa,
            CertificateSettings::default(),
        ]
        .map(|settings| Identity::generate(settings).unwrap())
    })
}

fn fingerprint(of: usize, hash: HashFunction) -> Fingerprint {
    identities()[of].fingerprints().by(hash).clone()
}

fn association(identity: usize, role: DtlsRole, fingerprint: Option<Fingerprint>) -> Association {
    association_with(&DtlsSettings::default(), identity, role, fingerprint)
}

fn association_with(
    settings: &DtlsSettings,
    identity: usize,
    role: DtlsRole,
    fingerprint: Option<Fingerprint>,
) -> Association {
    let context = Context::new(&identities()[identity], settings).unwrap();
    Association::new(&context, role, fingerprint).unwrap()
}

/// A peer from another time, as a client and as a server: it speaks DTLS 1.0 and nothing newer.
fn peer_of_1_0(role: DtlsRole) -> Association {
    let settings = DtlsSettings {
        oldest: DtlsVersion::V1_0,
        ..DtlsSettings::default()
    };
    let context = Context::new(&identities()[0], &settings).unwrap();
    let mut ssl = Ssl::new(context.of(role)).unwrap();
    ssl.set_max_proto_version(Some(SslVersion::DTLS1)).unwrap();
    Association::of(ssl, settings.mtu, role, None).unwrap()
}

fn opposite(role: DtlsRole) -> DtlsRole {
    match role {
        DtlsRole::Active => DtlsRole::Passive,
        DtlsRole::Passive => DtlsRole::Active,
    }
}

impl World {
    /// A client and a server that know each other's fingerprints.
    fn new() -> World {
        let hash = HashFunction::Sha256;
        World::of([
            association(0, DtlsRole::Active, Some(fingerprint(1, hash))),
            association(1, DtlsRole::Passive, Some(fingerprint(0, hash))),
        ])
    }

    fn of(sides: [Association; 2]) -> World {
        World {
            now: START,
            sides,
            in_flight: VecDeque::new(),
            sent: 0,
        }
    }

    fn open(&mut self) {
        self.act(0, |side, now, send| side.open(now, send));
    }

    fn act(&mut self, side: usize, what: impl FnOnce(&mut Association, Time, &mut dyn FnMut(&[u8]))) {
        let (in_flight, sent) = (&mut self.in_flight, &mut self.sent);
        what(&mut self.sides[side], self.now, &mut |datagram: &[u8]| {
            assert!(datagram.len() <= 1200, "{} bytes", datagram.len());
            in_flight.push_back((1 - side, datagram.to_vec()));
            *sent += 1;
        });
    }

    /// Delivers what is in flight and lets time pass, until nothing happens any more. `fate` may change or take away a
    /// datagram, given how many there were before and which side it is
    /// for.
    fn run(&mut self, mut fate: impl FnMut(usize, usize, Vec<u8>) -> Option<Vec<u8>>) {
        let mut count = 0;
        loop {
            while let Some((to, datagram)) = self.in_flight.pop_front() {
                if let Some(datagram) = fate(count, to, datagram) {
                    self.act(to, |side, now, send| side.handle(now, &datagram, send));
                }
                count += 1;
            }
            let Some(due) = self.sides.iter().filter_map(Association::poll_timeout).min() else {
                return;
            };
            self.now = self.now.max(due);
            for side in 0..2 {
                self.act(side, |side, now, send| side.handle_timeout(now, send));
            }
        }
    }

    fn states(&self) -> [DtlsState; 2] {
        [0, 1].map(|side| self.sides[side].state())
    }

    fn assert_keys_fit(&self) {
        let [client, server] = [0, 1].map(|side| self.sides[side].keys().unwrap());
        assert_eq!(client.inbound, server.outbound);
        assert_eq!(client.outbound, server.inbound);
        assert_ne!(client.inbound, client.outbound);
    }
}

const ESTABLISHED: [DtlsState; 2] = [DtlsState::Established; 2];

#[test]
fn both_sides_get_the_same_keys() {
    for hash in HashFunction::ALL {
        let mut world = World::of([
            association(0, DtlsRole::Active, Some(fingerprint(1, hash))),
            association(1, DtlsRole::Passive, Some(fingerprint(0, hash))),
        ]);
        assert_eq!(world.states(), [DtlsState::New; 2]);
        world.open();
        assert_eq!(world.states(), [DtlsState::Handshake, DtlsState::New]);
        world.run(|_, _, datagram| Some(datagram));
        assert_eq!(world.states(), ESTABLISHED, "{hash:?}");
        world.assert_keys_fit();
    }
}

#[test]
fn dtls_1_0_is_spoken_only_if_asked_for() {
    for (oldest, served) in [(DtlsVersion::V1_2, false), (DtlsVersion::V1_0, true)] {
        for identity in [1, 2] {
            for role in [DtlsRole::Active, DtlsRole::Passive] {
                let settings = DtlsSettings {
                    oldest,
                    ..DtlsSettings::default()
                };
                let known = Some(fingerprint(0, HashFunction::Sha1));
                let ours = association_with(&settings, identity, opposite(role), known);
                let mut peer = peer_of_1_0(role);
                peer.verify(&fingerprint(identity, HashFunction::Sha1));
                let mut world = World::of(match role {
                    DtlsRole::Active => [peer, ours],
                    DtlsRole::Passive => [ours, peer],
                });
                world.open();
                world.run(|_, _, datagram| Some(datagram));
                if served {
                    assert_eq!(world.states(), ESTABLISHED, "{role:?} with {identity}");
                    world.assert_keys_fit();
                } else {
                    assert_eq!(world.states(), [DtlsState::Failed; 2], "{role:?} with {identity}");
                }
            }
        }
    }
}

#[test]
fn who_speaks_1_0_speaks_1_2_with_others() {
    let settings = DtlsSettings {
        oldest: DtlsVersion::V1_0,
        ..DtlsSettings::default()
    };
    let hash = HashFunction::Sha256;
    let mut world = World::of([
        association(0, DtlsRole::Active, Some(fingerprint(1, hash))),
        association_with(&settings, 1, DtlsRole::Passive, Some(fingerprint(0, hash))),
    ]);
    world.open();
    world.run(|_, _, datagram| Some(datagram));
    assert_eq!(world.states(), ESTABLISHED);
}

#[test]
fn handshakes_are_cut_as_configured() {
    let settings = DtlsSettings {
        mtu: 576,
        ..DtlsSettings::default()
    };
    let hash = HashFunction::Sha256;
    // The certificate with the RSA key does not fit into one datagram.
    let mut world = World::of([
        association_with(&settings, 0, DtlsRole::Active, Some(fingerprint(1, hash))),
        association_with(&settings, 1, DtlsRole::Passive, Some(fingerprint(0, hash))),
    ]);
    world.open();
    let mut longest = 0;
    world.run(|_, _, datagram| {
        longest = longest.max(datagram.len());
        Some(datagram)
    });
    assert_eq!(world.states(), ESTABLISHED);
    assert!((500..=576).contains(&longest), "{longest} bytes");
}

#[test]
fn ciphers_are_those_asked_for() {
    let hash = HashFunction::Sha256;
    let limited = |ciphers: &str| DtlsSettings {
        ciphers: ciphers.to_owned(),
        ..DtlsSettings::default()
    };
    for (ciphers, state) in [
        ("ECDHE+AES128", DtlsState::Established),
        // Both sides have a key on an elliptic curve.
        ("aRSA", DtlsState::Failed),
    ] {
        let mut world = World::of([
            association_with(&limited(ciphers), 0, DtlsRole::Active, Some(fingerprint(2, hash))),
            association(2, DtlsRole::Passive, Some(fingerprint(0, hash))),
        ]);
        world.open();
        world.run(|_, _, datagram| Some(datagram));
        assert_eq!(world.states(), [state; 2], "{ciphers}");
    }
    assert!(Context::new(&identities()[0], &limited("NONSENSE")).is_err());
}

#[test]
fn a_wrong_fingerprint_gives_no_keys() {
    let mut world = World::new();
    world.sides[0].verify(&fingerprint(2, HashFunction::Sha256));
    world.open();
    world.run(|_, _, datagram| Some(datagram));
    assert_eq!(
        world.states(),
        [DtlsState::WrongFingerprint, DtlsState::Established]
    );
    assert_eq!(world.sides[0].keys(), None);
}

#[test]
fn the_sdp_may_come_after_the_handshake() {
    for (known, expected) in [(1, DtlsState::Established), (2, DtlsState::WrongFingerprint)] {
        let mut world = World::of([
            association(0, DtlsRole::Active, None),
            association(1, DtlsRole::Passive, Some(fingerprint(0, HashFunction::Sha1))),
        ]);
        world.open();
        world.run(|_, _, datagram| Some(datagram));
        assert_eq!(world.states(), [DtlsState::Unverified, DtlsState::Established]);
        assert_eq!(world.sides[0].keys(), None);
        world.sides[0].verify(&fingerprint(known, HashFunction::Sha384));
        assert_eq!(world.sides[0].state(), expected);
        assert_eq!(world.sides[0].keys().is_some(), known == 1);
    }
}

#[test]
fn any_lost_datagram_is_sent_again() {
    let mut world = World::new();
    world.open();
    world.run(|_, _, datagram| Some(datagram));
    for lost in 0..world.sent {
        let mut world = World::new();
        world.open();
        world.run(|count, _, datagram| (count != lost).then_some(datagram));
        assert_eq!(world.states(), ESTABLISHED, "without number {lost}");
        world.assert_keys_fit();
    }
}

#[test]
fn who_gets_no_answer_gives_up() {
    let mut world = World::new();
    world.open();
    let before = world.sent;
    world.run(|_, _, _| None);
    assert_eq!(world.states(), [DtlsState::NoAnswer, DtlsState::New]);
    let again = world.sent - before;
    assert!((8..=12).contains(&again), "sent {again} times again");
    assert!(world.now.since(START) > Duration::from_secs(20));
}

#[test]
fn a_closed_association_has_no_keys() {
    let mut world = World::new();
    world.open();
    world.run(|_, _, datagram| Some(datagram));
    let mut farewell = Vec::new();
    world.sides[0].close(|datagram| farewell = datagram.to_vec());
    world.act(1, |side, now, send| side.handle(now, &farewell, send));
    assert_eq!(world.states(), [DtlsState::Closed; 2]);
    assert_eq!(world.sides[1].keys(), None);
}

#[test]
fn what_is_no_record_is_ignored() {
    let mut world = World::new();
    world.open();
    for garbage in [
        &[][..],
        &[22],
        &[63; 50],
        // Cut off, and of another version.
        &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1],
        &[22, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
    ] {
        for side in 0..2 {
            world.act(side, |side, now, send| side.handle(now, garbage, send));
        }
    }
    assert_eq!(world.states(), [DtlsState::Handshake, DtlsState::New]);
    world.run(|_, _, datagram| Some(datagram));
    assert_eq!(world.states(), ESTABLISHED);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Datagrams are lost, doubled and overtaken, and noise comes in between.
    #[test]
    fn a_bad_network_only_takes_longer(
        fates in prop::collection::vec(0_u8..6, 0..24),
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut world = World::new();
        world.open();
        let mut held: [Option<Vec<u8>>; 2] = [None, None];
        world.run(|count, to, datagram| match fates.get(count) {
            Some(0) => None,
            Some(1) => held[to].replace(datagram),
            Some(2) => {
                let mut noisy = vec![25 + noise.first().map_or(0, |byte| byte % 30)];
                noisy.extend(&noise);
                Some(noisy)
            }
            Some(_) | None => Some(datagram),
        });
        prop_assert_eq!(world.states(), ESTABLISHED);
        world.assert_keys_fit();
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::fuzz(&bytes);
    }

    /// Records whose header is right.
    #[test]
    fn any_records(records in prop::collection::vec((20_u8..24, prop::collection::vec(any::<u8>(), 0..60)), 0..5)) {
        let mut bytes = Vec::new();
        for (kind, body) in &records {
            let length = u8::try_from(body.len()).unwrap();
            bytes.extend([13 + length, *kind, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, length]);
            bytes.extend(body);
        }
        fuzz::fuzz(&bytes);
    }
}
