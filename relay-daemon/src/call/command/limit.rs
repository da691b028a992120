//! Why no more calls are begun.

use std::fmt;

/// What stands in the way of a new call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `max-sessions`: there are as many calls as there may be.
    Sessions,
    /// `max-cpu`: the processors are busy.
    Cpu,
    /// `max-load`: the load average is too high.
    Load,
    /// `max-bandwidth`: too much is received.
    Bandwidth,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Sessions => "Parallel session limit reached",
            Limit::Cpu => "CPU usage limit exceeded",
            Limit::Load => "Load limit exceeded",
            Limit::Bandwidth => "Bandwidth limit exceeded",
        })
    }
}
