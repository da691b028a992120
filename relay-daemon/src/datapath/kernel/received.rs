//! What userspace counts for the SSRCs of a port, beside the program.

use std::sync::atomic::{AtomicU32, Ordering};

use relay_common::reception::{Place, Sequence};
use relay_common::slot::{COUNTED_BY_USERSPACE, SsrcCounters};

use super::memory::{
    SharedAnnex, SharedCounters, SharedReceived, SharedSlot, SharedSsrc, SharedSsrcTail, owner, read_ssrcs,
};
use crate::clock::Time;
use crate::session::Received;

/// Counts a packet of the expected source. Its sequence number is placed among those that came through the kernel too; the
/// rest is added to `received`. Without an entry for its SSRC, and none that could be freed for it, nothing is counted.
/// Only one thread at a time may count for a port. `time_of` says when a tick of the kernel was.
pub(super) fn count(
    slot: &SharedSlot,
    annex: &SharedAnnex,
    received: &SharedReceived,
    (now, time_of): (Time, impl Fn(u32) -> u64),
    packet: &Received,
) {
    let header = &packet.header;
    let find = || {
        let heads = [&slot.ssrc].into_iter().chain(&annex.ssrcs);
        let mut entries = heads.zip(&annex.ssrc_tails).zip(&received.0);
        entries.find(|((head, tail), _)| is_of(head, tail, header.ssrc, header.sequence))
    };
    let found = find().or_else(|| {
        make_room(slot, annex, received, (now, time_of));
        find()
    });
    let Some(((head, tail), received)) = found else {
        return;
    };
    let place = take(head, tail, header.sequence);
    let mut counters = received.read();
    if counters.ssrc != header.ssrc {
        // Of an SSRC that has given up the entry.
        counters = SsrcCounters {
            ssrc: header.ssrc,
            ..SsrcCounters::default()
        };
    }
    counters.packets = counters.packets.wrapping_add(1);
    counters.bytes = counters.bytes.wrapping_add(packet.bytes as u64);
    counters.arrive(header, place, now.0, packet.clock);
    received.write(&counters);
}

/// Frees the entries of the SSRC that was heard last longest ago, whichever way, if that was a second ago. What they
/// counted of the kernel goes to the total of the rest.
fn make_room(
    slot: &SharedSlot,
    annex: &SharedAnnex,
    received: &SharedReceived,
    (now, time_of): (Time, impl Fn(u32) -> u64),
) {
    const QUIET: u64 = 1_000_000_000;
    let entries = read_ssrcs(slot, annex, time_of);
    let received: Vec<SsrcCounters> = received.0.iter().map(SharedCounters::read).collect();
    let last_arrival = |ssrc: u32| {
        let of_ssrc = entries.iter().chain(&received).filter(|entry| entry.ssrc == ssrc);
        of_ssrc.map(|entry| entry.last_arrival).max().unwrap_or_default()
    };
    let all = entries.iter().map(|entry| (last_arrival(entry.ssrc), entry.ssrc));
    let oldest = all.min().filter(|(at, _)| now.0.saturating_sub(*at) >= QUIET);
    let Some((_, victim)) = oldest else {
        return;
    };
    let heads = [&slot.ssrc].into_iter().chain(&annex.ssrcs);
    for ((head, tail), entry) in heads.zip(&annex.ssrc_tails).zip(&entries) {
        if entry.ssrc == victim {
            annex.add_to_rest(entry.packets, entry.bytes);
            tail.clear();
            head.free();
        }
    }
}

/// Whether an entry belongs to an SSRC, or was free and now does.
fn is_of(head: &SharedSsrc, tail: &SharedSsrcTail, ssrc: u32, sequence: u16) -> bool {
    let wanted = owner(ssrc, COUNTED_BY_USERSPACE);
    let found = match head.owner.load(Ordering::Relaxed) {
        0 => head
            .owner
            .compare_exchange(0, wanted, Ordering::Relaxed, Ordering::Relaxed),
        found => Err(found),
    };
    match found {
        Ok(_) => {
            write_sequence(head, tail, Sequence::before(sequence));
            true
        }
        // Whoever counts there: the lower half of the word is the SSRC.
        Err(found) => (found ^ wanted).trailing_zeros() >= u32::BITS,
    }
}

/// Counts a sequence number.
fn take(head: &SharedSsrc, tail: &SharedSsrcTail, number: u16) -> Place {
    let rest = tail.read();
    let mut sequence = Sequence {
        base: rest.base_sequence,
        highest: head.highest_sequence.load(Ordering::Relaxed),
        seen: head.seen.load(Ordering::Relaxed),
        restart: rest.restart_sequence,
    };
    let place = sequence.take(number);
    write_sequence(head, tail, sequence);
    match place {
        Place::Late => tail
            .reordered
            .store(rest.reordered.wrapping_add(1), Ordering::Relaxed),
        Place::Duplicate => tail
            .duplicates
            .store(rest.duplicates.wrapping_add(1), Ordering::Relaxed),
        Place::Next | Place::Ahead | Place::Astray => {}
    }
    place
}

/// The program may be counting: what it need not see is not written.
fn write_sequence(head: &SharedSsrc, tail: &SharedSsrcTail, sequence: Sequence) {
    update(&head.highest_sequence, sequence.highest);
    update(&head.seen, sequence.seen);
    update(&tail.base_sequence, sequence.base);
    if tail.restart_sequence.load(Ordering::Relaxed) != sequence.restart {
        tail.restart_sequence.store(sequence.restart, Ordering::Relaxed);
    }
}

fn update(shared: &AtomicU32, value: u32) {
    if shared.load(Ordering::Relaxed) != value {
        shared.store(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use relay_common::packet::RtpHeader;
    use relay_common::slot::{Clock, Counters, OtherCounters, SSRCS_PER_SLOT};

    use super::super::memory::{SharedArray, read_counters, write_counters};
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
            count(slot, annex, received, (Time(now), |_| 0), &packet);
        }

        /// A packet that takes the way through the kernel.
        fn receive_in_kernel(&self, number: u16) {
            let (slot, annex, _) = self.parts();
            let mut ssrcs = read_ssrcs(slot, annex, |_| 0);
            ssrcs[0].counted_by = 1;
            ssrcs[0].packets += 1;
            ssrcs[0].take(number);
            write_counters(slot, annex, &ssrcs, &OtherCounters::default());
        }

        fn counters(&self) -> Counters {
            let (slot, annex, received) = self.parts();
            read_counters(slot, annex, received, |_| 0)
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

    /// A party may begin anew with another SSRC as often as it likes.
    #[test]
    fn the_ssrc_that_was_heard_last_longest_ago_gives_up_its_place() {
        let port = Port::new();
        // A second each. The second one goes on through the kernel, and is heard of again at the end.
        (0..50).for_each(|number| port.receive(1, number));
        (50..100).for_each(|number| port.receive(2, number));
        (100..150).for_each(|number| port.receive(3, number));
        (150..200).for_each(|number| port.receive(4, number));
        port.receive(2, 200);
        (201..210).for_each(|number| port.receive(5, number));
        let ssrcs = port.counters().ssrcs;
        assert_eq!(ssrcs.map(|entry| entry.ssrc), [5, 2, 3, 4]);
        assert_eq!(ssrcs.map(|entry| entry.packets), [9, 51, 50, 50]);
        assert_eq!((ssrcs[0].lost(), ssrcs[0].base_sequence), (0, 201));
        (210..260).for_each(|number| port.receive(5, number));
        port.receive(6, 260);
        assert_eq!(port.counters().ssrcs.map(|entry| entry.ssrc), [5, 2, 6, 4]);
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
