//! Regular nomination (RFC 8445 section 8.1.1): whoever decides waits until all components work, and a little longer.

use std::time::Duration;

use smallvec::SmallVec;

use super::pair::{Pair, State};
use super::{Agent, Route};
use crate::clock::Time;
use crate::outbox::Outbox;
use crate::plan::IceState;
use crate::security::IceRole;

/// How long better pairs are waited for once there are some that work.
const SETTLING: Duration = Duration::from_millis(100);

/// How far the decision is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Nomination {
    /// Not all components work.
    #[default]
    Open,
    /// They do: the best pairs at this time are nominated.
    Settling(Time),
    /// The peer was told of the decision.
    Made,
}

impl Nomination {
    /// When there is something to do.
    pub(super) fn due(self) -> Option<Time> {
        match self {
            Nomination::Settling(due) => Some(due),
            Nomination::Open | Nomination::Made => None,
        }
    }
}

impl Agent {
    /// A pair works.
    pub(super) fn consider_nomination(&mut self, now: Time) {
        let decides = self.role == IceRole::Controlling && self.nomination.due().is_none();
        if decides && self.is_covered() && self.undecided().next().is_some() {
            self.nomination = Nomination::Settling(now + SETTLING);
        }
    }

    /// What was decided does not hold any more.
    pub(super) fn reconsider(&mut self) {
        self.nomination = Nomination::Open;
        for pair in &mut self.pairs {
            if pair.check.is_some_and(|check| check.nominates) {
                pair.check = None;
            }
        }
    }

    /// Tells the peer of the best pairs, if it is time.
    pub(super) fn nominate(&mut self, now: Time, out: &mut Outbox) {
        // A failure may have made the decision possible.
        self.consider_nomination(now);
        if self.nomination.due().is_none_or(|due| due > now) {
            return;
        }
        self.nomination = Nomination::Made;
        let undecided: SmallVec<[Route; 2]> = self.undecided().map(|pair| pair.route).collect();
        for best in undecided {
            if let Some(index) = self.pairs.iter().position(|pair| pair.route == best) {
                self.check(now, index, true, out);
            }
        }
    }

    /// Whether nothing more has to be checked but what the peer checks.
    pub(super) fn is_concluded(&self) -> bool {
        self.nomination == Nomination::Made || self.state() == IceState::Completed
    }

    /// The best pairs, as far as the peer was not told of the decision for them.
    fn undecided(&self) -> impl Iterator<Item = &Pair> {
        let best = self
            .components()
            .into_iter()
            .filter_map(|component| self.best(component));
        best.filter(|pair| !pair.nominated && pair.check.is_none_or(|check| !check.nominates))
    }

    /// Whether all components work that can.
    fn is_covered(&self) -> bool {
        let works = |pair: &Pair| pair.state == State::Succeeded;
        let hopeless = |component: u8| {
            let mut pairs = self.pairs.iter().filter(|pair| pair.component == component);
            self.complete && pairs.all(|pair| pair.state == State::Failed)
        };
        let mut components = self.components().into_iter();
        self.pairs.iter().any(works)
            && components.all(|component| self.best(component).is_some() || hopeless(component))
    }
}
