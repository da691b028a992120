//! Counters live as long as the key: what signalling does in between must not bring an index back.

use super::secure::{Peer, packet, srtp};
use super::*;
use crate::security::{SrtpKeys, Suite};

const S80: Suite = Suite::AesCm128HmacSha1_80;
const REPORT: &[u8] = &[0x80, 201, 0, 1, 0xa, 0xb, 0xc, 0xd];

/// A packet of another content.
fn other(sequence: u16) -> Vec<u8> {
    let mut other = packet(sequence);
    if let Some(last) = other.last_mut() {
        *last ^= 0xff;
    }
    other
}

impl Call {
    fn secure(&mut self, security: &MediaSecurity) {
        for port in [TO_ALICE, TO_ALICE_RTCP] {
            self.change(port, |stream| stream.security = security.clone());
        }
        self.apply();
    }
}

/// A call in which Alice has keys, some media has passed, and the plan has been another one and is as before.
fn back_again(between: impl Fn(&mut Call)) {
    let (mut alice, bob) = (Peer::sdes(S80, 1, 2), Peer::plain());
    let mut call = Call::between(&alice, &bob, false);
    let captured = alice.protect(&packet(1));
    call.receive(ALICE, TO_ALICE, &captured);
    call.receive(BOB, TO_BOB, &packet(1));
    call.receive(BOB_RTCP, TO_BOB_RTCP, REPORT);
    for (_, wire) in &call.take_sent()[1..] {
        alice.read(wire).unwrap();
    }
    between(&mut call);
    call.secure(&alice.security());
    call.take_sent();
    call.receive(ALICE, TO_ALICE, &captured);
    assert_eq!(call.take_sent(), [], "a replay");
    call.receive(BOB, TO_BOB, &other(1));
    call.receive(BOB_RTCP, TO_BOB_RTCP, REPORT);
    call.receive(BOB, TO_BOB, &packet(2));
    let sent = call.take_sent();
    assert!(sent.len() >= 2, "{sent:?}");
    for (_, wire) in &sent {
        assert!(alice.read(wire).is_ok(), "each index is a new one");
    }
    call.receive(ALICE, TO_ALICE, &alice.protect(&packet(2)));
    assert_eq!(call.take_sent().len(), 1);
}

#[test]
fn plain_rtp_in_between_does_not_start_a_key_anew() {
    back_again(|call| {
        call.secure(&MediaSecurity::Plain);
        call.receive(BOB, TO_BOB, &packet(7));
    });
}

#[test]
fn another_key_in_between_does_not_start_a_key_anew() {
    let keys = SrtpKeys {
        inbound: srtp(S80, 8),
        outbound: srtp(S80, 9),
    };
    let other = MediaSecurity::Sdes(keys);
    back_again(|call| call.secure(&other));
    // From another device.
    back_again(|call| {
        for port in [TO_ALICE, TO_ALICE_RTCP] {
            call.change(port, |stream| stream.remote = Some(BOB_RTCP.parse().unwrap()));
        }
        call.secure(&other);
        for (port, remote) in [(TO_ALICE, ALICE), (TO_ALICE_RTCP, ALICE_RTCP)] {
            call.change(port, |stream| stream.remote = Some(remote.parse().unwrap()));
        }
    });
}

#[test]
fn what_is_encrypted_anew_under_the_same_key_has_the_same_index() {
    let (mut alice, bob) = (Peer::sdes(S80, 1, 2), Peer::sdes(S80, 2, 1));
    let mut call = Call::between(&alice, &bob, true);
    // Packets that the relay has not seen: its own counts lag behind.
    alice.protect(REPORT);
    call.change(TO_ALICE, |alice| alice.recrypts = true);
    call.apply();
    for plain in [packet(1), REPORT.to_vec(), packet(2)] {
        let wire = alice.protect(&plain);
        call.receive(ALICE, TO_ALICE, &wire);
        assert_eq!(call.only_sent(BOB), wire);
    }
}
