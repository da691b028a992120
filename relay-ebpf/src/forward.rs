//! From a datagram to its slot, through its rule, to the rewritten frame.

use core::mem::offset_of;

use aya_ebpf::helpers::bpf_xdp_adjust_head;
use aya_ebpf::programs::XdpContext;
use relay_common::checksum;
use relay_common::packet::{Kind, RTP_HEADER, kind};
use relay_common::slot::{
    Address, ForwardRule, LocalKey, OtherSource, PassReason, Route, Slot, SlotState, rule_flags,
};

use crate::access::Packet;
use crate::parse::{
    Datagram, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet, Ipv4, Ipv6, PROTOCOL_UDP, Rtp, Udp, Vlan, WithUdp,
};
use crate::{LOCALS, ROUTES, SLOTS, Verdict, count};

/// TTL and hop limit of relayed packets: what a socket of the relay sends.
const HOP_LIMIT: u8 = 64;

/// Decides about a packet and rewrites it if it is to be redirected.
#[inline(always)]
pub fn forward(ctx: &XdpContext) -> Verdict {
    let packet = Packet::new(ctx);
    let datagram = match Datagram::parse(packet) {
        Ok(datagram) => datagram,
        Err(reason) => return Verdict::Pass(reason),
    };
    let Some(slot) = find_slot(&datagram) else {
        return Verdict::Pass(PassReason::NotOurs);
    };
    // SAFETY: here and below `slot` lies in a map value, which lives as long as the program.
    let state = unsafe { (&raw const (*slot).state).read_volatile() };
    if state != SlotState::Offloaded as u32 {
        let unclaimed = state == SlotState::Unclaimed as u32;
        return Verdict::Pass(if unclaimed {
            PassReason::Unclaimed
        } else {
            PassReason::NotOffloaded
        });
    }

    let active = unsafe { (&raw const (*slot).active).read_volatile() } & 1;
    // SAFETY: the daemon leaves the active rule alone until the grace period after it became inactive.
    let rule = unsafe { &(*slot).rules[active as usize] };
    let counters = unsafe { &raw mut (*slot).counters };
    match relay(ctx, packet, &datagram, rule) {
        Ok((ifindex, rtp)) => {
            count::received(counters, datagram.payload_length(), rtp);
            Verdict::Redirect(ifindex)
        }
        Err(Refusal::Pass(reason)) => {
            count::passed(counters, reason);
            Verdict::Pass(reason)
        }
        Err(Refusal::Drop) => {
            count::dropped(counters);
            Verdict::Drop
        }
        Err(Refusal::Block(rtp)) => {
            count::received(counters, datagram.payload_length(), rtp);
            Verdict::Drop
        }
    }
}

/// Why an offloaded datagram is not relayed.
enum Refusal {
    Pass(PassReason),
    Drop,
    /// It is dropped, but counts as if it were relayed: its media is blocked. With its RTP header if it is RTP.
    Block(Option<count::RtpHeader>),
}

impl From<PassReason> for Refusal {
    #[inline(always)]
    fn from(reason: PassReason) -> Self {
        Self::Pass(reason)
    }
}

#[inline(always)]
fn find_slot(datagram: &Datagram) -> Option<*mut Slot> {
    // SAFETY: the daemon changes an entry only when no port of it is in use.
    let range = unsafe {
        LOCALS.get(LocalKey {
            address: datagram.destination,
        })
    }?;
    let port = u16::from_be(datagram.destination_port);
    if port < range.port_min || port > range.port_max {
        return None;
    }
    SLOTS.get_ptr_mut(range.base.wrapping_add((port - range.port_min) as u32))
}

/// Everything between the slot's rule and the rewritten frame: the interface to send it to, and the
/// RTP header if the port carries RTP.
#[inline(always)]
fn relay(
    ctx: &XdpContext,
    packet: Packet,
    datagram: &Datagram,
    rule: &ForwardRule,
) -> Result<(u32, Option<count::RtpHeader>), Refusal> {
    let flags = rule.flags;
    if datagram.ipv6 != (flags & rule_flags::IPV6_IN != 0) {
        return Err(PassReason::Unsupported.into());
    }
    let rtp = if flags & rule_flags::RTP != 0 {
        Some(check_media(packet, datagram, rule)?)
    } else {
        None
    };
    check_source(datagram, rule)?;
    if flags & rule_flags::BLOCK != 0 {
        return Err(Refusal::Block(rtp));
    }
    check_checksum(datagram, flags)?;
    let route = ROUTES
        .get(rule.route)
        .filter(|route| route.valid == 1)
        .ok_or(PassReason::NoRoute)?;
    if flags & rule_flags::IPV6_OUT != 0 {
        rewrite::<Ipv6>(ctx, datagram, rule, route)?;
    } else {
        rewrite::<Ipv4>(ctx, datagram, rule, route)?;
    }
    Ok((route.ifindex, rtp))
}

#[inline(always)]
fn check_media(
    packet: Packet,
    datagram: &Datagram,
    rule: &ForwardRule,
) -> Result<count::RtpHeader, PassReason> {
    let length = datagram.payload_length() as usize;
    if length < RTP_HEADER {
        return Err(short_media(packet, datagram, length));
    }
    // SAFETY: `at` has checked the bounds; any bytes are valid.
    let rtp = unsafe { &*packet.at::<Rtp>(datagram.payload)? };
    match kind(rtp.first, Some(rtp.second), length) {
        Kind::Rtp => {}
        other => return Err(not_media(other)),
    }
    let payload_type = rtp.second & 0x7f;
    let listed = rule.userspace_payload_types[(payload_type >> 6) as usize & 1];
    if listed >> (payload_type & 63) & 1 != 0 {
        return Err(PassReason::PayloadType);
    }
    Ok(count::RtpHeader {
        payload_type,
        sequence: u16::from_be(rtp.sequence),
        timestamp: u32::from_be(rtp.timestamp),
        ssrc: u32::from_be(rtp.ssrc),
    })
}

/// Too short for RTP: still RTCP, perhaps.
#[inline(always)]
fn short_media(packet: Packet, datagram: &Datagram, length: usize) -> PassReason {
    // SAFETY: here and below `at` has checked the bounds; any bytes are valid.
    let first = match packet.at::<u8>(datagram.payload) {
        Ok(first) if length >= 1 => unsafe { *first },
        _ => return PassReason::NotRtp,
    };
    let second = match packet.at::<u8>(datagram.payload + 1) {
        Ok(second) if length >= 2 => Some(unsafe { *second }),
        _ => None,
    };
    not_media(kind(first, second, length))
}

#[inline(always)]
fn not_media(kind: Kind) -> PassReason {
    match kind {
        Kind::Stun => PassReason::Stun,
        Kind::Dtls => PassReason::Dtls,
        Kind::Rtcp => PassReason::Rtcp,
        Kind::Rtp | Kind::Other => PassReason::NotRtp,
    }
}

#[inline(always)]
fn check_source(datagram: &Datagram, rule: &ForwardRule) -> Result<(), Refusal> {
    let port = u16::from_be(datagram.source_port);
    if port == rule.source_port && is_same(&datagram.source, &rule.source) {
        return Ok(());
    }
    if rule.other_source == OtherSource::Forward as u8 {
        Ok(())
    } else if rule.other_source == OtherSource::Drop as u8 {
        Err(Refusal::Drop)
    } else {
        Err(PassReason::OtherSource.into())
    }
}

/// `==` would become a call that compares byte by byte.
#[inline(always)]
fn is_same(one: &Address, other: &Address) -> bool {
    let differences = (one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) | (one[3] ^ other[3]);
    differences == 0
}

/// Refuses a checksum that cannot be updated: one that is absent where IPv6 needs it, and one that
/// holds no more than the pseudo-header's sum, because the sender leaves the rest to a network card
/// that there is none of between containers.
#[inline(always)]
fn check_checksum(datagram: &Datagram, flags: u32) -> Result<(), PassReason> {
    if datagram.checksum == 0 {
        let ipv6 = flags & (rule_flags::IPV6_IN | rule_flags::IPV6_OUT) != 0;
        return if ipv6 {
            Err(PassReason::ZeroChecksum)
        } else {
            Ok(())
        };
    }
    let protocol = (PROTOCOL_UDP as u16).to_be() as u64;
    let sum = addresses_in(datagram) + protocol + datagram.length as u64;
    if checksum::fold(sum) == datagram.checksum {
        Err(PassReason::PartialChecksum)
    } else {
        Ok(())
    }
}

/// The sum of the received addresses. The constant part of an IPv4-mapped address is another zero in
/// one's complement, so a sum is the same for IPv4 and for its IPv4-mapped form.
#[inline(always)]
fn addresses_in(datagram: &Datagram) -> u64 {
    if datagram.ipv6 {
        address_sum(&datagram.source) + address_sum(&datagram.destination)
    } else {
        datagram.source[3] as u64 + datagram.destination[3] as u64
    }
}

#[inline(always)]
fn address_sum(address: &Address) -> u64 {
    address[0] as u64 + address[1] as u64 + address[2] as u64 + address[3] as u64
}

/// An IP header that can be written.
trait IpHeader: Sized {
    const ETHERTYPE: u16;

    /// The header of a packet with `length` bytes, this header included.
    fn new(rule: &ForwardRule, length: u16) -> Self;

    /// The sum of the new addresses.
    fn addresses(rule: &ForwardRule) -> u64;
}

impl IpHeader for Ipv4 {
    const ETHERTYPE: u16 = ETHERTYPE_IPV4;

    /// As a socket of the relay sends it: "don't fragment", and so identification 0 (RFC 6864).
    #[inline(always)]
    fn new(rule: &ForwardRule, length: u16) -> Self {
        const DO_NOT_FRAGMENT: u16 = 0x4000_u16.to_be();
        const TTL_AND_PROTOCOL: u16 = u16::from_ne_bytes([HOP_LIMIT, PROTOCOL_UDP]);
        let first = u16::from_ne_bytes([0x45, rule.tos]);
        let constant = first as u64 + DO_NOT_FRAGMENT as u64 + TTL_AND_PROTOCOL as u64;
        Self {
            version_and_length: 0x45,
            tos: rule.tos,
            total_length: length.to_be(),
            identification: 0,
            fragment: DO_NOT_FRAGMENT,
            ttl: HOP_LIMIT,
            protocol: PROTOCOL_UDP,
            checksum: checksum::finish(constant + length.to_be() as u64 + Self::addresses(rule)),
            source: rule.new_source[3],
            destination: rule.new_destination[3],
        }
    }

    #[inline(always)]
    fn addresses(rule: &ForwardRule) -> u64 {
        rule.new_source[3] as u64 + rule.new_destination[3] as u64
    }
}

impl IpHeader for Ipv6 {
    const ETHERTYPE: u16 = ETHERTYPE_IPV6;

    #[inline(always)]
    fn new(rule: &ForwardRule, length: u16) -> Self {
        Self {
            head: (6 << 28 | (rule.tos as u32) << 20).to_be(),
            payload_length: (length.wrapping_sub(size_of::<Self>() as u16)).to_be(),
            next_header: PROTOCOL_UDP,
            hop_limit: HOP_LIMIT,
            source: rule.new_source,
            destination: rule.new_destination,
        }
    }

    #[inline(always)]
    fn addresses(rule: &ForwardRule) -> u64 {
        address_sum(&rule.new_source) + address_sum(&rule.new_destination)
    }
}

/// Writes the new headers in front of the payload, which stays where it is.
#[inline(always)]
fn rewrite<T: IpHeader>(
    ctx: &XdpContext,
    datagram: &Datagram,
    rule: &ForwardRule,
    route: &Route,
) -> Result<(), PassReason> {
    let length = u16::from_be(datagram.length) as u32 + size_of::<T>() as u32;
    if length > route.mtu || length > u16::MAX as u32 {
        return Err(PassReason::TooBig);
    }
    let tags = match route.vlans {
        [0, _] => 0,
        [_, 0] => 1,
        _ => 2,
    };
    let ip = size_of::<Ethernet>() + tags * size_of::<Vlan>();
    let removed = datagram.payload as i32 - (ip + size_of::<WithUdp<T>>()) as i32;
    // SAFETY: the helper checks its arguments. All earlier pointers into the packet end here.
    if removed != 0 && unsafe { bpf_xdp_adjust_head(ctx.ctx, removed) } != 0 {
        return Err(PassReason::Unsupported);
    }

    let packet = Packet::new(ctx);
    let headers = packet.at::<WithUdp<T>>(ip)?;
    let ethernet = packet.at::<Ethernet>(0)?;
    // SAFETY: here and below `at` has checked the bounds.
    unsafe { copy_macs(route, ethernet) };
    unsafe { (*ethernet).ethertype = T::ETHERTYPE };
    if tags > 0 {
        write_tags(packet, route, tags, T::ETHERTYPE)?;
    }
    let udp = Udp {
        source_port: rule.new_source_port.to_be(),
        destination_port: rule.new_destination_port.to_be(),
        length: datagram.length,
        checksum: udp_checksum(datagram, rule, T::addresses(rule)),
    };
    unsafe {
        *headers = WithUdp {
            ip: T::new(rule, length as u16),
            udp,
        }
    };
    Ok(())
}

/// Copies both MACs, which lie side by side in a route in the order in which they are sent. Word by
/// word: an assignment would become a call that copies byte by byte.
///
/// # Safety
///
/// `ethernet` must be within the packet.
#[inline(always)]
unsafe fn copy_macs(route: &Route, ethernet: *mut Ethernet) {
    const { assert!(offset_of!(Route, source_mac) == offset_of!(Route, destination_mac) + 6) };
    const { assert!(offset_of!(Route, destination_mac) % 4 == 0) };
    let from = (&raw const route.destination_mac).cast::<u32>();
    let to = ethernet.cast::<u32>();
    // SAFETY: both hold twelve bytes.
    unsafe {
        let words = (*from, *from.add(1), *from.add(2));
        *to = words.0;
        *to.add(1) = words.1;
        *to.add(2) = words.2;
    }
}

#[inline(always)]
fn write_tags(packet: Packet, route: &Route, tags: usize, ethertype: u16) -> Result<(), PassReason> {
    let first = size_of::<Ethernet>();
    let outer = packet.at::<Vlan>(first)?;
    // SAFETY: here and below `at` has checked the bounds.
    unsafe { (*packet.at::<Ethernet>(0)?).ethertype = tpid(route.vlans[0]) };
    unsafe { (*outer).tci = tci(route.vlans[0]) };
    if tags == 1 {
        unsafe { (*outer).ethertype = ethertype };
        return Ok(());
    }
    unsafe { (*outer).ethertype = tpid(route.vlans[1]) };
    unsafe {
        *packet.at::<Vlan>(first + size_of::<Vlan>())? = Vlan {
            tci: tci(route.vlans[1]),
            ethertype,
        }
    };
    Ok(())
}

#[inline(always)]
fn tpid(tag: u32) -> u16 {
    ((tag >> 16) as u16).to_be()
}

#[inline(always)]
fn tci(tag: u32) -> u16 {
    (tag as u16).to_be()
}

#[inline(always)]
fn udp_checksum(datagram: &Datagram, rule: &ForwardRule, addresses: u64) -> u16 {
    if datagram.checksum == 0 {
        return 0;
    }
    let removed = addresses_in(datagram) + datagram.source_port as u64 + datagram.destination_port as u64;
    let ports = rule.new_source_port.to_be() as u64 + rule.new_destination_port.to_be() as u64;
    checksum::udp(checksum::update(datagram.checksum, removed, addresses + ports))
}
