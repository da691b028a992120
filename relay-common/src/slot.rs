//! The tables shared between the daemon and the XDP program.
//!
//! Every local port has one [`Slot`] in an array map: `base + port - port_min`, with the base and
//! the range of its address found in the map of [`LocalRange`]s. In a second array it has an [`Annex`] with the
//! same index, for what few packets need. The daemon maps both arrays into its memory; neither side makes a system
//! call to read or write them. A third one has a [`Guard`] for each, which only packets meet that nobody expects.
//!
//! Ten thousand flows do not fit into a processor's inner caches, and a packet waits for each line of memory that
//! it touches. So a slot is one line: with all that relays a packet, and all that is counted for each. A
//! rule of 28 bytes is a [`RuleHead`]; what does not fit (IPv6 addresses, mainly) is its [`RuleTail`], in the annex.
//! In the same way what is counted of an SSRC is an [`SsrcHead`] and an [`SsrcTail`], of which most packets leave the
//! second alone. [`ForwardRule`], [`SsrcCounters`] and [`Counters`] are all in one, for those who are in no hurry.
//!
//! The daemon owns everything in a slot but the counters; userspace counts sequence numbers there as well
//! ([`SsrcCounters`]). Of each rule there are two copies, of which the second one lies in the annex. To change a rule the
//! daemon writes the copy that is not active, publishes its index in [`Slot::active`], and leaves the old copy alone until
//! every program run that could have seen it has ended. Then it moves the rule, if need be, to the primary copy, in the slot.
//!
//! Addresses are stored in network byte order, IPv4 as the IPv4-mapped IPv6 address
//! (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2) or as its last word alone; ports in host byte order.

mod clock;
mod counters;
mod guard;
mod local;

use core::mem::{align_of, offset_of, size_of};

pub use self::clock::Clock;
pub use self::counters::{COUNTED_BY_USERSPACE, Counters, OtherCounters, SsrcCounters, SsrcHead, SsrcTail};
pub use self::guard::{DropReason, Guard, Limit, Limits, NO_LIMITS, PREFIXES, guard_flags, prefix};
pub use self::local::{ANY_DEVICE, LOCAL_HINTS, LocalHint, LocalKey, LocalRange, local_hint, vlan_tag};

/// Version of everything in this module. Pinned maps of another version are never adopted.
pub const ABI_VERSION: u32 = 6;

/// Highest number of local addresses with a port range.
pub const MAX_LOCALS: u32 = 256;

/// Highest number of [`LocalKey`]s: each address may come in by several devices.
pub const MAX_LOCAL_KEYS: u32 = 4096;

/// Highest number of next hops that rules can refer to.
pub const MAX_ROUTES: u32 = 65_536;

/// Number of SSRCs that are counted one by one for each port. A further one takes the place of the one that was heard last
/// longest ago, if that was a second ago; else it only adds to the totals. Packets of unexpected sources only do that.
pub const SSRCS_PER_SLOT: usize = 4;

/// An IPv6 or IPv4-mapped address in network byte order.
pub type Address = [u32; 4];

/// What the program does with packets to a slot's port ([`Slot::state`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
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

/// How one local port's packets are rewritten and where they go. In the tables it is split in two.
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
    pub flags: u16,
    /// Index into the routes map.
    pub route: u32,
}

/// What every packet needs of a [`ForwardRule`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RuleHead {
    /// Last word of [`ForwardRule::source`]: all of it for a rule for IPv4.
    pub source: u32,
    /// Last word of [`ForwardRule::new_source`].
    pub new_source: u32,
    /// Last word of [`ForwardRule::new_destination`].
    pub new_destination: u32,
    /// [`ForwardRule::route`].
    pub route: u32,
    /// [`ForwardRule::source_port`].
    pub source_port: u16,
    /// [`ForwardRule::new_source_port`].
    pub new_source_port: u16,
    /// [`ForwardRule::new_destination_port`].
    pub new_destination_port: u16,
    /// [`ForwardRule::other_source`].
    pub other_source: u8,
    /// [`ForwardRule::tos`].
    pub tos: u8,
    /// [`ForwardRule::flags`].
    pub flags: u16,
    /// Bit `pt % 16` for each of [`ForwardRule::userspace_payload_types`]: of a payload type whose bit is
    /// clear, the tail need not be asked.
    pub payload_types: u16,
}

/// What few packets need of a [`ForwardRule`]: those that came or go on over IPv6, and those with a payload type
/// that [`RuleHead::payload_types`] leaves in doubt.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RuleTail {
    /// [`ForwardRule::source`].
    pub source: Address,
    /// [`ForwardRule::new_source`].
    pub new_source: Address,
    /// [`ForwardRule::new_destination`].
    pub new_destination: Address,
    /// [`ForwardRule::userspace_payload_types`].
    pub userspace_payload_types: [u64; 2],
}

impl ForwardRule {
    /// The rule as the tables hold it, but for its owner.
    pub fn split(&self) -> (RuleHead, RuleTail) {
        let head = RuleHead {
            source: self.source[3],
            new_source: self.new_source[3],
            new_destination: self.new_destination[3],
            route: self.route,
            source_port: self.source_port,
            new_source_port: self.new_source_port,
            new_destination_port: self.new_destination_port,
            other_source: self.other_source,
            tos: self.tos,
            flags: self.flags,
            payload_types: fold_payload_types(self.userspace_payload_types),
        };
        let tail = RuleTail {
            source: self.source,
            new_source: self.new_source,
            new_destination: self.new_destination,
            userspace_payload_types: self.userspace_payload_types,
        };
        (head, tail)
    }

    /// The rule that was split.
    pub fn join(head: &RuleHead, tail: &RuleTail, owner: u64) -> Self {
        Self {
            source: tail.source,
            new_source: tail.new_source,
            new_destination: tail.new_destination,
            userspace_payload_types: tail.userspace_payload_types,
            owner,
            source_port: head.source_port,
            new_source_port: head.new_source_port,
            new_destination_port: head.new_destination_port,
            other_source: head.other_source,
            tos: head.tos,
            flags: head.flags,
            route: head.route,
        }
    }
}

/// Bit `pt % 16` for each payload type of a bitmap.
fn fold_payload_types(bitmap: [u64; 2]) -> u16 {
    let all = bitmap[0] | bitmap[1];
    let half = all | all >> 32;
    let [low, high, ..] = (half | half >> 16).to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Bits of [`ForwardRule::flags`].
pub mod rule_flags {
    /// The received packet is IPv6.
    pub const IPV6_IN: u16 = 1 << 0;
    /// The relayed packet is IPv6.
    pub const IPV6_OUT: u16 = 1 << 1;
    /// The port carries RTP: tell STUN, DTLS and RTCP apart and pass what is not RTP.
    pub const RTP: u16 = 1 << 2;
    /// Drop what would be relayed, but count it: the media is blocked.
    pub const BLOCK: u16 = 1 << 3;
}

/// One local port in the array map: a line of memory, which is all that most packets need.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Slot {
    /// [`SlotState`].
    pub state: u16,
    /// Which copy of the rule is in force: 0 for [`Slot::rule`], 1 for [`Annex::rule`].
    pub active: u16,
    /// The first copy of the rule.
    pub rule: RuleHead,
    /// The first SSRC seen.
    pub ssrc: SsrcHead,
}

/// The rest of a local port's slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Annex {
    /// The tails of both copies of the rule.
    pub tails: [RuleTail; 2],
    /// The second copy of the rule.
    pub rule: RuleHead,
    /// The clock of the media that is expected here. It does not change together with the rule; at worst one
    /// measurement of the jitter is wrong.
    pub clock: Clock,
    /// The rest of all SSRCs seen.
    pub ssrc_tails: [SsrcTail; SSRCS_PER_SLOT],
    /// The next SSRCs seen.
    pub ssrcs: [SsrcHead; SSRCS_PER_SLOT - 1],
    /// What no SSRC is counted for.
    pub other: OtherCounters,
    /// [`ForwardRule::owner`] of both copies.
    pub owners: [u64; 2],
}

/// A local port's rules and counters in one, for those who are in no hurry.
impl Slot {
    /// The rule in force.
    pub fn active_rule(&self, annex: &Annex) -> ForwardRule {
        let copy = usize::from(self.active & 1);
        let head = [&self.rule, &annex.rule][copy];
        ForwardRule::join(head, &annex.tails[copy], annex.owners[copy])
    }

    /// Replaces the rule in force.
    pub fn set_active_rule(&mut self, annex: &mut Annex, rule: &ForwardRule) {
        let copy = usize::from(self.active & 1);
        let (head, tail) = rule.split();
        *[&mut self.rule, &mut annex.rule][copy] = head;
        annex.tails[copy] = tail;
        annex.owners[copy] = rule.owner;
    }

    /// What is counted of each SSRC, and when its newest packet arrived, in ticks of the kernel: `time_of` says when that was.
    pub fn ssrcs(&self, annex: &Annex, time_of: impl Fn(u32) -> u64) -> [SsrcCounters; SSRCS_PER_SLOT] {
        let (heads, tails) = (self.heads(annex), &annex.ssrc_tails);
        core::array::from_fn(|index| {
            let last_arrival = time_of(heads[index].last_tick);
            SsrcCounters::join(&heads[index], &tails[index], last_arrival)
        })
    }

    /// When the newest packet of each SSRC arrived, in ticks of the kernel.
    pub fn ticks(&self, annex: &Annex) -> [u32; SSRCS_PER_SLOT] {
        self.heads(annex).map(|head| head.last_tick)
    }

    /// Replaces both.
    pub fn set_ssrcs(
        &mut self,
        annex: &mut Annex,
        ssrcs: &[SsrcCounters; SSRCS_PER_SLOT],
        ticks: [u32; SSRCS_PER_SLOT],
    ) {
        let [second, third, fourth] = &mut annex.ssrcs;
        let heads = [&mut self.ssrc, second, third, fourth];
        for (((head, tail), ssrc), tick) in heads.into_iter().zip(&mut annex.ssrc_tails).zip(ssrcs).zip(ticks)
        {
            (*head, *tail) = ssrc.split(tick);
        }
    }

    fn heads(&self, annex: &Annex) -> [SsrcHead; SSRCS_PER_SLOT] {
        let [second, third, fourth] = annex.ssrcs;
        [self.ssrc, second, third, fourth]
    }
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
    pub mtu: u16,
    /// TTL or hop limit of what a socket sends there.
    pub hop_limit: u8,
    /// Reserved; 0.
    pub reserved: u8,
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
    /// For a local address, but for another Ethernet address than that of its device: other hosts', and multicast.
    OtherHost = 19,
    /// The checksum of the IPv4 header is wrong: the stack drops it.
    HeaderChecksum = 20,
}

impl PassReason {
    /// Number of reasons: the size of the array of pass counters.
    pub const COUNT: u32 = 21;

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
        (PassReason::OtherHost, "other host"),
        (PassReason::HeaderChecksum, "header checksum"),
    ];

    /// All reasons.
    pub fn all() -> impl Iterator<Item = PassReason> {
        Self::NAMES.into_iter().map(|(reason, _)| reason)
    }

    /// The reason of a number, as a slot keeps it.
    pub fn of(number: u32) -> Option<PassReason> {
        let named = Self::NAMES.get(usize::try_from(number).ok()?);
        named.map(|(reason, _)| *reason)
    }

    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

/// Bytes in a line of the processor's caches.
const LINE: usize = 64;

// The program and the daemon are compiled separately: what they share must not move.
const _: () = {
    assert!(size_of::<RuleHead>() == 28 && align_of::<RuleHead>() == 4);
    assert!(size_of::<RuleTail>() == LINE && align_of::<RuleTail>() == 8);
    assert!(size_of::<SsrcHead>() == LINE / 2 && align_of::<SsrcHead>() == 8);
    assert!(size_of::<SsrcTail>() == LINE / 2 && size_of::<OtherCounters>() == 48);
    assert!(size_of::<Slot>() == LINE && offset_of!(Slot, rule) == 4 && offset_of!(Slot, ssrc) == LINE / 2);
    // An odd number of lines, so that all sets of the processor's caches are used.
    assert!(size_of::<Annex>() == 7 * LINE && offset_of!(Annex, rule) == 2 * LINE);
    // What is needed to measure the jitter is in one line.
    assert!(offset_of!(Annex, clock) == 2 * LINE + 28 && offset_of!(Annex, ssrc_tails) == 2 * LINE + 32);
    assert!(size_of::<Route>() == LINE / 2);
    // Names stand in the order of their reasons.
    let mut index = 0;
    while index < PassReason::NAMES.len() {
        assert!(PassReason::NAMES[index].0 as usize == index);
        index += 1;
    }
};

#[cfg(feature = "user")]
mod user {
    use super::{Annex, Guard, Limits, LocalHint, LocalKey, LocalRange, Route, Slot};
    // SAFETY: repr(C), only integers, no padding (sizes are asserted above), valid for any bytes.
    unsafe impl aya::Pod for LocalKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for LocalRange {}
    // SAFETY: as above.
    unsafe impl aya::Pod for LocalHint {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Slot {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Annex {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Route {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Guard {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Limits {}
}
