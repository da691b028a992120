//! Who sends, by SSRC, as userspace sees it: each way of a media section has one account.

use std::cmp::Reverse;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use relay_common::packet::{RtpHeader, sequence_ahead};

use crate::clock::Time;

/// So many SSRCs are told apart. One of which no RTP counted makes room for another one, else the one that was silent longest.
const KEPT: usize = 8;

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
    /// RTP timestamp and sequence number that it got to.
    pub timestamp: u32,
    /// See there.
    pub sequence: u16,
}

/// What timestamp and sequence number an SSRC got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Those of the packet with the highest sequence number.
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

    /// A packet of RTP of so many bytes.
    pub fn count(&self, now: Option<Time>, header: &RtpHeader, bytes: usize, position: Position) {
        let entry = self.hear(now, header.ssrc, self.find(header.ssrc));
        let packets = entry.packets.load(Ordering::Relaxed);
        let highest = entry.sequence.load(Ordering::Relaxed);
        let is_late =
            position == Position::Highest && packets > 0 && sequence_ahead(highest, header.sequence) <= 0;
        if !is_late {
            entry
                .sequence
                .store(u32::from(header.sequence), Ordering::Relaxed);
            entry.timestamp.store(header.timestamp, Ordering::Relaxed);
        }
        entry.packets.store(packets + 1, Ordering::Relaxed);
        let bytes = entry.bytes.load(Ordering::Relaxed).wrapping_add(bytes as u64);
        entry.bytes.store(bytes, Ordering::Relaxed);
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

impl Entry {
    fn begin(&self, ssrc: u32) {
        self.ssrc.store(ssrc, Ordering::Relaxed);
        self.timestamp.store(0, Ordering::Relaxed);
        self.sequence.store(0, Ordering::Relaxed);
        self.packets.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    fn read(&self) -> SsrcUse {
        let sequence = self.sequence.load(Ordering::Relaxed) & 0xffff;
        SsrcUse {
            ssrc: self.ssrc.load(Ordering::Relaxed),
            heard: Time(self.heard.load(Ordering::Relaxed)),
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            timestamp: self.timestamp.load(Ordering::Relaxed),
            sequence: u16::try_from(sequence).unwrap_or_default(),
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
        let kept: Vec<u32> = (100 - 8..100).rev().collect();
        assert_eq!(names(&log), kept);
    }

    #[test]
    fn whoever_is_only_heard_displaces_nobody_who_was_counted() {
        let log = SsrcLog::default();
        log.count(None, &header(7, 1), 172, Position::Highest);
        (100..200).for_each(|ssrc| log.note(None, ssrc));
        let counted = log.all().into_iter().find(|entry| entry.ssrc == 7);
        assert_eq!(counted.map(|entry| entry.packets), Some(1));
        for ssrc in 8..16 {
            log.count(None, &header(ssrc, 1), 172, Position::Highest);
        }
        log.note(None, 300);
        assert_eq!(names(&log), [15, 14, 13, 12, 11, 10, 9, 8]);
    }
}
