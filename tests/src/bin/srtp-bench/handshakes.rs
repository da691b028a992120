//! DTLS handshakes: our side's part of them, on one processor.

use std::collections::VecDeque;
use std::time::Duration;

use relay_daemon::clock::Time;
use relay_daemon::config::{CertificateKey, CertificateSettings, DtlsSettings};
use relay_daemon::dtls::{Association, Context, DtlsState, Identity};
use relay_daemon::security::{DtlsRole, HashFunction};
use relay_tests::rounds::{Rounds, thread_time};

/// Of each round.
const HANDSHAKES: u32 = 100;

/// Prints how many there are in a second, with either kind of certificate, in either role.
pub(crate) fn print(rounds: usize) {
    println!(
        "\n{:<36} {:>26} {:>26}",
        "DTLS handshakes a second", "passive", "active"
    );
    let rsa = CertificateSettings {
        key: CertificateKey::Rsa { bits: 2048 },
        ..CertificateSettings::default()
    };
    for (name, settings) in [("ECDSA P-256", CertificateSettings::default()), ("RSA 2048", rsa)] {
        let [ours, party] = [settings, CertificateSettings::default()].map(End::new);
        let mut rates = [Rounds::default(), Rounds::default()];
        // The first one only warms up.
        for round in 0..=rounds {
            for (role, rates) in [DtlsRole::Passive, DtlsRole::Active].into_iter().zip(&mut rates) {
                let spent: Duration = (0..HANDSHAKES).map(|_| handshake(role, &ours, &party)).sum();
                if round > 0 {
                    rates.0.push(f64::from(HANDSHAKES) / spent.as_secs_f64());
                }
            }
        }
        let [passive, active] = rates;
        println!("{name:<36} {passive:>26} {active:>26}");
    }
    println!();
}

struct End {
    identity: Identity,
    context: Context,
}

impl End {
    fn new(settings: CertificateSettings) -> End {
        let identity = Identity::generate(settings).unwrap();
        let context = Context::new(&identity, &DtlsSettings::default()).unwrap();
        End { identity, context }
    }

    fn association(&self, role: DtlsRole, with: &End) -> Association {
        let fingerprint = with.identity.fingerprints().by(HashFunction::Sha256).clone();
        Association::new(&self.context, role, Some(fingerprint)).unwrap()
    }
}

/// How long our side of a handshake takes, until both have keys.
fn handshake(role: DtlsRole, ours: &End, party: &End) -> Duration {
    let other = match role {
        DtlsRole::Active => DtlsRole::Passive,
        DtlsRole::Passive => DtlsRole::Active,
    };
    // Ours is the first.
    let mut sides = [ours.association(role, party), party.association(other, ours)];
    let now = Time::read();
    let mut spent = Duration::ZERO;
    let mut on_the_way = VecDeque::new();
    for side in [0, 1] {
        let start = thread_time();
        sides[side].open(now, |datagram| {
            on_the_way.push_back((1 - side, datagram.to_vec()))
        });
        spent += if side == 0 {
            thread_time() - start
        } else {
            Duration::ZERO
        };
    }
    while let Some((to, datagram)) = on_the_way.pop_front() {
        let start = thread_time();
        sides[to].handle(now, &datagram, |datagram| {
            on_the_way.push_back((1 - to, datagram.to_vec()));
        });
        spent += if to == 0 {
            thread_time() - start
        } else {
            Duration::ZERO
        };
    }
    assert!(sides.iter().all(|side| side.state() == DtlsState::Established));
    spent
}
