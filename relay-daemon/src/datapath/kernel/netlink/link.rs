//! Network devices, as rtnetlink describes them.

use super::message::{Attribute, Message, u16_at, u32_at};

// linux/if_link.h: what libc does not name.
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_XDP: u16 = 43;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VLAN_EGRESS_QOS: u16 = 3;
const IFLA_VLAN_PROTOCOL: u16 = 5;
const IFLA_INET6_CONF: u16 = 2;
/// Index into the numbers of `IFLA_INET6_CONF`.
const DEVCONF_HOPLIMIT: usize = 1;
/// The same.
const DEVCONF_MTU6: usize = 2;
/// `IFLA_XDP_PROG_ID`, or, where programs are attached in several ways, one of those behind it.
const IFLA_XDP_PROG_IDS: std::ops::RangeInclusive<u16> = 4..=7;

/// Length of `struct ifinfomsg`.
pub(super) const IFINFOMSG: usize = 16;

/// A network device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its number.
    pub(crate) ifindex: u32,
    /// Its name.
    pub(crate) name: String,
    /// `IFF_*`.
    pub(crate) flags: u32,
    /// Whether its frames are Ethernet's.
    pub(crate) ethernet: bool,
    /// Its Ethernet address.
    pub(crate) mac: Option<[u8; 6]>,
    /// Largest IP packet, bytes.
    pub(crate) mtu: u32,
    /// Largest IPv6 packet, bytes, if it is known: a router may have announced less.
    pub(crate) ipv6_mtu: Option<u32>,
    /// Hop limit of IPv6 packets that leave by it, if it is known: `net.ipv6.conf.DEVICE.hop_limit`, or what a router has
    /// announced.
    pub(crate) ipv6_hop_limit: Option<u32>,
    /// What kind of virtual device it is.
    pub(crate) kind: Option<String>,
    /// The number of the device that it stands on, if that is in the same network namespace.
    pub(crate) parent: Option<u32>,
    /// The number of the device that it is a member of.
    pub(crate) master: Option<u32>,
    /// What a VLAN device does to frames.
    pub(crate) vlan: Option<Vlan>,
    /// The number of the XDP program that is attached to it.
    pub(crate) xdp_program: Option<u32>,
}

/// The tag of a VLAN device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vlan {
    /// TPID: 0x8100 or 0x88a8.
    pub(crate) protocol: u16,
    /// Number of the VLAN.
    pub(crate) id: u16,
    /// Priority in the stack, and in the tag: 0 for all others.
    pub(crate) priorities: Vec<(u32, u32)>,
}

impl Link {
    /// What an `RTM_NEWLINK` message says.
    pub(super) fn parse(message: &Message<'_>) -> Option<Link> {
        let mut link = Link {
            ifindex: u32_at(message.body, 4)?,
            flags: u32_at(message.body, 8)?,
            ethernet: u16_at(message.body, 2)? == libc::ARPHRD_ETHER,
            ..Link::default()
        };
        let mut is_parent_elsewhere = false;
        for attribute in message.attributes(IFINFOMSG) {
            match attribute.kind {
                IFLA_ADDRESS => link.mac = attribute.payload.try_into().ok(),
                IFLA_IFNAME => link.name = attribute.text()?.to_owned(),
                IFLA_MTU => link.mtu = attribute.u32()?,
                IFLA_LINK => link.parent = attribute.u32(),
                IFLA_MASTER => link.master = attribute.u32(),
                IFLA_LINK_NETNSID => is_parent_elsewhere = true,
                IFLA_LINKINFO => {
                    link.kind =
                        find(&attribute, IFLA_INFO_KIND).and_then(|kind| Some(kind.text()?.to_owned()));
                    if link.is_vlan() {
                        link.vlan = find(&attribute, IFLA_INFO_DATA).as_ref().and_then(Vlan::parse);
                    }
                }
                IFLA_AF_SPEC => {
                    link.ipv6_mtu = ipv6_setting(&attribute, DEVCONF_MTU6);
                    link.ipv6_hop_limit = ipv6_setting(&attribute, DEVCONF_HOPLIMIT);
                }
                IFLA_XDP => {
                    let mut programs = attribute
                        .nested()
                        .filter(|part| IFLA_XDP_PROG_IDS.contains(&part.kind));
                    link.xdp_program = programs.find_map(|program| program.u32().filter(|id| *id != 0));
                }
                _ => {}
            }
        }
        if is_parent_elsewhere {
            link.parent = None;
        }
        Some(link)
    }

    /// Whether it is up and has its carrier.
    pub(crate) fn is_up(&self) -> bool {
        self.has(libc::IFF_UP) && self.has(libc::IFF_LOWER_UP)
    }

    /// Whether it is the loopback device.
    pub(crate) fn is_loopback(&self) -> bool {
        self.has(libc::IFF_LOOPBACK)
    }

    /// Whether it tags frames, and hands them on to another device.
    pub(crate) fn is_vlan(&self) -> bool {
        self.kind.as_deref() == Some("vlan")
    }

    fn has(&self, flag: i32) -> bool {
        self.flags & flag.cast_unsigned() != 0
    }
}

impl Vlan {
    fn parse(data: &Attribute<'_>) -> Option<Vlan> {
        let mut vlan = Vlan {
            protocol: 0x8100,
            ..Vlan::default()
        };
        let mut id = None;
        for attribute in data.nested() {
            match attribute.kind {
                IFLA_VLAN_ID => id = u16_at(attribute.payload, 0),
                // In network byte order, unlike all others.
                IFLA_VLAN_PROTOCOL => vlan.protocol = u16::from_be(u16_at(attribute.payload, 0)?),
                // `struct ifla_vlan_qos_mapping`: from 4, to 4.
                IFLA_VLAN_EGRESS_QOS => {
                    let mappings = attribute.nested();
                    let pair = |mapping: Attribute<'_>| Some((mapping.u32()?, u32_at(mapping.payload, 4)?));
                    vlan.priorities = mappings.filter_map(pair).collect();
                }
                _ => {}
            }
        }
        vlan.id = id?;
        Some(vlan)
    }

    /// TPID and TCI of frames with a priority in the stack.
    pub(crate) fn tag(&self, priority: u32) -> u32 {
        let mapped = self.priorities.iter().find(|(from, _)| *from == priority);
        let code_point = mapped.map_or(0, |(_, to)| to & 7);
        u32::from(self.protocol) << 16 | code_point << 13 | u32::from(self.id & 0xfff)
    }
}

fn find<'a>(attribute: &Attribute<'a>, kind: u16) -> Option<Attribute<'a>> {
    attribute.nested().find(|part| part.kind == kind)
}

/// Families with their settings; that of IPv6 holds a row of numbers.
fn ipv6_setting(families: &Attribute<'_>, number: usize) -> Option<u32> {
    let family = find(families, u16::try_from(libc::AF_INET6).ok()?)?;
    u32_at(find(&family, IFLA_INET6_CONF)?.payload, number * 4)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::datapath::kernel::netlink::message::{Request, nest};

    /// A device that is up, as the kernel would describe it.
    pub(crate) fn ethernet(ifindex: u32, name: &str) -> Link {
        Link {
            ifindex,
            name: name.to_owned(),
            flags: (libc::IFF_UP | libc::IFF_LOWER_UP).cast_unsigned(),
            ethernet: true,
            mac: Some([2, 0, 0, 0, 0, u8::try_from(ifindex).unwrap()]),
            mtu: 1500,
            ..Link::default()
        }
    }

    /// A VLAN device on another one.
    pub(crate) fn vlan(ifindex: u32, name: &str, parent: u32, id: u16) -> Link {
        Link {
            kind: Some("vlan".to_owned()),
            parent: Some(parent),
            vlan: Some(Vlan {
                protocol: 0x8100,
                id,
                priorities: Vec::new(),
            }),
            ..ethernet(ifindex, name)
        }
    }

    fn header(ifindex: u32, flags: i32) -> Vec<u8> {
        let mut header = vec![0; IFINFOMSG];
        header[2..4].copy_from_slice(&libc::ARPHRD_ETHER.to_ne_bytes());
        header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        header[8..12].copy_from_slice(&flags.to_ne_bytes());
        header
    }

    /// What the kernel answers about `eth0.100` of `eth0` (number 2), made with `egress-qos-map 4:5 6:7`.
    fn vlan_answer(protocol: u16, elsewhere: bool) -> Vec<u8> {
        let mapping = |from: u32, to: u32| [from.to_ne_bytes(), to.to_ne_bytes()].concat();
        let data = nest(&[
            (IFLA_VLAN_ID, &100_u16.to_ne_bytes()),
            (2, &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
            (
                IFLA_VLAN_EGRESS_QOS,
                &nest(&[(1, &mapping(4, 5)), (1, &mapping(6, 7))]),
            ),
            (IFLA_VLAN_PROTOCOL, &protocol.to_be_bytes()),
        ]);
        let settings = [1_u32, 64, 1280, 0].map(u32::to_ne_bytes).concat();
        let mut request = Request::new(16, 0, &header(9, libc::IFF_UP | libc::IFF_LOWER_UP))
            .with(IFLA_IFNAME, b"eth0.100\0")
            .with(IFLA_MTU, &1496_u32.to_ne_bytes())
            .with(IFLA_LINK, &2_u32.to_ne_bytes())
            .with(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 9])
            .with_nested(
                IFLA_LINKINFO,
                &nest(&[(IFLA_INFO_KIND, b"vlan\0"), (IFLA_INFO_DATA, &data)]),
            )
            .with_nested(
                IFLA_AF_SPEC,
                &nest(&[(10, &nest(&[(IFLA_INET6_CONF, &settings)]))]),
            )
            .with_nested(IFLA_XDP, &nest(&[(2, &[0]), (4, &7_u32.to_ne_bytes())]));
        if elsewhere {
            request = request.with(IFLA_LINK_NETNSID, &0_u32.to_ne_bytes());
        }
        request.finish(1)
    }

    fn parse(answer: &[u8]) -> Link {
        Link::parse(&Message::all(answer).next().unwrap()).unwrap()
    }

    #[test]
    fn a_vlan_device_is_read() {
        let link = parse(&vlan_answer(0x88a8, false));
        let expected = Link {
            mtu: 1496,
            ipv6_mtu: Some(1280),
            ipv6_hop_limit: Some(64),
            xdp_program: Some(7),
            vlan: Some(Vlan {
                protocol: 0x88a8,
                id: 100,
                priorities: vec![(4, 5), (6, 7)],
            }),
            ..vlan(9, "eth0.100", 2, 100)
        };
        assert_eq!(link, expected);
        assert!(link.is_vlan() && link.is_up() && !link.is_loopback());
        assert_eq!(
            parse(&vlan_answer(0x8100, true)).parent,
            None,
            "in another namespace"
        );
    }

    #[test]
    fn tags_have_the_priority_that_is_configured() {
        let vlan = parse(&vlan_answer(0x8100, false)).vlan.unwrap();
        assert_eq!(vlan.tag(0), 0x8100_0064);
        assert_eq!(vlan.tag(4), 0x8100_a064);
        assert_eq!(vlan.tag(6), 0x8100_e064);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Link::parse(&Message { kind: 16, sequence: 0, body: &body });
        }

        #[test]
        fn any_broken_answer_is_read_or_refused(at in 16_usize..200, byte: u8, length in 0_usize..300) {
            let mut answer = vlan_answer(0x8100, false);
            if let Some(place) = answer.get_mut(at) {
                *place = byte;
            }
            answer.truncate(length.max(16));
            for message in Message::all(&answer) {
                let _ = Link::parse(&message);
            }
        }
    }
}
