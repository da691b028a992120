use super::*;

const SIGNALLED: &str = "198.51.100.1:4000";
const SAME_ADDRESS: &str = "198.51.100.1:4002";
const SAME_PORT: &str = "198.51.100.9:4000";
const OTHER: &str = "198.51.100.9:4002";
const ANOTHER: &str = "198.51.100.8:4004";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn at(milliseconds: u64) -> Time {
    Time::default() + Duration::from_secs(100) + Duration::from_millis(milliseconds)
}

fn signal(learning: Learning, policy: SourcePolicy) -> Signal {
    Signal {
        learning,
        address: Some(address(SIGNALLED)),
        at: at(0),
        policy,
    }
}

fn learner(learning: Learning, policy: SourcePolicy) -> Learner {
    Learner::new(signal(learning, policy))
}

/// Sends packets at milliseconds after the signalling message; tells what is learned after each.
fn learn(learning: Learning, packets: &[(u64, &str)]) -> Vec<(String, bool)> {
    let mut learner = learner(learning, SourcePolicy::Forward);
    packets
        .iter()
        .map(|(milliseconds, source)| {
            let before = learner.learned();
            let verdict = learner.observe(at(*milliseconds), address(source));
            assert!(verdict.accepted);
            assert_eq!(verdict.changed, learner.learned() != before);
            learner.learned().map_or(("none".into(), false), |learned| {
                (learned.source.to_string(), learned.settled)
            })
        })
        .collect()
}

fn settled(source: &str) -> (String, bool) {
    (source.into(), true)
}

fn candidate(source: &str) -> (String, bool) {
    (source.into(), false)
}

#[test]
fn off_learns_nothing() {
    let packets = [(0, OTHER), (10, SIGNALLED), (4000, SAME_PORT)];
    assert_eq!(
        learn(Learning::Off, &packets),
        [settled(SIGNALLED), settled(SIGNALLED), settled(SIGNALLED)]
    );
}

#[test]
fn immediate_takes_the_first_source() {
    let packets = [(0, OTHER), (10, SIGNALLED), (4000, SAME_PORT)];
    assert_eq!(
        learn(Learning::Immediate, &packets),
        [settled(OTHER), settled(OTHER), settled(OTHER)]
    );
}

#[test]
fn delayed_takes_the_newest_source_and_settles_on_the_first_after_the_window() {
    let packets = [
        (0, SIGNALLED),
        (10, OTHER),
        (2999, SAME_ADDRESS),
        (3000, OTHER),
        (3010, SIGNALLED),
    ];
    assert_eq!(
        learn(Learning::Delayed, &packets),
        [
            candidate(SIGNALLED),
            candidate(OTHER),
            candidate(SAME_ADDRESS),
            settled(OTHER),
            settled(OTHER)
        ]
    );
}

#[test]
fn heuristic_takes_the_best_source() {
    let packets = [
        (0, OTHER),
        (10, SAME_PORT),
        (20, OTHER),
        (30, SAME_ADDRESS),
        (40, SAME_PORT),
        (3000, OTHER),
        (3010, SIGNALLED),
    ];
    assert_eq!(
        learn(Learning::Heuristic, &packets),
        [
            candidate(OTHER),
            candidate(SAME_PORT),
            candidate(SAME_PORT),
            candidate(SAME_ADDRESS),
            candidate(SAME_ADDRESS),
            settled(SAME_ADDRESS),
            settled(SAME_ADDRESS)
        ]
    );
}

#[test]
fn heuristic_settles_on_an_exact_match_at_once() {
    let packets = [(0, SAME_ADDRESS), (10, SIGNALLED), (20, SAME_ADDRESS)];
    assert_eq!(
        learn(Learning::Heuristic, &packets),
        [candidate(SAME_ADDRESS), settled(SIGNALLED), settled(SIGNALLED)]
    );
}

#[test]
fn heuristic_prefers_the_newest_of_equals() {
    let packets = [(0, OTHER), (10, ANOTHER), (3000, ANOTHER)];
    assert_eq!(
        learn(Learning::Heuristic, &packets),
        [candidate(OTHER), candidate(ANOTHER), settled(ANOTHER)]
    );
}

#[test]
fn heuristic_settles_on_the_first_source_of_all_if_it_comes_late() {
    assert_eq!(
        learn(Learning::Heuristic, &[(60_000, OTHER), (60_010, SIGNALLED)]),
        [settled(OTHER), settled(OTHER)]
    );
}

#[test]
fn other_sources_are_relayed_dropped_or_followed_once_the_source_is_settled() {
    for (policy, accepted, source) in [
        (SourcePolicy::Forward, true, SIGNALLED),
        (SourcePolicy::Drop, false, SIGNALLED),
        (SourcePolicy::Follow, true, OTHER),
    ] {
        let mut learner = learner(Learning::Heuristic, policy);
        assert!(learner.observe(at(0), address(OTHER)).accepted);
        learner.observe(at(1), address(SIGNALLED));
        assert_eq!(
            learner.observe(at(2), address(OTHER)).accepted,
            accepted,
            "{policy:?}"
        );
        assert_eq!(learner.source(), Some(address(source)), "{policy:?}");
    }
}

#[test]
fn a_source_that_must_be_the_party_is_not_taken_if_a_better_one_was_seen() {
    let mut learner = learner(Learning::Heuristic, SourcePolicy::Drop);
    learner.observe(at(0), address(SAME_ADDRESS));
    for time in [10, 3000] {
        assert_eq!(learner.observe(at(time), address(OTHER)), REFUSED);
        assert_eq!(learner.settled(), None);
    }
    assert!(learner.observe(at(3010), address(SAME_ADDRESS)).accepted);
    assert_eq!(learner.settled(), Some(address(SAME_ADDRESS)));
}

/// Which source each packet leads to: `!` where it is settled.
fn follow(learning: Learning, packets: &[(u64, &str)]) -> Vec<String> {
    let mut learner = learner(learning, SourcePolicy::Follow);
    let mut all = Vec::new();
    for (milliseconds, source) in packets {
        assert!(learner.observe(at(*milliseconds), address(source)).accepted);
        let mark = if learner.settled().is_some() { "!" } else { "" };
        all.push(format!("{}{mark}", learner.source().unwrap()));
    }
    all
}

#[test]
fn who_takes_over_keeps_its_place_during_the_window() {
    let packets = [
        (0, SIGNALLED),
        (10, OTHER),
        (20, OTHER),
        (30, SAME_ADDRESS),
        (40, SIGNALLED),
        (50, SIGNALLED),
    ];
    assert_eq!(
        follow(Learning::Heuristic, &packets),
        [
            format!("{SIGNALLED}!"),
            OTHER.into(),
            OTHER.into(),
            OTHER.into(),
            format!("{OTHER}!"),
            SIGNALLED.into()
        ]
    );
    assert_eq!(
        follow(
            Learning::Immediate,
            &[(0, OTHER), (10, SAME_PORT), (20, SAME_PORT)]
        ),
        [format!("{OTHER}!"), SAME_PORT.into(), format!("{SAME_PORT}!")]
    );
}

#[test]
fn who_takes_over_after_the_window_stays() {
    let packets = [(0, SIGNALLED), (4000, OTHER), (4020, OTHER), (4040, ANOTHER)];
    assert_eq!(
        follow(Learning::Heuristic, &packets),
        [
            format!("{SIGNALLED}!"),
            OTHER.into(),
            format!("{OTHER}!"),
            ANOTHER.into()
        ]
    );
}

#[test]
fn a_doubted_source_competes_with_those_seen_before() {
    let mut learner = learner(Learning::Heuristic, SourcePolicy::Forward);
    learner.observe(at(0), address(SAME_ADDRESS));
    learner.observe(at(3000), address(SAME_ADDRESS));
    learner.doubt();
    assert_eq!(
        (learner.settled(), learner.source()),
        (None, Some(address(SAME_ADDRESS)))
    );
    learner.observe(at(5000), address(OTHER));
    assert_eq!(learner.settled(), Some(address(SAME_ADDRESS)));
}

#[test]
fn a_source_that_nobody_can_answer_is_refused() {
    let mut learner = learner(Learning::Immediate, SourcePolicy::Follow);
    assert_eq!(learner.observe(at(0), address("198.51.100.1:0")), REFUSED);
    learner.observe(at(0), address(SIGNALLED));
    assert_eq!(learner.observe(at(0), address("0.0.0.0:4000")), REFUSED);
    assert_eq!(learner.source(), Some(address(SIGNALLED)));
}

#[test]
fn off_with_strict_source_takes_the_signalled_address_alone() {
    let mut learner = learner(Learning::Off, SourcePolicy::Drop);
    assert!(!learner.observe(at(0), address(SAME_ADDRESS)).accepted);
    assert!(learner.observe(at(1), address(SIGNALLED)).accepted);
    assert_eq!(
        learner.expected(at(1)).map(|expected| expected.source),
        Some(address(SIGNALLED))
    );
}

#[test]
fn nothing_is_learned_of_a_party_that_did_not_signal_yet() {
    let unknown = Signal {
        address: None,
        ..signal(Learning::Immediate, SourcePolicy::Drop)
    };
    let mut learner = Learner::new(unknown);
    assert_eq!(
        learner.observe(at(0), address(OTHER)),
        Verdict {
            accepted: true,
            changed: false
        }
    );
    assert_eq!((learner.source(), learner.expected(at(0))), (None, None));
}

#[test]
fn signalling_starts_over_and_keeps_the_source_of_an_unchanged_address() {
    let first = signal(Learning::Heuristic, SourcePolicy::Forward);
    let mut learner = Learner::new(first);
    learner.observe(at(0), address(SAME_ADDRESS));
    assert!(!learner.signal(first), "nothing new");

    let again = Signal {
        at: at(10_000),
        ..first
    };
    assert!(learner.signal(again));
    assert_eq!(
        learner.learned(),
        Some(Learned {
            source: address(SAME_ADDRESS),
            settled: false
        })
    );
    assert_eq!(
        learner.expected(at(10_000)),
        None,
        "the kernel has to wait for a packet"
    );
    learner.observe(at(10_001), address(OTHER));
    assert_eq!(
        learner.source(),
        Some(address(OTHER)),
        "even a worse one takes its place"
    );

    let moved = Signal {
        address: Some(address(ANOTHER)),
        ..again
    };
    assert!(learner.signal(moved));
    assert_eq!(learner.source(), None);
}

#[test]
fn the_kernel_hears_of_a_contested_source_only_when_it_has_held_for_a_while() {
    let mut learner = learner(Learning::Heuristic, SourcePolicy::Follow);
    let expected = |learner: &Learner, milliseconds| learner.expected(at(milliseconds));
    learner.observe(at(0), address(OTHER));
    assert_eq!(
        expected(&learner, 0),
        Some(Learned {
            source: address(OTHER),
            settled: false
        })
    );
    learner.observe(at(100), address(SIGNALLED));
    assert_eq!(expected(&learner, 1099), None);
    assert_eq!(
        expected(&learner, 1100),
        Some(Learned {
            source: address(SIGNALLED),
            settled: true
        })
    );
    learner.observe(at(2000), address(OTHER));
    assert_eq!(expected(&learner, 2000), None);
    // Who has taken over may be taken over from.
    assert_eq!(
        expected(&learner, 3000),
        Some(Learned {
            source: address(OTHER),
            settled: false
        })
    );
}

#[test]
fn the_kernel_does_not_hear_of_a_delayed_source_during_the_window() {
    let mut learner = learner(Learning::Delayed, SourcePolicy::Forward);
    learner.observe(at(0), address(SIGNALLED));
    assert_eq!(learner.expected(at(2000)), None);
    learner.observe(at(3000), address(SIGNALLED));
    assert!(
        learner
            .expected(at(3000))
            .is_some_and(|expected| expected.settled)
    );
}

#[test]
fn the_end_of_the_window_settles_what_the_kernel_relays() {
    let mut learner = learner(Learning::Heuristic, SourcePolicy::Forward);
    assert_eq!(learner.deadline(), None);
    learner.observe(at(0), address(OTHER));
    assert_eq!(learner.deadline(), Some(at(3000)));
    assert!(!learner.settle(at(2999)));
    assert!(learner.settle(at(3000)));
    assert_eq!((learner.deadline(), learner.settle(at(3001))), (None, false));
    assert!(learner.learned().is_some_and(|learned| learned.settled));
}

#[test]
fn handover_is_followed_even_where_nothing_is_learned() {
    let mut learner = learner(Learning::Off, SourcePolicy::Follow);
    for source in [OTHER, SIGNALLED, OTHER] {
        let verdict = learner.observe(at(0), address(source));
        assert!(verdict.accepted && verdict.changed);
        assert_eq!(learner.source(), Some(address(source)));
    }
}
