//! What was in use before ICE was restarted: media goes on by it until there is something new (RFC 8445 section 9), and as
//! long as the peer consents (RFC 7675).

use smallvec::SmallVec;

use super::check::{CONSENT_LASTS, Request};
use super::pair::Consent;
use super::{Account, Agent, Route};
use crate::clock::Time;
use crate::outbox::Outbox;
use crate::plan::IceState;
use crate::stun::{Class, Message};

/// ICE before its restart.
#[derive(Debug)]
pub(super) struct Former {
    pub(super) local: Account,
    pub(super) remote: Option<Account>,
    pub(super) routes: SmallVec<[FormerRoute; 2]>,
}

/// The pair of a component that was in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct FormerRoute {
    pub(super) component: u8,
    pub(super) route: Route,
    consent: Consent,
}

impl Agent {
    /// Keeps what is in use, with the credentials that it was found with.
    pub(super) fn keep_former(&mut self, fresh: Account) {
        let components = self.components().into_iter();
        let routes: SmallVec<[FormerRoute; 2]> = components
            .filter_map(|component| {
                let of_former = || self.former.iter().flat_map(|former| &former.routes).copied();
                let former = || of_former().find(|former| former.component == component);
                let best = self.best(component).map(|pair| FormerRoute {
                    component,
                    route: pair.route,
                    consent: pair.consent,
                });
                best.or_else(former)
            })
            .collect();
        let found = self
            .pairs
            .iter()
            .any(|pair| routes.iter().any(|former| former.route == pair.route));
        let local = std::mem::replace(&mut self.local, fresh);
        let remote = self.remote.take();
        match &mut self.former {
            // Started over twice, and nothing was found in between: the first credentials are those that count.
            Some(former) if !found => former.routes = routes,
            _ => {
                self.former = Some(Former {
                    local,
                    remote,
                    routes,
                })
            }
        }
        if self
            .former
            .as_ref()
            .is_some_and(|former| former.routes.is_empty())
        {
            self.former = None;
        }
    }

    /// When something is due about it.
    pub(super) fn former_timeout(&self) -> Option<Time> {
        let routes = self.former.iter().flat_map(|former| &former.routes);
        routes
            .map(|former| former.consent.next.min(former.consent.until))
            .min()
    }

    /// Asks the peer whether it still wants what we send, and gives up what it does not.
    pub(super) fn keep_former_consent(&mut self, now: Time, out: &mut Outbox) {
        let Some(mut former) = self.former.take() else {
            return;
        };
        let (role, tie_breaker, lite) = (self.role, self.tie_breaker, self.lite);
        for route in &mut former.routes {
            if route.consent.until == Time::default() {
                // Nobody has asked so far: with a lite agent, or as it was not in use for long.
                route.consent.until = now + CONSENT_LASTS;
            }
            let can_ask = former.remote.as_ref().filter(|_| !lite);
            match can_ask {
                None => route.consent.next = route.consent.until,
                Some(_) if route.consent.next > now => {}
                Some(remote) => {
                    let transaction = self.derive();
                    route.consent.next = now + Agent::consent_interval(&transaction);
                    route.consent.transaction = Some(transaction);
                    let request = Request {
                        route: route.route,
                        transaction,
                        priority: self.reflexive_priority(route.component, route.route.port),
                        role,
                        tie_breaker,
                        nominates: false,
                    };
                    request.send(&former.local, remote, out);
                }
            }
        }
        former.routes.retain(|route| route.consent.until > now);
        self.former = Some(former).filter(|former| !former.routes.is_empty());
    }

    /// The answer to such a question came.
    pub(super) fn answer_former(&mut self, now: Time, route: Route, message: &Message<'_>) {
        let Some(former) = &mut self.former else { return };
        let is_signed = former
            .remote
            .as_ref()
            .is_some_and(|remote| message.is_signed_with(&remote.key));
        if !is_signed || message.class != Class::Success {
            return;
        }
        for asked in &mut former.routes {
            if asked.route == route && asked.consent.transaction == Some(message.transaction) {
                asked.consent.until = now + CONSENT_LASTS;
                asked.consent.transaction = None;
            }
        }
    }

    /// The peer has sent a signed request with the former credentials. A lite agent has nothing else to go by.
    pub(super) fn renew_former_consent(&mut self, now: Time, route: Route) {
        let routes = self.former.iter_mut().flat_map(|former| &mut former.routes);
        for known in routes.filter(|known| self.lite && known.route == route) {
            known.consent.until = now + CONSENT_LASTS;
            known.consent.next = known.consent.until;
        }
    }

    /// It is not needed any more.
    pub(super) fn forget_former(&mut self) {
        if self.state() == IceState::Completed {
            self.former = None;
        }
    }
}
