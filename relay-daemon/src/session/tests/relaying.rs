//! Who receives what.

use std::sync::atomic::Ordering;

use super::*;

#[test]
fn rtp_and_rtcp_go_to_the_other_party() {
    let mut call = Call::new();
    call.plan.kernel = KernelUse::SwitchedOff;
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive(ALICE_RTCP, TO_ALICE_RTCP, RTCP);
    call.receive(BOB, TO_BOB, RTP);
    call.receive(BOB, TO_BOB, RTCP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 RTCP 198.51.100.10:4001 -> 30001
      send 30003 -> 198.51.100.20:6001
    0 RTP 198.51.100.20:6000 -> 30002
      send 30000 -> 198.51.100.10:4000
    0 RTCP 198.51.100.20:6000 -> 30002
      send 30001 -> 198.51.100.10:4001
    ");
}

#[test]
fn what_only_the_parties_can_read_is_counted_and_goes_nowhere() {
    let stuck = StreamPlan {
        security: MediaSecurity::Opaque,
        ..stream(TO_ALICE, Some(ALICE), &[TO_BOB], &[TO_BOB])
    };
    let (status, reason) = (Arc::clone(&stuck.status), UserspaceReason::Encryption);
    let mut call = Call::with(vec![stuck, stream(TO_BOB, Some(BOB), &[], &[])]);
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive(ALICE, TO_ALICE, RTCP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 RTP 198.51.100.10:4000 -> 30000
    0 RTCP 198.51.100.10:4000 -> 30000
    ");
    assert_eq!(status.errors_in.load(Ordering::Relaxed), 2);
    assert_eq!(status.path(), Path::Userspace(reason));
    assert_eq!(reason.as_str(), "encrypted differently on both sides");
}

#[test]
fn muxed_rtcp_is_told_apart_and_converted() {
    let mut call = Call::with(vec![
        stream(TO_ALICE, Some(ALICE), &[TO_BOB], &[TO_BOB_RTCP]),
        stream(TO_BOB, Some(BOB), &[TO_ALICE], &[TO_ALICE]),
        rtcp(stream(TO_BOB_RTCP, Some(BOB_RTCP), &[], &[TO_ALICE])),
    ]);
    call.plan.kernel = KernelUse::SwitchedOff;
    call.apply();
    call.receive(ALICE, TO_ALICE, RTCP);
    call.receive(BOB_RTCP, TO_BOB_RTCP, RTCP);
    call.receive(BOB, TO_BOB, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 RTCP 198.51.100.10:4000 -> 30000
      send 30003 -> 198.51.100.20:6001
    0 RTCP 198.51.100.20:6001 -> 30003
      send 30000 -> 198.51.100.10:4000
    0 RTP 198.51.100.20:6000 -> 30002
      send 30000 -> 198.51.100.10:4000
    ");
}

#[test]
fn what_is_not_rtp_is_counted_and_goes_nowhere() {
    let mut call = Call::new();
    call.apply();
    let mut wrong_version = RTP.to_vec();
    wrong_version[0] = 0x40;
    for datagram in [STUN, &wrong_version, &RTP[..11], &[0x80], &[]] {
        call.receive(ALICE, TO_ALICE, datagram);
        call.receive(ALICE_RTCP, TO_ALICE_RTCP, datagram);
    }
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 STUN 198.51.100.10:4000 -> 30000
      offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0
    0 STUN 198.51.100.10:4001 -> 30001
    0 bytes 198.51.100.10:4000 -> 30000
    0 bytes 198.51.100.10:4001 -> 30001
    0 bytes 198.51.100.10:4000 -> 30000
    0 bytes 198.51.100.10:4001 -> 30001
    0 bytes 198.51.100.10:4000 -> 30000
    0 bytes 198.51.100.10:4001 -> 30001
    0 bytes 198.51.100.10:4000 -> 30000
    0 bytes 198.51.100.10:4001 -> 30001
    ");
    for stream in [TO_ALICE, TO_ALICE_RTCP] {
        let status = call.status(stream);
        assert_eq!(status.packets_in.load(Ordering::Relaxed), 5);
        assert_eq!(status.errors_in.load(Ordering::Relaxed), 0);
        assert_eq!(
            status.last_packet.load(Ordering::Relaxed),
            0,
            "noise keeps no call alive"
        );
    }
    let errors = |stream| call.status(stream).errors_in.load(Ordering::Relaxed);
    assert_eq!(
        [TO_BOB, TO_BOB_RTCP].map(errors),
        [5, 0],
        "who would have got it as media"
    );
    let learned = call.status(TO_ALICE).learned().map(|learned| learned.source);
    assert_eq!(learned, ALICE.parse().ok(), "though it says where she is");
}

/// ICE and DTLS have to get from browser to browser while one of them holds the call, too.
#[test]
fn checks_pass_between_parties_whatever_becomes_of_the_media() {
    const HELLO: &[u8] = &[22, 0xfe, 0xff, 0, 0];
    let opaque = |port, remote, sinks: &[u32], other| StreamPlan {
        security: MediaSecurity::Opaque,
        check_sinks: SmallVec::from([StreamId(other)]),
        ..stream(port, Some(remote), sinks, &[other])
    };
    let mut call = Call::with(vec![
        opaque(TO_ALICE, ALICE, &[TO_BOB], TO_BOB),
        opaque(TO_BOB, BOB, &[], TO_ALICE),
    ]);
    call.apply();
    for datagram in [STUN, HELLO, &[0x40; 12], RTP] {
        call.receive(NAT, TO_ALICE, datagram);
        call.receive(BOB, TO_BOB, datagram);
    }
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 STUN 198.51.100.99:61000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 STUN 198.51.100.20:6000 -> 30002
      send 30000 -> 198.51.100.99:61000
    0 bytes 198.51.100.99:61000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 bytes 198.51.100.20:6000 -> 30002
      send 30000 -> 198.51.100.99:61000
    0 bytes 198.51.100.99:61000 -> 30000
    0 bytes 198.51.100.20:6000 -> 30002
    0 RTP 198.51.100.99:61000 -> 30000
      send 30002 -> 198.51.100.20:6000
      offload 30000: 198.51.100.99:61000 (others: Pass) => 30002 -> 198.51.100.20:6000 TOS 0
    0 RTP 198.51.100.20:6000 -> 30002
    ");
}

#[test]
fn datagrams_of_unknown_kind_are_relayed_as_they_are() {
    let mut streams = vec![
        stream(TO_ALICE, Some(ALICE), &[TO_BOB], &[]),
        stream(TO_BOB, Some(BOB), &[TO_ALICE], &[]),
    ];
    for stream in &mut streams {
        stream.kind = StreamKind::Datagrams;
    }
    let mut call = Call::with(streams);
    call.apply();
    for datagram in [b"T.38".as_slice(), STUN, RTCP, RTP, &[]] {
        call.receive(ALICE, TO_ALICE, datagram);
    }
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 bytes 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 STUN 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 RTCP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 bytes 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    ");
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::NotRtp));
}

#[test]
fn several_receivers_get_a_copy_each() {
    let mut call = Call::new();
    let carol = stream(30_004, Some("198.51.100.30:7000"), &[], &[]);
    let dave = stream(30_006, None, &[], &[]);
    call.plan.streams.extend([carol, dave]);
    call.change(TO_ALICE, |alice| {
        alice
            .sinks
            .extend([30_004, 30_006, 30_099].map(|id| StreamId(id).into()));
    });
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
      send 30004 -> 198.51.100.30:7000
    ");
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::SeveralReceivers));
}

#[test]
fn a_held_party_receives_rtcp_alone() {
    let mut call = Call::new();
    call.change(TO_BOB, |bob| bob.sinks.clear());
    call.apply();
    call.receive(BOB, TO_BOB, RTP);
    call.receive(BOB_RTCP, TO_BOB_RTCP, RTCP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 RTP 198.51.100.20:6000 -> 30002
    0 RTCP 198.51.100.20:6001 -> 30003
      send 30001 -> 198.51.100.10:4001
    ");
    let status = call.status(TO_BOB);
    assert_eq!(status.packets_in.load(Ordering::Relaxed), 1);
    assert_eq!(status.errors_in.load(Ordering::Relaxed), 0, "held is no error");
    assert_eq!(call.reason(TO_BOB), Some(UserspaceReason::NotForwarded));
}

#[test]
fn nothing_is_sent_to_a_zero_address() {
    let mut call = Call::new();
    call.change(TO_BOB, |bob| bob.remote = Some("0.0.0.0:6000".parse().unwrap()));
    call.change(TO_BOB_RTCP, |bob| {
        bob.remote = Some("198.51.100.20:0".parse().unwrap())
    });
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive(ALICE_RTCP, TO_ALICE_RTCP, RTCP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 RTP 198.51.100.10:4000 -> 30000
    0 RTCP 198.51.100.10:4001 -> 30001
    ");
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::NoReceiver));
}

#[test]
fn before_the_answer_the_callee_is_heard_but_not_sent_to() {
    let mut call = Call::new();
    call.change(TO_BOB, |bob| bob.remote = None);
    call.change(TO_BOB_RTCP, |bob| bob.remote = None);
    call.apply();
    call.receive(BOB, TO_BOB, RTP);
    call.receive(ALICE, TO_ALICE, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 RTP 198.51.100.20:6000 -> 30002
      send 30000 -> 198.51.100.10:4000
    0 RTP 198.51.100.10:4000 -> 30000
    ");
    assert_eq!(call.status(TO_BOB).learned(), None);
    assert_eq!(call.reason(TO_BOB), Some(UserspaceReason::Learning));
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::NoReceiver));
}

#[test]
fn media_is_sent_from_the_newest_port_and_received_on_all() {
    let mut call = Call::new();
    call.plan.kernel = KernelUse::SwitchedOff;
    call.apply();
    call.change(TO_ALICE, |alice| alice.ports.insert(0, local(30_008)));
    call.apply();
    call.take_transcript();
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive(ALICE, 30_008, RTP);
    call.receive(BOB, TO_BOB, RTP);
    call.change(TO_ALICE, |alice| alice.ports.truncate(1));
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 RTP 198.51.100.10:4000 -> 30008
      send 30002 -> 198.51.100.20:6000
    0 RTP 198.51.100.20:6000 -> 30002
      send 30008 -> 198.51.100.10:4000
    0 plan
    0 RTP 198.51.100.10:4000 -> 30000
    ");
    assert!(!call.session.has_port(id(TO_ALICE)));
}

#[test]
fn packets_and_bytes_are_counted_where_they_come_in_and_go_out() {
    let mut call = Call::new();
    call.apply();
    call.at(20);
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive(BOB, TO_BOB, RTP);
    call.receive(BOB, TO_BOB, RTP);
    let count = |stream, counter: fn(&StreamStatus) -> &std::sync::atomic::AtomicU64| {
        counter(call.status(stream)).load(Ordering::Relaxed)
    };
    assert_eq!(count(TO_ALICE, |status| &status.packets_in), 1);
    assert_eq!(count(TO_ALICE, |status| &status.bytes_in), 16);
    assert_eq!(count(TO_ALICE, |status| &status.packets_out), 2);
    assert_eq!(count(TO_ALICE, |status| &status.bytes_out), 32);
    assert_eq!(count(TO_ALICE, |status| &status.last_packet), call.now.0);
}

#[test]
fn rtp_of_an_acceptable_source_is_to_be_counted_for_its_ssrc() {
    let mut call = Call::new();
    let clocks = [Clock::new(0, 8000), Clock::new(111, 48_000)];
    call.change(TO_ALICE, |alice| {
        alice.clocks = SmallVec::from_slice(&clocks);
        alice.other_source = SourcePolicy::Drop;
        alice.learning = Learning::Off;
        alice.payloads.events.insert(101);
    });
    call.apply();
    let mut received = |source: &str, packet: &[u8]| {
        let source = source.parse().unwrap();
        call.session
            .handle_datagram(call.now, id(TO_ALICE), source, &mut packet.to_vec());
        call.session.poll_received()
    };
    let with = |payload_type: u8| {
        let mut packet = RTP.to_vec();
        packet[1] = payload_type;
        packet
    };
    let first = received(ALICE, RTP).unwrap();
    assert_eq!(
        (first.port, first.bytes, first.clock),
        (id(TO_ALICE), 16, clocks[0])
    );
    assert_eq!((first.header.ssrc, first.header.sequence), (0x0102_0304, 1));
    assert_eq!(received(ALICE, &with(111)).unwrap().clock, clocks[1]);
    // Neither an event nor what nobody knows is the stream's media.
    assert_eq!(received(ALICE, &with(101)).unwrap().clock, clocks[1]);
    assert_eq!(received(ALICE, &with(77)).unwrap().clock, clocks[1]);
    assert_eq!(received(ALICE, RTCP), None);
    assert_eq!(received(BOB, RTP), None);
}

#[test]
fn a_failure_to_send_is_an_error_of_both_streams() {
    let mut call = Call::new();
    call.apply();
    let source = ALICE.parse().unwrap();
    call.session
        .handle_datagram(call.now, id(TO_ALICE), source, &mut RTP.to_vec());
    let transmit = call.session.poll_transmit().unwrap();
    call.session.handle_sent(&transmit, RTP.len(), false);
    assert_eq!(call.status(TO_ALICE).errors_in.load(Ordering::Relaxed), 1);
    assert_eq!(call.status(TO_BOB).errors_out.load(Ordering::Relaxed), 1);
    assert_eq!(call.status(TO_BOB).packets_out.load(Ordering::Relaxed), 0);
}

#[test]
fn a_port_that_no_plan_names_is_silent() {
    let mut call = Call::new();
    call.receive(ALICE, TO_ALICE, RTP);
    call.apply();
    call.receive(ALICE, 30_020, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 RTP 198.51.100.10:4000 -> 30000
    0 plan
    0 RTP 198.51.100.10:4000 -> 30020
    ");
}
