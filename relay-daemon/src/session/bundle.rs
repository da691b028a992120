//! Tells apart the packets of streams that share one transport (BUNDLE, RFC 9143 section 9.2).

use relay_common::ng::octets;
use relay_common::packet::{RtpHeader, header_extension};
use smallvec::SmallVec;

use super::sink::{Sink, Sinks};
use super::{Exit, Flow, Session};
use crate::clock::Time;
use crate::plan::{BundlePlan, Marks, StreamId};

impl Session {
    /// Connects the streams of each bundle with that at whose ports they arrive.
    pub(super) fn bundle(&mut self, plans: Vec<Option<BundlePlan>>) {
        let leads: Vec<Option<usize>> = plans
            .iter()
            .map(|plan| self.index_of(plan.as_ref()?.lead))
            .collect();
        let is_shared = |lead: usize| leads.iter().filter(|other| **other == Some(lead)).count() > 1;
        let mut members: Vec<SmallVec<[Member; 2]>> = Vec::new();
        members.resize_with(self.streams.len(), SmallVec::new);
        for (stream, plan) in plans.into_iter().enumerate() {
            let (Some(plan), Some(lead)) = (plan, leads[stream].filter(|lead| is_shared(*lead))) else {
                continue;
            };
            let mid = plan.marks.mids.first().cloned();
            self.streams[stream].join(lead, plan.joined, mid);
            members[lead].push(Member {
                id: self.streams[stream].id,
                stream,
                marks: plan.marks,
            });
        }
        for (stream, members) in self.streams.iter_mut().zip(members) {
            if members.is_empty() {
                stream.demultiplexer = None;
            } else {
                stream.demultiplexer.get_or_insert_default().renew(members);
            }
        }
    }

    /// Who gets the RTCP of a bundle that names none of its streams: one receiver for each transport.
    pub(super) fn receivers_of_shared_rtcp(&self, lead: usize) -> Sinks {
        let members = self.streams[lead].demultiplexer.iter();
        let sinks = members
            .flat_map(|bundle| bundle.streams())
            .flat_map(|member| self.streams[member].sinks(Flow::Rtcp));
        let mut receivers = Sinks::new();
        for sink in sinks {
            let transport = |sink: &Sink| self.exit(sink.stream).map(|exit| exit.from);
            if !receivers.iter().any(|known| transport(known) == transport(sink)) {
                receivers.push(sink.clone());
            }
        }
        receivers
    }

    /// Where what is sent to a stream's party leaves, and where it goes: for a stream in a bundle that is the transport of
    /// its lead.
    pub(super) fn exit(&self, stream: usize) -> Option<Exit> {
        let stream = &self.streams[stream];
        let lead = stream.lead().map(|lead| &self.streams[lead]);
        let (carrier, target) = match lead {
            Some(lead) if lead.is_checked() && (stream.joined() || stream.ports.is_empty()) => {
                (lead, lead.target())
            }
            Some(lead) if stream.joined() => (lead, lead.target().or_else(|| stream.target())),
            Some(lead) if stream.ports.is_empty() => (lead, stream.target()),
            Some(_) | None => (stream, stream.target()),
        };
        Some(Exit {
            from: carrier.way_out()?,
            to: target?,
        })
    }

    /// Whether the address of a stream's party did not change of late.
    pub(super) fn is_calm(&self, now: Time, stream: usize) -> bool {
        let stream = &self.streams[stream];
        let lead = stream.lead().filter(|_| stream.joined());
        stream.is_calm(now) && lead.is_none_or(|lead| self.streams[lead].is_calm(now))
    }

    /// Which stream a datagram belongs to that arrived at the ports of one. None if that cannot be told.
    pub(super) fn addressee(&mut self, arrived: usize, flow: Flow, datagram: &[u8]) -> Option<(usize, Flow)> {
        let Some(bundle) = &mut self.streams[arrived].demultiplexer else {
            return Some((arrived, flow));
        };
        match flow {
            Flow::Rtp => Some((bundle.of_rtp(datagram)?, flow)),
            Flow::Rtcp => {
                let sender = bundle
                    .of_rtcp(datagram)
                    .or_else(|| self.reported(arrived, datagram));
                Some(sender.map_or((arrived, Flow::SharedRtcp), |stream| (stream, flow)))
            }
            Flow::SharedRtcp | Flow::Check | Flow::Datagram => Some((arrived, flow)),
        }
    }

    /// Which stream of a bundle is sent the media that RTCP reports on.
    fn reported(&self, arrived: usize, datagram: &[u8]) -> Option<usize> {
        let ssrc = reported_ssrc(datagram)?;
        let members = self.streams[arrived].demultiplexer.as_ref()?;
        let mut of_ssrc = self
            .streams
            .iter()
            .filter(|stream| stream.status.ssrc() == Some(ssrc));
        of_ssrc.find_map(|source| {
            let mut sinks = source.sinks(Flow::Rtp).iter().map(|sink| sink.stream);
            sinks.find(|sink| members.streams().any(|member| member == *sink))
        })
    }
}

/// Which streams may arrive at the ports of one of them, and how they are known.
#[derive(Debug, Default)]
pub(super) struct Demultiplexer {
    members: SmallVec<[Member; 2]>,
    sources: Sources,
    /// The receivers of RTCP that names none of the streams.
    pub(super) everyone: Sinks,
}

/// One of the streams.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: StreamId,
    /// Its index.
    pub(super) stream: usize,
    pub(super) marks: Marks,
}

/// How many SSRCs are known at once. Beyond that the oldest is forgotten, and found out again.
const MAX_SOURCES: usize = 32;

/// SSRCs, and whose they are.
#[derive(Debug, Default)]
struct Sources {
    known: SmallVec<[(u32, StreamId); 4]>,
    /// Where the next one goes once there is no room.
    oldest: usize,
}

impl Demultiplexer {
    /// For these streams, in place of those before: whose SSRCs are remembered.
    pub(super) fn renew(&mut self, members: SmallVec<[Member; 2]>) {
        self.sources
            .known
            .retain(|(_, of)| members.iter().any(|member| member.id == *of));
        self.sources.known.reserve(MAX_SOURCES);
        for member in &members {
            for ssrc in &member.marks.ssrcs {
                self.sources.learn(*ssrc, member.id);
            }
        }
        self.members = members;
        self.everyone.clear();
    }

    /// The streams' indices.
    pub(super) fn streams(&self) -> impl Iterator<Item = usize> + '_ {
        self.members.iter().map(|member| member.stream)
    }

    /// Whose packet it is: that of the stream which its header extension names; else of the one that its SSRC belongs to,
    /// or that alone has its payload type. None if that tells nothing.
    pub(super) fn of_rtp(&mut self, packet: &[u8]) -> Option<usize> {
        let header = RtpHeader::parse(packet)?;
        let member = match self.named(packet) {
            Named::Member(member) => member,
            Named::Nobody => return None,
            Named::Silent => match self.sources.find(header.ssrc) {
                Some(id) => self.members.iter().find(|member| member.id == id)?,
                None => self.by_payload_type(header.payload_type)?,
            },
        };
        let (id, stream) = (member.id, member.stream);
        self.sources.learn(header.ssrc, id);
        Some(stream)
    }

    /// Whose reports they are, going by who sends them.
    pub(super) fn of_rtcp(&self, packet: &[u8]) -> Option<usize> {
        let id = self.sources.find(ssrc_at(packet, 4)?)?;
        let member = self.members.iter().find(|member| member.id == id)?;
        Some(member.stream)
    }

    /// What the header extension says.
    fn named(&self, packet: &[u8]) -> Named<'_> {
        let mut named = Named::Silent;
        for member in &self.members {
            let identifier = member.marks.mid_extension;
            let Some(mid) = identifier.and_then(|identifier| header_extension(packet, identifier)) else {
                continue;
            };
            if member
                .marks
                .mids
                .iter()
                .any(|known| *octets::bytes(known) == *mid)
            {
                return Named::Member(member);
            }
            named = Named::Nobody;
        }
        named
    }

    fn by_payload_type(&self, payload_type: u8) -> Option<&Member> {
        let mut candidates = self
            .members
            .iter()
            .filter(|member| member.marks.payload_types.contains(payload_type));
        let first = candidates.next()?;
        candidates.next().is_none().then_some(first)
    }
}

/// Whom a header extension names.
enum Named<'a> {
    Member(&'a Member),
    /// Somebody unknown.
    Nobody,
    /// There is none.
    Silent,
}

impl Sources {
    fn find(&self, ssrc: u32) -> Option<StreamId> {
        let known = self.known.iter().find(|(known, _)| *known == ssrc)?;
        Some(known.1)
    }

    fn learn(&mut self, ssrc: u32, of: StreamId) {
        if let Some(known) = self.known.iter_mut().find(|(known, _)| *known == ssrc) {
            known.1 = of;
        } else if self.known.len() < MAX_SOURCES {
            self.known.push((ssrc, of));
        } else {
            self.known[self.oldest] = (ssrc, of);
            self.oldest = (self.oldest + 1) % MAX_SOURCES;
        }
    }
}

/// The SSRC that the first report or feedback message of an RTCP packet is about (RFC 3550 section 6.4, RFC 4585
/// section 6.1).
fn reported_ssrc(packet: &[u8]) -> Option<u32> {
    const SENDER_REPORT: u8 = 200;
    const RECEIVER_REPORT: u8 = 201;
    const TRANSPORT_FEEDBACK: u8 = 205;
    const PAYLOAD_FEEDBACK: u8 = 206;
    let &[first, kind, ..] = packet else { return None };
    let has_report = first & 0x1f != 0;
    match kind {
        SENDER_REPORT if has_report => ssrc_at(packet, 28),
        RECEIVER_REPORT if has_report => ssrc_at(packet, 8),
        TRANSPORT_FEEDBACK | PAYLOAD_FEEDBACK => ssrc_at(packet, 8),
        _ => None,
    }
}

fn ssrc_at(packet: &[u8], offset: usize) -> Option<u32> {
    let bytes = packet.get(offset..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::PayloadTypes;

    const AUDIO: u32 = 10;
    const VIDEO: u32 = 11;

    /// Audio with the payload types 0 and 101, video with 96 and 101; the mid in extension 3.
    fn bundle() -> Demultiplexer {
        let member = |id, stream, mid: &str, payload_types: &[u8], ssrcs: &[u32]| {
            let mut set = PayloadTypes::default();
            payload_types
                .iter()
                .for_each(|payload_type| set.insert(*payload_type));
            Member {
                id: StreamId(id),
                stream,
                marks: Marks {
                    mids: vec![Arc::from(mid)],
                    mid_extension: Some(3),
                    ssrcs: ssrcs.to_vec(),
                    payload_types: set,
                },
            }
        };
        let mut bundle = Demultiplexer::default();
        bundle.renew(SmallVec::from_vec(vec![
            member(AUDIO, 0, "a", &[0, 101], &[]),
            member(VIDEO, 1, "v", &[96, 101], &[777]),
        ]));
        bundle
    }

    fn rtp(payload_type: u8, ssrc: u32, mid: Option<&str>) -> Vec<u8> {
        let mut packet = vec![0x80, payload_type, 0, 1, 0, 0, 0, 1];
        packet.extend(ssrc.to_be_bytes());
        if let Some(mid) = mid {
            packet[0] |= 0x10;
            packet.extend([0xbe, 0xde, 0, 1, 0x30]);
            packet.extend(mid.bytes());
            packet.resize(20, 0);
        }
        packet.extend([1, 2, 3]);
        packet
    }

    #[test]
    fn extension_then_ssrc_then_payload_type() {
        let mut bundle = bundle();
        assert_eq!(bundle.of_rtp(&rtp(0, 1, None)), Some(0), "only audio has 0");
        assert_eq!(bundle.of_rtp(&rtp(96, 2, None)), Some(1));
        assert_eq!(bundle.of_rtp(&rtp(101, 3, None)), None, "both have 101");
        assert_eq!(bundle.of_rtp(&rtp(101, 1, None)), Some(0), "the SSRC is known");
        assert_eq!(bundle.of_rtp(&rtp(101, 777, None)), Some(1), "announced");
        assert_eq!(bundle.of_rtp(&rtp(101, 3, Some("v"))), Some(1));
        assert_eq!(bundle.of_rtp(&rtp(101, 3, None)), Some(1), "since then");
        assert_eq!(bundle.of_rtp(&rtp(0, 3, Some("a"))), Some(0), "an SSRC may move");
        assert_eq!(bundle.of_rtp(&rtp(0, 1, Some("x"))), None, "nobody's");
        assert_eq!(bundle.of_rtp(&rtp(50, 4, None)), None);
    }

    #[test]
    fn reports_go_by_their_sender() {
        let mut bundle = bundle();
        bundle.of_rtp(&rtp(96, 0x0102_0304, None));
        assert_eq!(bundle.of_rtcp(&[0x80, 201, 0, 1, 1, 2, 3, 4]), Some(1));
        assert_eq!(bundle.of_rtcp(&[0x80, 201, 0, 1, 1, 2, 3, 5]), None);
        assert_eq!(bundle.of_rtcp(&[0x80, 201, 0, 1, 1, 2, 3]), None);
    }

    #[test]
    fn reports_name_whom_they_are_about() {
        let mut report = vec![0x81, 201, 0, 7, 9, 9, 9, 9, 1, 2, 3, 4];
        assert_eq!(reported_ssrc(&report), Some(0x0102_0304));
        report[0] = 0x80;
        assert_eq!(reported_ssrc(&report), None, "no report block");
        assert_eq!(reported_ssrc(&[0x81, 206, 0, 2, 9, 9, 9, 9, 0, 0, 0, 7]), Some(7));
        let mut sender_report = vec![0x81, 200, 0, 12];
        sender_report.resize(28, 0);
        sender_report.extend([0, 0, 0, 8]);
        assert_eq!(reported_ssrc(&sender_report), Some(8));
        assert_eq!(reported_ssrc(&sender_report[..30]), None);
    }

    #[test]
    fn what_is_known_survives_a_new_plan_as_far_as_it_concerns_it() {
        let mut bundle = bundle();
        bundle.of_rtp(&rtp(0, 1, None));
        bundle.of_rtp(&rtp(96, 2, None));
        let mut members = std::mem::take(&mut bundle.members);
        members[0].stream = 5;
        members.truncate(1);
        bundle.renew(members);
        assert_eq!(bundle.of_rtp(&rtp(101, 1, None)), Some(5));
        assert_eq!(bundle.sources.find(2), None);
    }

    #[test]
    fn strangers_do_not_use_up_memory() {
        let mut bundle = bundle();
        for ssrc in 0..1000 {
            assert_eq!(bundle.of_rtp(&rtp(0, ssrc, None)), Some(0));
        }
        assert_eq!(bundle.sources.known.len(), MAX_SOURCES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_nobodys_or_somebodys(packet in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bundle = bundle();
            prop_assert!(bundle.of_rtp(&packet).is_none_or(|stream| stream < 2));
            prop_assert!(bundle.of_rtcp(&packet).is_none_or(|stream| stream < 2));
            let _ = reported_ssrc(&packet);
        }
    }
}
