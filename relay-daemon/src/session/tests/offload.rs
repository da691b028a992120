//! Which flows the kernel is given, when, and what takes them out again.

use super::*;

/// Both parties sent a packet from where they said, and the kernel took both flows.
fn offloaded() -> Call {
    let mut call = Call::new();
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive(BOB, TO_BOB, RTP);
    call.report(TO_ALICE, Path::Kernel);
    call.report(TO_BOB, Path::Kernel);
    call
}

#[test]
fn a_flow_enters_the_kernel_with_its_first_packet() {
    let mut call = offloaded();
    call.receive(ALICE, TO_ALICE, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
      offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0
    0 RTP 198.51.100.20:6000 -> 30002
      send 30000 -> 198.51.100.10:4000
      offload 30002: 198.51.100.20:6000 (others: Forward) => 30000 -> 198.51.100.10:4000 TOS 0
    0 path 30000 Kernel
    0 path 30002 Kernel
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    ");
    assert_eq!(call.reason(TO_ALICE), None);
    assert_eq!(call.reason(TO_ALICE_RTCP), Some(UserspaceReason::NotRtp));
}

/// What the driver is told of a port's source, newest last.
fn expected_at(call: &mut Call, port: u32) -> Vec<Expected> {
    let all = std::iter::from_fn(|| call.session.poll_expected());
    all.filter(|(of, _)| *of == id(port))
        .map(|(_, expected)| expected)
        .collect()
}

#[test]
fn a_port_expects_who_was_signalled_and_then_who_was_learned() {
    let source = |text: &str| Expected::Source(text.parse().unwrap());
    let mut call = Call::new();
    call.apply();
    assert_eq!(expected_at(&mut call, TO_ALICE), [source(ALICE)]);
    call.receive(NAT, TO_ALICE, RTP);
    assert_eq!(expected_at(&mut call, TO_ALICE), [source(NAT)]);
    assert_eq!(expected_at(&mut call, TO_BOB), []);
    let expects = |call: &Call, source: &str| call.session.expects(id(TO_ALICE), source.parse().unwrap());
    assert!(expects(&call, NAT) && !expects(&call, ALICE));
    // The same once more is no news.
    call.receive(NAT, TO_ALICE, RTP);
    call.signal(&[TO_ALICE]);
    assert_eq!(expected_at(&mut call, TO_ALICE), []);
    // Bob is to send, but has not said from where.
    call.change(TO_BOB, |bob| bob.remote = None);
    call.apply();
    assert_eq!(expected_at(&mut call, TO_BOB), [Expected::Nobody]);
}

#[test]
fn a_port_whose_source_neither_is_learned_nor_matters_expects_anybody() {
    for (policy, expected) in [
        (SourcePolicy::Forward, Expected::Anybody),
        (SourcePolicy::Drop, Expected::Source(ALICE.parse().unwrap())),
    ] {
        let mut call = Call::new();
        call.change(TO_ALICE, |alice| {
            (alice.learning, alice.other_source) = (Learning::Off, policy)
        });
        call.apply();
        assert_eq!(expected_at(&mut call, TO_ALICE), [expected]);
    }
}

#[test]
fn the_kernel_passes_other_sources_while_learning_goes_on() {
    let mut call = Call::new();
    call.change(TO_ALICE, |alice| alice.other_source = SourcePolicy::Drop);
    call.apply();
    call.take_transcript();
    call.receive(NAT, TO_ALICE, RTP);
    call.report(TO_ALICE, Path::Kernel);
    call.at(10_000);
    insta::assert_snapshot!(call.take_transcript(), @"
       0 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
         offload 30000: 198.51.100.99:61000 (others: Pass) => 30002 -> 198.51.100.20:6000 TOS 0
       0 path 30000 Kernel
    3000 timeout
         offload 30000: 198.51.100.99:61000 (others: Drop) => 30002 -> 198.51.100.20:6000 TOS 0
    ");
    assert!(
        call.status(TO_ALICE)
            .learned()
            .is_some_and(|learned| learned.settled)
    );
}

#[test]
fn the_window_ends_by_a_packet_in_userspace() {
    let mut call = Call::new();
    call.apply();
    call.take_transcript();
    call.receive(NAT, TO_ALICE, RTP);
    call.report(TO_ALICE, Path::Userspace(UserspaceReason::NoKernel));
    assert_eq!(call.session.poll_timeout(), None);
    call.at(4000);
    call.receive(NAT, TO_ALICE, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
       0 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
         offload 30000: 198.51.100.99:61000 (others: Pass) => 30002 -> 198.51.100.20:6000 TOS 0
       0 path 30000 Userspace(NoKernel)
    4000 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
         offload 30000: 198.51.100.99:61000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0
    ");
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::NoKernel));
}

#[test]
fn a_better_source_takes_the_flow_out_of_the_kernel_and_back_when_it_has_held() {
    let mut call = Call::new();
    call.apply();
    call.receive(BOB, TO_BOB, RTP);
    call.report(TO_BOB, Path::Kernel);
    call.take_transcript();
    call.receive(NAT, TO_ALICE, RTP);
    call.report(TO_ALICE, Path::Kernel);
    call.at(500);
    call.receive(ALICE, TO_ALICE, RTP);
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::Learning));
    call.at(1499);
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive(BOB, TO_BOB, RTP);
    call.at(1500);
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive(BOB, TO_BOB, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
       0 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
         offload 30002: 198.51.100.20:6000 (others: Forward) => 30000 -> 198.51.100.99:61000 TOS 0
         offload 30000: 198.51.100.99:61000 (others: Pass) => 30002 -> 198.51.100.20:6000 TOS 0
       0 path 30000 Kernel
     500 RTP 198.51.100.10:4000 -> 30000
         send 30002 -> 198.51.100.20:6000
         onload 30000
         onload 30002
    1499 RTP 198.51.100.10:4000 -> 30000
         send 30002 -> 198.51.100.20:6000
    1499 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.10:4000
    1500 RTP 198.51.100.10:4000 -> 30000
         send 30002 -> 198.51.100.20:6000
         offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0
    1500 RTP 198.51.100.20:6000 -> 30002
         send 30000 -> 198.51.100.10:4000
         offload 30002: 198.51.100.20:6000 (others: Forward) => 30000 -> 198.51.100.10:4000 TOS 0
    ");
}

#[test]
fn two_senders_in_turn_do_not_move_a_flow_with_every_packet() {
    let mut call = offloaded();
    call.change(TO_ALICE, |alice| alice.other_source = SourcePolicy::Follow);
    call.apply();
    call.take_transcript();
    for packet in 0..200 {
        call.at(5000 + packet * 10);
        call.receive(if packet % 2 == 0 { NAT } else { ALICE }, TO_ALICE, RTP);
    }
    let transcript = call.take_transcript();
    let moves = transcript.lines().filter(|line| line.contains("load"));
    assert_eq!(moves.count(), 2, "both flows leave once:\n{transcript}");
}

#[test]
fn nothing_enters_before_delayed_learning_is_over() {
    let mut call = Call::new();
    call.change(TO_ALICE, |alice| alice.learning = Learning::Delayed);
    call.apply();
    call.take_transcript();
    call.receive(NAT, TO_ALICE, RTP);
    call.at(2999);
    call.receive(ALICE, TO_ALICE, RTP);
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::Learning));
    call.at(3999);
    call.receive(ALICE, TO_ALICE, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
       0 RTP 198.51.100.99:61000 -> 30000
         send 30002 -> 198.51.100.20:6000
    2999 RTP 198.51.100.10:4000 -> 30000
         send 30002 -> 198.51.100.20:6000
    3999 RTP 198.51.100.10:4000 -> 30000
         send 30002 -> 198.51.100.20:6000
         offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0
    ");
}

#[test]
fn signalling_takes_the_streams_that_it_mentions_out_until_their_next_packet() {
    let mut call = offloaded();
    call.take_transcript();
    call.at(60_000);
    call.signal(&[TO_ALICE, TO_ALICE_RTCP]);
    call.receive(ALICE, TO_ALICE, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    60000 plan
          onload 30000
    60000 RTP 198.51.100.10:4000 -> 30000
          send 30002 -> 198.51.100.20:6000
          offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0
    ");
}

#[test]
fn a_receiver_that_moves_changes_the_rule_in_place() {
    let mut call = offloaded();
    call.take_transcript();
    call.at(60_000);
    call.change(TO_BOB, |bob| {
        bob.remote = "198.51.100.21:6600".parse().ok();
        bob.tos = 184;
    });
    call.signal(&[TO_BOB]);
    insta::assert_snapshot!(call.take_transcript(), @"
    60000 plan
          offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.21:6600 TOS 184
          onload 30002
    ");
}

#[test]
fn an_unchanged_plan_changes_nothing() {
    let mut call = offloaded();
    call.take_transcript();
    call.apply();
    insta::assert_snapshot!(call.take_transcript(), @"
        0 plan
    ");
    assert_eq!(call.reason(TO_ALICE), None);
}

#[test]
fn hold_takes_the_flow_out_and_resuming_brings_it_back() {
    let mut call = offloaded();
    call.take_transcript();
    call.change(TO_BOB, |bob| bob.sinks.clear());
    call.apply();
    assert_eq!(call.reason(TO_BOB), Some(UserspaceReason::NotForwarded));
    call.receive(BOB, TO_BOB, RTP);
    call.change(TO_BOB, |bob| bob.sinks.push(StreamId(TO_ALICE).into()));
    call.apply();
    call.receive(BOB, TO_BOB, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
      onload 30002
    0 RTP 198.51.100.20:6000 -> 30002
    0 plan
    0 RTP 198.51.100.20:6000 -> 30002
      send 30000 -> 198.51.100.10:4000
      offload 30002: 198.51.100.20:6000 (others: Forward) => 30000 -> 198.51.100.10:4000 TOS 0
    ");
}

#[test]
fn an_operator_switches_it_off_and_on() {
    let mut call = offloaded();
    call.take_transcript();
    call.plan.kernel = KernelUse::SwitchedOff;
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::SwitchedOff));
    call.plan.kernel = KernelUse::Allowed;
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
      onload 30000
      onload 30002
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 plan
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
      offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0
    ");
}

#[test]
fn ports_and_streams_that_go_leave_the_kernel_first() {
    let mut call = offloaded();
    call.take_transcript();
    call.change(TO_ALICE, |alice| alice.ports = SmallVec::from([local(30_010)]));
    call.plan.streams.retain(|stream| stream.id != StreamId(TO_BOB));
    call.apply();
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
      onload 30000
      onload 30002
    ");
}

#[test]
fn each_port_that_packets_arrive_at_has_a_rule_of_its_own() {
    let mut call = offloaded();
    call.take_transcript();
    call.change(TO_ALICE, |alice| alice.ports.insert(0, local(30_010)));
    call.apply();
    call.receive(ALICE, 30_010, RTP);
    call.report(30_010, Path::Userspace(UserspaceReason::ResolvingRoute));
    assert_eq!(
        call.reason(TO_ALICE),
        None,
        "the old port's packets are in the kernel"
    );
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
      offload 30002: 198.51.100.20:6000 (others: Forward) => 30010 -> 198.51.100.10:4000 TOS 0
    0 RTP 198.51.100.10:4000 -> 30010
      send 30002 -> 198.51.100.20:6000
      offload 30010: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0
    0 path 30010 Userspace(ResolvingRoute)
    ");
}

#[test]
fn with_learning_off_the_signalled_address_is_expected() {
    let mut call = Call::new();
    call.change(TO_ALICE, |alice| {
        alice.learning = Learning::Off;
        alice.other_source = SourcePolicy::Drop;
    });
    call.apply();
    call.take_transcript();
    call.receive(NAT, TO_ALICE, RTP);
    call.receive(ALICE, TO_ALICE, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 RTP 198.51.100.99:61000 -> 30000
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
      offload 30000: 198.51.100.10:4000 (others: Drop) => 30002 -> 198.51.100.20:6000 TOS 0
    ");
}

#[test]
fn families_cross_in_the_kernel() {
    let mut call = Call::new();
    call.change(TO_BOB, |bob| {
        bob.ports[0].address = "[2001:db8::1]:30002".parse().unwrap();
        bob.remote = "[2001:db8::20]:6000".parse().ok();
    });
    call.apply();
    call.take_transcript();
    call.receive(ALICE, TO_ALICE, RTP);
    call.receive("[2001:db8::20]:6000", TO_BOB, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> [2001:db8::20]:6000
      offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> [2001:db8::20]:6000 TOS 0
    0 RTP [2001:db8::20]:6000 -> 30002
      send 30000 -> 198.51.100.10:4000
      offload 30002: [2001:db8::20]:6000 (others: Forward) => 30000 -> 198.51.100.10:4000 TOS 0
    ");
}

#[test]
fn a_late_report_of_a_rule_that_was_taken_back_is_ignored() {
    let mut call = offloaded();
    call.plan.kernel = KernelUse::SwitchedOff;
    call.apply();
    call.report(TO_ALICE, Path::Kernel);
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::SwitchedOff));
}

#[test]
fn a_flow_without_packets_says_so() {
    let mut call = Call::new();
    call.apply();
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::NoPacketYet));
    call.receive(ALICE, TO_ALICE, RTCP);
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::NoPacketYet));
}
