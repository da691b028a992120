//! What the kernel counted while it relayed SRTP tells where its sequence is: rollover counters go on in userspace.

use relay_common::packet::sequence_ahead;
use relay_common::slot::{Counters, SsrcCounters};

use super::Session;
use crate::plan::{Path, PortId};
use crate::srtp::Inbound;

/// The highest extended sequence number that the kernel had of an SSRC when it was last asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    ssrc: u32,
    highest: u32,
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
                let highest = entry.highest_sequence;
                match mark {
                    Some(mark) => mark.highest = highest,
                    None => marks.push(Mark {
                        ssrc: entry.ssrc,
                        highest,
                    }),
                }
            }
        }
        self.streams[found.stream].ports[found.place].marks = marks;
    }
}

/// The kernel numbers the turns of the sequence number in its own way: what counts is how far it went on from where the
/// packets of userspace ended.
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
    let ahead = entry.highest_sequence.wrapping_sub(start);
    if ahead.cast_signed() > 0 {
        inbound.seed(entry.ssrc, known + u64::from(ahead));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::{MasterKey, Srtp, Suite};

    /// Where the index is that the kernel's count leads to from another one.
    fn seeded(index: Option<u64>, base: u32, highest: u32, mark: Option<u32>) -> Option<u64> {
        let key = MasterKey::cut(Suite::AesCm128HmacSha1_80, [1; MasterKey::MAX_LENGTH]);
        let mut inbound = Inbound::new(&Srtp::new(key));
        if let Some(index) = index {
            inbound.seed(7, index);
        }
        let entry = SsrcCounters {
            ssrc: 7,
            base_sequence: base,
            highest_sequence: highest,
            ..SsrcCounters::default()
        };
        seed(
            &mut inbound,
            &entry,
            mark.map(|highest| Mark { ssrc: 7, highest }),
        );
        inbound.rtp_index(7)
    }

    #[test]
    fn the_index_goes_on_from_where_it_was() {
        assert_eq!(seeded(Some(0x5_0010), 0x11, 0x3_0000, None), Some(0x8_0000));
        assert_eq!(
            seeded(Some(0x5_fffe), 3, 0x1_0003, None),
            Some(0x7_0003),
            "it wrapped on the way in"
        );
        assert_eq!(
            seeded(Some(0x5_0010), 0xfffe, 0x1_0012, None),
            Some(0x5_0012),
            "late packets"
        );
        assert_eq!(seeded(None, 0x11, 0x3_0000, None), Some(0x3_0000));
    }

    #[test]
    fn the_second_time_the_kernel_counts_on_from_what_it_had() {
        // In the meantime userspace went from 0x8_0000 over more than a turn.
        assert_eq!(
            seeded(Some(0x9_4010), 0x11, 0x3_9000, Some(0x3_0000)),
            Some(0x9_9000)
        );
        assert_eq!(
            seeded(Some(0x9_0010), 0x11, 0x3_0000, Some(0x3_0000)),
            Some(0x9_0010),
            "nothing new"
        );
    }
}
