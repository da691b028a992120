//! Whatever plans and datagrams come: no panic, and nothing is sent to an address that nobody named.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use proptest::prelude::*;

use relay_common::slot::Counters;

use super::secure::{Peer, packet};
use super::*;
use crate::plan::{BundlePlan, Marks, MosModel, PayloadTypes, Progress, Treatment};
use crate::security::Suite;

#[derive(Clone, Debug)]
enum Step {
    Plan(Vec<StreamChoice>, KernelUse, bool),
    Datagram {
        port: u32,
        source: usize,
        bytes: Vec<u8>,
    },
    Wait(u64),
    Report(u32, Path),
}

/// How one of four streams is planned.
#[derive(Clone, Debug)]
struct StreamChoice {
    id: u32,
    kind: StreamKind,
    ports: Vec<u32>,
    remote: Option<usize>,
    learning: Learning,
    signalled_now: bool,
    policy: SourcePolicy,
    asymmetric: bool,
    sinks: Vec<u32>,
    rtcp_sinks: Vec<u32>,
    treatment: (Treatment, bool),
    /// The stream at whose ports it may arrive, and whether its party is there.
    bundle: Option<(u32, bool)>,
    /// Which of [`securities`].
    security: usize,
}

/// No protection, that of others, one key each way, the same the other way round, and a handshake to come.
fn securities() -> [MediaSecurity; 5] {
    let suite = Suite::AesCm128HmacSha1_80;
    let sdes = |sends, receives| Peer::sdes(suite, sends, receives).security();
    [
        MediaSecurity::Plain,
        MediaSecurity::Opaque,
        sdes(1, 2),
        sdes(2, 1),
        Peer::dtls(suite, 3, 4).security(),
    ]
}

/// A packet protected with the key that most parties have.
fn protected(sequence: u16, is_rtcp: bool) -> Vec<u8> {
    let plain = if is_rtcp { RTCP.to_vec() } else { packet(sequence) };
    Peer::sdes(Suite::AesCm128HmacSha1_80, 1, 2).protect(&plain)
}

const ADDRESSES: [&str; 6] = [ALICE, ALICE_RTCP, NAT, BOB, "0.0.0.0:9", "[2001:db8::1]:9"];

fn address(index: usize) -> SocketAddr {
    ADDRESSES[index].parse().unwrap()
}

fn streams() -> impl Strategy<Value = StreamChoice> {
    let ids = || prop::collection::vec(BASE..BASE + 5, 0..3);
    // Plain streams are the most likely, so that some flows get as far as the kernel.
    (
        (
            BASE..BASE + 4,
            prop_oneof![
                4 => Just(StreamKind::Rtp),
                1 => Just(StreamKind::Rtcp),
                1 => Just(StreamKind::Datagrams)
            ],
            prop::collection::vec(BASE..BASE + 6, 0..3),
            prop::option::weighted(0.9, 0..ADDRESSES.len()),
        ),
        (
            prop_oneof![
                Just(Learning::Off),
                Just(Learning::Immediate),
                Just(Learning::Delayed),
                Just(Learning::Heuristic)
            ],
            any::<bool>(),
            prop_oneof![
                Just(SourcePolicy::Forward),
                Just(SourcePolicy::Drop),
                Just(SourcePolicy::Follow)
            ],
            any::<bool>(),
        ),
        (
            ids(),
            ids(),
            prop::option::weighted(0.3, (BASE..BASE + 4, any::<bool>())),
        ),
        (
            prop_oneof![
                2 => Just(Treatment::Pass),
                1 => Just(Treatment::Silence),
                1 => Just(Treatment::Drop)
            ],
            any::<bool>(),
        ),
        prop_oneof![3 => Just(0), 2 => 1..5usize],
    )
        .prop_map(
            |(
                (id, kind, ports, remote),
                (learning, signalled_now, policy, asymmetric),
                (sinks, rtcp_sinks, bundle),
                treatment,
                security,
            )| {
                StreamChoice {
                    id,
                    kind,
                    ports,
                    remote,
                    learning,
                    signalled_now,
                    policy,
                    asymmetric,
                    sinks,
                    rtcp_sinks,
                    treatment,
                    bundle,
                    security,
                }
            },
        )
}

fn steps() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![
        Just(RTP.to_vec()),
        Just(RTP.to_vec()),
        Just(RTCP.to_vec()),
        (any::<u16>(), any::<bool>()).prop_map(|(sequence, is_rtcp)| protected(sequence, is_rtcp)),
        prop::collection::vec(any::<u8>(), 0..40)
    ];
    let path = prop_oneof![
        Just(Path::Kernel),
        Just(Path::Userspace(UserspaceReason::NoRoute))
    ];
    let kernel = prop_oneof![4 => Just(KernelUse::Allowed), 1 => Just(KernelUse::SwitchedOff)];
    prop_oneof![
        1 => (prop::collection::vec(streams(), 2..6), kernel, any::<bool>())
            .prop_map(|(streams, kernel, reports)| Step::Plan(streams, kernel, reports)),
        6 => (BASE..BASE + 6, 0..ADDRESSES.len(), bytes)
            .prop_map(|(port, source, bytes)| Step::Datagram { port, source, bytes }),
        2 => (0u64..2000).prop_map(Step::Wait),
        2 => (BASE..BASE + 6, path).prop_map(|(port, path)| Step::Report(port, path)),
    ]
}

/// What the newest plan and the sources seen under any plan allow.
#[derive(Default)]
struct Allowed {
    /// Per stream of the newest plan, where its party may be: as signalled, or whoever sent to its ports.
    addresses: HashMap<u32, HashSet<SocketAddr>>,
    /// Which streams have a port, and which are sent from it.
    receivers: HashMap<PortId, Vec<u32>>,
    senders: HashMap<PortId, Vec<u32>>,
}

impl Allowed {
    fn plan(&mut self, streams: &[StreamPlan]) {
        let mut seen = std::mem::take(&mut self.addresses);
        self.receivers.clear();
        self.senders.clear();
        for stream in streams {
            let mut addresses = seen.remove(&stream.id.0).unwrap_or_default();
            addresses.extend(stream.remote);
            self.addresses.insert(stream.id.0, addresses);
            for port in &stream.ports {
                self.receivers.entry(port.id).or_default().push(stream.id.0);
            }
            let lead = stream.bundle.as_ref().map_or(stream.id, |bundle| bundle.lead);
            let shared = streams.iter().filter(|other| other.id == lead);
            for port in [stream]
                .into_iter()
                .chain(shared)
                .filter_map(|of| of.ports.first())
            {
                self.senders.entry(port.id).or_default().push(stream.id.0);
            }
        }
    }

    fn seen(&mut self, port: PortId, source: SocketAddr) {
        for stream in self.receivers.get(&port).into_iter().flatten() {
            self.addresses.entry(*stream).or_default().insert(source);
        }
    }

    fn permits(&self, from: PortId, to: SocketAddr) -> bool {
        let mut senders = self.senders.get(&from).into_iter().flatten();
        senders.any(|stream| self.addresses[stream].contains(&to)) && !to.ip().is_unspecified()
    }
}

proptest! {
    #[test]
    fn nothing_goes_to_an_address_that_nobody_named(steps in prop::collection::vec(steps(), 1..60)) {
        let mut session = Session::new(CallKey(1));
        let mut now = START;
        let mut allowed = Allowed::default();
        let mut statuses: HashMap<u32, Arc<StreamStatus>> = HashMap::new();
        let mut signalled: HashMap<u32, Time> = HashMap::new();
        let mut ruled: HashSet<PortId> = HashSet::new();
        for step in steps {
            let mut received = Vec::new();
            match step {
                Step::Plan(choices, kernel, reports) => {
                    let mut streams: Vec<StreamPlan> = Vec::new();
                    let mut taken = HashSet::new();
                    for choice in choices {
                        if streams.iter().any(|stream| stream.id.0 == choice.id) {
                            continue;
                        }
                        if choice.signalled_now || !signalled.contains_key(&choice.id) {
                            signalled.insert(choice.id, now);
                        }
                        let mut plan = stream(choice.id, None, &choice.sinks, &choice.rtcp_sinks);
                        plan.kind = choice.kind;
                        plan.ports = choice.ports.iter().filter(|port| taken.insert(**port)).map(|port| local(*port)).collect();
                        plan.remote = choice.remote.map(address);
                        plan.learning = choice.learning;
                        plan.signalled_at = signalled[&choice.id];
                        plan.other_source = choice.policy;
                        plan.asymmetric = choice.asymmetric;
                        plan.bundle = choice.bundle.map(|(lead, joined)| BundlePlan {
                            lead: StreamId(lead),
                            joined,
                            marks: Marks {
                                payload_types: PayloadTypes([1 << (choice.id % 3), 0]),
                                ..Marks::default()
                            },
                        });
                        plan.security = securities()[choice.security].clone();
                        plan.feedback = choice.asymmetric;
                        plan.rtp = (choice.kind == StreamKind::Rtcp).then_some(StreamId(BASE));
                        plan.payloads.events.insert(0);
                        plan.payloads.silence.push((8, 0xd5));
                        for sink in &mut plan.sinks {
                            (sink.media, sink.drop_events) = choice.treatment;
                        }
                        plan.status = Arc::clone(statuses.entry(choice.id).or_default());
                        streams.push(plan);
                    }
                    allowed.plan(&streams);
                    let ways = streams.iter().zip(streams.iter().rev()).map(|(to, by)| (to.id, by.id)).collect();
                    let reports = reports.then(|| reporting::plan(ways));
                    session.handle_plan(now, Plan { call: CallKey(1), revision: 0, progress: Progress::default(), streams, kernel, reports, mos: MosModel::default() });
                }
                Step::Datagram { port, source, mut bytes } => {
                    allowed.seen(id(port), address(source));
                    for port in session.uncounted(id(port)) {
                        session.handle_counts(port, &Counters::default());
                    }
                    session.handle_datagram(now, id(port), address(source), &mut bytes);
                    received = bytes;
                }
                Step::Wait(milliseconds) => {
                    now = now + Duration::from_millis(milliseconds);
                    session.handle_timeout(now);
                    prop_assert!(session.poll_timeout().is_none_or(|due| due > now));
                }
                Step::Report(port, path) => session.handle_path(id(port), path),
            }
            while let Some(transmit) = session.poll_transmit() {
                prop_assert!(allowed.permits(transmit.from, transmit.to), "{transmit:?}");
                prop_assert!(transmit.length <= received.len());
                let mut room = vec![0; received.len() + MAX_TRAILER];
                if transmit.rewritten && session.write(&transmit, &received, &mut room).is_none() {
                    continue;
                }
                session.handle_sent(&transmit, 16, true);
            }
            while let Some(event) = session.poll_event() {
                match event {
                    Event::Offload(rule) => {
                        let from = allowed.senders.keys().find(|port| **port == id(u32::from(rule.new_source.port())));
                        prop_assert!(from.is_some_and(|from| allowed.permits(*from, rule.new_destination)), "{rule:?}");
                        prop_assert!(session.has_port(rule.port));
                        prop_assert_eq!(rule.new_destination.is_ipv4(), rule.new_source.is_ipv4());
                        ruled.insert(rule.port);
                    }
                    Event::Report(now) => {
                        // Handshakes may have begun under another plan.
                        while session.poll_datagram().is_some() {}
                        session.report(now, |port| reporting::counters(port.0 + 1, 150, 200, 300));
                        while let Some(datagram) = session.poll_datagram() {
                            prop_assert!(allowed.permits(datagram.from, datagram.to), "{datagram:?}");
                        }
                    }
                    Event::Onload(port) => {
                        prop_assert!(ruled.remove(&port), "{:?} has no rule", port);
                    }
                }
            }
            for port in &ruled {
                prop_assert!(session.has_port(*port), "{:?} is gone but still in the kernel", port);
            }
        }
        session.handle_plan(now, Plan { call: CallKey(1), revision: 1, progress: Progress::default(), streams: Vec::new(), kernel: KernelUse::Allowed, reports: None, mos: MosModel::default() });
        let last: Vec<Event> = std::iter::from_fn(|| session.poll_event()).collect();
        prop_assert_eq!(last.len(), ruled.len(), "all flows leave the kernel in the end");
    }
}
