//! Routes, devices, addresses and neighbours (rtnetlink).

use std::io;
use std::net::IpAddr;

use super::address::{Prefix, family, ip, octets, unspecified};
use super::link::{IFINFOMSG, Link};
use super::message::{Message, Request, u16_at, u32_at};
use super::socket::{Family, Socket};

// linux/rtnetlink.h, linux/neighbour.h, linux/if_link.h, linux/if_addr.h: what libc does not name.
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_METRICS: u16 = 8;
const RTA_VIA: u16 = 18;
const RTA_ENCAP: u16 = 22;
const RTA_IP_PROTO: u16 = 27;
const RTA_SPORT: u16 = 28;
const RTA_DPORT: u16 = 29;
const RTAX_MTU: u16 = 2;
const RTAX_HOPLIMIT: u16 = 10;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_FLAGS_EXT: u16 = 15;
const NTF_EXT_MANAGED: u32 = 1 << 0;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;

/// Lengths of `struct rtmsg`, `ndmsg`, `ifaddrmsg` and `fib_rule_hdr`.
const RTMSG: usize = 12;
const NDMSG: usize = 12;
const IFADDRMSG: usize = 8;
const FIB_RULE_HDR: usize = 12;

/// A socket that asks.
#[derive(Debug)]
pub(crate) struct Rtnetlink {
    pub(super) socket: Socket,
}

/// How packets to an address leave the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteReply {
    /// What the route does with them.
    pub(crate) kind: RouteKind,
    /// The device.
    pub(crate) ifindex: u32,
    /// The next hop; none if the address itself is the neighbour.
    pub(crate) gateway: Option<IpAddr>,
    /// MTU of the route or of the path, where it has one of its own.
    pub(crate) mtu: Option<u32>,
    /// TTL or hop limit, where the route has one of its own.
    pub(crate) hop_limit: Option<u32>,
}

/// What a route does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteKind {
    /// Sends them on.
    Unicast,
    /// Keeps them: an address of this host.
    Local,
    /// Wraps them first (lightweight tunnels).
    Wrapped,
    /// Refuses them, or sends them to many.
    Other,
}

/// An entry of the neighbour table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// The device.
    pub(crate) ifindex: u32,
    /// The neighbour's address.
    pub(crate) address: IpAddr,
    /// `NUD_*`.
    pub(crate) state: u16,
    /// Its Ethernet address.
    pub(crate) mac: Option<[u8; 6]>,
}

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A route to this prefix came or went.
    Route(Prefix),
    /// Routes, rules, next hops or addresses: any route may be another one now.
    Routing,
    /// A device came, went or changed.
    Link(Link),
    /// A device is gone.
    LinkGone(u32),
    /// A neighbour changed.
    Neighbour(Neighbour),
    /// A neighbour was removed.
    NeighbourGone(Neighbour),
}

impl Rtnetlink {
    /// Opens it, in the network namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Rtnetlink> {
        Ok(Rtnetlink {
            socket: Socket::open(Family::Route)?,
        })
    }

    /// How a UDP packet of this host would leave it, if it has these ports (source, destination); none if there is
    /// no route.
    pub(crate) fn route(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        tos: u8,
        ports: Option<(u16, u16)>,
    ) -> io::Result<Option<RouteReply>> {
        let bits = if destination.is_ipv4() { 32 } else { 128 };
        // The lower two bits are ECN's and no business of routing.
        let mut header = [0; RTMSG];
        header[..4].copy_from_slice(&[family(destination), bits, bits, tos & 0xfc]);
        let mut request = Request::new(libc::RTM_GETROUTE, libc::NLM_F_ACK, &header)
            .with(RTA_DST, &octets(destination))
            .with(RTA_SRC, &octets(source))
            .with(RTA_IP_PROTO, &[17]);
        if let Some((source, destination)) = ports {
            request = request
                .with(RTA_SPORT, &source.to_be_bytes())
                .with(RTA_DPORT, &destination.to_be_bytes());
        }
        let mut reply = None;
        let result = self
            .socket
            .request(request, |message| reply = route_reply(&message));
        match result {
            Ok(()) => Ok(reply),
            // A refusal is an answer: no route, prohibited, blackhole, or a source that is not ours.
            Err(error) if error.raw_os_error().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A device by its number; none if it does not exist.
    pub(crate) fn link(&mut self, ifindex: u32) -> io::Result<Option<Link>> {
        let mut header = [0; IFINFOMSG];
        header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        let request = Request::new(libc::RTM_GETLINK, libc::NLM_F_ACK, &header)
            .with(IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        let mut found = None;
        let result = self
            .socket
            .request(request, |message| found = Link::parse(&message));
        unless_missing(result, libc::ENODEV)?;
        Ok(found)
    }

    /// All devices.
    pub(crate) fn links(&mut self) -> io::Result<Vec<Link>> {
        let request = Request::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &[0; IFINFOMSG])
            .with(IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        let mut links = Vec::new();
        self.socket
            .request(request, |message| links.extend(Link::parse(&message)))?;
        Ok(links)
    }

    /// Whether any routing rule looks at ports.
    pub(crate) fn has_rules_about_ports(&mut self) -> io::Result<bool> {
        let request = Request::new(libc::RTM_GETRULE, libc::NLM_F_DUMP, &[0; FIB_RULE_HDR]);
        let mut found = false;
        self.socket
            .request(request, |message| found |= is_about_ports(&message))?;
        Ok(found)
    }

    /// All addresses of this host, each with the number of its device.
    pub(crate) fn addresses(&mut self) -> io::Result<Vec<(IpAddr, u32)>> {
        let request = Request::new(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; IFADDRMSG]);
        let mut addresses = Vec::new();
        self.socket
            .request(request, |message| addresses.extend(address(&message)))?;
        Ok(addresses)
    }

    /// An entry of the neighbour table; none if there is none.
    pub(crate) fn neighbour(&mut self, ifindex: u32, address: IpAddr) -> io::Result<Option<Neighbour>> {
        let request = Request::new(
            libc::RTM_GETNEIGH,
            libc::NLM_F_ACK,
            &neighbour_header(ifindex, address, 0),
        )
        .with(NDA_DST, &octets(address));
        let mut found = None;
        let result = self
            .socket
            .request(request, |message| found = neighbour(&message));
        unless_missing(result, libc::ENOENT)?;
        Ok(found)
    }

    /// Has a neighbour looked up or confirmed now, and keeps it so (`NTF_EXT_MANAGED`, Linux 5.16; before,
    /// only as long as this is repeated) or no longer. Not for permanent entries: they would lose that.
    pub(crate) fn use_neighbour(&mut self, ifindex: u32, address: IpAddr, keep: bool) -> io::Result<()> {
        let flags = if keep { NTF_EXT_MANAGED } else { 0 };
        let request = Request::new(
            libc::RTM_NEWNEIGH,
            libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
            &neighbour_header(ifindex, address, libc::NTF_USE),
        )
        .with(NDA_DST, &octets(address))
        .with(NDA_FLAGS_EXT, &flags.to_ne_bytes());
        self.socket.request(request, |_| {})
    }
}

/// The multicast groups of everything that a route depends on.
pub(crate) fn groups() -> [u32; 9] {
    [
        libc::RTNLGRP_LINK,
        libc::RTNLGRP_NEIGH,
        libc::RTNLGRP_IPV4_IFADDR,
        libc::RTNLGRP_IPV4_ROUTE,
        libc::RTNLGRP_IPV4_RULE,
        libc::RTNLGRP_IPV6_IFADDR,
        libc::RTNLGRP_IPV6_ROUTE,
        libc::RTNLGRP_IPV6_RULE,
        libc::RTNLGRP_NEXTHOP,
    ]
}

impl Event {
    /// What a message of [`groups`] says; none if it does not matter.
    pub(crate) fn of(message: &Message<'_>) -> Option<Event> {
        match message.kind {
            libc::RTM_NEWROUTE | libc::RTM_DELROUTE => route_event(message),
            libc::RTM_NEWLINK => Link::parse(message).map(Event::Link),
            libc::RTM_DELLINK => Link::parse(message).map(|link| Event::LinkGone(link.ifindex)),
            libc::RTM_NEWNEIGH => neighbour(message).map(Event::Neighbour),
            libc::RTM_DELNEIGH => neighbour(message).map(Event::NeighbourGone),
            _ => Some(Event::Routing),
        }
    }
}

impl Neighbour {
    /// The Ethernet address, if it is known and not known to be wrong.
    pub(crate) fn usable_mac(&self) -> Option<[u8; 6]> {
        const VALID: u16 = libc::NUD_REACHABLE
            | libc::NUD_STALE
            | libc::NUD_DELAY
            | libc::NUD_PROBE
            | libc::NUD_PERMANENT
            | libc::NUD_NOARP;
        self.mac.filter(|_| self.state & VALID != 0)
    }

    /// Whether it is set by hand or needs no look-up.
    pub(crate) fn is_fixed(&self) -> bool {
        self.state & (libc::NUD_PERMANENT | libc::NUD_NOARP) != 0
    }

    /// Whether it did not answer.
    pub(crate) fn has_failed(&self) -> bool {
        self.state & libc::NUD_FAILED != 0
    }
}

fn route_reply(message: &Message<'_>) -> Option<RouteReply> {
    let mut reply = RouteReply {
        kind: match *message.body.get(7)? {
            libc::RTN_UNICAST => RouteKind::Unicast,
            libc::RTN_LOCAL => RouteKind::Local,
            _ => RouteKind::Other,
        },
        ifindex: 0,
        gateway: None,
        mtu: None,
        hop_limit: None,
    };
    for attribute in message.attributes(RTMSG) {
        match attribute.kind {
            RTA_OIF => reply.ifindex = attribute.u32()?,
            RTA_GATEWAY => reply.gateway = ip(attribute.payload),
            // A next hop of the other family: struct rtvia, family 2, address.
            RTA_VIA => reply.gateway = ip(attribute.payload.get(2..)?),
            RTA_ENCAP => reply.kind = RouteKind::Wrapped,
            RTA_METRICS => {
                let metric = |kind| {
                    let metric = attribute.nested().find(|metric| metric.kind == kind);
                    metric.and_then(|metric| metric.u32()).filter(|value| *value > 0)
                };
                reply.mtu = metric(RTAX_MTU);
                reply.hop_limit = metric(RTAX_HOPLIMIT);
            }
            _ => {}
        }
    }
    Some(reply)
}

fn is_about_ports(rule: &Message<'_>) -> bool {
    rule.attributes(FIB_RULE_HDR)
        .any(|attribute| matches!(attribute.kind, FRA_SPORT_RANGE | FRA_DPORT_RANGE))
}

fn route_event(message: &Message<'_>) -> Option<Event> {
    let family = *message.body.first()?;
    let length = *message.body.get(1)?;
    let address = message
        .attributes(RTMSG)
        .find(|attribute| attribute.kind == RTA_DST)
        .map_or_else(|| unspecified(family), |attribute| ip(attribute.payload))?;
    Some(Event::Route(Prefix { address, length }))
}

/// On point-to-point devices `IFA_ADDRESS` is the other end and `IFA_LOCAL` ours; IPv6 has no `IFA_LOCAL`.
fn address(message: &Message<'_>) -> Option<(IpAddr, u32)> {
    let ifindex = u32_at(message.body, 4)?;
    let find = |kind| {
        message
            .attributes(IFADDRMSG)
            .find(|attribute| attribute.kind == kind)
            .and_then(|attribute| ip(attribute.payload))
    };
    Some((find(IFA_LOCAL).or_else(|| find(IFA_ADDRESS))?, ifindex))
}

fn neighbour(message: &Message<'_>) -> Option<Neighbour> {
    let mut address = None;
    let mut mac = None;
    for attribute in message.attributes(NDMSG) {
        match attribute.kind {
            NDA_DST => address = ip(attribute.payload),
            NDA_LLADDR => mac = attribute.payload.try_into().ok(),
            _ => {}
        }
    }
    Some(Neighbour {
        ifindex: u32_at(message.body, 4)?,
        address: address?,
        state: u16_at(message.body, 8)?,
        mac,
    })
}

/// `struct ndmsg`: family 1, padding 3, ifindex 4, state 2, flags 1, type 1.
fn neighbour_header(ifindex: u32, address: IpAddr, flags: u8) -> [u8; NDMSG] {
    let mut header = [0; NDMSG];
    header[0] = family(address);
    header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    header[10] = flags;
    header
}

fn unless_missing(result: io::Result<()>, missing: i32) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(missing) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_message_is_read_or_refused(
            kind in 16u16..120,
            body in proptest::collection::vec(any::<u8>(), 0..128),
        ) {
            let message = Message { kind, sequence: 0, body: &body };
            let _ = Event::of(&message);
            let _ = route_reply(&message);
            let _ = address(&message);
            let _ = is_about_ports(&message);
        }
    }

    #[test]
    fn the_loopback_address_is_local() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let mut rtnetlink = Rtnetlink::open().unwrap();
        let addresses = rtnetlink.addresses().unwrap();
        let (_, ifindex) = addresses
            .iter()
            .find(|(address, _)| *address == loopback)
            .unwrap();
        let link = rtnetlink.link(*ifindex).unwrap().unwrap();
        assert!(link.is_loopback());
        assert!(rtnetlink.links().unwrap().contains(&link));
        let route = rtnetlink.route(loopback, loopback, 184, None).unwrap().unwrap();
        assert_eq!(route.kind, RouteKind::Local);
        assert_eq!(rtnetlink.link(0x7fff_ffff).unwrap(), None);
    }
}
