//! Who sends, by SSRC, as userspace sees it: each way of a media section has one account.

use std::cmp::Reverse;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use relay_common::packet::RtpHeader;

use crate::clock::Time;

/// So many SSRCs are told apart. One of which no RTP counted makes room for another one, else the one that was silent longest.
const KEPT: usize = 21;

/// The SSRCs of RTP and RTCP that went one way. Written by the call's worker alone, read by anyone. Takes no memory before
/// the first packet.
#[derive(Debug, Default)]
pub struct SsrcLog {
    entries: OnceLock<Box<[Entry; KEPT]>>,
    /// When the newest packet came; only ever grows.
    newest: AtomicU64,
}

#[derive(Debug, Default)]
struct Entry {
    /// When it was heard last; 0 for nobody.
    heard: AtomicU64,
    ssrc: AtomicU32,
    timestamp: AtomicU32,
    sequence: AtomicU32,
    packets: AtomicU64,
    bytes: AtomicU64,
}

/// What is known of one SSRC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SsrcUse {
    /// The SSRC.
    pub ssrc: u32,
    /// When its newest packet of RTP or RTCP came; later ones have a greater time.
    pub heard: Time,
    /// RTP packets.
    pub packets: u64,
    /// Their bytes of UDP payload.
    pub bytes: u64,
    /// RTP timestamp that it got to.
    pub timestamp: u32,
    /// Sequence number that it got to, extended by how often it turned; 0 where the party has moved since.
    pub sequence: u32,
}

/// So many packets late, one is only late. Later ones are taken for those of a sender that has begun anew.
const LATE: u32 = 10;

/// What timestamp and sequence number an SSRC got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Those of the newest packet that is not late.
    Highest,
    /// Those of the newest packet.
    Newest,
}

impl SsrcLog {
    /// An SSRC was heard, in RTCP or in RTP that does not count. Without a time: after all others. Anybody can be heard like
    /// that, so what was counted of others stays, even if there is no room then.
    pub fn note(&self, now: Option<Time>, ssrc: u32) {
        let found = self.find(ssrc);
        let (entry, is_known) = found;
        if is_known || entry.packets.load(Ordering::Relaxed) == 0 {
            self.hear(now, ssrc, found);
        }
    }

    /// A packet of RTP had its turn, and could not be sent as nobody knows where to.
    pub fn note_turn(&self, header: &RtpHeader) {
        self.note(None, header.ssrc);
        let (entry, is_known) = self.find(header.ssrc);
        let last = entry.sequence.load(Ordering::Relaxed);
        if let Some(sequence) = Position::Newest.after(last, header.sequence).filter(|_| is_known) {
            entry.sequence.store(sequence, Ordering::Relaxed);
        }
    }

    /// A packet of RTP of so many bytes.
    pub fn count(&self, now: Option<Time>, header: &RtpHeader, bytes: usize, position: Position) {
        let entry = self.hear(now, header.ssrc, self.find(header.ssrc));
        let packets = entry.packets.load(Ordering::Relaxed);
        let last = entry.sequence.load(Ordering::Relaxed);
        let sequence = position.after(last, header.sequence);
        if let Some(sequence) = sequence {
            entry.sequence.store(sequence, Ordering::Relaxed);
        }
        // The timestamp of what is late may be news all the same.
        let ahead = header
            .timestamp
            .wrapping_sub(entry.timestamp.load(Ordering::Relaxed));
        if sequence.is_some() || ahead < 1 << 31 {
            entry.timestamp.store(header.timestamp, Ordering::Relaxed);
        }
        entry.packets.store(packets + 1, Ordering::Relaxed);
        let bytes = entry.bytes.load(Ordering::Relaxed).wrapping_add(bytes as u64);
        entry.bytes.store(bytes, Ordering::Relaxed);
    }

    /// The party has moved: sequence numbers begin anew.
    pub fn forget_sequences(&self) {
        for entry in self.entries.get().into_iter().flat_map(|entries| entries.iter()) {
            entry.sequence.store(0, Ordering::Relaxed);
        }
    }

    /// The SSRCs, that which was heard last first.
    pub fn all(&self) -> Vec<SsrcUse> {
        let entries = self.entries.get().into_iter().flat_map(|entries| entries.iter());
        let mut all: Vec<SsrcUse> = entries
            .map(Entry::read)
            .filter(|entry| entry.heard != Time::default())
            .collect();
        all.sort_by_key(|entry| Reverse(entry.heard));
        all
    }

    /// The SSRC is heard; its entry is the one that was found for it.
    fn hear<'a>(&self, now: Option<Time>, ssrc: u32, (entry, is_known): (&'a Entry, bool)) -> &'a Entry {
        let after = self.newest.load(Ordering::Relaxed) + 1;
        let heard = now.map_or(after, |now| now.0.max(after));
        self.newest.store(heard, Ordering::Relaxed);
        if !is_known {
            entry.begin(ssrc);
        }
        entry.heard.store(heard, Ordering::Relaxed);
        entry
    }

    /// The entry of an SSRC, or the one that makes room for it; and whether it is the SSRC's.
    fn find(&self, ssrc: u32) -> (&Entry, bool) {
        let entries = self.entries.get_or_init(Box::default);
        let heard_at = |entry: &Entry| entry.heard.load(Ordering::Relaxed);
        let is_it = |entry: &&Entry| entry.ssrc.load(Ordering::Relaxed) == ssrc && heard_at(entry) != 0;
        match entries.iter().find(is_it) {
            Some(known) => (known, true),
            None => {
                let has_counted = |entry: &Entry| entry.packets.load(Ordering::Relaxed) > 0;
                let oldest = entries
                    .iter()
                    .min_by_key(|entry| (has_counted(entry), heard_at(entry)));
                (oldest.unwrap_or(&entries[0]), false)
            }
        }
    }
}

impl Position {
    /// The extended sequence number that comes after another one; none for what is late.
    fn after(self, last: u32, sequence: u16) -> Option<u32> {
        let plain = last & !0xffff | u32::from(sequence);
        let turned = plain.wrapping_add(0x1_0000);
        match self {
            _ if last.saturating_sub(plain) > 0x8000 => Some(turned),
            Position::Highest if (1..=LATE).contains(&last.saturating_sub(plain)) => None,
            Position::Newest if plain.saturating_sub(last) > 0x8000 && plain > 0xffff => {
                Some(plain - 0x1_0000)
            }
            Position::Highest | Position::Newest => Some(plain),
        }
    }
}

impl Entry {
    fn begin(&self, ssrc: u32) {
        self.ssrc.store(ssrc, Ordering::Relaxed);
        self.timestamp.store(0, Ordering::Relaxed);
        self.sequence.store(0, Ordering::Relaxed);
        self.packets.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    fn read(&self) -> SsrcUse {
        SsrcUse {
            ssrc: self.ssrc.load(Ordering::Relaxed),
            heard: Time(self.heard.load(Ordering::Relaxed)),
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            timestamp: self.timestamp.load(Ordering::Relaxed),
            sequence: self.sequence.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(ssrc: u32, sequence: u16) -> RtpHeader {
        RtpHeader {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp: u32::from(sequence) * 160,
            ssrc,
        }
    }

    fn names(log: &SsrcLog) -> Vec<u32> {
        log.all().iter().map(|entry| entry.ssrc).collect()
    }

    #[test]
    fn the_one_heard_last_comes_first() {
        let log = SsrcLog::default();
        assert_eq!(names(&log), [0; 0]);
        log.count(Some(Time(5)), &header(7, 1), 172, Position::Highest);
        log.note(Some(Time(5)), 8);
        assert_eq!(names(&log), [8, 7]);
        log.count(None, &header(7, 2), 172, Position::Highest);
        assert_eq!(names(&log), [7, 8]);
        let [first, second] = log.all()[..] else {
            panic!("two of them");
        };
        assert_eq!(
            (first.packets, first.bytes, first.sequence, first.timestamp),
            (2, 344, 2, 320)
        );
        assert_eq!((second.packets, second.bytes, second.sequence), (0, 0, 0));
    }

    #[test]
    fn sequence_numbers_go_on_turn_and_begin_anew() {
        let after = |position, sequences: &[u16]| {
            let log = SsrcLog::default();
            for sequence in sequences {
                log.count(None, &header(7, *sequence), 20, position);
            }
            log.all()[0].sequence
        };
        for (sequences, received, sent) in [
            (&[1000, 990][..], 1000, 990),
            (&[1000, 989], 989, 989),
            (&[1000, 40000], 40000, 40000),
            (&[65530, 2], 65538, 65538),
            (&[65530, 5, 65531, 6], 131_078, 65542),
            (&[3, 65535, 4, 65534], 131_070, 65534),
        ] {
            assert_eq!(after(Position::Highest, sequences), received, "{sequences:?}");
            assert_eq!(after(Position::Newest, sequences), sent, "{sequences:?}");
        }
        let log = SsrcLog::default();
        log.count(None, &header(7, 9), 20, Position::Highest);
        log.forget_sequences();
        assert_eq!((log.all()[0].sequence, log.all()[0].timestamp), (0, 1440));
        log.count(None, &header(7, 4), 20, Position::Highest);
        assert_eq!(log.all()[0].sequence, 4);
    }

    #[test]
    fn what_comes_late_changes_the_position_only_of_what_is_sent() {
        for (position, expected) in [(Position::Highest, 9), (Position::Newest, 8)] {
            let log = SsrcLog::default();
            for sequence in [9, 8] {
                log.count(None, &header(7, sequence), 20, position);
            }
            assert_eq!(log.all()[0].sequence, expected);
        }
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let log = SsrcLog::default();
        for ssrc in 0..100 {
            log.note(None, ssrc);
        }
        let kept: Vec<u32> = (0..100).rev().take(KEPT).collect();
        assert_eq!(names(&log), kept);
    }

    #[test]
    fn whoever_is_only_heard_displaces_nobody_who_was_counted() {
        let log = SsrcLog::default();
        log.count(None, &header(7, 1), 172, Position::Highest);
        (100..200).for_each(|ssrc| log.note(None, ssrc));
        let counted = log.all().into_iter().find(|entry| entry.ssrc == 7);
        assert_eq!(counted.map(|entry| entry.packets), Some(1));
        let many = (8..).take(KEPT);
        for ssrc in many.clone() {
            log.count(None, &header(ssrc, 1), 172, Position::Highest);
        }
        log.note(None, 300);
        assert_eq!(
            names(&log),
            many.collect::<Vec<u32>>().into_iter().rev().collect::<Vec<_>>()
        );
    }
}
