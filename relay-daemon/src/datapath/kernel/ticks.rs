//! Ticks of the kernel (jiffies), which the program notes when a packet arrives.

use crate::clock::Time;

/// Which tick was when. Ticks are counted in 32 bits: they turn after months, or half a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticks {
    /// When [`Ticks::known`] began.
    pub(crate) since: Time,
    pub(crate) known: u32,
    /// From one to the next, nanoseconds; not 0.
    pub(crate) period: u64,
}

/// Ticks that are no further ahead of the reader's clock are new ones, not the oldest: a second or more.
const AHEAD: u32 = 1000;

impl Ticks {
    /// When a tick began, the last time that it did: nanoseconds of CLOCK_MONOTONIC.
    #[expect(clippy::cast_possible_truncation, reason = "ticks turn")]
    pub(crate) fn time_of(&self, tick: u32, now: Time) -> u64 {
        let passed = now.0.saturating_sub(self.since.0) / self.period;
        let ago = self.known.wrapping_add(passed as u32).wrapping_sub(tick);
        // Somebody may have counted a packet since the caller looked at the clock.
        let ago = if ago > u32::MAX - AHEAD { 0 } else { ago };
        let latest = self.since.0 + passed * self.period;
        latest.saturating_sub(u64::from(ago) * self.period)
    }
}

/// What stands in where no program notes any.
impl Default for Ticks {
    fn default() -> Ticks {
        Ticks {
            since: Time(0),
            known: 0,
            period: 1_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_tick_is_found_before_and_after_the_known_one() {
        let ticks = Ticks {
            since: Time(10_000 * MS),
            known: u32::MAX - 1,
            period: 4 * MS,
        };
        let now = Time(10_041 * MS);
        for (tick, when) in [
            (u32::MAX - 1, 10_000),
            (u32::MAX, 10_004),
            (0, 10_008),
            (8, 10_040),
            // Not yet, says the reader's clock.
            (9, 10_040),
            (u32::MAX - 251, 9000),
            (0x8000_0000, 0),
        ] {
            assert_eq!(ticks.time_of(tick, now), when * MS, "{tick}");
        }
    }

    #[test]
    fn ticks_turn() {
        let ticks = Ticks::default();
        let turned = (1 << 32) * MS;
        assert_eq!(ticks.time_of(7, Time(turned + 9 * MS)), turned + 7 * MS);
    }
}
