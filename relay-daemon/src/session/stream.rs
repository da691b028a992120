//! One stream of a session: its ports, its source, its sinks.

use std::net::SocketAddr;
use std::sync::Arc;

use relay_common::packet::RtpHeader;
use relay_common::slot::{Clock, OtherSource};
use smallvec::SmallVec;

use super::Flow;
use super::bundle::Demultiplexer;
use super::handshake::attempts::Handshakes;
use super::ice::{Reach, Seat};
use super::learning::{Learner, Signal, Verdict, is_reachable};
use super::port::{Expected, Port};
use super::secure::{Bridge, Ciphers};
use super::short::FirstSizes;
use super::sink::{Content, Sink, Sinks};
use super::tally::Tally;
use super::transcode::Transcoder;
use crate::clock::Time;
use crate::dtls::Credentials;
use crate::ice::Agent;
use crate::plan::{
    Label, Learned, LocalPort, Path, PayloadTypes, Payloads, PortId, SinkPlan, SourcePolicy, StreamId,
    StreamKind, StreamPlan, StreamStatus, UserspaceReason,
};
use crate::security::MediaSecurity;

/// Sinks as a plan names them.
pub(super) type SinkIds = SmallVec<[SinkPlan; 1]>;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) kind: StreamKind,
    pub(super) ports: SmallVec<[Port; 1]>,
    pub(super) tos: u8,
    pub(super) known: PayloadTypes,
    pub(super) tally: Tally,
    pub(super) payloads: Payloads,
    pub(super) security: MediaSecurity,
    /// Who we are to the party in DTLS.
    pub(super) credentials: Option<Arc<Credentials>>,
    /// The stream of the RTP that the RTCP here belongs to.
    pub(super) rtp: Option<StreamId>,
    /// Index of the stream whose ciphers are in use here.
    pub(super) keeper: usize,
    pub(super) ciphers: Ciphers,
    /// Whether RTP, and RTCP, that arrive here have to be decrypted for somebody.
    decrypts: (bool, bool),
    /// Whether the party knows RTCP feedback messages.
    pub(super) feedback: bool,
    /// The clock of the newest media of a payload type that is known.
    pub(super) clock: Clock,
    pub(super) clocks: SmallVec<[Clock; 4]>,
    pub(super) status: Arc<StreamStatus>,
    /// Tells streams apart, if those of others arrive here as well.
    pub(super) demultiplexer: Option<Box<Demultiplexer>>,
    membership: Option<Membership>,
    /// What marks packets for the party.
    pub(super) label: Option<Label>,
    /// Whether the party receives RTCP here: for RTP, that it is muxed.
    pub(super) receives_rtcp: bool,
    remote: Option<SocketAddr>,
    asymmetric: bool,
    /// Where the party was when its sources ceased to count.
    fixed: Option<SocketAddr>,
    waits: bool,
    /// When the next empty datagram is due, unless the party is heard before.
    pub(super) pierce_at: Option<Time>,
    /// Whether SRTP is encrypted anew whatever the keys.
    pub(super) recrypts: bool,
    /// Whether what arrives is nobody's.
    pub(super) is_closed: bool,
    pub(super) first_sizes: FirstSizes,
    policy: SourcePolicy,
    learner: Learner,
    /// ICE of the media section that the stream is the RTP of.
    pub(super) agent: Option<Box<Agent>>,
    /// Which agent looks after the stream.
    pub(super) seat: Option<Seat>,
    pub(super) reach: Reach,
    /// Decodes what arrives here.
    pub(super) transcoder: Option<Box<Transcoder>>,
    /// DTLS on the stream's transport.
    pub(super) handshakes: Option<Box<Handshakes>>,
    sinks: Sinks,
    rtcp_sinks: Sinks,
    check_sinks: Sinks,
}

/// A stream's part in a bundle.
#[derive(Clone, Debug)]
struct Membership {
    /// Index of the stream at whose ports all of them arrive.
    lead: usize,
    /// Whether the party is known to be there.
    joined: bool,
    /// What the party knows the section by.
    mid: Option<Arc<str>>,
}

impl Stream {
    /// A stream as planned, going on from what it was under the plan before. Sinks are connected later.
    /// Also names the ports that are dropped while the kernel has a rule for them.
    pub(super) fn new(
        plan: StreamPlan,
        mut before: Option<Stream>,
    ) -> (Stream, impl Iterator<Item = PortId>) {
        let remote = plan.remote.filter(is_reachable);
        let signal = Signal {
            learning: plan.learning,
            address: remote,
            at: plan.signalled_at,
            policy: plan.other_source,
        };
        let (former_agent, reach, handshakes, transcoder) = match &mut before {
            Some(before) => (
                before.agent.take(),
                before.reach,
                before.handshakes.take(),
                before.transcoder.take(),
            ),
            None => (None, Reach::default(), None, None),
        };
        let agent = plan.ice.as_deref().map(|ice| match former_agent {
            Some(mut agent) => {
                agent.update(ice);
                agent
            }
            None => Box::new(Agent::new(ice)),
        });
        let mut first_sizes = FirstSizes::new(plan.even, plan.signalled_at);
        let fixed = before
            .as_ref()
            .filter(|before| before.remote == remote)
            .and_then(Stream::learned_place);
        let (learner, mut ports, demultiplexer, ciphers, clock, tally) = match before {
            None => (
                Learner::new(signal),
                SmallVec::new(),
                None,
                Ciphers::default(),
                Clock::default(),
                Tally::default(),
            ),
            Some(mut before) => {
                first_sizes.go_on_from(before.first_sizes);
                let is_new = before.learner.signal(signal);
                if before
                    .remote
                    .is_some_and(|before| remote.is_some_and(|remote| remote != before))
                {
                    plan.status.heard.forget_sequences();
                    plan.status.sent.forget_sequences();
                }
                if before.asymmetric && !plan.asymmetric {
                    before.learner.place(fixed);
                }
                if is_new {
                    plan.status.forget_attempt();
                }
                (
                    before.learner,
                    before.ports,
                    before.demultiplexer,
                    before.ciphers,
                    before.clock,
                    before.tally,
                )
            }
        };
        let planned = plan
            .ports
            .iter()
            .map(|local| Port::new(*local, &mut ports))
            .collect();
        let stream = Stream {
            id: plan.id,
            kind: plan.kind,
            ports: planned,
            tos: plan.tos,
            known: plan.known,
            tally,
            payloads: plan.payloads,
            security: plan.security,
            credentials: plan.credentials,
            rtp: plan.rtp,
            keeper: 0,
            ciphers,
            decrypts: (false, false),
            feedback: plan.feedback,
            clock,
            clocks: plan.clocks,
            status: plan.status,
            demultiplexer,
            membership: None,
            label: plan.label,
            receives_rtcp: false,
            remote,
            asymmetric: plan.asymmetric,
            fixed,
            waits: plan.waits,
            pierce_at: plan.pierces.then_some(plan.signalled_at),
            recrypts: plan.recrypts,
            is_closed: plan.is_closed,
            first_sizes,
            policy: plan.other_source,
            learner,
            agent,
            seat: None,
            reach,
            transcoder,
            handshakes,
            sinks: Sinks::new(),
            rtcp_sinks: Sinks::new(),
            check_sinks: Sinks::new(),
        };
        if !stream.is_checked() {
            stream.publish_learned();
        }
        (stream, offloaded(ports))
    }

    /// The stream is in a bundle.
    pub(super) fn join(&mut self, lead: usize, joined: bool, mid: Option<Arc<str>>) {
        self.membership = Some(Membership { lead, joined, mid });
        if self.ports.is_empty() {
            let reason = UserspaceReason::Bundled;
            self.status.publish_path(Path::Userspace(reason));
        }
    }

    /// Index of the stream at whose ports its packets may arrive.
    pub(super) fn lead(&self) -> Option<usize> {
        self.membership.as_ref().map(|membership| membership.lead)
    }

    /// Whether the party is known to be on the lead's transport.
    pub(super) fn joined(&self) -> bool {
        self.membership
            .as_ref()
            .is_some_and(|membership| membership.joined)
    }

    /// What the party knows the stream's media section by, if it is in a bundle.
    pub(super) fn mid(&self) -> Option<Arc<str>> {
        self.membership.as_ref()?.mid.clone()
    }

    pub(super) fn connect(&mut self, sinks: Sinks, rtcp_sinks: Sinks, check_sinks: Sinks) {
        self.sinks = sinks;
        self.rtcp_sinks = rtcp_sinks;
        self.check_sinks = check_sinks;
    }

    /// The end of the stream: the ports for which the kernel has a rule.
    pub(super) fn into_offloaded_ports(self) -> impl Iterator<Item = PortId> {
        offloaded(self.ports)
    }

    /// What a packet carries.
    pub(super) fn content(&self, flow: Flow, header: Option<&RtpHeader>) -> Content {
        match (flow, header) {
            (Flow::Rtp, Some(header)) if self.payloads.events.contains(header.payload_type) => {
                Content::Event(header.payload_type)
            }
            (Flow::Rtp, Some(header)) => Content::Media(header.payload_type),
            (Flow::Rtp | Flow::Datagram, _) => Content::Unknown,
            (Flow::Rtcp | Flow::SharedRtcp, _) => Content::Reports,
            (Flow::Check, _) => Content::Check,
        }
    }

    /// The clock of the stream's media, after a packet with this content.
    pub(super) fn clock(&mut self, content: Content) -> Clock {
        if let Content::Media(payload_type) = content {
            let mut known = self.clocks.iter();
            self.clock = *known
                .find(|clock| clock.is_of(payload_type))
                .unwrap_or(&self.clock);
        }
        self.clock
    }

    /// Whether it does anything on its own account: ICE, DTLS, piercing of NAT, or transcoding.
    pub(super) fn has_agents(&self) -> bool {
        self.transcoder.is_some()
            || self.agent.is_some()
            || self.handshakes.is_some()
            || self.pierce_at.is_some()
    }

    pub(super) fn sinks(&self, flow: Flow) -> &[Sink] {
        match flow {
            Flow::Rtp | Flow::Datagram => &self.sinks,
            Flow::Rtcp => &self.rtcp_sinks,
            Flow::Check => &self.check_sinks,
            Flow::SharedRtcp => self.demultiplexer.as_ref().map_or(&[], |bundle| &bundle.everyone),
        }
    }

    /// Whether what arrives here should go somewhere, but cannot be read by anyone there.
    pub(super) fn is_stuck(&self, flow: Flow) -> bool {
        let sinks = self.sinks(flow);
        !sinks.is_empty() && sinks.iter().all(|sink| sink.bridge == Bridge::Blocked)
    }

    /// Whether what arrives here has to be decrypted for somebody.
    pub(super) fn decrypts(&self, flow: Flow) -> bool {
        match flow {
            Flow::Rtp | Flow::Datagram => self.decrypts.0,
            Flow::Rtcp | Flow::SharedRtcp => self.decrypts.1,
            Flow::Check => false,
        }
    }

    pub(super) fn set_decryption(&mut self, rtp: bool, rtcp: bool) {
        self.decrypts = (rtp, rtcp);
    }

    /// The party's address as signalled, if media can be sent there.
    pub(super) fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Where media for the party is sent.
    pub(super) fn target(&self) -> Option<SocketAddr> {
        if self.is_waiting() {
            return None;
        }
        self.place()
    }

    /// Where the party is.
    pub(super) fn place(&self) -> Option<SocketAddr> {
        match (self.reach, self.learner.source()) {
            (Reach::Checked(route), _) => Some(route?.remote),
            (Reach::Learned, Some(source)) if !self.asymmetric => Some(source),
            (Reach::Learned, _) => self.fixed.filter(|_| self.asymmetric).or(self.remote),
        }
    }

    /// Where the party is, if anything but signalling says so.
    fn learned_place(&self) -> Option<SocketAddr> {
        match self.asymmetric {
            true => self.fixed,
            false => self.learner.source(),
        }
    }

    /// When the newest signalling message came.
    pub(super) fn signalled_at(&self) -> Time {
        self.learner.signalled_at()
    }

    /// Whether the party must send something before it is sent anything.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits && !self.status.has_received()
    }

    /// The port that media for the party leaves by.
    pub(super) fn way_out(&self) -> Option<LocalPort> {
        let selected = match self.reach {
            Reach::Checked(Some(route)) => self.ports.iter().find(|port| port.local.id == route.port),
            Reach::Checked(None) | Reach::Learned => None,
        };
        Some(selected.or(self.ports.first())?.local)
    }

    /// Whether the party is found by checks.
    pub(super) fn is_checked(&self) -> bool {
        self.reach != Reach::Learned
    }

    /// Whether the party may be elsewhere than was signalled.
    pub(super) fn learns(&self) -> bool {
        self.learner.learns()
    }

    /// Learns from a packet's source, and judges it.
    pub(super) fn check_source(&mut self, now: Time, flow: Flow, source: SocketAddr) -> Verdict {
        let is_doubted = self.status.take_doubt();
        if self.is_checked() {
            return Verdict {
                accepted: true,
                changed: false,
            };
        }
        if is_doubted {
            self.learner.doubt();
        }
        // Where media comes from says more. Without any RTCP has to do.
        let teaches = self.receives_rtcp && self.sinks.is_empty();
        if self.kind == StreamKind::Rtp && flow == Flow::Rtcp && !teaches {
            let changed = self.policy == SourcePolicy::Follow && self.learner.settled().is_some();
            return match changed {
                true => self.observe(now, source),
                false => Verdict {
                    accepted: self.is_credible_stray(source),
                    changed: false,
                },
            };
        }
        let verdict = self.observe(now, source);
        if is_doubted {
            self.publish_learned();
        }
        Verdict {
            changed: verdict.changed || is_doubted,
            ..verdict
        }
    }

    fn observe(&mut self, now: Time, source: SocketAddr) -> Verdict {
        let verdict = self.learner.observe(now, source);
        if verdict.changed {
            self.publish_learned();
        }
        verdict
    }

    /// The party has to show itself again.
    pub(super) fn doubt_source(&mut self) {
        if !self.is_checked() {
            self.learner.doubt();
            self.publish_learned();
        }
    }

    /// Where the party is without checks; as far as its packets say so, and what was signalled.
    pub(super) fn learned_source(&self) -> Option<SocketAddr> {
        self.learner.source().or(self.remote)
    }

    /// Whether the party's source took the place of a settled one.
    pub(super) fn was_taken_over(&self) -> bool {
        self.learner.was_taken_over()
    }

    /// Whether nothing has to be learned of the party's source any more.
    pub(super) fn is_settled(&self) -> bool {
        self.is_checked() || self.learner.settled().is_some()
    }

    fn publish_learned(&self) {
        let place = self.place();
        let learned = self.learner.learned().map(|learned| Learned {
            source: place.unwrap_or(learned.source),
            ..learned
        });
        self.status.publish_learned(learned);
    }

    /// The window is over, and the kernel saw to it that no packet came to say so.
    pub(super) fn settle(&mut self, now: Time) {
        if !self.is_checked() && self.learner.settle(now) {
            self.publish_learned();
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.learner.deadline().filter(|_| !self.is_checked())
    }

    /// The source by which the kernel may tell the packets that arrive at a port from others.
    pub(super) fn expected(&self, now: Time, port: PortId) -> Option<Learned> {
        match self.reach {
            Reach::Checked(route) => route.filter(|route| route.port == port).map(|route| Learned {
                source: route.remote,
                settled: true,
            }),
            Reach::Learned => self.learner.expected(now),
        }
    }

    /// Where packets are expected from at one of the ports, whether or not the kernel may relay them.
    pub(super) fn expects(&self, place: usize) -> Expected {
        let source = match self.reach {
            Reach::Checked(route) => {
                let port = self.ports[place].local.id;
                route.filter(|route| route.port == port).map(|route| route.remote)
            }
            // Whoever configures that sources are neither learned nor held to what was signalled expects anybody.
            Reach::Learned if !self.learner.learns() && self.policy == SourcePolicy::Forward => {
                return Expected::Anybody;
            }
            Reach::Learned => self.learner.source().or(self.remote),
        };
        source.map_or(Expected::Nobody, Expected::Source)
    }

    pub(super) fn is_calm(&self, now: Time) -> bool {
        self.asymmetric || self.is_checked() || self.learner.is_calm(now)
    }

    /// What the kernel does with other sources.
    pub(super) fn other_source(&self, settled: bool) -> OtherSource {
        match self.policy {
            // There may be more than one pair that works.
            _ if self.is_checked() => OtherSource::Pass,
            SourcePolicy::Forward if settled => OtherSource::Forward,
            SourcePolicy::Drop if settled => OtherSource::Drop,
            SourcePolicy::Forward | SourcePolicy::Drop | SourcePolicy::Follow => OtherSource::Pass,
        }
    }

    pub(super) fn is_in_kernel(&self) -> bool {
        self.ports.iter().any(|port| port.path == Path::Kernel)
    }

    /// The kernel says what became of a rule. It is too late for one that was taken back.
    pub(super) fn set_path(&mut self, place: usize, path: Path) {
        if self.ports[place].rule.is_some() {
            self.ports[place].path = path;
            self.ports[place].was_in_kernel |= path == Path::Kernel;
            self.publish_path();
        }
    }

    /// A port's packets stay in userspace.
    pub(super) fn set_reason(&mut self, place: usize, reason: UserspaceReason) {
        self.ports[place].path = Path::Userspace(reason);
        self.publish_path();
    }

    /// The path of the port that packets arrive at; with several, the kernel's.
    fn publish_path(&self) {
        let idle = Path::Userspace(UserspaceReason::NoPacketYet);
        let paths = || self.ports.iter().map(|port| port.path);
        let path = paths()
            .find(|path| *path == Path::Kernel)
            .or_else(|| paths().find(|path| *path != idle))
            .unwrap_or(idle);
        self.status.publish_path(path);
    }

    /// Whether RTCP that came to a port of RTP may be the party's. Nothing is learned from it.
    fn is_credible_stray(&self, source: SocketAddr) -> bool {
        let known = self.learner.settled();
        self.policy != SourcePolicy::Drop || known.is_none_or(|known| known == source)
    }
}

fn offloaded(ports: SmallVec<[Port; 1]>) -> impl Iterator<Item = PortId> {
    ports
        .into_iter()
        .filter(|port| port.rule.is_some())
        .map(|port| port.local.id)
}
