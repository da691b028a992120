//! Checks of our own, their answers, and consent (RFC 8445 section 7.2, RFC 7675).

use std::time::Duration;

use smallvec::SmallVec;

use super::pair::{Check, Consent, Pair, State};
use super::{Account, Agent, Route};
use crate::clock::Time;
use crate::outbox::Outbox;
use crate::plan::{IceState, PortId};
use crate::security::{CandidateKind, IceRole, candidate_priority};
use crate::stun::{Claim, Class, Message, TransactionId, Writer, code};

/// Between new checks.
const PACE: Duration = Duration::from_millis(20);

/// How long the first answer to a check is waited for; twice as long each further time.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// How often a check is sent again.
const RETRANSMISSIONS: u32 = 7;

/// About how often the peer is asked whether it still wants what we send; and how long an answer counts (RFC 7675
/// section 5.1).
const CONSENT_INTERVAL: Duration = Duration::from_secs(5);
pub(super) const CONSENT_LASTS: Duration = Duration::from_secs(30);

/// What others see of an agent.
pub(super) type Situation = (IceState, SmallVec<[Option<Route>; 2]>, usize);

impl Agent {
    /// When [`Agent::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.lite || self.remote.is_none() {
            return self.former_timeout();
        }
        let checks = self.pairs.iter().filter_map(|pair| Some(pair.check?.due));
        let consents = self
            .in_use()
            .map(|pair| pair.consent.next.min(pair.consent.until));
        let next = self.next_to_check().map(|_| self.pace);
        let times = checks.chain(consents).chain(next);
        let times = times.chain(self.nomination.due());
        times.chain(self.former_timeout()).min()
    }

    /// Does what is due. Says whether that changed anything in [`Agent::selected`], [`Agent::accepts`] or
    /// [`Agent::state`].
    pub fn handle_timeout(&mut self, now: Time, out: &mut Outbox) -> bool {
        if self.poll_timeout().is_none_or(|due| due > now) {
            return false;
        }
        let before = self.situation();
        self.keep_former_consent(now, out);
        if self.lite || self.remote.is_none() {
            return self.has_changed(before);
        }
        for index in 0..self.pairs.len() {
            if self.pairs[index].check.is_some_and(|check| check.due <= now) {
                self.repeat(now, index, out);
            }
        }
        self.keep_consent(now, out);
        self.nominate(now, out);
        if self.pace <= now
            && let Some(index) = self.next_to_check()
        {
            self.pace = now + PACE;
            self.check(now, index, false, out);
        }
        self.has_changed(before)
    }

    /// An answer came. Says whether that changed anything.
    pub(super) fn handle_response(&mut self, now: Time, route: Route, message: &Message<'_>) -> bool {
        let transaction = message.transaction;
        // Whoever answers does so from where the request was sent to (RFC 8445 section 7.2.5.2.1).
        let is_answered = |pair: &Pair| pair.route == route && pair.awaits(&transaction);
        let Some(index) = self.pairs.iter().position(is_answered) else {
            self.answer_former(now, route, message);
            return false;
        };
        let is_signed = self
            .remote
            .as_ref()
            .is_some_and(|remote| message.is_signed_with(&remote.key));
        if !is_signed {
            return false;
        }
        let before = self.situation();
        match (message.class, message.error) {
            (Class::Success, _) => self.succeed(now, index, &transaction),
            (Class::Error, Some(code::ROLE_CONFLICT)) => self.yield_role(index),
            // Whatever the peer dislikes may pass: the request is sent again.
            (Class::Request | Class::Indication | Class::Error, _) => {}
        }
        self.has_changed(before)
    }

    /// What others see.
    pub(super) fn situation(&self) -> Situation {
        let selected = self
            .components()
            .into_iter()
            .map(|component| self.selected(component));
        let valid = self.pairs.iter().filter(|pair| pair.state == State::Succeeded);
        (self.state(), selected.collect(), valid.count())
    }

    /// Whether others see anything new.
    pub(super) fn has_changed(&self, before: Situation) -> bool {
        self.situation() != before
    }

    /// A pair works now.
    pub(super) fn note_success(&mut self) {
        self.was_connected = true;
        if self.state() == IceState::Completed {
            self.forget_former();
        }
    }

    /// Sends the first request of a check.
    pub(super) fn check(&mut self, now: Time, index: usize, nominates: bool, out: &mut Outbox) {
        let transaction = self.derive();
        let pair = &mut self.pairs[index];
        if !nominates {
            pair.state = State::InProgress;
        }
        pair.triggered = None;
        pair.check = Some(Check {
            transaction,
            role: self.role,
            nominates,
            sent: 1,
            due: now + FIRST_WAIT,
        });
        self.request(index, transaction, nominates, out);
    }

    /// Gives up the roles that were claimed, as the peer insists on the same.
    pub(super) fn switch_role(&mut self) {
        self.role = match self.role {
            IceRole::Controlling => IceRole::Controlled,
            IceRole::Controlled => IceRole::Controlling,
        };
        for pair in &mut self.pairs {
            // Decided by who had no say in it.
            (pair.nominated, pair.wanted_by_peer) = (false, false);
        }
        self.prioritize();
        self.reconsider();
    }

    /// The pair to check next: one that was triggered, else the most wanted (RFC 8445 section 6.1.4.2).
    fn next_to_check(&self) -> Option<usize> {
        self.remote.as_ref()?;
        let indexed = || self.pairs.iter().enumerate();
        let triggered = indexed().filter_map(|(index, pair)| Some((pair.triggered?, index)));
        if let Some((_, index)) = triggered.min() {
            return Some(index);
        }
        if self.is_concluded() {
            return None;
        }
        let most_wanted = |state: State| {
            let pairs = indexed().filter(move |(_, pair)| pair.state == state);
            let free = pairs.filter(move |(_, pair)| state != State::Frozen || !self.is_held_back(pair));
            free.max_by_key(|(_, pair)| pair.priority).map(|(index, _)| index)
        };
        most_wanted(State::Waiting).or_else(|| most_wanted(State::Frozen))
    }

    /// Whether another pair is being checked that tells something about this one.
    fn is_held_back(&self, pair: &Pair) -> bool {
        let busy = |other: &&Pair| matches!(other.state, State::Waiting | State::InProgress);
        self.pairs.iter().filter(busy).any(|other| pair.is_akin_to(other))
    }

    /// No answer came yet.
    fn repeat(&mut self, now: Time, index: usize, out: &mut Outbox) {
        let Some(check) = &mut self.pairs[index].check else {
            return;
        };
        if check.sent > RETRANSMISSIONS {
            self.fail(index);
            return;
        }
        check.due = now + FIRST_WAIT * (1 << check.sent);
        check.sent += 1;
        let (transaction, nominates) = (check.transaction, check.nominates);
        self.request(index, transaction, nominates, out);
    }

    fn request(&self, index: usize, transaction: TransactionId, nominates: bool, out: &mut Outbox) {
        let Some(remote) = &self.remote else { return };
        let Pair { route, component, .. } = &self.pairs[index];
        let request = Request {
            route: *route,
            transaction,
            priority: self.reflexive_priority(*component, route.port),
            role: self.role,
            tie_breaker: self.tie_breaker,
            nominates,
        };
        request.send(&self.local, remote, out);
    }

    /// The priority of a candidate that the peer may find by a request from a port.
    pub(super) fn reflexive_priority(&self, component: u8, port: PortId) -> u32 {
        candidate_priority(
            CandidateKind::PeerReflexive,
            self.rank(component, port),
            component,
        )
    }

    fn succeed(&mut self, now: Time, index: usize, transaction: &TransactionId) {
        let (next, role) = (now + Agent::consent_interval(transaction), self.role);
        let pair = &mut self.pairs[index];
        pair.consent = Consent {
            next,
            until: now + CONSENT_LASTS,
            transaction: None,
        };
        let Some(check) = pair.check.take_if(|check| check.transaction == *transaction) else {
            return;
        };
        pair.state = State::Succeeded;
        pair.triggered = None;
        pair.nominated |= match role {
            IceRole::Controlling => check.nominates,
            IceRole::Controlled => pair.wanted_by_peer,
        };
        self.thaw(index);
        self.note_success();
        self.consider_nomination(now);
    }

    /// A pair works: those of the same foundation are likely to.
    fn thaw(&mut self, index: usize) {
        for other in 0..self.pairs.len() {
            let akin = self.pairs[other].is_akin_to(&self.pairs[index]);
            if akin && self.pairs[other].state == State::Frozen {
                self.pairs[other].state = State::Waiting;
            }
        }
    }

    /// The peer insists on our role (RFC 8445 section 7.2.5.1).
    fn yield_role(&mut self, index: usize) {
        let Some(check) = self.pairs[index].check.take() else {
            return;
        };
        if check.role == self.role {
            self.switch_role();
            self.renew_tie_breaker();
        }
        self.trigger(index);
    }

    fn trigger(&mut self, index: usize) {
        self.triggered += 1;
        let pair = &mut self.pairs[index];
        pair.state = State::Waiting;
        pair.triggered = Some(self.triggered);
    }

    /// A pair does not work, or not any more. The others of its component were not looked after for a while: they are
    /// checked anew.
    fn fail(&mut self, index: usize) {
        let component = self.pairs[index].component;
        let worked = self.pairs[index].state == State::Succeeded;
        self.pairs[index].abandon();
        if !worked {
            return;
        }
        for other in 0..self.pairs.len() {
            let pair = &mut self.pairs[other];
            if pair.component == component && pair.state == State::Succeeded {
                pair.nominated = false;
                pair.check = None;
                self.trigger(other);
            }
        }
        self.reconsider();
    }

    /// Asks the peer whether it still wants what we send.
    fn keep_consent(&mut self, now: Time, out: &mut Outbox) {
        let in_use: SmallVec<[Route; 2]> = self.in_use().map(|pair| pair.route).collect();
        for route in in_use {
            let Some(index) = self.pairs.iter().position(|pair| pair.route == route) else {
                continue;
            };
            let consent = &mut self.pairs[index].consent;
            if consent.transaction.is_none() && consent.until <= now {
                // It was not in use, so nobody was asked.
                consent.until = now + CONSENT_LASTS;
            }
            if consent.until <= now {
                self.fail(index);
            } else if consent.next <= now {
                let transaction = self.derive();
                let next = now + Agent::consent_interval(&transaction);
                let consent = &mut self.pairs[index].consent;
                consent.next = next;
                consent.transaction = Some(transaction);
                // The decision is repeated, in case that the peer has lost sight of it.
                let nominates = self.role == IceRole::Controlling && self.pairs[index].nominated;
                self.request(index, transaction, nominates, out);
            }
        }
    }

    /// Pairs that media is sent by.
    fn in_use(&self) -> impl Iterator<Item = &Pair> {
        let components = self.components().into_iter();
        components.filter_map(|component| self.best(component))
    }

    /// From 0.8 to 1.2 times the interval, so that not all agents ask at once (RFC 7675 section 5.1).
    pub(super) fn consent_interval(transaction: &TransactionId) -> Duration {
        let [chance, ..] = *transaction;
        CONSENT_INTERVAL * (800 + 400 * u32::from(chance) / 255) / 1000
    }
}

/// A request of ours.
pub(super) struct Request {
    pub(super) route: Route,
    pub(super) transaction: TransactionId,
    pub(super) priority: u32,
    pub(super) role: IceRole,
    pub(super) tie_breaker: u64,
    pub(super) nominates: bool,
}

impl Request {
    pub(super) fn send(&self, local: &Account, remote: &Account, out: &mut Outbox) {
        out.push(self.route.port, self.route.remote, |buffer| {
            let mut request = Writer::new(buffer, Class::Request, self.transaction);
            request.username([&remote.credentials.ufrag, ":", &local.credentials.ufrag]);
            request.priority(self.priority);
            request.claim(Claim {
                role: self.role,
                tie_breaker: self.tie_breaker,
            });
            if self.nominates {
                request.use_candidate();
            }
            request.software();
            request.finish(Some(&remote.key));
        });
    }
}

impl Pair {
    fn awaits(&self, transaction: &TransactionId) -> bool {
        let check = self.check.as_ref().map(|check| &check.transaction);
        check == Some(transaction) || self.consent.transaction.as_ref() == Some(transaction)
    }

    fn abandon(&mut self) {
        self.state = State::Failed;
        self.check = None;
        self.nominated = false;
        self.wanted_by_peer = false;
        self.triggered = None;
        self.consent = Consent::default();
    }
}
