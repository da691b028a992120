//! Sessions in virtual time. Transcripts show, line by line, what arrives, what is sent for it, and what
//! the driver is told to do.

mod bundle;
mod keyring;
mod learning;
mod merging;
mod offload;
mod properties;
mod relaying;
mod reporting;
mod secure;
mod strangers;
mod treatment;
mod webrtc;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use relay_common::packet::{Kind, classify};
use relay_common::reception::Sequence;
use relay_common::slot::{COUNTED_BY_USERSPACE, Counters, SsrcCounters};
use smallvec::SmallVec;

use super::*;
use crate::config::{CertificateSettings, DtlsSettings};
use crate::dtls::{Context, Credentials, Identity};
use crate::plan::{
    Learning, LocalPort, MosModel, PayloadTypes, Progress, SourcePolicy, StreamId, StreamKind, StreamPlan,
    StreamStatus, UserspaceReason,
};
use crate::security::MediaSecurity;
use crate::srtp::MAX_TRAILER;

const RTP: &[u8] = &[0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff];
const RTCP: &[u8] = &[0x80, 201, 0, 1, 1, 2, 3, 4];
const STUN: &[u8] = &[
    0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

const ALICE: &str = "198.51.100.10:4000";
const ALICE_RTCP: &str = "198.51.100.10:4001";
/// Alice behind a NAT.
const NAT: &str = "198.51.100.99:61000";
const STRANGER: &str = "192.0.2.66:666";
const BOB: &str = "198.51.100.20:6000";
const BOB_RTCP: &str = "198.51.100.20:6001";

/// Streams, named by the port that the party is told.
const TO_ALICE: u32 = 30_000;
const TO_ALICE_RTCP: u32 = 30_001;
const TO_BOB: u32 = 30_002;
const TO_BOB_RTCP: u32 = 30_003;

/// A session with its plan, and what happened to it.
struct Call {
    session: Session,
    now: Time,
    plan: Plan,
    transcript: String,
    /// What was sent, and where to.
    sent: Vec<(SocketAddr, Vec<u8>)>,
    /// What was counted at the ports.
    counters: BTreeMap<PortId, Counters>,
}

impl Call {
    /// Alice and Bob, RTP with RTCP on ports of their own. The plan may be changed before it is first applied.
    fn new() -> Call {
        Call::with(vec![
            stream(TO_ALICE, Some(ALICE), &[TO_BOB], &[TO_BOB_RTCP]),
            rtcp(stream(TO_ALICE_RTCP, Some(ALICE_RTCP), &[], &[TO_BOB_RTCP])),
            stream(TO_BOB, Some(BOB), &[TO_ALICE], &[TO_ALICE_RTCP]),
            rtcp(stream(TO_BOB_RTCP, Some(BOB_RTCP), &[], &[TO_ALICE_RTCP])),
        ])
    }

    fn with(streams: Vec<StreamPlan>) -> Call {
        let plan = Plan {
            call: CallKey(1),
            revision: 0,
            progress: Progress::default(),
            streams,
            kernel: KernelUse::Allowed,
            reports: None,
            mos: MosModel::default(),
        };
        Call {
            session: Session::new(plan.call),
            now: START,
            plan,
            transcript: String::new(),
            sent: Vec::new(),
            counters: BTreeMap::new(),
        }
    }

    /// Changes the plan of one stream.
    fn change(&mut self, port: u32, change: impl FnOnce(&mut StreamPlan)) {
        let stream = self
            .plan
            .streams
            .iter_mut()
            .find(|stream| stream.id == StreamId(port));
        change(stream.unwrap());
    }

    /// Hands in the plan as it is.
    fn apply(&mut self) {
        self.note("plan");
        self.session.handle_plan(self.now, self.plan.clone());
        self.drain(&[]);
    }

    /// Hands in the plan as if a signalling message had mentioned these streams.
    fn signal(&mut self, ports: &[u32]) {
        for port in ports {
            let now = self.now;
            self.change(*port, |stream| stream.signalled_at = now);
        }
        self.apply();
    }

    /// Waits until so many milliseconds after the start; what is due in the meantime happens when it is due.
    fn at(&mut self, milliseconds: u64) {
        let then = START + Duration::from_millis(milliseconds);
        while let Some(due) = self.session.poll_timeout()
            && due <= then
        {
            self.now = self.now.max(due);
            self.note("timeout");
            self.session.handle_timeout(self.now);
            self.drain(&[]);
            assert!(self.session.poll_timeout().is_none_or(|next| next > self.now));
        }
        self.now = then;
    }

    fn receive(&mut self, source: &str, port: u32, datagram: &[u8]) {
        self.note(&format!("{} {source} -> {port}", name(datagram)));
        let mut buffer = datagram.to_vec();
        self.session
            .handle_datagram(self.now, id(port), source.parse().unwrap(), &mut buffer);
        if let Some(packet) = self.session.poll_received() {
            self.count(&packet);
        }
        self.drain(&buffer);
    }

    /// As the kernel datapath would answer.
    fn report(&mut self, port: u32, path: Path) {
        self.note(&format!("path {port} {path:?}"));
        self.session.handle_path(id(port), path);
        self.drain(&[]);
    }

    /// As the datapaths would count.
    fn count(&mut self, packet: &Received) {
        let counters = self.counters.entry(packet.port).or_default();
        let entries = counters.ssrcs.iter_mut();
        let fits = |entry: &&mut SsrcCounters| entry.counted_by == 0 || entry.ssrc == packet.header.ssrc;
        let Some(entry) = entries.into_iter().find(fits) else {
            return;
        };
        if entry.counted_by == 0 {
            (entry.ssrc, entry.counted_by) = (packet.header.ssrc, COUNTED_BY_USERSPACE);
            entry.set_sequence(Sequence::before(packet.header.sequence));
        }
        entry.packets += 1;
        entry.bytes += packet.bytes as u64;
        let place = entry.take(packet.header.sequence);
        entry.arrive(&packet.header, place, self.now.0, packet.clock);
    }

    fn status(&self, port: u32) -> &StreamStatus {
        let stream = self
            .plan
            .streams
            .iter()
            .find(|stream| stream.id == StreamId(port));
        &stream.unwrap().status
    }

    fn reason(&self, port: u32) -> Option<UserspaceReason> {
        match self.status(port).path() {
            Path::Kernel => None,
            Path::Userspace(reason) => Some(reason),
        }
    }

    /// What happened since the last time, without what [`Call::apply`] did first.
    fn take_transcript(&mut self) -> String {
        std::mem::take(&mut self.transcript)
    }

    fn note(&mut self, what: &str) {
        let elapsed = self.now.since(START).as_millis();
        writeln!(self.transcript, "{elapsed:>5} {what}").unwrap();
    }

    fn drain(&mut self, datagram: &[u8]) {
        while let Some(transmit) = self.session.poll_transmit() {
            let from = transmit.from.0 + BASE;
            let mut sent = datagram[..transmit.length].to_vec();
            if transmit.rewritten {
                let mut copy = vec![0; sent.len() + LABEL + MAX_TRAILER];
                let Some(length) = self.session.write(&transmit, datagram, &mut copy) else {
                    continue;
                };
                copy.truncate(length);
                sent = copy;
            }
            self.session.handle_sent(&transmit, sent.len(), true);
            write!(self.transcript, "      send {from} -> {}", transmit.to).unwrap();
            if transmit.rewritten {
                let digits: String = sent.iter().map(|byte| format!("{byte:02x}")).collect();
                write!(self.transcript, ": {digits}").unwrap();
            }
            writeln!(self.transcript).unwrap();
            self.sent.push((transmit.to, sent));
        }
        while let Some(event) = self.session.poll_event() {
            let line = match event {
                Event::Offload(rule) => describe(&rule),
                Event::Onload(port) => format!("onload {}", port.0 + BASE),
                Event::Report(now) => {
                    let counted = |port: PortId| self.counters.get(&port).copied().unwrap_or_default();
                    self.session.report(now, counted);
                    "report".to_owned()
                }
            };
            let is_report = line == "report";
            writeln!(self.transcript, "      {line}").unwrap();
            while is_report && let Some(datagram) = self.session.poll_datagram() {
                let (from, to) = (datagram.from.0 + BASE, datagram.to);
                writeln!(self.transcript, "      send {from} -> {to}").unwrap();
                self.sent.push((to, datagram.bytes.to_vec()));
            }
        }
    }
}

/// Who all sessions are.
fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::generate(CertificateSettings::default()).unwrap())
}

fn own_credentials() -> Arc<Credentials> {
    static CREDENTIALS: OnceLock<Arc<Credentials>> = OnceLock::new();
    let make = || Credentials::of(identity(), &DtlsSettings::default()).unwrap();
    Arc::clone(CREDENTIALS.get_or_init(|| Arc::new(make())))
}

const START: Time = Time(1_000_000_000_000);
const BASE: u32 = 30_000;
/// Room for a label with a short mid.
const LABEL: usize = 8;

fn stream(port: u32, remote: Option<&str>, sinks: &[u32], rtcp_sinks: &[u32]) -> StreamPlan {
    StreamPlan {
        remote: remote.map(|remote| remote.parse().unwrap()),
        sinks: sinks.iter().map(|port| StreamId(*port).into()).collect(),
        rtcp_sinks: rtcp_sinks.iter().map(|port| StreamId(*port)).collect(),
        credentials: Some(own_credentials()),
        ..StreamPlan::plain(StreamId(port), local(port), START)
    }
}

fn rtcp(stream: StreamPlan) -> StreamPlan {
    StreamPlan {
        kind: StreamKind::Rtcp,
        ..stream
    }
}

fn local(port: u32) -> LocalPort {
    LocalPort {
        id: id(port),
        address: format!("203.0.113.1:{port}").parse().unwrap(),
    }
}

fn id(port: u32) -> PortId {
    PortId(port - BASE)
}

fn name(datagram: &[u8]) -> &'static str {
    match datagram {
        RTP => "RTP",
        RTCP => "RTCP",
        STUN => "STUN",
        _ => "bytes",
    }
}

fn describe(rule: &OffloadRule) -> String {
    let mut text = format!(
        "offload {}: {} (others: {:?}) => {} -> {} TOS {}",
        rule.port.0 + BASE,
        rule.source,
        rule.other_source,
        rule.new_source.port(),
        rule.new_destination,
        rule.tos
    );
    if rule.blocked {
        text += ", blocked";
    }
    let userspace = PayloadTypes(rule.userspace_payload_types);
    for payload_type in (0..128).filter(|payload_type| userspace.contains(*payload_type)) {
        write!(text, ", but {payload_type}").unwrap();
    }
    text
}
