//! What measurements in rounds come to.

use std::fmt;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A number that was measured in every round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounds(pub Vec<f64>);

impl Rounds {
    /// Half of the rounds were below it; not a number without any.
    pub fn median(&self) -> f64 {
        median(&self.0)
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = self.0.iter().copied().fold(f64::MAX, f64::min);
        let most = self.0.iter().copied().fold(f64::MIN, f64::max);
        let text = format!("{:.0} ({least:.0} to {most:.0})", self.median());
        f.pad(&text)
    }
}

/// Processor time that the calling thread has used: other than the time of day it stands still while others have their turn.
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.expect("every thread has such a clock").into()
}

/// The value in the middle; not a number if there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn rounds_show_their_spread() {
        let rounds = Rounds(vec![3.0, 1.0, 2.0]);
        assert_eq!(format!("{rounds:>12}"), "  2 (1 to 3)");
    }
}
