//! How long packets take through userspace: from their arrival at the host, by the kernel's time stamp, until they are sent.

use std::sync::Mutex;
use std::time::Duration;

use crate::clock::Time;

/// Each is a quarter as wide as the power of two that it begins with or lies above, the first one 1,024 ns.
const BUCKETS: usize = 96;

/// A quarter of the first bucket, nanoseconds.
const QUARTER: u64 = 256;

/// How long is counted at a time.
const WINDOW: Duration = Duration::from_secs(10);

/// One worker's count.
#[derive(Debug)]
pub(super) struct Delays {
    since: Time,
    counts: [u32; BUCKETS],
}

/// What a worker counted in the last whole window, for others to read.
#[derive(Debug, Default)]
pub(super) struct Published(Mutex<Option<(Time, [u32; BUCKETS])>>);

/// How long packets took, of all workers in their last ten seconds with packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketDelays {
    /// How many there were.
    pub packets: u64,
    /// Half of them took no longer.
    pub median: Duration,
    /// 99 of a hundred took no longer.
    pub p99: Duration,
    /// The slowest took no longer.
    pub longest: Duration,
}

impl Delays {
    pub(super) fn new(now: Time) -> Delays {
        Delays {
            since: now,
            counts: [0; BUCKETS],
        }
    }

    /// A packet that arrived then is sent now.
    pub(super) fn note(&mut self, arrived: Time, sent: Time) {
        let count = &mut self.counts[bucket(sent.since(arrived))];
        *count = count.saturating_add(1);
    }

    /// Publishes what was counted if a window is over.
    pub(super) fn publish(&mut self, now: Time, published: &Published) {
        if now.since(self.since) < WINDOW {
            return;
        }
        let counts = std::mem::replace(&mut self.counts, [0; BUCKETS]);
        self.since = now;
        if let Ok(mut published) = published.0.lock() {
            *published = Some((now, counts));
        }
    }
}

impl PacketDelays {
    /// What workers have published of late.
    pub(super) fn of<'a>(now: Time, workers: impl Iterator<Item = &'a Published>) -> PacketDelays {
        let mut sum = [0_u64; BUCKETS];
        for worker in workers {
            let published = worker.0.lock().ok().and_then(|published| *published);
            let Some((at, counts)) = published else {
                continue;
            };
            // A worker without packets publishes nothing.
            if now.since(at) < 2 * WINDOW {
                for (sum, count) in sum.iter_mut().zip(counts) {
                    *sum += u64::from(count);
                }
            }
        }
        let packets = sum.iter().sum();
        PacketDelays {
            packets,
            median: quantile(&sum, packets.div_ceil(2)),
            p99: quantile(&sum, packets - packets / 100),
            longest: quantile(&sum, packets),
        }
    }
}

/// What no more than so many packets took, in units of a bucket.
fn quantile(counts: &[u64; BUCKETS], packets: u64) -> Duration {
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= packets && seen > 0 {
            return upper_end(bucket);
        }
    }
    Duration::ZERO
}

fn bucket(delay: Duration) -> usize {
    let quarters = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX) / QUARTER;
    let Some(power) = quarters.checked_ilog2().and_then(|power| power.checked_sub(2)) else {
        return 0;
    };
    // The two bits below the highest one.
    let bucket = u64::from(power) * 4 + (quarters >> power & 3) + 1;
    usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

fn upper_end(bucket: usize) -> Duration {
    let Some(bucket) = bucket.checked_sub(1) else {
        return Duration::from_nanos(4 * QUARTER);
    };
    let (power, quarter) = (bucket / 4, bucket as u64 % 4);
    Duration::from_nanos(((5 + quarter) << power) * QUARTER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_those_of_all_workers() {
        let begin = Time(7_000_000_000);
        let end = begin + WINDOW;
        let workers = [Published::default(), Published::default(), Published::default()];
        for (worker, micros) in workers.iter().zip([100, 900]) {
            let mut delays = Delays::new(begin);
            for _ in 0..90 {
                delays.note(begin, begin + Duration::from_micros(100));
            }
            for _ in 0..10 {
                delays.note(begin, begin + Duration::from_micros(micros));
            }
            delays.publish(begin + WINDOW / 2, worker);
            assert_eq!(
                PacketDelays::of(end, [worker].into_iter()),
                PacketDelays::default()
            );
            delays.publish(end, worker);
        }
        let found = PacketDelays::of(end, workers.iter());
        assert_eq!(found.packets, 200);
        let is_about = |delay: Duration, micros: u64| {
            let micros = Duration::from_micros(micros);
            delay >= micros && delay <= micros + micros / 4
        };
        assert!(
            is_about(found.median, 100) && is_about(found.p99, 900),
            "{found:?}"
        );
        assert_eq!(found.longest, found.p99);
        let later = end + WINDOW * 3;
        assert_eq!(
            PacketDelays::of(later, workers.iter()),
            PacketDelays::default(),
            "long ago"
        );
    }

    proptest! {
        #[test]
        fn a_bucket_is_no_wider_than_a_quarter(nanos in 0_u64..5_000_000_000) {
            let delay = Duration::from_nanos(nanos);
            let end = upper_end(bucket(delay));
            prop_assert!(end > delay);
            prop_assert!(end <= delay + delay / 4 + Duration::from_nanos(1024), "{end:?}");
        }

        #[test]
        fn any_delay_has_a_bucket(nanos: u64) {
            prop_assert!(bucket(Duration::from_nanos(nanos)) < BUCKETS);
        }
    }
}
