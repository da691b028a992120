//! The XDP program and its model, packet by packet: verdict, bytes and counters must be the same.
//!
//! The program runs by `BPF_PROG_TEST_RUN`, which needs root; without it only the model is tested.
#![cfg(feature = "kernel")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

// A table: one case, one line.
#[rustfmt::skip]
mod cases;
mod oldest;
mod program;
mod random;
mod world;

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use relay_common::reception::Sequence;
use relay_common::rewrite::{Arrival, Verdict};
use relay_common::slot::{
    Address, COUNTED_BY_USERSPACE, Clock, DropReason, ForwardRule, OtherSource, PassReason, Route,
    SSRCS_PER_SLOT, SlotState, SsrcCounters, rule_flags,
};
use relay_tests::packets::{Frame, rtp};

use crate::cases::Case;
use crate::program::Program;
use crate::world::{HOP_LIMIT, INGRESS, LIMITS, SLOT, SLOT_V6, World, frame, frame_v6};

const AT: Arrival = Arrival {
    time: 5,
    coarse: 5,
    tick: 6,
    cpu: 0,
    ifindex: INGRESS,
};

#[test]
fn the_model_decides_every_case() {
    for Case {
        description,
        mut world,
        frame,
        verdict,
    } in cases::all()
    {
        let (found, bytes) = world.rewrite(AT, &frame);
        assert_eq!(found, verdict, "{description}");
        if !matches!(verdict, Verdict::Redirect { .. }) {
            assert_eq!(bytes, frame, "{description}");
        }
    }
}

#[test]
fn the_program_does_to_every_case_what_the_model_does() {
    let Some(mut program) = Program::load() else {
        return;
    };
    show_verified_instructions(&program);
    for Case {
        description,
        mut world,
        frame,
        ..
    } in cases::all()
    {
        // Both local addresses have the same hint: the last one is found by it, the other one by hash.
        for order in ["IPv6 by hint", "IPv4 by hint"] {
            let result = program.compare(&world, &frame);
            result.unwrap_or_else(|difference| panic!("{description}, {order}: {difference}"));
            world.locals.reverse();
        }
    }
}

/// Where those who run all tests see it grow.
fn show_verified_instructions(program: &Program) {
    const ENOUGH: u32 = 100_000;
    let instructions = program.verified_instructions();
    // Not by a macro: what these print is only shown of tests that fail.
    let line = format!("instructions that the verifier looked at: {instructions}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(
        instructions < ENOUGH,
        "{instructions}: too much of the million that kernels allow"
    );
}

#[test]
fn packets_to_unclaimed_ports_are_dropped_on_request() {
    let mut world = World::new().with_state(SlotState::Unclaimed);
    world.limits.drop_unclaimed = 1;
    let inputs = [frame(rtp(0, 1, 2, 3, 20)), frame_v6(vec![1])].map(|frame| frame.bytes());
    let mut program = Program::load_with(&world.limits);
    for input in &inputs {
        if let Some(program) = &mut program {
            program.compare(&world, input).unwrap();
        }
        assert_eq!(world.rewrite(AT, input).0, Verdict::Drop);
    }
    assert_eq!(world.drops[DropReason::Unclaimed as usize], 2);
}

/// A second of a flood, as the model sees it: time is in its hand.
#[test]
fn a_flood_gets_through_as_much_as_is_allowed() {
    let mut world = World::new();
    let mut stranger = frame(rtp(0, 1, 2, 3, 20));
    stranger.source = "198.51.100.8:4000".parse().unwrap();
    let (flood, media) = (stranger.bytes(), frame(rtp(0, 1, 2, 3, 20)).bytes());
    for packet in 0..100_000 {
        let arrival = Arrival {
            coarse: 1_000_000_000 + packet * 10_000,
            ..AT
        };
        world.rewrite(arrival, &flood);
        if packet % 2000 == 0 {
            let (verdict, _) = world.rewrite(arrival, &media);
            assert!(matches!(verdict, Verdict::Redirect { .. }));
        }
    }
    assert_eq!(world.passes[PassReason::OtherSource as usize], 500 + 499);
    let dropped = [DropReason::PrefixLimit, DropReason::PortLimit].map(|reason| world.drops[reason as usize]);
    // The network's bucket is looked at first.
    assert_eq!(dropped, [100_000 - 19_999, 19_000]);
    assert_eq!(world.guards[SLOT].limited, 100_000 - 999);
}

#[test]
fn every_reason_to_pass_has_a_case() {
    let cases = cases::all();
    for reason in PassReason::all() {
        let passes = |case: &Case| case.verdict == Verdict::Pass(reason);
        assert!(cases.iter().any(passes), "{}", reason.as_str());
    }
}

#[test]
fn what_is_relayed_is_what_a_socket_would_send() {
    let payload = rtp(8, 1, 2, 0xdead_beef, 160);
    for world in [World::new(), World::crossing()] {
        let world = world.with_route(|route| route.vlans = [0x88a8_0021, 0x8100_a00c]);
        for (slot, input) in [
            (SLOT, frame(payload.clone())),
            (SLOT_V6, frame_v6(payload.clone())),
        ] {
            let (_, found) = world.clone().rewrite(AT, &input.bytes());
            let rule = world.rule(slot);
            assert_eq!(found, sent(&rule, &world.routes[0], &payload).bytes(), "{rule:?}");
        }
    }
}

/// The frame of a relay's socket.
fn sent(rule: &ForwardRule, route: &Route, payload: &[u8]) -> Frame {
    let source = socket_address(rule.new_source, rule.new_source_port);
    let destination = socket_address(rule.new_destination, rule.new_destination_port);
    let vlans = route.vlans.map(|tag| {
        (
            u16::try_from(tag >> 16).unwrap(),
            u16::try_from(tag & 0xffff).unwrap(),
        )
    });
    Frame {
        destination_mac: route.destination_mac,
        source_mac: route.source_mac,
        vlans: vlans.to_vec(),
        tos: rule.tos,
        ttl: HOP_LIMIT,
        identification: 0,
        fragment: 0x4000,
        flow_label: 0,
        ..Frame::new(source, destination, payload.to_vec())
    }
}

fn socket_address(address: Address, port: u16) -> SocketAddr {
    let octets: Vec<u8> = address.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(octets).unwrap());
    SocketAddr::new(
        address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        port,
    )
}

/// The counters of a slot over many packets, which no single case shows.
#[test]
fn ssrcs_are_counted_over_wraps_reordering_and_beyond_four() {
    let packets: &[(u32, u16)] = &[
        (1, 65_534),
        (1, 65_535),
        (1, 1),
        (1, 0),
        (1, 2),
        (1, 2),
        (2, 7),
        (0, 9),
        (3, 5),
        (4, 5),
        (1, 0x8001),
        (1, 1),
        (1, 3),
        // From here on it counts anew.
        (1, 30_015),
        (1, 30_016),
        (1, 30_017),
    ];
    let mut world = World::new();
    let mut program = Program::load();
    for &(ssrc, sequence) in packets {
        let input = frame(rtp(0, sequence, 160 * u32::from(sequence), ssrc, 20)).bytes();
        if let Some(program) = &mut program {
            program.compare(&world, &input).unwrap();
        }
        world.rewrite(AT, &input);
    }
    let counters = world.counters(SLOT);
    assert_eq!((counters.packets, counters.bytes), (16, 16 * 32));
    assert_eq!(counters.ssrcs.map(|entry| entry.ssrc), [1, 2, 0, 3]);
    assert_eq!(counters.ssrcs.map(|entry| entry.packets), [12, 1, 1, 1]);
    let first = counters.ssrcs[0];
    assert_eq!((first.reordered, first.duplicates, first.lost()), (1, 2, -2));
    assert_eq!(first.highest_sequence, 0x1_0000 + 30_017);
    assert_eq!(first.last_timestamp, 160 * 30_017);
}

/// Strangers have no entries, and a party that begins anew for the fifth time has one.
#[test]
fn an_ssrc_that_was_not_heard_gives_up_its_place() {
    let mut world = World::new().with_rule(|rule| rule.other_source = OtherSource::Forward as u8);
    let mut program = Program::load();
    let mut receive = |world: &mut World, seconds: u32, frame: Frame| {
        let input = frame.bytes();
        if let Some(program) = &mut program {
            program.compare(world, &input).unwrap();
        }
        let tick = 1000 + seconds * LIMITS.ticks_per_second;
        world.rewrite(Arrival { tick, ..AT }, &input);
    };
    let from_stranger = |ssrc| {
        let mut frame = frame(rtp(0, 1, 2, ssrc, 20));
        frame.source.set_port(4001);
        frame
    };
    (100..110).for_each(|ssrc| receive(&mut world, 0, from_stranger(ssrc)));
    let counters = world.counters(SLOT);
    assert_eq!(counters.ssrcs.map(|entry| entry.counted_by), [0; 4]);
    assert_eq!(counters.packets, 10);
    for (second, ssrc) in [(1, 1), (2, 2), (3, 3), (4, 4), (4, 1), (4, 5)] {
        receive(&mut world, second, frame(rtp(0, 7, 2, ssrc, 20)));
    }
    let counters = world.counters(SLOT);
    assert_eq!(counters.ssrcs.map(|entry| entry.ssrc), [1, 5, 3, 4]);
    assert_eq!(counters.ssrcs.map(|entry| entry.packets), [2, 1, 1, 1]);
    // Nothing is lost of the total.
    assert_eq!((counters.packets, counters.bytes), (16, 16 * 32));
    assert_eq!(counters.ssrcs[1].lost(), 0);
}

/// An SSRC whose packets come to two CPUs: each adds up on its own, and the numbers are those of one.
#[test]
fn an_ssrc_on_two_cpus_is_counted_as_one() {
    let Some(mut program) = Program::load() else {
        return;
    };
    if program.move_to(1).is_err() {
        eprintln!("skipped: this test needs two CPUs");
        return;
    }
    let packets: &[(u32, u16)] = &[
        (0, 65_534),
        (0, 65_535),
        (0, 0),
        (1, 1),
        (1, 3),
        (0, 2),
        (1, 4),
        (0, 3),
        (1, 2),
    ];
    let mut world = World::new();
    for &(cpu, sequence) in packets {
        program.move_to(cpu).unwrap();
        let input = frame(rtp(0, sequence, 160 * u32::from(sequence), 7, 20)).bytes();
        program.compare(&world, &input).unwrap();
        world.rewrite(Arrival { cpu, ..AT }, &input);
    }
    let counters = world.counters(SLOT);
    assert_eq!((counters.packets, counters.bytes), (9, 9 * 32));
    assert_eq!(counters.ssrcs.map(|entry| entry.packets), [9, 0, 0, 0]);
    let first = counters.ssrcs[0];
    assert_eq!((first.base_sequence, first.highest_sequence), (65_534, 0x1_0004));
    assert_eq!((first.reordered, first.duplicates, first.lost()), (1, 2, -2));
    assert_eq!(first.last_timestamp, 160);
}

/// The program looks at a clock of its own: the tables go on from what it wrote.
#[test]
fn jitter_is_measured_as_the_model_does() {
    let Some(mut program) = Program::load() else {
        return;
    };
    let mut world = World::new();
    world.annexes[SLOT].clock = Clock::new(8, 8000);
    for number in 0..64_u16 {
        let input = frame(rtp(8, number, 160 * u32::from(number), 7, 20)).bytes();
        program.compare(&world, &input).unwrap();
        world = program.world(&world).unwrap();
    }
    let ssrc = world.counters(SLOT).ssrcs[0];
    assert_eq!((ssrc.packets, ssrc.lost()), (64, 0));
    // They came one after the other, not every 20 ms. Two of them were measured.
    assert!(ssrc.jitter_ns() > 1_000_000, "{ssrc:?}");
}

#[test]
fn what_userspace_has_counted_goes_on() {
    let Some(mut program) = Program::load() else {
        return;
    };
    let mut world = World::new();
    let mut known = SsrcCounters {
        ssrc: 7,
        counted_by: COUNTED_BY_USERSPACE,
        ..SsrcCounters::default()
    };
    known.set_sequence(Sequence::before(65_000));
    for number in 65_000..=65_535 {
        known.take(number);
    }
    for place in [0, 2] {
        let mut ssrcs = [SsrcCounters::default(); SSRCS_PER_SLOT];
        ssrcs[0] = known;
        if place == 2 {
            ssrcs[0].ssrc = 6;
            ssrcs[1].counted_by = 1;
            ssrcs[2] = known;
        }
        world.slots[SLOT].set_ssrcs(&mut world.annexes[SLOT], &ssrcs, [0; SSRCS_PER_SLOT]);
        program
            .compare(&world, &frame(rtp(8, 3, 0, 7, 20)).bytes())
            .unwrap();
        let after = program.world(&world).unwrap().counters(SLOT);
        let ssrc = after.ssrcs.iter().find(|entry| entry.ssrc == 7).unwrap();
        assert_eq!((ssrc.base_sequence, ssrc.highest_sequence), (65_000, 65_539));
        assert_eq!(ssrc.packets, 1);
    }
}

/// A blocked call is not a silent one: it must not time out.
#[test]
fn blocked_media_counts_as_received() {
    let mut world = World::new().with_rule(|rule| rule.flags |= rule_flags::BLOCK);
    let (verdict, _) = world.rewrite(AT, &frame(rtp(0, 1, 2, 3, 20)).bytes());
    let counters = world.counters(SLOT);
    assert_eq!(verdict, Verdict::Drop);
    assert_eq!((counters.packets, counters.bytes, counters.dropped), (1, 32, 0));
    let head = world.slots[SLOT].ssrc;
    assert_eq!((head.last_tick, head.ssrc), (AT.tick, 3));
}

/// A jumbo frame lies in several buffers, of which the program sees the first: it cannot tell that all
/// of the packet is there.
#[test]
fn a_packet_of_several_buffers_passes() {
    let Some(mut program) = Program::load() else {
        return;
    };
    let world = World::new().with_route(|route| route.mtu = 9000);
    program.fill(&world).unwrap();
    let input = frame(rtp(0, 1, 2, 3, 5000)).bytes();
    let (action, output) = program.run(&input).unwrap();
    assert_eq!(action, program::XDP_PASS);
    assert_eq!(output, input);
    let after = program.world(&world).unwrap();
    assert_eq!(after.passes[PassReason::Short as usize], 1);
}
