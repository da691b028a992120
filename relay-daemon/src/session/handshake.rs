//! DTLS in a session: with whom there is a handshake, and what becomes of it.
//!
//! With ICE, only sources that were checked take part in it: one datagram of a party that has shown itself by a signed
//! request is kept until its check is through. Without ICE, clients show by a cookie that they are where they seem to be, and
//! each source has a handshake of its own, so that a stranger does not disturb the party; whoever has the right certificate
//! is the party.

pub(super) mod attempts;
mod steps;

use std::sync::Arc;

use self::attempts::{Counterpart, Handshakes, Terms, Way};
use self::steps::Step;
pub(super) use self::steps::Steps;
use super::ice::Reach;
use super::stream::Stream;
use super::{Flow, Session};
use crate::clock::Time;
use crate::dtls::ClientHello;
use crate::ice::Route;
use crate::outbox::Outbox;
use crate::plan::StreamKind;
use crate::security::{DtlsRole, MediaSecurity};

impl Session {
    /// The call ends: tells the parties of DTLS associations. Nothing is to be done afterwards but to send what
    /// [`Session::poll_datagram`] has.
    pub fn close(&mut self) {
        for stream in &mut self.streams {
            stream.end_handshakes(&mut self.outbox);
        }
    }

    /// Begins, goes on with and ends handshakes as planned.
    pub(super) fn plan_handshakes(&mut self, now: Time) {
        for index in 0..self.streams.len() {
            let terms = self.terms(index);
            let stream = &mut self.streams[index];
            match (terms, &mut stream.handshakes) {
                (None, _) => stream.end_handshakes(&mut self.outbox),
                (Some(terms), None) => stream.handshakes = Some(Box::new(Handshakes::new(terms))),
                (Some(terms), Some(known)) if known.terms.go_on_as(&terms) => known.renew(terms),
                (Some(terms), Some(known)) => known.begin_again(terms),
            }
            self.conclude(now, index);
        }
        self.open_associations();
        self.handle_held();
    }

    /// A datagram that looks like DTLS, which waits for its turn. Says whether DTLS is expected: else it is a datagram as any other.
    pub(super) fn handle_dtls(&mut self, stream: usize, from: Route, datagram: &[u8]) -> bool {
        if self.streams[stream].handshakes.is_none() {
            return false;
        }
        match self.counterpart(stream, from) {
            Some(with) if self.lets_in(stream, with, from, datagram) => {
                let stream = self.streams[stream].id;
                self.steps.receive(stream, from, datagram);
            }
            Some(_) => {}
            None if self.was_requested_from(stream, from) => {
                if let Some(handshakes) = &mut self.streams[stream].handshakes {
                    handshakes.held = Some((from, datagram.to_vec()));
                }
            }
            None => {}
        }
        true
    }

    /// Does the next step of a handshake that waits for its turn: what one datagram asks for, or the first of an association.
    /// That takes a few tenths of a millisecond. Says whether there was any.
    pub fn shake_hands(&mut self, now: Time) -> bool {
        let Some(step) = self.steps.pop() else {
            return false;
        };
        match step {
            Step::Open(stream) => {
                if let Some(index) = self.index_of(stream) {
                    self.open_association(now, index);
                }
            }
            Step::Receive(stream, from, datagram) => {
                // What was planned since may be something else.
                if let Some(index) = self.index_of(stream)
                    && let Some(with) = self.counterpart(index, from)
                {
                    self.receive_dtls(now, index, with, from, &datagram);
                }
            }
        }
        true
    }

    /// Whether [`Session::shake_hands`] has something to do.
    pub fn has_handshakes(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Lets the associations have their turn that are ours to open, with parties that can be reached.
    pub(super) fn open_associations(&mut self) {
        for index in 0..self.streams.len() {
            let Some((with, _)) = self.opens(index) else {
                continue;
            };
            let stream = &self.streams[index];
            let handshakes = stream.handshakes.as_ref();
            if handshakes.is_some_and(|handshakes| !handshakes.is_open(with)) {
                self.steps.open(stream.id);
            }
        }
    }

    fn open_association(&mut self, now: Time, index: usize) {
        let Some((with, route)) = self.opens(index) else {
            return;
        };
        let Stream {
            handshakes, status, ..
        } = &mut self.streams[index];
        if let Some(handshakes) = handshakes {
            handshakes.open(now, with, &mut Way::new(route, &mut self.outbox, status));
        }
        self.conclude(now, index);
    }

    /// With whom an association is ours to open, and where.
    fn opens(&self, index: usize) -> Option<(Counterpart, Route)> {
        let stream = &self.streams[index];
        let terms = &stream.handshakes.as_ref()?.terms;
        // The second transport of a party that has RTP and RTCP on one is not in use.
        let in_use = stream.kind != StreamKind::Rtcp || stream.receives_rtcp;
        let opens = terms.role == DtlsRole::Active && terms.fingerprint.is_some();
        self.destination(index).filter(|_| opens && in_use)
    }

    /// Whether a datagram's sender is where it seems to be: a client that nobody has checked is asked.
    fn lets_in(&mut self, index: usize, with: Counterpart, from: Route, datagram: &[u8]) -> bool {
        let stream = &mut self.streams[index];
        let Some(handshakes) = &mut stream.handshakes else {
            return false;
        };
        let hello = ClientHello::parse(datagram).filter(|_| handshakes.terms.role == DtlsRole::Passive);
        match (with, hello) {
            (Counterpart::Source(source), Some(hello)) => {
                let mut way = Way::new(from, &mut self.outbox, &stream.status);
                handshakes.lets_in(hello, source, &mut way)
            }
            _ => true,
        }
    }

    /// Lets datagrams have their say that came before their source was checked.
    pub(super) fn handle_held(&mut self) {
        for index in 0..self.streams.len() {
            let held = self.streams[index]
                .handshakes
                .as_mut()
                .and_then(|handshakes| handshakes.held.take());
            if let Some((from, datagram)) = held {
                self.handle_dtls(index, from, &datagram);
            }
        }
    }

    /// When a flight has to be sent again.
    pub(super) fn dtls_timeout(&self) -> Option<Time> {
        let handshakes = self
            .streams
            .iter()
            .filter_map(|stream| stream.handshakes.as_ref());
        let attempts = handshakes.flat_map(|handshakes| &handshakes.attempts);
        attempts
            .filter_map(|attempt| attempt.association.poll_timeout())
            .min()
    }

    /// Sends again what is due.
    pub(super) fn handle_dtls_timeouts(&mut self, now: Time) {
        if self.dtls_timeout().is_none_or(|due| due > now) {
            return;
        }
        for index in 0..self.streams.len() {
            let Stream {
                handshakes,
                status,
                reach,
                ..
            } = &mut self.streams[index];
            let Some(handshakes) = handshakes else {
                continue;
            };
            for attempt in &mut handshakes.attempts {
                attempt.follow(*reach);
                let mut way = Way::new(attempt.route, &mut self.outbox, status);
                attempt
                    .association
                    .handle_timeout(now, |datagram| way.send(datagram));
            }
            self.conclude(now, index);
        }
    }

    /// What signalling says of DTLS on the transport of a stream. None if there is none, or if the stream has no transport
    /// of its own.
    fn terms(&self, index: usize) -> Option<Terms> {
        let stream = &self.streams[index];
        if stream.keeper != index || stream.ports.is_empty() {
            return None;
        }
        let credentials = stream.credentials.clone()?;
        match &stream.security {
            MediaSecurity::Dtls(peer) => Some(Terms {
                role: peer.role,
                credentials,
                fingerprint: Some(peer.fingerprint.clone()),
                association: Some(Arc::clone(&peer.association)),
            }),
            // Offered the choice, the party may open the association before its answer is here.
            MediaSecurity::Offered { dtls: true } => Some(Terms {
                role: DtlsRole::Passive,
                credentials,
                fingerprint: None,
                association: None,
            }),
            MediaSecurity::Plain
            | MediaSecurity::Opaque
            | MediaSecurity::Offered { dtls: false }
            | MediaSecurity::Sdes(_) => None,
        }
    }

    /// Which handshake a datagram belongs to. None if it is not taken.
    fn counterpart(&self, index: usize, from: Route) -> Option<Counterpart> {
        let stream = &self.streams[index];
        if stream.seat.is_some() {
            return self.has_valid_pair(index, from).then_some(Counterpart::Checked);
        }
        let handshakes = stream.handshakes.as_ref()?;
        let with = Counterpart::Source(from.remote);
        let goes_on = handshakes.attempts.iter().any(|attempt| attempt.with == with);
        let may_begin = || {
            let is_signalled = stream.target() == Some(from.remote) || stream.remote() == Some(from.remote);
            let learns = stream.remote().is_some() && stream.learns();
            let opens = handshakes.terms.role == DtlsRole::Passive && !handshakes.done;
            opens && (is_signalled || learns)
        };
        (goes_on || may_begin()).then_some(with)
    }

    fn receive_dtls(&mut self, now: Time, index: usize, with: Counterpart, from: Route, datagram: &[u8]) {
        let stream = &mut self.streams[index];
        let signalled = stream.remote();
        if let Some(handshakes) = &mut stream.handshakes {
            let mut way = Way::new(from, &mut self.outbox, &stream.status);
            let hello = ClientHello::parse(datagram).filter(|_| handshakes.terms.role == DtlsRole::Passive);
            match (with, hello) {
                (Counterpart::Source(source), Some(hello)) => {
                    handshakes.accept(now, source, signalled, (hello, datagram), &mut way);
                }
                _ => handshakes.receive(now, with, datagram, &mut way),
            }
        }
        self.conclude(now, index);
    }

    /// With whom an association is opened, and where.
    fn destination(&self, index: usize) -> Option<(Counterpart, Route)> {
        let stream = &self.streams[index];
        match stream.reach {
            Reach::Checked(route) => Some((Counterpart::Checked, route?)),
            Reach::Learned => {
                let remote = stream.target()?;
                let port = stream.ports.first()?.local.id;
                Some((Counterpart::Source(remote), Route { port, remote }))
            }
        }
    }

    /// Takes the keys of a handshake that is done, and tells others how things are.
    fn conclude(&mut self, now: Time, index: usize) {
        let stream = &mut self.streams[index];
        let (id, signalled) = (stream.id, stream.remote());
        let Some(handshakes) = &mut stream.handshakes else {
            stream.status.publish_dtls(None);
            return;
        };
        let established = handshakes.settle(signalled);
        stream.status.publish_dtls(Some(handshakes.state()));
        let Some((keys, with)) = established else {
            return;
        };
        if let Some(mut former) = handshakes.former.take() {
            former
                .attempt
                .close(stream.reach, &mut self.outbox, &stream.status);
        }
        if let Counterpart::Source(source) = with {
            stream.check_source(now, Flow::Rtp, source);
        }
        self.handle_srtp_keys(now, id, &keys);
    }
}

impl Stream {
    /// Ends all associations, which the party is told.
    pub(super) fn end_handshakes(&mut self, out: &mut Outbox) {
        let Some(handshakes) = self.handshakes.take() else {
            return;
        };
        let former = handshakes.former.map(|former| former.attempt);
        for mut attempt in handshakes.attempts.into_iter().chain(former) {
            attempt.close(self.reach, out, &self.status);
        }
    }
}
