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
        if !is_reachable(&source) {
            return REFUSED;
        }
        if let State::Settled(settled) = self.state {
            return self.judge(now, settled, source);
        }
        let Some(signalled) = self.signal.address else {
            return ACCEPTED;
        };
        if self.learning() == Learning::Off {
            let expected = Rank::of(signalled, source) == Rank::Exact;
            if !expected && self.signal.policy == SourcePolicy::Drop {
                return REFUSED;
            }
            self.enter(now, State::Settled(signalled));
            return Verdict {
                accepted: true,
                changed: true,
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

    /// The source that is final.
    pub(super) fn settled(&self) -> Option<SocketAddr> {
        match self.state {
            State::Settled(source) => Some(source),
            State::Unknown | State::Kept(_) | State::Candidate(..) => None,
        }
    }

    /// Whether packets may come from elsewhere than was signalled.
    pub(super) fn learns(&self) -> bool {
        self.learning() != Learning::Off
    }

    /// How sources are learned. Who may hand over is followed from the first packet on.
    fn learning(&self) -> Learning {
        match (self.signal.learning, self.signal.policy) {
            (Learning::Off, SourcePolicy::Follow) => Learning::Immediate,
            (learning, _) => learning,
        }
    }

    /// What is known, for others to see.
    pub(super) fn learned(&self) -> Option<Learned> {
        self.source().map(|source| Learned {
            source,
            settled: matches!(self.state, State::Settled(_)) && !self.was_handed_over(),
        })
    }

    /// Whether another source took over, and may again.
    fn was_handed_over(&self) -> bool {
        let follows = self.signal.policy == SourcePolicy::Follow;
        follows && self.signal.learning != Learning::Immediate && self.contested.is_some()
    }

    /// The source by which the kernel may tell the stream's packets from others; none while it may yet
    /// change soon. `delayed` does not favour the source that it has, so the kernel has to wait for the end.
    pub(super) fn expected(&self, now: Time) -> Option<Learned> {
        if self.learning() == Learning::Off {
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
        match self.learning() {
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
            SourcePolicy::Drop => REFUSED,
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

/// Whether media can be sent there: a held party may signal a zero address, and UDP allows a zero source port.
pub(super) fn is_reachable(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

const ACCEPTED: Verdict = Verdict {
    accepted: true,
    changed: false,
};

const REFUSED: Verdict = Verdict {
    accepted: false,
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
mod tests;
