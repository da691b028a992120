//! How threads run.

use std::time::Duration;

use super::super::error::ConfigError;
use super::super::given::Given;
use super::super::{Scheduling, SchedulingPolicy};
use super::{choice, number};

const POLICIES: &[(&str, Option<SchedulingPolicy>)] = &[
    ("default", None),
    ("none", None),
    ("fifo", Some(SchedulingPolicy::Fifo)),
    ("rr", Some(SchedulingPolicy::RoundRobin)),
    ("other", Some(SchedulingPolicy::Other)),
    ("batch", Some(SchedulingPolicy::Batch)),
    ("idle", Some(SchedulingPolicy::Idle)),
];

/// `thread-stack`, in bytes; zero and less leave it to the system.
pub(super) fn stack(given: &Given) -> Result<Option<usize>, ConfigError> {
    let kilobytes: i64 = number(given, "thread-stack", i64::MIN..=1 << 20, 0)?;
    let kilobytes = usize::try_from(kilobytes).ok().filter(|size| *size > 0);
    Ok(kilobytes.map(|size| size * 1024))
}

/// `gather-time`.
pub(super) fn gather_time(given: &Given) -> Result<Duration, ConfigError> {
    Ok(Duration::from_micros(number(
        given,
        "gather-time",
        0..=10_000,
        400,
    )?))
}

/// Policy and priority by the options of these names.
pub(super) fn scheduling(
    given: &Given,
    policy: &'static str,
    priority: &'static str,
) -> Result<Scheduling, ConfigError> {
    let listed = "default, none, fifo, rr, other, batch, idle";
    Ok(Scheduling {
        policy: choice(given, policy, POLICIES, listed)?.flatten(),
        priority: number(given, priority, -20..=99, 0)?,
    })
}
