//! Strangers.

use super::*;
use crate::dtls::Association;
use crate::security::HashFunction;
use crate::stun::{Class, Key, Writer};

/// The first datagram of a handshake of somebody with a certificate of his own.
fn foreign_hello() -> Vec<u8> {
    let credentials = Credentials::generate(&DtlsSettings::default()).unwrap();
    let mut association = Association::new(credentials.context(), DtlsRole::Active, None).unwrap();
    let mut hello = Vec::new();
    association.open(START, |datagram| hello = datagram.to_vec());
    hello
}

/// A call without ICE with a browser behind a NAT, which we wait for.
fn behind_nat() -> World {
    let mut world = world();
    world.call.change(TO_ALICE, |stream| stream.ice = None);
    world.browser.has_ice = false;
    world.browser.seen_as = NAT.parse().unwrap();
    world.call.apply();
    world
}

/// A client shakes hands up to our certificate, and no further.
fn begin_handshake(call: &mut Call, source: &str, client: &mut Association) {
    let (mut hellos, mut sent) = (Vec::new(), Vec::new());
    client.open(call.now, |datagram| hellos.push(datagram.to_vec()));
    while sent.iter().map(Vec::len).sum::<usize>() < 300 {
        assert!(!hellos.is_empty());
        for hello in std::mem::take(&mut hellos) {
            call.receive(source, TO_ALICE, &hello);
        }
        while call.session.shake_hands(call.now) {}
        sent.clear();
        while let Some(datagram) = call.session.poll_datagram() {
            assert_eq!(datagram.to, source.parse().unwrap());
            sent.push(datagram.bytes.to_vec());
        }
        for datagram in &sent {
            client.handle(call.now, datagram, |datagram| hellos.push(datagram.to_vec()));
        }
    }
}

/// The same of somebody with a certificate of his own.
fn begin_strange_handshake(call: &mut Call, source: &str) {
    static CREDENTIALS: OnceLock<Credentials> = OnceLock::new();
    let credentials = CREDENTIALS.get_or_init(|| Credentials::generate(&DtlsSettings::default()).unwrap());
    let mut stranger = Association::new(credentials.context(), DtlsRole::Active, None).unwrap();
    begin_handshake(call, source, &mut stranger);
}

#[test]
fn who_may_not_be_there_draws_little() {
    let mut world = behind_nat();
    let hello = foreign_hello();
    for port in 1000..1500 {
        for source in [&format!("192.0.2.66:{port}"), STRANGER, BROWSER] {
            world.call.receive(source, TO_ALICE, &hello);
            let mut bytes = 0;
            while let Some(datagram) = world.call.session.poll_datagram() {
                assert_eq!(datagram.to, source.parse().unwrap());
                bytes += datagram.bytes.len();
            }
            assert!(
                (1..hello.len()).contains(&bytes),
                "{bytes} bytes for {}",
                hello.len()
            );
        }
    }
    assert_eq!(world.states().1, Some(DtlsState::New), "nothing is left behind");
    world.run(1000);
    assert_eq!(world.states().1, Some(DtlsState::Established));
    world.assert_media_flows(1);
}

#[test]
fn a_handshake_waits_for_its_turn() {
    let mut world = behind_nat();
    let call = &mut world.call;
    let credentials = Credentials::generate(&DtlsSettings::default()).unwrap();
    let sources = [1, 2, 3, 4].map(|host| format!("192.0.2.{host}:9"));
    let hellos = sources.each_ref().map(|source| {
        let mut client = Association::new(credentials.context(), DtlsRole::Active, None).unwrap();
        let mut hello = Vec::new();
        client.open(call.now, |datagram| hello = datagram.to_vec());
        call.receive(source, TO_ALICE, &hello);
        let request = call.session.poll_datagram().unwrap().bytes.to_vec();
        client.handle(call.now, &request, |datagram| hello = datagram.to_vec());
        hello
    });
    assert!(!call.session.has_handshakes(), "asking for a cookie is nothing");
    for (source, hello) in sources.iter().zip(&hellos) {
        call.receive(source, TO_ALICE, hello);
    }
    call.receive(BOB, TO_BOB, RTP);
    assert_eq!(call.session.poll_datagram(), None, "nothing was done yet");
    for source in &sources {
        assert!(call.session.shake_hands(call.now));
        let mut sent = 0;
        while let Some(datagram) = call.session.poll_datagram() {
            assert_eq!(datagram.to, source.parse().unwrap(), "one flight at a time");
            sent += datagram.bytes.len();
        }
        assert!(sent > 300, "{sent}");
    }
    assert!(!call.session.shake_hands(call.now));
}

#[test]
fn strangers_lock_nobody_out() {
    let mut world = behind_nat();
    for port in 1000..1020 {
        for source in [format!("192.0.2.66:{port}"), format!("192.0.2.{}:9", port - 990)] {
            begin_strange_handshake(&mut world.call, &source);
        }
    }
    world.run(1000);
    assert_eq!(world.states().1, Some(DtlsState::Established));
    world.assert_media_flows(1);
}

#[test]
fn a_stranger_displaces_himself() {
    let mut world = behind_nat();
    begin_handshake(&mut world.call, NAT, &mut world.browser.association);
    // In the middle of the party's handshake.
    for port in 1000..1040 {
        begin_strange_handshake(&mut world.call, &format!("192.0.2.66:{port}"));
    }
    world.run(1000);
    assert_eq!(world.states().1, Some(DtlsState::Established));
    world.assert_media_flows(1);
}

#[test]
fn a_party_may_begin_anew() {
    let mut world = behind_nat();
    // As if it had been started again in the middle of its handshake.
    begin_strange_handshake(&mut world.call, NAT);
    world.run(1000);
    assert_eq!(world.states().1, Some(DtlsState::Established));
    world.assert_media_flows(1);
}

fn request(password: &str) -> Vec<u8> {
    let mut request = Vec::new();
    let mut writer = Writer::new(&mut request, Class::Request, [3; 12]);
    writer.username(["relay-1", ":", "browser-1"]);
    writer.priority(7);
    writer.use_candidate();
    writer.finish(Some(&Key::new(password.as_bytes())));
    request
}

#[test]
fn a_foreign_hello_disturbs_nobody() {
    let hello = foreign_hello();
    for round in 0..100_u16 {
        let mut world = World::new(
            if round % 2 == 0 {
                DtlsRole::Passive
            } else {
                DtlsRole::Active
            },
            IceRole::Controlled,
        );
        if round % 4 >= 2 {
            world.call.change(TO_ALICE, |stream| stream.ice = None);
            world.browser.has_ice = false;
            world.call.apply();
        }
        // Before, in between and after; from few addresses and from many.
        for step in 0..8_u16 {
            for stranger in 0..3 {
                let port = 1000 + stranger + if round % 8 >= 4 { 3 * step } else { 0 };
                let source = format!("192.0.2.66:{port}");
                world.call.receive(&source, TO_ALICE, &hello);
            }
            world.run(u64::from(round % 5) * 10);
        }
        world.run(1000);
        assert_eq!(world.states().1, Some(DtlsState::Established), "call {round}");
        world.call.take_sent();
        world.assert_media_flows(1);
    }
}

#[test]
fn the_wrong_certificate_gets_no_media() {
    for role in [DtlsRole::Active, DtlsRole::Passive] {
        let mut world = World::new(role, IceRole::Controlled);
        world.call.change(TO_ALICE, |stream| {
            let MediaSecurity::Dtls(peer) = &mut stream.security else {
                panic!("it is DTLS");
            };
            peer.fingerprint = identity().fingerprints().by(HashFunction::Sha256).clone();
            peer.association = "another".into();
        });
        world.call.apply();
        world.run(5000);
        assert_eq!(
            world.states(),
            (Some(IceState::Completed), Some(DtlsState::WrongFingerprint))
        );
        // What is sent once more does not hide what was wrong.
        let mut again = vec![22, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 30];
        again.resize(43, 0xee);
        world.call.receive(BROWSER, TO_ALICE, &again);
        assert_eq!(world.states().1, Some(DtlsState::WrongFingerprint));
        let reason = world.states().1.unwrap().as_str();
        assert!(reason.contains("certificate"), "{reason}");
        let wire = world.browser.protect(&packet(1));
        world.call.receive(BROWSER, TO_ALICE, &wire);
        world.call.receive(BOB, TO_BOB, &packet(1));
        assert_eq!(world.call.take_sent(), []);
    }
}

#[test]
fn who_does_not_know_the_password_is_no_candidate() {
    let mut world = world();
    world.call.receive(STRANGER, TO_ALICE, &request("a guess"));
    let answer = world.call.session.poll_datagram().unwrap();
    assert_eq!(answer.to, STRANGER.parse().unwrap());
    assert!(answer.bytes.len() <= request("a guess").len());
    world.run(1000);
    world.call.receive(STRANGER, TO_ALICE, &request("a guess"));
    world.run(1000);
    assert_eq!(
        world.states(),
        (Some(IceState::Completed), Some(DtlsState::Established))
    );
    assert_eq!(
        world.call.status(TO_ALICE).learned().unwrap().source,
        BROWSER.parse().unwrap()
    );
    world.assert_media_flows(1);
}

#[test]
fn a_repeated_request_from_elsewhere_moves_nothing() {
    let mut world = world();
    world.run(1000);
    let genuine = request("relay has a long password 1");
    world.call.receive(STRANGER, TO_ALICE, &genuine);
    world.call.receive(STRANGER, TO_ALICE, &foreign_hello());
    world.run(40_000);
    let stolen = world.browser.protect(&packet(1));
    world.call.receive(STRANGER, TO_ALICE, &stolen);
    assert_eq!(world.call.take_sent(), []);
    world.assert_media_flows(2);
}

#[test]
fn records_of_others_are_ignored() {
    let mut world = world();
    let mut record = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 30];
    record.resize(43, 0xee);
    for source in [STRANGER, BROWSER] {
        world.call.receive(source, TO_ALICE, &record);
        world.call.receive(source, TO_ALICE, &[22, 254]);
        world.call.receive(source, TO_ALICE, &[63; 100]);
    }
    world.run(1000);
    assert_eq!(
        world.states(),
        (Some(IceState::Completed), Some(DtlsState::Established))
    );
}

#[test]
fn fragments_of_handshakes_disturb_nobody() {
    let hello = foreign_hello();
    // A handshake message of 60,000 bytes, of which one piece comes: again and again, and each time another one.
    let piece = |number: u16| {
        let mut fragment = hello[..25].to_vec();
        fragment.extend([0xee; 40]);
        let [high, low] = number.to_be_bytes();
        fragment[5..11].copy_from_slice(&[0, 0, 0, 0, high, low]);
        fragment[11..13].copy_from_slice(&(12 + 40_u16).to_be_bytes());
        fragment[14..17].copy_from_slice(&[0, 0xea, 0x60]);
        fragment[17..19].copy_from_slice(&0_u16.to_be_bytes());
        fragment[19..22].copy_from_slice(&[0, high, low]);
        fragment[22..25].copy_from_slice(&[0, 0, 40]);
        fragment
    };
    for has_ice in [true, false] {
        let mut world = world();
        world.browser.has_ice = has_ice;
        if !has_ice {
            world.call.change(TO_ALICE, |stream| stream.ice = None);
            world.call.apply();
        }
        for number in 0..500 {
            world.call.receive(STRANGER, TO_ALICE, &piece(number));
            if has_ice {
                world.call.receive(BROWSER, TO_ALICE, &piece(number));
            }
        }
        world.run(3000);
        assert_eq!(world.states().1, Some(DtlsState::Established), "ICE: {has_ice}");
        world.call.take_sent();
        world.assert_media_flows(1);
    }
}
