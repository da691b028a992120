//! Where frames for local addresses come in, as the program sees them.
//!
//! An address belongs to its device: to the frames that come by it, with its tags, for its Ethernet address. What else the
//! stack would take is left to it:
//!
//! * Linux takes packets for any of its addresses from any device (the weak host model), if `rp_filter` does not object to the
//!   way. The program passes what came by another device than the one that has the address.
//! * Addresses of the loopback device and of dummies are routed to this host, and come by the devices that the operator names:
//!   by any of these.
//! * A bond has its program run at its members, which stand in for it.
//! * Where a driver takes VLAN tags off (`ethtool -k DEVICE`: `rx-vlan-offload`), the program cannot tell a VLAN's frames from
//!   those without a tag, and has to take them for both; `ethtool -K DEVICE rxvlan off` lets it see them.
//! * `rp_filter` itself is not asked within a device: that a rule names the only source that it relays stands for it.

use std::net::IpAddr;

use relay_common::slot::vlan_tag;

use super::{AttachedMode, Attacher, Link, Snapshot, base_of};

/// Where the packets of one local address may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ingress {
    /// The address.
    pub(crate) address: IpAddr,
    /// The device that the program sees them come by.
    pub(crate) ifindex: u32,
    /// The tags that it sees, as in [`relay_common::slot::LocalKey`].
    pub(crate) vlans: [u16; 2],
    /// The Ethernet address that they are for.
    pub(crate) mac: [u8; 6],
}

impl Attacher {
    /// Where packets of local addresses come in by now.
    pub(super) fn ingress(&self, snapshot: &Snapshot) -> Vec<Ingress> {
        let mut all = Vec::new();
        for &(address, ifindex) in &snapshot.addresses {
            let link = snapshot.links.iter().find(|link| link.ifindex == ifindex);
            let Some(link) = link.filter(|_| self.is_local(address)) else {
                continue;
            };
            if !is_everywhere(link) {
                self.add_places(address, link, snapshot, &mut all);
            } else if !address.is_loopback() {
                let named = snapshot.links.iter().filter(|link| self.is_named(link, snapshot));
                named.for_each(|link| self.add_places(address, link, snapshot, &mut all));
            }
        }
        all
    }

    /// How the program sees frames for an address that come by a device, if it does.
    fn add_places(&self, address: IpAddr, link: &Link, snapshot: &Snapshot, all: &mut Vec<Ingress>) {
        let Some(mac) = link.mac else {
            return;
        };
        let mut add = |device: &Link, vlans| {
            for ifindex in with_members(device, snapshot) {
                all.push(Ingress {
                    address,
                    ifindex,
                    vlans,
                    mac,
                });
            }
        };
        if self.devices.contains_key(&link.ifindex) {
            return add(link, [0; 2]);
        }
        let Some(base) = base_of(link, snapshot).filter(|_| link.is_vlan()) else {
            return;
        };
        let is_seen = |device: &super::Device| device.mode == AttachedMode::Native;
        if !self.devices.get(&base.ifindex).is_some_and(is_seen) {
            return;
        }
        let Some(vlans) = tags(link, snapshot) else {
            return;
        };
        add(base, vlans);
        if snapshot.takes_tags_off.contains(&base.ifindex) {
            add(base, [vlans[1], 0]);
        }
    }

    /// Whether the operator has named a device, or that which it stands on.
    fn is_named(&self, link: &Link, snapshot: &Snapshot) -> bool {
        let below = base_of(link, snapshot).filter(|_| link.is_vlan());
        self.config.names(&link.name) || below.is_some_and(|below| self.config.names(&below.name))
    }
}

/// Whether an address there is one of the whole host.
pub(super) fn is_everywhere(link: &Link) -> bool {
    link.is_loopback() || link.kind.as_deref() == Some("dummy")
}

/// A device, and those that receive for it.
fn with_members(device: &Link, snapshot: &Snapshot) -> impl Iterator<Item = u32> {
    let is_bond = matches!(device.kind.as_deref(), Some("bond" | "team"));
    let members = snapshot.links.iter();
    let members = members.filter(move |link| is_bond && link.master == Some(device.ifindex));
    std::iter::once(device.ifindex).chain(members.map(|link| link.ifindex))
}

/// The tags of a VLAN device, outer first; none if there are too many, or they are not known.
fn tags(link: &Link, snapshot: &Snapshot) -> Option<[u16; 2]> {
    let mut vlans = [0; 2];
    let mut device = link;
    while device.is_vlan() {
        if vlans[1] != 0 {
            return None;
        }
        let vlan = device.vlan.as_ref()?;
        vlans = [vlan_tag(vlan.protocol, vlan.id), vlans[0]];
        device = snapshot
            .links
            .iter()
            .find(|link| Some(link.ifindex) == device.parent)?;
    }
    Some(vlans)
}
