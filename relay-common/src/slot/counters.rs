//! What the program counts for a port.

use super::SSRCS_PER_SLOT;

/// All that is counted for one port. Only ever grows while the port is claimed.
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
    /// Arrival of the newest of [`Counters::packets`], nanoseconds of CLOCK_MONOTONIC as of the kernel's
    /// latest tick; 0 for none.
    pub last_seen: u64,
    /// [`PassReason`] of the newest packet passed while offloaded.
    pub last_pass_reason: u32,
    /// The first SSRCs seen, each once, over all CPUs; [`SsrcCounters::counted_by`] is that of the first entry.
    pub ssrcs: [SsrcCounters; SSRCS_PER_SLOT],
}

/// Reception statistics of one SSRC (RFC 3550 appendix A.3), on one CPU.
///
/// An entry belongs to an SSRC and to the CPU that received its first packet, and only that CPU writes it: so
/// plain additions lose nothing, where atomic ones would be what costs most of all the program does. Network
/// cards hash a flow to one queue and so to one CPU. An SSRC that comes to another CPU all the same has another
/// entry there; [`Counters::of`] adds them up.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SsrcCounters {
    /// The SSRC, host byte order.
    pub ssrc: u32,
    /// One more than the number of the CPU that counts here; 0 while the entry is not in use.
    pub counted_by: u32,
    /// Packets received.
    pub packets: u64,
    /// UDP payload bytes received.
    pub bytes: u64,
    /// Arrival of the newest packet, nanoseconds of CLOCK_MONOTONIC as of the kernel's latest tick.
    pub last_arrival: u64,
    /// First sequence number seen, extended like the highest one.
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
    pub reserved: [u32; 3],
}

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
    /// Adds up what the tables hold: `entries` in their order, the one of the slot first.
    pub fn of(entries: [SsrcCounters; SSRCS_PER_SLOT], other: &OtherCounters) -> Self {
        let mut counters = Self {
            packets: other.packets,
            bytes: other.bytes,
            dropped: other.dropped,
            passed: other.passed,
            last_seen: other.last_seen,
            last_pass_reason: other.last_pass_reason,
            ssrcs: [SsrcCounters::default(); SSRCS_PER_SLOT],
        };
        for entry in entries.iter().filter(|entry| entry.counted_by != 0) {
            counters.packets = counters.packets.wrapping_add(entry.packets);
            counters.bytes = counters.bytes.wrapping_add(entry.bytes);
            counters.last_seen = counters.last_seen.max(entry.last_arrival);
            let same_or_free = |known: &&mut SsrcCounters| known.counted_by == 0 || known.ssrc == entry.ssrc;
            match counters.ssrcs.iter_mut().find(same_or_free) {
                Some(known) if known.counted_by != 0 => known.add(entry),
                Some(free) => *free = *entry,
                None => {}
            }
        }
        counters
    }
}

impl SsrcCounters {
    /// Adds what a CPU that came later counted for the same SSRC.
    fn add(&mut self, later: &Self) {
        self.packets = self.packets.wrapping_add(later.packets);
        self.bytes = self.bytes.wrapping_add(later.bytes);
        self.reordered = self.reordered.wrapping_add(later.reordered);
        self.last_arrival = self.last_arrival.max(later.last_arrival);
        let ahead = later.highest_sequence.wrapping_sub(self.highest_sequence);
        if ahead.cast_signed() > 0 {
            self.highest_sequence = later.highest_sequence;
            self.last_timestamp = later.last_timestamp;
            self.payload_type = later.payload_type;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ssrc: u32, cpu: u32, packets: u64, highest_sequence: u32) -> SsrcCounters {
        SsrcCounters {
            ssrc,
            counted_by: cpu + 1,
            packets,
            bytes: packets * 172,
            last_arrival: 100 + packets,
            base_sequence: 7 + cpu,
            highest_sequence,
            reordered: 1,
            ..SsrcCounters::default()
        }
    }

    #[test]
    fn an_ssrc_on_several_cpus_is_listed_once() {
        let entries = [
            entry(1, 0, 10, 65_530),
            entry(2, 0, 5, 40),
            entry(1, 1, 3, 65_540),
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
        let counters = Counters::of(entries, &other);
        assert_eq!((counters.packets, counters.bytes), (20, 18 * 172 + 100));
        assert_eq!(
            (counters.last_seen, counters.dropped, counters.passed),
            (110, 6, 7)
        );
        assert_eq!(counters.ssrcs.map(|entry| entry.ssrc), [1, 2, 0, 0]);
        let first = counters.ssrcs[0];
        assert_eq!((first.packets, first.bytes, first.reordered), (13, 13 * 172, 2));
        assert_eq!((first.base_sequence, first.highest_sequence), (7, 65_540));
        assert_eq!(first.last_arrival, 110);
    }

    #[test]
    fn the_highest_sequence_number_may_be_that_of_the_first_cpu() {
        let entries = [
            entry(1, 0, 10, 9),
            entry(1, 1, 10, u32::MAX),
            SsrcCounters::default(),
            SsrcCounters::default(),
        ];
        let counters = Counters::of(entries, &OtherCounters::default());
        assert_eq!(counters.ssrcs[0].highest_sequence, 9);
    }
}
