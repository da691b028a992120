//! From a key to a next hop, by asking the kernel.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;

use relay_common::slot::Route;

use super::super::netlink::{Events, Link, Netdev, Policy, RouteKind, Rtnetlink, Xfrm};
use super::{Exits, HopState, Redirect, RouteKey};
use crate::plan::UserspaceReason;

/// Asks the kernel. Within a batch ([`Resolver::begin`]) it asks only once about each device and neighbour.
#[derive(Debug)]
pub(crate) struct Resolver {
    rtnetlink: Rtnetlink,
    /// The devices that packets may leave by, if not by any.
    only: Option<Vec<String>>,
    /// There only when redirecting from drivers.
    netdev: Option<Netdev>,
    /// There only on kernels with IPsec.
    xfrm: Option<Xfrm>,
    /// As long as nobody says that they changed.
    policies: Option<Vec<Policy>>,
    devices: HashMap<u32, Device>,
    neighbours: HashMap<Via, NeighbourAnswer>,
    /// Neighbours that the kernel was asked to keep.
    kept: HashSet<Via>,
}

/// Where packets leave: a device, and the neighbour there that gets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Via {
    pub(crate) ifindex: u32,
    pub(crate) neighbour: IpAddr,
}

/// What came of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// The next hop.
    Ready(Via, Route),
    /// The neighbour's address is being looked up.
    Waiting(Via),
    /// Packets must stay in userspace; the neighbour, if it is the reason.
    Refused(UserspaceReason, Option<Via>),
}

#[derive(Clone, Copy, Debug)]
enum Device {
    Usable { mac: [u8; 6], mtu: u32 },
    Refused(UserspaceReason),
}

#[derive(Clone, Copy, Debug)]
enum NeighbourAnswer {
    Mac([u8; 6]),
    Asked,
    Failed,
}

/// Devices that look like Ethernet but wrap their frames.
const TUNNELS: [&str; 9] = [
    "vxlan",
    "geneve",
    "gretap",
    "ip6gretap",
    "erspan",
    "ip6erspan",
    "macsec",
    "amt",
    "bareudp",
];

impl Resolver {
    /// Opens the sockets, in the network namespace of the calling thread.
    pub(crate) fn open(exits: Exits) -> io::Result<Resolver> {
        Ok(Resolver {
            rtnetlink: Rtnetlink::open()?,
            only: exits.only,
            netdev: match exits.redirect {
                Redirect::Generic => None,
                Redirect::Native => Some(Netdev::open()?),
            },
            xfrm: Xfrm::open()?,
            policies: None,
            devices: HashMap::new(),
            neighbours: HashMap::new(),
            kept: HashSet::new(),
        })
    }

    /// Sockets on which a message means that any route may be refused or ready now.
    pub(crate) fn alarms(&self) -> io::Result<Vec<Events>> {
        let devices = self.netdev.as_ref().map(Netdev::events);
        let policies = self.xfrm.as_ref().map(Xfrm::events);
        devices.into_iter().chain(policies).collect()
    }

    /// Has the policies read again.
    pub(crate) fn forget_policies(&mut self) {
        self.policies = None;
    }

    /// Begins a batch: what was learned before may have changed.
    pub(crate) fn begin(&mut self) {
        self.devices.clear();
        self.neighbours.clear();
    }

    /// The next hop of a key. If its neighbour is not known, the kernel looks it up from now on.
    pub(crate) fn resolve(&mut self, key: RouteKey) -> io::Result<Resolution> {
        use UserspaceReason::{DeviceUnsuitable, LocalReceiver, NoNeighbour, NoRoute};

        let Some(route) = self.rtnetlink.route(key.source, key.destination, key.tos)? else {
            return Ok(Resolution::Refused(NoRoute, None));
        };
        match route.kind {
            RouteKind::Unicast => {}
            RouteKind::Local => return Ok(Resolution::Refused(LocalReceiver, None)),
            RouteKind::Wrapped => return Ok(Resolution::Refused(DeviceUnsuitable, None)),
            RouteKind::Other => return Ok(Resolution::Refused(NoRoute, None)),
        }
        if self.is_for_ipsec(key)? {
            return Ok(Resolution::Refused(DeviceUnsuitable, None));
        }
        let (source_mac, mtu) = match self.device(route.ifindex)? {
            Device::Usable { mac, mtu } => (mac, mtu),
            Device::Refused(reason) => return Ok(Resolution::Refused(reason, None)),
        };
        let via = Via {
            ifindex: route.ifindex,
            neighbour: route.gateway.unwrap_or(key.destination),
        };
        let destination_mac = match self.neighbour(via)? {
            NeighbourAnswer::Mac(mac) => mac,
            NeighbourAnswer::Asked => return Ok(Resolution::Waiting(via)),
            NeighbourAnswer::Failed => return Ok(Resolution::Refused(NoNeighbour, Some(via))),
        };
        let hop = Route {
            valid: 1,
            ifindex: via.ifindex,
            mtu: route.mtu.map_or(mtu, |path| path.min(mtu)),
            destination_mac,
            source_mac,
            vlans: [0; 2],
        };
        Ok(Resolution::Ready(via, hop))
    }

    /// Stops keeping neighbours other than these.
    pub(crate) fn keep_only(&mut self, needed: &HashSet<Via>) {
        let unneeded: Vec<Via> = self.kept.difference(needed).copied().collect();
        for via in unneeded {
            self.kept.remove(&via);
            // Its device may be gone, and the entry with it.
            let _ = self.rtnetlink.use_neighbour(via.ifindex, via.neighbour, false);
        }
    }

    /// Whether a policy would keep the packets from leaving as they are.
    fn is_for_ipsec(&mut self, key: RouteKey) -> io::Result<bool> {
        let Some(xfrm) = &mut self.xfrm else {
            return Ok(false);
        };
        if self.policies.is_none() {
            self.policies = Some(xfrm.outbound()?);
        }
        let mut policies = self.policies.iter().flatten();
        Ok(policies.any(|policy| policy.concerns(key.source, key.destination)))
    }

    fn device(&mut self, ifindex: u32) -> io::Result<Device> {
        if let Some(known) = self.devices.get(&ifindex) {
            return Ok(*known);
        }
        let device = match self.rtnetlink.link(ifindex)? {
            Some(link) => self.judge(&link)?,
            None => Device::Refused(UserspaceReason::NoRoute),
        };
        self.devices.insert(ifindex, device);
        Ok(device)
    }

    fn judge(&mut self, link: &Link) -> io::Result<Device> {
        if link.is_loopback() {
            return Ok(Device::Refused(UserspaceReason::LocalReceiver));
        }
        let is_tunnel = link.kind.as_deref().is_some_and(|kind| TUNNELS.contains(&kind));
        let Some(mac) = link.mac.filter(|_| link.ethernet && !is_tunnel) else {
            return Ok(Device::Refused(UserspaceReason::DeviceUnsuitable));
        };
        let is_allowed = |only: &Vec<String>| only.contains(&link.name);
        if !self.only.as_ref().is_none_or(is_allowed) {
            return Ok(Device::Refused(UserspaceReason::DeviceNotAllowed));
        }
        if !link.is_up() {
            return Ok(Device::Refused(UserspaceReason::NoNeighbour));
        }
        if let Some(netdev) = &mut self.netdev
            && !netdev.takes_redirects(link.ifindex)?
        {
            return Ok(Device::Refused(UserspaceReason::DeviceUnsuitable));
        }
        Ok(Device::Usable { mac, mtu: link.mtu })
    }

    fn neighbour(&mut self, via: Via) -> io::Result<NeighbourAnswer> {
        if let Some(known) = self.neighbours.get(&via) {
            return Ok(*known);
        }
        let answer = self.ask_neighbour(via)?;
        self.neighbours.insert(via, answer);
        Ok(answer)
    }

    fn ask_neighbour(&mut self, via: Via) -> io::Result<NeighbourAnswer> {
        let before = self.rtnetlink.neighbour(via.ifindex, via.neighbour)?;
        // An entry made by hand must not be touched: using it would end its permanence.
        if let Some(fixed) = before.filter(|neighbour| neighbour.is_fixed()) {
            return Ok(fixed
                .usable_mac()
                .map_or(NeighbourAnswer::Failed, NeighbourAnswer::Mac));
        }
        self.kept.insert(via);
        self.rtnetlink.use_neighbour(via.ifindex, via.neighbour, true)?;
        let now = self.rtnetlink.neighbour(via.ifindex, via.neighbour)?;
        if let Some(mac) = now.and_then(|neighbour| neighbour.usable_mac()) {
            return Ok(NeighbourAnswer::Mac(mac));
        }
        // Asking a neighbour that had failed starts over; until it answers, it is the failed one.
        let failed = before.is_some_and(|neighbour| neighbour.has_failed());
        Ok(if failed {
            NeighbourAnswer::Failed
        } else {
            NeighbourAnswer::Asked
        })
    }
}

impl Resolution {
    /// A neighbour that had failed counts as that until it answers, however often it is asked again.
    pub(crate) fn after(self, before: Option<Resolution>) -> Resolution {
        let (Resolution::Waiting(via), Some(Resolution::Refused(_, Some(failed)))) = (self, before) else {
            return self;
        };
        if via != failed {
            return self;
        }
        Resolution::Refused(UserspaceReason::NoNeighbour, Some(via))
    }

    /// What workers are told.
    pub(crate) fn state(&self) -> HopState {
        match self {
            Resolution::Ready(..) => HopState::Ready,
            Resolution::Waiting(_) => HopState::Resolving,
            Resolution::Refused(reason, _) => HopState::Refused(*reason),
        }
    }

    /// The neighbour that it depends on.
    pub(crate) fn via(&self) -> Option<Via> {
        match self {
            Resolution::Ready(via, _) | Resolution::Waiting(via) => Some(*via),
            Resolution::Refused(_, via) => *via,
        }
    }
}
