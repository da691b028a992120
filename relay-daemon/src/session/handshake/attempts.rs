//! Handshakes with a party on one transport, and the associations that come of them.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::ice::Reach;
use crate::clock::Time;
use crate::dtls::{Association, ClientHello, Cookies, Credentials, DtlsState, is_client_hello};
use crate::ice::Route;
use crate::outbox::Outbox;
use crate::plan::StreamStatus;
use crate::security::{DtlsRole, Fingerprint, SrtpKeys};

/// So many handshakes with sources that were not signalled go on at once, without ICE.
const MAX_STRANGERS: usize = 8;

/// Handshakes with a party, on one transport.
#[derive(Debug)]
pub(in crate::session) struct Handshakes {
    pub(super) terms: Terms,
    pub(super) attempts: SmallVec<[Attempt; 1]>,
    /// What came from a party before its check was through.
    pub(super) held: Option<(Route, Vec<u8>)>,
    /// Whether the session has the keys.
    pub(super) done: bool,
    /// The association whose keys the session has until there are new ones.
    pub(super) former: Option<Box<Former>>,
    /// Made when they are first needed.
    cookies: Option<Cookies>,
}

/// An association that another one is to take the place of.
#[derive(Debug)]
pub(super) struct Former {
    terms: Terms,
    pub(super) attempt: Attempt,
}

/// What signalling says.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) role: DtlsRole,
    pub(super) credentials: Arc<Credentials>,
    /// None before the party's answer.
    pub(super) fingerprint: Option<Fingerprint>,
    /// Likewise.
    pub(super) association: Option<Arc<str>>,
}

/// A handshake.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) with: Counterpart,
    pub(super) association: Association,
    /// Where answers go.
    pub(super) route: Route,
    /// What the ClientHello said that it began with, if that was looked at.
    random: Option<[u8; 32]>,
}

/// Whose datagrams take part in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counterpart {
    /// Those of whomever ICE has checked.
    Checked,
    /// Those from one address.
    Source(SocketAddr),
}

impl Terms {
    /// Whether handshakes that began under these terms are good under others.
    pub(super) fn go_on_as(&self, others: &Terms) -> bool {
        self.role == others.role && (self.association.is_none() || self.association == others.association)
    }
}

impl Handshakes {
    pub(super) fn new(terms: Terms) -> Handshakes {
        Handshakes {
            terms,
            attempts: SmallVec::new(),
            held: None,
            done: false,
            former: None,
            cookies: None,
        }
    }

    /// The party wants another association, or again the one that it had before.
    pub(super) fn begin_again(&mut self, terms: Terms) {
        let Handshakes {
            terms: before,
            attempts,
            done,
            former,
            cookies,
            ..
        } = std::mem::replace(self, Handshakes::new(terms));
        self.cookies = cookies;
        self.former = match attempts.into_iter().next().filter(|_| done) {
            Some(attempt) => Some(Box::new(Former {
                terms: before,
                attempt,
            })),
            None => former,
        };
        let goes_back = |former: &Former| former.terms.go_on_as(&self.terms);
        if self.former.as_deref().is_some_and(goes_back)
            && let Some(former) = self.former.take()
        {
            self.attempts = smallvec![former.attempt];
            self.done = true;
        }
    }

    pub(super) fn renew(&mut self, terms: Terms) {
        if let Some(fingerprint) = &terms.fingerprint {
            for attempt in &mut self.attempts {
                attempt.association.verify(fingerprint);
            }
        }
        self.terms = terms;
    }

    /// Whether an association was opened there, or is established.
    pub(super) fn is_open(&self, with: Counterpart) -> bool {
        let is_in_use =
            |attempt: &Attempt| attempt.with == with || attempt.association.state() == DtlsState::Established;
        self.attempts.iter().any(is_in_use)
    }

    /// Opens an association, unless that was done.
    pub(super) fn open(&mut self, now: Time, with: Counterpart, way: &mut Way<'_>) {
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

    pub(super) fn receive(&mut self, now: Time, with: Counterpart, datagram: &[u8], way: &mut Way<'_>) {
        let passive = self.terms.role == DtlsRole::Passive && with == Counterpart::Checked;
        // Who has failed may try again, from the beginning: what is sent once more belongs to what has failed.
        let begins = passive && is_client_hello(datagram);
        self.attempts
            .retain(|attempt| attempt.with != with || !begins || !attempt.association.state().is_over());
        if begins && !self.attempts.iter().any(|attempt| attempt.with == with) {
            self.attempt(with, way.route);
        }
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.with == with) {
            attempt.handle(now, datagram, way);
        }
    }

    /// Whether a client that nobody has checked is where it seems to be; else it is asked.
    pub(super) fn lets_in(&mut self, hello: ClientHello<'_>, source: SocketAddr, way: &mut Way<'_>) -> bool {
        if self.cookies.is_none() {
            self.cookies = Cookies::generate();
        }
        let Some(cookies) = &self.cookies else {
            return false;
        };
        let is_there = cookies.are_in(&hello, source);
        if !is_there {
            way.ask(&cookies.ask(&hello, source));
        }
        is_there
    }

    /// A client begins, or says once more how it has begun. Who begins anew has forgotten what was before.
    pub(super) fn accept(
        &mut self,
        now: Time,
        source: SocketAddr,
        signalled: Option<SocketAddr>,
        (hello, datagram): (ClientHello<'_>, &[u8]),
        way: &mut Way<'_>,
    ) {
        let with = Counterpart::Source(source);
        let goes_on = |attempt: &Attempt| {
            let state = attempt.association.state();
            let is_same_hello = attempt.random == Some(*hello.random());
            state == DtlsState::Established || (is_same_hello && !state.is_over())
        };
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.with == with)
            && goes_on(attempt)
        {
            return attempt.handle(now, datagram, way);
        }
        self.attempts.retain(|attempt| attempt.with != with);
        if Some(source) != signalled {
            self.make_room(signalled);
        }
        let (context, fingerprint) = (self.terms.credentials.context(), self.terms.fingerprint.clone());
        let send = |datagram: &[u8]| way.send(datagram);
        if let Ok(association) = Association::accept(context, fingerprint, now, datagram, send) {
            self.attempts.push(Attempt {
                with,
                association,
                route: way.route,
                random: Some(*hello.random()),
            });
        }
    }

    /// Of too many strangers, the one with the most handshakes loses the oldest of them.
    fn make_room(&mut self, signalled: Option<SocketAddr>) {
        let networks: SmallVec<[Option<(bool, u64)>; MAX_STRANGERS]> = self
            .attempts
            .iter()
            .map(|attempt| match attempt.with {
                Counterpart::Source(source) if Some(source) != signalled => Some(network(source.ip())),
                Counterpart::Source(_) | Counterpart::Checked => None,
            })
            .collect();
        let strangers = networks
            .iter()
            .enumerate()
            .filter(|(_, network)| network.is_some());
        if strangers.clone().count() < MAX_STRANGERS {
            return;
        }
        let handshakes = |of| networks.iter().filter(|network| **network == of).count();
        let loser = strangers.max_by_key(|(place, network)| (handshakes(**network), Reverse(*place)));
        if let Some((place, _)) = loser {
            self.attempts.remove(place);
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
                random: None,
            });
        }
    }

    /// Forgets strangers that came to nothing. Gives the keys once there are some: then there is one counterpart only.
    pub(super) fn settle(&mut self, signalled: Option<SocketAddr>) -> Option<(SrtpKeys, Counterpart)> {
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
    pub(super) fn state(&self) -> DtlsState {
        let states = || self.attempts.iter().map(|attempt| attempt.association.state());
        let going_on = states().filter(|state| !state.is_over()).max();
        going_on.or_else(|| states().max()).unwrap_or_default()
    }
}

impl Attempt {
    fn handle(&mut self, now: Time, datagram: &[u8], way: &mut Way<'_>) {
        self.route = way.route;
        self.association
            .handle(now, datagram, |datagram| way.send(datagram));
    }

    /// Where its party is by now.
    pub(super) fn follow(&mut self, reach: Reach) {
        if let (Counterpart::Checked, Reach::Checked(Some(selected))) = (self.with, reach) {
            self.route = selected;
        }
    }

    pub(super) fn close(&mut self, reach: Reach, out: &mut Outbox, status: &StreamStatus) {
        self.follow(reach);
        let mut way = Way::new(self.route, out, status);
        self.association.close(|datagram| way.send(datagram));
    }
}

/// What somebody has addresses of as he likes: of IPv6 half of the bits.
fn network(address: IpAddr) -> (bool, u64) {
    match address {
        IpAddr::V4(address) => (false, u32::from(address).into()),
        IpAddr::V6(address) => {
            let [first, second, third, fourth, ..] = address.segments().map(u64::from);
            (true, first << 48 | second << 32 | third << 16 | fourth)
        }
    }
}

/// How datagrams get to a party.
pub(super) struct Way<'a> {
    route: Route,
    out: &'a mut Outbox,
    status: &'a StreamStatus,
}

impl<'a> Way<'a> {
    pub(super) fn new(route: Route, out: &'a mut Outbox, status: &'a StreamStatus) -> Way<'a> {
        Way { route, out, status }
    }

    /// Counts the datagram like any that the party is sent, as the reference does.
    pub(super) fn send(&mut self, datagram: &[u8]) {
        self.ask(datagram);
        self.status.count_out(datagram.len());
    }

    /// Sends what may not be for the party at all.
    fn ask(&mut self, datagram: &[u8]) {
        let Route { port, remote } = self.route;
        self.out
            .push(port, remote, |buffer| buffer.extend_from_slice(datagram));
    }
}
