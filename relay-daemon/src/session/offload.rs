//! Which flows the kernel may relay, and how.

use std::net::SocketAddr;

use super::port::Expected;
use super::secure::Seal;
use super::sink::{Sink, kernel_share};
use super::stream::Stream;
use super::{Event, Exit, Flow, PortIndex, Session};
use crate::clock::Time;
use crate::plan::{KernelUse, OffloadRule, PortId, StreamKind, UserspaceReason};

impl Session {
    /// Where the packets of a port are expected from, each time that it changes.
    pub fn poll_expected(&mut self) -> Option<(PortId, Expected)> {
        self.expectations.pop_front()
    }

    /// Whether packets from a source are expected at a port: only these are counted by SSRC.
    pub fn expects(&self, port: PortId, source: SocketAddr) -> bool {
        let Some(PortIndex { stream, place, .. }) = self.find(port) else {
            return false;
        };
        match self.streams[stream].ports[place].expected {
            Expected::Source(expected) => expected == source,
            Expected::Nobody | Expected::Anybody => true,
        }
    }

    /// An RTP packet of a known source arrived: its flow may enter the kernel.
    pub(super) fn consider(&mut self, now: Time, stream: usize, place: usize) {
        if self.streams[stream].ports[place].decided {
            return;
        }
        let decision = self.rule(now, stream, place);
        let stream = &mut self.streams[stream];
        // What stands in the way goes away with a plan or a learned source; but a source becomes expected
        // with time as well.
        stream.ports[place].decided = decision != Err(UserspaceReason::Learning);
        match decision {
            Ok(rule) => {
                stream.ports[place].rule = Some(rule);
                self.events.push_back(Event::Offload(rule));
            }
            Err(reason) => stream.set_reason(place, reason),
        }
    }

    /// A plan or a learned source changed: corrects the rules that the kernel has, and has every other flow
    /// considered anew when its next packet arrives.
    pub(super) fn refresh(&mut self, now: Time) {
        for stream in 0..self.streams.len() {
            for place in 0..self.streams[stream].ports.len() {
                self.refresh_port(now, stream, place);
            }
        }
        self.update_timeout();
    }

    fn refresh_port(&mut self, now: Time, stream: usize, place: usize) {
        self.refresh_expected(stream, place);
        let decision = self.rule(now, stream, place);
        let stream = &mut self.streams[stream];
        let port = &mut stream.ports[place];
        match (port.rule, decision) {
            (Some(old), Ok(new)) if old == new => {}
            (Some(_), Ok(new)) => {
                port.rule = Some(new);
                self.events.push_back(Event::Offload(new));
            }
            (Some(_), Err(reason)) => {
                port.rule = None;
                port.decided = false;
                self.events.push_back(Event::Onload(port.local.id));
                stream.set_reason(place, reason);
            }
            (None, decision) => {
                port.decided = false;
                stream.set_reason(place, decision.err().unwrap_or(UserspaceReason::NoPacketYet));
            }
        }
    }

    /// Has the driver told if packets are expected from elsewhere.
    fn refresh_expected(&mut self, stream: usize, place: usize) {
        let expected = self.streams[stream].expects(place);
        let port = &mut self.streams[stream].ports[place];
        if std::mem::replace(&mut port.expected, expected) != expected {
            self.expectations.push_back((port.local.id, expected));
        }
    }

    /// How the kernel may relay what arrives at a port; or why not.
    fn rule(&self, now: Time, stream: usize, place: usize) -> Result<OffloadRule, UserspaceReason> {
        let source = &self.streams[stream];
        let port = &source.ports[place];
        if source.kind != StreamKind::Rtp {
            return Err(UserspaceReason::NotRtp);
        }
        if source.demultiplexer.is_some() {
            return Err(UserspaceReason::Bundled);
        }
        if self.kernel == KernelUse::SwitchedOff {
            return Err(UserspaceReason::SwitchedOff);
        }
        if !source.status.has_packets() {
            return Err(UserspaceReason::NoPacketYet);
        }
        if source.first_sizes.matter() {
            return Err(UserspaceReason::Filtered);
        }
        if source.is_stuck(Flow::Rtp) {
            return Err(UserspaceReason::Encryption);
        }
        if !self.has_opened(source.keeper) {
            return Err(UserspaceReason::NoPacketYet);
        }
        let share = kernel_share(source.sinks(Flow::Rtp), source.payloads.events)?;
        let receives_labels = |sink: &Sink| self.is_labelled(sink, Seal::Done);
        if source.sinks(Flow::Rtp).iter().any(receives_labels) {
            return Err(UserspaceReason::Changed);
        }
        let Exit { from, to } = self.exit(share.sink).ok_or(UserspaceReason::NoReceiver)?;
        if from.address.is_ipv4() != to.is_ipv4() {
            // Its socket cannot send there either.
            return Err(UserspaceReason::NoReceiver);
        }
        let expected = source
            .expected(now, port.local.id)
            .ok_or(UserspaceReason::Learning)?;
        if !self.is_calm(now, share.sink) {
            return Err(UserspaceReason::Learning);
        }
        Ok(OffloadRule {
            port: port.local.id,
            local: port.local.address,
            source: expected.source,
            other_source: source.other_source(expected.settled),
            new_source: from.address,
            new_destination: to,
            tos: self.streams[share.sink].tos,
            userspace_payload_types: share.userspace.0,
            blocked: share.blocked,
            clock: source.clock,
        })
    }

    pub(super) fn update_timeout(&mut self) {
        self.timeout = self
            .streams
            .iter()
            .filter(|stream| stream.is_in_kernel())
            .filter_map(Stream::deadline)
            .min();
    }
}
