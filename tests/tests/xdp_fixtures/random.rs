//! Random packets and tables: broken copies of the cases.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestError, TestRunner};
use relay_common::checksum;
use relay_common::slot::{Clock, rule_flags};

use crate::cases;
use crate::program::Program;
use crate::world::{SLOT, SLOT_V6, World};

#[test]
fn random_packets_get_the_same_from_both() {
    let Some(program) = Program::load() else { return };
    let program = RefCell::new(program);
    let config = Config {
        cases: 3000,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&(world(), frame()), |(world, frame)| {
        let result = program.borrow_mut().compare(&world, &frame);
        result
            .map(drop)
            .map_err(|difference| TestCaseError::fail(difference.to_string()))
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, (world, frame))) => {
            let rules = [SLOT, SLOT_V6].map(|slot| world.rule(slot));
            panic!("{reason}\n{frame:02x?}\n{rules:?}\n{:?}", world.routes[0]);
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// A frame of a case with a few bytes changed, cut or padded.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let frames: Vec<_> = cases::all().into_iter().map(|case| case.frame).collect();
    // Mostly header bytes, and values that mean something there.
    let value = prop_oneof![any::<u8>(), select(vec![0, 1, 6, 17, 44, 0x45, 0x60, 0x81, 0xff])];
    let changes = prop_oneof![
        3 => Just(Vec::new()),
        2 => proptest::collection::vec((0_usize..80, value), 1..4),
    ];
    let length = prop_oneof![4 => Just(None), 1 => (14_usize..260).prop_map(Some)];
    let is_repaired = prop_oneof![4 => Just(true), 1 => Just(false)];
    (select(frames), changes, length, is_repaired).prop_map(|(mut frame, changes, length, is_repaired)| {
        for (at, value) in changes {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        if is_repaired {
            repair(&mut frame);
        }
        if let Some(length) = length {
            frame.resize(length, 0xa5);
        }
        frame
    })
}

/// Makes the checksum of an IPv4 header right, so that more is looked at than that.
fn repair(frame: &mut [u8]) {
    let starts = [14, 18, 22].into_iter();
    let mut starts = starts.filter(|&at| frame.get(at - 2..at) == Some(&[0x08, 0x00]));
    let Some(header) = starts.next().and_then(|at| frame.get_mut(at..at + 20)) else {
        return;
    };
    header[10..12].fill(0);
    let checksum = checksum::finish(checksum::sum(header));
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// The tables of a case with all that a rule and a route can ask for.
fn world() -> impl Strategy<Value = World> {
    let worlds: Vec<_> = cases::all().into_iter().map(|case| case.world).collect();
    let flags = prop_oneof![
        4 => Just(0),
        1 => select(vec![rule_flags::RTP, rule_flags::BLOCK, rule_flags::IPV6_IN, rule_flags::IPV6_OUT]),
    ];
    let other_source = prop_oneof![2 => Just(1_u8), 1 => 0_u8..4];
    let vlans = select(vec![
        [0, 0],
        [0x8100_0005, 0],
        [0x88a8_0006, 0x8100_0007],
        [0, 0x8100_0008],
    ]);
    let mtu = prop_oneof![3 => Just(1500), 1 => 40_u16..260, 1 => Just(u16::MAX)];
    let addresses = any::<[[u32; 4]; 2]>();
    (
        select(worlds),
        flags,
        other_source,
        any::<u8>(),
        vlans,
        mtu,
        addresses,
    )
        .prop_map(
            |(world, flags, other_source, tos, vlans, mtu, [new_source, new_destination])| {
                let mut world = world.with_rule(|rule| {
                    rule.flags ^= flags;
                    rule.other_source = other_source;
                    rule.tos = tos;
                    rule.new_source_port ^= u16::from(tos);
                    if rule.flags & rule_flags::IPV6_OUT != 0 {
                        (rule.new_source, rule.new_destination) = (new_source, new_destination);
                    }
                });
                if tos % 4 == 0 {
                    world = world.with_empty_ports();
                }
                world.annexes[SLOT].clock = Clock::new(tos & 0x7f, 8000);
                world.with_route(|route| {
                    route.vlans = vlans;
                    route.mtu = mtu;
                    route.hop_limit = tos | 1;
                })
            },
        )
}
