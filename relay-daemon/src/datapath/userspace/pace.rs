//! When it pays to let packets gather.
//!
//! Each flow sends a packet now and then, so a worker with many of them would be woken for every single packet, which costs
//! about as much as relaying it. One that is busy takes a short break instead after each round, and finds several.

use std::time::Duration;

use crate::clock::Time;

/// How long a busy worker lets packets gather: as much later may one be sent.
const PAUSE: Duration = Duration::from_micros(400);

/// With so many packets a pause there are several to be had.
const MANY: u128 = 3;

/// Over how many pauses packets are counted.
const PAUSES: u32 = 16;

/// How busy a worker is.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When counting began.
    since: Time,
    packets: usize,
    is_busy: bool,
}

impl Pace {
    /// So many packets were there in a round.
    pub(super) fn note(&mut self, now: Time, packets: usize) {
        self.packets = self.packets.saturating_add(packets);
        let window = now.since(self.since);
        if window < PAUSE * PAUSES {
            return;
        }
        // More than there are in a pause, as often as there are pauses.
        let pauses = window.as_nanos() / PAUSE.as_nanos();
        self.is_busy = self.packets as u128 >= pauses * MANY;
        (self.since, self.packets) = (now, 0);
    }

    /// How long to leave packets alone before looking for them.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.is_busy.then_some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether there are pauses after a tenth of a second with a round every so many microseconds.
    fn pauses(interval: u64, packets: usize) -> bool {
        let (mut pace, mut now) = (Pace::default(), Time(7_000_000_000));
        for _ in 0..100_000 / interval {
            now = now + Duration::from_micros(interval);
            pace.note(now, packets);
        }
        pace.pause().is_some()
    }

    #[test]
    fn whoever_is_busy_pauses() {
        assert!(pauses(40, 1));
        assert!(pauses(450, 11));
        assert!(pauses(2000, 32));
    }

    #[test]
    fn whoever_is_not_busy_never_pauses() {
        assert!(!pauses(200, 1));
        assert!(!pauses(20_000, 100));
    }

    #[test]
    fn a_lull_ends_the_pauses() {
        let (mut pace, mut now) = (Pace::default(), Time(7_000_000_000));
        for _ in 0..1000 {
            now = now + Duration::from_micros(40);
            pace.note(now, 1);
        }
        assert!(pace.pause().is_some());
        pace.note(now + Duration::from_secs(1), 1);
        assert_eq!(pace.pause(), None);
    }
}
