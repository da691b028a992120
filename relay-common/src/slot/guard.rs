//! What keeps floods of packets from unexpected sources out of userspace.
//!
//! Whoever sends to a port that has a socket may cost it no more than a token bucket allows. There is one for each port, and
//! one for each network that packets come from, over all ports. Packets of the expected source do not take from them, and
//! what they are (STUN, DTLS, RTP) is not looked at before: a new address of a party is let in by the same bucket as
//! everybody else.

use super::Address;

/// What is expected at a claimed or offloaded port.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Guard {
    /// Where packets are expected from. The daemon writes it word by word: a program run that sees a half of it takes a token
    /// for an expected packet, and nothing worse.
    pub source: Address,
    /// The port's bucket: see [`Limit::take`].
    pub bucket: u64,
    /// Packets dropped as a bucket was empty. Several CPUs count here, atomically.
    pub limited: u64,
    /// The port of the expected source, host byte order.
    pub source_port: u16,
    /// Bits of [`guard_flags`].
    pub flags: u16,
    /// Reserved; 0.
    pub reserved: u32,
}

/// Bits of [`Guard::flags`].
pub mod guard_flags {
    /// The expected source is known.
    pub const KNOWN: u16 = 1 << 0;
    /// Packets may come from anywhere, however many.
    pub const ANY: u16 = 1 << 1;
}

/// How much a token bucket lets through. It is kept as the time at which it would be full again (the generic cell rate
/// algorithm): one word, which is left alone while it is empty.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Limit {
    /// Nanoseconds in which one token comes back; 0 for no limit.
    pub interval: u64,
    /// Nanoseconds in which all of them do, but for one.
    pub burst: u64,
}

/// What the program goes by, set when it is loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Limits {
    /// For each port.
    pub port: Limit,
    /// For each network.
    pub prefix: Limit,
    /// So that nobody outside can tell which networks share a bucket.
    pub seed: u64,
    /// One less than the number of buckets of networks, which is a power of two.
    pub prefix_mask: u32,
    /// 1: packets to a port of the ranges that nobody has claimed are dropped.
    pub drop_unclaimed: u32,
    /// Ticks of the kernel in a second: an SSRC that was not heard for so long gives up its counters if another one needs them.
    pub ticks_per_second: u32,
    /// Lowest port of all ranges.
    pub port_min: u16,
    /// Highest port of all ranges. What comes to others in an odd way need not be looked up.
    pub port_max: u16,
}

/// No limits at all.
pub const NO_LIMITS: Limits = {
    const NONE: Limit = Limit {
        interval: 0,
        burst: 0,
    };
    Limits {
        port: NONE,
        prefix: NONE,
        seed: 0,
        prefix_mask: 0,
        drop_unclaimed: 0,
        ticks_per_second: 1000,
        port_min: 0,
        port_max: u16::MAX,
    }
};

/// Number of buckets of networks.
pub const PREFIXES: u32 = 1 << 14;

impl Limit {
    /// So many a second, and at most a second's at once; 0 for no limit.
    pub const fn per_second(packets: u32) -> Limit {
        const SECOND: u64 = 1_000_000_000;
        if packets == 0 {
            return Limit {
                interval: 0,
                burst: 0,
            };
        }
        let interval = SECOND / packets as u64;
        Limit {
            interval,
            burst: SECOND - interval,
        }
    }

    /// Takes a token at a time (nanoseconds): what the bucket is then; none if it is empty.
    #[inline(always)]
    pub const fn take(self, bucket: u64, now: u64) -> Option<u64> {
        if bucket > now.wrapping_add(self.burst) {
            return None;
        }
        let from = if bucket > now { bucket } else { now };
        Some(from.wrapping_add(self.interval))
    }
}

/// The index of the bucket of an address: one for each /24 of IPv4 and each /48 of IPv6.
#[inline(always)]
pub const fn prefix(address: &Address, limits: &Limits) -> u32 {
    const IPV4: u32 = 0xffff_ff00_u32.to_be();
    const IPV6: u32 = 0xffff_0000_u32.to_be();
    const MAPPED: u32 = 0xffff_u32.to_be();
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let network = if address[0] == 0 && address[1] == 0 && address[2] == MAPPED {
        (address[3] & IPV4) as u64
    } else {
        (address[0] as u64) << 32 | (address[1] & IPV6) as u64
    };
    let mixed = (network ^ limits.seed).wrapping_mul(ODD);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(ODD);
    (mixed >> 32) as u32 & limits.prefix_mask
}

/// Why the program dropped a packet. Index into the per-CPU array of drop counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum DropReason {
    /// To a port that nobody has claimed.
    Unclaimed = 0,
    /// Not from the only source that the rule allows.
    OtherSource = 1,
    /// Too many unexpected packets at the port.
    PortLimit = 2,
    /// Too many unexpected packets from the network.
    PrefixLimit = 3,
}

impl DropReason {
    /// Number of reasons: the size of the array of drop counters.
    pub const COUNT: u32 = 4;

    const ALL: [DropReason; Self::COUNT as usize] = [
        DropReason::Unclaimed,
        DropReason::OtherSource,
        DropReason::PortLimit,
        DropReason::PrefixLimit,
    ];

    /// All reasons.
    pub fn all() -> impl Iterator<Item = DropReason> {
        Self::ALL.into_iter()
    }

    /// The reason in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            DropReason::Unclaimed => "unclaimed port",
            DropReason::OtherSource => "other source",
            DropReason::PortLimit => "port limit",
            DropReason::PrefixLimit => "network limit",
        }
    }
}

// The program and the daemon are compiled separately.
const _: () = {
    assert!(size_of::<Guard>() == 40 && align_of::<Guard>() == 8);
    assert!(size_of::<Limits>() == 56 && PREFIXES.is_power_of_two());
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    /// How many of packets that come in a steady stream are let through.
    fn admitted(limit: Limit, packets: u64, interval: u64) -> u64 {
        let mut bucket = 0;
        let mut admitted = 0;
        for number in 0..packets {
            if let Some(after) = limit.take(bucket, 1_000_000 * MS + number * interval) {
                bucket = after;
                admitted += 1;
            }
        }
        admitted
    }

    #[test]
    fn a_bucket_lets_through_what_it_should() {
        let limit = Limit::per_second(500);
        // Ten seconds of a flood: what was in the bucket, and what came back meanwhile.
        assert_eq!(admitted(limit, 1_000_000, 10_000), 500 + 4999);
        // Voice, and a burst.
        assert_eq!(admitted(limit, 5000, 20 * MS), 5000);
        assert_eq!(admitted(limit, 500, 0), 500);
        assert_eq!(admitted(limit, 501, 0), 500);
    }

    fn address(text: &str) -> Address {
        let octets = match text.parse().unwrap() {
            std::net::IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            std::net::IpAddr::V6(address) => address.octets(),
        };
        let (words, _) = octets.as_chunks::<4>();
        [0, 1, 2, 3].map(|word| u32::from_ne_bytes(words[word]))
    }

    fn is_same(one: &str, other: &str) -> bool {
        let limits = Limits {
            seed: 0x1234_5678_9abc_def0,
            prefix_mask: u32::MAX,
            ..Limits::default()
        };
        prefix(&address(one), &limits) == prefix(&address(other), &limits)
    }

    #[test]
    fn networks_have_a_bucket_each() {
        assert!(is_same("192.0.2.1", "192.0.2.254"));
        assert!(!is_same("192.0.2.1", "192.0.3.1"));
        assert!(is_same("2001:db8:7:1::1", "2001:db8:7:ffff::2"));
        assert!(!is_same("2001:db8:7::1", "2001:db8:8::1"));
        assert!(!is_same("2001:db8:7::1", "2001:db9:7::1"));
    }

    proptest! {
        #[test]
        fn no_second_lets_through_more_than_twice_its_tokens(
            rate in 1_u32..5000,
            gaps in proptest::collection::vec(0_u64..5 * MS, 1..2000),
        ) {
            let limit = Limit::per_second(rate);
            let (mut bucket, mut now) = (0, 1_000_000 * MS);
            let mut times = Vec::new();
            for gap in gaps {
                now += gap;
                if let Some(after) = limit.take(bucket, now) {
                    bucket = after;
                    times.push(now);
                }
            }
            for (index, start) in times.iter().enumerate() {
                let within = times[index..].iter().take_while(|time| *time - start < 1000 * MS).count();
                prop_assert!(within <= 2 * rate as usize, "{within} at a rate of {rate}");
            }
        }

        #[test]
        fn every_network_has_a_bucket(words: [u32; 4], seed: u64) {
            let limits = Limits { seed, prefix_mask: PREFIXES - 1, ..Limits::default() };
            prop_assert!(prefix(&words, &limits) < PREFIXES);
        }
    }
}
