//! What all calls have relayed together.

use std::sync::atomic::Ordering;

use relay_common::slot::Counters;

use crate::call::command::Command;
use crate::host::AddressId;
use crate::plan::{Path, UserspaceReason};
use crate::report::{Census, Received, Traffic};
use crate::sdp::AddressFamily;

use super::world::{OFFER, World, answer, delete, offer};

const A: usize = 0;
const B: usize = 2;

/// Packets from a party seen by userspace, of 10 bytes each, sent on to the other.
fn relay(world: &World, from: usize, to: usize, packets: u64) {
    for _ in 0..packets {
        world.stream(from).status.count_in(10);
        world.stream(to).status.count_out(10);
    }
}

fn kernel(world: &mut World, stream: usize, packets: u64) {
    let counters = Counters {
        packets,
        bytes: 10 * packets,
        dropped: 1,
        ..Counters::default()
    };
    let port = world.stream(stream).ports[0].id;
    world.host.kernel.insert(port, counters);
}

fn count(world: &mut World) -> Received {
    assert_eq!(world.calls.count(None, usize::MAX, &world.host), None);
    world.calls.relayed().received
}

#[test]
fn packets_are_counted_once_however_often_they_are_looked_at() {
    let mut world = World::new();
    world.connect();
    relay(&world, A, B, 3);
    kernel(&mut world, A, 5);
    let received = count(&mut world);
    assert_eq!((received.userspace.packets, received.kernel.packets), (3, 5));
    assert_eq!((received.userspace.bytes, received.kernel.bytes), (30, 50));
    assert_eq!(received.kernel.errors, 1);
    assert_eq!(count(&mut world), received);
    relay(&world, B, A, 1);
    kernel(&mut world, A, 7);
    let received = count(&mut world);
    assert_eq!((received.userspace.packets, received.kernel.packets), (4, 7));
}

#[test]
fn traffic_belongs_to_the_address_that_it_went_through() {
    let mut world = World::new();
    let mut first = offer("a", None, OFFER);
    if let Command::Offer(signal) = &mut first {
        signal.options.address_family = Some(AddressFamily::Ip6);
    }
    world.sdp(first);
    let v6 = OFFER
        .replace("IN IP4 198.51.100.31", "IN IP6 2001:db8::31")
        .replace("4000", "5000");
    world.sdp(answer("a", "b", &v6));
    relay(&world, A, B, 3);
    kernel(&mut world, A, 5);
    count(&mut world);
    let [v4, v6] = [0, 1].map(|address| world.calls.relayed().through(0, AddressId(address)));
    let packets = |traffic: Traffic| (traffic.ingress.packets, traffic.egress.packets);
    assert_eq!((packets(v4), packets(v6)), ((8, 0), (0, 8)));
    assert_eq!(world.calls.census().ip_mixed, 1);
}

#[test]
fn re_invites_and_ends_lose_nothing() {
    let mut world = World::new();
    world.connect();
    relay(&world, A, B, 3);
    count(&mut world);
    relay(&world, A, B, 2);
    world.sdp(offer("b", Some("a"), &OFFER.replace("4000", "7000")));
    relay(&world, A, B, 1);
    kernel(&mut world, A, 10);
    world.handle(delete(None, Some(0))).unwrap();
    assert_eq!(world.calls.session_count(), 0);
    let received = count(&mut world);
    assert_eq!((received.userspace.packets, received.kernel.packets), (6, 10));
    let through = world.calls.relayed().through(0, AddressId(0));
    assert_eq!(through.ingress.packets, 16);
    assert_eq!(through.egress.packets, 16);
}

#[test]
fn calls_are_counted_slice_by_slice() {
    let mut world = World::new();
    for number in 0..5 {
        let mut signal = offer("a", None, OFFER);
        if let crate::call::command::Command::Offer(signal) = &mut signal {
            signal.call_id = format!("call-{number}").as_str().into();
        }
        world.sdp(signal);
    }
    for plan in world.plans.values() {
        plan.streams[0].status.count_in(1);
    }
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        after = world.calls.count(after, 2, &world.host);
        seen.push(world.calls.relayed().received.userspace.packets);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, [2, 4, 5]);
}

#[test]
fn the_census_tells_where_media_is_relayed() {
    let mut world = World::new();
    assert_eq!(world.calls.census(), Census::default());
    world.connect();
    let census = world.calls.census();
    assert_eq!((census.sessions, census.ipv4_only), (1, 1));
    assert_eq!((census.media_userspace, census.media_kernel), (1, 0));
    relay(&world, A, B, 1);
    relay(&world, B, A, 1);
    world.stream(A).status.publish_path(Path::Kernel);
    let census = world.calls.census();
    assert_eq!((census.media_mixed, census.flows_kernel), (1, 1));
    let reasons: Vec<_> = census.flows_userspace().filter(|(_, count)| *count > 0).collect();
    assert_eq!(reasons, [(UserspaceReason::NoPacketYet, 1)]);
    world.stream(B).status.publish_path(Path::Kernel);
    let census = world.calls.census();
    assert_eq!((census.media_kernel, census.media_mixed), (1, 0));
    world.stream(A).status.packets_in.store(0, Ordering::Relaxed);
    assert_eq!(world.calls.census().media_kernel, 1, "one direction is enough");
}
