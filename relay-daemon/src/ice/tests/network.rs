//! Two agents and a network between them, in virtual time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::*;
use crate::stun::Writer;

pub(super) const START: Time = Time(5_000_000_000_000);

/// Two agents, the network and the clock.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) sides: [Side; 2],
    pub(super) network: Network,
    in_flight: BTreeMap<(Time, u64), Flight>,
    sent: u64,
    /// What was sent when, by whom, where to: all of it.
    pub(super) log: Vec<(Duration, usize, SocketAddr)>,
}

/// An agent and its ports.
pub(super) struct Side {
    pub(super) plan: IcePlan,
    pub(super) agent: Agent,
    out: Outbox,
    /// What others see in place of the address of a port, if it is behind a NAT.
    pub(super) seen_as: HashMap<PortId, SocketAddr>,
    /// Where something was sent to by a port: only from there may something come back through a NAT.
    opened: HashSet<(PortId, SocketAddr)>,
}

/// How the network treats datagrams.
#[derive(Default)]
pub(super) struct Network {
    /// Drives delays and losses; 0 for a perfect one.
    pub(super) seed: u64,
    /// Whether datagrams are lost: never two in a row on one way.
    pub(super) lossy: bool,
    /// Whether nothing gets through.
    pub(super) down: bool,
    /// From and to whom nothing gets through.
    pub(super) cut: Option<SocketAddr>,
    lost: HashSet<(SocketAddr, SocketAddr)>,
}

struct Flight {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl World {
    /// Two agents that know each other's candidates, the first of them controlling.
    pub(super) fn new(a: IcePlan, b: IcePlan) -> World {
        let side = |plan: IcePlan| Side {
            agent: Agent::new(&plan),
            plan,
            out: Outbox::default(),
            seen_as: HashMap::new(),
            opened: HashSet::new(),
        };
        World {
            now: START,
            sides: [side(a), side(b)],
            network: Network::default(),
            in_flight: BTreeMap::new(),
            sent: 0,
            log: Vec::new(),
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.post();
            let arrival = self.in_flight.first_key_value().map(|((at, _), _)| *at);
            let timers = self.sides.iter().filter_map(|side| side.agent.poll_timeout());
            let Some(next) = timers.chain(arrival).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if let Some(entry) = self
                .in_flight
                .first_entry()
                .filter(|entry| entry.key().0 <= self.now)
            {
                let flight = entry.remove();
                self.deliver(&flight);
            }
            for side in &mut self.sides {
                side.agent.handle_timeout(self.now, &mut side.out);
            }
        }
        self.now = end;
    }

    /// Takes a plan that was changed.
    pub(super) fn update(&mut self, side: usize) {
        let side = &mut self.sides[side];
        side.agent.update(&side.plan);
    }

    /// Tells a side what the other's SDP says: credentials and candidates.
    pub(super) fn signal(&mut self, side: usize) {
        let other = self.sides[1 - side].plan.clone();
        let agent = &mut self.sides[side].plan.agent;
        agent.remote = Some(other.agent.local);
        agent.candidates = other.hosts.iter().map(candidate).collect();
        agent.complete = true;
        self.update(side);
    }

    /// A request as the second side makes it, which decides, with credentials of ours and its own.
    pub(super) fn request(&mut self, ours: &IceCredentials, theirs: &IceCredentials) -> Vec<u8> {
        self.sent += 1;
        let mut transaction = TransactionId::default();
        transaction[..8].copy_from_slice(&self.sent.to_be_bytes());
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer, Class::Request, transaction);
        writer.username([&ours.ufrag, ":", &theirs.ufrag]);
        writer.priority(candidate_priority(CandidateKind::PeerReflexive, 0, 1));
        writer.use_candidate();
        writer.finish(Some(&Key::new(ours.pwd.as_bytes())));
        buffer
    }

    /// Hands a datagram to a side, and gives back what it answers at once.
    pub(super) fn inject(&mut self, side: usize, route: Route, datagram: &[u8]) -> Option<Vec<u8>> {
        let side = &mut self.sides[side];
        side.agent
            .handle(self.now, route.port, route.remote, datagram, &mut side.out);
        side.out.pop().map(|answer| answer.bytes.to_vec())
    }

    pub(super) fn states(&self) -> [IceState; 2] {
        [0, 1].map(|side| self.sides[side].agent.state())
    }

    /// Whether both sides have selected the same pair of a component.
    pub(super) fn agree_on(&self, component: u8) -> bool {
        let [Some(a), Some(b)] = [0, 1].map(|side| self.sides[side].agent.selected(component)) else {
            return false;
        };
        self.sides[0].seen(a.port) == b.remote && self.sides[1].seen(b.port) == a.remote
    }

    fn post(&mut self) {
        for index in 0..2 {
            while let Some(datagram) = self.sides[index].out.pop() {
                let (port, to, bytes) = (datagram.from, datagram.to, datagram.bytes.to_vec());
                self.log.push((self.now.since(START), index, to));
                self.sides[index].opened.insert((port, to));
                let from = self.sides[index].seen(port);
                self.sent += 1;
                if let Some(delay) = self.network.carry(from, to, self.sent) {
                    let flight = Flight { from, to, bytes };
                    self.in_flight.insert((self.now + delay, self.sent), flight);
                }
            }
        }
    }

    fn deliver(&mut self, flight: &Flight) {
        for side in &mut self.sides {
            let mut hosts = side.plan.hosts.iter();
            let Some(host) = hosts.find(|host| side.seen(host.port) == flight.to) else {
                continue;
            };
            let is_open =
                !side.seen_as.contains_key(&host.port) || side.opened.contains(&(host.port, flight.from));
            if is_open {
                let port = host.port;
                side.agent
                    .handle(self.now, port, flight.from, &flight.bytes, &mut side.out);
            }
        }
    }
}

impl Side {
    /// The address of a port, as others see it.
    pub(super) fn seen(&self, port: PortId) -> SocketAddr {
        let own = self.plan.hosts.iter().find(|host| host.port == port);
        let seen = self.seen_as.get(&port).copied();
        seen.unwrap_or_else(|| own.unwrap().address)
    }
}

impl Network {
    /// How long a datagram takes; none if it is lost.
    fn carry(&mut self, from: SocketAddr, to: SocketAddr, count: u64) -> Option<Duration> {
        if self.down || [Some(from), Some(to)].contains(&self.cut) {
            return None;
        }
        let chance = mix(self.seed ^ mix(count));
        if self.lossy && chance.is_multiple_of(3) && self.lost.insert((from, to)) {
            return None;
        }
        self.lost.remove(&(from, to));
        let spread = if self.seed == 0 { 0 } else { chance >> 8 & 63 };
        Some(Duration::from_millis(1 + spread))
    }
}

/// Scrambles a number.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// The candidate that a host is to the other side.
pub(super) fn candidate(host: &Host) -> RemoteCandidate {
    RemoteCandidate {
        foundation: Arc::from(host.address.ip().to_string()),
        component: host.component,
        priority: candidate_priority(CandidateKind::Host, 0, host.component),
        address: host.address,
        kind: CandidateKind::Host,
    }
}
