//! What the packets of a stream say about the network.

use std::ops::{Add, AddAssign};
use std::time::Duration;

use relay_common::slot::SsrcCounters;

use crate::clock::Time;
use crate::plan::SsrcUse;

/// What is known of one SSRC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SsrcSnapshot {
    /// The SSRC.
    pub ssrc: u32,
    /// Packets received.
    pub packets: u64,
    /// UDP payload bytes received.
    pub bytes: u64,
    /// RTP timestamp of the newest packet.
    pub timestamp: u32,
    /// Its payload type, if that is known.
    pub payload_type: Option<u8>,
    /// Extended highest sequence number (RFC 3550 appendix A.1).
    pub sequence: u32,
    /// Packets that did not come; negative if some came twice (RFC 3550 appendix A.3).
    pub lost: i64,
    /// Packets that came later than a higher sequence number.
    pub reordered: u64,
    /// Packets that had come before.
    pub duplicates: u64,
    /// Interarrival jitter (RFC 3550 appendix A.8); zero where the clock of the media is not known.
    pub jitter: Duration,
    /// When the newest packet came.
    pub newest: Time,
}

/// What many SSRCs say together. Only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reception {
    /// Packets that did not come.
    pub lost: u64,
    /// Packets that came later than a higher sequence number.
    pub reordered: u64,
    /// Packets that had come before.
    pub duplicates: u64,
    /// Jitter, ms.
    pub jitter: Samples,
}

/// Samples of something, as monitoring wants them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Samples {
    /// Their sum.
    pub sum: f64,
    /// Sum of their squares.
    pub squares: f64,
    /// How many.
    pub count: u64,
}

impl SsrcSnapshot {
    /// Adds what was received of the same SSRC elsewhere.
    pub fn merge(&mut self, other: &SsrcSnapshot) {
        let newest = if other.newest > self.newest { other } else { &*self };
        *self = SsrcSnapshot {
            packets: self.packets.saturating_add(other.packets),
            bytes: self.bytes.saturating_add(other.bytes),
            lost: self.lost.saturating_add(other.lost),
            reordered: self.reordered.saturating_add(other.reordered),
            duplicates: self.duplicates.saturating_add(other.duplicates),
            ..*newest
        };
    }
}

impl From<&SsrcCounters> for SsrcSnapshot {
    fn from(counters: &SsrcCounters) -> SsrcSnapshot {
        SsrcSnapshot {
            ssrc: counters.ssrc,
            packets: counters.packets,
            bytes: counters.bytes,
            timestamp: counters.last_timestamp,
            payload_type: Some(counters.payload_type),
            sequence: counters.highest_sequence,
            lost: counters.lost(),
            reordered: counters.reordered.into(),
            duplicates: counters.duplicates.into(),
            jitter: Duration::from_nanos(counters.jitter_ns()),
            newest: Time(counters.last_arrival),
        }
    }
}

impl From<SsrcUse> for SsrcSnapshot {
    fn from(entry: SsrcUse) -> SsrcSnapshot {
        SsrcSnapshot {
            ssrc: entry.ssrc,
            packets: entry.packets,
            bytes: entry.bytes,
            timestamp: entry.timestamp,
            sequence: entry.sequence,
            newest: entry.heard,
            ..SsrcSnapshot::default()
        }
    }
}

impl Reception {
    /// What SSRCs say together.
    pub fn of<'a>(ssrcs: impl IntoIterator<Item = &'a SsrcSnapshot>) -> Reception {
        let mut sum = Reception::default();
        for ssrc in ssrcs {
            sum.lost += ssrc.lost.max(0).unsigned_abs();
            sum.reordered += ssrc.reordered;
            sum.duplicates += ssrc.duplicates;
        }
        sum
    }

    /// What was added to an earlier count. Packets that were only late are no longer lost, but stay counted.
    pub fn since(self, earlier: Reception) -> Reception {
        Reception {
            lost: self.lost.saturating_sub(earlier.lost),
            reordered: self.reordered.saturating_sub(earlier.reordered),
            duplicates: self.duplicates.saturating_sub(earlier.duplicates),
            jitter: Samples::default(),
        }
    }

    /// The larger one of each count.
    pub fn max(self, other: Reception) -> Reception {
        Reception {
            lost: self.lost.max(other.lost),
            reordered: self.reordered.max(other.reordered),
            duplicates: self.duplicates.max(other.duplicates),
            jitter: Samples::default(),
        }
    }
}

impl Samples {
    /// One sample.
    pub fn one(value: f64) -> Samples {
        Samples {
            sum: value,
            squares: value * value,
            count: 1,
        }
    }

    /// Their mean; 0 for none.
    pub fn mean(&self) -> f64 {
        self.per_sample(self.sum)
    }

    /// Their standard deviation; 0 for none.
    pub fn deviation(&self) -> f64 {
        // Rounding may leave a little less than nothing.
        let variance = self.per_sample(self.squares) - self.mean().powi(2);
        variance.max(0.0).sqrt()
    }

    #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 samples")]
    fn per_sample(&self, sum: f64) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        sum / self.count as f64
    }
}

impl AddAssign for Reception {
    fn add_assign(&mut self, rhs: Reception) {
        self.lost = self.lost.saturating_add(rhs.lost);
        self.reordered = self.reordered.saturating_add(rhs.reordered);
        self.duplicates = self.duplicates.saturating_add(rhs.duplicates);
        self.jitter = self.jitter + rhs.jitter;
    }
}

impl Add for Samples {
    type Output = Samples;

    fn add(self, rhs: Samples) -> Samples {
        Samples {
            sum: self.sum + rhs.sum,
            squares: self.squares + rhs.squares,
            count: self.count + rhs.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ssrc_goes_on_at_another_port() {
        let counters = |packets, highest_sequence, last_arrival| SsrcCounters {
            packets,
            highest_sequence,
            last_arrival,
            counted_by: 1,
            ..SsrcCounters::default()
        };
        let (older, newer) = (counters(5, 9, 100), counters(10, 10, 200));
        for (one, other) in [(older, newer), (newer, older)] {
            let mut merged = SsrcSnapshot::from(&one);
            merged.merge(&SsrcSnapshot::from(&other));
            assert_eq!((merged.packets, merged.sequence), (15, 10));
            assert_eq!((merged.lost, merged.newest), (5 + 1, Time(200)));
        }
    }

    #[test]
    fn what_was_counted_stays_counted() {
        let lost = |lost| SsrcSnapshot {
            lost,
            ..SsrcSnapshot::default()
        };
        let before = Reception::of(&[lost(3), lost(-5)]);
        assert_eq!(before.lost, 3);
        let after = Reception::of(&[lost(2)]);
        assert_eq!((after.since(before).lost, after.max(before).lost), (0, 3));
    }

    #[test]
    fn samples_have_a_mean_and_a_deviation() {
        let samples = Samples::one(1.0) + Samples::one(3.0);
        assert_eq!((samples.mean(), samples.deviation()), (2.0, 1.0));
        assert_eq!(Samples::default().deviation(), 0.0);
    }
}
