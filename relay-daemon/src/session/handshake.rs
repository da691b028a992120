//! DTLS in a session: with whom there is a handshake, and what becomes of it.
//!
//! With ICE, only sources that were checked take part in it: one datagram of a party that has shown itself by a signed
//! request is kept until its check is through. Without ICE, each source has a handshake of its own, so that a stranger does
//! not disturb the party; whoever has the right certificate is the party.

use std::net::SocketAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::ice::Reach;
use super::stream::Stream;
use super::{Flow, Session};
use crate::clock::Time;
use crate::dtls::{Association, Credentials, DtlsState, is_client_hello};
use crate::ice::Route;
use crate::outbox::Outbox;
use crate::plan::{StreamKind, StreamStatus};
use crate::security::{DtlsRole, Fingerprint, MediaSecurity};

/// So many handshakes with sources that were not signalled go on at once, without ICE.
const MAX_STRANGERS: usize = 3;

/// Handshakes with a party, on one transport.
#[derive(Debug)]
pub(super) struct Handshakes {
    terms: Terms,
    attempts: SmallVec<[Attempt; 1]>,
    /// What came from a party before its check was through.
    held: Option<(Route, Vec<u8>)>,
    /// Whether the session has the keys.
    done: bool,
}

/// What signalling says.
#[derive(Clone, Debug)]
struct Terms {
    role: DtlsRole,
    credentials: Arc<Credentials>,
    /// None before the party's answer.
    fingerprint: Option<Fingerprint>,
    /// Likewise.
    association: Option<Arc<str>>,
}

/// A handshake.
#[derive(Debug)]
struct Attempt {
    with: Counterpart,
    association: Association,
    /// Where answers go.
    route: Route,
}

/// Whose datagrams take part in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counterpart {
    /// Those of whomever ICE has checked.
    Checked,
    /// Those from one address.
    Source(SocketAddr),
}

impl Session {
    /// Begins, goes on with and ends handshakes as planned.
    pub(super) fn plan_handshakes(&mut self, now: Time) {
        for index in 0..self.streams.len() {
            let terms = self.terms(index);
            let stream = &mut self.streams[index];
            stream.handshakes = match (terms, stream.handshakes.take()) {
                (None, _) => None,
                (Some(terms), Some(mut known)) if known.terms.go_on_as(&terms) => {
                    known.renew(terms);
                    Some(known)
                }
                (Some(terms), _) => Some(Box::new(Handshakes::new(terms))),
            };
            self.conclude(now, index);
        }
        self.open_associations(now);
        self.hear_held(now);
    }

    /// A datagram that looks like DTLS. Says whether DTLS is expected: else it is a datagram as any other.
    pub(super) fn handle_dtls(&mut self, now: Time, stream: usize, from: Route, datagram: &[u8]) -> bool {
        if self.streams[stream].handshakes.is_none() {
            return false;
        }
        match self.counterpart(stream, from) {
            Some(with) => self.hear(now, stream, with, from, datagram),
            None if self.has_heard_from(stream, from) => {
                if let Some(handshakes) = &mut self.streams[stream].handshakes {
                    handshakes.held = Some((from, datagram.to_vec()));
                }
            }
            None => {}
        }
        true
    }

    /// Opens the associations that are ours to open, with parties that can be reached.
    pub(super) fn open_associations(&mut self, now: Time) {
        for index in 0..self.streams.len() {
            let stream = &self.streams[index];
            let Some(handshakes) = &stream.handshakes else {
                continue;
            };
            // The second transport of a party that has RTP and RTCP on one is not in use.
            let in_use = stream.kind != StreamKind::Rtcp || stream.receives_rtcp;
            let opens = handshakes.terms.role == DtlsRole::Active && handshakes.terms.fingerprint.is_some();
            let Some((with, route)) = self.destination(index).filter(|_| opens && in_use) else {
                continue;
            };
            let Stream {
                handshakes, status, ..
            } = &mut self.streams[index];
            if let Some(handshakes) = handshakes {
                handshakes.open(now, with, &mut Way::new(route, &mut self.outbox, status));
            }
            self.conclude(now, index);
        }
    }

    /// Lets datagrams have their say that came before their source was checked.
    pub(super) fn hear_held(&mut self, now: Time) {
        for index in 0..self.streams.len() {
            let held = self.streams[index]
                .handshakes
                .as_mut()
                .and_then(|handshakes| handshakes.held.take());
            if let Some((from, datagram)) = held {
                self.handle_dtls(now, index, from, &datagram);
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
                if let (Counterpart::Checked, Reach::Checked(Some(selected))) = (attempt.with, *reach) {
                    attempt.route = selected;
                }
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
            let strangers = handshakes.attempts.len() < MAX_STRANGERS;
            let learns = stream.remote().is_some() && stream.learns();
            let opens = handshakes.terms.role == DtlsRole::Passive && !handshakes.done;
            opens && (is_signalled || (learns && strangers))
        };
        (goes_on || may_begin()).then_some(with)
    }

    fn hear(&mut self, now: Time, index: usize, with: Counterpart, from: Route, datagram: &[u8]) {
        let Stream {
            handshakes, status, ..
        } = &mut self.streams[index];
        if let Some(handshakes) = handshakes {
            let mut way = Way::new(from, &mut self.outbox, status);
            handshakes.hear(now, with, datagram, &mut way);
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
        if let Counterpart::Source(source) = with {
            stream.check_source(now, Flow::Rtp, source);
        }
        self.handle_srtp_keys(now, id, &keys);
    }
}

impl Terms {
    /// Whether handshakes that began under these terms are good under others.
    fn go_on_as(&self, others: &Terms) -> bool {
        self.role == others.role && (self.association.is_none() || self.association == others.association)
    }
}

impl Handshakes {
    fn new(terms: Terms) -> Handshakes {
        Handshakes {
            terms,
            attempts: SmallVec::new(),
            held: None,
            done: false,
        }
    }

    fn renew(&mut self, terms: Terms) {
        if let Some(fingerprint) = &terms.fingerprint {
            for attempt in &mut self.attempts {
                attempt.association.verify(fingerprint);
            }
        }
        self.terms = terms;
    }

    /// Opens an association, unless that was done.
    fn open(&mut self, now: Time, with: Counterpart, way: &mut Way<'_>) {
        // Who is somewhere else now was not there.
        self.attempts
            .retain(|attempt| attempt.with == with || attempt.association.state() == DtlsState::Established);
        if self.attempts.is_empty() {
            self.attempt(with, way.route);
            if let Some(attempt) = self.attempts.last_mut() {
                attempt.association.open(now, |datagram| way.send(datagram));
            }
        }
    }

    fn hear(&mut self, now: Time, with: Counterpart, datagram: &[u8], way: &mut Way<'_>) {
        let passive = self.terms.role == DtlsRole::Passive;
        // Who has failed may try again, from the beginning: what is sent once more belongs to what has failed.
        let begins = passive && is_client_hello(datagram);
        self.attempts
            .retain(|attempt| attempt.with != with || !begins || !attempt.association.state().is_over());
        if begins && !self.attempts.iter().any(|attempt| attempt.with == with) {
            self.attempt(with, way.route);
        }
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.with == with) {
            attempt.route = way.route;
            attempt
                .association
                .handle(now, datagram, |datagram| way.send(datagram));
        }
    }

    fn attempt(&mut self, with: Counterpart, route: Route) {
        let fingerprint = self.terms.fingerprint.clone();
        // OpenSSL fails only for want of memory.
        if let Ok(association) =
            Association::new(self.terms.credentials.context(), self.terms.role, fingerprint)
        {
            self.attempts.push(Attempt {
                with,
                association,
                route,
            });
        }
    }

    /// Forgets strangers that came to nothing. Gives the keys once there are some: then there is one counterpart only.
    fn settle(&mut self, signalled: Option<SocketAddr>) -> Option<(crate::security::SrtpKeys, Counterpart)> {
        let is_stranger = |attempt: &Attempt| match attempt.with {
            Counterpart::Checked => false,
            Counterpart::Source(source) => Some(source) != signalled,
        };
        let passive = self.terms.role == DtlsRole::Passive;
        self.attempts
            .retain(|attempt| !(passive && is_stranger(attempt) && attempt.association.state().is_over()));
        if self.done {
            return None;
        }
        let established = |attempt: &Attempt| attempt.association.keys().is_some();
        let attempt = self.attempts.iter().find(|attempt| established(attempt))?;
        let (keys, with) = (attempt.association.keys()?.clone(), attempt.with);
        self.attempts.retain(|attempt| established(attempt));
        self.done = true;
        Some((keys, with))
    }

    /// How far the handshake is that is the furthest.
    fn state(&self) -> DtlsState {
        let states = || self.attempts.iter().map(|attempt| attempt.association.state());
        let going_on = states().filter(|state| !state.is_over()).max();
        going_on.or_else(|| states().max()).unwrap_or_default()
    }
}

/// How datagrams get to a party.
struct Way<'a> {
    route: Route,
    out: &'a mut Outbox,
    status: &'a StreamStatus,
}

impl<'a> Way<'a> {
    fn new(route: Route, out: &'a mut Outbox, status: &'a StreamStatus) -> Way<'a> {
        Way { route, out, status }
    }

    /// Counts the datagram like any that the party is sent, as the reference does.
    fn send(&mut self, datagram: &[u8]) {
        let Route { port, remote } = self.route;
        self.out
            .push(port, remote, |buffer| buffer.extend_from_slice(datagram));
        self.status.count_out(datagram.len());
    }
}
