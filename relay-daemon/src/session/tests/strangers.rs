//! Who does not have the keys gets nowhere, and leaves nothing behind.

use std::sync::atomic::Ordering;

use super::secure::{Peer, packet};
use super::*;
use crate::security::Suite;
use crate::srtp::Error;

const SUITES: [Suite; 2] = [Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm];

/// SSRCs that a stream's cipher knows.
fn sources(call: &mut Call, stream: usize) -> usize {
    call.session.streams[stream]
        .ciphers
        .inbound()
        .unwrap()
        .source_count()
}

#[test]
fn a_source_is_learned_only_from_what_is_authentic() {
    for suite in SUITES {
        let (mut alice, mut forger) = (Peer::sdes(suite, 1, 2), Peer::sdes(suite, 8, 9));
        let mut call = Call::between(&alice, &Peer::plain(), true);
        call.receive(STRANGER, TO_ALICE, &forger.protect(&packet(1)));
        call.receive(STRANGER, TO_ALICE, RTP);
        assert_eq!(call.status(TO_ALICE).learned(), None);
        call.receive(NAT, TO_ALICE, &alice.protect(&packet(1)));
        assert_eq!(
            call.status(TO_ALICE).learned().unwrap().source,
            NAT.parse().unwrap()
        );
        call.receive(STRANGER, TO_ALICE, &forger.protect(&packet(2)));
        assert_eq!(
            call.status(TO_ALICE).learned().unwrap().source,
            NAT.parse().unwrap()
        );
        assert_eq!(call.take_sent().len(), 1);
        let status = call.status(TO_ALICE);
        assert_eq!(status.errors_in.load(Ordering::Relaxed), 3);
        assert_eq!(status.packets_in.load(Ordering::Relaxed), 1);
        let authentication = call.errors(TO_ALICE, Error::Authentication);
        assert_eq!(authentication + call.errors(TO_ALICE, Error::TooShort), 3);
    }
}

#[test]
fn what_is_replayed_is_not_forwarded() {
    for suite in SUITES {
        for bob in [Peer::plain(), Peer::sdes(suite, 3, 4), Peer::sdes(suite, 2, 1)] {
            let mut alice = Peer::sdes(suite, 1, 2);
            let mut call = Call::between(&alice, &bob, true);
            let recorded: Vec<Vec<u8>> = (65_500..65_600u32)
                .map(|index| alice.protect(&packet(u16::try_from(index & 0xffff).unwrap())))
                .collect();
            for wire in &recorded {
                call.receive(ALICE, TO_ALICE, wire);
            }
            assert_eq!(call.take_sent().len(), 100);
            for wire in recorded.iter().cycle().take(1000) {
                call.receive(ALICE, TO_ALICE, wire);
                call.receive(STRANGER, TO_ALICE, wire);
            }
            assert_eq!(call.take_sent(), []);
            assert_eq!(call.errors(TO_ALICE, Error::Replayed), 2000);
        }
    }
}

#[test]
fn a_million_forged_packets_leave_nothing_behind() {
    let suite = Suite::AeadAes128Gcm;
    let mut alice = Peer::sdes(suite, 1, 2);
    let mut call = Call::between(&alice, &Peer::sdes(suite, 3, 4), true);
    call.receive(ALICE, TO_ALICE, &alice.protect(&packet(1)));
    let learned = call.status(TO_ALICE).learned();
    let mut forged = Peer::sdes(suite, 8, 9).protect(&packet(1));
    let (port, source) = (id(TO_ALICE), STRANGER.parse().unwrap());
    for ssrc in 0..1_000_000u32 {
        forged[8..12].copy_from_slice(&ssrc.wrapping_mul(0x9e37_79b1).to_be_bytes());
        call.session.handle_datagram(call.now, port, source, &mut forged);
        assert_eq!(call.session.poll_transmit(), None);
        assert_eq!(call.session.poll_event(), None);
    }
    assert_eq!(sources(&mut call, 0), 1);
    assert_eq!(call.errors(TO_ALICE, Error::Authentication), 1_000_000);
    assert_eq!(call.status(TO_ALICE).learned(), learned);
    call.take_sent();
    call.receive(ALICE, TO_ALICE, &alice.protect(&packet(2)));
    call.only_sent(BOB);
}

#[test]
fn a_party_has_only_so_many_ssrcs() {
    let alice = Peer::sdes(Suite::AesCm128HmacSha1_80, 1, 2);
    let mut call = Call::between(&alice, &Peer::plain(), true);
    for ssrc in 0..2000u32 {
        let mut packet = packet(1);
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        // She does not heed it.
        let mut alice = Peer::sdes(Suite::AesCm128HmacSha1_80, 1, 2);
        call.receive(ALICE, TO_ALICE, &alice.protect(&packet));
    }
    assert_eq!(call.take_sent().len(), crate::srtp::MAX_SOURCES);
    assert_eq!(sources(&mut call, 0), crate::srtp::MAX_SOURCES);
}
