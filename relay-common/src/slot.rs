//! The tables shared between the daemon and the XDP program.
//!
//! Every local port has one [`Slot`] in an array map: `base + port - port_min`, with the base and
//! the range of its address found in the map of [`LocalRange`]s. The daemon maps the array into its
//! memory; neither side makes a system call to read or write a slot.
//!
//! The daemon owns everything in a slot but [`Counters`], which the program adds to atomically. To
//! change a rule it writes the copy that is not active, publishes its index in [`Slot::active`], and
//! leaves the old copy alone until every program run that could have seen it has ended.
//!
//! Addresses are stored in network byte order, IPv4 as the IPv4-mapped IPv6 address
//! (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2); ports in host byte order.

use core::mem::{align_of, offset_of, size_of};

/// Version of everything in this module. Pinned maps of another version are never adopted.
pub const ABI_VERSION: u32 = 1;

/// Highest number of local addresses with a port range.
pub const MAX_LOCALS: u32 = 256;

/// Number of entries of the map of [`LocalHint`]s.
pub const LOCAL_HINTS: u32 = 256;

/// Highest number of next hops that rules can refer to.
pub const MAX_ROUTES: u32 = 65_536;

/// Number of SSRCs that are counted one by one in each slot; further ones only add to the totals.
pub const SSRCS_PER_SLOT: usize = 4;

/// An IPv6 or IPv4-mapped address in network byte order.
pub type Address = [u32; 4];

/// Key of the map from a local address to its range of slots.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LocalKey {
    /// The destination address of received packets.
    pub address: Address,
}

/// Where the slots of one local address lie: port `p` has slot `base + p - port_min`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalRange {
    /// Slot of the lowest port.
    pub base: u32,
    /// Lowest port of the range, host byte order.
    pub port_min: u16,
    /// Highest port of the range, host byte order, inclusive.
    pub port_max: u16,
}

/// A copy of an entry of the map of local addresses, found by [`local_hint`] in an array: hashing would be a
/// quarter of what a packet costs the program. Addresses that share an index are found in the map, all but
/// one. All zero while not in use.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalHint {
    /// The local address.
    pub key: LocalKey,
    /// Its slots.
    pub range: LocalRange,
}

/// Index of an address in the map of [`LocalHint`]s: its last byte.
#[inline(always)]
pub const fn local_hint(address: &Address) -> u32 {
    u32::from_be(address[3]) % LOCAL_HINTS
}

/// What the program does with packets to a slot's port ([`Slot::state`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SlotState {
    /// Nobody listens: pass (or drop, where the operator asked for that).
    Unclaimed = 0,
    /// A socket is bound and userspace relays.
    Claimed = 1,
    /// The active rule relays.
    Offloaded = 2,
}

/// What happens to packets of an offloaded slot that do not come from [`ForwardRule::source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OtherSource {
    /// Userspace decides.
    Pass = 0,
    /// Relayed all the same.
    Forward = 1,
    /// Dropped and counted.
    Drop = 2,
}

/// How one local port's packets are rewritten and where they go.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ForwardRule {
    /// Expected source address.
    pub source: Address,
    /// New source address: the local address that the receiver was told.
    pub new_source: Address,
    /// New destination address.
    pub new_destination: Address,
    /// Payload types that must reach userspace, bit `pt % 64` of word `pt / 64`.
    pub userspace_payload_types: [u64; 2],
    /// Who owns the rule: opaque to the program, for a daemon that adopts the table.
    pub owner: u64,
    /// Expected source port.
    pub source_port: u16,
    /// New source port.
    pub new_source_port: u16,
    /// New destination port.
    pub new_destination_port: u16,
    /// [`OtherSource`].
    pub other_source: u8,
    /// TOS or traffic class of the relayed packet.
    pub tos: u8,
    /// Bits of [`rule_flags`].
    pub flags: u32,
    /// Index into the routes map.
    pub route: u32,
    /// Reserved for a list of further sinks; 0.
    pub sinks: u32,
    /// Keeps the size a multiple of eight; 0.
    pub reserved: u32,
}

/// Bits of [`ForwardRule::flags`].
pub mod rule_flags {
    /// The received packet is IPv6.
    pub const IPV6_IN: u32 = 1 << 0;
    /// The relayed packet is IPv6.
    pub const IPV6_OUT: u32 = 1 << 1;
    /// The port carries RTP: tell STUN, DTLS and RTCP apart and pass what is not RTP.
    pub const RTP: u32 = 1 << 2;
    /// Drop what would be relayed, but count it: the media is blocked.
    pub const BLOCK: u32 = 1 << 3;
}

/// Reception statistics of one SSRC (RFC 3550 appendix A.3).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SsrcCounters {
    /// Packets received.
    pub packets: u64,
    /// UDP payload bytes received.
    pub bytes: u64,
    /// Arrival of the packet with the highest sequence number, nanoseconds of CLOCK_MONOTONIC, as of the
    /// kernel's latest tick.
    pub last_arrival: u64,
    /// The SSRC, host byte order.
    pub ssrc: u32,
    /// 1 once the entry is in use.
    pub in_use: u32,
    /// First sequence number seen.
    pub base_sequence: u32,
    /// Extended highest sequence number: cycles in the upper 16 bits. A sequence number is taken for the
    /// nearest one, as in an SRTP index (RFC 3711 section 3.3.1).
    pub highest_sequence: u32,
    /// RTP timestamp of the packet with the highest sequence number.
    pub last_timestamp: u32,
    /// Payload type of the packet with the highest sequence number.
    pub payload_type: u32,
    /// Packets that came later than a higher sequence number.
    pub reordered: u32,
    /// Reserved; 0.
    pub reserved: u32,
}

/// What the program counts for one slot. Only ever grows while the slot is claimed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets relayed, or received and dropped as their media is blocked.
    pub packets: u64,
    /// UDP payload bytes of these.
    pub bytes: u64,
    /// Packets dropped: from another source under [`OtherSource::Drop`].
    pub dropped: u64,
    /// Packets of an offloaded slot passed to userspace all the same.
    pub passed: u64,
    /// Arrival of the newest of [`Counters::packets`], nanoseconds of CLOCK_MONOTONIC as of the kernel's latest
    /// tick; 0 for none.
    pub last_seen: u64,
    /// [`PassReason`] of the newest packet passed while offloaded.
    pub last_pass_reason: u32,
    /// Reserved; 0.
    pub reserved: u32,
    /// The first SSRCs seen.
    pub ssrcs: [SsrcCounters; SSRCS_PER_SLOT],
}

/// One local port in the array map. Slots of 512 bytes were tried: they share few sets of the processor's
/// caches, and at 10,000 flows a packet cost the program a quarter more.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Slot {
    /// [`SlotState`].
    pub state: u32,
    /// Which of [`Slot::rules`] is in force: 0 or 1.
    pub active: u32,
    /// The two copies of the rule.
    pub rules: [ForwardRule; 2],
    /// Written by the program.
    pub counters: Counters,
}

/// A resolved next hop.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Route {
    /// 1 while the next hop may be used; else packets pass with [`PassReason::NoRoute`].
    pub valid: u32,
    /// Interface to redirect to.
    pub ifindex: u32,
    /// Largest IP packet that the next hop takes, bytes.
    pub mtu: u32,
    /// Ethernet destination.
    pub destination_mac: [u8; 6],
    /// Ethernet source.
    pub source_mac: [u8; 6],
    /// VLAN tags to send, outer first: TPID in the upper half, TCI in the lower; 0 for none.
    pub vlans: [u32; 2],
}

/// Why the program passed a packet to userspace. Index into the per-CPU array of pass counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PassReason {
    /// Not for a local address and port of ours.
    NotOurs = 0,
    /// Shorter than its headers say.
    Short = 1,
    /// Neither IPv4 nor IPv6, or more than two VLAN tags.
    NotIp = 2,
    /// An IPv4 header with options.
    IpOptions = 3,
    /// A fragment.
    Fragment = 4,
    /// Not UDP, or IPv6 with extension headers.
    NotUdp = 5,
    /// The slot is not claimed.
    Unclaimed = 6,
    /// The slot is claimed but not offloaded.
    NotOffloaded = 7,
    /// STUN (RFC 7983).
    Stun = 8,
    /// DTLS (RFC 7983).
    Dtls = 9,
    /// RTCP, muxed (RFC 5761).
    Rtcp = 10,
    /// Neither of these and not RTP version 2.
    NotRtp = 11,
    /// A payload type that userspace wants to see.
    PayloadType = 12,
    /// Not from the expected source.
    OtherSource = 13,
    /// No valid next hop.
    NoRoute = 14,
    /// Larger than the next hop's MTU.
    TooBig = 15,
    /// The UDP checksum holds only the pseudo-header sum (transmit offload of a neighbour).
    PartialChecksum = 16,
    /// IPv4 without UDP checksum would become IPv6.
    ZeroChecksum = 17,
    /// The rule asks for something that this program cannot do.
    Unsupported = 18,
}

impl PassReason {
    /// Number of reasons: the size of the array of pass counters.
    pub const COUNT: u32 = 19;

    const NAMES: [(PassReason, &str); Self::COUNT as usize] = [
        (PassReason::NotOurs, "not ours"),
        (PassReason::Short, "short"),
        (PassReason::NotIp, "not IP"),
        (PassReason::IpOptions, "IP options"),
        (PassReason::Fragment, "fragment"),
        (PassReason::NotUdp, "not UDP"),
        (PassReason::Unclaimed, "unclaimed port"),
        (PassReason::NotOffloaded, "not offloaded"),
        (PassReason::Stun, "STUN"),
        (PassReason::Dtls, "DTLS"),
        (PassReason::Rtcp, "RTCP"),
        (PassReason::NotRtp, "not RTP"),
        (PassReason::PayloadType, "payload type"),
        (PassReason::OtherSource, "other source"),
        (PassReason::NoRoute, "no route"),
        (PassReason::TooBig, "too big"),
        (PassReason::PartialChecksum, "partial checksum"),
        (PassReason::ZeroChecksum, "zero checksum"),
        (PassReason::Unsupported, "unsupported"),
    ];

    /// All reasons.
    pub fn all() -> impl Iterator<Item = PassReason> {
        Self::NAMES.into_iter().map(|(reason, _)| reason)
    }

    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

// The program and the daemon are compiled separately: what they share must not move.
const _: () = {
    assert!(size_of::<ForwardRule>() == 96 && align_of::<ForwardRule>() == 8);
    assert!(size_of::<SsrcCounters>() == 56);
    assert!(size_of::<Counters>() == 48 + 56 * SSRCS_PER_SLOT);
    assert!(size_of::<Slot>() == 8 + 2 * 96 + 48 + 56 * SSRCS_PER_SLOT);
    assert!(size_of::<Slot>().is_multiple_of(8) && offset_of!(Slot, counters) == 200);
    assert!(size_of::<Route>() == 32);
    assert!(size_of::<LocalRange>() == 8 && size_of::<LocalKey>() == 16 && size_of::<LocalHint>() == 24);
    // Names stand in the order of their reasons.
    let mut index = 0;
    while index < PassReason::NAMES.len() {
        assert!(PassReason::NAMES[index].0 as usize == index);
        index += 1;
    }
    assert!(offset_of!(ForwardRule, owner) == 64 && offset_of!(ForwardRule, flags) == 80);
};

#[cfg(feature = "user")]
mod user {
    use super::{ForwardRule, LocalHint, LocalKey, LocalRange, Route, Slot};
    // SAFETY: repr(C), only integers, no padding (sizes are asserted above), valid for any bytes.
    unsafe impl aya::Pod for LocalKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for LocalRange {}
    // SAFETY: as above.
    unsafe impl aya::Pod for LocalHint {}
    // SAFETY: as above.
    unsafe impl aya::Pod for ForwardRule {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Slot {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Route {}
}
