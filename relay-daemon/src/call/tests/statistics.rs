//! Counts: userspace and kernel together, never going backwards.

use relay_common::ng::{Dictionary, Format, encode};
use relay_common::slot::{Counters, PassReason, SsrcCounters};

use crate::call::command::Reply;
use crate::plan::PortId;
use crate::report::{CallSnapshot, Counts, call_details, call_summary, query_reply};

use super::world::{ANSWER, OFFER, World, answer, delete, offer};

fn kernel_counts(world: &mut World, port: PortId, packets: u64) {
    let mut counters = Counters {
        packets,
        bytes: packets * 172,
        last_seen: world.now.0,
        passed: 3,
        last_pass_reason: PassReason::PayloadType as u32,
        ..Counters::default()
    };
    // Two did not come, and the sequence numbers have been round once.
    counters.ssrcs[0] = SsrcCounters {
        packets,
        bytes: packets * 172,
        ssrc: 0xabcd,
        counted_by: 1,
        base_sequence: 65_500,
        highest_sequence: 65_501 + u32::try_from(packets).unwrap(),
        jitter: 100_000,
        reordered: 1,
        ..SsrcCounters::default()
    };
    world.host.kernel.insert(port, counters);
}

fn received(call: &CallSnapshot, party: usize) -> u64 {
    call.parties[party].media[0].streams[0].received.total().packets
}

fn sent(call: &CallSnapshot, party: usize) -> u64 {
    call.parties[party].media[0].streams[0].sent.packets
}

#[test]
fn the_kernels_share_is_counted_on_both_sides() {
    let mut world = World::new();
    world.connect();
    let port = world.stream(0).ports[0].id;
    kernel_counts(&mut world, port, 50);
    let call = world.query();
    assert_eq!((received(&call, 0), sent(&call, 1)), (50, 50));
    assert_eq!((received(&call, 1), sent(&call, 0)), (0, 0));
    assert_eq!(
        call.rtp,
        Counts {
            packets: 50,
            bytes: 50 * 172,
            errors: 0
        }
    );
}

#[test]
fn counts_stay_when_the_peer_changes() {
    let mut world = World::new();
    world.connect();
    let port = world.stream(0).ports[0].id;
    kernel_counts(&mut world, port, 50);
    world.sdp(offer("a", Some("c"), OFFER));
    world.sdp(answer("a", "c", &ANSWER.replace("audio 5000", "audio 6000")));
    kernel_counts(&mut world, port, 70);
    let call = world.query();
    assert_eq!([received(&call, 0), sent(&call, 1), sent(&call, 2)], [70, 50, 20]);
}

#[test]
fn counts_of_ports_that_were_given_up_stay() {
    let mut world = World::new();
    world.connect();
    let mut total = 0;
    // So often that the first ports are given up.
    for port in 0..40 {
        let current = world.stream(0).ports[0].id;
        kernel_counts(&mut world, current, 10);
        total += 10;
        world.sdp(offer(
            "b",
            Some("a"),
            &ANSWER.replace("audio 5000", &format!("audio {}", 6000 + 2 * port)),
        ));
        assert_eq!(received(&world.query(), 0), total);
    }
    assert!(world.stream(0).ports.len() < 20);
}

#[test]
fn the_last_reply_still_has_the_counts() {
    let mut world = World::new();
    world.connect();
    let port = world.stream(2).ports[0].id;
    kernel_counts(&mut world, port, 50);
    for from in [Some("a"), None] {
        let mut world = World::new();
        world.connect();
        let port = world.stream(2).ports[0].id;
        kernel_counts(&mut world, port, 50);
        let Ok(Reply::Statistics(call)) = world.handle(delete(from, Some(0))) else {
            panic!("no statistics");
        };
        assert_eq!(received(&call, 1), 50, "from-tag {from:?}");
    }
}

#[test]
fn reports() {
    let mut world = World::new();
    world.connect();
    let port = world.stream(0).ports[0].id;
    kernel_counts(&mut world, port, 50);
    world.pass(3);
    let call = world.query();
    insta::assert_snapshot!("call_summary", json(&call_summary(&call)));
    insta::assert_snapshot!("call_details", json(&call_details(&call)));
    insta::assert_snapshot!("query_reply", json(&query_reply(&call)));
}

fn json(reply: &Dictionary) -> String {
    let text = encode(reply, Format::Json);
    String::from_utf8(text)
        .unwrap()
        .replace("},", "},\n")
        .replace("],", "],\n")
}
