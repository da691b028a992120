//! An ICE agent for one media section (RFC 8445), full or lite, with consent (RFC 7675) and trickled candidates
//! (RFC 8838).
//!
//! It knows no sockets and no clock: STUN messages and time go in, datagrams go to an [`Outbox`]. All its candidates are
//! ports of this host. It has no randomness of its own either: transactions and tie-breakers are derived from its
//! password, which is random and known to nobody but the peer.
//!
//! Requests are answered in constant memory, and only the signed ones leave anything behind: at most [`MAX_PAIRS`] pairs.

mod answer;
mod check;
mod former;
mod nominate;
mod pair;
mod requests;

use std::net::SocketAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use self::former::Former;
use self::nominate::Nomination;
use self::pair::{Origin, Pair, State};
use self::requests::Requests;
use crate::clock::Time;
use crate::outbox::Outbox;
use crate::plan::{Host, IcePlan, IceState, PortId};
use crate::security::{CandidateKind, IceCredentials, IceRole, candidate_priority};
use crate::stun::{Class, Key, Message, TransactionId};

/// Pairs beyond these are not formed (RFC 8445 section 6.1.2.5).
const MAX_PAIRS: usize = 100;

/// Bytes of a user name fragment (RFC 8839 section 5.4). With a longer one no check can be made.
const MAX_UFRAG: usize = 256;

/// ICE with a party in one media section.
#[derive(Debug)]
pub struct Agent {
    local: Account,
    /// None before the party's first SDP.
    remote: Option<Account>,
    /// Whether we have new credentials, but the peer's are those of before so far.
    awaits_answer: bool,
    role: IceRole,
    /// Our role as planned when ICE started.
    planned_role: IceRole,
    lite: bool,
    peer_lite: bool,
    /// Our candidates.
    hosts: SmallVec<[Host; 2]>,
    /// Whether all candidates of the peer are known.
    complete: bool,
    pairs: Vec<Pair>,
    nomination: Nomination,
    /// No new check before.
    pace: Time,
    tie_breaker: u64,
    /// How many secrets were derived.
    derived: u64,
    /// Counts what was queued for a triggered check.
    triggered: u64,
    /// Whether there was a usable pair before.
    was_connected: bool,
    /// What was in use before ICE was restarted.
    former: Option<Former>,
    /// Of a lite agent.
    requests: Requests,
}

/// A pair that can be used: where to send from, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The local port.
    pub port: PortId,
    /// The peer's address.
    pub remote: SocketAddr,
}

/// User name fragment and password, ready for use.
#[derive(Debug)]
struct Account {
    credentials: IceCredentials,
    key: Key,
}

impl Agent {
    /// An agent as planned.
    pub fn new(plan: &IcePlan) -> Agent {
        let mut agent = Agent {
            local: Account::new(&plan.agent.local),
            remote: None,
            awaits_answer: false,
            role: plan.role,
            planned_role: plan.role,
            lite: plan.lite,
            peer_lite: plan.peer_lite,
            hosts: SmallVec::new(),
            complete: false,
            pairs: Vec::new(),
            nomination: Nomination::default(),
            pace: Time::default(),
            tie_breaker: 0,
            derived: 0,
            triggered: 0,
            was_connected: false,
            former: None,
            requests: Requests::default(),
        };
        agent.renew_tie_breaker();
        agent.update(plan);
        agent
    }

    /// Takes a new plan. With other credentials ICE starts over. The role counts only where it starts.
    pub fn update(&mut self, plan: &IcePlan) {
        let credentials = &plan.agent;
        let same_remote = match (&self.remote, &credentials.remote) {
            (Some(known), Some(planned)) => known.credentials == *planned,
            (Some(_), None) => false,
            (None, _) => true,
        };
        if self.local.credentials != credentials.local || !same_remote {
            self.restart(plan);
            self.awaits_answer = same_remote && credentials.remote.is_some();
        }
        if self.remote.is_none() {
            // Unless a request of the peer has said something else by now.
            if self.planned_role != plan.role {
                self.role = plan.role;
                self.planned_role = plan.role;
            }
            self.lite = plan.lite;
            self.peer_lite = plan.peer_lite;
        }
        if self.hosts != plan.hosts {
            self.pairs
                .retain(|pair| plan.hosts.iter().any(|host| host.port == pair.route.port));
            self.hosts = plan.hosts.clone();
        }
        let usable = |remote: &&IceCredentials| remote.ufrag.len() <= MAX_UFRAG;
        self.remote = credentials.remote.as_ref().filter(usable).map(Account::new);
        self.complete = credentials.complete;
        for candidate in &credentials.candidates {
            let origin = Origin::Signalled(Arc::clone(&candidate.foundation));
            self.pair_up(
                candidate.component,
                candidate.address,
                candidate.priority,
                &origin,
            );
        }
        self.prioritize();
    }

    /// A datagram that looks like STUN came to one of our ports. Says whether that changed anything in
    /// [`Agent::selected`], [`Agent::accepts`] or [`Agent::state`].
    pub fn handle(
        &mut self,
        now: Time,
        port: PortId,
        source: SocketAddr,
        datagram: &[u8],
        out: &mut Outbox,
    ) -> bool {
        let Ok(message) = Message::parse(datagram) else {
            return false;
        };
        let route = Route { port, remote: source };
        match message.class {
            Class::Request => self.handle_request(now, route, &message, out),
            Class::Success | Class::Error => self.handle_response(now, route, &message),
            Class::Indication => false,
        }
    }

    /// The pair by which media for a component is sent: that which was decided on; else the best that works.
    pub fn selected(&self, component: u8) -> Option<Route> {
        let selected = self.best(component).map(|pair| pair.route);
        selected.or_else(|| {
            let mut former = self.former.iter().flat_map(|former| &former.routes);
            let former = former.find(|former| former.component == component);
            former.map(|former| former.route)
        })
    }

    /// Our part of the credentials.
    pub fn local_ufrag(&self) -> &Arc<str> {
        &self.local.credentials.ufrag
    }

    /// Whether media may come by a route: it was checked, both ways.
    pub fn accepts(&self, route: Route) -> bool {
        let is_valid = |pair: &Pair| pair.route == route && pair.state == State::Succeeded;
        let former = self.former.iter().flat_map(|former| &former.routes);
        self.pairs.iter().any(is_valid) || former.into_iter().any(|former| former.route == route)
    }

    /// Whether the peer has sent a signed request by a route. Nobody else can sign one, but anybody who saw it can repeat
    /// it from elsewhere.
    pub fn was_requested_from(&self, route: Route) -> bool {
        self.pairs
            .iter()
            .any(|pair| pair.route == route && pair.requested)
    }

    /// How far things are.
    pub fn state(&self) -> IceState {
        if self.remote.is_none() {
            return IceState::New;
        }
        let all = |test: fn(&Pair) -> bool| {
            let mut components = self.components().into_iter();
            components.all(|component| self.best(component).is_some_and(test))
        };
        let is_open = |pair: &Pair| !matches!(pair.state, State::Succeeded | State::Failed);
        match () {
            () if all(|pair| pair.nominated) => IceState::Completed,
            () if all(|_| true) => IceState::Connected,
            () if self.lite || !self.complete || self.pairs.iter().any(is_open) => IceState::Checking,
            () if self.pairs.iter().any(|pair| pair.state == State::Succeeded) => IceState::Connected,
            () if self.was_connected => IceState::Disconnected,
            () => IceState::Failed,
        }
    }

    /// Who decides.
    pub fn role(&self) -> IceRole {
        self.role
    }

    /// Our candidates' components.
    fn components(&self) -> SmallVec<[u8; 2]> {
        let mut components: SmallVec<[u8; 2]> = self.hosts.iter().map(|host| host.component).collect();
        components.sort_unstable();
        components.dedup();
        components
    }

    /// The pair of a component that works, and is the most wanted.
    fn best(&self, component: u8) -> Option<&Pair> {
        let works = |pair: &&Pair| pair.component == component && pair.state == State::Succeeded;
        let pairs = self.pairs.iter().filter(works);
        pairs.max_by_key(|pair| (pair.nominated, pair.priority))
    }

    /// New credentials: nothing that was checked counts any more, but media goes on.
    fn restart(&mut self, plan: &IcePlan) {
        self.keep_former(Account::new(&plan.agent.local));
        self.requests = Requests::default();
        (self.role, self.planned_role) = (plan.role, plan.role);
        self.pairs.clear();
        self.nomination = Nomination::default();
        self.was_connected = false;
        self.renew_tie_breaker();
    }

    /// Pairs an address of the peer with all our candidates that can reach it.
    fn pair_up(&mut self, component: u8, remote: SocketAddr, priority: u32, origin: &Origin) {
        for index in 0..self.hosts.len() {
            let host = self.hosts[index];
            let reaches = host.component == component && host.address.is_ipv4() == remote.is_ipv4();
            let port = host.port;
            if reaches && is_sensible(remote) {
                self.add_pair(component, Route { port, remote }, priority, origin);
            }
        }
    }

    /// Adds a pair, or notes what is now known of it. None if there is no room.
    fn add_pair(&mut self, component: u8, route: Route, priority: u32, origin: &Origin) -> Option<&mut Pair> {
        if let Some(index) = self.pairs.iter().position(|pair| pair.route == route) {
            let pair = &mut self.pairs[index];
            pair.learn(priority, origin);
            return Some(pair);
        }
        let mut pair = Pair::new(component, route, priority, origin.clone());
        pair.prioritize(self.role, self.host_priority(component, route.port));
        if self.peer_lite && self.lite {
            // Neither checks: what was said has to be believed (RFC 8445 section 6.1.1).
            pair.state = State::Succeeded;
        }
        if self.pairs.len() >= MAX_PAIRS {
            let dispensable = self.dispensable(pair.priority)?;
            self.pairs.swap_remove(dispensable);
        }
        self.pairs.push(pair);
        self.pairs.last_mut()
    }

    /// What makes room for a pair of some priority: one that failed, else one that is wanted less and that nobody has
    /// asked for.
    fn dispensable(&self, priority: u64) -> Option<usize> {
        let failed = self.pairs.iter().position(|pair| pair.state == State::Failed);
        failed.or_else(|| {
            let idle =
                |pair: &Pair| pair.state != State::Succeeded && !pair.requested && pair.priority < priority;
            let pairs = self.pairs.iter().enumerate().filter(|(_, pair)| idle(pair));
            let least = pairs.min_by_key(|(_, pair)| pair.priority);
            least.map(|(index, _)| index)
        })
    }

    /// Computes the pairs' priorities for our role.
    fn prioritize(&mut self) {
        for index in 0..self.pairs.len() {
            let pair = &self.pairs[index];
            let own = self.host_priority(pair.component, pair.route.port);
            self.pairs[index].prioritize(self.role, own);
        }
    }

    fn host_priority(&self, component: u8, port: PortId) -> u32 {
        candidate_priority(CandidateKind::Host, self.rank(component, port), component)
    }

    /// How many candidates of ours are wanted more.
    fn rank(&self, component: u8, port: PortId) -> u16 {
        let mut hosts = (0..).zip(self.hosts.iter().filter(|host| host.component == component));
        let rank = hosts.find_map(|(rank, host)| (host.port == port).then_some(rank));
        rank.unwrap_or(u16::MAX)
    }

    fn renew_tie_breaker(&mut self) {
        let [bytes @ .., _, _, _, _] = self.derive();
        self.tie_breaker = u64::from_be_bytes(bytes);
    }

    /// Something that only the peer can foretell, and only we use.
    fn derive(&mut self) -> TransactionId {
        self.derived += 1;
        let signature = self.local.key.sign(&[b"derived", &self.derived.to_be_bytes()]);
        let mut derived = TransactionId::default();
        derived.copy_from_slice(&signature[..12]);
        derived
    }
}

impl Account {
    fn new(credentials: &IceCredentials) -> Account {
        Account {
            credentials: credentials.clone(),
            key: Key::new(credentials.pwd.as_bytes()),
        }
    }
}

/// Whether a check can be sent there at all.
fn is_sensible(remote: SocketAddr) -> bool {
    let ip = remote.ip();
    remote.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}

#[cfg(test)]
mod tests;
