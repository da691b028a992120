//! Time as the engines see it: passed in, never read.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds of CLOCK_MONOTONIC: the clock of the XDP program too, so that both datapaths' times
/// compare. Tests start wherever they like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// Reads CLOCK_MONOTONIC. Only drivers may call this; the engines are told the time.
    pub fn read() -> Time {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `now` is a valid timespec, and CLOCK_MONOTONIC always exists on Linux.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        Time(now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs())
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// When packets arrived, by the stamps that the kernel puts on them: nanoseconds of CLOCK_REALTIME.
#[derive(Clone, Copy, Debug)]
pub struct Stamps {
    now: Time,
    /// What CLOCK_REALTIME says at that time.
    wall: u64,
}

impl Stamps {
    /// How far a stamp may be from now. If somebody sets the clock meanwhile, times are wrong by no more.
    const FARTHEST: Duration = Duration::from_secs(1);

    /// Reads CLOCK_REALTIME. It is `now`.
    pub fn read(now: Time) -> Stamps {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamps {
            now,
            wall: u64::try_from(wall.as_nanos()).unwrap_or_default(),
        }
    }

    /// When it was that the kernel made a stamp.
    pub fn time(self, stamp: u64) -> Time {
        let distance = Duration::from_nanos(self.wall.abs_diff(stamp)).min(Self::FARTHEST);
        if stamp > self.wall {
            self.now + distance
        } else {
            self.now - distance
        }
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, rhs: Duration) -> Time {
        Time(
            self.0
                .saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, rhs: Duration) -> Time {
        Time(
            self.0
                .saturating_sub(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_as_far_from_now_as_they_were_made() {
        let stamps = Stamps {
            now: Time(100_000_000_000),
            wall: 7_000_000_000_000,
        };
        assert_eq!(stamps.time(7_000_000_000_000 - 300), Time(99_999_999_700));
        assert_eq!(stamps.time(7_000_000_000_000 + 300), Time(100_000_000_300));
        assert_eq!(stamps.time(0), Time(99_000_000_000), "the clock was set");
        assert_eq!(stamps.time(u64::MAX), Time(101_000_000_000));
    }
}
