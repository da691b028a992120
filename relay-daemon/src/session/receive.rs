//! What becomes of a datagram that arrives: whose it is, whether it is authentic, and whether it is to be relayed.

use std::net::SocketAddr;

use relay_common::packet::{Kind, RtpHeader, classify};

use super::secure::Opened;
use super::sink::header_length;
use super::stream::Stream;
use super::{Flow, PortIndex, Received, Relaying, Sender, Session, rtcp, sink};
use crate::clock::Time;
use crate::ice::Route;
use crate::plan::{PortId, StreamKind};

impl Session {
    /// Takes a received datagram. What is to be sent for it must be polled before the next call of any
    /// `handle_` method.
    pub fn handle_datagram(&mut self, now: Time, port: PortId, source: SocketAddr, datagram: &mut [u8]) {
        (self.relaying, self.received) = (None, None);
        let Some(PortIndex { stream, place, .. }) = self.find(port) else {
            return;
        };
        if self.streams[stream].is_closed {
            return;
        }
        let from = Route { port, remote: source };
        match classify(datagram) {
            Kind::Stun if self.handle_stun(now, stream, from, datagram) => return,
            Kind::Dtls if self.handle_dtls(stream, from, datagram) => return,
            Kind::Stun | Kind::Dtls | Kind::Rtp | Kind::Rtcp | Kind::Other => {}
        }
        let received = &self.streams[stream];
        if !self.is_checked(stream, port, source) {
            received.status.count_in(datagram.len());
            received.status.count_error_in();
            return;
        }
        let Some(flow) = Flow::of(received, datagram) else {
            self.take_unreadable(now, (stream, place), source, datagram.len());
            return;
        };
        // Nothing is learned from what is not authentic.
        let opened = match self.open(stream, flow, datagram) {
            Ok(opened) => opened,
            Err(error) => {
                let status = &self.streams[stream].status;
                status.count_error_in();
                status.count_srtp_error(error);
                return;
            }
        };
        let is_readable = opened.is_plain() && self.is_readable(stream);
        if is_readable && flow == Flow::Rtcp && !rtcp::is_well_formed(&datagram[..opened.length]) {
            self.take_malformed_rtcp(now, stream, source, datagram.len());
            return;
        }
        let verdict = self.learn(now, stream, flow, source);
        // Nor is whose it is, which may tell whose others are.
        let addressee = match verdict.accepted {
            true => self.addressee(stream, flow, &datagram[..opened.length]),
            false => None,
        };
        match addressee {
            Some((addressee, flow)) => {
                let arrival = Arrival {
                    port,
                    owner: stream,
                    opened,
                };
                self.accept(now, arrival, addressee, flow, datagram);
            }
            None => {
                // What comes from a foreign source is an error and no more.
                self.note_refused(now, stream, flow, datagram);
                let status = &self.streams[stream].status;
                if verdict.accepted {
                    status.count_in(datagram.len());
                }
                status.count_error_in();
            }
        }
        if verdict.changed {
            self.refresh(now);
        }
        if verdict.accepted && flow == Flow::Rtp && self.streams[stream].kind == StreamKind::Rtp {
            self.consider(now, stream, place);
        }
    }

    /// A datagram of a stream is to be relayed.
    fn accept(&mut self, now: Time, arrival: Arrival, stream: usize, flow: Flow, datagram: &[u8]) {
        let source = &mut self.streams[stream];
        let waited = source.is_waiting();
        // What was read counts without its protection.
        let size = arrival.opened.length;
        source.status.count_in(size);
        source.status.note_arrival(now);
        let reporter = match flow {
            Flow::Rtcp | Flow::SharedRtcp => rtcp::sender(datagram),
            Flow::Rtp | Flow::Check | Flow::Datagram => None,
        };
        if let Some(ssrc) = reporter {
            self.note_reporter(now, stream, flow, ssrc);
        }
        if arrival.opened.is_plain() {
            self.take_reports(now, stream, flow, &datagram[..arrival.opened.length]);
        }
        if self.consumes(now, stream, flow, &datagram[..arrival.opened.length]) {
            if waited {
                self.refresh(now);
            }
            return;
        }
        let source = &mut self.streams[stream];
        if source.is_stuck(flow) {
            source.status.count_error_in();
        }
        let header = RtpHeader::parse(datagram).filter(|_| flow == Flow::Rtp);
        let content = source.content(flow, header.as_ref());
        if let Some(header) = header {
            source.tally(&header);
            let clock = source.clock(content);
            // What is counted for a port is that of the port's own stream, and of RTP.
            let is_own = stream == arrival.owner && source.kind == StreamKind::Rtp;
            self.received = is_own.then_some(Received {
                port: arrival.port,
                header,
                bytes: datagram.len(),
                clock,
            });
            self.count_received(now, stream, &header, size);
            if self.reporter.is_some() && self.streams[arrival.owner].demultiplexer.is_some() {
                self.count_elsewhere(now, stream, &header, datagram.len(), clock);
            }
        }
        let source = &mut self.streams[stream];
        let is_short = header.is_some_and(|header| {
            let packet = &datagram[..arrival.opened.length.min(datagram.len())];
            let size = sink::payload_range(packet).len();
            source.first_sizes.is_short(header.payload_type, size)
        });
        self.relaying = (!is_short).then_some(Relaying {
            source: stream,
            flow,
            content,
            opened: arrival.opened,
            sender: match header {
                Some(header) => Sender::Rtp(header),
                None => reporter.map_or(Sender::Unknown, Sender::Rtcp),
            },
            is_extended: datagram.first().is_some_and(|first| first & 0x10 != 0),
            next: 0,
        });
        if let Some(header) = header.filter(|_| !is_short && arrival.opened.is_plain()) {
            let length = arrival.opened.length.min(datagram.len());
            self.transcode(now, stream, &header, &datagram[..length]);
        }
        if waited {
            // From now on there is somewhere to send to.
            self.refresh(now);
        }
    }

    /// The packet handled last, to be counted for its SSRC.
    pub fn poll_received(&mut self) -> Option<Received> {
        self.received.take()
    }
}

/// How a datagram came.
struct Arrival {
    port: PortId,
    /// Index of the port's own stream.
    owner: usize,
    opened: Opened,
}

impl Flow {
    /// None for what cannot be relayed.
    fn of(stream: &Stream, datagram: &[u8]) -> Option<Flow> {
        match (stream.kind, classify(datagram)) {
            (StreamKind::Datagrams, _) => Some(Flow::Datagram),
            (_, Kind::Rtcp) => Some(Flow::Rtcp),
            // At the port of RTCP it is heard, and goes nowhere.
            (_, Kind::Rtp) => header_length(datagram).map(|_| Flow::Rtp),
            (StreamKind::Rtp | StreamKind::Rtcp, Kind::Stun | Kind::Dtls) => {
                (!stream.sinks(Flow::Check).is_empty()).then_some(Flow::Check)
            }
            (StreamKind::Rtp | StreamKind::Rtcp, Kind::Other) => None,
        }
    }
}
