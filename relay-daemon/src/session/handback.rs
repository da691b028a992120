//! What the kernel counted while it relayed SRTP tells where its sequence is: rollover counters go on in userspace.

use relay_common::packet::sequence_ahead;
use relay_common::slot::{Counters, SsrcCounters};

use super::Session;
use crate::plan::{Path, PortId};
use crate::srtp::Inbound;

/// What the kernel had counted of an SSRC when it was last asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    ssrc: u32,
    /// The highest extended sequence number.
    highest: u32,
    packets: u64,
}

impl Session {
    /// Whether the kernel relays SRTP that arrives at a port, or did of late: then [`Session::handle_counts`] is due before
    /// the port's next datagram.
    pub fn wants_counts(&self, port: PortId) -> bool {
        self.find(port).is_some_and(|found| {
            let stream = &self.streams[found.stream];
            let port = &stream.ports[found.place];
            port.was_in_kernel && self.streams[stream.keeper].security.is_srtp()
        })
    }

    /// What the kernel counted at a port since it was bound.
    pub fn handle_counts(&mut self, port: PortId, counters: &Counters) {
        let Some(found) = self.find(port) else {
            return;
        };
        let stream = &mut self.streams[found.stream];
        let keeper = stream.keeper;
        let port = &mut stream.ports[found.place];
        port.was_in_kernel = port.path() == Path::Kernel;
        let mut marks = std::mem::take(&mut port.marks);
        if let Some(inbound) = self.streams[keeper].ciphers.inbound() {
            for entry in counters.ssrcs.iter().filter(|entry| entry.counted_by != 0) {
                let mark = marks.iter_mut().find(|mark| mark.ssrc == entry.ssrc);
                seed(inbound, entry, mark.as_deref().copied());
                let now = Mark {
                    ssrc: entry.ssrc,
                    highest: entry.highest_sequence,
                    packets: entry.packets,
                };
                match mark {
                    Some(mark) => *mark = now,
                    None => marks.push(now),
                }
            }
        }
        self.streams[found.stream].ports[found.place].marks = marks;
    }
}

/// The kernel numbers the turns of the sequence number in its own way, and each of its processors for itself: what counts is how
/// far it went on from where the packets of userspace ended. A processor that saw not all of them may have missed a turn; the
/// number of packets misses only what was lost. Both are too low rather than too high.
fn seed(inbound: &mut Inbound, entry: &SsrcCounters, mark: Option<Mark>) {
    let start = mark.map_or(entry.base_sequence, |mark| mark.highest);
    #[expect(clippy::cast_possible_truncation, reason = "the sequence number of the index")]
    let (known, start) = match inbound.rtp_index(entry.ssrc) {
        Some(index) => (
            index,
            start.wrapping_add_signed(sequence_ahead(start, index as u16).into()),
        ),
        None => (start.into(), start),
    };
    let ahead = entry.highest_sequence.wrapping_sub(start).cast_signed();
    let packets = entry.packets.wrapping_sub(mark.map_or(0, |mark| mark.packets));
    let ahead = packets.max(u64::try_from(ahead).unwrap_or(0));
    if packets > 0 {
        inbound.seed(entry.ssrc, known + ahead);
    }
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
            inbound.seed(7, index);
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
        assert_eq!(late_packets, Some(0x5_0014));
        assert_eq!(seeded(None, 0x11, 0x3_0000, 99, None), Some(0x3_0000));
        let moved_to_another_processor = seeded(Some(0x5_0010), 0x11, 0x9000, 0x3_0000, None);
        assert_eq!(moved_to_another_processor, Some(0x8_0010));
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
        let nothing_new = seeded(Some(0x9_0010), 0x11, 0x3_0000, 1000, mark);
        assert_eq!(nothing_new, Some(0x9_0010));
    }
}
