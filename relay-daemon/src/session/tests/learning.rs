//! What learned sources change: where media is sent, and what is let in.

use super::*;

/// Three sources send to the port that Alice was told, each followed by a packet of Bob's: it shows where
/// Alice is believed to be.
fn three_sources(learning: Learning) -> String {
    let mut call = Call::new();
    call.plan.kernel = KernelUse::SwitchedOff;
    call.change(TO_ALICE, |alice| alice.learning = learning);
    call.apply();
    call.take_transcript();
    for (milliseconds, source) in [
        (0, STRANGER),
        (100, NAT),
        (200, ALICE),
        (2900, STRANGER),
        (3100, NAT),
    ] {
        call.at(milliseconds);
        call.receive(source, TO_ALICE, RTP);
        call.receive(BOB, TO_BOB, RTP);
    }
    call.take_transcript()
}

#[test]
fn heuristic() {
    insta::assert_snapshot!(three_sources(Learning::Heuristic), @"
       0 RTP 192.0.2.66:666 -> 30000
         send 30002 -> 198.51.100.20:6000
       0 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 192.0.2.66:666
     100 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
     100 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.99:61000
     200 RTP 198.51.100.10:4000 -> 30000
         send 30002 -> 198.51.100.20:6000
     200 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.10:4000
    2900 RTP 192.0.2.66:666 -> 30000
         send 30002 -> 198.51.100.20:6000
    2900 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.10:4000
    3100 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
    3100 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.10:4000
    ");
}

#[test]
fn delayed() {
    insta::assert_snapshot!(three_sources(Learning::Delayed), @"
       0 RTP 192.0.2.66:666 -> 30000
         send 30002 -> 198.51.100.20:6000
       0 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 192.0.2.66:666
     100 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
     100 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.99:61000
     200 RTP 198.51.100.10:4000 -> 30000
         send 30002 -> 198.51.100.20:6000
     200 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.10:4000
    2900 RTP 192.0.2.66:666 -> 30000
         send 30002 -> 198.51.100.20:6000
    2900 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 192.0.2.66:666
    3100 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
    3100 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.99:61000
    ");
}

#[test]
fn immediate() {
    insta::assert_snapshot!(three_sources(Learning::Immediate), @"
       0 RTP 192.0.2.66:666 -> 30000
         send 30002 -> 198.51.100.20:6000
       0 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 192.0.2.66:666
     100 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
     100 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 192.0.2.66:666
     200 RTP 198.51.100.10:4000 -> 30000
         send 30002 -> 198.51.100.20:6000
     200 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 192.0.2.66:666
    2900 RTP 192.0.2.66:666 -> 30000
         send 30002 -> 198.51.100.20:6000
    2900 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 192.0.2.66:666
    3100 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
    3100 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 192.0.2.66:666
    ");
}

#[test]
fn off() {
    insta::assert_snapshot!(three_sources(Learning::Off), @"
       0 RTP 192.0.2.66:666 -> 30000
         send 30002 -> 198.51.100.20:6000
       0 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.10:4000
     100 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
     100 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.10:4000
     200 RTP 198.51.100.10:4000 -> 30000
         send 30002 -> 198.51.100.20:6000
     200 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.10:4000
    2900 RTP 192.0.2.66:666 -> 30000
         send 30002 -> 198.51.100.20:6000
    2900 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.10:4000
    3100 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
    3100 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.10:4000
    ");
}

#[test]
fn asymmetric_media_goes_to_the_signalled_address() {
    let mut call = Call::new();
    call.plan.kernel = KernelUse::SwitchedOff;
    call.change(TO_ALICE, |alice| alice.asymmetric = true);
    call.apply();
    call.receive(NAT, TO_ALICE, RTP);
    call.receive(BOB, TO_BOB, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 RTP 198.51.100.99:61000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 RTP 198.51.100.20:6000 -> 30002
      send 30000 -> 198.51.100.10:4000
    ");
    assert!(call.status(TO_ALICE).learned().is_some());
}

#[test]
fn nat_is_pierced_until_the_party_is_heard() {
    let mut call = Call::new();
    let said = |call: &mut Call| {
        let mut all = Vec::new();
        while let Some(datagram) = call.session.poll_datagram() {
            all.push((
                datagram.from.0 + BASE,
                datagram.to.to_string(),
                datagram.bytes.len(),
            ));
        }
        all
    };
    let empty = || (TO_ALICE, ALICE.to_owned(), 12);
    call.change(TO_ALICE, |alice| alice.pierces = true);
    call.apply();
    assert_eq!(said(&mut call), [empty()]);
    call.at(450);
    assert_eq!(said(&mut call), []);
    call.at(550);
    assert_eq!(said(&mut call), [empty()]);
    call.at(1450);
    assert_eq!(said(&mut call), []);
    call.at(1550);
    assert_eq!(said(&mut call), [empty()], "once a second from then on");
    call.receive(ALICE, TO_ALICE, RTP);
    call.at(3000);
    assert_eq!(said(&mut call), []);
    call.signal(&[TO_ALICE]);
    assert_eq!(said(&mut call), [empty()], "the message starts it over");
}

#[test]
fn who_must_speak_first_is_sent_nothing_until_then() {
    let mut call = Call::new();
    call.change(TO_ALICE, |alice| {
        alice.waits = true;
        alice.learning = Learning::Off;
    });
    call.apply();
    call.at(10);
    call.receive(BOB, TO_BOB, RTP);
    assert_eq!(call.reason(TO_BOB), Some(UserspaceReason::NoReceiver));
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive(BOB, TO_BOB, RTP);
    call.apply();
    call.receive(BOB, TO_BOB, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
     0 plan
    10 RTP 198.51.100.20:6000 -> 30002
    10 RTP 198.51.100.10:4000 -> 30000
       send 30002 -> 198.51.100.20:6000
       offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0
    10 RTP 198.51.100.20:6000 -> 30002
       send 30000 -> 198.51.100.10:4000
       offload 30002: 198.51.100.20:6000 (others: Forward) => 30000 -> 198.51.100.10:4000 TOS 0
    10 plan
    10 RTP 198.51.100.20:6000 -> 30002
       send 30000 -> 198.51.100.10:4000
    ");
}

#[test]
fn strict_source_lets_in_nobody_else() {
    let mut call = Call::new();
    call.plan.kernel = KernelUse::SwitchedOff;
    call.change(TO_ALICE, |alice| alice.other_source = SourcePolicy::Drop);
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive(STRANGER, TO_ALICE, RTP);
    call.receive(STRANGER, TO_ALICE, RTCP);
    call.receive(ALICE_RTCP, TO_ALICE, RTCP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 RTP 192.0.2.66:666 -> 30000
    0 RTCP 192.0.2.66:666 -> 30000
    0 RTCP 198.51.100.10:4001 -> 30000
    ");
    let errors = &call.status(TO_ALICE).errors_in;
    assert_eq!(errors.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[test]
fn media_handover_follows_the_newest_source() {
    let mut call = Call::new();
    call.plan.kernel = KernelUse::SwitchedOff;
    call.change(TO_ALICE, |alice| alice.other_source = SourcePolicy::Follow);
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    call.at(60_000);
    call.receive(NAT, TO_ALICE, RTP);
    call.receive(BOB, TO_BOB, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
        0 plan
        0 RTP 198.51.100.10:4000 -> 30000
          send 30002 -> 198.51.100.20:6000
    60000 RTP 198.51.100.99:61000 -> 30000
          send 30002 -> 198.51.100.20:6000
    60000 RTP 198.51.100.20:6000 -> 30002
          send 30000 -> 198.51.100.99:61000
    ");
}

#[test]
fn rtcp_on_the_rtp_port_says_where_the_party_is_only_if_nothing_else_can() {
    let mut call = Call::new();
    call.apply();
    call.receive(NAT, TO_ALICE, RTCP);
    assert_eq!(call.status(TO_ALICE).learned(), None);

    call.change(TO_BOB, |bob| {
        bob.rtcp_sinks = SmallVec::from([StreamId(TO_ALICE)])
    });
    call.apply();
    call.receive(NAT, TO_ALICE, RTCP);
    assert_eq!(call.status(TO_ALICE).learned(), None, "her media will say it");

    call.change(TO_ALICE, |alice| alice.sinks.clear());
    call.apply();
    call.receive(NAT, TO_ALICE, RTCP);
    let learned = call.status(TO_ALICE).learned();
    assert_eq!(learned.map(|learned| learned.source), NAT.parse().ok());
}

#[test]
fn a_reinvite_keeps_sending_to_the_learned_source_until_the_address_changes() {
    let mut call = Call::new();
    call.plan.kernel = KernelUse::SwitchedOff;
    call.apply();
    call.receive(NAT, TO_ALICE, RTP);
    call.at(60_000);
    call.signal(&[TO_ALICE]);
    call.receive(BOB, TO_BOB, RTP);
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive(BOB, TO_BOB, RTP);
    call.change(TO_ALICE, |alice| alice.remote = "198.51.100.11:4400".parse().ok());
    call.signal(&[TO_ALICE]);
    assert_eq!(call.status(TO_ALICE).learned(), None);
    call.receive(BOB, TO_BOB, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
        0 plan
        0 RTP 198.51.100.99:61000 -> 30000
          send 30002 -> 198.51.100.20:6000
    60000 plan
    60000 RTP 198.51.100.20:6000 -> 30002
          send 30000 -> 198.51.100.99:61000
    60000 RTP 198.51.100.10:4000 -> 30000
          send 30002 -> 198.51.100.20:6000
    60000 RTP 198.51.100.20:6000 -> 30002
          send 30000 -> 198.51.100.10:4000
    60000 plan
    60000 RTP 198.51.100.20:6000 -> 30002
          send 30000 -> 198.51.100.11:4400
    ");
}
