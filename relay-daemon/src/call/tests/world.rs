//! An engine with a machine around it that keeps the rules of the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use crate::call::Action;
use crate::call::calls::Calls;
use crate::call::command::{Command, CommandError, Delete, Query, Reply, Signal, SignalOptions, Tag};
use crate::call::section::crypto::testing::own_credentials;
use crate::call::testing::TestHost;
use crate::clock::Time;
use crate::config::{CallSettings, Interface, InterfaceAddress, Interfaces, MusicSettings};
use crate::host::AddressId;
use crate::plan::{CallKey, Learning, MosModel, Plan, PortId, SinkPlan, StreamId, StreamPlan, Treatment};
use crate::report::{CallSnapshot, SsrcReporting};
use crate::session::Session;

/// An offer of one audio section, from 198.51.100.31 port 4000.
pub(super) const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.31\r\ns=-\r\nc=IN IP4 198.51.100.31\r\nt=0 0\r\n\
                                m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";

/// The answer to it, from 198.51.100.32 port 5000.
pub(super) const ANSWER: &str = "v=0\r\no=- 2 2 IN IP4 198.51.100.32\r\ns=-\r\nc=IN IP4 198.51.100.32\r\nt=0 0\r\n\
                                 m=audio 5000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";

pub(super) struct World {
    pub(super) calls: Calls,
    pub(super) host: TestHost,
    pub(super) now: Time,
    pub(super) plans: BTreeMap<CallKey, Plan>,
    /// The media of each call, if it is to play.
    pub(super) sessions: Option<BTreeMap<CallKey, Session>>,
    /// Actions since they were last taken, written out.
    pub(super) actions: String,
}

/// Whether a command was refused and so must have changed nothing. An SDP that rejects everything is heard, though there is
/// none to tell of it.
pub(super) fn is_refused(outcome: &Result<Reply, CommandError>) -> bool {
    matches!(outcome, Err(error) if !matches!(error, CommandError::Rewriting))
}

impl World {
    pub(super) fn new() -> World {
        World::with(|_| {})
    }

    /// A world in which media plays: plans reach sessions.
    pub(super) fn with_media() -> World {
        World {
            sessions: Some(BTreeMap::new()),
            ..World::new()
        }
    }

    pub(super) fn with(change: impl FnOnce(&mut CallSettings)) -> World {
        let host = TestHost::new(&["203.0.113.1", "2001:db8:4321::1"]);
        let address = |index| InterfaceAddress {
            local: AddressId(index),
            advertised: host.place(index).advertised,
        };
        let mut settings = CallSettings {
            interfaces: Interfaces {
                addresses: vec![address(0).advertised, address(1).advertised],
                interfaces: vec![Interface {
                    name: "default".to_owned(),
                    addresses: vec![address(0), address(1)],
                }],
                ..Interfaces::default()
            },
            timeout: Duration::from_secs(60),
            silent_timeout: Duration::from_secs(3600),
            offer_timeout: Duration::from_secs(600),
            final_timeout: None,
            delete_delay: Duration::from_secs(30),
            tos: 184,
            learning: Learning::default(),
            mos: MosModel::default(),
            ssrc_reporting: SsrcReporting::default(),
            rtcp_interval: Duration::from_secs(5),
            music: MusicSettings::default(),
            sip_source: false,
            max_sessions: None,
            reject_invalid_sdp: false,
            preferences: Default::default(),
            saves_ports: false,
            dtls_passive: false,
            epoch: Duration::from_secs(1_700_000_000),
        };
        change(&mut settings);
        World {
            calls: Calls::new(settings, own_credentials()),
            host,
            now: Time(0) + Duration::from_secs(1),
            plans: BTreeMap::new(),
            sessions: None,
            actions: String::new(),
        }
    }

    pub(super) fn handle(&mut self, command: Command) -> Result<Reply, CommandError> {
        let reply = self.calls.handle(self.now, command, &mut self.host);
        self.act();
        reply
    }

    /// The SDP that comes back.
    pub(super) fn sdp(&mut self, command: Command) -> String {
        match self.handle(command) {
            Ok(Reply::Sdp(sdp)) => sdp,
            other => panic!("no SDP: {other:?}"),
        }
    }

    /// Sets up a call between `a` and `b`.
    pub(super) fn connect(&mut self) {
        self.sdp(offer("a", None, OFFER));
        self.sdp(answer("a", "b", ANSWER));
        self.actions.clear();
    }

    pub(super) fn query(&mut self) -> CallSnapshot {
        let query = Query {
            call_id: "call".into(),
            from_tag: None,
            to_tag: None,
        };
        match self.handle(Command::Query(query)) {
            Ok(Reply::Statistics(snapshot)) => *snapshot,
            other => panic!("no statistics: {other:?}"),
        }
    }

    /// Lets time pass, and the engine act when it wants to. Gives back the calls that ended.
    pub(super) fn pass(&mut self, seconds: u64) -> Vec<CallSnapshot> {
        let until = self.now + Duration::from_secs(seconds);
        let mut ended = Vec::new();
        while let Some(at) = self.calls.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.calls.handle_timeout(self.now, &mut self.host);
            self.act();
            ended.extend(std::iter::from_fn(|| self.calls.poll_ended(&self.host)));
        }
        self.now = until;
        ended
    }

    pub(super) fn plan(&self) -> &Plan {
        self.plans.values().next().expect("a plan")
    }

    pub(super) fn stream(&self, index: usize) -> &StreamPlan {
        &self.plan().streams[index]
    }

    /// Does what the driver and the workers do: ports that a plan leaves out are given back.
    fn act(&mut self) {
        while let Some(action) = self.calls.poll_action() {
            match action {
                Action::Apply(plan) => {
                    self.actions += &describe(&plan);
                    let key = plan.call;
                    if let Some(sessions) = &mut self.sessions {
                        let session = sessions.entry(key).or_insert_with(|| Session::new(key));
                        session.handle_plan(self.now, plan.clone());
                    }
                    let ports = ports_of(&plan);
                    let former = self.plans.insert(key, plan);
                    self.give_back(former, &ports);
                }
                Action::Merge { from, offset, plan } => {
                    let _ = writeln!(self.actions, "merge {} at {offset}", from.0);
                    self.actions += &describe(&plan);
                    if let Some(sessions) = &mut self.sessions {
                        let merged = sessions.remove(&from).expect("a session that is merged");
                        let into = plan.call;
                        let session = sessions.entry(into).or_insert_with(|| Session::new(into));
                        session.absorb(self.now, merged, offset, plan.clone());
                    }
                    let ports = ports_of(&plan);
                    for former in [self.plans.remove(&from), self.plans.insert(plan.call, plan)] {
                        self.give_back(former, &ports);
                    }
                }
                Action::WarnOfEncryption(call_id) => {
                    let _ = writeln!(self.actions, "warn of encryption in {call_id}");
                }
                Action::End(key) => {
                    let _ = writeln!(self.actions, "end {}", key.0);
                    if let Some(sessions) = &mut self.sessions {
                        sessions.remove(&key);
                    }
                    let former = self.plans.remove(&key);
                    assert!(former.is_some(), "a call ends that was never planned");
                    self.give_back(former, &BTreeSet::new());
                }
            }
        }
        let planned: usize = self.plans.values().map(|plan| ports_of(plan).len()).sum();
        assert_eq!(
            planned,
            self.host.in_use(),
            "reserved ports stand in exactly one plan"
        );
    }

    fn give_back(&mut self, former: Option<Plan>, kept: &BTreeSet<PortId>) {
        for port in former
            .iter()
            .flat_map(ports_of)
            .filter(|port| !kept.contains(port))
        {
            crate::host::Host::release(&mut self.host, port);
        }
    }
}

fn ports_of(plan: &Plan) -> BTreeSet<PortId> {
    let ports: Vec<PortId> = plan
        .streams
        .iter()
        .flat_map(|stream| &stream.ports)
        .map(|port| port.id)
        .collect();
    let set: BTreeSet<PortId> = ports.iter().copied().collect();
    assert_eq!(set.len(), ports.len(), "no port stands twice in a plan");
    set
}

/// A plan in a few lines.
fn describe(plan: &Plan) -> String {
    let mut text = format!(
        "plan {} of call {}, kernel {:?}\n",
        plan.revision, plan.call.0, plan.kernel
    );
    for stream in &plan.streams {
        let ports: Vec<String> = stream.ports.iter().map(|port| port.address.to_string()).collect();
        let remote = stream
            .remote
            .map_or("nowhere".to_owned(), |remote| remote.to_string());
        let ids = |ids: &[StreamId]| ids.iter().map(|id| id.0).collect::<Vec<u32>>();
        let sinks: Vec<String> = stream.sinks.iter().map(describe_sink).collect();
        let _ = writeln!(
            text,
            "  {} {:?} {} -> {remote}; to [{}], RTCP to {:?}; {:?}, others {:?}{}, TOS {}, since {}",
            stream.id.0,
            stream.kind,
            ports.join(" "),
            sinks.join(", "),
            ids(&stream.rtcp_sinks),
            stream.learning,
            stream.other_source,
            if stream.asymmetric { ", asymmetric" } else { "" },
            stream.tos,
            stream.signalled_at,
        );
    }
    text
}

fn describe_sink(sink: &SinkPlan) -> String {
    let mut text = sink.stream.0.to_string();
    match sink.media {
        Treatment::Pass => {}
        Treatment::Silence => text += " silent",
        Treatment::Drop => text += " blocked",
    }
    if sink.drop_events {
        text += " without events";
    }
    text
}

/// What a command brought about.
pub(super) fn step(world: &mut World, command: Command) -> String {
    world.actions.clear();
    let reply = match world.handle(command) {
        Ok(Reply::Sdp(sdp)) => sdp.replace("\r\n", "\n"),
        Ok(Reply::Own { sdp, .. }) => sdp.replace("\r\n", "\n"),
        Ok(Reply::Subscription { sdp, from_tags, .. }) => {
            format!("{}from {from_tags:?}\n", sdp.replace("\r\n", "\n"))
        }
        Ok(Reply::Statistics(_)) => "statistics\n".to_owned(),
        Ok(reply) => format!("{reply:?}\n"),
        Err(error) => format!("{error}\n"),
    };
    format!("{reply}{}", world.actions)
}

pub(super) fn offer(from: &str, to: Option<&str>, sdp: &str) -> Command {
    Command::Offer(Box::new(signal(from, to, sdp)))
}

pub(super) fn answer(from: &str, to: &str, sdp: &str) -> Command {
    Command::Answer(Box::new(signal(from, Some(to), sdp)))
}

pub(super) fn signal(from: &str, to: Option<&str>, sdp: &str) -> Signal {
    Signal {
        call_id: "call".into(),
        from_tag: from.into(),
        to_tag: to.map(Tag::from),
        via_branch: None,
        sdp: sdp.to_owned(),
        options: SignalOptions::default(),
    }
}

pub(super) fn delete(from: Option<&str>, delay: Option<u64>) -> Command {
    Command::Delete(Delete {
        call_id: "call".into(),
        from_tag: from.map(Tag::from),
        to_tag: None,
        via_branch: None,
        delay: delay.map(Duration::from_secs),
        fatal: false,
        fast: false,
    })
}
