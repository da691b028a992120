//! How much the machine has to do, and whether that is too much for new calls.

use std::fs;
use std::time::Duration;

use crate::call::Limit;
use crate::clock::Time;
use crate::config::LoadLimits;
use crate::report::Received;

const PERIOD: Duration = Duration::from_secs(1);

/// Looks at the machine once a second, if there is a limit.
#[derive(Debug)]
pub(super) struct LoadMeter {
    limits: LoadLimits,
    due: Time,
    /// As it was last time.
    cpu: Option<CpuTime>,
}

impl LoadMeter {
    /// Looks for the first time when a second has passed.
    pub(super) fn new(now: Time, limits: LoadLimits) -> LoadMeter {
        LoadMeter {
            limits,
            due: now + PERIOD,
            cpu: None,
        }
    }

    /// When [`LoadMeter::handle_timeout`] is due; never without a limit.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        (self.limits != LoadLimits::default()).then_some(self.due)
    }

    /// Looks at the machine, if it is time to: gives back which limit is exceeded, if any is. `rates` is what is received
    /// in a second.
    pub(super) fn handle_timeout(&mut self, now: Time, rates: Received) -> Option<Option<Limit>> {
        if self.poll_timeout().is_none_or(|due| due > now) {
            return None;
        }
        self.due = now + PERIOD;
        let cpu = read("/proc/stat").and_then(|text| CpuTime::parse(&text));
        let usage = self
            .cpu
            .zip(cpu)
            .and_then(|(before, cpu)| cpu.usage_since(before));
        self.cpu = cpu;
        let load = read("/proc/loadavg").and_then(|text| load_average(&text));
        let exceeds = |value: Option<f64>, limit: Option<f64>| {
            let both = value.zip(limit);
            both.is_some_and(|(value, limit)| value >= limit)
        };
        let received = rates.kernel.bytes + rates.userspace.bytes;
        Some(if exceeds(usage, self.limits.cpu) {
            Some(Limit::Cpu)
        } else if exceeds(load, self.limits.load) {
            Some(Limit::Load)
        } else if self.limits.bandwidth.is_some_and(|limit| received >= limit) {
            Some(Limit::Bandwidth)
        } else {
            None
        })
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Time that all processors together have spent, in ticks since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CpuTime {
    idle: u64,
    total: u64,
}

impl CpuTime {
    /// From the first line of `/proc/stat` (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal.
    fn parse(text: &str) -> Option<CpuTime> {
        let fields = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Result<Vec<u64>, _> = fields.split_ascii_whitespace().take(8).map(str::parse).collect();
        let ticks = ticks.ok().filter(|ticks| ticks.len() >= 5)?;
        Some(CpuTime {
            idle: ticks[3] + ticks[4],
            total: ticks.iter().sum(),
        })
    }

    /// Percentage of time since then in which the processors were busy.
    fn usage_since(self, before: CpuTime) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|total| *total > 0)?;
        let idle = self.idle.saturating_sub(before.idle).min(total);
        #[expect(clippy::cast_precision_loss, reason = "a second has some hundred ticks")]
        Some((total - idle) as f64 * 100.0 / total as f64)
    }
}

/// The load average over a minute, from `/proc/loadavg` (proc_loadavg(5)).
fn load_average(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Counts;

    fn second(seconds: u64) -> Time {
        Time(0) + Duration::from_secs(seconds)
    }

    #[test]
    fn usage_is_what_was_not_idle() {
        let parse = |text| CpuTime::parse(text).unwrap();
        let before = parse("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3\n");
        let after = parse("cpu  130 0 120 740 110 0 0 0 0 0\n");
        assert_eq!(after.usage_since(before), Some(50.0));
        assert_eq!(after.usage_since(after), None, "no time has passed");
        assert_eq!(before.usage_since(after), None);
        for broken in ["", "cpu0 1 2 3 4 5", "cpu 1 2 3", "cpu a b c d e"] {
            assert_eq!(CpuTime::parse(broken), None, "{broken}");
        }
        assert_eq!(load_average("0.52 0.58 0.59 1/389 12345\n"), Some(0.52));
        assert_eq!(load_average(""), None);
    }

    #[test]
    fn without_limits_nobody_looks() {
        let mut meter = LoadMeter::new(second(1), LoadLimits::default());
        assert_eq!(meter.poll_timeout(), None);
        assert_eq!(meter.handle_timeout(second(100), Received::default()), None);
    }

    #[test]
    fn each_limit_can_be_exceeded() {
        let limits = LoadLimits {
            bandwidth: Some(1000),
            ..LoadLimits::default()
        };
        let mut meter = LoadMeter::new(second(1), limits);
        assert_eq!(meter.poll_timeout(), Some(second(2)));
        let rates = |bytes| Received {
            userspace: Counts {
                bytes,
                ..Counts::default()
            },
            ..Received::default()
        };
        assert_eq!(meter.handle_timeout(second(1), rates(5000)), None, "not yet");
        assert_eq!(meter.handle_timeout(second(2), rates(999)), Some(None));
        assert_eq!(
            meter.handle_timeout(second(3), rates(1000)),
            Some(Some(Limit::Bandwidth))
        );
        let limits = LoadLimits {
            load: Some(0.0),
            ..LoadLimits::default()
        };
        let mut meter = LoadMeter::new(second(1), limits);
        assert_eq!(meter.handle_timeout(second(2), rates(0)), Some(Some(Limit::Load)));
    }
}
