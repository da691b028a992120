//! From a frame to a UDP datagram.

use super::{
    ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, IPV4_HEADER,
    IPV6_HEADER, PROTOCOL_IPV6_FRAGMENT, PROTOCOL_UDP, UDP_HEADER, address_sum,
};
use crate::checksum;
use crate::slot::{Address, PassReason, vlan_tag};

/// A UDP datagram and all of its headers that matter.
pub(super) struct Datagram<'a> {
    /// Who the frame is for.
    pub(super) mac: [u8; 6],
    /// As in a [`LocalKey`](crate::slot::LocalKey).
    pub(super) vlans: [u16; 2],
    pub(super) ipv6: bool,
    /// The checksum of the IPv4 header is right.
    pub(super) is_header_intact: bool,
    pub(super) source: Address,
    pub(super) destination: Address,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    /// The UDP length, header included.
    pub(super) length: u16,
    pub(super) checksum: u16,
    pub(super) payload: &'a [u8],
    /// What follows the IP packet: Ethernet padding, kept as it is.
    pub(super) trailer: &'a [u8],
}

impl<'a> Datagram<'a> {
    pub(super) fn parse(frame: &'a [u8]) -> Result<Self, PassReason> {
        let (macs, mut rest) = frame
            .split_at_checked(ETHERNET_HEADER - 2)
            .ok_or(PassReason::Short)?;
        let mut vlans = [0; 2];
        let mut tags = 0;
        loop {
            let (ethertype, after) = rest.split_first_chunk().ok_or(PassReason::Short)?;
            let mut datagram = match u16::from_be_bytes(*ethertype) {
                ETHERTYPE_IPV4 => Self::parse_ipv4(after)?,
                ETHERTYPE_IPV6 => Self::parse_ipv6(after)?,
                tpid @ (ETHERTYPE_VLAN | ETHERTYPE_QINQ) if tags < 2 => {
                    let (tci, after) = after.split_first_chunk().ok_or(PassReason::Short)?;
                    let tag = vlan_tag(tpid, u16::from_be_bytes(*tci));
                    if let Some(free) = vlans.iter_mut().find(|known| tag != 0 && **known == 0) {
                        *free = tag;
                    }
                    tags += 1;
                    rest = after;
                    continue;
                }
                _ => return Err(PassReason::NotIp),
            };
            datagram.mac = *macs.first_chunk().ok_or(PassReason::Short)?;
            datagram.vlans = vlans;
            return Ok(datagram);
        }
    }

    fn parse_ipv4(packet: &'a [u8]) -> Result<Self, PassReason> {
        let (ip, rest) = packet
            .split_first_chunk::<IPV4_HEADER>()
            .ok_or(PassReason::Short)?;
        if rest.len() < UDP_HEADER {
            return Err(PassReason::Short);
        }
        if ip[0] != 0x45 {
            return Err(PassReason::IpOptions);
        }
        let more_fragments_or_offset = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff;
        if more_fragments_or_offset != 0 {
            return Err(PassReason::Fragment);
        }
        if ip[9] != PROTOCOL_UDP {
            return Err(PassReason::NotUdp);
        }
        let total = u16::from_be_bytes([ip[2], ip[3]]);
        let length = usize::from(total)
            .checked_sub(IPV4_HEADER)
            .ok_or(PassReason::Short)?;
        let source = ipv4_mapped([ip[12], ip[13], ip[14], ip[15]]);
        let destination = ipv4_mapped([ip[16], ip[17], ip[18], ip[19]]);
        let datagram = Self::parse_udp(false, source, destination, rest, length)?;
        Ok(Self {
            is_header_intact: checksum::fold(checksum::sum(ip)) == u16::MAX,
            ..datagram
        })
    }

    fn parse_ipv6(packet: &'a [u8]) -> Result<Self, PassReason> {
        let (ip, rest) = packet
            .split_first_chunk::<IPV6_HEADER>()
            .ok_or(PassReason::Short)?;
        if rest.len() < UDP_HEADER {
            return Err(PassReason::Short);
        }
        if ip[0] >> 4 != 6 {
            return Err(PassReason::NotIp);
        }
        match ip[6] {
            PROTOCOL_UDP => {}
            PROTOCOL_IPV6_FRAGMENT => return Err(PassReason::Fragment),
            _ => return Err(PassReason::NotUdp),
        }
        let length = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
        Self::parse_udp(true, address(&ip[8..24]), address(&ip[24..40]), rest, length)
    }

    /// `length` is that of the IP packet's payload; it and the UDP length must agree.
    fn parse_udp(
        ipv6: bool,
        source: Address,
        destination: Address,
        rest: &'a [u8],
        length: usize,
    ) -> Result<Self, PassReason> {
        let (segment, trailer) = rest.split_at_checked(length).ok_or(PassReason::Short)?;
        let (udp, payload) = segment
            .split_first_chunk::<UDP_HEADER>()
            .ok_or(PassReason::Short)?;
        let field = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
        if usize::from(field(4)) != length {
            return Err(PassReason::Short);
        }
        Ok(Self {
            mac: [0; 6],
            vlans: [0; 2],
            ipv6,
            is_header_intact: true,
            source,
            destination,
            source_port: field(0),
            destination_port: field(2),
            length: field(4),
            checksum: field(6),
            payload,
            trailer,
        })
    }

    /// The sum over the pseudo-header (RFC 768, RFC 8200 section 8.1), folded. A sender that leaves
    /// the checksum to its network card has put just this into the checksum field.
    pub(super) fn pseudo_header_sum(&self) -> u16 {
        let addresses = address_sum(&self.source) + address_sum(&self.destination);
        checksum::fold(addresses + u64::from(PROTOCOL_UDP) + u64::from(self.length))
    }
}

pub(super) fn ipv4_mapped(address: [u8; 4]) -> Address {
    [0, 0, 0xffff_u32.to_be(), u32::from_ne_bytes(address)]
}

fn address(bytes: &[u8]) -> Address {
    core::array::from_fn(|word| {
        let at = word * 4;
        u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    })
}
