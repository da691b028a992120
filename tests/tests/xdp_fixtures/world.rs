//! The tables of a small relay: one call with IPv4 and one with IPv6 parties.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use relay_common::rewrite::{self, Arrival, MAX_GROWTH, Tables, Verdict};
use relay_common::slot::{
    ANY_DEVICE, Address, Annex, Counters, DropReason, ForwardRule, Guard, Limit, Limits, LocalKey,
    LocalRange, OtherSource, PassReason, Route, Slot, SlotState, prefix, rule_flags,
};
use relay_tests::packets::{Frame, octets};

/// Number of slots: four ports for each local address, and some that belong to none.
pub(crate) const SLOTS: u32 = 16;
/// Slot of [`relay`].
pub(crate) const SLOT: usize = 4;
/// Slot of [`relay_v6`].
pub(crate) const SLOT_V6: usize = 8;
/// Where frames come in: `BPF_PROG_TEST_RUN` says the loopback device.
pub(crate) const INGRESS: u32 = 1;
/// Whom frames are for.
pub(crate) const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The VLANs that the host has, beside the network without a tag.
const VLANS: [[u16; 2]; 6] = [[0, 0], [5, 0], [0x8007, 0], [0x8007, 5], [5, 5], [0x8001, 2]];
/// Number of buckets of networks.
pub(crate) const PREFIXES: u32 = 8;
/// A time that no bucket waits for.
pub(crate) const NEVER: u64 = u64::MAX / 2;
/// What the programs of these tests are loaded with; but for unclaimed ports.
pub(crate) const LIMITS: Limits = Limits {
    port: Limit::per_second(500),
    prefix: Limit::per_second(10_000),
    seed: 0x0123_4567_89ab_cdef,
    prefix_mask: PREFIXES - 1,
    drop_unclaimed: 0,
    ticks_per_second: 100,
    port_min: 30_000,
    port_max: 30_003,
};
/// TTL and hop limit of both routes.
pub(crate) const HOP_LIMIT: u8 = 77;
/// Interface of both routes.
pub(crate) const IFINDEX: u32 = 7;

/// Who sends to [`relay`].
pub(crate) fn caller() -> SocketAddr {
    "198.51.100.7:4000".parse().unwrap()
}

/// The port of the relay that the caller sends to.
pub(crate) fn relay() -> SocketAddr {
    "192.0.2.1:30000".parse().unwrap()
}

/// Who sends to [`relay_v6`].
pub(crate) fn caller_v6() -> SocketAddr {
    "[2001:db8:a::7]:4000".parse().unwrap()
}

/// The port of the relay that the IPv6 caller sends to.
pub(crate) fn relay_v6() -> SocketAddr {
    "[2001:db8::1]:30000".parse().unwrap()
}

/// When packets were counted.
pub(crate) struct Times {
    /// Exactly, or as of a tick where the clock of the media is not known.
    pub(crate) exact: BTreeSet<u64>,
    /// As of a tick.
    pub(crate) coarse: BTreeSet<u64>,
    /// In ticks.
    pub(crate) ticks: BTreeSet<u32>,
}

/// All tables, and what was counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct World {
    pub(crate) locals: Vec<(LocalKey, LocalRange)>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) annexes: Vec<Annex>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) limits: Limits,
    pub(crate) prefixes: Vec<u64>,
    pub(crate) drops: [u64; DropReason::COUNT as usize],
    pub(crate) routes: Vec<Route>,
    pub(crate) passes: [u64; PassReason::COUNT as usize],
}

impl World {
    pub(crate) fn new() -> Self {
        let range = |base| LocalRange {
            base,
            port_min: 30_000,
            port_max: 30_003,
            mac: MAC,
            reserved: 0,
        };
        let places = |local: SocketAddr, range| {
            let key = move |vlans| LocalKey {
                address: address(local),
                ifindex: INGRESS,
                vlans,
            };
            VLANS.into_iter().map(move |vlans| (key(vlans), range))
        };
        let locals = places(relay(), range(4)).chain(places(relay_v6(), range(8)));
        let elsewhere = [(relay(), range(4)), (relay_v6(), range(8))].map(|(local, range)| {
            let key = LocalKey {
                address: address(local),
                ifindex: ANY_DEVICE,
                vlans: [0; 2],
            };
            let mac = [0; 6];
            (key, LocalRange { mac, ..range })
        });
        let locals = locals.chain(elsewhere);
        let mut world = Self {
            locals: locals.collect(),
            slots: vec![Slot::default(); SLOTS as usize],
            annexes: vec![Annex::default(); SLOTS as usize],
            guards: vec![Guard::default(); SLOTS as usize],
            limits: LIMITS,
            prefixes: vec![0; PREFIXES as usize],
            drops: [0; DropReason::COUNT as usize],
            routes: vec![route(1), route(2)],
            passes: [0; PassReason::COUNT as usize],
        };
        world.offload(SLOT, &rule());
        world.offload(SLOT_V6, &rule_v6());
        world
    }

    /// Both calls are between an IPv4 and an IPv6 party.
    pub(crate) fn crossing() -> Self {
        let mut world = Self::new();
        world.offload(SLOT, &rule_to_v6());
        world.offload(SLOT_V6, &rule_to_v4());
        world
    }

    /// Changes the rules in force, of the IPv4 and of the IPv6 slot.
    pub(crate) fn with_rule(mut self, change: impl Fn(&mut ForwardRule)) -> Self {
        for slot in [SLOT, SLOT_V6] {
            let mut rule = self.rule(slot);
            change(&mut rule);
            self.set_rule(slot, &rule);
        }
        self
    }

    /// Puts the first copy of a slot's rule in force.
    pub(crate) fn with_first_copy(mut self, slot: usize) -> Self {
        let rule = self.rule(slot);
        self.set_rule(slot, &ForwardRule::default());
        self.slots[slot].active = 0;
        self.set_rule(slot, &rule);
        self
    }

    /// The rule in force.
    pub(crate) fn rule(&self, slot: usize) -> ForwardRule {
        self.slots[slot].active_rule(&self.annexes[slot])
    }

    /// What was counted; but not when.
    pub(crate) fn counters(&self, slot: usize) -> Counters {
        let (slot, annex) = (&self.slots[slot], &self.annexes[slot]);
        Counters::of(slot.ssrcs(annex, |_| 0), &annex.other, &Default::default())
    }

    /// When packets were counted.
    pub(crate) fn times(&self) -> Times {
        let exact = self.annexes.iter().flat_map(|annex| annex.ssrc_tails);
        let exact: BTreeSet<u64> = exact.map(|tail| tail.timed_at).collect();
        let others = self.annexes.iter().map(|annex| annex.other.last_seen);
        // A bucket that was full says when a token was taken.
        let full = |bucket: u64, limit: Limit| bucket.wrapping_sub(limit.interval);
        let ports = self.guards.iter().map(|guard| full(guard.bucket, LIMITS.port));
        let networks = self.prefixes.iter().map(|bucket| full(*bucket, LIMITS.prefix));
        let ticks = self
            .slots
            .iter()
            .zip(&self.annexes)
            .flat_map(|(slot, annex)| slot.ticks(annex));
        Times {
            coarse: exact
                .iter()
                .copied()
                .chain(others)
                .chain(ports)
                .chain(networks)
                .collect(),
            exact,
            ticks: ticks.collect(),
        }
    }

    /// Changes the route of both rules.
    pub(crate) fn with_route(mut self, change: impl Fn(&mut Route)) -> Self {
        change(&mut self.routes[0]);
        self
    }

    /// Changes the state of both slots.
    pub(crate) fn with_state(mut self, state: SlotState) -> Self {
        for slot in [SLOT, SLOT_V6] {
            self.slots[slot].state = state as u16;
        }
        self
    }

    /// The ports' buckets are empty, for long.
    pub(crate) fn with_empty_ports(mut self) -> Self {
        for guard in &mut self.guards {
            guard.bucket = NEVER;
        }
        self
    }

    /// The bucket of a source's network is empty, for long.
    pub(crate) fn with_empty_network(mut self, source: SocketAddr) -> Self {
        self.prefixes[prefix(&address(source), &LIMITS) as usize] = NEVER;
        self
    }

    /// The daemon has said what it expects at the ports.
    pub(crate) fn with_expected(mut self, source: SocketAddr, flags: u16) -> Self {
        for guard in &mut self.guards {
            guard.source = address(source);
            guard.source_port = source.port();
            guard.flags = flags;
        }
        self
    }

    /// The local addresses belong to another device.
    pub(crate) fn elsewhere(mut self) -> Self {
        for (key, _) in &mut self.locals {
            if key.ifindex != ANY_DEVICE {
                key.ifindex += 1;
            }
        }
        self
    }

    /// Runs the model: the verdict, and the frame as it is then.
    pub(crate) fn rewrite(&mut self, arrival: Arrival, frame: &[u8]) -> (Verdict, Vec<u8>) {
        let mut out = vec![0; frame.len() + MAX_GROWTH];
        let mut tables = Tables {
            locals: &self.locals,
            slots: &mut self.slots,
            annexes: &mut self.annexes,
            guards: &mut self.guards,
            limits: &self.limits,
            prefixes: &mut self.prefixes,
            drops: &mut self.drops,
            routes: &self.routes,
            passes: &mut self.passes,
        };
        let verdict = rewrite::rewrite(&mut tables, arrival, frame, &mut out);
        match verdict {
            Verdict::Redirect { length, .. } => out.truncate(length),
            Verdict::Pass(_) | Verdict::Drop => out = frame.to_vec(),
        }
        (verdict, out)
    }

    /// The second copy is in force, so that a program that only looks at the first one is found out.
    fn offload(&mut self, slot: usize, rule: &ForwardRule) {
        self.slots[slot].state = SlotState::Offloaded as u16;
        self.slots[slot].active = 1;
        self.set_rule(slot, rule);
    }

    fn set_rule(&mut self, slot: usize, rule: &ForwardRule) {
        self.slots[slot].set_active_rule(&mut self.annexes[slot], rule);
    }
}

/// A frame from the caller, carrying `payload`.
pub(crate) fn frame(payload: Vec<u8>) -> Frame {
    Frame::new(caller(), relay(), payload)
}

/// A frame from the IPv6 caller, carrying `payload`.
pub(crate) fn frame_v6(payload: Vec<u8>) -> Frame {
    Frame::new(caller_v6(), relay_v6(), payload)
}

fn rule() -> ForwardRule {
    between(caller(), "192.0.2.1:30002", "203.0.113.9:5000", rule_flags::RTP)
}

fn rule_v6() -> ForwardRule {
    let flags = rule_flags::RTP | rule_flags::IPV6_IN | rule_flags::IPV6_OUT;
    between(caller_v6(), "[2001:db8::1]:30002", "[2001:db8:b::9]:5000", flags)
}

/// Sends to an IPv6 party what comes from the IPv4 caller.
fn rule_to_v6() -> ForwardRule {
    let flags = rule_flags::RTP | rule_flags::IPV6_OUT;
    between(caller(), "[2001:db8::1]:30002", "[2001:db8:b::9]:5000", flags)
}

/// Sends to an IPv4 party what comes from the IPv6 caller.
fn rule_to_v4() -> ForwardRule {
    let flags = rule_flags::RTP | rule_flags::IPV6_IN;
    between(caller_v6(), "192.0.2.1:30002", "203.0.113.9:5000", flags)
}

fn between(source: SocketAddr, new_source: &str, new_destination: &str, flags: u16) -> ForwardRule {
    let new_source: SocketAddr = new_source.parse().unwrap();
    let new_destination: SocketAddr = new_destination.parse().unwrap();
    ForwardRule {
        source: address(source),
        new_source: address(new_source),
        new_destination: address(new_destination),
        // Payload types 101 and 3.
        userspace_payload_types: [1 << 3, 1 << (101 - 64)],
        source_port: source.port(),
        new_source_port: new_source.port(),
        new_destination_port: new_destination.port(),
        other_source: OtherSource::Pass as u8,
        tos: 0xb8,
        flags,
        ..ForwardRule::default()
    }
}

fn route(last: u8) -> Route {
    Route {
        valid: 1,
        ifindex: IFINDEX,
        mtu: 1500,
        hop_limit: HOP_LIMIT,
        reserved: 0,
        destination_mac: [2, 0, 0, 0, 1, last],
        source_mac: [2, 0, 0, 0, 2, last],
        vlans: [0, 0],
    }
}

fn address(of: SocketAddr) -> Address {
    let octets = octets(of.ip());
    std::array::from_fn(|word| {
        let at = word * 4;
        u32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
    })
}
