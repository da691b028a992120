//! What the parties' RTCP says of each other's media: round trips, losses, jitter (RFC 3550 section 6.4).

use std::time::Duration;

use smallvec::SmallVec;

use super::report::{self, Block};
use super::{Flow, Session};
use crate::clock::Time;
use crate::plan::{MosModel, Sample, StreamKind};

/// So many sender reports are remembered: of each sender one or two are on their way at a time.
const MOST_REPORTS: usize = 64;

/// Of so many receivers is the round trip known.
const MOST_RECEIVERS: usize = 32;

/// Between two samples of a receiver.
const RATE: Duration = Duration::from_secs(1);

/// A way that is known to be none.
const SHORTEST: Duration = Duration::from_micros(1);

/// A longer round trip is a mistake.
const LONGEST: Duration = Duration::from_secs(10);

/// What is known of the way to each party and back.
#[derive(Debug, Default)]
pub(super) struct RoundTrips {
    model: MosModel,
    /// Sender reports that passed or were sent, in a ring.
    reports: Vec<Passed>,
    next_report: usize,
    receivers: Vec<Receiver>,
    next_receiver: usize,
}

/// A sender report that went by.
#[derive(Clone, Copy, Debug)]
struct Passed {
    ssrc: u32,
    /// The middle of its NTP time.
    time: u32,
    at: Time,
}

/// Somebody who reports on what is received.
#[derive(Clone, Copy, Debug)]
struct Receiver {
    ssrc: u32,
    /// From here to there and back.
    leg: Option<Duration>,
    sampled_at: Option<Time>,
}

impl Session {
    /// Takes note of RTCP that can be read.
    pub(super) fn take_reports(&mut self, now: Time, stream: usize, flow: Flow, packet: &[u8]) {
        if !matches!(flow, Flow::Rtcp | Flow::SharedRtcp) {
            return;
        }
        for (ssrc, time) in report::sender_reports(packet) {
            self.round_trips.note_report(ssrc, time, now);
        }
        let blocks: SmallVec<[(u32, Block); 4]> = report::blocks(packet).collect();
        for (receiver, block) in blocks {
            let rate = self.clock_rate(block.ssrc, stream);
            let Some(sample) = self.round_trips.take_block(now, receiver, &block, rate) else {
                continue;
            };
            let of = &self.streams[stream];
            let section = match of.kind {
                StreamKind::Rtcp => of.rtp.and_then(|id| self.index_of(id)),
                StreamKind::Rtp | StreamKind::Datagrams => Some(stream),
            };
            self.streams[section.unwrap_or(stream)]
                .status
                .add_sample(receiver, sample);
        }
    }

    /// Takes note of a report of our own as if who sends the media had written it. It comes from here: that is no way at all, once
    /// there was an earlier one to refer to.
    pub(super) fn hear_own_reports(
        &mut self,
        now: Time,
        stream: usize,
        packet: &[u8],
        is_known: impl Fn(u32) -> bool,
    ) {
        for (ssrc, time) in report::sender_reports(packet) {
            self.round_trips.note_report(ssrc, time, now);
        }
        let blocks: SmallVec<[(u32, Block); 4]> = report::blocks(packet).collect();
        for (receiver, block) in blocks {
            let rate = self.clock_rate(block.ssrc, stream);
            let leg = match (block.delay, is_known(block.ssrc)) {
                (0, true) => Some(SHORTEST),
                (0, false) => Some(Duration::ZERO),
                _ => self.round_trips.leg(now, &block),
            };
            if let Some(sample) = self.round_trips.sample(now, receiver, &block, rate, leg) {
                self.streams[stream].status.add_sample(receiver, sample);
            }
        }
    }

    /// The clock of who sends under an SSRC, Hz, as far as it is known.
    fn clock_rate(&self, ssrc: u32, otherwise: usize) -> u64 {
        let mut streams = self.streams.iter();
        let sender = streams.find(|stream| stream.status.ssrc() == Some(ssrc));
        let clock = sender.unwrap_or(&self.streams[otherwise]).clock;
        match clock.units(1_000_000_000) {
            0 => 8000,
            rate => u64::from(rate),
        }
    }
}

impl RoundTrips {
    pub(super) fn plan(&mut self, model: MosModel) {
        self.model = model;
    }

    /// A sender report goes to somebody.
    pub(super) fn note_report(&mut self, ssrc: u32, time: u32, at: Time) {
        let passed = Passed { ssrc, time, at };
        if self.reports.len() < MOST_REPORTS {
            self.reports.push(passed);
        } else {
            self.reports[self.next_report] = passed;
            self.next_report = (self.next_report + 1) % MOST_REPORTS;
        }
    }

    /// A receiver reports on a sender. None if it did so a moment ago.
    fn take_block(&mut self, now: Time, receiver: u32, block: &Block, rate: u64) -> Option<Sample> {
        let leg = self.leg(now, block);
        self.sample(now, receiver, block, rate, leg)
    }

    fn sample(
        &mut self,
        now: Time,
        receiver: u32,
        block: &Block,
        rate: u64,
        leg: Option<Duration>,
    ) -> Option<Sample> {
        let is_listening = self.model.listening;
        let known = self.receiver(receiver);
        known.leg = leg.filter(|leg| !leg.is_zero()).or(known.leg);
        if leg.is_none() && !is_listening {
            // It does not say how long it took.
            return None;
        }
        if known.sampled_at.is_some_and(|at| now.since(at) < RATE) {
            return None;
        }
        known.sampled_at = Some(now);
        let other = self.receivers.iter().find(|known| known.ssrc == block.ssrc);
        // No time at all is as good as none known.
        let other = other.and_then(|other| other.leg).filter(|leg| !leg.is_zero());
        let round_trip = leg.zip(other);
        let round_trip = round_trip.map(|(leg, other)| leg + other);
        let jitter = u64::from(block.jitter).saturating_mul(1000) / rate;
        let jitter = u32::try_from(jitter).unwrap_or(u32::MAX);
        let loss = u32::from(block.fraction_lost) * 100 / 256;
        let is_known = round_trip.is_some() || self.model.listening;
        let milliseconds = round_trip.unwrap_or_default().as_secs_f64() * 1000.0;
        Some(Sample {
            at: now,
            mos: is_known.then(|| self.model.score(milliseconds, f64::from(jitter), f64::from(loss))),
            round_trip: round_trip.unwrap_or_default(),
            leg: leg.unwrap_or_default(),
            jitter,
            loss,
        })
    }

    /// How long it took from a sender report to who now refers to it, and back.
    fn leg(&self, now: Time, block: &Block) -> Option<Duration> {
        if block.delay == 0 {
            return None;
        }
        let is_meant = |passed: &&Passed| passed.ssrc == block.ssrc && passed.time == block.last_report;
        let reports = self.reports.iter().filter(is_meant);
        // Of what was never heard, and of the future, it is no time at all.
        let Some(at) = reports.map(|passed| passed.at).max() else {
            return Some(Duration::ZERO);
        };
        let delay = Duration::from_nanos((u64::from(block.delay) * 1_000_000_000) >> 16);
        let leg = now.since(at).saturating_sub(delay);
        (leg <= LONGEST).then_some(leg)
    }

    fn receiver(&mut self, ssrc: u32) -> &mut Receiver {
        let found = self.receivers.iter().position(|known| known.ssrc == ssrc);
        let index = found.unwrap_or_else(|| {
            let new = Receiver {
                ssrc,
                leg: None,
                sampled_at: None,
            };
            if self.receivers.len() < MOST_RECEIVERS {
                self.receivers.push(new);
                return self.receivers.len() - 1;
            }
            let oldest = self.next_receiver;
            self.receivers[oldest] = new;
            self.next_receiver = (oldest + 1) % MOST_RECEIVERS;
            oldest
        });
        &mut self.receivers[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: u32 = 1;
    const BOB: u32 = 2;

    fn block(ssrc: u32, last_report: u32, delay: u32) -> Block {
        Block {
            ssrc,
            fraction_lost: 26,
            lost: 3,
            highest_sequence: 9,
            jitter: 160,
            last_report,
            delay,
        }
    }

    fn at(milliseconds: u64) -> Time {
        Time(milliseconds * 1_000_000)
    }

    #[test]
    fn both_legs_make_a_round_trip_and_a_score() {
        let mut trips = RoundTrips::default();
        trips.note_report(ALICE, 77, at(0));
        trips.note_report(BOB, 88, at(10));
        // Half a second of it the report lay there.
        let first = trips
            .take_block(at(600), BOB, &block(ALICE, 77, 1 << 15), 8000)
            .unwrap();
        assert_eq!((first.mos, first.leg), (None, Duration::from_millis(100)));
        let second = trips
            .take_block(at(610), ALICE, &block(BOB, 88, 1 << 15), 8000)
            .unwrap();
        assert_eq!(second.round_trip, Duration::from_millis(200));
        assert_eq!((second.mos, second.jitter, second.loss), (Some(24), 20, 10));
        assert_eq!(
            trips.take_block(at(1500), BOB, &block(ALICE, 77, 1 << 16), 8000),
            None
        );
        let third = trips
            .take_block(at(1600), BOB, &block(ALICE, 77, 1 << 16), 8000)
            .unwrap();
        assert_eq!(
            (third.round_trip, third.leg),
            (Duration::from_millis(700), Duration::from_millis(600))
        );
    }

    #[test]
    fn what_refers_to_nothing_or_to_the_future_took_no_time() {
        let mut trips = RoundTrips::default();
        trips.note_report(ALICE, 77, at(0));
        for wrong in [block(ALICE, 78, 1), block(BOB, 77, 1), block(ALICE, 77, 1 << 20)] {
            assert_eq!(trips.leg(at(600), &wrong), Some(Duration::ZERO));
        }
        let silent = block(ALICE, 77, 0);
        assert_eq!(trips.leg(at(600), &silent), None);
        assert!(trips.take_block(at(600), BOB, &silent, 8000).is_none());
        assert_eq!(trips.leg(at(11_000), &block(ALICE, 77, 1)), None);
        trips.plan(MosModel {
            listening: true,
            legacy: false,
        });
        let sample = trips
            .take_block(at(600), BOB, &block(ALICE, 78, 1), 8000)
            .unwrap();
        assert_eq!((sample.mos, sample.round_trip), (Some(26), Duration::ZERO));
    }

    #[test]
    fn memory_is_bounded() {
        let mut trips = RoundTrips::default();
        for ssrc in 0..1000 {
            trips.note_report(ssrc, ssrc, at(0));
            trips.take_block(at(1), ssrc, &block(ssrc, ssrc, 1), 8000);
        }
        assert_eq!(
            (trips.reports.len(), trips.receivers.len()),
            (MOST_REPORTS, MOST_RECEIVERS)
        );
    }
}
