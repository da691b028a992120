//! A network to relay in: three namespaces in a row.
//!
//! ```text
//! caller                     relay                      callee
//!   c0 10.9.1.2 ─────── r0 10.9.1.1
//!      fd09:1::2           fd09:1::1
//!                       r1 10.9.2.1 ─────── d0 10.9.2.2
//!                          fd09:2::1           fd09:2::2
//! ```

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::capture::Capture;
use crate::netns::{Namespace, Offload, connect};
use crate::probe::Side;

/// The namespaces.
#[derive(Debug)]
pub struct Lab {
    /// Where calls come from.
    pub caller: Namespace,
    /// In between; nothing is routed through it.
    pub relay: Namespace,
    /// Where calls go to.
    pub callee: Namespace,
}

/// Of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Lab {
    /// Connected, with addresses. Both ends take redirected frames; nobody leaves checksums to be filled
    /// in by a device that does not exist.
    pub fn new() -> Lab {
        let lab = Lab {
            caller: Namespace::new("caller"),
            relay: Namespace::new("relay"),
            callee: Namespace::new("callee"),
        };
        for namespace in [&lab.caller, &lab.relay, &lab.callee] {
            // Else all routes are looked up again a second later, when the addresses are known to be unique.
            namespace.sysctl("ipv6/conf/default/accept_dad", "0");
        }
        connect((&lab.caller, "c0"), (&lab.relay, "r0"));
        connect((&lab.relay, "r1"), (&lab.callee, "d0"));
        for (namespace, device, v4, v6) in [
            (&lab.caller, "c0", "1.2", "1::2"),
            (&lab.relay, "r0", "1.1", "1::1"),
            (&lab.relay, "r1", "2.1", "2::1"),
            (&lab.callee, "d0", "2.2", "2::2"),
        ] {
            namespace.ip(&format!("addr add 10.9.{v4}/24 dev {device}"));
            namespace.ip(&format!("addr add fd09:{v6}/64 dev {device} nodad"));
            namespace.set_offload(device, Offload::TransmitChecksum, false);
        }
        lab.caller.set_offload("c0", Offload::GenericReceive, true);
        lab.callee.set_offload("d0", Offload::GenericReceive, true);
        lab
    }

    /// One of the two ends.
    pub fn end(&self, side: Side) -> &Namespace {
        match side {
            Side::Caller => &self.caller,
            Side::Callee => &self.callee,
        }
    }

    /// A socket at one end.
    pub fn bind(&self, side: Side, address: SocketAddr) -> UdpSocket {
        let socket = self.end(side).run(|| UdpSocket::bind(address));
        socket.unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// Captures what one end receives.
    pub fn capture(&self, side: Side) -> Capture {
        self.end(side).run(|| Capture::open(device(side)))
    }

    /// The Ethernet addresses of the last hop to an end: from the relay, to it.
    pub fn last_hop(&self, side: Side) -> ([u8; 6], [u8; 6]) {
        let relay = match side {
            Side::Caller => "r0",
            Side::Callee => "r1",
        };
        (self.relay.mac(relay), self.end(side).mac(device(side)))
    }
}

/// The device of one end.
pub fn device(side: Side) -> &'static str {
    match side {
        Side::Caller => "c0",
        Side::Callee => "d0",
    }
}

impl IpVersion {
    /// Address of one end.
    pub fn address(self, side: Side) -> IpAddr {
        let text = match (self, side) {
            (IpVersion::V4, Side::Caller) => "10.9.1.2",
            (IpVersion::V4, Side::Callee) => "10.9.2.2",
            (IpVersion::V6, Side::Caller) => "fd09:1::2",
            (IpVersion::V6, Side::Callee) => "fd09:2::2",
        };
        text.parse().expect("an address")
    }
}

impl Default for Lab {
    fn default() -> Lab {
        Lab::new()
    }
}
