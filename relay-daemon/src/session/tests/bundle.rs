//! Several media sections on one transport.

use super::*;
use crate::plan::{BundlePlan, Marks, PayloadTypes};

/// Alice bundles audio and video on one port; Bob has two, with RTCP muxed.
const TO_BOB_VIDEO: u32 = 30_004;
const TO_ALICE_VIDEO: u32 = 30_006;
const BOB_VIDEO: &str = "198.51.100.20:6002";

const AUDIO: &[u8] = &[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 1, 0xff];
const VIDEO: &[u8] = &[0x80, 96, 0, 1, 0, 0, 0, 160, 0, 0, 0, 2, 0xff];
/// A receiver report by the source of the video.
const VIDEO_REPORT: &[u8] = &[0x80, 201, 0, 1, 0, 0, 0, 2];
/// Feedback of an unknown source on the video of Bob.
const PICTURE_LOSS: &[u8] = &[0x81, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 7];
/// A report that concerns nobody known.
const STRANGE_REPORT: &[u8] = &[0x80, 201, 0, 1, 0, 0, 0, 9];
/// The video of Bob.
const BOBS_VIDEO: &[u8] = &[0x80, 96, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7, 0xff];

fn bundled(mut stream: StreamPlan, joined: bool, payload_type: u8) -> StreamPlan {
    let mut payload_types = PayloadTypes::default();
    payload_types.insert(payload_type);
    stream.bundle = Some(BundlePlan {
        lead: StreamId(TO_ALICE),
        joined,
        marks: Marks {
            payload_types,
            ..Marks::default()
        },
    });
    stream
}

fn call() -> Call {
    let mut video = stream(TO_ALICE_VIDEO, Some(ALICE), &[TO_BOB_VIDEO], &[TO_BOB_VIDEO]);
    video.ports.clear();
    Call::with(vec![
        bundled(stream(TO_ALICE, Some(ALICE), &[TO_BOB], &[TO_BOB]), true, 0),
        bundled(video, true, 96),
        stream(TO_BOB, Some(BOB), &[TO_ALICE], &[TO_ALICE]),
        stream(
            TO_BOB_VIDEO,
            Some(BOB_VIDEO),
            &[TO_ALICE_VIDEO],
            &[TO_ALICE_VIDEO],
        ),
    ])
}

#[test]
fn each_section_goes_its_own_way() {
    let mut call = call();
    call.plan.kernel = KernelUse::SwitchedOff;
    call.apply();
    call.receive(NAT, TO_ALICE, AUDIO);
    call.receive(NAT, TO_ALICE, VIDEO);
    call.receive(NAT, TO_ALICE, VIDEO_REPORT);
    call.receive(BOB_VIDEO, TO_BOB_VIDEO, BOBS_VIDEO);
    call.receive(NAT, TO_ALICE, PICTURE_LOSS);
    call.receive(NAT, TO_ALICE, STRANGE_REPORT);
    let mut unknown = AUDIO.to_vec();
    (unknown[1], unknown[11]) = (50, 3);
    call.receive(NAT, TO_ALICE, &unknown);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 bytes 198.51.100.99:61000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 bytes 198.51.100.99:61000 -> 30000
      send 30004 -> 198.51.100.20:6002
    0 bytes 198.51.100.99:61000 -> 30000
      send 30004 -> 198.51.100.20:6002
    0 bytes 198.51.100.20:6002 -> 30004
      send 30000 -> 198.51.100.99:61000
    0 bytes 198.51.100.99:61000 -> 30000
      send 30004 -> 198.51.100.20:6002
    0 bytes 198.51.100.99:61000 -> 30000
      send 30002 -> 198.51.100.20:6000
      send 30004 -> 198.51.100.20:6002
    0 bytes 198.51.100.99:61000 -> 30000
    ");
    let packets = |port| {
        let status = call.status(port);
        let read =
            |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        (
            read(&status.packets_in),
            read(&status.errors_in),
            read(&status.packets_out),
        )
    };
    assert_eq!(
        packets(TO_ALICE),
        (3, 1, 0),
        "audio, the strange report, and what is nobody's"
    );
    assert_eq!(packets(TO_ALICE_VIDEO), (3, 0, 1));
}

#[test]
fn media_for_a_bundle_may_enter_the_kernel_but_not_media_from_it() {
    let mut call = call();
    call.apply();
    call.receive(ALICE, TO_ALICE, AUDIO);
    call.receive(BOB_VIDEO, TO_BOB_VIDEO, BOBS_VIDEO);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 bytes 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
    0 bytes 198.51.100.20:6002 -> 30004
      send 30000 -> 198.51.100.10:4000
      offload 30004: 198.51.100.20:6002 (others: Forward) => 30000 -> 198.51.100.10:4000 TOS 0
    ");
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::Bundled));
    assert_eq!(call.reason(TO_ALICE_VIDEO), Some(UserspaceReason::Bundled));
}

#[test]
fn a_party_that_may_still_unbundle_is_sent_to_from_ports_of_its_own() {
    let mut call = call();
    call.plan.kernel = KernelUse::SwitchedOff;
    for port in [TO_ALICE, TO_ALICE_VIDEO] {
        call.change(port, |stream| {
            stream.ports = SmallVec::from([local(port)]);
            stream.bundle.as_mut().unwrap().joined = false;
        });
    }
    call.change(TO_ALICE_VIDEO, |stream| {
        stream.remote = Some("198.51.100.10:4002".parse().unwrap())
    });
    call.apply();
    call.receive(BOB_VIDEO, TO_BOB_VIDEO, BOBS_VIDEO);
    call.receive(ALICE, TO_ALICE, VIDEO);
    call.receive("198.51.100.10:4002", TO_ALICE_VIDEO, VIDEO);
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 bytes 198.51.100.20:6002 -> 30004
      send 30006 -> 198.51.100.10:4002
    0 bytes 198.51.100.10:4000 -> 30000
      send 30004 -> 198.51.100.20:6002
    0 bytes 198.51.100.10:4002 -> 30006
      send 30004 -> 198.51.100.20:6002
    ");
}

#[test]
fn a_flow_leaves_the_kernel_when_another_section_joins_it() {
    let mut call = call();
    call.change(TO_ALICE_VIDEO, |stream| {
        stream.ports = SmallVec::from([local(TO_ALICE_VIDEO)]);
        stream.bundle = None;
    });
    call.change(TO_ALICE, |stream| stream.bundle = None);
    let joined = self::call().plan;
    call.apply();
    call.receive(ALICE, TO_ALICE, AUDIO);
    call.plan.streams = joined
        .streams
        .into_iter()
        .map(|stream| StreamPlan {
            status: Arc::clone(
                &call
                    .plan
                    .streams
                    .iter()
                    .find(|known| known.id == stream.id)
                    .unwrap()
                    .status,
            ),
            ..stream
        })
        .collect();
    call.apply();
    insta::assert_snapshot!(call.take_transcript(), @"
    0 plan
    0 bytes 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
      offload 30000: 198.51.100.10:4000 (others: Forward) => 30002 -> 198.51.100.20:6000 TOS 0
    0 plan
      onload 30000
    ");
}

#[test]
fn whose_an_ssrc_is_a_stranger_does_not_decide() {
    let mut call = call();
    call.change(TO_ALICE, |audio| {
        audio.learning = Learning::Off;
        audio.other_source = SourcePolicy::Drop;
    });
    call.apply();
    let mut forged = VIDEO.to_vec();
    forged[11] = 1;
    call.receive(STRANGER, TO_ALICE, &forged);
    assert_eq!(call.take_sent(), []);
    call.receive(ALICE, TO_ALICE, AUDIO);
    assert_eq!(call.only_sent(BOB), AUDIO);
}
