//! Blocked and silenced media, blocked telephone events, echo.

use std::sync::atomic::Ordering;

use super::*;
use crate::plan::{SinkPlan, Treatment};

const EVENT: u8 = 101;
/// PCMA.
const CODEC: u8 = 8;

/// An RTP packet of a payload type.
fn packet(payload_type: u8) -> Vec<u8> {
    let mut packet = RTP.to_vec();
    packet[1] = payload_type;
    packet
}

/// Alice's sinks, changed; the codecs of the call are known.
fn treated(change: impl Fn(&mut SinkPlan)) -> Call {
    let mut call = Call::new();
    call.change(TO_ALICE, |alice| {
        alice.payloads.events.insert(EVENT);
        alice.payloads.silence.push((CODEC, 0xd5));
        alice.sinks.iter_mut().for_each(change);
    });
    call.apply();
    call.take_transcript();
    call
}

fn describe_all(call: &mut Call) -> String {
    for payload_type in [CODEC, EVENT, 111] {
        call.receive(ALICE, TO_ALICE, &packet(payload_type));
    }
    call.receive(ALICE, TO_ALICE, RTCP);
    call.take_transcript()
}

#[test]
fn blocked_media_is_dropped_in_the_kernel_but_for_its_events() {
    let mut call = treated(|sink| sink.media = Treatment::Drop);
    insta::assert_snapshot!(describe_all(&mut call), @"
    0 bytes 198.51.100.10:4000 -> 30000
      offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0, blocked, but 101
    0 bytes 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 bytes 198.51.100.10:4000 -> 30000
    0 RTCP 198.51.100.10:4000 -> 30000
      send 30003 -> 198.51.100.20:6001
    ");
    assert_eq!(call.status(TO_ALICE).packets_in.load(Ordering::Relaxed), 4);
    assert_eq!(call.status(TO_ALICE).errors_in.load(Ordering::Relaxed), 0);
}

#[test]
fn blocked_events_are_dropped_in_userspace_and_the_rest_stays_in_the_kernel() {
    let mut call = treated(|sink| sink.drop_events = true);
    insta::assert_snapshot!(describe_all(&mut call), @"
    0 bytes 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
      offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0, but 101
    0 bytes 198.51.100.10:4000 -> 30000
    0 bytes 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 RTCP 198.51.100.10:4000 -> 30000
      send 30003 -> 198.51.100.20:6001
    ");
}

#[test]
fn dropped_traffic_is_dropped_in_the_kernel_altogether() {
    let mut call = treated(|sink| {
        sink.media = Treatment::Drop;
        sink.drop_events = true;
    });
    insta::assert_snapshot!(describe_all(&mut call), @"
    0 bytes 198.51.100.10:4000 -> 30000
      offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0, blocked
    0 bytes 198.51.100.10:4000 -> 30000
    0 bytes 198.51.100.10:4000 -> 30000
    0 RTCP 198.51.100.10:4000 -> 30000
      send 30003 -> 198.51.100.20:6001
    ");
}

#[test]
fn silenced_media_stays_in_userspace_and_goes_on_silent() {
    let mut call = treated(|sink| sink.media = Treatment::Silence);
    insta::assert_snapshot!(describe_all(&mut call), @"
    0 bytes 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000: 80080001000000a001020304d5d5d5d5
    0 bytes 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 bytes 198.51.100.10:4000 -> 30000
    0 RTCP 198.51.100.10:4000 -> 30000
      send 30003 -> 198.51.100.20:6001
    ");
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::Changed));
}

#[test]
fn each_sink_is_treated_by_itself() {
    let mut call = Call::new();
    let carol = stream(30_004, Some("198.51.100.30:7000"), &[], &[]);
    let dave = stream(30_006, Some("198.51.100.40:7000"), &[], &[]);
    call.plan.streams.extend([carol, dave]);
    call.change(TO_ALICE, |alice| {
        alice.payloads.silence.push((CODEC, 0xd5));
        alice.sinks.extend([
            SinkPlan {
                media: Treatment::Silence,
                ..StreamId(30_004).into()
            },
            SinkPlan {
                media: Treatment::Drop,
                ..StreamId(30_006).into()
            },
        ]);
    });
    call.apply();
    call.take_transcript();
    call.receive(ALICE, TO_ALICE, &packet(CODEC));
    insta::assert_snapshot!(call.take_transcript(), @"
    0 bytes 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
      send 30004 -> 198.51.100.30:7000: 80080001000000a001020304d5d5d5d5
    ");
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::SeveralReceivers));
}

#[test]
fn an_echo_is_what_was_sent() {
    let mut call = Call::new();
    call.change(TO_ALICE, |alice| {
        alice.sinks = SmallVec::from([StreamId(TO_ALICE).into()]);
        alice.rtcp_sinks.clear();
    });
    call.apply();
    call.take_transcript();
    call.receive(ALICE, TO_ALICE, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 RTP 198.51.100.10:4000 -> 30000
      send 30000 -> 198.51.100.10:4000
      offload 30000: 198.51.100.10:4000 (others: Forward) => 30000 -> 198.51.100.10:4000 TOS 0
    ");
}

#[test]
fn blocking_changes_the_rule_in_place_and_back() {
    let mut call = Call::new();
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    call.report(TO_ALICE, Path::Kernel);
    call.take_transcript();
    call.change(TO_ALICE, |alice| alice.sinks[0].media = Treatment::Drop);
    call.apply();
    call.change(TO_ALICE, |alice| alice.sinks[0].media = Treatment::Silence);
    call.apply();
    call.change(TO_ALICE, |alice| alice.sinks[0].media = Treatment::Pass);
    call.apply();
    call.receive(ALICE, TO_ALICE, RTP);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
      offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0, blocked
    0 plan
      onload 30000
    0 plan
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
      offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0
    ");
}
