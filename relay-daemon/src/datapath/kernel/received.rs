//! What userspace counts for the SSRCs of a port, beside the program.

use std::mem::offset_of;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;

use relay_common::reception::Sequence;
use relay_common::slot::{COUNTED_BY_USERSPACE, SsrcCounters};

use super::memory::{SharedAnnex, SharedReceived, SharedSlot, SharedSsrc};
use crate::clock::Time;
use crate::session::Received;

/// The word of [`SsrcCounters`] that says whom an entry belongs to.
const OWNER: usize = offset_of!(SsrcCounters, ssrc) / 8;

/// The words that sequence numbers are in.
const SEQUENCE: RangeInclusive<usize> =
    offset_of!(SsrcCounters, base_sequence) / 8..=offset_of!(SsrcCounters, restart_sequence) / 8;

const _: () = assert!(offset_of!(SsrcCounters, counted_by) == OWNER * 8 + 4);

/// Counts a packet. Its sequence number is placed among those that came through the kernel too; the rest is added to
/// `received`. Without an entry for its SSRC nothing is counted. Only one thread at a time may count for a port.
pub(super) fn count(
    slot: &SharedSlot,
    annex: &SharedAnnex,
    received: &SharedReceived,
    now: Time,
    packet: &Received,
) {
    let header = &packet.header;
    let entries = [&slot.ssrc].into_iter().chain(&annex.ssrcs).zip(&received.0);
    let mut entries = entries.filter(|(entry, _)| entry.is_of(header.ssrc, header.sequence));
    let Some((entry, received)) = entries.next() else {
        return;
    };
    let mut sequence = entry.read();
    let place = sequence.take(header.sequence);
    entry.write_sequence(&sequence);
    let mut counters = received.read();
    counters.packets = counters.packets.wrapping_add(1);
    counters.bytes = counters.bytes.wrapping_add(packet.bytes as u64);
    counters.arrive(header, place, now.0, packet.clock);
    received.write(&counters);
}

impl SharedSsrc {
    /// Whether the entry belongs to an SSRC, or was free and now does.
    fn is_of(&self, ssrc: u32, sequence: u16) -> bool {
        let mut reserved = SsrcCounters {
            ssrc,
            counted_by: COUNTED_BY_USERSPACE,
            ..SsrcCounters::default()
        };
        let wanted = SharedSsrc::words(&reserved)[OWNER];
        let owner = &self.0[OWNER];
        let found = match owner.load(Ordering::Relaxed) {
            0 => owner.compare_exchange(0, wanted, Ordering::Relaxed, Ordering::Relaxed),
            found => Err(found),
        };
        match found {
            Ok(_) => {
                reserved.set_sequence(Sequence::before(sequence));
                self.write_sequence(&reserved);
                true
            }
            // Whoever counts there: the lower half of the word is the SSRC.
            Err(found) => (found ^ wanted).trailing_zeros() >= u32::BITS,
        }
    }

    fn write_sequence(&self, counters: &SsrcCounters) {
        let words = SharedSsrc::words(counters);
        for index in SEQUENCE {
            // The program may be counting; what it need not see is not written.
            if self.0[index].load(Ordering::Relaxed) != words[index] {
                self.0[index].store(words[index], Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use relay_common::packet::RtpHeader;
    use relay_common::slot::{Clock, Counters, SSRCS_PER_SLOT};

    use super::super::memory::{SharedArray, read_counters};
    use super::*;
    use crate::plan::PortId;

    const MS: u64 = 1_000_000;

    /// The memory of one port.
    struct Port {
        slots: SharedArray<SharedSlot>,
        annexes: SharedArray<SharedAnnex>,
        received: SharedArray<SharedReceived>,
    }

    impl Port {
        fn new() -> Port {
            Port {
                slots: SharedArray::anonymous(1).unwrap(),
                annexes: SharedArray::anonymous(1).unwrap(),
                received: SharedArray::anonymous(1).unwrap(),
            }
        }

        fn parts(&self) -> (&SharedSlot, &SharedAnnex, &SharedReceived) {
            let parts = (self.slots.get(0), self.annexes.get(0), self.received.get(0));
            (parts.0.unwrap(), parts.1.unwrap(), parts.2.unwrap())
        }

        /// A packet of 20 ms; every other one is 4 ms late.
        fn receive(&self, ssrc: u32, number: u16) {
            let packet = Received {
                port: PortId(0),
                header: RtpHeader {
                    marker: false,
                    payload_type: 8,
                    sequence: number,
                    timestamp: u32::from(number) * 160,
                    ssrc,
                },
                bytes: 172,
                clock: Clock::new(8, 8000),
            };
            let now = MS + u64::from(number) * 20 * MS + u64::from(number % 2) * 4 * MS;
            let (slot, annex, received) = self.parts();
            count(slot, annex, received, Time(now), &packet);
        }

        /// A packet that takes the way through the kernel.
        fn receive_in_kernel(&self, number: u16) {
            let (slot, ..) = self.parts();
            let mut entry = slot.ssrc.read();
            entry.counted_by = 1;
            entry.packets += 1;
            entry.take(number);
            slot.ssrc.write(&entry);
        }

        fn counters(&self) -> Counters {
            let (slot, annex, received) = self.parts();
            read_counters(slot, annex, received)
        }
    }

    #[test]
    fn userspace_counts_without_a_program() {
        let port = Port::new();
        let numbers = (0..100).filter(|number| *number != 50);
        numbers.for_each(|number| port.receive(7, number));
        // The SSRC 0 is one like any other.
        [9, 10, 9].into_iter().for_each(|number| port.receive(0, number));
        let counters = port.counters();
        assert_eq!((counters.packets, counters.last_seen), (0, 0), "not the kernel's");
        let [first, second, ..] = counters.ssrcs;
        assert_eq!((first.ssrc, first.packets, first.bytes), (7, 99, 99 * 172));
        assert_eq!((first.lost(), first.highest_sequence), (1, 99));
        let jitter = first.jitter_ns();
        assert!((3 * MS..4 * MS).contains(&jitter), "{jitter}");
        assert_eq!((second.ssrc, second.counted_by), (0, COUNTED_BY_USERSPACE));
        assert_eq!((second.packets, second.duplicates), (3, 1));
    }

    #[test]
    fn no_more_ssrcs_are_counted_than_there_is_room_for() {
        let port = Port::new();
        (0..20).for_each(|number| port.receive(1 + u32::from(number / 2), number));
        let counters = port.counters();
        assert_eq!(counters.ssrcs.map(|entry| entry.ssrc), [1, 2, 3, 4]);
        assert_eq!(counters.ssrcs.map(|entry| entry.packets), [2; SSRCS_PER_SLOT]);
    }

    /// More than a cycle of sequence numbers; some packets go through userspace in between.
    #[test]
    fn sequence_numbers_go_on_whichever_way_packets_take() {
        let port = Port::new();
        for number in (0..=u16::MAX).chain(0..30_000) {
            match number % 10_000 {
                0..10 => port.receive(7, number),
                _ => port.receive_in_kernel(number),
            }
        }
        let ssrc = port.counters().ssrcs[0];
        assert_eq!((ssrc.lost(), ssrc.reordered, ssrc.duplicates), (0, 0, 0));
        assert_eq!((ssrc.packets, ssrc.highest_sequence), (95_536, 95_535));
    }
}
