//! Devices that stand on others: a frame for a VLAN device is tagged, and leaves by the device below.

use std::io;
use std::net::IpAddr;

use smallvec::SmallVec;

use super::super::netlink::{Link, Vlan};

/// As many tags as the program writes.
const MAX_TAGS: usize = 2;

/// Where frames really leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stack {
    /// The lowest device.
    pub(super) base: Link,
    /// The Ethernet address that frames come from.
    pub(super) mac: [u8; 6],
    /// The tags, the outer one first.
    tags: SmallVec<[Vlan; MAX_TAGS]>,
    mtu: u32,
    ipv6_mtu: u32,
    /// What IPv6 packets leave with, if it is known.
    pub(super) ipv6_hop_limit: Option<u32>,
}

impl Stack {
    /// What is below a device; `find` looks for the one of a number. None if the program cannot build its frames.
    pub(super) fn of(
        link: Link,
        mut find: impl FnMut(u32) -> io::Result<Option<Link>>,
    ) -> io::Result<Option<Stack>> {
        let Some(mac) = link.mac.filter(|_| link.ethernet) else {
            return Ok(None);
        };
        let mut mtu = link.mtu;
        let (ipv6_mtu, ipv6_hop_limit) = (link.ipv6_mtu, link.ipv6_hop_limit);
        let mut tags = SmallVec::new();
        let mut base = link;
        while base.is_vlan() {
            let (Some(tag), Some(parent)) = (base.vlan, base.parent) else {
                return Ok(None);
            };
            if tags.len() == MAX_TAGS {
                return Ok(None);
            }
            tags.insert(0, tag);
            base = match find(parent)? {
                Some(below) if below.ethernet => below,
                Some(_) | None => return Ok(None),
            };
            mtu = mtu.min(base.mtu);
        }
        Ok(Some(Stack {
            base,
            mac,
            tags,
            mtu,
            ipv6_mtu: ipv6_mtu.unwrap_or(mtu).min(mtu),
            ipv6_hop_limit,
        }))
    }

    /// Largest IP packet to an address, bytes.
    pub(super) fn mtu(&self, destination: IpAddr) -> u32 {
        match destination {
            IpAddr::V4(_) => self.mtu,
            IpAddr::V6(_) => self.ipv6_mtu,
        }
    }

    /// The tags of what a socket with this TOS sends to an address: outer first, 0 for none.
    pub(super) fn tags(&self, destination: IpAddr, tos: u8) -> [u32; MAX_TAGS] {
        let priority = priority(destination, tos);
        let mut tags = [0; MAX_TAGS];
        for (tag, vlan) in tags.iter_mut().zip(&self.tags) {
            *tag = vlan.tag(priority);
        }
        tags
    }
}

/// The priority that the stack gives to what a socket with this TOS sends (socket(7), `SO_PRIORITY`; tc-prio(8)). A
/// traffic class sets none.
fn priority(destination: IpAddr, tos: u8) -> u32 {
    const BEST_EFFORT: u32 = 0;
    const BULK: u32 = 2;
    const INTERACTIVE_BULK: u32 = 4;
    const INTERACTIVE: u32 = 6;
    if destination.is_ipv6() {
        return BEST_EFFORT;
    }
    match tos >> 3 & 3 {
        0 => BEST_EFFORT,
        1 => BULK,
        2 => INTERACTIVE,
        _ => INTERACTIVE_BULK,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::netlink::links::{ethernet, vlan};
    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
    const EXPEDITED: u8 = 184;

    fn stack_of(link: Link, below: &[Link]) -> Option<Stack> {
        Stack::of(link, |ifindex| {
            let mut below = below.iter();
            Ok(below.find(|link| link.ifindex == ifindex).cloned())
        })
        .unwrap()
    }

    #[test]
    fn a_plain_device_stands_alone() {
        let stack = stack_of(ethernet(2, "eth0"), &[]).unwrap();
        assert_eq!((stack.base.ifindex, stack.mac), (2, [2, 0, 0, 0, 0, 2]));
        assert_eq!((stack.mtu(V4), stack.tags(V4, EXPEDITED)), (1500, [0, 0]));
        let tunnel = Link {
            ethernet: false,
            ..ethernet(3, "tun0")
        };
        assert_eq!(stack_of(tunnel, &[]), None);
    }

    #[test]
    fn a_vlan_device_tags_its_frames() {
        let mut upper = vlan(9, "eth0.100", 2, 100);
        upper.vlan.as_mut().unwrap().priorities = vec![(4, 5)];
        (upper.mtu, upper.ipv6_mtu, upper.ipv6_hop_limit) = (9000, Some(1280), Some(7));
        let stack = stack_of(upper, &[ethernet(2, "eth0")]).unwrap();
        assert_eq!(stack.base.ifindex, 2);
        assert_eq!(stack.mac, [2, 0, 0, 0, 0, 9], "its own address");
        assert_eq!((stack.mtu(V4), stack.mtu(V6)), (1500, 1280));
        assert_eq!(stack.ipv6_hop_limit, Some(7));
        assert_eq!(stack.tags(V4, 0), [0x8100_0064, 0]);
        assert_eq!(stack.tags(V4, EXPEDITED), [0x8100_a064, 0]);
        assert_eq!(stack.tags(V6, EXPEDITED), [0x8100_0064, 0]);
    }

    #[test]
    fn tags_stand_in_the_order_of_the_wire() {
        let mut service = vlan(3, "eth0.7", 2, 7);
        service.vlan.as_mut().unwrap().protocol = 0x88a8;
        let below = [ethernet(2, "eth0"), service];
        let stack = stack_of(vlan(4, "eth0.7.8", 3, 8), &below).unwrap();
        assert_eq!(stack.base.name, "eth0");
        assert_eq!(stack.tags(V4, 0), [0x88a8_0007, 0x8100_0008]);
    }

    #[test]
    fn more_tags_or_nothing_below_is_no_way_out() {
        let below = [ethernet(2, "eth0"), vlan(3, "a", 2, 7), vlan(4, "b", 3, 8)];
        assert_eq!(stack_of(vlan(5, "c", 4, 9), &below), None);
        assert_eq!(stack_of(vlan(5, "c", 77, 9), &below), None);
        let elsewhere = Link {
            parent: None,
            ..vlan(5, "c", 2, 9)
        };
        assert_eq!(stack_of(elsewhere, &below), None);
        // A loop, which the kernel does not make.
        assert_eq!(stack_of(vlan(5, "c", 5, 9), &[vlan(5, "c", 5, 9)]), None);
    }

    #[test]
    fn priorities_are_those_of_sockets() {
        assert_eq!(
            [0x00, 0x08, 0x10, 0x18, EXPEDITED].map(|tos| priority(V4, tos)),
            [0, 2, 6, 4, 4]
        );
    }
}
