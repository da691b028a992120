//! Counters live as long as the key: what signalling does in between must not bring an index back.

use super::secure::{Peer, packet, srtp};
use super::*;
use crate::security::{SrtpKeys, Suite};
use crate::srtp::PEER_RTCP_INDICES;

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
        is_copied: false,
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

/// Its owner uses it too, now or after another offer, and its indices begin at zero.
#[test]
fn a_key_of_another_party_has_indices_of_rtcp_that_that_one_does_not_use() {
    let (alice, bob) = (Peer::plain(), Peer::sdes(S80, 1, 2));
    let mut call = Call::between(&alice, &bob, true);
    let index = |call: &mut Call| {
        call.receive(ALICE, TO_ALICE, REPORT);
        let wire = call.only_sent(BOB);
        let (_, trailer) = wire.split_at(wire.len() - 14);
        u32::from_be_bytes(trailer[..4].try_into().unwrap()) & !(1 << 31)
    };
    assert_eq!(index(&mut call), 0);
    let MediaSecurity::Sdes(mut keys) = bob.security() else {
        unreachable!()
    };
    keys.is_copied = true;
    call.change(TO_BOB, |stream| stream.security = MediaSecurity::Sdes(keys));
    call.apply();
    assert_eq!(index(&mut call), PEER_RTCP_INDICES);
}

/// Nobody knows where its indices are otherwise.
#[test]
fn under_a_new_key_the_kernel_waits_for_a_packet_that_is_authentic() {
    let pair = |one, other| (Peer::sdes(S80, one, other), Peer::sdes(S80, other, one));
    let (mut alice, bob) = pair(1, 2);
    let mut call = Call::between(&alice, &bob, true);
    call.receive(ALICE, TO_ALICE, &alice.protect(&packet(1)));
    call.report(TO_ALICE, Path::Kernel);
    assert!(call.take_transcript().contains("offload 30000"));
    let (mut alice, bob) = pair(8, 9);
    for (port, peer) in [(TO_ALICE, &alice), (TO_BOB, &bob)] {
        call.change(port, |stream| stream.security = peer.security());
    }
    call.apply();
    assert!(call.take_transcript().contains("onload 30000"));
    call.receive(ALICE, TO_ALICE, &alice.protect(&packet(2)));
    assert!(call.take_transcript().contains("offload 30000"));
}

/// Of the ports that are asked for before a plan, some may be gone after it.
#[test]
fn what_the_kernel_relayed_at_a_port_of_before_is_not_opened_at_another() {
    let (mut alice, bob) = (Peer::sdes(S80, 1, 2), Peer::sdes(S80, 2, 1));
    let mut call = Call::between(&alice, &bob, true);
    call.receive(ALICE, TO_ALICE, &alice.protect(&packet(1)));
    call.report(TO_ALICE, Path::Kernel);
    let captured = [2, 3].map(|sequence| alice.protect(&packet(sequence)));
    let mut counters = Counters::default();
    counters.ssrcs[0] = SsrcCounters {
        ssrc: 0x0102_0304,
        counted_by: 1,
        packets: 3,
        base_sequence: 1,
        highest_sequence: 3,
        seen: 0b111,
        ..SsrcCounters::default()
    };
    assert_eq!(*call.session.all_uncounted(), [id(TO_ALICE)]);
    call.session.handle_counts(id(TO_ALICE), &counters);
    call.change(TO_ALICE, |alice| alice.ports = SmallVec::from([local(30_010)]));
    call.apply();
    call.take_sent();
    for replayed in &captured {
        call.receive(ALICE, 30_010, replayed);
        assert_eq!(call.take_sent(), []);
    }
    let next = alice.protect(&packet(4));
    call.receive(ALICE, 30_010, &next);
    assert_eq!(call.only_sent(BOB), next);
}
