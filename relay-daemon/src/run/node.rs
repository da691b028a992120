//! What the control thread owns: the signalling engine, the machine, the way to the workers.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use relay_common::ng::{Dictionary, octets};

use crate::call::{Action, CallId, Calls, Command, CommandError, Reply};
use crate::clock::Time;
use crate::config::{Interfaces, LoadLimits};
use crate::control::{Control, Engine, Incoming, QueuedRequest};
use crate::datapath::kernel::Kernel;
use crate::datapath::userspace::Workers;
use crate::dtls::Credentials;
use crate::plan::{Plan, PortId};
use crate::ports::{ClosedPorts, DaemonHost, PortUsage};
use crate::report::{
    CallSnapshot, InterfaceStatistics, KernelStatistics, Ledger, RequestKind, Statistics, Termination,
    metrics, statistics_reply,
};

use super::controls::Controls;
use super::load::LoadMeter;
use super::meter::Meter;

/// How long ports that workers close may wait to be collected, unless somebody asks for something before.
const COLLECTION: Duration = Duration::from_millis(20);

/// Signalling and what it drives. Every method leaves no action undone; [`Node::finish`] is to follow each of them when its
/// reply is on its way.
pub(super) struct Node {
    control: Control,
    machine: Machine,
}

/// Everything but the ng protocol.
pub(super) struct Machine {
    pub(super) calls: Calls,
    pub(super) host: DaemonHost,
    workers: Workers,
    closed: ClosedPorts,
    /// When closed ports are to be collected; none while workers have nothing to close.
    collect_at: Option<Time>,
    kernel: Kernel,
    pub(super) ledger: Ledger,
    meter: Meter,
    pub(super) load: LoadMeter,
    pub(super) controls: Controls,
}

/// What relays the calls.
pub(super) struct Datapath {
    pub(super) host: DaemonHost,
    /// They know the kernel datapath.
    pub(super) workers: Workers,
    /// Where they leave the ports that they close.
    pub(super) closed: ClosedPorts,
    pub(super) kernel: Kernel,
}

/// How long a query waits at most for the media of its call. Some ten times as long as a worker takes for a plan.
const PATIENCE: Duration = Duration::from_millis(20);

/// A port that nothing is sent to (RFC 863).
const DISCARD: u16 = 9;

/// Between two looks whether the media has followed.
const GLANCE: Duration = Duration::from_micros(50);

/// A request that is being answered.
struct Answering<'a> {
    machine: &'a mut Machine,
    since: Time,
    peer: SocketAddr,
}

impl Machine {
    /// Who asks about a call right after a message about it wants to know what came of that: a handshake that was begun, for
    /// one. Nobody else has to wait.
    fn let_media_follow(&self, since: Time, call: &CallId) {
        while !self.calls.is_carried_out(call) && Time::read().since(since) < PATIENCE {
            self.workers.wake();
            std::thread::sleep(GLANCE);
        }
    }
}

impl Node {
    pub(super) fn new(
        now: Time,
        control: Control,
        calls: Calls,
        limits: LoadLimits,
        datapath: Datapath,
        controls: Controls,
    ) -> Node {
        let Datapath {
            host,
            workers,
            closed,
            kernel,
        } = datapath;
        Node {
            control,
            machine: Machine {
                controls,
                calls,
                host,
                workers,
                closed,
                collect_at: None,
                kernel,
                ledger: Ledger::new(now),
                meter: Meter::new(now),
                load: LoadMeter::new(now, limits),
            },
        }
    }

    /// Answers a datagram. The plans it led to are on their way to the workers when this returns.
    pub(super) fn handle_datagram(
        &mut self,
        now: Time,
        peer: SocketAddr,
        datagram: &[u8],
    ) -> Option<Cow<'_, [u8]>> {
        let Node { control, machine } = self;
        machine.collect_ports();
        control.handle(now, datagram, &mut machine.answering(now, peer))
    }

    /// Answers what came over a connection, in the same way.
    pub(super) fn handle_queued(&mut self, now: Time, request: QueuedRequest) {
        let Node { control, machine } = self;
        machine.collect_ports();
        let mut answering = machine.answering(now, request.peer);
        let answer = match &request.incoming {
            Incoming::Message(message) => control.handle_long(now, message, &mut answering),
            Incoming::Body(body) => Some(control.handle_body(body, &mut answering)),
            Incoming::Cli(line) => Some(octets::into_bytes(machine.operate(now, line))),
            Incoming::Metrics => Some(metrics(&machine.statistics(now)).into_bytes()),
        };
        request.answer(answer);
    }

    /// Shows new calls another certificate.
    pub(super) fn renew_credentials(&mut self, credentials: Credentials) {
        tracing::info!("new calls get another certificate for DTLS");
        self.machine.calls.renew_credentials(Arc::new(credentials));
    }

    /// Does what may wait until a reply is on its way: workers are woken for what they have been told already, and calls that
    /// ended are taken note of.
    pub(super) fn finish(&mut self, now: Time) {
        let machine = &mut self.machine;
        if machine.workers.wake() && machine.collect_at.is_none() {
            machine.collect_at = Some(now + COLLECTION);
        }
        machine.take_note_of_ended();
    }

    /// Takes note of calls that ended: before their ports are given back, which the next request does.
    pub(super) fn take_note_of_ended(&mut self) {
        self.machine.take_note_of_ended();
    }

    /// TOS of replies over UDP, as it is to be.
    pub(super) fn control_tos(&self) -> u8 {
        self.machine.controls.control_tos
    }

    /// Logs more or less of everything.
    pub(super) fn shift_log_levels(&mut self, by: i8) {
        self.machine.controls.log.shift(by);
    }

    /// When [`Node::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let Machine {
            calls,
            meter,
            ledger,
            load,
            collect_at,
            ..
        } = &self.machine;
        let due = [
            calls.poll_timeout(),
            meter.poll_timeout(calls, ledger),
            load.poll_timeout(),
            *collect_at,
        ];
        due.into_iter().flatten().min()
    }

    /// Ends what has timed out, and measures what is relayed.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        let machine = &mut self.machine;
        if machine.collect_at.is_some_and(|at| at <= now) {
            // In this order: what is done now has left its ports.
            let is_done = machine.workers.is_done();
            machine.collect_ports();
            machine.collect_at = (!is_done).then_some(now + COLLECTION);
        }
        machine.calls.handle_timeout(now, &mut machine.host);
        machine.act();
        let Machine {
            calls,
            host,
            ledger,
            meter,
            load,
            ..
        } = machine;
        meter.handle_timeout(now, calls, host, ledger);
        if let Some(overload) = load.handle_timeout(now, ledger.rates()) {
            calls.set_overload(overload);
        }
    }

    /// Ends all calls.
    pub(super) fn end(&mut self, now: Time) {
        let machine = &mut self.machine;
        machine.calls.end_all(now, &mut machine.host);
        machine.act();
    }

    /// Whether the workers have closed all ports by now.
    pub(super) fn has_closed_all(&mut self) -> bool {
        self.machine.collect_ports();
        self.machine.host.usage().all(|usage| usage.used == 0)
    }

    /// Ends the workers, and then the kernel datapath.
    pub(super) fn stop(self) {
        self.machine.workers.stop();
        drop(self.machine.kernel);
    }

    pub(super) fn session_count(&self) -> usize {
        self.machine.calls.session_count()
    }
}

/// The interface with the address that packets to a peer leave from. Nothing is sent to find out.
fn interface_towards(peer: IpAddr, interfaces: &Interfaces) -> Option<String> {
    let any: IpAddr = match peer {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((peer, DISCARD))?;
        Ok(socket.local_addr()?.ip())
    });
    let found = source
        .as_ref()
        .ok()
        .and_then(|source| interfaces.with_local(*source));
    if found.is_none() {
        tracing::warn!(%peer, ?source, "no interface leads to this peer: another one is used");
    }
    found.map(|interface| interface.name.clone())
}

impl Machine {
    /// Where few ports are left, those that are being closed are waited for.
    fn let_ports_be_closed(&mut self, since: Time) {
        if !self.host.is_nearly_out() {
            return;
        }
        while !self.workers.is_done() && Time::read().since(since) < PATIENCE {
            self.workers.wake();
            std::thread::sleep(GLANCE);
        }
        self.collect_ports();
    }

    fn answering(&mut self, now: Time, peer: SocketAddr) -> Answering<'_> {
        Answering {
            machine: self,
            since: now,
            peer,
        }
    }

    /// Has everything done that signalling wants.
    pub(super) fn act(&mut self) {
        while let Some(action) = self.calls.poll_action() {
            match action {
                Action::Apply(plan) => {
                    let sockets = self.new_sockets(&plan);
                    self.workers.apply(plan, sockets);
                }
                Action::Merge { from, offset, plan } => {
                    let sockets = self.new_sockets(&plan);
                    self.workers.merge(from, offset, plan, sockets);
                }
                Action::WarnOfEncryption(call_id) => tracing::warn!(
                    %call_id,
                    "media is dropped: only the parties have the keys, and one of them expects other encryption"
                ),
                Action::End(call) => self.workers.end(call),
            }
        }
    }

    /// From now on, calls are refused while more than that is going on.
    pub(super) fn limit_load(&mut self, now: Time, limits: LoadLimits) {
        self.load = LoadMeter::new(now, limits);
        self.calls.set_overload(None);
    }

    fn take_note_of_ended(&mut self) {
        while let Some(call) = self.calls.poll_ended(&self.host) {
            self.ledger.call_ended(&call);
            log_ended(&call);
        }
    }

    /// Gives ports back that workers have closed.
    fn collect_ports(&mut self) {
        self.host.give_back(&self.closed.take());
    }

    fn new_sockets(&mut self, plan: &Plan) -> Vec<(PortId, UdpSocket)> {
        let ports = plan.streams.iter().flat_map(|stream| &stream.ports);
        ports
            .filter_map(|port| Some((port.id, self.host.take_socket(port.id)?)))
            .collect()
    }

    /// The daemon in numbers.
    pub(super) fn statistics(&mut self, now: Time) -> Statistics {
        self.take_note_of_ended();
        self.calls.count(None, usize::MAX, &self.host);
        let proxies = self.ledger.proxies();
        Statistics {
            uptime: self.ledger.uptime(now),
            census: self.calls.census(),
            rates: self.ledger.rates(),
            relayed: self.calls.relayed().received,
            reception: self.calls.relayed().reception,
            ended: self.ledger.ended(),
            requests: self.ledger.requests().clone(),
            proxies: proxies.map(|(peer, requests)| (peer, requests.clone())).collect(),
            interfaces: self.interfaces(),
            delays: self.workers.delays(now),
            kernel: KernelStatistics {
                attachments: self.kernel.attachments(),
                passes: self.kernel.pass_counters(),
                drops: self.kernel.drop_counters(),
            },
        }
    }

    fn interfaces(&self) -> Vec<InterfaceStatistics> {
        let usage: Vec<PortUsage> = self.host.usage().collect();
        let (interfaces, relayed) = (&self.calls.settings().interfaces, self.calls.relayed());
        let mut rows = Vec::new();
        for (index, interface) in interfaces.real() {
            for address in &interface.addresses {
                let Some(ports) = usage.get(usize::from(address.local.0)) else {
                    continue;
                };
                let row = InterfaceStatistics {
                    name: interface.name.clone(),
                    ports: *ports,
                    traffic: relayed.through(index, address.local),
                };
                rows.push((address.local, row));
            }
        }
        // In the order in which the addresses were configured.
        rows.sort_by_key(|(local, _)| *local);
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

impl Engine for Answering<'_> {
    fn run(&mut self, mut command: Command) -> Result<Reply, CommandError> {
        if let Some(choice) = command.interfaces_mut() {
            let interfaces = &self.machine.calls.settings().interfaces;
            choice.resolve(|peer| interface_towards(peer, interfaces));
        }
        self.machine.let_ports_be_closed(self.since);
        if let Command::Query(query) = &command {
            self.machine.let_media_follow(self.since, &query.call_id);
        }
        let Machine { calls, host, .. } = self.machine;
        calls.attribute_to(self.peer);
        let reply = calls.handle(self.since, command, host);
        self.machine.act();
        if let Err(CommandError::Limit(_)) = reply {
            self.machine.ledger.call_rejected();
        }
        reply
    }

    fn statistics(&mut self) -> Dictionary {
        statistics_reply(&self.machine.statistics(self.since))
    }

    fn cli(&mut self, line: &str) -> String {
        self.machine.operate(self.since, line)
    }

    fn is_debugged(&self, call_id: &str) -> bool {
        self.machine.calls.is_debugged(call_id)
    }

    fn arrived(&mut self) {
        self.machine.ledger.request_arrived(self.peer.ip());
    }

    fn answered(&mut self, kind: Option<RequestKind>, failed: bool) {
        let took = Time::read().since(self.since);
        self.machine
            .ledger
            .request_answered(self.peer.ip(), kind, failed, took);
    }
}

/// What was deleted is nothing new to whoever asked for it.
fn log_ended(call: &CallSnapshot) {
    let reason = call.ended.map(Termination::as_str);
    let age = call.age.as_secs_f32();
    let (call_id, rtp_packets) = (&call.call_id, call.rtp.packets);
    match call.ended {
        Some(Termination::Regular) => tracing::debug!(call_id, reason, age, rtp_packets, "call ended"),
        _ => tracing::info!(call_id, reason, age, rtp_packets, "call ended"),
    }
}
