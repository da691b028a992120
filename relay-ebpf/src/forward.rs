//! From a datagram to its slot, and through its rule.

use aya_ebpf::programs::XdpContext;
use relay_common::checksum;
use relay_common::packet::{Kind, RTP_HEADER, kind};
use relay_common::slot::{
    ANY_DEVICE, DropReason, LocalKey, LocalRange, OtherSource, PassReason, SlotState, local_hint, rule_flags,
};

use crate::access::{Packet, opaque};
use crate::datagram::{Datagram, Frame, link_layer};
use crate::headers::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ipv4, Ipv6, PROTOCOL_UDP, Rtp, WithUdp};
use crate::ip::Ip;
use crate::port::{Port, Rule};
use crate::rewrite::rewrite;
use crate::{LIMITS, LOCAL_HINTS, LOCALS, ROUTES, Verdict, count, guard};

/// Decides about a packet, and rewrites it if it is to be redirected.
#[inline(always)]
pub fn forward(ctx: &XdpContext) -> Verdict {
    let packet = Packet::new(ctx);
    match link_layer(packet) {
        Ok(frame) if frame.ethertype == ETHERTYPE_IPV4 => forward_ip::<Ipv4>(ctx, packet, &frame),
        Ok(frame) if frame.ethertype == ETHERTYPE_IPV6 => forward_ip::<Ipv6>(ctx, packet, &frame),
        Ok(_) => Verdict::Pass(PassReason::NotIp),
        Err(reason) => Verdict::Pass(reason),
    }
}

#[inline(always)]
fn forward_ip<T: Ip>(ctx: &XdpContext, packet: Packet, frame: &Frame) -> Verdict {
    let datagram = match Datagram::<T>::parse(packet, frame.offset) {
        Ok(datagram) => datagram,
        Err(reason) => return Verdict::Pass(reason),
    };
    let port = match find_port(ctx, frame, &datagram) {
        Ok(Some(port)) => port,
        Ok(None) => return leave_to_stack(&datagram),
        Err(reason) => return Verdict::Pass(reason),
    };
    let state = port.state();
    if state == SlotState::Unclaimed as u16 {
        if LIMITS.load().drop_unclaimed == 1 {
            return Verdict::Drop(Some(DropReason::Unclaimed));
        }
        return Verdict::Pass(PassReason::Unclaimed);
    }
    if state != SlotState::Offloaded as u16 {
        return match guard::admit(port, &datagram) {
            Ok(()) => Verdict::Pass(PassReason::NotOffloaded),
            Err(reason) => Verdict::Drop(Some(reason)),
        };
    }

    match through_rule(ctx, packet, &datagram, port) {
        Ok((ifindex, rtp)) => {
            count::received(port, datagram.payload_length(), rtp);
            Verdict::Redirect(ifindex)
        }
        Err(Refusal::Pass(reason)) => {
            count::passed(port, reason);
            Verdict::Pass(reason)
        }
        Err(Refusal::Limit(reason)) => Verdict::Drop(Some(reason)),
        Err(Refusal::Drop) => {
            count::dropped(port);
            Verdict::Drop(Some(DropReason::OtherSource))
        }
        Err(Refusal::Block(rtp)) => {
            count::received(port, datagram.payload_length(), rtp);
            Verdict::Drop(None)
        }
    }
}

/// The slot of the local port. None if frames for its address do not come this way.
#[inline(always)]
fn find_port<T: Ip>(
    ctx: &XdpContext,
    frame: &Frame,
    datagram: &Datagram<T>,
) -> Result<Option<Port>, PassReason> {
    let key = LocalKey {
        address: T::mapped(datagram.destination),
        ifindex: ctx.ingress_ifindex() as u32,
        vlans: frame.vlans,
    };
    let Some(range) = find_range(&key) else {
        return Ok(None);
    };
    let port = u16::from_be(datagram.destination_port);
    let (first, last) = (range.port_min, range.port_max);
    if !is_for(frame, range) {
        return Err(PassReason::OtherHost);
    }
    if port < first || port > last {
        return Err(PassReason::NotOurs);
    }
    let port = Port::new(range.base.wrapping_add((port - first) as u32));
    port.map(Some).ok_or(PassReason::NotOurs)
}

/// The stack decides about what comes in an odd way. Where it may be for a local port, it is as unexpected as any flood.
#[inline(always)]
fn leave_to_stack<T: Ip>(datagram: &Datagram<T>) -> Verdict {
    let limits = LIMITS.load();
    let port = u16::from_be(datagram.destination_port);
    if port < limits.port_min || port > limits.port_max {
        return Verdict::Pass(PassReason::NotOurs);
    }
    let key = LocalKey {
        address: T::mapped(datagram.destination),
        ifindex: ANY_DEVICE,
        vlans: [0; 2],
    };
    // SAFETY: the kernel replaces an entry as a whole.
    let Some(range) = (unsafe { LOCALS.get(&key) }) else {
        return Verdict::Pass(PassReason::NotOurs);
    };
    let (first, last) = (range.port_min, range.port_max);
    if port < first || port > last {
        return Verdict::Pass(PassReason::NotOurs);
    }
    let Some(port) = Port::new(range.base.wrapping_add((port - first) as u32)) else {
        return Verdict::Pass(PassReason::NotOurs);
    };
    if port.state() == SlotState::Unclaimed as u16 {
        return match limits.drop_unclaimed {
            1 => Verdict::Drop(Some(DropReason::Unclaimed)),
            _ => Verdict::Pass(PassReason::NotOurs),
        };
    }
    match guard::admit(port, datagram) {
        Ok(()) => Verdict::Pass(PassReason::NotOurs),
        Err(reason) => Verdict::Drop(Some(reason)),
    }
}

/// The slots of a local address: by its hint if there is one, which costs far less than the hash map.
#[inline(always)]
fn find_range(key: &LocalKey) -> Option<&'static LocalRange> {
    if let Some(hint) = LOCAL_HINTS.get_ptr(local_hint(key)) {
        // SAFETY: `hint` lies in a map value, which lives as long as the program. The daemon writes the rest only while it is
        // not valid, and no run is left that saw it so.
        unsafe {
            let is_same = Ipv6::is_same((*hint).key.address, key.address)
                && (*hint).key.ifindex == key.ifindex
                && (*hint).key.vlans[0] == key.vlans[0]
                && (*hint).key.vlans[1] == key.vlans[1];
            if (&raw const (*hint).valid).read_volatile() == 1 && is_same {
                return Some(&(*hint).range);
            }
        }
    }
    // SAFETY: the kernel replaces an entry as a whole.
    unsafe { LOCALS.get(key) }
}

/// Whether a frame is for the Ethernet address of the local address. Multicast and broadcast are not.
#[inline(always)]
fn is_for(frame: &Frame, range: &LocalRange) -> bool {
    let [a, b, c, d, e, f] = range.mac;
    let [high, middle, low] = frame.destination;
    let differences = (high ^ u16::from_ne_bytes([a, b]))
        | (middle ^ u16::from_ne_bytes([c, d]))
        | (low ^ u16::from_ne_bytes([e, f]));
    differences == 0
}

/// Why an offloaded datagram is not relayed.
enum Refusal {
    Pass(PassReason),
    /// There are too many of its kind.
    Limit(DropReason),
    /// It is from another source than the only one.
    Drop,
    /// It is dropped, but counts as if it were relayed: its media is blocked. With its RTP header.
    Block(count::RtpHeader),
}

impl From<PassReason> for Refusal {
    #[inline(always)]
    fn from(reason: PassReason) -> Self {
        Self::Pass(reason)
    }
}

/// Everything between the slot's rule and the rewritten frame: the interface to send it to, and the RTP header, which counts
/// if the port carries RTP and it comes from the expected source.
#[inline(always)]
fn through_rule<T: Ip>(
    ctx: &XdpContext,
    packet: Packet,
    datagram: &Datagram<T>,
    port: Port,
) -> Result<(u32, count::RtpHeader), Refusal> {
    let rule = port.rule()?;
    let flags = rule.head.flags;
    if flags & rule_flags::IPV6_IN != T::FLAG_IN {
        return Err(PassReason::Unsupported.into());
    }
    if !is_expected(datagram, rule)? {
        guard::admit(port, datagram).map_err(Refusal::Limit)?;
    }
    let mut rtp = count::RtpHeader::NONE;
    if flags & rule_flags::RTP != 0 {
        rtp = check_media(packet, datagram, rule)?;
    }
    // Compared anew: one more thing to remember over the last lines would double the work of the verifier.
    if !is_expected(datagram, rule)? {
        check_other_source(rule)?;
        // Its SSRC may be anybody's.
        rtp.is_counted = false;
    }
    if flags & rule_flags::BLOCK != 0 {
        return Err(Refusal::Block(rtp));
    }
    check_checksums(packet, datagram, flags)?;
    let route = ROUTES.get(rule.head.route).filter(|route| route.valid == 1);
    let route = route.ok_or(PassReason::NoRoute)?;
    if flags & rule_flags::IPV6_OUT != 0 {
        rewrite::<T, Ipv6>(ctx, datagram, rule, route)?;
    } else {
        rewrite::<T, Ipv4>(ctx, datagram, rule, route)?;
    }
    Ok((route.ifindex, rtp))
}

#[inline(always)]
fn check_media<T: Ip>(
    packet: Packet,
    datagram: &Datagram<T>,
    rule: Rule,
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
    if rule.head.payload_types >> (payload_type & 15) & 1 != 0 && is_listed(rule, payload_type)? {
        return Err(PassReason::PayloadType);
    }
    Ok(count::RtpHeader {
        is_counted: true,
        payload_type,
        sequence: u16::from_be(rtp.sequence),
        timestamp: u32::from_be(rtp.timestamp),
        ssrc: u32::from_be(rtp.ssrc),
    })
}

#[inline(always)]
fn is_listed(rule: Rule, payload_type: u8) -> Result<bool, PassReason> {
    let listed = rule.tail()?.userspace_payload_types[(payload_type >> 6) as usize & 1];
    Ok(listed >> (payload_type & 63) & 1 != 0)
}

/// Too short for RTP: still RTCP, perhaps.
#[inline(always)]
fn short_media<T: Ip>(packet: Packet, datagram: &Datagram<T>, length: usize) -> PassReason {
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
fn is_expected<T: Ip>(datagram: &Datagram<T>, rule: Rule) -> Result<bool, PassReason> {
    let port = u16::from_be(opaque(datagram.source_port as usize) as u16);
    Ok(port == rule.head.source_port && T::is_same(datagram.source, T::expected_source(rule)?))
}

/// What the rule says of other sources than the expected one.
#[inline(always)]
fn check_other_source(rule: Rule) -> Result<(), Refusal> {
    if rule.head.other_source == OtherSource::Forward as u8 {
        Ok(())
    } else if rule.head.other_source == OtherSource::Drop as u8 {
        Err(Refusal::Drop)
    } else {
        Err(PassReason::OtherSource.into())
    }
}

/// Refuses an IPv4 header that is not as it was sent: the new one would hide that. And a UDP checksum that cannot be updated: one that is absent where IPv6 needs it, and one that
/// holds no more than the pseudo-header's sum, because the sender leaves the rest to a network card
/// that there is none of between containers.
#[inline(always)]
fn check_checksums<T: Ip>(packet: Packet, datagram: &Datagram<T>, flags: u16) -> Result<(), PassReason> {
    // SAFETY: `at` has checked the bounds; any bytes are valid.
    let headers = unsafe { &*packet.at::<WithUdp<T>>(datagram.payload - size_of::<WithUdp<T>>())? };
    if !headers.ip.is_intact() {
        return Err(PassReason::HeaderChecksum);
    }
    if datagram.checksum == 0 {
        let ipv6 = flags & (rule_flags::IPV6_IN | rule_flags::IPV6_OUT) != 0;
        return if ipv6 {
            Err(PassReason::ZeroChecksum)
        } else {
            Ok(())
        };
    }
    let protocol = (PROTOCOL_UDP as u16).to_be() as u64;
    let sum = datagram.addresses() + protocol + datagram.length as u64;
    if checksum::fold(sum) == datagram.checksum {
        Err(PassReason::PartialChecksum)
    } else {
        Ok(())
    }
}
