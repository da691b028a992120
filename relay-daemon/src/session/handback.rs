//! What the kernel counted while it relayed SRTP tells where its sequence is: rollover counters go on in userspace.

use relay_common::packet::sequence_ahead;
use relay_common::slot::{Counters, SsrcCounters};

use smallvec::SmallVec;

use super::Session;
use super::port::Mark;
use super::stream::Stream;
use crate::plan::{Path, PortId};
use crate::srtp::Inbound;

/// Ports whose counts are to be handed in.
pub(super) type Uncounted = SmallVec<[PortId; 4]>;

fn uncounted<'a>(streams: impl Iterator<Item = &'a Stream>) -> Uncounted {
    let ports = streams.flat_map(|stream| &stream.ports);
    let in_kernel = ports.filter(|port| port.was_in_kernel);
    in_kernel.map(|port| port.local.id).collect()
}

impl Session {
    /// The ports at which the kernel relays SRTP under the key that packets at a port have, or did of late:
    /// [`Session::handle_counts`] is due for them before the port's next datagram.
    pub fn uncounted(&self, port: PortId) -> Uncounted {
        let Some(found) = self.find(port) else {
            return Uncounted::new();
        };
        let keeper = self.streams[found.stream].keeper;
        if !self.streams[keeper].security.is_srtp() {
            return Uncounted::new();
        }
        let same_key = self.streams.iter().filter(|stream| stream.keeper == keeper);
        uncounted(same_key)
    }

    /// All ports at which the kernel relays packets, or did of late: [`Session::handle_counts`] is due for them before the next
    /// plan, which may bring other keys, and other ports.
    pub fn all_uncounted(&self) -> Uncounted {
        uncounted(self.streams.iter())
    }

    /// Whether SRTP arrives at a port: then [`Session::handle_counts`] is due before the kernel is told to relay its packets.
    pub fn is_srtp(&self, port: PortId) -> bool {
        self.find(port)
            .is_some_and(|found| self.streams[self.streams[found.stream].keeper].security.is_srtp())
    }

    /// What was counted at a port since it was bound, whichever way packets took.
    pub fn handle_counts(&mut self, port: PortId, counters: &Counters) {
        let Some(found) = self.find(port) else {
            return;
        };
        let stream = &mut self.streams[found.stream];
        let keeper = stream.keeper;
        let port = &mut stream.ports[found.place];
        // Before, all packets came by here.
        let is_in_kernel = port.path() == Path::Kernel;
        let was_in_kernel = std::mem::replace(&mut port.was_in_kernel, is_in_kernel);
        let marks = std::mem::take(&mut port.marks);
        let mut inbound = self.streams[keeper].ciphers.inbound().filter(|_| was_in_kernel);
        let used = counters.ssrcs.iter().filter(|entry| entry.counted_by != 0);
        let marks = used.map(|entry| {
            let mark = marks.iter().find(|mark| mark.ssrc == entry.ssrc);
            if let Some(inbound) = &mut inbound {
                seed(inbound, entry, mark.copied());
            }
            Mark {
                ssrc: entry.ssrc,
                highest: entry.highest_sequence,
                packets: entry.packets,
            }
        });
        let marks = marks.collect();
        self.streams[found.stream].ports[found.place].marks = marks;
    }
}

/// The kernel numbers the turns of the sequence number in its own way, and may have missed some: what counts is how far it went
/// on from where the packets of userspace ended, and how many packets that were, give or take half a turn. It is too low
/// rather than too high.
fn seed(inbound: &mut Inbound, entry: &SsrcCounters, mark: Option<Mark>) {
    const TURN: u64 = 1 << 16;
    // An SSRC that has lost its entry, and has another one, is counted from the beginning.
    let mark = mark.filter(|mark| mark.packets <= entry.packets);
    let start = mark.map_or(entry.base_sequence, |mark| mark.highest);
    #[expect(clippy::cast_possible_truncation, reason = "the sequence number of the index")]
    let (known, start) = match inbound.rtp_index(entry.ssrc) {
        Some(index) => (
            index,
            start.wrapping_add_signed(sequence_ahead(start, index as u16).into()),
        ),
        // With a key it begins in its first turn.
        None => (u64::from(start) % TURN, start),
    };
    let ahead = entry.highest_sequence.wrapping_sub(start).cast_signed();
    let ahead = u64::try_from(ahead).unwrap_or(0);
    let packets = entry.packets - mark.map_or(0, |mark| mark.packets);
    let missed = (packets.saturating_sub(ahead) + TURN / 2) / TURN;
    if packets > 0 {
        let index = known + ahead + missed * TURN;
        inbound.seed(entry.ssrc, index, used(entry));
    }
}

/// Which sequence numbers have come, from the highest back: of those that are not remembered all may have.
fn used(entry: &SsrcCounters) -> u128 {
    let since_base = entry.highest_sequence.wrapping_sub(entry.base_sequence);
    let remembered = since_base.saturating_add(1).min(u32::BITS);
    u128::from(entry.seen) | u128::MAX << remembered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::{MasterKey, Srtp, Suite};

    /// Where the index is that the kernel's counts lead to from another one: the first and the highest sequence number, and how
    /// many packets.
    fn seeded(index: Option<u64>, base: u32, highest: u32, packets: u64, mark: Option<Mark>) -> Option<u64> {
        let key = MasterKey::cut(Suite::AesCm128HmacSha1_80, [1; MasterKey::MAX_LENGTH]);
        let mut inbound = Inbound::new(&Srtp::new(key));
        if let Some(index) = index {
            inbound.seed(7, index, u128::MAX);
        }
        let entry = SsrcCounters {
            ssrc: 7,
            base_sequence: base,
            highest_sequence: highest,
            packets,
            ..SsrcCounters::default()
        };
        seed(&mut inbound, &entry, mark);
        inbound.rtp_index(7)
    }

    #[test]
    fn the_index_goes_on_from_where_it_was() {
        assert_eq!(seeded(Some(0x5_0010), 0x11, 0x3_0000, 99, None), Some(0x8_0000));
        let wrapped_on_the_way_in = seeded(Some(0x5_fffe), 3, 0x1_0003, 99, None);
        assert_eq!(wrapped_on_the_way_in, Some(0x7_0003));
        let late_packets = seeded(Some(0x5_0010), 0xfffe, 0x1_0012, 4, None);
        assert_eq!(late_packets, Some(0x5_0012));
        assert_eq!(seeded(None, 0x11, 0x3_0000, 99, None), Some(0x3_0000));
        let moved_to_another_processor = seeded(Some(0x5_0010), 0x11, 0x9000, 0x3_0000, None);
        assert_eq!(moved_to_another_processor, Some(0x7_9000));
        let duplicates = seeded(Some(0x5_0010), 0x11, 0x9000, 0x9500, None);
        assert_eq!(duplicates, Some(0x5_9000));
    }

    #[test]
    fn the_second_time_the_kernel_counts_on_from_what_it_had() {
        let mark = Some(Mark {
            ssrc: 7,
            highest: 0x3_0000,
            packets: 1000,
        });
        // In the meantime userspace went from 0x8_0000 over more than a turn.
        let index = seeded(Some(0x9_4010), 0x11, 0x3_9000, 1001, mark);
        assert_eq!(index, Some(0x9_9000));
        let counted_anew = seeded(Some(0x9_0010), 0x11, 0x13, 3, mark);
        assert_eq!(
            counted_anew,
            Some(0x9_0013),
            "its entry went to another SSRC in between"
        );
        let nothing_new = seeded(Some(0x9_0010), 0x11, 0x3_0000, 1000, mark);
        assert_eq!(nothing_new, Some(0x9_0010));
    }
}
