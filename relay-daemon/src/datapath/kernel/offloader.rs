//! One worker's flows in the kernel.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::routes::{HopState, Mailbox, RouteIndex, RouteKey, RouteRequests};
use super::rule::forward_rule;
use super::slots::{Install, SlotTable};
use crate::plan::{OffloadRule, Path, PortId, UserspaceReason};
use relay_common::slot::Counters;

/// Moves flows in and out, and remembers what is wanted.
#[derive(Debug)]
pub(crate) struct KernelOffloader {
    slots: Arc<SlotTable>,
    requests: Arc<RouteRequests>,
    mailbox: Arc<Mailbox>,
    flows: HashMap<PortId, Flow>,
    /// Ports whose rule could be installed, or moved to the primary copy, but for the grace period of their last one.
    busy: BTreeSet<PortId>,
    /// [`RouteRequests::changes`] as of the last look.
    changes: u64,
}

/// A wanted offload.
#[derive(Clone, Copy, Debug)]
struct Flow {
    rule: OffloadRule,
    /// None while the program sees none of its packets, or no entry is left.
    hop: Option<Hop>,
    /// The rule is in force, and the program relays whenever the next hop is valid.
    installed: bool,
    /// What the worker knows.
    path: Path,
}

/// The next hop of a flow.
#[derive(Clone, Copy, Debug)]
struct Hop {
    key: RouteKey,
    index: RouteIndex,
    state: HopState,
}

const NOT_YET: Path = Path::Userspace(UserspaceReason::ResolvingRoute);

impl KernelOffloader {
    pub(crate) fn new(
        slots: Arc<SlotTable>,
        requests: Arc<RouteRequests>,
        waker: impl Fn() + Send + Sync + 'static,
    ) -> KernelOffloader {
        KernelOffloader {
            mailbox: requests.mailbox(waker),
            slots,
            changes: requests.changes(),
            requests,
            flows: HashMap::new(),
            busy: BTreeSet::new(),
        }
    }

    /// See [`super::Offloader::offload`].
    pub(crate) fn offload(&mut self, rule: &OffloadRule) -> Path {
        let port = rule.port;
        let flow = Flow {
            rule: *rule,
            hop: None,
            installed: false,
            path: NOT_YET,
        };
        let old = self.flows.insert(port, flow);
        self.find_hop(port, old.and_then(|old| old.hop));
        let path = self.settle(port);
        // The earlier rule must not come back to life when its next hop does.
        if old.is_some_and(|old| old.installed) && !self.is_installed(port) {
            self.slots.withdraw(port);
        }
        path
    }

    /// See [`super::Offloader::withdraw`].
    pub(crate) fn withdraw(&mut self, port: PortId) {
        let Some(flow) = self.flows.remove(&port) else {
            return;
        };
        if flow.installed {
            self.slots.withdraw(port);
        }
        self.busy.remove(&port);
        if let Some(hop) = flow.hop {
            self.requests.release(hop.index, port);
        }
    }

    /// See [`super::Offloader::counters`].
    pub(crate) fn counters(&self, port: PortId) -> Counters {
        self.slots.counters(port)
    }

    /// See [`super::Offloader::poll`].
    pub(crate) fn poll(&mut self) -> Vec<(PortId, Path)> {
        let mut changed = self.follow_changes();
        let mut ports = std::mem::take(&mut self.busy);
        for (port, (index, state)) in self.mailbox.take() {
            // Mail about an entry that the port no longer uses is old.
            let hop = self.flows.get_mut(&port).and_then(|flow| flow.hop.as_mut());
            if let Some(hop) = hop.filter(|hop| hop.index == index) {
                hop.state = state;
                ports.insert(port);
            }
        }
        for port in ports {
            let before = self.flows.get(&port).map(|flow| flow.path);
            let path = self.settle(port);
            if before.is_some_and(|before| before != path) {
                changed.push((port, path));
            }
        }
        changed
    }

    /// Offloads anew what is attached elsewhere, or has another key, than it was.
    fn follow_changes(&mut self) -> Vec<(PortId, Path)> {
        let changes = self.requests.changes();
        if std::mem::replace(&mut self.changes, changes) == changes {
            return Vec::new();
        }
        let is_other = |flow: &&Flow| {
            let wanted = self.requests.is_attached(flow.rule.local.ip());
            let wanted = wanted.then(|| self.requests.key(&flow.rule));
            wanted != flow.hop.map(|hop| hop.key)
        };
        let flows: Vec<Flow> = self.flows.values().filter(is_other).copied().collect();
        let paths = flows.iter().map(|flow| {
            let path = self.offload(&flow.rule);
            (path != flow.path).then_some((flow.rule.port, path))
        });
        paths.flatten().collect()
    }

    /// Gives a flow the next hop of its rule, in place of that which it had.
    fn find_hop(&mut self, port: PortId, old: Option<Hop>) {
        let Some(flow) = self.flows.get_mut(&port) else {
            return;
        };
        flow.hop = None;
        if let Some(reason) = self.requests.refusal(flow.rule.local.ip()) {
            flow.path = Path::Userspace(reason);
        } else {
            let key = self.requests.key(&flow.rule);
            match self.requests.acquire(key, port, &self.mailbox) {
                Ok((index, state)) => flow.hop = Some(Hop { key, index, state }),
                Err(error) => {
                    tracing::warn!(%error, "a flow stays in userspace");
                    flow.path = Path::Userspace(UserspaceReason::NoRoute);
                }
            }
        }
        let kept = flow.hop.map(|hop| hop.index);
        if let Some(old) = old.filter(|old| Some(old.index) != kept) {
            self.requests.release(old.index, port);
        }
    }

    /// Installs the rule of a port if it can be by now. The result is where its packets are relayed.
    fn settle(&mut self, port: PortId) -> Path {
        let Some(flow) = self.flows.get_mut(&port) else {
            return NOT_YET;
        };
        let Some(hop) = flow.hop.as_mut() else {
            self.busy.remove(&port);
            return flow.path;
        };
        if hop.state == HopState::Ready && !flow.installed {
            match self
                .slots
                .install(port, &forward_rule(&flow.rule, hop.index), flow.rule.clock)
            {
                Install::Done => flow.installed = true,
                Install::Busy(_) => {
                    self.busy.insert(port);
                    self.mailbox.await_barrier();
                }
                Install::NoSlot => hop.state = HopState::Refused(UserspaceReason::NotAttached),
            }
            // After an install too: so the copy that it replaced is free when the next rule comes.
            self.requests.request_barrier();
        }
        if flow.installed && self.slots.is_away(port) {
            match self.slots.use_primary(port) {
                Install::Done | Install::NoSlot => self.requests.request_barrier(),
                Install::Busy(_) => {
                    self.busy.insert(port);
                    self.mailbox.await_barrier();
                }
            }
        }
        flow.path = match hop.state {
            HopState::Refused(reason) => Path::Userspace(reason),
            HopState::Ready if flow.installed => Path::Kernel,
            HopState::Ready | HopState::Resolving => NOT_YET,
        };
        flow.path
    }

    fn is_installed(&self, port: PortId) -> bool {
        self.flows.get(&port).is_some_and(|flow| flow.installed)
    }
}

impl Drop for KernelOffloader {
    fn drop(&mut self) {
        let ports: Vec<PortId> = self.flows.keys().copied().collect();
        for port in ports {
            self.withdraw(port);
        }
    }
}

#[cfg(test)]
mod tests {
    use relay_common::slot::{Clock, Counters, OtherSource};

    use super::super::FloodLimits;
    use super::super::attach::Attached;
    use super::super::grace::Grace;
    use super::super::memory::SharedArray;
    use super::super::ticks::Ticks;
    use super::*;

    const PORT: PortId = PortId(1);
    const RESOLVING: Path = Path::Userspace(UserspaceReason::ResolvingRoute);

    struct Bench {
        grace: Arc<Grace>,
        slots: Arc<SlotTable>,
        requests: Arc<RouteRequests>,
        offloader: KernelOffloader,
    }

    fn bench() -> Bench {
        let grace = Arc::new(Grace::manual());
        let (slots, annexes) = (SharedArray::anonymous(4), SharedArray::anonymous(4));
        let slots = SlotTable::new(
            slots.unwrap(),
            annexes.unwrap(),
            SharedArray::anonymous(4).unwrap(),
            grace.clone(),
            Ticks::default(),
            &FloodLimits::default(),
        )
        .unwrap();
        let slots = Arc::new(slots);
        let requests = Arc::new(RouteRequests::unattended(4).unwrap());
        requests.set_attached(at("10.0.0.1"));
        slots.claim(PORT);
        Bench {
            offloader: KernelOffloader::new(slots.clone(), requests.clone(), || {}),
            grace,
            slots,
            requests,
        }
    }

    fn at(address: &str) -> Attached {
        Attached {
            addresses: [address.parse().unwrap()].into(),
            ..Attached::default()
        }
    }

    fn rule(destination: &str) -> OffloadRule {
        OffloadRule {
            port: PORT,
            local: "10.0.0.1:30000".parse().unwrap(),
            source: "10.0.0.9:4000".parse().unwrap(),
            other_source: OtherSource::Pass,
            new_source: "10.0.0.1:30002".parse().unwrap(),
            new_destination: destination.parse().unwrap(),
            tos: 0,
            userspace_payload_types: [0; 2],
            blocked: false,
            clock: Clock::default(),
        }
    }

    impl Bench {
        /// What the keeper would find out.
        fn publish(&self, route: u32, hop: HopState) {
            self.requests.publish(RouteIndex(route), hop);
        }
    }

    #[test]
    fn a_flow_waits_for_its_next_hop() {
        let mut bench = bench();
        assert_eq!(bench.offloader.offload(&rule("10.0.1.1:5000")), RESOLVING);
        assert!(!bench.slots.is_offloaded(PORT));
        assert_eq!(bench.offloader.poll(), []);
        bench.publish(0, HopState::Refused(UserspaceReason::NoNeighbour));
        let refused = Path::Userspace(UserspaceReason::NoNeighbour);
        assert_eq!(bench.offloader.poll(), [(PORT, refused)]);
        assert!(!bench.slots.is_offloaded(PORT));
        bench.publish(0, HopState::Ready);
        assert_eq!(bench.offloader.poll(), [(PORT, Path::Kernel)]);
        assert!(bench.slots.is_offloaded(PORT));
        assert_eq!(bench.offloader.poll(), []);
    }

    #[test]
    fn a_known_next_hop_serves_at_once() {
        let mut bench = bench();
        let _ = bench.offloader.offload(&rule("10.0.1.1:5000"));
        bench.publish(0, HopState::Ready);
        let _ = bench.offloader.poll();
        bench.offloader.withdraw(PORT);
        assert!(!bench.slots.is_offloaded(PORT));
        bench.grace.run();
        assert_eq!(bench.offloader.offload(&rule("10.0.1.1:5002")), Path::Kernel);
    }

    #[test]
    fn a_rule_replaced_too_early_waits_in_userspace() {
        let mut bench = bench();
        let _ = bench.offloader.offload(&rule("10.0.1.1:5000"));
        bench.publish(0, HopState::Ready);
        assert_eq!(bench.offloader.poll(), [(PORT, Path::Kernel)]);

        assert_eq!(bench.offloader.offload(&rule("10.0.1.1:5002")), RESOLVING);
        assert!(
            !bench.slots.is_offloaded(PORT),
            "the earlier rule is out of force"
        );
        assert_eq!(bench.offloader.poll(), []);
        bench.grace.run();
        assert_eq!(bench.offloader.poll(), [(PORT, Path::Kernel)]);
        assert!(bench.slots.is_offloaded(PORT));
    }

    /// To where packets take less memory.
    #[test]
    fn a_replaced_rule_moves_to_the_primary_copy_by_and_by() {
        let mut bench = bench();
        let _ = bench.offloader.offload(&rule("10.0.1.1:5000"));
        bench.publish(0, HopState::Ready);
        let _ = bench.offloader.poll();
        assert!(!bench.slots.is_away(PORT));
        bench.grace.run();
        assert_eq!(bench.offloader.offload(&rule("10.0.1.1:5002")), Path::Kernel);
        assert!(bench.slots.is_away(PORT));
        assert_eq!(bench.offloader.poll(), []);
        assert!(bench.slots.is_away(PORT), "the other copy rests");
        bench.grace.run();
        assert_eq!(bench.offloader.poll(), []);
        assert!(bench.slots.is_offloaded(PORT) && !bench.slots.is_away(PORT));
    }

    #[test]
    fn a_rule_withdrawn_while_it_waits_stays_away() {
        let mut bench = bench();
        let _ = bench.offloader.offload(&rule("10.0.1.1:5000"));
        bench.publish(0, HopState::Ready);
        let _ = bench.offloader.poll();
        let _ = bench.offloader.offload(&rule("10.0.1.1:5002"));
        bench.offloader.withdraw(PORT);
        bench.grace.run();
        assert_eq!(bench.offloader.poll(), []);
        assert!(!bench.slots.is_offloaded(PORT));
    }

    #[test]
    fn a_new_destination_takes_the_old_rule_out_of_force() {
        let mut bench = bench();
        let _ = bench.offloader.offload(&rule("10.0.1.1:5000"));
        bench.publish(0, HopState::Ready);
        let _ = bench.offloader.poll();
        assert_eq!(bench.offloader.offload(&rule("10.0.2.2:5000")), RESOLVING);
        assert!(!bench.slots.is_offloaded(PORT));
        // The old next hop is no longer this port's business.
        bench.publish(0, HopState::Refused(UserspaceReason::NoNeighbour));
        assert_eq!(bench.offloader.poll(), []);
        bench.grace.run();
        bench.publish(1, HopState::Ready);
        assert_eq!(bench.offloader.poll(), [(PORT, Path::Kernel)]);
    }

    #[test]
    fn an_installed_rule_stays_while_its_next_hop_is_away() {
        let mut bench = bench();
        let _ = bench.offloader.offload(&rule("10.0.1.1:5000"));
        bench.publish(0, HopState::Ready);
        let _ = bench.offloader.poll();
        bench.publish(0, HopState::Resolving);
        assert_eq!(bench.offloader.poll(), [(PORT, RESOLVING)]);
        assert!(bench.slots.is_offloaded(PORT));
        bench.publish(0, HopState::Ready);
        assert_eq!(bench.offloader.poll(), [(PORT, Path::Kernel)]);
    }

    #[test]
    fn without_the_program_at_the_local_address_nothing_is_offloaded() {
        let mut bench = bench();
        let elsewhere = OffloadRule {
            local: "10.0.0.2:30000".parse().unwrap(),
            ..rule("10.0.1.1:5000")
        };
        let path = bench.offloader.offload(&elsewhere);
        assert_eq!(path, Path::Userspace(UserspaceReason::NotAttached));
        assert!(!bench.slots.is_offloaded(PORT));
    }

    #[test]
    fn flows_follow_the_program_from_device_to_device() {
        const NOT_ATTACHED: Path = Path::Userspace(UserspaceReason::NotAttached);
        let mut bench = bench();
        bench.requests.set_attached(Attached::default());
        assert_eq!(bench.offloader.offload(&rule("10.0.1.1:5000")), NOT_ATTACHED);
        assert_eq!(bench.offloader.poll(), []);
        bench.requests.set_attached(at("10.0.0.1"));
        assert_eq!(bench.offloader.poll(), [(PORT, RESOLVING)]);
        bench.publish(0, HopState::Ready);
        assert_eq!(bench.offloader.poll(), [(PORT, Path::Kernel)]);
        assert_eq!(bench.offloader.poll(), []);

        bench.requests.set_attached(at("10.0.0.2"));
        assert_eq!(bench.offloader.poll(), [(PORT, NOT_ATTACHED)]);
        assert!(!bench.slots.is_offloaded(PORT));
        // Of the entry that it had it hears nothing any more.
        bench.publish(0, HopState::Resolving);
        bench.publish(0, HopState::Ready);
        assert_eq!(bench.offloader.poll(), []);
        bench.requests.set_attached(at("10.0.0.1"));
        assert_eq!(
            bench.offloader.poll(),
            [(PORT, Path::Kernel)],
            "the same rule, and the copy is still there"
        );
        assert!(bench.slots.is_offloaded(PORT));
    }

    #[test]
    fn flows_get_keys_with_ports_when_ports_begin_to_matter() {
        let mut bench = bench();
        let _ = bench.offloader.offload(&rule("10.0.1.1:5000"));
        bench.publish(0, HopState::Ready);
        assert_eq!(bench.offloader.poll(), [(PORT, Path::Kernel)]);
        bench.requests.set_by_port(true);
        assert_eq!(bench.offloader.poll(), [(PORT, RESOLVING)]);
        assert!(!bench.slots.is_offloaded(PORT));
        bench.grace.run();
        bench.publish(1, HopState::Ready);
        assert_eq!(bench.offloader.poll(), [(PORT, Path::Kernel)]);
        bench.grace.run();
        assert_eq!(
            bench.offloader.offload(&rule("10.0.1.1:5002")),
            RESOLVING,
            "another key"
        );
    }

    #[test]
    fn an_offloader_takes_its_flows_along() {
        let mut bench = bench();
        let _ = bench.offloader.offload(&rule("10.0.1.1:5000"));
        bench.publish(0, HopState::Ready);
        let _ = bench.offloader.poll();
        assert!(bench.slots.is_offloaded(PORT));
        drop(bench.offloader);
        assert!(!bench.slots.is_offloaded(PORT));
        assert_eq!(bench.slots.counters(PORT), Counters::default());
    }
}
