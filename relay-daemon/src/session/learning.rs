//! How the source of a stream's media is learned (`endpoint-learning`).
//!
//! Sources compete during a window after each signalling message; then the winner is settled. Packets of
//! the not yet signalled side are accepted, but nothing is learned from them: whoever sends to a fresh
//! port first would receive the other party's media.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Time;
use crate::plan::{Learned, Learning, SourcePolicy};

/// How long sources compete after the newest signalling message.
pub(super) const WINDOW: Duration = Duration::from_secs(3);

/// How long a source that took the place of another must hold before the kernel hears of it. Two senders
/// in turn would else rewrite the slot with every packet.
pub(super) const CALM: Duration = Duration::from_secs(1);

/// The learning of one stream.
#[derive(Debug)]
pub(super) struct Learner {
    signal: Signal,
    state: State,
    /// When a source last took the place of another one, since the newest signalling message.
    contested: Option<Time>,
}

/// What signalling says of a stream's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signal {
    pub(super) learning: Learning,
    /// The address in the party's SDP, if media can be sent there.
    pub(super) address: Option<SocketAddr>,
    pub(super) at: Time,
    pub(super) policy: SourcePolicy,
}

/// What becomes of a packet and of the learned source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether the packet may be relayed.
    pub(super) accepted: bool,
    /// Whether [`Learner::learned`] changed.
    pub(super) changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    /// Learned before the newest signalling message: still sent to, replaced by whatever arrives.
    Kept(SocketAddr),
    Candidate(Rank, SocketAddr),
    Settled(SocketAddr),
}

/// How well a source fits what was signalled; the best one is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Other,
    SamePort,
    SameAddress,
    Exact,
}

impl Learner {
    pub(super) fn new(signal: Signal) -> Learner {
        Learner {
            signal,
            state: State::Unknown,
            contested: None,
        }
    }

    /// Takes what signalling says now. Learning starts over if it mentioned the stream again; says whether
    /// it did. The learned source is still sent to as long as the signalled address is the same.
    pub(super) fn signal(&mut self, signal: Signal) -> bool {
        let old = std::mem::replace(&mut self.signal, signal);
        if (old.learning, old.address, old.at) == (signal.learning, signal.address, signal.at) {
            return false;
        }
        self.contested = None;
        self.state = match self.source() {
            Some(source) if old.address == signal.address && signal.learning != Learning::Off => {
                State::Kept(source)
            }
            _ => State::Unknown,
        };
        true
    }

    /// A packet of the stream arrived.
    pub(super) fn observe(&mut self, now: Time, source: SocketAddr) -> Verdict {
        if let State::Settled(settled) = self.state {
            return self.judge(now, settled, source);
        }
        let Some(signalled) = self.signal.address else {
            return ACCEPTED;
        };
        if self.signal.learning == Learning::Off {
            let expected = Rank::of(signalled, source) == Rank::Exact;
            return Verdict {
                accepted: expected || self.signal.policy != SourcePolicy::Drop,
                changed: false,
            };
        }
        let next = self.next(now, signalled, source);
        let changed = next != self.state;
        self.enter(now, next);
        let verdict = match next {
            State::Settled(settled) => self.judge(now, settled, source),
            State::Unknown | State::Kept(_) | State::Candidate(..) => ACCEPTED,
        };
        Verdict {
            changed: changed || verdict.changed,
            ..verdict
        }
    }

    /// Where media for the party goes unless its learned source is to be ignored.
    pub(super) fn source(&self) -> Option<SocketAddr> {
        match self.state {
            State::Unknown => None,
            State::Kept(source) | State::Candidate(_, source) | State::Settled(source) => Some(source),
        }
    }

    /// What is known, for others to see.
    pub(super) fn learned(&self) -> Option<Learned> {
        self.source().map(|source| Learned {
            source,
            settled: matches!(self.state, State::Settled(_)),
        })
    }

    /// The source by which the kernel may tell the stream's packets from others; none while it may yet
    /// change soon. `delayed` does not favour the source that it has, so the kernel has to wait for the end.
    pub(super) fn expected(&self, now: Time) -> Option<Learned> {
        if self.signal.learning == Learning::Off {
            return self.signal.address.map(|source| Learned {
                source,
                settled: true,
            });
        }
        match self.state {
            State::Candidate(..) if self.signal.learning == Learning::Delayed => None,
            State::Candidate(..) | State::Settled(_) => self.learned().filter(|_| self.is_calm(now)),
            State::Unknown | State::Kept(_) => None,
        }
    }

    /// Whether the source did not change of late.
    pub(super) fn is_calm(&self, now: Time) -> bool {
        self.contested.is_none_or(|at| now.since(at) >= CALM)
    }

    /// When [`Learner::settle`] will do something. Packets that the kernel relays cannot settle the source.
    pub(super) fn deadline(&self) -> Option<Time> {
        matches!(self.state, State::Candidate(..)).then(|| self.window_end())
    }

    /// The window is over: the best source so far is final. Says whether anything changed.
    pub(super) fn settle(&mut self, now: Time) -> bool {
        match self.state {
            State::Candidate(_, source) if now >= self.window_end() => {
                self.state = State::Settled(source);
                true
            }
            State::Unknown | State::Kept(_) | State::Candidate(..) | State::Settled(_) => false,
        }
    }

    fn next(&self, now: Time, signalled: SocketAddr, source: SocketAddr) -> State {
        let rank = Rank::of(signalled, source);
        let best = match self.state {
            State::Candidate(best, candidate) if best > rank => (best, candidate),
            State::Unknown | State::Kept(_) | State::Candidate(..) | State::Settled(_) => (rank, source),
        };
        let window_is_over = now >= self.window_end();
        match self.signal.learning {
            Learning::Off => self.state,
            Learning::Immediate => State::Settled(source),
            Learning::Delayed if window_is_over => State::Settled(source),
            Learning::Delayed => State::Candidate(rank, source),
            Learning::Heuristic if window_is_over || best.0 == Rank::Exact => State::Settled(best.1),
            Learning::Heuristic => State::Candidate(best.0, best.1),
        }
    }

    fn judge(&mut self, now: Time, settled: SocketAddr, source: SocketAddr) -> Verdict {
        if settled == source {
            return ACCEPTED;
        }
        match self.signal.policy {
            SourcePolicy::Forward => ACCEPTED,
            SourcePolicy::Drop => Verdict {
                accepted: false,
                changed: false,
            },
            SourcePolicy::Follow => {
                self.enter(now, State::Settled(source));
                Verdict {
                    accepted: true,
                    changed: true,
                }
            }
        }
    }

    fn enter(&mut self, now: Time, next: State) {
        let seen = match self.state {
            State::Unknown | State::Kept(_) => None,
            State::Candidate(_, source) | State::Settled(source) => Some(source),
        };
        self.state = next;
        if seen.is_some() && seen != self.source() {
            self.contested = Some(now);
        }
    }

    fn window_end(&self) -> Time {
        self.signal.at + WINDOW
    }
}

const ACCEPTED: Verdict = Verdict {
    accepted: true,
    changed: false,
};

impl Rank {
    fn of(signalled: SocketAddr, source: SocketAddr) -> Rank {
        match (signalled.ip() == source.ip(), signalled.port() == source.port()) {
            (true, true) => Rank::Exact,
            (true, false) => Rank::SameAddress,
            (false, true) => Rank::SamePort,
            (false, false) => Rank::Other,
        }
    }
}

#[cfg(test)]
mod tests {
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
        let none = ("none".to_owned(), false);
        assert_eq!(learn(Learning::Off, &packets), [none.clone(), none.clone(), none]);
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
    fn the_packet_that_closes_the_window_is_judged_like_those_after_it() {
        let mut learner = learner(Learning::Heuristic, SourcePolicy::Drop);
        learner.observe(at(0), address(SAME_ADDRESS));
        let verdict = learner.observe(at(3000), address(OTHER));
        assert_eq!(
            verdict,
            Verdict {
                accepted: false,
                changed: true
            }
        );
        assert_eq!(learner.source(), Some(address(SAME_ADDRESS)));
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
        assert_eq!(learner.observe(at(0), address(OTHER)), ACCEPTED);
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
}
