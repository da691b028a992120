//! The daemon in numbers: one snapshot for the `statistics` reply, the CLI and the metrics.

mod exposition;
mod ledger;
mod metrics;
mod requests;
mod tree;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::AddAssign;
use std::time::Duration;

use relay_common::slot::{DropReason, PassReason};

use super::{Counts, Received, Reception};
use crate::datapath::kernel::{Attachment, DropCounters, PassCounters};
use crate::datapath::userspace::PacketDelays;
use crate::host::AddressId;
use crate::plan::{Path, UserspaceReason};
use crate::ports::PortUsage;

pub use ledger::{Ended, Ledger};
pub use metrics::metrics;
pub use requests::{RequestKind, Requests, Tally};
pub use tree::{statistics_json, statistics_reply};

/// The daemon at one moment.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// How long the daemon has been running.
    pub uptime: Duration,
    /// How the calls stand.
    pub census: Census,
    /// What is relayed in a second, as in the last one.
    pub rates: Received,
    /// What was relayed since the start.
    pub relayed: Received,
    /// What the received packets say about the network.
    pub reception: Reception,
    /// Of calls that have ended.
    pub ended: Ended,
    /// Requests of all control peers together.
    pub requests: Requests,
    /// Requests by control peer.
    pub proxies: Vec<(IpAddr, Requests)>,
    /// Interfaces, address by address.
    pub interfaces: Vec<InterfaceStatistics>,
    /// How long packets take through userspace.
    pub delays: PacketDelays,
    /// The kernel datapath.
    pub kernel: KernelStatistics,
}

/// One address of a logical interface.
#[derive(Clone, Debug)]
pub struct InterfaceStatistics {
    /// The interface's name.
    pub name: String,
    /// Its ports. Interfaces that share an address share them.
    pub ports: PortUsage,
    /// What was relayed through it.
    pub traffic: Traffic,
}

/// What the kernel datapath does.
#[derive(Clone, Debug, Default)]
pub struct KernelStatistics {
    /// Devices that the program is attached to.
    pub attachments: Vec<Attachment>,
    /// Packets that it passed to userspace.
    pub passes: PassCounters,
    /// Packets that it dropped.
    pub drops: DropCounters,
}

/// How the calls stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Calls.
    pub sessions: u64,
    /// Those of another relay, which takes over what this one has.
    pub foreign: u64,
    /// Answered calls with IPv4 alone on our side.
    pub ipv4_only: u64,
    /// Calls with IPv6 alone.
    pub ipv6_only: u64,
    /// Calls with both.
    pub ip_mixed: u64,
    /// Media sections that are relayed in userspace alone, or do not flow.
    pub media_userspace: u64,
    /// Media sections whose RTP is in the kernel in all directions that flow.
    pub media_kernel: u64,
    /// Media sections with RTP in both.
    pub media_mixed: u64,
    /// RTP flows, one for each direction, in the kernel.
    pub flows_kernel: u64,
    /// RTP flows in userspace, by the code of the reason.
    flows_userspace: [u64; UserspaceReason::COUNT],
}

/// What was relayed since the start. Only ever grows.
#[derive(Clone, Debug, Default)]
pub struct Relayed {
    /// What was received: RTP and RTCP.
    pub received: Received,
    /// What the received packets say about the network.
    pub reception: Reception,
    /// By logical interface (index) and address.
    places: BTreeMap<(usize, AddressId), Traffic>,
}

/// What came through an address, and what went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Received.
    pub ingress: Counts,
    /// Sent.
    pub egress: Counts,
    /// What the received packets say about the network.
    pub reception: Reception,
}

impl Census {
    /// Counts an RTP flow.
    pub fn add_flow(&mut self, path: Path) {
        match path {
            Path::Kernel => self.flows_kernel += 1,
            Path::Userspace(reason) => self.flows_userspace[reason as usize] += 1,
        }
    }

    /// RTP flows in userspace, by reason.
    pub fn flows_userspace(&self) -> impl Iterator<Item = (UserspaceReason, u64)> {
        UserspaceReason::all().map(|reason| (reason, self.flows_userspace[reason as usize]))
    }
}

impl Relayed {
    /// Adds what a stream received and sent.
    pub fn add(&mut self, place: Option<(usize, AddressId)>, received: Received, sent: Counts) {
        if received == Received::default() && sent == Counts::default() {
            return;
        }
        self.received = self.received + received;
        if let Some(place) = place {
            let traffic = self.places.entry(place).or_default();
            traffic.ingress = traffic.ingress + received.total();
            traffic.egress = traffic.egress + sent;
        }
    }

    /// Adds what the SSRCs of a stream say.
    pub fn add_reception(&mut self, place: Option<(usize, AddressId)>, reception: Reception) {
        if reception == Reception::default() {
            return;
        }
        self.reception += reception;
        if let Some(place) = place {
            self.places.entry(place).or_default().reception += reception;
        }
    }

    /// What came and went through an address of an interface.
    pub fn through(&self, interface: usize, address: AddressId) -> Traffic {
        self.places
            .get(&(interface, address))
            .copied()
            .unwrap_or_default()
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, rhs: Traffic) {
        self.ingress = self.ingress + rhs.ingress;
        self.egress = self.egress + rhs.egress;
        self.reception += rhs.reception;
    }
}

impl KernelStatistics {
    /// Packets passed to userspace, by reason.
    pub fn passes(&self) -> impl Iterator<Item = (PassReason, u64)> {
        PassReason::all().map(|reason| (reason, self.passes.of(reason)))
    }

    /// Packets dropped, by reason.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::all().map(|reason| (reason, self.drops.of(reason)))
    }
}
