//! RTCP of our own: what the parties send goes no further than here, and each gets our account of what it is sent and of what
//! came from it (RFC 3550 section 6.4).

use std::time::Duration;

use relay_common::packet::RtpHeader;
use relay_common::reception::Sequence;
use relay_common::slot::{COUNTED_BY_USERSPACE, Clock, Counters, SSRCS_PER_SLOT, SsrcCounters};
use smallvec::SmallVec;

use super::report::{Block, MAX_BLOCKS, Report, SenderInfo};
use super::sink::Sink;
use super::stream::Stream;
use super::{Event, Flow, Session, report};
use crate::clock::Time;
use crate::plan::{PortId, ReportPlan, StreamId, StreamKind};
use crate::srtp::{MAX_TRAILER, PEER_RTCP_INDICES};

/// Up to so much is added to the interval, so that the reports of many calls do not go all at once.
const SPREAD: u64 = 1_000_000_000;

/// The NTP time of the Unix epoch, seconds.
const UNIX_EPOCH: u64 = 2_208_988_800;

/// Of so many senders is it remembered what was reported of them.
const MAX_SOURCES: usize = MAX_BLOCKS;

/// Who writes RTCP for a call.
#[derive(Debug)]
pub(super) struct Reporter {
    plan: ReportPlan,
    due: Time,
    rounds: u64,
    /// Of the streams of RTP.
    receptions: Vec<Reception>,
    /// What was reported last of what is sent to a stream. While that is blocked, it is reported again.
    reported: Vec<Reported>,
}

/// What was reported to the party of a stream, of what it is sent under an SSRC.
#[derive(Clone, Copy, Debug)]
struct Reported {
    to: StreamId,
    ssrc: u32,
    sender: SenderInfo,
}

/// What is known of those who send to a stream's party, or rather, through it to us.
#[derive(Debug)]
struct Reception {
    stream: StreamId,
    /// What arrived at the ports of another stream: there nobody else counts it by its own.
    elsewhere: [SsrcCounters; SSRCS_PER_SLOT],
    sources: SmallVec<[Source; 2]>,
    /// Which of them is next to be forgotten.
    oldest: usize,
}

/// What was received of a sender, and what was reported of it.
#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: u32,
    /// The middle of the NTP time in its last report, and when that came.
    report: Option<(u32, Time)>,
    /// How many packets should have come, and did, when it was last reported on.
    expected: u32,
    received: u64,
}

/// What there is to be reported of a sender in a round.
#[derive(Clone, Copy, Debug)]
struct ReceivedSsrc {
    ssrc: u32,
    /// For those it sends to.
    sender: SenderInfo,
    /// For itself.
    block: Block,
}

impl Session {
    /// Begins to write RTCP, goes on, or ends.
    pub(super) fn plan_reports(&mut self, now: Time, plan: Option<ReportPlan>) {
        let Some(plan) = plan else {
            self.reporter = None;
            return;
        };
        let mut reporter = match self.reporter.take() {
            Some(reporter) => Reporter { plan, ..reporter },
            None => Reporter {
                due: now + plan.wait(0),
                plan,
                rounds: 0,
                receptions: Vec::new(),
                reported: Vec::new(),
            },
        };
        reporter
            .receptions
            .retain(|reception| self.index_of(reception.stream).is_some());
        self.reporter = Some(reporter);
    }

    /// Sees to it that our RTCP does not look like that of a party which has the same key.
    pub(super) fn set_apart_indices(&mut self) {
        if self.reporter.is_none() {
            return;
        }
        for stream in 0..self.streams.len() {
            let sinks = [Flow::Rtp, Flow::Rtcp].map(|flow| self.streams[stream].sinks(flow));
            let shared = |sink: &&Sink| sink.bridge.has_shared_keys();
            let sinks: SmallVec<[usize; 4]> = sinks
                .into_iter()
                .flatten()
                .filter(shared)
                .map(|sink| sink.stream)
                .collect();
            for sink in sinks {
                let keeper = self.streams[sink].keeper;
                if let Some(outbound) = self.streams[keeper].ciphers.outbound() {
                    outbound.skip_rtcp(PEER_RTCP_INDICES);
                }
            }
        }
    }

    pub(super) fn reports_timeout(&self) -> Option<Time> {
        self.reporter.as_ref().map(|reporter| reporter.due)
    }

    /// Asks for what was counted, if reports are due.
    pub(super) fn begin_reports(&mut self, now: Time) {
        let Some(reporter) = self.reporter.as_mut().filter(|reporter| reporter.due <= now) else {
            return;
        };
        reporter.rounds += 1;
        reporter.due = now + reporter.plan.wait(reporter.rounds);
        self.events.push_back(Event::Report(now));
    }

    /// Whether a stream's RTCP stays here. If so it is read.
    pub(super) fn consumes(&mut self, now: Time, stream: usize, flow: Flow, packet: &[u8]) -> bool {
        if !matches!(flow, Flow::Rtcp | Flow::SharedRtcp) || !self.is_readable(stream) {
            return false;
        }
        let of = &self.streams[stream];
        let section = match of.kind {
            StreamKind::Rtcp => of.rtp,
            StreamKind::Rtp | StreamKind::Datagrams => Some(of.id),
        };
        let (Some(reporter), Some(section)) = (&mut self.reporter, section) else {
            return false;
        };
        if !reporter.plan.ways.iter().any(|(to, _)| *to == section) {
            return false;
        }
        let reception = reporter.reception(section);
        for (ssrc, time) in report::sender_reports(packet) {
            reception.source(ssrc).report = Some((time, now));
        }
        true
    }

    /// Counts RTP that arrived at the port of another stream, or may have.
    pub(super) fn count_elsewhere(
        &mut self,
        now: Time,
        stream: usize,
        header: &RtpHeader,
        bytes: usize,
        clock: Clock,
    ) {
        let id = self.streams[stream].id;
        if let Some(reporter) = &mut self.reporter {
            reporter.reception(id).count(now, header, bytes, clock);
        }
    }

    /// Writes the reports of a round, for [`Event::Report`]. `counters` is what was counted at a port since it was bound.
    pub fn report(&mut self, now: Time, counters: impl Fn(PortId) -> Counters) {
        let Some(mut reporter) = self.reporter.take() else {
            return;
        };
        let received: Vec<Vec<ReceivedSsrc>> = (0..self.streams.len())
            .map(|stream| self.received(now, stream, &mut reporter, &counters))
            .collect();
        let before = std::mem::take(&mut reporter.reported);
        for (to, by) in &reporter.plan.ways {
            if let (Some(to), Some(by)) = (self.index_of(*to), self.index_of(*by)) {
                let news = self.report_to(now, to, by, &received, &reporter.plan.name, &before);
                reporter.reported.extend(news);
            }
        }
        self.reporter = Some(reporter);
    }

    /// What there is to be reported of those who send to a stream.
    fn received(
        &self,
        now: Time,
        stream: usize,
        reporter: &mut Reporter,
        counters: &impl Fn(PortId) -> Counters,
    ) -> Vec<ReceivedSsrc> {
        let stream_of = &self.streams[stream];
        if stream_of.kind != StreamKind::Rtp || !self.is_readable(stream) {
            return Vec::new();
        }
        let plan = reporter.plan.clone();
        let reception = reporter.reception(stream_of.id);
        let mut known: SmallVec<[SsrcCounters; SSRCS_PER_SLOT]> = SmallVec::new();
        let ports = stream_of.ports.iter().map(|port| counters(port.local.id).ssrcs);
        for entry in ports.chain([reception.elsewhere]).flatten() {
            if entry.counted_by == 0 {
                continue;
            }
            // Under one number there is one sender: where it came to last it is now.
            match known.iter_mut().find(|known| known.ssrc == entry.ssrc) {
                Some(known) if known.last_arrival < entry.last_arrival => *known = entry,
                Some(_) => {}
                None => known.push(entry),
            }
        }
        let trailer = self.trailer(stream);
        // The newest first, by RTP or RTCP.
        let log = stream_of.status.heard.all();
        let place = |ssrc| {
            log.iter()
                .position(|heard| heard.ssrc == ssrc)
                .unwrap_or(usize::MAX)
        };
        known.sort_by_key(|entry| (place(entry.ssrc), std::cmp::Reverse(entry.last_arrival)));
        known
            .iter()
            .map(|entry| {
                let clock = stream_of.clock_of(entry.payload_type);
                ReceivedSsrc {
                    ssrc: entry.ssrc,
                    sender: plan.sender_info(entry, trailer),
                    block: reception.source(entry.ssrc).account(now, entry, clock),
                }
            })
            .collect()
    }

    /// Sends one party its reports, and tells what was reported: one for each of those who send to it. Who is sent nothing by
    /// anybody gets none, as with the reference.
    fn report_to(
        &mut self,
        now: Time,
        to: usize,
        by: usize,
        received: &[Vec<ReceivedSsrc>],
        name: &str,
        before: &[Reported],
    ) -> SmallVec<[Reported; 4]> {
        let id = self.streams[to].id;
        let blocks: SmallVec<[Block; 4]> = received[to].iter().map(|source| source.block).collect();
        let mut news: SmallVec<[Reported; 4]> = SmallVec::new();
        let mut sources: SmallVec<[usize; 4]> = SmallVec::new();
        for (index, (source, received)) in self.streams.iter().zip(received).enumerate() {
            let sinks = source.sinks(Flow::Rtp).iter();
            for sink in sinks.filter(|sink| sink.stream == to && sink.is_connected()) {
                sources.extend(received.iter().map(|_| index));
                news.extend(received.iter().map(|ssrc| {
                    let known = |reported: &&Reported| reported.to == id && reported.ssrc == ssrc.ssrc;
                    let sender = match sink.gets_media() {
                        true => ssrc.sender,
                        false => match before.iter().find(known) {
                            Some(reported) => reported.sender,
                            None => SenderInfo {
                                ntp: ssrc.sender.ntp,
                                ..SenderInfo::default()
                            },
                        },
                    };
                    Reported {
                        to: id,
                        ssrc: ssrc.ssrc,
                        sender,
                    }
                }));
            }
        }
        let mid = self.streams[to].mid();
        for (reported, source) in news.iter().zip(sources) {
            let mut packet = Vec::new();
            Report {
                ssrc: reported.ssrc,
                sender: reported.sender,
                blocks: &blocks,
                name,
                mid: mid.as_deref(),
            }
            .write(&mut packet);
            // It counts as if the one who sends the media had written it.
            let is_known = |ssrc| before.iter().any(|reported| reported.ssrc == ssrc);
            self.hear_own_reports(now, source, &packet, is_known);
            self.send_report(by, packet);
        }
        news
    }

    fn send_report(&mut self, by: usize, mut packet: Vec<u8>) {
        let Some(exit) = self.exit(by) else {
            return;
        };
        let keeper = self.streams[by].keeper;
        let keeper = &mut self.streams[keeper];
        if keeper.security.is_srtp() {
            // The handshake may still be on.
            let Some(outbound) = keeper.ciphers.outbound() else {
                return;
            };
            let length = packet.len();
            packet.resize(length + MAX_TRAILER, 0);
            let protected = outbound.protect_rtcp(&mut packet, length, None);
            let status = &self.streams[by].status;
            match protected {
                Ok(length) => packet.truncate(length),
                Err(error) => {
                    status.count_error_out();
                    status.count_srtp_error(error);
                    return;
                }
            }
        }
        self.outbox
            .push(exit.from.id, exit.to, |buffer| buffer.extend_from_slice(&packet));
    }

    pub(super) fn is_readable(&self, stream: usize) -> bool {
        self.streams[self.streams[stream].keeper].security.is_readable()
    }

    /// How many bytes of each RTP packet that arrives are its protection.
    fn trailer(&self, stream: usize) -> usize {
        let keeper = &self.streams[self.streams[stream].keeper];
        keeper.ciphers.rtp_trailer().unwrap_or(0)
    }
}

impl Reporter {
    /// What is known of those who send to a stream.
    fn reception(&mut self, stream: StreamId) -> &mut Reception {
        let found = self
            .receptions
            .iter()
            .position(|reception| reception.stream == stream);
        let index = found.unwrap_or_else(|| {
            self.receptions.push(Reception {
                stream,
                elsewhere: [SsrcCounters::default(); SSRCS_PER_SLOT],
                sources: SmallVec::new(),
                oldest: 0,
            });
            self.receptions.len() - 1
        });
        &mut self.receptions[index]
    }
}

impl Reception {
    /// A sender, in the place of another one if there are too many.
    fn source(&mut self, ssrc: u32) -> &mut Source {
        let found = self.sources.iter().position(|source| source.ssrc == ssrc);
        let index = found.unwrap_or_else(|| {
            let new = Source {
                ssrc,
                report: None,
                expected: 0,
                received: 0,
            };
            if self.sources.len() < MAX_SOURCES {
                self.sources.push(new);
                return self.sources.len() - 1;
            }
            let oldest = self.oldest;
            self.sources[oldest] = new;
            self.oldest = (oldest + 1) % MAX_SOURCES;
            oldest
        });
        &mut self.sources[index]
    }

    fn count(&mut self, now: Time, header: &RtpHeader, bytes: usize, clock: Clock) {
        let is_of = |entry: &SsrcCounters| entry.counted_by != 0 && entry.ssrc == header.ssrc;
        let found = self.elsewhere.iter().position(is_of);
        let index = found.unwrap_or_else(|| {
            // In the place of none, or of the one that was silent longest.
            let times = self.elsewhere.iter().map(|entry| entry.last_arrival).enumerate();
            let index = times.min_by_key(|(_, time)| *time).map_or(0, |(index, _)| index);
            self.elsewhere[index] = SsrcCounters {
                ssrc: header.ssrc,
                counted_by: COUNTED_BY_USERSPACE,
                ..SsrcCounters::default()
            };
            self.elsewhere[index].set_sequence(Sequence::before(header.sequence));
            index
        });
        let entry = &mut self.elsewhere[index];
        entry.packets += 1;
        entry.bytes += bytes as u64;
        let place = entry.take(header.sequence);
        entry.arrive(header, place, now.0, clock);
    }
}

impl Source {
    /// What there is to be reported of what has come by now. If nothing did since the last round, that is reported again.
    fn account(&mut self, now: Time, entry: &SsrcCounters, clock: Clock) -> Block {
        let expected = entry.expected().wrapping_sub(self.expected);
        let received = entry.packets.wrapping_sub(self.received);
        self.expected = entry.expected();
        self.received = entry.packets;
        let (last_report, delay) = match self.report {
            Some((time, at)) => (time, sixteenths(now.since(at))),
            None => (0, 0),
        };
        Block {
            ssrc: entry.ssrc,
            fraction_lost: fraction_lost(expected.cast_signed(), received),
            lost: i32::try_from(entry.lost()).unwrap_or(if entry.lost() < 0 { i32::MIN } else { i32::MAX }),
            highest_sequence: entry.highest_sequence,
            jitter: clock.units(entry.jitter_ns()),
            last_report,
            delay,
        }
    }
}

/// Of 256 packets expected, how many did not come; none if more came than were expected (RFC 3550 appendix A.3).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 255"
)]
fn fraction_lost(expected: i32, received: u64) -> u8 {
    let (expected, received) = (i64::from(expected), received.cast_signed());
    let lost = expected.saturating_sub(received);
    if expected <= 0 || lost <= 0 {
        return 0;
    }
    (lost * 256 / expected).min(255) as u8
}

/// A duration in 65536ths of a second.
fn sixteenths(time: Duration) -> u32 {
    u32::try_from((time.as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX)
}

impl ReportPlan {
    /// How long it is to the next round.
    fn wait(&self, round: u64) -> Duration {
        self.interval + Duration::from_nanos(mix(self.seed ^ round) % SPREAD)
    }

    /// What a sender would say of what it has sent by now. The two times are those of its newest packet: what comes from
    /// the media clock of a sender alone cannot be wrong. As with the reference, the headers are among the octets.
    #[expect(clippy::cast_possible_truncation, reason = "counts wrap")]
    fn sender_info(&self, entry: &SsrcCounters, trailer: usize) -> SenderInfo {
        let protection = entry.packets.wrapping_mul(trailer as u64);
        SenderInfo {
            ntp: self.ntp(Time(entry.timed_at)),
            timestamp: entry.last_timestamp,
            packets: entry.packets as u32,
            octets: entry.bytes.saturating_sub(protection) as u32,
        }
    }

    /// A time of day as it stands in a report (RFC 3550 section 4); it starts over in 2036.
    fn ntp(&self, now: Time) -> u64 {
        let time = self.epoch + now.since(Time(0));
        let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
        time.as_secs().wrapping_add(UNIX_EPOCH) << 32 | fraction
    }
}

/// Each number gives another one that has nothing to do with it (the finalizer of MurmurHash3).
fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ number >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ number >> 33
}

impl Stream {
    /// The clock of a payload type, or the one that was seen last.
    fn clock_of(&self, payload_type: u8) -> Clock {
        let known = self.clocks.iter().find(|clock| clock.is_of(payload_type));
        *known.unwrap_or(&self.clock)
    }
}
