//! From a key to a next hop, by asking the kernel.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::net::IpAddr;

use relay_common::slot::Route;
use socket2::{Domain, Socket, Type};

use super::super::attach::Snapshot;
use super::super::netlink::{Events, Link, Netdev, Policy, RouteKind, Rtnetlink, Xfrm, takes_tags_off};
use super::super::{KernelConfig, XdpMode};
use super::stack::Stack;
use super::{HopState, RouteKey};
use crate::plan::UserspaceReason;

/// Asks the kernel. Within a batch ([`Resolver::begin`]) it asks only once about each device and neighbour.
#[derive(Debug)]
pub(crate) struct Resolver {
    config: KernelConfig,
    rtnetlink: Rtnetlink,
    /// To ask about drivers. It is bound to no port.
    socket: Socket,
    /// There only on kernels that tell what devices can do.
    netdev: Option<Netdev>,
    /// Whether frames may be redirected from drivers, which loses those for devices that do not take them
    /// (`NETDEV_XDP_ACT_NDO_XMIT`). From the stack's entry they go to any Ethernet device.
    from_drivers: bool,
    /// Devices that would have to take such frames and do not. Drivers may change their minds once the program is
    /// attached to them as well.
    lacking: BTreeSet<u32>,
    has_new_lacking: bool,
    /// There only on kernels with IPsec.
    xfrm: Option<Xfrm>,
    /// As long as nobody says that they changed.
    policies: Option<Vec<Policy>>,
    devices: HashMap<u32, Device>,
    neighbours: HashMap<Via, NeighbourAnswer>,
    /// Neighbours that the kernel was asked to keep.
    kept: HashSet<Via>,
    /// The TTL of what sockets send, once it was asked for.
    default_ttl: Option<u8>,
}

/// Where packets leave: a device, and the neighbour there that gets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Via {
    pub(crate) ifindex: u32,
    pub(crate) neighbour: IpAddr,
}

/// An entry of the table that is in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop {
    pub(super) key: RouteKey,
    pub(super) resolution: Resolution,
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

#[derive(Clone, Debug)]
enum Device {
    Usable(Box<Stack>),
    Refused(UserspaceReason),
}

#[derive(Clone, Copy, Debug)]
enum NeighbourAnswer {
    Mac([u8; 6]),
    Asked,
    Failed,
}

/// Kinds of devices that look like Ethernet's but wrap their frames.
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
    pub(crate) fn open(config: KernelConfig) -> io::Result<Resolver> {
        Ok(Resolver {
            config,
            rtnetlink: Rtnetlink::open()?,
            socket: Socket::new(Domain::IPV4, Type::DGRAM, None)?,
            netdev: match Netdev::open() {
                Ok(netdev) => Some(netdev),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            },
            from_drivers: false,
            lacking: BTreeSet::new(),
            has_new_lacking: false,
            xfrm: Xfrm::open()?,
            policies: None,
            devices: HashMap::new(),
            neighbours: HashMap::new(),
            kept: HashSet::new(),
            default_ttl: None,
        })
    }

    /// Goes on in place of another one: what that one has the kernel keep is still to be let go.
    pub(crate) fn take_over(&mut self, other: &Resolver) {
        self.kept.clone_from(&other.kept);
        self.lacking.clone_from(&other.lacking);
    }

    /// Whether frames may be redirected from drivers, from now on. True: it was another answer before.
    pub(crate) fn set_from_drivers(&mut self, from_drivers: bool) -> bool {
        std::mem::replace(&mut self.from_drivers, from_drivers) != from_drivers
    }

    /// Devices and addresses as they are now.
    pub(crate) fn snapshot(&mut self) -> io::Result<Snapshot> {
        self.has_new_lacking = false;
        let links = self.rtnetlink.links()?;
        let has_vlans = |link: &&Link| {
            let mut vlans = links.iter().filter(|link| link.is_vlan());
            vlans.any(|vlan| vlan.parent == Some(link.ifindex))
        };
        let bases = links.iter().filter(has_vlans);
        let taking = bases.filter(|link| takes_tags_off(&self.socket, &link.name));
        Ok(Snapshot {
            takes_tags_off: taking.map(|link| link.ifindex).collect(),
            links,
            addresses: self.rtnetlink.addresses()?,
            egress: self.lacking.clone(),
            tells_features: self.netdev.is_some(),
        })
    }

    /// Whether there are devices among [`Snapshot::egress`] that were not when it was asked for last.
    pub(crate) fn has_new_lacking(&self) -> bool {
        self.has_new_lacking
    }

    /// Whether ports decide about routes: by rules, or by the choice between several next hops.
    pub(crate) fn is_by_port(&mut self) -> io::Result<bool> {
        Ok(hashes_ports() || self.rtnetlink.has_rules_about_ports()?)
    }

    /// Sockets on which a message means that any route may be refused or ready now.
    pub(crate) fn event_sockets(&self) -> io::Result<Vec<Events>> {
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
        self.default_ttl = None;
    }

    /// The next hop of a key. If its neighbour is not known, the kernel looks it up from now on.
    pub(crate) fn resolve(&mut self, key: RouteKey) -> io::Result<Resolution> {
        use UserspaceReason::{DeviceUnsuitable, LocalReceiver, NoNeighbour, NoRoute};

        let route = self
            .rtnetlink
            .route(key.source, key.destination, key.tos, key.ports)?;
        let Some(route) = route else {
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
        let stack = match self.device(route.ifindex)? {
            Device::Usable(stack) => stack,
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
            ifindex: stack.base.ifindex,
            mtu: u16::try_from(route.mtu.unwrap_or(u32::MAX).min(stack.mtu(key.destination)))
                .unwrap_or(u16::MAX),
            hop_limit: self.hop_limit(key.destination, route.hop_limit, &stack),
            reserved: 0,
            destination_mac,
            source_mac: stack.mac,
            vlans: stack.tags(key.destination, key.tos),
        };
        Ok(Resolution::Ready(via, hop))
    }

    /// The TTL or hop limit of what a socket sends: that of the route, else that of the device (IPv6) or of the host. There is
    /// no event when the latter change: they are looked up again with everything else.
    fn hop_limit(&mut self, destination: IpAddr, of_route: Option<u32>, stack: &Stack) -> u8 {
        let of_device = stack.ipv6_hop_limit.filter(|_| destination.is_ipv6());
        let found = of_route.or(of_device).and_then(|limit| u8::try_from(limit).ok());
        found.unwrap_or_else(|| *self.default_ttl.get_or_insert_with(default_ttl))
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
            return Ok(known.clone());
        }
        let device = match self.rtnetlink.link(ifindex)? {
            Some(link) => self.judge(link)?,
            None => Device::Refused(UserspaceReason::NoRoute),
        };
        self.devices.insert(ifindex, device.clone());
        Ok(device)
    }

    fn judge(&mut self, link: Link) -> io::Result<Device> {
        if link.is_loopback() {
            return Ok(Device::Refused(UserspaceReason::LocalReceiver));
        }
        let is_up = link.is_up();
        let is_kept_out = self.config.mode_of(&link.name) == XdpMode::Off;
        let stack = Stack::of(link, |ifindex| self.rtnetlink.link(ifindex))?;
        let Some(stack) = stack.filter(|stack| !is_tunnel(&stack.base)) else {
            return Ok(Device::Refused(UserspaceReason::DeviceUnsuitable));
        };
        if is_kept_out && self.config.mode_of(&stack.base.name) == XdpMode::Off {
            return Ok(Device::Refused(UserspaceReason::DeviceNotAllowed));
        }
        if !is_up || !stack.base.is_up() {
            return Ok(Device::Refused(UserspaceReason::NoNeighbour));
        }
        if !self.takes_redirects(stack.base.ifindex)? {
            return Ok(Device::Refused(UserspaceReason::DeviceUnsuitable));
        }
        Ok(Device::Usable(Box::new(stack)))
    }

    fn takes_redirects(&mut self, ifindex: u32) -> io::Result<bool> {
        let Some(netdev) = self.netdev.as_mut().filter(|_| self.from_drivers) else {
            return Ok(true);
        };
        let takes = netdev.takes_redirects(ifindex)?;
        if takes {
            self.lacking.remove(&ifindex);
        } else {
            self.has_new_lacking |= self.lacking.insert(ifindex);
        }
        Ok(takes)
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

/// Whether a device looks like Ethernet's but wraps its frames.
fn is_tunnel(link: &Link) -> bool {
    link.kind.as_deref().is_some_and(|kind| TUNNELS.contains(&kind))
}

/// The TTL of packets of this host (`net.ipv4.ip_default_ttl`), in the network namespace of the calling thread.
fn default_ttl() -> u8 {
    const USUAL: u8 = 64;
    let ttl = fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl");
    ttl.ok().and_then(|ttl| ttl.trim().parse().ok()).unwrap_or(USUAL)
}

/// Whether the choice between several next hops depends on ports.
fn hashes_ports() -> bool {
    ["ipv4", "ipv6"].into_iter().any(|family| {
        let path = format!("/proc/sys/net/{family}/fib_multipath_hash_policy");
        // 1: addresses and ports; 3: whatever is configured (ip-sysctl of the kernel's documentation).
        fs::read_to_string(path).is_ok_and(|policy| matches!(policy.trim(), "1" | "3"))
    })
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

    /// Whether it depends on a device.
    pub(crate) fn leaves_by(&self, ifindex: u32) -> bool {
        let is_below = matches!(self, Resolution::Ready(_, route) if route.ifindex == ifindex);
        is_below || self.via().is_some_and(|via| via.ifindex == ifindex)
    }

    /// The neighbour that it depends on.
    pub(crate) fn via(&self) -> Option<Via> {
        match self {
            Resolution::Ready(via, _) | Resolution::Waiting(via) => Some(*via),
            Resolution::Refused(_, via) => *via,
        }
    }
}
