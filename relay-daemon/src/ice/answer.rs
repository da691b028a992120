//! Requests of the peer (RFC 8445 section 7.3).

use super::pair::{Origin, State};
use super::{Account, Agent, Route};
use crate::clock::Time;
use crate::outbox::Outbox;
use crate::security::IceRole;
use crate::stun::{Class, Key, Message, Writer, code};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    /// It is the peer's.
    Accepted,
    /// It is the peer's, from before ICE was restarted: nothing is learned from it.
    Outdated,
    /// It is the peer's, who has to take the other role.
    Conflict,
    /// It is refused.
    Refused(u16),
}

impl Agent {
    /// Answers a request, and learns from it. Says whether that changed anything.
    pub(super) fn handle_request(
        &mut self,
        now: Time,
        route: Route,
        message: &Message<'_>,
        out: &mut Outbox,
    ) -> bool {
        let Some(component) = self.component_of(route) else {
            return false;
        };
        let before = self.situation();
        let Some(judgement) = self.judge(message) else {
            return false;
        };
        self.answer(route, message, judgement, out);
        match judgement {
            // A lite agent checks nothing itself: what somebody repeats from elsewhere must not look like the peer.
            Judgement::Accepted if self.lite && !self.requests.is_new(message.transaction) => {}
            Judgement::Accepted => self.learn(now, component, route, message),
            Judgement::Outdated => self.renew_former_consent(now, route),
            Judgement::Conflict | Judgement::Refused(_) => {}
        }
        self.has_changed(before)
    }

    /// None for what gets no answer: see [`Agent::is_ahead`].
    fn judge(&mut self, message: &Message<'_>) -> Option<Judgement> {
        let (Some(username), true) = (message.username, message.is_signed()) else {
            return Some(Judgement::Refused(code::BAD_REQUEST));
        };
        let is_of = |local: &Account, remote: Option<&Account>| {
            names(username, local, remote) && message.is_signed_with(&local.key)
        };
        // Who has new credentials of ours, and has not answered yet, may be ahead of its answer.
        let remote = self.remote.as_ref().filter(|_| !self.awaits_answer);
        if !is_of(&self.local, remote) {
            let mut former = self.former.iter();
            let is_former = former.any(|former| is_of(&former.local, former.remote.as_ref()));
            return match is_former {
                true => Some(Judgement::Outdated),
                false if self.is_ahead(username, message) => None,
                false => Some(Judgement::Refused(code::UNAUTHENTICATED)),
            };
        }
        if !message.unknown.is_empty() {
            return Some(Judgement::Refused(code::UNKNOWN_ATTRIBUTE));
        }
        Some(match message.claim {
            Some(claim) if claim.role == self.role => self.resolve_conflict(claim.tie_breaker),
            Some(_) | None => Judgement::Accepted,
        })
    }

    /// Whether a request has credentials of ours, but those of another generation of the sender than belongs to them. A
    /// browser that restarts ICE (libwebrtc) checks its new candidates with ours of before, until it has our answer. If
    /// that succeeds it stays with the pair and never takes our new credentials, so it must not.
    fn is_ahead(&self, username: &[u8], message: &Message<'_>) -> bool {
        let former = self.former.iter().map(|former| &former.local);
        let mut ours = former.chain([&self.local]);
        ours.any(|local| names(username, local, None) && message.is_signed_with(&local.key))
    }

    /// Both claim the same role: the greater tie-breaker is that of the controlling agent (RFC 8445 section 7.3.1.1).
    fn resolve_conflict(&mut self, theirs: u64) -> Judgement {
        let wins = self.tie_breaker >= theirs;
        let stays = match self.role {
            IceRole::Controlling => wins,
            // A lite agent decides nothing.
            IceRole::Controlled => !wins || self.lite,
        };
        if stays {
            return Judgement::Conflict;
        }
        self.switch_role();
        Judgement::Accepted
    }

    fn answer(&self, route: Route, message: &Message<'_>, judgement: Judgement, out: &mut Outbox) {
        let key: Option<&Key> = match judgement {
            Judgement::Accepted | Judgement::Conflict | Judgement::Refused(code::UNKNOWN_ATTRIBUTE) => {
                Some(&self.local.key)
            }
            Judgement::Outdated => self.former.as_ref().map(|former| &former.local.key),
            Judgement::Refused(_) => None,
        };
        out.push(route.port, route.remote, |buffer| {
            let refuse = |buffer, code| {
                let mut answer = Writer::new(buffer, Class::Error, message.transaction);
                answer.error(code);
                answer
            };
            let answer = match judgement {
                Judgement::Accepted | Judgement::Outdated => {
                    let mut answer = Writer::new(buffer, Class::Success, message.transaction);
                    answer.mapped(route.remote);
                    answer.software();
                    answer
                }
                Judgement::Conflict => refuse(buffer, code::ROLE_CONFLICT),
                Judgement::Refused(code::UNKNOWN_ATTRIBUTE) => {
                    let mut answer = refuse(buffer, code::UNKNOWN_ATTRIBUTE);
                    answer.unknown(&message.unknown);
                    answer
                }
                Judgement::Refused(code) => refuse(buffer, code),
            };
            answer.finish(key);
        });
    }

    /// The peer can reach us by a route: checks the other way (RFC 8445 sections 7.3.1.3 to 7.3.1.5).
    fn learn(&mut self, now: Time, component: u8, route: Route, message: &Message<'_>) {
        let (lite, role) = (self.lite, self.role);
        self.triggered += 1;
        let triggered = self.triggered;
        let priority = message.priority.unwrap_or_default();
        let Some(pair) = self.add_pair(component, route, priority, &Origin::PeerReflexive) else {
            return;
        };
        pair.requested = true;
        if lite {
            pair.state = State::Succeeded;
            if message.use_candidate {
                // The newest decision counts: the peer may have moved without starting over.
                pair.nominated = true;
                self.drop_other_decisions(component, route);
            }
            self.note_success();
            return;
        }
        let wanted = message.use_candidate && role == IceRole::Controlled;
        let insists = wanted && pair.nominated;
        pair.wanted_by_peer |= wanted;
        match pair.state {
            State::Succeeded => pair.nominated |= pair.wanted_by_peer,
            State::InProgress => {
                if let Some(check) = &mut pair.check {
                    // The peer is there now: its own request may have opened the way.
                    check.due = now;
                    check.sent = check.sent.min(1);
                }
            }
            State::Frozen | State::Waiting | State::Failed => {
                pair.state = State::Waiting;
                pair.triggered.get_or_insert(triggered);
            }
        }
        if pair.nominated {
            self.forget_former();
        }
        if insists {
            self.drop_other_decisions(component, route);
        }
    }

    /// The peer repeats its decision: whatever else it wanted before does not count any more.
    fn drop_other_decisions(&mut self, component: u8, route: Route) {
        for pair in &mut self.pairs {
            if pair.component == component && pair.route != route {
                (pair.nominated, pair.wanted_by_peer) = (false, false);
            }
        }
    }

    fn component_of(&self, route: Route) -> Option<u8> {
        let host = self.hosts.iter().find(|host| host.port == route.port)?;
        Some(host.component)
    }
}

/// Whether a user name is that of requests to us: our fragment, and the peer's as far as it is known.
fn names(username: &[u8], local: &Account, remote: Option<&Account>) -> bool {
    let rest = username.strip_prefix(local.credentials.ufrag.as_bytes());
    let Some(theirs) = rest.and_then(|rest| rest.strip_prefix(b":")) else {
        return false;
    };
    remote.is_none_or(|remote| theirs == remote.credentials.ufrag.as_bytes())
}
