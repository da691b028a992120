//! The header rewrite as a pure function: the model that the XDP program is tested against.
//!
//! [`rewrite`] takes a whole Ethernet frame and does what the program does to it, written for
//! reading rather than for speed: the frame is parsed into fields and a new frame is written from
//! them. Both must agree on the verdict, on every byte and on every counter.
//!
//! What is decided, in this order; the first that applies ends it:
//!
//! 1. Ethernet with up to two VLAN tags; IPv4 or IPv6. Else pass.
//! 2. IPv4 without options, no fragment, UDP; IPv6 without extension headers. All lengths agree and
//!    lie within the frame. Else pass.
//! 3. The destination address belongs to the device and the VLAN that the frame came by, and the frame is for the Ethernet
//!    address of that; the destination port has a slot. Else pass; but what comes for a slot by another device or VLAN does
//!    not without what 4 and 5 say.
//! 4. The slot is claimed. Else pass, or drop, as configured.
//! 5. What does not come from the expected source takes a token of its network and one of the port. Else drop.
//! 6. The slot is offloaded, and its rule is for this IP version. Else pass.
//! 7. On an RTP port: STUN, DTLS, RTCP, what is not RTP, and listed payload types pass.
//! 8. Another source than the rule's passes, is dropped, or goes on, as the rule says.
//! 9. Blocked media is dropped, and counted as if it were relayed.
//! 10. A wrong checksum of the IPv4 header passes, and a UDP checksum that cannot be updated: not final, or absent where IPv6
//!     needs one.
//! 11. Without a valid next hop, or too big for it: pass.
//! 12. Rewrite, count, redirect.

mod datagram;

use self::datagram::Datagram;
use crate::checksum;
use crate::packet::{self, Kind, RtpHeader};
use crate::reception::Sequence;
use crate::slot::{
    ANY_DEVICE, Address, Annex, COUNTED_BY_USERSPACE, DropReason, ForwardRule, Guard, Limits, LocalKey,
    LocalRange, OtherSource, PassReason, Route, SSRCS_PER_SLOT, Slot, SlotState, SsrcCounters, guard_flags,
    prefix, rule_flags,
};

/// The most bytes that a frame grows by: IPv4 to IPv6, and two VLAN tags.
pub const MAX_GROWTH: usize = (IPV6_HEADER - IPV4_HEADER) + 2 * VLAN_TAG;

/// The tables that the program reads, and counts in.
#[derive(Debug)]
pub struct Tables<'a> {
    /// Local addresses and their ranges of slots.
    pub locals: &'a [(LocalKey, LocalRange)],
    /// One slot for each local port.
    pub slots: &'a mut [Slot],
    /// As many.
    pub annexes: &'a mut [Annex],
    /// As many.
    pub guards: &'a mut [Guard],
    /// Next hops.
    pub routes: &'a [Route],
    /// Passed packets by [`PassReason`].
    pub passes: &'a mut [u64; PassReason::COUNT as usize],
    /// Dropped packets by [`DropReason`].
    pub drops: &'a mut [u64; DropReason::COUNT as usize],
    /// What floods may cost.
    pub limits: &'a Limits,
    /// The buckets of networks, by [`prefix`].
    pub prefixes: &'a mut [u64],
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To the host's network stack, unchanged.
    Pass(PassReason),
    /// Dropped and counted.
    Drop,
    /// Rewritten, out through an interface.
    Redirect {
        /// The interface's index.
        ifindex: u32,
        /// Length of the rewritten frame, bytes.
        length: usize,
    },
}

/// When and where a frame is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// The same as of the kernel's latest tick.
    pub coarse: u64,
    /// The same in ticks of the kernel.
    pub tick: u32,
    /// The number of the CPU.
    pub cpu: u32,
    /// The device.
    pub ifindex: u32,
}

/// Does to `frame` what the program does. A redirected frame is in `out`, which needs [`MAX_GROWTH`] bytes
/// more than `frame`.
pub fn rewrite(tables: &mut Tables<'_>, arrival: Arrival, frame: &[u8], out: &mut [u8]) -> Verdict {
    let verdict = decide(tables, arrival, frame, out).unwrap_or_else(|verdict| verdict);
    if let Verdict::Pass(reason) = verdict {
        tables.passes[reason as usize] += 1;
    }
    verdict
}

const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;

const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_IPV6_FRAGMENT: u8 = 44;

impl From<PassReason> for Verdict {
    fn from(reason: PassReason) -> Self {
        Self::Pass(reason)
    }
}

fn decide(
    tables: &mut Tables<'_>,
    arrival: Arrival,
    frame: &[u8],
    out: &mut [u8],
) -> Result<Verdict, Verdict> {
    let datagram = Datagram::parse(frame)?;
    let (index, is_elsewhere) = find_slot(tables, &datagram, arrival.ifindex)?;
    let state = tables.slots.get(index).ok_or(PassReason::NotOurs)?.state;
    if state == SlotState::Unclaimed as u16 {
        if tables.limits.drop_unclaimed == 1 {
            return Err(drop(tables, DropReason::Unclaimed));
        }
        return Err(match is_elsewhere {
            true => PassReason::NotOurs.into(),
            false => PassReason::Unclaimed.into(),
        });
    }
    if is_elsewhere {
        admit(tables, index, &datagram, arrival)?;
        return Err(PassReason::NotOurs.into());
    }
    if state != SlotState::Offloaded as u16 {
        admit(tables, index, &datagram, arrival)?;
        return Err(PassReason::NotOffloaded.into());
    }
    let (Some(slot), Some(annex)) = (tables.slots.get(index), tables.annexes.get(index)) else {
        return Err(PassReason::NotOurs.into());
    };
    let rule = slot.active_rule(annex);
    if is_of_version(&rule, &datagram) && !is_expected(&rule, &datagram) {
        admit(tables, index, &datagram, arrival)?;
    }
    let (Some(slot), Some(annex)) = (tables.slots.get_mut(index), tables.annexes.get_mut(index)) else {
        return Err(PassReason::NotOurs.into());
    };
    let result = check(&rule, &datagram).and_then(|()| {
        if rule.flags & rule_flags::BLOCK != 0 {
            return Ok(Verdict::Drop);
        }
        check_checksum(&rule, &datagram)?;
        let route = tables.routes.get(rule.route as usize);
        let route = route
            .filter(|route| route.valid == 1)
            .ok_or(PassReason::NoRoute)?;
        let length = write(&rule, route, &datagram, out)?;
        Ok(Verdict::Redirect {
            ifindex: route.ifindex,
            length,
        })
    });

    match result {
        Ok(_) => count_received(slot, annex, &rule, &datagram, (arrival, tables.limits)),
        Err(Verdict::Pass(reason)) => {
            annex.other.passed += 1;
            annex.other.last_pass_reason = reason as u32;
        }
        Err(Verdict::Drop | Verdict::Redirect { .. }) => {
            annex.other.dropped += 1;
            tables.drops[DropReason::OtherSource as usize] += 1;
        }
    }
    result
}

fn drop(tables: &mut Tables<'_>, reason: DropReason) -> Verdict {
    tables.drops[reason as usize] += 1;
    Verdict::Drop
}

/// Takes the tokens of a packet that need not be expected.
fn admit(
    tables: &mut Tables<'_>,
    index: usize,
    datagram: &Datagram<'_>,
    arrival: Arrival,
) -> Result<(), Verdict> {
    let limits = tables.limits;
    let Some(guard) = tables.guards.get_mut(index) else {
        return Ok(());
    };
    let is_known = guard.flags & guard_flags::KNOWN != 0;
    let is_expected = datagram.source == guard.source && datagram.source_port == guard.source_port;
    if guard.flags & guard_flags::ANY != 0 || is_known && is_expected {
        return Ok(());
    }
    let network = &mut tables.prefixes[prefix(&datagram.source, limits) as usize];
    let buckets = [
        (network, limits.prefix, DropReason::PrefixLimit),
        (&mut guard.bucket, limits.port, DropReason::PortLimit),
    ];
    for (bucket, limit, reason) in buckets {
        if limit.interval == 0 {
            continue;
        }
        let Some(after) = limit.take(*bucket, arrival.coarse) else {
            guard.limited += 1;
            tables.drops[reason as usize] += 1;
            return Err(Verdict::Drop);
        };
        *bucket = after;
    }
    Ok(())
}

/// The slot, and whether the frame came in another way than those for its address do.
fn find_slot(
    tables: &Tables<'_>,
    datagram: &Datagram<'_>,
    ifindex: u32,
) -> Result<(usize, bool), PassReason> {
    let find = |ifindex, vlans| {
        let wanted = LocalKey {
            address: datagram.destination,
            ifindex,
            vlans,
        };
        let found = tables.locals.iter().find(|(key, _)| *key == wanted);
        found.map(|(_, range)| range)
    };
    let port = datagram.destination_port;
    let here = find(ifindex, datagram.vlans);
    let range = match here {
        Some(range) if range.mac != datagram.mac => return Err(PassReason::OtherHost),
        Some(range) => range,
        None if port < tables.limits.port_min || port > tables.limits.port_max => {
            return Err(PassReason::NotOurs);
        }
        None => find(ANY_DEVICE, [0; 2]).ok_or(PassReason::NotOurs)?,
    };
    if port < range.port_min || port > range.port_max {
        return Err(PassReason::NotOurs);
    }
    let index = range.base as usize + usize::from(port - range.port_min);
    Ok((index, here.is_none()))
}

/// Whether the rule is for the datagram at all.
fn check(rule: &ForwardRule, datagram: &Datagram<'_>) -> Result<(), Verdict> {
    if !is_of_version(rule, datagram) {
        return Err(PassReason::Unsupported.into());
    }
    if rule.flags & rule_flags::RTP != 0 {
        check_media(rule, datagram.payload)?;
    }
    if !is_expected(rule, datagram) {
        if rule.other_source == OtherSource::Drop as u8 {
            return Err(Verdict::Drop);
        }
        if rule.other_source != OtherSource::Forward as u8 {
            return Err(PassReason::OtherSource.into());
        }
    }
    Ok(())
}

fn is_of_version(rule: &ForwardRule, datagram: &Datagram<'_>) -> bool {
    datagram.ipv6 == (rule.flags & rule_flags::IPV6_IN != 0)
}

fn is_expected(rule: &ForwardRule, datagram: &Datagram<'_>) -> bool {
    datagram.source == rule.source && datagram.source_port == rule.source_port
}

fn check_checksum(rule: &ForwardRule, datagram: &Datagram<'_>) -> Result<(), PassReason> {
    if !datagram.is_header_intact {
        return Err(PassReason::HeaderChecksum);
    }
    let crosses_ipv6 = rule.flags & (rule_flags::IPV6_IN | rule_flags::IPV6_OUT) != 0;
    if datagram.checksum == 0 && crosses_ipv6 {
        return Err(PassReason::ZeroChecksum);
    }
    if datagram.checksum == datagram.pseudo_header_sum() {
        return Err(PassReason::PartialChecksum);
    }
    Ok(())
}

fn check_media(rule: &ForwardRule, payload: &[u8]) -> Result<(), PassReason> {
    match packet::classify(payload) {
        Kind::Stun => Err(PassReason::Stun),
        Kind::Dtls => Err(PassReason::Dtls),
        Kind::Rtcp => Err(PassReason::Rtcp),
        Kind::Other => Err(PassReason::NotRtp),
        Kind::Rtp => {
            let payload_type = payload[1] & 0x7f;
            let word = rule.userspace_payload_types[usize::from(payload_type / 64)];
            if word >> (payload_type % 64) & 1 == 1 {
                Err(PassReason::PayloadType)
            } else {
                Ok(())
            }
        }
    }
}

/// Counts a relayed or blocked packet for its SSRC; or for none if all entries belong to others, or if it comes from another
/// source than expected.
fn count_received(
    slot: &mut Slot,
    annex: &mut Annex,
    rule: &ForwardRule,
    datagram: &Datagram<'_>,
    (arrival, limits): (Arrival, &Limits),
) {
    let bytes = datagram.payload.len() as u64;
    let mut ticks = slot.ticks(annex);
    let mut entries = slot.ssrcs(annex, |_| 0);
    let header = RtpHeader::parse(datagram.payload);
    let header = header.filter(|_| rule.flags & rule_flags::RTP != 0 && is_expected(rule, datagram));
    if let Some(header) = header
        && find_entries(&mut entries.clone(), &header, arrival.cpu).is_none()
    {
        make_room(&mut entries, &mut ticks, annex, (arrival, limits));
    }
    if let Some(header) = header
        && let Some((own, first)) = find_entries(&mut entries, &header, arrival.cpu)
    {
        entries[own].packets += 1;
        entries[own].bytes += bytes;
        let place = entries[first].take(header.sequence);
        entries[first].arrive_in_kernel(&header, place, arrival.time, annex.clock);
        ticks[own] = arrival.tick;
        slot.set_ssrcs(annex, &entries, ticks);
        return;
    }
    annex.other.packets += 1;
    annex.other.bytes += bytes;
    annex.other.last_seen = arrival.coarse;
}

/// Frees the entries of the SSRC that was heard last longest ago, if that was a second ago. What they counted goes to the
/// total of the rest.
fn make_room(
    entries: &mut [SsrcCounters; SSRCS_PER_SLOT],
    ticks: &mut [u32; SSRCS_PER_SLOT],
    annex: &mut Annex,
    (arrival, limits): (Arrival, &Limits),
) {
    // The age of an SSRC is that of its newest entry.
    let age = |ssrc: u32| {
        let own = entries
            .iter()
            .zip(ticks.iter())
            .filter(|(entry, _)| entry.ssrc == ssrc);
        own.map(|(_, tick)| arrival.tick.wrapping_sub(*tick)).min()
    };
    let mut oldest = None;
    for ssrc in entries.iter().map(|entry| entry.ssrc) {
        if age(ssrc) >= Some(limits.ticks_per_second) && oldest.is_none_or(|oldest| age(ssrc) > age(oldest)) {
            oldest = Some(ssrc);
        }
    }
    for (entry, tick) in entries.iter_mut().zip(ticks) {
        if Some(entry.ssrc) == oldest {
            annex.other.packets += entry.packets;
            annex.other.bytes += entry.bytes;
            *entry = SsrcCounters::default();
            *tick = 0;
        }
    }
}

/// Which entry belongs to an SSRC on a CPU, and which is the first of the SSRC. A new one if need be; if there is none
/// left, the first one serves for both.
fn find_entries(
    entries: &mut [SsrcCounters; SSRCS_PER_SLOT],
    header: &RtpHeader,
    cpu: u32,
) -> Option<(usize, usize)> {
    let mut first = None;
    for (index, entry) in entries.iter_mut().enumerate() {
        if entry.counted_by == 0 {
            entry.ssrc = header.ssrc;
            if first.is_none() {
                entry.set_sequence(Sequence::before(header.sequence));
            }
        } else if entry.ssrc != header.ssrc {
            continue;
        }
        let is_free = entry.counted_by == 0 || entry.counted_by == COUNTED_BY_USERSPACE;
        if is_free || entry.counted_by == cpu + 1 {
            entry.counted_by = cpu + 1;
            return Some((index, first.unwrap_or(index)));
        }
        first = first.or(Some(index));
    }
    first.map(|first| (first, first))
}

/// Writes the rewritten frame and returns its length.
fn write(
    rule: &ForwardRule,
    route: &Route,
    datagram: &Datagram<'_>,
    out: &mut [u8],
) -> Result<usize, PassReason> {
    let ipv6 = rule.flags & rule_flags::IPV6_OUT != 0;
    let ip_header = if ipv6 { IPV6_HEADER } else { IPV4_HEADER };
    let ip_length = u16::try_from(ip_header + usize::from(datagram.length)).ok();
    let ip_length = ip_length
        .filter(|&length| length <= route.mtu)
        .ok_or(PassReason::TooBig)?;

    let mut frame = Writer { out, length: 0 };
    frame.put(&route.destination_mac);
    frame.put(&route.source_mac);
    for tag in route.vlans.iter().take_while(|&&tag| tag != 0) {
        frame.put(&tag.to_be_bytes());
    }
    if ipv6 {
        frame.put(&ETHERTYPE_IPV6.to_be_bytes());
        frame.put(&ipv6_header(rule, route.hop_limit, datagram.length));
    } else {
        frame.put(&ETHERTYPE_IPV4.to_be_bytes());
        frame.put(&ipv4_header(rule, route.hop_limit, ip_length));
    }
    frame.put(&rule.new_source_port.to_be_bytes());
    frame.put(&rule.new_destination_port.to_be_bytes());
    frame.put(&datagram.length.to_be_bytes());
    frame.put(&udp_checksum(rule, datagram).to_be_bytes());
    frame.put(datagram.payload);
    frame.put(datagram.trailer);
    Ok(frame.length)
}

fn udp_checksum(rule: &ForwardRule, datagram: &Datagram<'_>) -> u16 {
    if datagram.checksum == 0 {
        return 0;
    }
    let removed = address_sum(&datagram.source)
        + address_sum(&datagram.destination)
        + u64::from(datagram.source_port)
        + u64::from(datagram.destination_port);
    // Of an IPv4-mapped address only the IPv4 part is sent.
    let sent = if rule.flags & rule_flags::IPV6_OUT != 0 {
        0
    } else {
        3
    };
    let added = address_sum(&rule.new_source[sent..])
        + address_sum(&rule.new_destination[sent..])
        + u64::from(rule.new_source_port)
        + u64::from(rule.new_destination_port);
    checksum::udp(checksum::update(datagram.checksum, removed, added))
}

/// As a socket of the relay sends it: "don't fragment", and so identification 0 (RFC 6864).
fn ipv4_header(rule: &ForwardRule, ttl: u8, total: u16) -> [u8; IPV4_HEADER] {
    let mut header = [0; IPV4_HEADER];
    header[0] = 0x45;
    header[1] = rule.tos;
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[6] = 0x40;
    header[8] = ttl;
    header[9] = PROTOCOL_UDP;
    header[12..16].copy_from_slice(&rule.new_source[3].to_ne_bytes());
    header[16..20].copy_from_slice(&rule.new_destination[3].to_ne_bytes());
    let checksum = checksum::finish(checksum::sum(&header));
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

fn ipv6_header(rule: &ForwardRule, hop_limit: u8, payload: u16) -> [u8; IPV6_HEADER] {
    let mut header = [0; IPV6_HEADER];
    header[0] = 0x60 | rule.tos >> 4;
    header[1] = rule.tos << 4;
    header[4..6].copy_from_slice(&payload.to_be_bytes());
    header[6] = PROTOCOL_UDP;
    header[7] = hop_limit;
    header[8..24].copy_from_slice(&address_bytes(&rule.new_source));
    header[24..40].copy_from_slice(&address_bytes(&rule.new_destination));
    header
}

struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.out[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }
}

fn address_bytes(address: &Address) -> [u8; 16] {
    core::array::from_fn(|at| address[at / 4].to_ne_bytes()[at % 4])
}

/// The sum over an address. An IPv4-mapped one sums to the same as the IPv4 address: its other words
/// are 0 and 0xffff, which is another zero. So a datagram may change its IP version like any address.
fn address_sum(words: &[u32]) -> u64 {
    words.iter().map(|word| checksum::sum(&word.to_ne_bytes())).sum()
}

#[cfg(test)]
mod tests;
