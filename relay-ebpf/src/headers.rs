//! Headers as they lie in a packet: all fields in network byte order.

use relay_common::slot::Address;

pub const ETHERTYPE_IPV4: u16 = 0x0800_u16.to_be();
pub const ETHERTYPE_IPV6: u16 = 0x86dd_u16.to_be();
pub const ETHERTYPE_VLAN: u16 = 0x8100_u16.to_be();
pub const ETHERTYPE_QINQ: u16 = 0x88a8_u16.to_be();

pub const PROTOCOL_UDP: u8 = 17;
pub const PROTOCOL_IPV6_FRAGMENT: u8 = 44;

#[repr(C)]
pub struct Ethernet {
    /// Destination and source.
    pub macs: [u16; 6],
    pub ethertype: u16,
}

#[repr(C)]
pub struct Vlan {
    pub tci: u16,
    pub ethertype: u16,
}

#[repr(C)]
pub struct Ipv4 {
    pub version_and_length: u8,
    pub tos: u8,
    pub total_length: u16,
    pub identification: u16,
    /// Flags and fragment offset.
    pub fragment: u16,
    pub ttl: u8,
    pub protocol: u8,
    pub checksum: u16,
    pub source: u32,
    pub destination: u32,
}

#[repr(C)]
pub struct Ipv6 {
    /// Version, traffic class and flow label.
    pub head: u32,
    pub payload_length: u16,
    pub next_header: u8,
    pub hop_limit: u8,
    pub source: Address,
    pub destination: Address,
}

#[repr(C)]
pub struct Udp {
    pub source_port: u16,
    pub destination_port: u16,
    pub length: u16,
    pub checksum: u16,
}

/// An IP header and the UDP header behind it.
#[repr(C)]
pub struct WithUdp<T> {
    pub ip: T,
    pub udp: Udp,
}

/// The first bytes of an RTP packet (RFC 3550 section 5.1).
#[repr(C)]
pub struct Rtp {
    pub first: u8,
    pub second: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}
