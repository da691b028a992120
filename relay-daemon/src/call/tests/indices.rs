//! Keys own their counters (RFC 3711 section 9.1), whatever is signalled, and whichever way packets take: no index of a key is
//! used for two packets, what a party sends is opened, and what was captured is not opened again.
//!
//! `RELAY_CASES` says how many conversations are played.

mod network;
mod observer;
mod party;

use proptest::prelude::*;

use self::network::{Network, Options};
use self::party::{Choice, SUITES};

#[derive(Clone, Debug)]
enum Step {
    /// Party 0 makes an offer to the party that it talks to, or the other way round.
    Offer {
        backwards: bool,
        choice: Choice,
        options: Options,
    },
    /// The newest offer is answered; that of party 0 by party 1 or 2.
    Answer {
        by_other: bool,
        choice: Choice,
        options: Options,
    },
    /// Packets of a party from so many sources: how many are lost before each.
    Packets {
        party: usize,
        source: usize,
        lost: Vec<u16>,
    },
    /// One packet each of many sources.
    Sources {
        party: usize,
        count: usize,
    },
    /// So much of a source is lost that soon its sequence number turns; but while the kernel relays it, as that does not believe
    /// a single packet.
    Gap {
        party: usize,
        source: usize,
    },
    Report {
        party: usize,
    },
    /// A source begins anew.
    Restart {
        party: usize,
        source: usize,
    },
    /// Something that was captured comes again, from where it came from.
    Replay {
        party: usize,
        place: prop::sample::Index,
    },
    /// Milliseconds.
    Wait(u64),
    /// The kernel takes flows, or gives them all back.
    Kernel(bool),
}

fn choice() -> impl Strategy<Value = Choice> {
    (
        prop::bool::weighted(0.75),
        prop::bool::weighted(0.4),
        0..SUITES.len(),
        prop::bool::weighted(0.15),
    )
        .prop_map(|(secure, new_keys, suite, moves)| Choice {
            secure,
            new_keys,
            suite,
            moves,
        })
}

fn options() -> impl Strategy<Value = Options> {
    (
        prop::sample::select(vec![
            None,
            None,
            Some("RTP/AVP"),
            Some("RTP/SAVP"),
            Some("RTP/SAVP"),
        ]),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.1, any::<bool>()),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(profile, recrypt, generate_rtcp, keep_suite)| Options {
            profile,
            recrypt,
            generate_rtcp,
            keep_suite,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let party = || prop_oneof![2 => Just(0_usize), 2 => Just(1), 1 => Just(2)];
    let lost = prop_oneof![8 => 0..3_u16, 1 => 100..600_u16];
    prop_oneof![
        3 => (prop::bool::weighted(0.3), choice(), options())
            .prop_map(|(backwards, choice, options)| Step::Offer { backwards, choice, options }),
        5 => (prop::bool::weighted(0.25), choice(), options())
            .prop_map(|(by_other, choice, options)| Step::Answer { by_other, choice, options }),
        10 => (party(), 0..4_usize, prop::collection::vec(lost, 1..6))
            .prop_map(|(party, source, lost)| Step::Packets { party, source, lost }),
        1 => (party(), 20..30_usize).prop_map(|(party, count)| Step::Sources { party, count }),
        1 => (party(), 0..4_usize).prop_map(|(party, source)| Step::Gap { party, source }),
        3 => party().prop_map(|party| Step::Report { party }),
        1 => (party(), 0..4_usize).prop_map(|(party, source)| Step::Restart { party, source }),
        4 => (party(), any::<prop::sample::Index>()).prop_map(|(party, place)| Step::Replay { party, place }),
        2 => (1..8000_u64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Kernel),
    ]
}

/// How many conversations are played, unless somebody wants more.
const CASES: u32 = 150;

fn cases() -> u32 {
    let wanted = std::env::var("RELAY_CASES").ok();
    wanted.and_then(|cases| cases.parse().ok()).unwrap_or(CASES)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_index_is_used_twice_and_every_packet_is_opened_once(
        steps in prop::collection::vec(step(), 1..70),
        muxed: bool,
        begin_anew: [bool; 3],
    ) {
        let mut network = Network::new(muxed, begin_anew);
        for step in steps {
            match step {
                Step::Offer { backwards, choice, options } => network.offer(backwards, choice, options),
                Step::Answer { by_other, choice, options } => network.answer(by_other, choice, options),
                Step::Packets { party, source, lost } => {
                    for lost in lost {
                        network.send(party, source, lost, false);
                    }
                }
                Step::Sources { party, count } => {
                    for source in 0..count {
                        network.send(party, source, 0, false);
                    }
                }
                Step::Gap { party, source } if !network.is_in_kernel(party) => {
                    for lost in [25_000, 0, 0] {
                        network.send(party, source, lost, false);
                    }
                }
                Step::Gap { .. } => {}
                Step::Report { party } => network.send(party, 0, 0, true),
                Step::Restart { party, source } => network.restart(party, source),
                Step::Replay { party, place } => network.replay(party, place),
                Step::Wait(milliseconds) => network.wait(milliseconds),
                Step::Kernel(takes) => network.set_kernel(takes),
            }
        }
    }
}
