//! What the program counts for a port.

use super::SSRCS_PER_SLOT;

/// All that is counted for one port. Only ever grows while the port is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets relayed, or received and dropped as their media is blocked. A packet is relayed when it is handed to the device by
    /// which it leaves: whether that takes it nobody hears.
    pub packets: u64,
    /// UDP payload bytes of these.
    pub bytes: u64,
    /// Packets dropped: from another source under [`OtherSource::Drop`].
    pub dropped: u64,
    /// Packets dropped as there were too many from unexpected sources ([`super::Guard::limited`]).
    pub limited: u64,
    /// Packets of an offloaded slot passed to userspace all the same.
    pub passed: u64,
    /// Arrival of the newest of [`Counters::packets`], nanoseconds of CLOCK_MONOTONIC as of the kernel's
    /// latest tick; 0 for none.
    pub last_seen: u64,
    /// [`PassReason`] of the newest packet passed while offloaded.
    pub last_pass_reason: u32,
    /// SSRCs of the expected source, each once, over all CPUs and userspace; [`SsrcCounters::counted_by`] is that of the first
    /// entry.
    pub ssrcs: [SsrcCounters; SSRCS_PER_SLOT],
}

/// Reception statistics of one SSRC (RFC 3550 appendices A.1, A.3 and A.8): see [`crate::reception`]. In the tables it is
/// split in two.
///
/// Only packets of the expected source are counted here. An entry belongs to an SSRC and to the CPU that received its first packet, and only that CPU writes what it adds up:
/// so plain additions lose nothing, where atomic ones would be what costs most of all the program does. Network
/// cards hash a flow to one queue and so to one CPU. An SSRC that comes to another CPU all the same has another
/// entry there; [`Counters::of`] adds them up.
///
/// What does not add up, from [`SsrcCounters::timed_at`] on, is in the first of an SSRC's entries, and written by
/// whoever receives a packet: two at the same moment may count one as late, or miss a duplicate, but nothing goes wrong
/// for longer. Userspace continues the sequence numbers there too, so that they go on whichever way packets take; it
/// reserves an entry if there is none yet. What it adds up, and times, it keeps for itself.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SsrcCounters {
    /// The SSRC, host byte order.
    pub ssrc: u32,
    /// One more than the number of the CPU that counts here, or [`COUNTED_BY_USERSPACE`]; 0 while the entry is not in
    /// use.
    pub counted_by: u32,
    /// Packets received.
    pub packets: u64,
    /// UDP payload bytes received.
    pub bytes: u64,
    /// Arrival of the newest packet, nanoseconds of CLOCK_MONOTONIC; in the program as of the kernel's latest tick.
    pub last_arrival: u64,
    /// Arrival of the packet that [`SsrcCounters::last_timestamp`] is of, in the same way; exact where the jitter is
    /// measured.
    pub timed_at: u64,
    /// Extended sequence number that was expected first.
    pub base_sequence: u32,
    /// Extended highest sequence number: cycles in the upper 16 bits. A sequence number is taken for the
    /// nearest one, as in an SRTP index (RFC 3711 section 3.3.1).
    pub highest_sequence: u32,
    /// Which of the newest sequence numbers have come: bit `n` for the `n`th below the highest.
    pub seen: u32,
    /// Packets that came later than a higher sequence number, each counted once.
    pub reordered: u32,
    /// Packets that had come before.
    pub duplicates: u32,
    /// RTP timestamp of the packet with the highest sequence number; the program notes one of sixteen.
    pub last_timestamp: u32,
    /// Interarrival jitter in units of 64 ns.
    pub jitter: u32,
    /// The sequence number that would confirm a new start, after one out of all order.
    pub restart_sequence: u16,
    /// Payload type of the packet that [`SsrcCounters::last_timestamp`] is of.
    pub payload_type: u8,
    /// Reserved; 0.
    pub reserved: u8,
}

/// What changes of [`SsrcCounters`] with every packet: half a line.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SsrcHead {
    /// [`SsrcCounters::ssrc`].
    pub ssrc: u32,
    /// [`SsrcCounters::counted_by`].
    pub counted_by: u32,
    /// [`SsrcCounters::bytes`].
    pub bytes: u64,
    /// The lower half of [`SsrcCounters::packets`].
    pub packets: u32,
    /// [`SsrcCounters::highest_sequence`].
    pub highest_sequence: u32,
    /// [`SsrcCounters::seen`].
    pub seen: u32,
    /// [`SsrcCounters::last_arrival`] in ticks of the kernel (jiffies), of which this is the lower half: a look at
    /// them costs the program nothing.
    pub last_tick: u32,
}

/// What seldom changes of [`SsrcCounters`]: half a line.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SsrcTail {
    /// [`SsrcCounters::timed_at`].
    pub timed_at: u64,
    /// [`SsrcCounters::last_timestamp`].
    pub last_timestamp: u32,
    /// [`SsrcCounters::jitter`].
    pub jitter: u32,
    /// [`SsrcCounters::base_sequence`].
    pub base_sequence: u32,
    /// [`SsrcCounters::reordered`].
    pub reordered: u32,
    /// [`SsrcCounters::duplicates`].
    pub duplicates: u32,
    /// [`SsrcCounters::restart_sequence`].
    pub restart_sequence: u16,
    /// [`SsrcCounters::payload_type`].
    pub payload_type: u8,
    /// How often [`SsrcHead::packets`] has turned.
    pub packets_turned: u8,
}

/// [`SsrcCounters::counted_by`] of an entry that userspace has reserved: the first CPU that receives a packet of its
/// SSRC takes it over.
pub const COUNTED_BY_USERSPACE: u32 = u32::MAX;

/// What is counted for a port and for none of its SSRCs. Several CPUs count here, atomically.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OtherCounters {
    /// Packets relayed or blocked that are not in any [`SsrcCounters`]: not RTP, or one SSRC too many.
    pub packets: u64,
    /// UDP payload bytes of these.
    pub bytes: u64,
    /// Arrival of the newest of these.
    pub last_seen: u64,
    /// [`Counters::dropped`].
    pub dropped: u64,
    /// [`Counters::passed`].
    pub passed: u64,
    /// [`Counters::last_pass_reason`].
    pub last_pass_reason: u32,
    /// Reserved; 0.
    pub reserved: u32,
}

impl Counters {
    /// Adds up what the tables hold: `entries` in their order, the one of the slot first. `userspace` is what userspace
    /// received of the SSRC of the entry in the same place, if that is its first one.
    pub fn of(
        entries: [SsrcCounters; SSRCS_PER_SLOT],
        other: &OtherCounters,
        userspace: &[SsrcCounters; SSRCS_PER_SLOT],
    ) -> Self {
        let mut counters = Self {
            packets: other.packets,
            bytes: other.bytes,
            dropped: other.dropped,
            limited: 0,
            passed: other.passed,
            last_seen: other.last_seen,
            last_pass_reason: other.last_pass_reason,
            ssrcs: [SsrcCounters::default(); SSRCS_PER_SLOT],
        };
        for (entry, received) in entries.iter().zip(userspace) {
            // What was received of an SSRC that has given up the entry since.
            let received = if received.ssrc == entry.ssrc {
                received
            } else {
                &SsrcCounters::EMPTY
            };
            if entry.counted_by == 0 {
                continue;
            }
            counters.packets = counters.packets.wrapping_add(entry.packets);
            counters.bytes = counters.bytes.wrapping_add(entry.bytes);
            counters.last_seen = counters.last_seen.max(entry.last_arrival);
            let same_or_free = |known: &&mut SsrcCounters| known.counted_by == 0 || known.ssrc == entry.ssrc;
            let Some(known) = counters.ssrcs.iter_mut().find(same_or_free) else {
                continue;
            };
            if known.counted_by == 0 {
                *known = *entry;
            } else {
                known.add(entry);
            }
            known.add(received);
            known.time_by(received);
        }
        counters
    }
}

impl SsrcCounters {
    /// Of no SSRC.
    const EMPTY: SsrcCounters = SsrcCounters {
        ssrc: 0,
        counted_by: 0,
        packets: 0,
        bytes: 0,
        last_arrival: 0,
        timed_at: 0,
        base_sequence: 0,
        highest_sequence: 0,
        seen: 0,
        reordered: 0,
        duplicates: 0,
        last_timestamp: 0,
        jitter: 0,
        restart_sequence: 0,
        payload_type: 0,
        reserved: 0,
    };

    /// As the tables hold it. `last_tick` is when the newest packet arrived, in ticks of the kernel.
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
    pub const fn split(&self, last_tick: u32) -> (SsrcHead, SsrcTail) {
        let head = SsrcHead {
            ssrc: self.ssrc,
            counted_by: self.counted_by,
            bytes: self.bytes,
            packets: self.packets as u32,
            highest_sequence: self.highest_sequence,
            seen: self.seen,
            last_tick,
        };
        let tail = SsrcTail {
            timed_at: self.timed_at,
            last_timestamp: self.last_timestamp,
            jitter: self.jitter,
            base_sequence: self.base_sequence,
            reordered: self.reordered,
            duplicates: self.duplicates,
            restart_sequence: self.restart_sequence,
            payload_type: self.payload_type,
            packets_turned: (self.packets >> u32::BITS) as u8,
        };
        (head, tail)
    }

    /// What was split. `last_arrival` is when the tick of the newest packet was.
    pub const fn join(head: &SsrcHead, tail: &SsrcTail, last_arrival: u64) -> Self {
        let is_unused = head.packets == 0 && tail.packets_turned == 0;
        Self {
            ssrc: head.ssrc,
            counted_by: head.counted_by,
            packets: (tail.packets_turned as u64) << u32::BITS | head.packets as u64,
            bytes: head.bytes,
            last_arrival: if is_unused { 0 } else { last_arrival },
            timed_at: tail.timed_at,
            base_sequence: tail.base_sequence,
            highest_sequence: head.highest_sequence,
            seen: head.seen,
            reordered: tail.reordered,
            duplicates: tail.duplicates,
            last_timestamp: tail.last_timestamp,
            jitter: tail.jitter,
            restart_sequence: tail.restart_sequence,
            payload_type: tail.payload_type,
            reserved: 0,
        }
    }

    /// Adds what was counted of the same SSRC elsewhere.
    fn add(&mut self, other: &Self) {
        self.packets = self.packets.wrapping_add(other.packets);
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.last_arrival = self.last_arrival.max(other.last_arrival);
    }

    /// Takes over what was timed elsewhere, if that is newer.
    fn time_by(&mut self, other: &Self) {
        if other.timed_at <= self.timed_at {
            return;
        }
        self.timed_at = other.timed_at;
        self.jitter = other.jitter;
        self.last_timestamp = other.last_timestamp;
        self.payload_type = other.payload_type;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn entry(ssrc: u32, cpu: u32, packets: u64, highest_sequence: u32) -> SsrcCounters {
        SsrcCounters {
            ssrc,
            counted_by: cpu + 1,
            packets,
            bytes: packets * 172,
            last_arrival: 100 + packets,
            timed_at: 100 + packets,
            base_sequence: 7 + cpu,
            highest_sequence,
            seen: 0,
            reordered: 1,
            duplicates: 0,
            restart_sequence: 0,
            payload_type: 0,
            ..SsrcCounters::EMPTY
        }
    }

    #[test]
    fn an_ssrc_on_several_cpus_is_listed_once() {
        let entries = [
            entry(1, 0, 10, 65_530),
            entry(2, 0, 5, 40),
            SsrcCounters {
                last_arrival: 120,
                ..entry(1, 1, 3, 0)
            },
            SsrcCounters::default(),
        ];
        let other = OtherCounters {
            packets: 2,
            bytes: 100,
            last_seen: 104,
            dropped: 6,
            passed: 7,
            last_pass_reason: 8,
            reserved: 0,
        };
        let counters = Counters::of(entries, &other, &Default::default());
        assert_eq!((counters.packets, counters.bytes), (20, 18 * 172 + 100));
        assert_eq!(
            (counters.last_seen, counters.dropped, counters.passed),
            (120, 6, 7)
        );
        assert_eq!(counters.ssrcs.map(|entry| entry.ssrc), [1, 2, 0, 0]);
        let first = counters.ssrcs[0];
        assert_eq!((first.packets, first.bytes, first.reordered), (13, 13 * 172, 1));
        assert_eq!((first.base_sequence, first.highest_sequence), (7, 65_530));
        assert_eq!(first.last_arrival, 120);
    }

    #[test]
    fn userspace_adds_to_the_ssrc_but_not_to_the_kernel() {
        let reserved = SsrcCounters {
            counted_by: COUNTED_BY_USERSPACE,
            last_arrival: 0,
            timed_at: 0,
            ..entry(2, 0, 0, 40)
        };
        let entries = [
            entry(1, 0, 10, 65_530),
            reserved,
            entry(1, 1, 3, 0),
            SsrcCounters::default(),
        ];
        let received = |ssrc, packets, last_arrival| SsrcCounters {
            ssrc,
            packets,
            last_arrival,
            timed_at: last_arrival,
            jitter: 9,
            ..SsrcCounters::default()
        };
        let userspace = [
            received(1, 4, 105),
            received(2, 6, 200),
            // Of an SSRC that was there before.
            received(9, 50, 300),
            SsrcCounters::default(),
        ];
        let counters = Counters::of(entries, &OtherCounters::default(), &userspace);
        assert_eq!((counters.packets, counters.last_seen), (13, 110));
        let [first, second, ..] = counters.ssrcs;
        // The jitter is that of the path on which a packet was timed last.
        assert_eq!((first.packets, first.jitter, first.last_arrival), (17, 0, 110));
        assert_eq!((second.packets, second.jitter, second.last_arrival), (6, 9, 200));
        assert_eq!(second.highest_sequence, 40);
    }
}
