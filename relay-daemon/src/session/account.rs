//! What is counted and remembered of what arrives, beyond packets and bytes.

use std::net::SocketAddr;

use relay_common::packet::RtpHeader;

use super::stream::Stream;
use super::{Content, Flow, Passage, Session, rtcp};
use crate::clock::Time;
use crate::plan::{Position, StreamKind};
use crate::security::MediaSecurity;

impl Stream {
    /// An RTP packet came: payload types that were never agreed on are errors.
    pub(super) fn tally(&mut self, header: &RtpHeader) {
        if self.kind != StreamKind::Rtp {
            // Nobody is to get it.
            self.status.count_error_in();
            return;
        }
        self.status.publish_ssrc(header.ssrc);
        if self.known.is_empty() {
            return;
        }
        if !self.known.contains(header.payload_type) {
            self.status.count_error_in();
        } else if let Some(usual) = self.tally.add(header.payload_type) {
            self.status.publish_usual_payload_type(usual);
        }
    }
}

impl Session {
    /// The RTP stream of a stream's media section.
    pub(super) fn section_of(&self, stream: usize) -> &Stream {
        let of = &self.streams[stream];
        let rtp = of.rtp.and_then(|id| self.index_of(id));
        rtp.map_or(of, |rtp| &self.streams[rtp])
    }

    /// RTP of so many bytes came for a stream.
    pub(super) fn count_received(&self, now: Time, stream: usize, header: &RtpHeader, bytes: usize) {
        let log = &self.section_of(stream).status.heard;
        log.count(Some(now), header, bytes, Position::Highest);
    }

    /// RTCP came, and is for somebody, whether it can be sent there or not.
    pub(super) fn note_reporter(&self, now: Time, stream: usize, flow: Flow, ssrc: u32) {
        self.section_of(stream).status.heard.note(Some(now), ssrc);
        for sink in self.streams[stream].sinks(flow) {
            self.section_of(sink.stream).status.sent.note(Some(now), ssrc);
        }
    }

    /// What is refused for its source is heard all the same.
    pub(super) fn note_refused(&self, now: Time, stream: usize, flow: Flow, datagram: &[u8]) {
        let of = &self.streams[stream];
        let header = RtpHeader::parse(datagram).filter(|_| flow == Flow::Rtp);
        let ssrc = match (flow, &header) {
            (Flow::Rtcp, _) => rtcp::sender(datagram),
            (_, header) => header.map(|header| header.ssrc),
        };
        if let Some(ssrc) = ssrc {
            self.section_of(stream).status.heard.note(Some(now), ssrc);
        }
        let is_unknown = |header: RtpHeader| {
            of.kind != StreamKind::Rtp || !of.known.is_empty() && !of.known.contains(header.payload_type)
        };
        if header.is_some_and(is_unknown) {
            of.status.count_error_in();
        }
    }

    /// A datagram that is neither RTP nor RTCP came. It says where the party is, unless the party has keys to say so.
    pub(super) fn take_unreadable(
        &mut self,
        now: Time,
        (stream, place): (usize, usize),
        source: SocketAddr,
        bytes: usize,
    ) {
        let of = &mut self.streams[stream];
        if of.security != MediaSecurity::Plain {
            of.status.count_in(bytes);
            of.status.count_error_in();
            return;
        }
        let verdict = self.learn(now, stream, Flow::Datagram, source);
        self.count_unsent(stream, verdict.accepted, bytes);
        if verdict.changed {
            self.refresh(now);
        }
        if verdict.accepted && self.streams[stream].kind == StreamKind::Rtp {
            self.consider(now, stream, place);
        }
    }

    /// RTCP came that cannot be read.
    pub(super) fn take_malformed_rtcp(&mut self, now: Time, stream: usize, source: SocketAddr, bytes: usize) {
        let verdict = self.learn(now, stream, Flow::Rtcp, source);
        self.count_unsent(stream, verdict.accepted, bytes);
        if verdict.changed {
            self.refresh(now);
        }
    }

    /// Counts what should have been sent on, and cannot be: as an error of those who would have got it as media.
    fn count_unsent(&self, stream: usize, accepted: bool, bytes: usize) {
        let of = &self.streams[stream];
        if !accepted {
            of.status.count_error_in();
            return;
        }
        of.status.count_in(bytes);
        for sink in of.sinks(Flow::Rtp) {
            if matches!(sink.passage(Content::Unknown, &of.payloads), Passage::Open(_)) {
                self.streams[sink.stream].status.count_error_in();
            }
        }
    }
}
