//! What follows for a call from where a party's packets come from.

use std::net::SocketAddr;

use smallvec::SmallVec;

use super::learning::Verdict;
use super::stream::Stream;
use super::{Flow, Session};
use crate::clock::Time;
use crate::plan::StreamId;

impl Session {
    /// Learns from a packet's source, and judges it.
    pub(super) fn learn(&mut self, now: Time, stream: usize, flow: Flow, source: SocketAddr) -> Verdict {
        let of = &mut self.streams[stream];
        let before = of.learned_source();
        let verdict = of.check_source(now, flow, source);
        if of.is_settled() {
            of.status.note_attempt();
        }
        if verdict.changed && of.learned_source() != before {
            self.find_elsewhere(stream);
        }
        verdict
    }

    /// A party is not where it was: what is sent to the section is set up anew. If somebody else took its place, whoever sends to
    /// it has to show itself again, too.
    fn find_elsewhere(&mut self, party: usize) {
        let was_taken_over = self.streams[party].was_taken_over();
        let section = self.section(party);
        let is_of = |stream: &Stream| section == stream.rtp.unwrap_or(stream.id);
        let own: SmallVec<[usize; 2]> = self.positions(is_of).collect();
        let senders: SmallVec<[StreamId; 2]> = self
            .positions(|stream| !is_of(stream) && own.iter().any(|own| stream.sends_to(*own)))
            .map(|sender| self.section(sender))
            .collect();
        for sender in &mut self.streams {
            if senders.contains(&sender.rtp.unwrap_or(sender.id)) {
                sender.status.forget_attempt();
                if was_taken_over {
                    sender.doubt_source();
                }
            }
        }
    }

    /// The media section that a stream is of, by its stream of RTP.
    fn section(&self, stream: usize) -> StreamId {
        let stream = &self.streams[stream];
        stream.rtp.unwrap_or(stream.id)
    }

    fn positions(&self, fits: impl Fn(&Stream) -> bool) -> impl Iterator<Item = usize> {
        let streams = self.streams.iter().enumerate();
        streams.filter_map(move |(index, stream)| fits(stream).then_some(index))
    }
}

impl Stream {
    /// Whether a stream gets what arrives here.
    fn sends_to(&self, stream: usize) -> bool {
        let sinks = [Flow::Rtp, Flow::Rtcp]
            .into_iter()
            .flat_map(|flow| self.sinks(flow));
        sinks.into_iter().any(|sink| sink.stream == stream)
    }
}
