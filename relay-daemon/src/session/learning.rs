//! How the source of a stream's media is learned (`endpoint-learning`).
//!
//! Sources compete during a window after each signalling message; then the winner is settled. What is found best later in
//! the window than what was found before is sent to, and only then: who took over from a settled source (`media-handover`) keeps
//! its place until then. Packets of the not yet signalled side are accepted, but nothing is learned from them: whoever sends to a fresh
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
    /// Where the party is, as far as its packets have said so.
    source: Option<SocketAddr>,
    /// Whether that is final.
    is_settled: bool,
    /// Whether anything has come since the newest signalling message.
    is_current: bool,
    /// Whether the source took the place of a settled one (flag `media-handover`) and has not been settled since.
    took_over: bool,
    /// The newest source of each rank, of those that compete.
    seen: [Option<SocketAddr>; Rank::ALL.len()],
    /// The source that was found best last; in the beginning what was signalled.
    best: Option<SocketAddr>,
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

/// How well a source fits what was signalled; the best one is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
            source: None,
            is_settled: false,
            is_current: false,
            took_over: false,
            seen: [None; Rank::ALL.len()],
            best: signal.address,
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
        let is_elsewhere = old.address != signal.address;
        *self = Learner {
            source: self.source.filter(|_| !is_elsewhere),
            best: if is_elsewhere { signal.address } else { self.best },
            ..Learner::new(signal)
        };
        true
    }

    /// The source is to show itself again, although no message says where it is. Those that competed still do.
    pub(super) fn doubt(&mut self) {
        self.is_settled = false;
    }

    /// The party is elsewhere, and nobody has to ask its packets.
    pub(super) fn place(&mut self, source: Option<SocketAddr>) {
        self.source = source;
    }

    /// A packet of the stream arrived.
    pub(super) fn observe(&mut self, now: Time, source: SocketAddr) -> Verdict {
        if !is_reachable(&source) {
            return REFUSED;
        }
        let before = self.outlook();
        let accepted = match self.signal.address {
            _ if self.is_settled => self.judge(source),
            None => true,
            Some(signalled) if self.signal.learning == Learning::Off => self.expect(signalled, source),
            Some(signalled) => self.compare(now, signalled, source),
        };
        if self.is_current && before.0.is_some() && before.0 != self.source {
            self.contested = Some(now);
        }
        self.is_current |= self.source.is_some();
        Verdict {
            accepted,
            changed: before != self.outlook(),
        }
    }

    fn outlook(&self) -> (Option<SocketAddr>, bool) {
        (self.source, self.is_settled)
    }

    /// Where media for the party goes unless its learned source is to be ignored.
    pub(super) fn source(&self) -> Option<SocketAddr> {
        self.source
    }

    /// Whether the source took the place of a settled one.
    pub(super) fn was_taken_over(&self) -> bool {
        self.took_over
    }

    /// When the newest signalling message came.
    pub(super) fn signalled_at(&self) -> Time {
        self.signal.at
    }

    /// The source that is final.
    pub(super) fn settled(&self) -> Option<SocketAddr> {
        self.source.filter(|_| self.is_settled)
    }

    /// Whether packets may come from elsewhere than was signalled.
    pub(super) fn learns(&self) -> bool {
        self.signal.learning != Learning::Off || self.signal.policy == SourcePolicy::Follow
    }

    /// What is known, for others to see.
    pub(super) fn learned(&self) -> Option<Learned> {
        self.source.map(|source| Learned {
            source,
            settled: self.is_settled,
        })
    }

    /// The source by which the kernel may tell the stream's packets from others; none while it may yet
    /// change soon. `delayed` does not favour the source that it has, so the kernel has to wait for the end.
    pub(super) fn expected(&self, now: Time) -> Option<Learned> {
        if !self.learns() {
            return self.source.or(self.signal.address).map(|source| Learned {
                source,
                settled: true,
            });
        }
        let wavers = self.signal.learning == Learning::Delayed && !self.is_settled;
        let is_known = self.is_current && !wavers && self.is_calm(now);
        self.learned().filter(|_| is_known)
    }

    /// Whether the source did not change of late.
    pub(super) fn is_calm(&self, now: Time) -> bool {
        self.contested.is_none_or(|at| now.since(at) >= CALM)
    }

    /// When [`Learner::settle`] will do something. Packets that the kernel relays cannot settle the source.
    pub(super) fn deadline(&self) -> Option<Time> {
        (self.is_current && !self.is_settled).then(|| self.window_end())
    }

    /// The window is over: the best source so far is final. Says whether anything changed.
    pub(super) fn settle(&mut self, now: Time) -> bool {
        let is_due = self.deadline().is_some_and(|due| now >= due);
        self.is_settled |= is_due;
        is_due
    }

    /// Nothing is learned, but that somebody takes over.
    fn expect(&mut self, signalled: SocketAddr, source: SocketAddr) -> bool {
        let expected = self.source.unwrap_or(signalled);
        match self.signal.policy {
            SourcePolicy::Follow if source != expected => self.follow(source),
            SourcePolicy::Drop | SourcePolicy::Follow | SourcePolicy::Forward => {
                (self.source, self.is_settled) = (Some(expected), true);
            }
        }
        self.signal.policy != SourcePolicy::Drop || source == expected
    }

    /// One more source competes.
    fn compare(&mut self, now: Time, signalled: SocketAddr, source: SocketAddr) -> bool {
        let rank = Rank::of(signalled, source);
        self.seen[rank as usize] = Some(source);
        let best = match self.signal.learning {
            Learning::Heuristic => self.seen.iter().rev().find_map(|seen| *seen).unwrap_or(source),
            Learning::Off | Learning::Immediate | Learning::Delayed => source,
        };
        if self.signal.policy == SourcePolicy::Drop && source != best {
            return false;
        }
        let window_is_over = now >= self.window_end();
        let former = self.best.replace(best);
        if window_is_over && self.took_over {
            // Who took over goes on, even if another one once was nearer to what was signalled.
            self.source = Some(source);
        } else if window_is_over || former != Some(best) || self.source.is_none() {
            self.source = Some(best);
        }
        self.is_settled = match self.signal.learning {
            Learning::Off | Learning::Immediate => true,
            Learning::Delayed => window_is_over,
            Learning::Heuristic => window_is_over || rank == Rank::Exact,
        };
        self.took_over &= !self.is_settled;
        true
    }

    /// A packet came although the source is settled.
    fn judge(&mut self, source: SocketAddr) -> bool {
        if self.source == Some(source) {
            return true;
        }
        match self.signal.policy {
            SourcePolicy::Forward => true,
            SourcePolicy::Drop => false,
            SourcePolicy::Follow => {
                self.follow(source);
                true
            }
        }
    }

    fn follow(&mut self, source: SocketAddr) {
        (self.source, self.is_settled, self.took_over) = (Some(source), false, true);
    }

    fn window_end(&self) -> Time {
        self.signal.at + WINDOW
    }
}

/// Whether media can be sent there: a held party may signal a zero address, and UDP allows a zero source port.
pub(super) fn is_reachable(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

const REFUSED: Verdict = Verdict {
    accepted: false,
    changed: false,
};

impl Rank {
    const ALL: [Rank; 4] = [Rank::Other, Rank::SamePort, Rank::SameAddress, Rank::Exact];

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
