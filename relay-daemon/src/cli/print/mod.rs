//! Answers, in the shapes that scripts for the reference read.

mod calls;
mod numbers;
mod params;

pub(crate) use calls::{call, call_line, party, text};
pub(crate) use numbers::{counters, interfaces, num_sessions, totals};
pub(crate) use params::{Parameters, call_parameters, changed, setting};
