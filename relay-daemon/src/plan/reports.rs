//! RTCP of our own (`generate-RTCP`).

use std::sync::Arc;
use std::time::Duration;

use super::StreamId;

/// The parties' RTCP goes no further than here; each of them gets ours instead, on what it is sent and on what it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPlan {
    /// Between two rounds of reports; up to a second is added at random.
    pub interval: Duration,
    /// Time of day, since the Unix epoch, when [`crate::clock::Time`] was zero.
    pub epoch: Duration,
    /// How we are called (CNAME, RFC 3550 section 6.5.1).
    pub name: Arc<str>,
    /// What follows from it looks random.
    pub seed: u64,
    /// The streams of RTP whose parties get reports, each with the stream that these go out by: for RTP with RTCP muxed
    /// the same one.
    pub ways: Vec<(StreamId, StreamId)>,
}
