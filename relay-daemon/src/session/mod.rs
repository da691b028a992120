//! The media engine of one call: datagrams and time in, datagrams and events out.
//!
//! A [`Session`] does what the newest [`Plan`] says. It knows no sockets and no clock: whoever drives it
//! hands in each received datagram and sends what [`Session::poll_transmit`] asks for before the next
//! one. Besides, there are datagrams of its own: checks and handshakes ([`Session::poll_datagram`]). Nothing here allocates,
//! locks or logs per packet of media.

mod account;
mod bundle;
mod extension;
mod fetch;
mod handback;
mod handshake;
mod ice;
mod keyring;
mod label;
mod learning;
mod offload;
mod pierce;
mod port;
mod quality;
mod receive;
mod report;
mod reporting;
pub mod rtcp;
mod secure;
mod short;
mod sink;
mod sources;
mod stream;
mod tally;
mod transcode;
mod transmit;

use std::collections::VecDeque;
use std::net::SocketAddr;

use relay_common::packet::RtpHeader;
use relay_common::slot::Clock;

pub use self::fetch::Fetch;
use self::handshake::Steps;
use self::keyring::Keyring;
pub use self::port::Expected;
use self::quality::RoundTrips;
use self::reporting::Reporter;
use self::secure::{Opened, Seal};
use self::sink::{Change, Content, Passage, Sink, Sinks};
use self::stream::{SinkIds, Stream};
use crate::clock::Time;
use crate::outbox::{Datagram, Outbox};
use crate::plan::{BundlePlan, CallKey, KernelUse, LocalPort, OffloadRule, Path, Plan, PortId, StreamId};

/// The media of one call.
#[derive(Debug)]
pub struct Session {
    call: CallKey,
    kernel: KernelUse,
    streams: Vec<Stream>,
    /// All ports, sorted by id.
    ports: Vec<PortIndex>,
    relaying: Option<Relaying>,
    received: Option<Received>,
    events: VecDeque<Event>,
    expectations: VecDeque<(PortId, Expected)>,
    /// When something about the kernel is due.
    timeout: Option<Time>,
    /// Whether anything else can be due: most calls have neither ICE nor DTLS, and are asked after each packet.
    has_agents: bool,
    outbox: Outbox,
    /// What DTLS has to do.
    steps: Steps,
    keyring: Keyring,
    /// Writes RTCP in place of the parties.
    reporter: Option<Reporter>,
    /// What the parties' RTCP says.
    round_trips: RoundTrips,
}

/// An RTP packet of an acceptable source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Where it arrived.
    pub port: PortId,
    /// Its header.
    pub header: RtpHeader,
    /// UDP payload bytes.
    pub bytes: usize,
    /// The clock of the stream's media.
    pub clock: Clock,
}

/// Send the datagram that was handled last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The local port to send from.
    pub from: PortId,
    /// The receiver.
    pub to: SocketAddr,
    /// How many bytes of the datagram are sent.
    pub length: usize,
    /// Whether what [`Session::write`] makes of the datagram is sent in its place.
    pub rewritten: bool,
    change: Option<Change>,
    strips_feedback: bool,
    /// Whether reports are put in terms of what the receiver is sent.
    translates: bool,
    /// Whether header extensions are taken out.
    filters: bool,
    /// Whether it gets the label of its section.
    labels: bool,
    seal: Seal,
    is_rtcp: bool,
    sender: Sender,
    /// Indices of the streams that received it and that it is sent to.
    source: usize,
    sink: usize,
    /// Which of the source's sinks that is.
    place: usize,
}

/// What the driver has to do besides sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Have the kernel relay a port's packets so, in place of any earlier rule for the port, and report the
    /// outcome with [`Session::handle_path`].
    Offload(OffloadRule),
    /// Take a port's packets out of the kernel. The session relays them from now on.
    Onload(PortId),
    /// Hand in what was counted at the ports, with [`Session::report`].
    Report(Time),
}

impl Session {
    /// A session without streams: its first plan makes them.
    pub fn new(call: CallKey) -> Session {
        Session {
            call,
            kernel: KernelUse::default(),
            streams: Vec::new(),
            ports: Vec::new(),
            relaying: None,
            received: None,
            events: VecDeque::new(),
            expectations: VecDeque::new(),
            timeout: None,
            has_agents: false,
            outbox: Outbox::default(),
            steps: Steps::default(),
            keyring: Keyring::default(),
            reporter: None,
            round_trips: RoundTrips::default(),
        }
    }

    /// Whose media this is.
    pub fn call(&self) -> CallKey {
        self.call
    }

    /// Takes a new plan. Streams keep what they learned of a source as long as the signalled address stays
    /// the same.
    pub fn handle_plan(&mut self, now: Time, plan: Plan) {
        let mut before = std::mem::take(&mut self.streams);
        let (mut wanted, kernel) = (plan.streams, plan.kernel);
        wanted.sort_by_key(|stream| stream.id);
        let bundles: Vec<Option<BundlePlan>> = wanted.iter_mut().map(|stream| stream.bundle.take()).collect();
        let sinks: Vec<_> = wanted
            .iter_mut()
            .map(|stream| PlannedSinks {
                media: std::mem::take(&mut stream.sinks),
                rtcp: stream.rtcp_sinks.drain(..).map(Into::into).collect(),
                checks: stream.check_sinks.drain(..).map(Into::into).collect(),
            })
            .collect();
        for plan in wanted {
            let old = before
                .iter()
                .position(|stream| stream.id == plan.id)
                .map(|index| before.swap_remove(index));
            let (stream, dropped) = Stream::new(plan, old);
            self.events.extend(dropped.map(Event::Onload));
            self.streams.push(stream);
        }
        for mut stream in before {
            stream.end_handshakes(&mut self.outbox);
            stream.ciphers.put_away(&mut self.keyring);
            self.events
                .extend(stream.into_offloaded_ports().map(Event::Onload));
        }
        self.bundle(bundles);
        self.seat_agents();
        self.share_ciphers();
        self.plan_reports(now, plan.reports);
        self.round_trips.plan(plan.mos);
        self.connect(sinks);
        self.plan_transcoders();
        self.set_apart_indices();
        self.kernel = kernel;
        self.relaying = None;
        self.ports = index_ports(&self.streams);
        self.refresh(now);
        self.plan_handshakes(now);
        self.has_agents = self.streams.iter().any(Stream::has_agents);
        self.pierce(now);
    }

    /// Takes over the streams of another session, under ids that are greater by `offset`, together with a plan that
    /// names them so. The other session must have left the kernel.
    pub fn absorb(&mut self, now: Time, other: Session, offset: u32, plan: Plan) {
        self.keyring.absorb(other.keyring);
        self.streams.extend(other.streams.into_iter().map(|mut stream| {
            stream.id = StreamId(stream.id.0.saturating_add(offset));
            stream
        }));
        self.handle_plan(now, plan);
    }

    /// Regards all its flows as relayed in userspace: the driver takes them out of the kernel, whatever
    /// [`Session::poll_event`] said. Each may go back when its next packet arrives.
    pub fn leave_kernel(&mut self) {
        self.events.clear();
        for port in self.streams.iter_mut().flat_map(|stream| &mut stream.ports) {
            port.leave_kernel();
        }
        self.timeout = None;
    }

    /// Where the packets of an offloaded port are relayed now.
    pub fn handle_path(&mut self, port: PortId, path: Path) {
        let Some(PortIndex { stream, place, .. }) = self.find(port) else {
            return;
        };
        self.streams[stream].set_path(place, path);
        self.update_timeout();
    }

    /// When [`Session::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        if !self.has_agents && self.reporter.is_none() {
            return self.timeout;
        }
        let timeouts = [
            self.timeout,
            self.ice_timeout(),
            self.dtls_timeout(),
            self.pierce_timeout(),
            self.reports_timeout(),
            self.transcoders_timeout(),
        ];
        timeouts.into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.handle_ice_timeouts(now);
        self.handle_dtls_timeouts(now);
        self.pierce(now);
        self.begin_reports(now);
        self.handle_transcoders_timeout(now);
        if self.timeout.is_none_or(|due| due > now) {
            return;
        }
        for stream in &mut self.streams {
            if stream.is_in_kernel() {
                stream.settle(now);
            }
        }
        self.refresh(now);
    }

    /// The next datagram of our own that is to be sent.
    pub fn poll_datagram(&mut self) -> Option<Datagram<'_>> {
        self.outbox.pop()
    }

    /// The next thing that the driver has to do, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether the plan names the port.
    pub fn has_port(&self, port: PortId) -> bool {
        self.find(port).is_some()
    }

    /// The ports of the plan, and the TOS or traffic class of what they send.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, u8)> + '_ {
        self.streams
            .iter()
            .flat_map(|stream| stream.ports.iter().map(|port| (port.local.id, stream.tos)))
    }

    fn find(&self, port: PortId) -> Option<PortIndex> {
        let index = self.ports.binary_search_by_key(&port, |entry| entry.port).ok()?;
        Some(self.ports[index])
    }

    /// Resolves ids of sinks to indices, of every stream.
    fn connect(&mut self, sinks: Vec<PlannedSinks>) {
        for (source, sinks) in sinks.into_iter().enumerate() {
            let [rtp, rtcp, checks] =
                [sinks.media, sinks.rtcp, sinks.checks].map(|sinks| self.resolve(sinks));
            for sink in &rtcp {
                self.streams[sink.stream].receives_rtcp = true;
                if let Some(lead) = self.streams[sink.stream].lead() {
                    self.streams[lead].receives_rtcp = true;
                }
            }
            let [rtp, rtcp] = [rtp, rtcp].map(|sinks| self.bridged(source, sinks));
            self.streams[source].connect(rtp, rtcp, checks);
        }
        for stream in 0..self.streams.len() {
            let everyone = self.receivers_of_shared_rtcp(stream);
            if let Some(bundle) = &mut self.streams[stream].demultiplexer {
                bundle.everyone = everyone;
            }
        }
        self.plan_decryption();
    }

    fn bridged(&self, source: usize, mut sinks: Sinks) -> Sinks {
        for sink in &mut sinks {
            sink.bridge = self.bridge(source, sink.stream);
            // What has one and the same key on both sides must be one and the same there.
            let strips = self.streams[source].feedback && !self.streams[sink.stream].feedback;
            sink.strips_feedback = strips && !sink.bridge.has_shared_keys();
        }
        sinks
    }

    fn index_of(&self, id: StreamId) -> Option<usize> {
        self.streams.binary_search_by_key(&id, |stream| stream.id).ok()
    }

    fn resolve(&self, sinks: SinkIds) -> Sinks {
        sinks
            .into_iter()
            .filter_map(|sink| {
                let stream = self.index_of(sink.stream)?;
                Some(Sink::new(sink, stream))
            })
            .collect()
    }
}

/// Who gets what arrives at a stream.
struct PlannedSinks {
    media: SinkIds,
    rtcp: SinkIds,
    /// STUN and DTLS.
    checks: SinkIds,
}

/// Where a port is to be found: `streams[stream].ports[place]`.
#[derive(Clone, Copy, Debug)]
struct PortIndex {
    port: PortId,
    stream: usize,
    place: usize,
}

/// Where packets for a party leave, and where they go.
struct Exit {
    from: LocalPort,
    to: SocketAddr,
}

/// The datagram handled last, and which of its sinks is next.
#[derive(Debug)]
struct Relaying {
    source: usize,
    flow: Flow,
    content: Content,
    opened: Opened,
    sender: Sender,
    /// Whether it is RTP with header extensions, if it is RTP.
    is_extended: bool,
    next: usize,
}

/// Who a packet is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Rtp(RtpHeader),
    /// The SSRC of RTCP.
    Rtcp(u32),
    Unknown,
}

/// What a datagram is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Rtp,
    Rtcp,
    /// RTCP that may concern any stream of a bundle.
    SharedRtcp,
    /// STUN and DTLS between the parties.
    Check,
    /// Of a kind unknown to us.
    Datagram,
}

fn index_ports(streams: &[Stream]) -> Vec<PortIndex> {
    let mut ports: Vec<PortIndex> = streams
        .iter()
        .enumerate()
        .flat_map(|(stream, of)| {
            of.ports.iter().enumerate().map(move |(place, port)| PortIndex {
                port: port.local.id,
                stream,
                place,
            })
        })
        .collect();
    ports.sort_by_key(|entry| entry.port);
    ports
}

#[cfg(test)]
mod tests;
