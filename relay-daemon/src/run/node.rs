//! What the control thread owns: the signalling engine, the machine, the way to the workers.

use std::net::UdpSocket;

use crate::call::{Action, Calls};
use crate::clock::Time;
use crate::control::Control;
use crate::datapath::userspace::Workers;
use crate::plan::{Plan, PortId};
use crate::ports::DaemonHost;
use crate::report::{CallSnapshot, Termination};

/// Signalling and what it drives. Every method leaves no action undone.
pub(super) struct Node {
    control: Control,
    engine: Engine,
}

struct Engine {
    calls: Calls,
    host: DaemonHost,
    workers: Workers,
}

impl Node {
    pub(super) fn new(control: Control, calls: Calls, host: DaemonHost, workers: Workers) -> Node {
        Node {
            control,
            engine: Engine { calls, host, workers },
        }
    }

    /// Answers a datagram. The plans it led to are on their way to the workers when this returns.
    pub(super) fn handle_datagram(&mut self, now: Time, datagram: &[u8]) -> Option<Vec<u8>> {
        let Node { control, engine } = self;
        control.handle(now, datagram, &mut |command| {
            let reply = engine.calls.handle(now, command, &mut engine.host);
            engine.act();
            reply
        })
    }

    /// When [`Node::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.engine.calls.poll_timeout()
    }

    /// Ends what has timed out.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        let ended = self.engine.calls.handle_timeout(now, &mut self.engine.host);
        self.engine.act();
        log_ended(&ended);
    }

    /// Frees ports whose sockets a worker has closed.
    pub(super) fn give_back(&mut self, ports: &[PortId]) {
        self.engine.host.give_back(ports);
    }

    /// Ends all calls.
    pub(super) fn end(&mut self, now: Time) {
        let ended = self.engine.calls.end_all(now, &mut self.engine.host);
        self.engine.act();
        log_ended(&ended);
    }

    /// Ends the workers.
    pub(super) fn stop(self) {
        self.engine.workers.stop();
    }

    pub(super) fn session_count(&self) -> usize {
        self.engine.calls.session_count()
    }

    pub(super) fn ports_in_use(&self) -> usize {
        self.engine.host.usage().map(|usage| usage.used).sum()
    }
}

impl Engine {
    fn act(&mut self) {
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
                Action::End(call) => self.workers.end(call),
            }
        }
    }

    fn new_sockets(&mut self, plan: &Plan) -> Vec<(PortId, UdpSocket)> {
        let ports = plan.streams.iter().flat_map(|stream| &stream.ports);
        ports
            .filter_map(|port| Some((port.id, self.host.take_socket(port.id)?)))
            .collect()
    }
}

fn log_ended(calls: &[CallSnapshot]) {
    for call in calls {
        let reason = call.ended.map(Termination::as_str);
        tracing::info!(
            call_id = call.call_id,
            reason,
            age = call.age.as_secs_f32(),
            rtp_packets = call.rtp.packets,
            "call ended"
        );
    }
}
