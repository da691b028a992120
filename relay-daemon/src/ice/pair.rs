//! Pairs of candidates (RFC 8445 section 6.1.2).

use std::sync::Arc;

use super::Route;
use crate::clock::Time;
use crate::security::IceRole;
use crate::stun::TransactionId;

/// A port of ours and an address of the peer.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) component: u8,
    pub(super) route: Route,
    /// Of the peer's candidate.
    remote_priority: u32,
    origin: Origin,
    /// How much it is wanted.
    pub(super) priority: u64,
    pub(super) state: State,
    /// When it was queued for a triggered check, as a count: the least is the first.
    pub(super) triggered: Option<u64>,
    /// The check under way.
    pub(super) check: Option<Check>,
    /// Whether a signed request came by it.
    pub(super) requested: bool,
    /// Whether the peer, who decides, wants it as soon as it works.
    pub(super) wanted_by_peer: bool,
    /// Whether it was decided on.
    pub(super) nominated: bool,
    pub(super) consent: Consent,
}

/// RFC 8445 section 6.1.2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Waits until one of the same foundation has worked.
    Frozen,
    Waiting,
    InProgress,
    /// It works, and may be used.
    Succeeded,
    Failed,
}

/// Where the peer's candidate is known from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From its SDP, with a foundation.
    Signalled(Arc<str>),
    /// From a request: peer reflexive, and of a foundation of its own.
    PeerReflexive,
}

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    pub(super) transaction: TransactionId,
    /// As claimed in the request.
    pub(super) role: IceRole,
    /// Whether it nominates the pair.
    pub(super) nominates: bool,
    /// How often it was sent.
    pub(super) sent: u32,
    /// When it is sent again, or given up.
    pub(super) due: Time,
}

/// Whether the peer still wants what we send (RFC 7675).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Consent {
    /// When to ask again.
    pub(super) next: Time,
    /// Until when the last answer counts.
    pub(super) until: Time,
    /// The newest question.
    pub(super) transaction: Option<TransactionId>,
}

impl Pair {
    pub(super) fn new(component: u8, route: Route, remote_priority: u32, origin: Origin) -> Pair {
        Pair {
            component,
            route,
            remote_priority,
            origin,
            priority: 0,
            state: State::Frozen,
            triggered: None,
            check: None,
            requested: false,
            wanted_by_peer: false,
            nominated: false,
            consent: Consent::default(),
        }
    }

    /// More is known of the peer's candidate: its SDP says more of it than a request.
    pub(super) fn learn(&mut self, priority: u32, origin: &Origin) {
        if let Origin::Signalled(_) = origin {
            self.remote_priority = priority;
            self.origin = origin.clone();
        }
    }

    /// RFC 8445 section 6.1.2.3.
    pub(super) fn prioritize(&mut self, role: IceRole, own: u32) {
        let (controlling, controlled) = match role {
            IceRole::Controlling => (own, self.remote_priority),
            IceRole::Controlled => (self.remote_priority, own),
        };
        let (least, most) = (controlling.min(controlled), controlling.max(controlled));
        let decides = u64::from(controlling > controlled);
        self.priority = (u64::from(least) << 32) + 2 * u64::from(most) + decides;
    }

    /// Whether a check of one tells something about the other: our candidates are alike anyway.
    pub(super) fn is_akin_to(&self, other: &Pair) -> bool {
        matches!(self.origin, Origin::Signalled(_)) && self.origin == other.origin
    }
}
