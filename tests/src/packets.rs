//! Packets as test input: whole Ethernet frames with all their header fields, and RTP.

use std::net::{IpAddr, SocketAddr};

use relay_common::checksum;

/// Length of an Ethernet header without tags, bytes.
pub const ETHERNET: usize = 14;

/// The UDP checksum of a [`Frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpChecksum {
    /// The right one.
    Full,
    /// Only the pseudo-header's sum: what a sender leaves for its network card to finish.
    Partial,
    /// This value.
    Fixed(u16),
}

/// A UDP datagram in an Ethernet frame. The IP version is that of the addresses.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Ethernet destination.
    pub destination_mac: [u8; 6],
    /// Ethernet source.
    pub source_mac: [u8; 6],
    /// TPID and TCI, outer tag first.
    pub vlans: Vec<(u16, u16)>,
    /// Source address and port.
    pub source: SocketAddr,
    /// Destination address and port.
    pub destination: SocketAddr,
    /// TOS or traffic class.
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4 identification.
    pub identification: u16,
    /// IPv4 flags and fragment offset.
    pub fragment: u16,
    /// IPv6 flow label.
    pub flow_label: u32,
    /// IPv4 options; a multiple of four bytes.
    pub options: Vec<u8>,
    /// The UDP checksum.
    pub checksum: UdpChecksum,
    /// UDP payload.
    pub payload: Vec<u8>,
    /// Bytes behind the IP packet.
    pub trailer: Vec<u8>,
}

impl Frame {
    /// A frame with common header fields, none of which is what the relay would send.
    ///
    /// # Panics
    ///
    /// If the two addresses are not of the same IP version.
    pub fn new(source: SocketAddr, destination: SocketAddr, payload: Vec<u8>) -> Self {
        assert_eq!(
            source.is_ipv4(),
            destination.is_ipv4(),
            "{source} cannot send to {destination}"
        );
        Self {
            destination_mac: [2, 0, 0, 0, 0, 1],
            source_mac: [2, 0, 0, 0, 0, 2],
            vlans: Vec::new(),
            source,
            destination,
            tos: 0x10,
            ttl: 57,
            identification: 0x1d2c,
            fragment: 0,
            flow_label: 0x54321,
            options: Vec::new(),
            checksum: UdpChecksum::Full,
            payload,
            trailer: Vec::new(),
        }
    }

    /// The frame's bytes, with right lengths and a right IPv4 header checksum.
    ///
    /// # Panics
    ///
    /// If the payload does not fit into an IP packet.
    pub fn bytes(&self) -> Vec<u8> {
        let udp = self.udp();
        let ip = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.ipv4(source.octets(), destination.octets(), udp.len())
            }
            (source, destination) => self.ipv6(octets(source), octets(destination), udp.len()),
        };
        [self.ethernet(), ip, udp, self.trailer.clone()].concat()
    }

    fn ethernet(&self) -> Vec<u8> {
        let ethertype: u16 = if self.source.is_ipv4() { 0x0800 } else { 0x86dd };
        let mut header = [self.destination_mac, self.source_mac].concat();
        for (tpid, tci) in &self.vlans {
            header.extend(tpid.to_be_bytes());
            header.extend(tci.to_be_bytes());
        }
        header.extend(ethertype.to_be_bytes());
        header
    }

    fn ipv4(&self, source: [u8; 4], destination: [u8; 4], payload: usize) -> Vec<u8> {
        let words = 5 + self.options.len() / 4;
        let mut header = vec![0x40 | byte(words), self.tos];
        header.extend(half(words * 4 + payload).to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, 17, 0, 0]);
        header.extend(source);
        header.extend(destination);
        header.extend(&self.options);
        let checksum = checksum::finish(checksum::sum(&header));
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        header
    }

    fn ipv6(&self, source: [u8; 16], destination: [u8; 16], payload: usize) -> Vec<u8> {
        let head = 6 << 28 | u32::from(self.tos) << 20 | self.flow_label;
        let mut header = head.to_be_bytes().to_vec();
        header.extend(half(payload).to_be_bytes());
        header.extend([17, self.ttl]);
        header.extend(source);
        header.extend(destination);
        header
    }

    fn udp(&self) -> Vec<u8> {
        let length = half(8 + self.payload.len());
        let mut udp = Vec::new();
        udp.extend(self.source.port().to_be_bytes());
        udp.extend(self.destination.port().to_be_bytes());
        udp.extend(length.to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(&self.payload);
        let pseudo_header = checksum::sum(&octets(self.source.ip()))
            + checksum::sum(&octets(self.destination.ip()))
            + 17
            + u64::from(length);
        let checksum = match self.checksum {
            UdpChecksum::Full => checksum::udp(checksum::finish(pseudo_header + checksum::sum(&udp))),
            UdpChecksum::Partial => checksum::fold(pseudo_header),
            UdpChecksum::Fixed(value) => value,
        };
        udp[6..8].copy_from_slice(&checksum.to_be_bytes());
        udp
    }
}

/// An RTP packet (RFC 3550 section 5.1) with `length` bytes of payload.
pub fn rtp(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32, length: usize) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..length).map(|at| byte(at % 251)));
    packet
}

/// An address in the form that the slot table holds: IPv4 is IPv4-mapped.
pub fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn byte(value: usize) -> u8 {
    u8::try_from(value).expect("fits into a byte")
}

fn half(value: usize) -> u16 {
    u16::try_from(value).expect("fits into an IP packet")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header that is commonly used to explain the checksum: 0xb861 for these fields.
    #[test]
    fn an_ipv4_header_is_as_in_the_textbook() {
        let addresses = (
            "192.168.0.1:1".parse().unwrap(),
            "192.168.0.199:2".parse().unwrap(),
        );
        let mut frame = Frame::new(addresses.0, addresses.1, vec![0; 87]);
        frame.tos = 0;
        frame.ttl = 64;
        frame.identification = 0;
        frame.fragment = 0x4000;
        let expected = [
            0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01,
            0xc0, 0xa8, 0x00, 0xc7,
        ];
        assert_eq!(frame.bytes()[ETHERNET..ETHERNET + 20], expected);
    }

    #[test]
    fn a_full_checksum_and_a_partial_one_differ_by_the_segment() {
        let addresses = (
            "[2001:db8::1]:1".parse().unwrap(),
            "[2001:db8::2]:2".parse().unwrap(),
        );
        let mut frame = Frame::new(addresses.0, addresses.1, vec![1, 2, 3]);
        let full = frame.udp();
        frame.checksum = UdpChecksum::Partial;
        let partial = frame.udp();
        // What the network card does: sums up the segment, the pseudo-header's sum in it.
        let finished = checksum::udp(checksum::finish(checksum::sum(&partial)));
        assert_eq!(full[6..8], finished.to_be_bytes());
    }
}
