//! When it pays to let packets gather.
//!
//! Each flow sends a packet now and then, so a worker with many of them would be woken for every single packet, which costs
//! about as much as relaying it. One that is busy takes a short break instead after each round, and finds several.

use std::time::Duration;

use crate::clock::Time;

/// With so many packets a pause there are several to be had.
const MANY: u128 = 3;

/// Over how many pauses packets are counted.
const PAUSES: u32 = 16;

/// A worker is busy that is awake for a twentieth of its time, and it is until it is awake for less than a sixtieth: with pauses,
/// packets take less than half as much. Whoever has less to do sends each at once.
const BUSY: u32 = 20;
const IDLE: u32 = 60;

/// How busy a worker is.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long a busy worker lets packets gather (`gather-time`): as much later may one be sent.
    pause: Duration,
    /// When counting began.
    since: Time,
    packets: usize,
    awake: Duration,
    is_busy: bool,
}

impl Pace {
    pub(super) fn new(pause: Duration) -> Pace {
        Pace {
            pause,
            since: Time::default(),
            packets: 0,
            awake: Duration::ZERO,
            is_busy: false,
        }
    }

    /// A round took from then till then, and so many packets were there.
    pub(super) fn note(&mut self, begin: Time, end: Time, packets: usize) {
        self.packets = self.packets.saturating_add(packets);
        self.awake += end.since(begin);
        let window = end.since(self.since);
        if self.pause.is_zero() || window < self.pause * PAUSES {
            return;
        }
        // More than there are in a pause, as often as there are pauses.
        let pauses = window.as_nanos() / self.pause.as_nanos();
        let are_many = self.packets as u128 >= pauses * MANY;
        let share = if self.is_busy { IDLE } else { BUSY };
        self.is_busy = are_many && self.awake * share >= window;
        (self.since, self.packets, self.awake) = (end, 0, Duration::ZERO);
    }

    /// How long to leave packets alone before looking for them.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.is_busy.then_some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_micros(400);

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    struct Worker {
        pace: Pace,
        now: Time,
    }

    impl Worker {
        fn new(pause: Duration) -> Worker {
            Worker {
                pace: Pace::new(pause),
                now: Time(7_000_000_000),
            }
        }

        /// Whether there are pauses after a tenth of a second with a round every so many microseconds, each of which takes so
        /// long.
        fn pauses(&mut self, interval: u64, packets: usize, awake: u64) -> bool {
            for _ in 0..100_000 / interval {
                self.now = self.now + micros(interval);
                self.pace.note(self.now, self.now + micros(awake), packets);
            }
            self.pace.pause().is_some()
        }
    }

    fn pauses(interval: u64, packets: usize, awake: u64) -> bool {
        Worker::new(PAUSE).pauses(interval, packets, awake)
    }

    #[test]
    fn whoever_is_busy_pauses() {
        assert!(pauses(40, 1, 6));
        assert!(pauses(450, 11, 60));
        assert!(pauses(2000, 32, 250));
    }

    #[test]
    fn whoever_is_not_busy_never_pauses() {
        assert!(!pauses(200, 1, 100), "few packets");
        assert!(!pauses(20_000, 100, 19_000), "few packets");
        assert!(!pauses(40, 1, 1), "idle most of the time");
    }

    #[test]
    fn nobody_pauses_who_must_not() {
        assert!(!Worker::new(Duration::ZERO).pauses(40, 1, 30));
    }

    #[test]
    fn pauses_go_on_while_they_help() {
        let mut worker = Worker::new(PAUSE);
        assert!(worker.pauses(40, 1, 6));
        // The same packets in fewer rounds take less.
        assert!(worker.pauses(440, 11, 30));
        assert!(!worker.pauses(440, 11, 5));
    }

    #[test]
    fn a_lull_ends_the_pauses() {
        let mut worker = Worker::new(PAUSE);
        assert!(worker.pauses(40, 1, 6));
        let later = worker.now + Duration::from_secs(1);
        worker.pace.note(later, later + micros(6), 1);
        assert_eq!(worker.pace.pause(), None);
    }
}
