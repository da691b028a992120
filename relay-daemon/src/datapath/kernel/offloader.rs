//! One worker's flows in the kernel.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::routes::{HopState, Mailbox, RouteDesk, RouteIndex, RouteKey};
use super::rule::forward_rule;
use super::slots::{Install, SlotTable};
use crate::plan::{OffloadRule, Path, PortId, UserspaceReason};

/// Moves flows in and out, and remembers what is wanted.
#[derive(Debug)]
pub(crate) struct KernelOffloader {
    slots: Arc<SlotTable>,
    desk: Arc<RouteDesk>,
    mailbox: Arc<Mailbox>,
    coverage: Arc<Coverage>,
    flows: HashMap<PortId, Flow>,
    /// Ports whose rule could be installed but for the grace period of their last one.
    busy: BTreeSet<PortId>,
}

/// The local addresses whose packets the program sees.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// Their device is one that it is attached to.
    pub(crate) attached: HashSet<IpAddr>,
    /// It may not use their device.
    pub(crate) not_allowed: HashSet<IpAddr>,
}

/// A wanted offload.
#[derive(Clone, Copy, Debug)]
struct Flow {
    rule: OffloadRule,
    route: RouteIndex,
    hop: HopState,
    /// The rule is in force, and the program relays whenever the next hop is valid.
    installed: bool,
    /// What the worker knows.
    path: Path,
}

impl KernelOffloader {
    pub(crate) fn new(
        slots: Arc<SlotTable>,
        desk: Arc<RouteDesk>,
        coverage: Arc<Coverage>,
        waker: impl Fn() + Send + Sync + 'static,
    ) -> KernelOffloader {
        KernelOffloader {
            mailbox: desk.mailbox(waker),
            slots,
            desk,
            coverage,
            flows: HashMap::new(),
            busy: BTreeSet::new(),
        }
    }

    /// See [`super::Offloader::offload`].
    pub(crate) fn offload(&mut self, rule: &OffloadRule) -> Path {
        let port = rule.port;
        if let Some(reason) = self.coverage.lacks(rule.local.ip()) {
            self.withdraw(port);
            return Path::Userspace(reason);
        }
        let (route, hop) = match self.desk.acquire(RouteKey::of(rule), port, &self.mailbox) {
            Ok(acquired) => acquired,
            Err(error) => {
                tracing::warn!(%error, "a flow stays in userspace");
                self.withdraw(port);
                return Path::Userspace(UserspaceReason::NoRoute);
            }
        };
        let flow = Flow {
            rule: *rule,
            route,
            hop,
            installed: false,
            path: Path::Userspace(UserspaceReason::ResolvingRoute),
        };
        let old = self.flows.insert(port, flow);
        if let Some(old) = old
            && old.route != route
        {
            self.desk.release(old.route, port);
        }
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
        self.desk.release(flow.route, port);
    }

    /// See [`super::Offloader::poll`].
    pub(crate) fn poll(&mut self) -> Vec<(PortId, Path)> {
        let mut ports = std::mem::take(&mut self.busy);
        for (port, (route, hop)) in self.mailbox.take() {
            // Mail about an entry that the port no longer uses is old.
            if let Some(flow) = self.flows.get_mut(&port)
                && flow.route == route
            {
                flow.hop = hop;
                ports.insert(port);
            }
        }
        let mut changed = Vec::new();
        for port in ports {
            let before = self.flows.get(&port).map(|flow| flow.path);
            let path = self.settle(port);
            if before.is_some_and(|before| before != path) {
                changed.push((port, path));
            }
        }
        changed
    }

    /// Installs the rule of a port if it can be by now. The result is where its packets are relayed.
    fn settle(&mut self, port: PortId) -> Path {
        const NOT_YET: Path = Path::Userspace(UserspaceReason::ResolvingRoute);
        let Some(flow) = self.flows.get_mut(&port) else {
            return NOT_YET;
        };
        if flow.hop == HopState::Ready && !flow.installed {
            match self.slots.install(port, &forward_rule(&flow.rule, flow.route)) {
                Install::Done => flow.installed = true,
                Install::Busy(_) => {
                    self.busy.insert(port);
                    self.mailbox.await_barrier();
                }
                Install::NoSlot => flow.hop = HopState::Refused(UserspaceReason::NotAttached),
            }
            // After an install too: so the copy that it replaced is free when the next rule comes.
            self.desk.request_barrier();
        }
        flow.path = match flow.hop {
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

impl Coverage {
    /// Why the program does not see the packets to a local address.
    fn lacks(&self, local: IpAddr) -> Option<UserspaceReason> {
        if self.attached.contains(&local) {
            return None;
        }
        Some(match self.not_allowed.contains(&local) {
            true => UserspaceReason::DeviceNotAllowed,
            false => UserspaceReason::NotAttached,
        })
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
    use relay_common::slot::{Counters, OtherSource};

    use super::super::grace::Grace;
    use super::super::memory::SharedArray;
    use super::*;

    const PORT: PortId = PortId(1);
    const RESOLVING: Path = Path::Userspace(UserspaceReason::ResolvingRoute);

    struct Bench {
        grace: Arc<Grace>,
        slots: Arc<SlotTable>,
        desk: Arc<RouteDesk>,
        offloader: KernelOffloader,
    }

    fn bench() -> Bench {
        let grace = Arc::new(Grace::manual());
        let (slots, annexes) = (SharedArray::anonymous(4), SharedArray::anonymous(4));
        let slots = SlotTable::new(slots.unwrap(), annexes.unwrap(), grace.clone());
        let slots = Arc::new(slots);
        let desk = Arc::new(RouteDesk::unattended(4).unwrap());
        let coverage = Arc::new(Coverage {
            attached: HashSet::from(["10.0.0.1".parse().unwrap()]),
            not_allowed: HashSet::from(["10.0.0.3".parse().unwrap()]),
        });
        slots.claim(PORT);
        Bench {
            offloader: KernelOffloader::new(slots.clone(), desk.clone(), coverage, || {}),
            grace,
            slots,
            desk,
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
        }
    }

    impl Bench {
        /// What the keeper would find out.
        fn publish(&self, route: u32, hop: HopState) {
            self.desk.publish(RouteIndex(route), hop);
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
        for (local, reason) in [
            ("10.0.0.2:30000", UserspaceReason::NotAttached),
            ("10.0.0.3:30000", UserspaceReason::DeviceNotAllowed),
        ] {
            let elsewhere = OffloadRule {
                local: local.parse().unwrap(),
                ..rule("10.0.1.1:5000")
            };
            assert_eq!(bench.offloader.offload(&elsewhere), Path::Userspace(reason));
            assert!(!bench.slots.is_offloaded(PORT));
        }
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
