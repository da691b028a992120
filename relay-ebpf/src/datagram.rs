//! From a frame to a UDP datagram.

use relay_common::slot::{PassReason, vlan_tag};

use crate::access::Packet;
use crate::headers::{ETHERTYPE_QINQ, ETHERTYPE_VLAN, Ethernet, Udp, Vlan, WithUdp};
use crate::ip::Ip;

/// What the headers of a UDP datagram say, in network byte order.
pub struct Datagram<T: Ip> {
    pub source: T::Address,
    pub destination: T::Address,
    pub source_port: u16,
    pub destination_port: u16,
    pub checksum: u16,
    /// The UDP length field.
    pub length: u16,
    /// Where the payload begins, bytes from the start of the frame.
    pub payload: usize,
}

impl<T: Ip> Datagram<T> {
    /// Reads the IP header at `offset` and the UDP header behind it. All lengths must agree and lie within
    /// the frame.
    #[inline(always)]
    pub fn parse(packet: Packet, offset: usize) -> Result<Self, PassReason> {
        // SAFETY: `at` has checked the bounds; any bytes are valid.
        let WithUdp { ip, udp } = unsafe { &*packet.at::<WithUdp<T>>(offset)? };
        let length = ip.udp_length()?;
        let end = offset + size_of::<T>() + length as usize;
        if (length as usize) < size_of::<Udp>() || length != u16::from_be(udp.length) || !packet.holds(end) {
            return Err(PassReason::Short);
        }
        Ok(Self {
            source: ip.source(),
            destination: ip.destination(),
            source_port: udp.source_port,
            destination_port: udp.destination_port,
            checksum: udp.checksum,
            length: udp.length,
            payload: offset + size_of::<WithUdp<T>>(),
        })
    }

    /// Length of the UDP payload, bytes.
    #[inline(always)]
    pub fn payload_length(&self) -> u64 {
        (u16::from_be(self.length) as u64).wrapping_sub(size_of::<Udp>() as u64)
    }

    /// The sum over the received addresses.
    #[inline(always)]
    pub fn addresses(&self) -> u64 {
        T::sum(self.source) + T::sum(self.destination)
    }
}

/// How a frame came in.
pub struct Frame {
    /// What follows the tags.
    pub ethertype: u16,
    /// Where that begins.
    pub offset: usize,
    /// The tags, as in a `LocalKey`.
    pub vlans: [u16; 2],
    /// Whom it is for, in three parts.
    pub destination: [u16; 3],
}

/// The link layer, with at most two VLAN tags.
#[inline(always)]
pub fn link_layer(packet: Packet) -> Result<Frame, PassReason> {
    // SAFETY: here and below `at` has checked the bounds; any bytes are valid.
    let ethernet = unsafe { &*packet.at::<Ethernet>(0)? };
    let [high, middle, low, ..] = ethernet.macs;
    let mut frame = Frame {
        ethertype: ethernet.ethertype,
        offset: size_of::<Ethernet>(),
        vlans: [0; 2],
        destination: [high, middle, low],
    };
    for _ in 0..2 {
        if frame.ethertype != ETHERTYPE_VLAN && frame.ethertype != ETHERTYPE_QINQ {
            break;
        }
        let tag = unsafe { &*packet.at::<Vlan>(frame.offset)? };
        let known = vlan_tag(u16::from_be(frame.ethertype), u16::from_be(tag.tci));
        if frame.vlans[0] == 0 {
            frame.vlans[0] = known;
        } else {
            frame.vlans[1] = known;
        }
        frame.ethertype = tag.ethertype;
        frame.offset += size_of::<Vlan>();
    }
    Ok(frame)
}
