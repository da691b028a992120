//! Three parties, the relay between them, its kernel, and somebody who sees everything.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::prop;
use relay_common::packet::RtpHeader;
use relay_common::reception::Sequence;
use relay_common::slot::{COUNTED_BY_USERSPACE, Counters, SsrcCounters};

use super::observer::{Observer, is_rtcp};
use super::party::{Choice, Party, SUITES, Told};
use crate::call::command::{Command, SignalOptions};
use crate::call::tests::world::{World, signal};
use crate::plan::{OffloadRule, Path, PortId, StreamPlan, UserspaceReason};
use crate::security::{MediaSecurity, SuiteSet};
use crate::session::{Event, Session};
use crate::srtp::{Error, MAX_TRAILER};

/// Options of an offer or answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// What the other side is offered.
    pub(super) profile: Option<&'static str>,
    pub(super) recrypt: bool,
    pub(super) generate_rtcp: Option<bool>,
    pub(super) keep_suite: bool,
}

pub(super) struct Network {
    world: World,
    parties: [Party; 3],
    /// Who talks to party 0.
    peer: usize,
    /// Who has made the newest offer, until the other side makes one.
    offerer: Option<usize>,
    /// Whether anybody has answered.
    answered: bool,
    observer: Observer,
    kernel: Kernel,
}

/// The flows that the kernel relays, and what was counted at ports.
#[derive(Default)]
struct Kernel {
    takes: bool,
    rules: HashMap<PortId, OffloadRule>,
    counters: HashMap<PortId, Counters>,
    /// SSRCs that it has relayed without an entry for them, or that have lost theirs: it cannot say where they are.
    lost: HashSet<u32>,
}

impl Network {
    pub(super) fn new(muxed: bool, begin_anew: [bool; 3]) -> Network {
        let mut world = World::with_media();
        world.host.random.1 = true;
        let party = |tag, place: u8| Party::new(tag, place + 1, muxed, begin_anew[usize::from(place)]);
        Network {
            world,
            parties: [party("a", 0), party("b", 1), party("c", 2)],
            peer: 1,
            offerer: None,
            answered: false,
            observer: Observer::default(),
            kernel: Kernel {
                takes: true,
                ..Kernel::default()
            },
        }
    }

    /// Party 0 offers, or its peer once there is one.
    pub(super) fn offer(&mut self, backwards: bool, choice: Choice, options: Options) {
        let backwards = backwards && self.answered;
        let (from, to) = if backwards { (self.peer, 0) } else { (0, self.peer) };
        let sdp = self.parties[from].offer(choice);
        self.observe_keys(from);
        let to_tag = self.answered.then_some(self.parties[to].tag);
        let mut signal = signal(self.parties[from].tag, to_tag, &sdp);
        signal.options = options.of_message();
        self.count();
        let reply = self.world.sdp(Command::Offer(Box::new(signal)));
        self.act(&[]);
        // Whoever else answers has seen the same offer.
        let heard: Vec<usize> = if backwards { vec![0] } else { vec![1, 2] };
        for party in heard {
            self.parties[party].hear(&reply);
        }
        self.observe_told(&reply);
        self.offerer = Some(from);
    }

    /// The newest offer is answered.
    pub(super) fn answer(&mut self, by_other: bool, choice: Choice, options: Options) {
        let Some(offerer) = self.offerer else { return };
        let by = match offerer {
            0 if by_other => 3 - self.peer,
            0 => self.peer,
            _ => 0,
        };
        let sdp = self.parties[by].answer(choice);
        self.observe_keys(by);
        let mut signal = signal(self.parties[offerer].tag, Some(self.parties[by].tag), &sdp);
        signal.options = Options {
            profile: None,
            ..options
        }
        .of_message();
        self.count();
        let reply = self.world.sdp(Command::Answer(Box::new(signal)));
        self.act(&[]);
        self.observe_told(&reply);
        self.parties[offerer].accept(&reply);
        self.answered = true;
        if offerer == 0 {
            self.peer = by;
        } else {
            self.offerer = None;
        }
        self.check_agreement(offerer);
        self.check_agreement(by);
    }

    /// What a party believes of its own media is what the plan says.
    fn check_agreement(&self, party: usize) {
        let Some(stream) = self.stream(party, false) else {
            return;
        };
        let inbound = match &stream.security {
            MediaSecurity::Sdes(keys) => Some(&keys.inbound),
            MediaSecurity::Plain
            | MediaSecurity::Opaque
            | MediaSecurity::Offered { .. }
            | MediaSecurity::Dtls(_) => None,
        };
        assert_eq!(
            inbound.map(|srtp| &srtp.key),
            self.parties[party].key().map(|srtp| &srtp.key),
            "party {party} protects with another key than is expected: {:?}",
            stream.security
        );
    }

    pub(super) fn restart(&mut self, party: usize, source: usize) {
        self.parties[party].restart(source);
    }

    /// A party that talks sends a packet, which is opened if it is protected.
    pub(super) fn send(&mut self, party: usize, source: usize, lost: u16, is_rtcp: bool) {
        if party != 0 && party != self.peer || self.stream(party, is_rtcp).is_none() {
            return;
        }
        let Some(packet) = self.parties[party].packet(source, lost, is_rtcp) else {
            return;
        };
        let is_protected = self.parties[party].key().is_some();
        self.observer.see(&packet);
        let before = self.errors(party, is_rtcp);
        self.deliver(party, is_rtcp, &packet);
        if is_protected {
            assert_eq!(
                self.errors(party, is_rtcp),
                before,
                "a genuine packet of party {party} was refused: {packet:02x?}"
            );
        }
    }

    /// Whether the kernel relays what a party sends.
    pub(super) fn is_in_kernel(&self, party: usize) -> bool {
        let ports = self
            .stream(party, false)
            .into_iter()
            .flat_map(|stream| &stream.ports);
        ports
            .into_iter()
            .any(|port| self.kernel.rules.contains_key(&port.id))
    }

    /// Something that a party sent comes again.
    pub(super) fn replay(&mut self, party: usize, place: prop::sample::Index) {
        let captured = &self.parties[party].captured;
        if captured.is_empty() {
            return;
        }
        let packet = place.get(captured).clone();
        let is_rtcp = is_rtcp(&packet);
        let Some(stream) = self.stream(party, is_rtcp) else {
            return;
        };
        if !stream.security.is_srtp() {
            return;
        }
        let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
        if !is_rtcp && self.kernel.lost.contains(&ssrc) {
            return;
        }
        let port = stream.ports[0].id;
        if self
            .kernel
            .rule(port, self.source(party, is_rtcp), &packet)
            .is_some()
        {
            return;
        }
        let before = self.errors(party, is_rtcp);
        let sent = self.deliver(party, is_rtcp, &packet);
        assert_eq!(sent, 0, "a replay was relayed");
        let refused = self
            .errors(party, is_rtcp)
            .iter()
            .zip(before)
            .map(|((_, after), (_, before))| after - before)
            .sum::<u64>();
        assert_eq!(refused, 1, "a replay was opened: {packet:02x?}");
    }

    pub(super) fn wait(&mut self, milliseconds: u64) {
        let until = self.world.now + Duration::from_millis(milliseconds);
        loop {
            let sessions = self.world.sessions.iter().flat_map(|sessions| sessions.values());
            let due = sessions.filter_map(Session::poll_timeout).min();
            let Some(due) = due.filter(|due| *due <= until) else {
                break;
            };
            self.world.now = self.world.now.max(due);
            let now = self.world.now;
            if let Some(session) = self.session() {
                session.handle_timeout(now);
            }
            self.act(&[]);
        }
        self.world.now = until;
    }

    pub(super) fn set_kernel(&mut self, takes: bool) {
        self.kernel.takes = takes;
        if !takes {
            let ports: Vec<PortId> = self.kernel.rules.drain().map(|(port, _)| port).collect();
            for port in ports {
                if let Some(session) = self.session() {
                    session.handle_path(port, Path::Userspace(UserspaceReason::NoRoute));
                }
            }
        }
    }

    /// Hands in what the kernel counted, before the plan changes.
    fn count(&mut self) {
        let counters = &self.kernel.counters;
        for session in self
            .world
            .sessions
            .iter_mut()
            .flat_map(|sessions| sessions.values_mut())
        {
            for port in session.all_uncounted() {
                session.handle_counts(port, &counters.get(&port).copied().unwrap_or_default());
            }
        }
    }

    fn session(&mut self) -> Option<&mut Session> {
        self.world.sessions.as_mut()?.values_mut().next()
    }

    /// The stream that a party sends to.
    fn stream(&self, party: usize, is_rtcp: bool) -> Option<&StreamPlan> {
        let told = self.parties[party].told.as_ref()?;
        let port = if is_rtcp { told.rtcp } else { told.rtp };
        let streams = self.world.plans.values().flat_map(|plan| &plan.streams);
        let mut of_port = streams.filter(|stream| stream.ports.iter().any(|own| own.address.port() == port));
        of_port.next()
    }

    fn source(&self, party: usize, is_rtcp: bool) -> SocketAddr {
        let Party { address, muxed, .. } = self.parties[party];
        let port = address.port() + u16::from(is_rtcp && !muxed);
        (address.ip(), port).into()
    }

    /// Hands a packet to the relay. How many it sends for it.
    fn deliver(&mut self, party: usize, is_rtcp: bool, packet: &[u8]) -> usize {
        let source = self.source(party, is_rtcp);
        let told = self.parties[party].told.as_ref().unwrap();
        let number = if is_rtcp { told.rtcp } else { told.rtp };
        let stream = self.stream(party, is_rtcp).unwrap();
        let port = stream
            .ports
            .iter()
            .find(|port| port.address.port() == number)
            .unwrap()
            .id;
        if self.kernel.rule(port, source, packet).is_some() {
            self.kernel.count(port, self.world.now.0, packet, false);
            self.observer.see(packet);
            return 1;
        }
        let now = self.world.now;
        let mut datagram = packet.to_vec();
        let counters = &self.kernel.counters;
        let session = self.world.sessions.as_mut().unwrap().values_mut().next().unwrap();
        for port in session.uncounted(port) {
            session.handle_counts(port, &counters.get(&port).copied().unwrap_or_default());
        }
        session.handle_datagram(now, port, source, &mut datagram);
        let received = session.poll_received();
        let is_counted = received.is_some() && session.expects(port, source);
        if is_counted {
            self.kernel.count(port, now.0, packet, true);
        }
        self.act(&datagram)
    }

    /// Does what the session asks for, and sees what it sends. How many packets that are.
    fn act(&mut self, datagram: &[u8]) -> usize {
        let Some(session) = self
            .world
            .sessions
            .as_mut()
            .and_then(|sessions| sessions.values_mut().next())
        else {
            return 0;
        };
        let mut sent = 0;
        while let Some(transmit) = session.poll_transmit() {
            let mut packet = datagram[..transmit.length].to_vec();
            if transmit.rewritten {
                packet = vec![0; transmit.length + MAX_TRAILER];
                let Some(length) = session.write(&transmit, datagram, &mut packet) else {
                    continue;
                };
                packet.truncate(length);
            }
            session.handle_sent(&transmit, packet.len(), true);
            self.observer.see(&packet);
            sent += 1;
        }
        while let Some(event) = session.poll_event() {
            match event {
                Event::Offload(rule) if self.kernel.takes => {
                    if session.is_srtp(rule.port) {
                        let counters = self.kernel.counters.get(&rule.port).copied();
                        session.handle_counts(rule.port, &counters.unwrap_or_default());
                    }
                    self.kernel.rules.insert(rule.port, rule);
                    session.handle_path(rule.port, Path::Kernel);
                }
                Event::Offload(rule) => {
                    session.handle_path(rule.port, Path::Userspace(UserspaceReason::NoRoute));
                }
                Event::Onload(port) => {
                    self.kernel.rules.remove(&port);
                }
                Event::Report(now) => {
                    let counters = &self.kernel.counters;
                    session.report(now, |port| counters.get(&port).copied().unwrap_or_default());
                }
            }
        }
        while let Some(datagram) = session.poll_datagram() {
            self.observer.see(datagram.bytes);
        }
        sent
    }

    /// How many datagrams of a party could not be read, for each reason.
    fn errors(&self, party: usize, is_rtcp: bool) -> [(Error, u64); Error::ALL.len()] {
        let status = &self.stream(party, is_rtcp).unwrap().status;
        Error::ALL.map(|error| (error, status.srtp_errors(error)))
    }

    /// What a party says of its keys.
    fn observe_keys(&mut self, party: usize) {
        for (_, srtp) in &self.parties[party].own {
            self.observer.learn(srtp);
        }
    }

    /// What a party is told of ours.
    fn observe_told(&mut self, sdp: &str) {
        for (_, srtp) in Told::new(sdp).lines {
            self.observer.learn(&srtp);
        }
    }
}

impl Options {
    fn of_message(self) -> SignalOptions {
        let mut options = SignalOptions {
            transport_protocol: self.profile.map(str::to_lowercase),
            recrypt: self.recrypt,
            generate_rtcp: self.generate_rtcp,
            ..SignalOptions::default()
        };
        options.sdes.allowed = Some(SUITES.into_iter().collect::<SuiteSet>());
        options.sdes.keep_suite = self.keep_suite;
        options.dtls.off = true;
        options
    }
}

impl Kernel {
    /// The rule by which the kernel relays a packet.
    fn rule(&self, port: PortId, source: SocketAddr, packet: &[u8]) -> Option<&OffloadRule> {
        let rule = self.rules.get(&port)?;
        (rule.source == source && !is_rtcp(packet)).then_some(rule)
    }

    /// Counts a packet as the program does, or as userspace does.
    fn count(&mut self, port: PortId, now: u64, packet: &[u8], in_userspace: bool) {
        const QUIET: u64 = 1_000_000_000;
        let header = RtpHeader::parse(packet).expect("RTP");
        let entries = &mut self.counters.entry(port).or_default().ssrcs;
        let known = entries
            .iter()
            .position(|entry| entry.counted_by != 0 && entry.ssrc == header.ssrc);
        let place = known
            .or_else(|| entries.iter().position(|entry| entry.counted_by == 0))
            .or_else(|| {
                let (place, oldest) = entries
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, entry)| entry.last_arrival)?;
                (now.saturating_sub(oldest.last_arrival) >= QUIET).then_some(place)
            });
        let Some(place) = place else {
            self.lost.insert(header.ssrc);
            return;
        };
        let entry = &mut entries[place];
        if known.is_none() {
            if entry.counted_by != 0 {
                self.lost.insert(entry.ssrc);
            }
            *entry = SsrcCounters {
                ssrc: header.ssrc,
                counted_by: COUNTED_BY_USERSPACE,
                ..SsrcCounters::default()
            };
            entry.set_sequence(Sequence::before(header.sequence));
        }
        entry.take(header.sequence);
        entry.last_arrival = now;
        entry.packets += 1;
        if !in_userspace {
            entry.counted_by = 1;
        }
    }
}
