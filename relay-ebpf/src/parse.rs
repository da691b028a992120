//! Headers, and their way into what the rest of the program needs of them.
//!
//! All fields are as they lie in memory: in network byte order.

use relay_common::slot::{Address, PassReason};

use crate::access::Packet;

pub const ETHERTYPE_IPV4: u16 = 0x0800_u16.to_be();
pub const ETHERTYPE_IPV6: u16 = 0x86dd_u16.to_be();
const ETHERTYPE_VLAN: u16 = 0x8100_u16.to_be();
const ETHERTYPE_QINQ: u16 = 0x88a8_u16.to_be();

pub const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_IPV6_FRAGMENT: u8 = 44;

/// "More fragments" and the fragment offset.
const FRAGMENT: u16 = 0x3fff_u16.to_be();

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
    pub fragment: u16,
    pub ttl: u8,
    pub protocol: u8,
    pub checksum: u16,
    pub source: u32,
    pub destination: u32,
}

#[repr(C)]
pub struct Ipv6 {
    /// Version, traffic class, flow label.
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

/// The IP and UDP headers as they follow each other.
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

/// What a UDP datagram's headers say.
pub struct Datagram {
    pub ipv6: bool,
    pub source: Address,
    pub destination: Address,
    pub source_port: u16,
    pub destination_port: u16,
    pub checksum: u16,
    /// The UDP length field.
    pub length: u16,
    /// Where the payload begins, bytes from the start of the frame.
    pub payload: usize,
}

impl Datagram {
    #[inline(always)]
    pub fn parse(packet: Packet) -> Result<Self, PassReason> {
        let (ethertype, ip) = link_layer(packet)?;
        match ethertype {
            ETHERTYPE_IPV4 => Self::parse_ipv4(packet, ip),
            ETHERTYPE_IPV6 => Self::parse_ipv6(packet, ip),
            _ => Err(PassReason::NotIp),
        }
    }

    /// Length of the UDP payload, bytes.
    #[inline(always)]
    pub fn payload_length(&self) -> u64 {
        (u16::from_be(self.length) as u64).wrapping_sub(size_of::<Udp>() as u64)
    }

    #[inline(always)]
    fn parse_ipv4(packet: Packet, offset: usize) -> Result<Self, PassReason> {
        // SAFETY: `at` has checked the bounds; any bytes are valid.
        let WithUdp { ip, udp } = unsafe { &*packet.at::<WithUdp<Ipv4>>(offset)? };
        if ip.version_and_length != 0x45 {
            return Err(PassReason::IpOptions);
        }
        if ip.fragment & FRAGMENT != 0 {
            return Err(PassReason::Fragment);
        }
        if ip.protocol != PROTOCOL_UDP {
            return Err(PassReason::NotUdp);
        }
        let total = u16::from_be(ip.total_length) as usize;
        let length = total.wrapping_sub(size_of::<Ipv4>());
        let source = [0, 0, 0xffff_u32.to_be(), ip.source];
        let destination = [0, 0, 0xffff_u32.to_be(), ip.destination];
        let payload = offset + size_of::<WithUdp<Ipv4>>();
        Self::new(packet, false, source, destination, udp, length, payload)
    }

    #[inline(always)]
    fn parse_ipv6(packet: Packet, offset: usize) -> Result<Self, PassReason> {
        // SAFETY: `at` has checked the bounds; any bytes are valid.
        let WithUdp { ip, udp } = unsafe { &*packet.at::<WithUdp<Ipv6>>(offset)? };
        if u32::from_be(ip.head) >> 28 != 6 {
            return Err(PassReason::NotIp);
        }
        if ip.next_header == PROTOCOL_IPV6_FRAGMENT {
            return Err(PassReason::Fragment);
        }
        if ip.next_header != PROTOCOL_UDP {
            return Err(PassReason::NotUdp);
        }
        let length = u16::from_be(ip.payload_length) as usize;
        let payload = offset + size_of::<WithUdp<Ipv6>>();
        Self::new(packet, true, ip.source, ip.destination, udp, length, payload)
    }

    /// `length` is that of the IP packet's payload; it and the UDP length must agree.
    #[inline(always)]
    fn new(
        packet: Packet,
        ipv6: bool,
        source: Address,
        destination: Address,
        udp: &Udp,
        length: usize,
        payload: usize,
    ) -> Result<Self, PassReason> {
        if length < size_of::<Udp>()
            || length != u16::from_be(udp.length) as usize
            || !packet.holds(payload - size_of::<Udp>() + length)
        {
            return Err(PassReason::Short);
        }
        Ok(Self {
            ipv6,
            source,
            destination,
            source_port: udp.source_port,
            destination_port: udp.destination_port,
            checksum: udp.checksum,
            length: udp.length,
            payload,
        })
    }
}

/// The EtherType behind at most two VLAN tags, and the offset of what it announces.
#[inline(always)]
fn link_layer(packet: Packet) -> Result<(u16, usize), PassReason> {
    // SAFETY: here and below `at` has checked the bounds; any bytes are valid.
    let ethertype = unsafe { (*packet.at::<Ethernet>(0)?).ethertype };
    let mut offset = size_of::<Ethernet>();
    if !is_vlan(ethertype) {
        return Ok((ethertype, offset));
    }
    let ethertype = unsafe { (*packet.at::<Vlan>(offset)?).ethertype };
    offset += size_of::<Vlan>();
    if !is_vlan(ethertype) {
        return Ok((ethertype, offset));
    }
    let ethertype = unsafe { (*packet.at::<Vlan>(offset)?).ethertype };
    Ok((ethertype, offset + size_of::<Vlan>()))
}

#[inline(always)]
fn is_vlan(ethertype: u16) -> bool {
    ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ
}
