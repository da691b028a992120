//! What workers are told, by the control thread and by each other.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use nix::sys::eventfd::EventFd;
use smallvec::SmallVec;

use super::worker::MediaSocket;
use crate::plan::{CallKey, Plan, PortId};
use crate::session::Session;

/// What a worker is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Something to be done for a call. Orders for one call are carried out one after the other.
    Order(CallKey, Order),
    /// A call comes over from the worker that had it.
    Arrive(Arrival),
    /// Ends all calls and the worker.
    Stop,
}

/// What is to be done for a call.
#[derive(Debug)]
pub(super) enum Order {
    /// Do what the plan says.
    Apply(Plan, NewSockets),
    /// Close everything.
    End,
    /// Hand the call over to another worker: its streams go on as part of another call.
    Leave(Mailbox),
    /// Take over a call's streams when it has arrived; later orders wait until then.
    Merge(Merge),
}

/// Sockets of ports that no earlier plan of the call named.
pub(super) type NewSockets = Vec<(PortId, UdpSocket)>;

/// A call that becomes part of another one.
#[derive(Debug)]
pub(super) struct Merge {
    /// The call that ends.
    pub(super) from: CallKey,
    /// By how much the ids of its streams grow.
    pub(super) offset: u32,
    /// The plan for all streams, under their new ids.
    pub(super) plan: Plan,
    /// Sockets that the plan needs besides those that either call has.
    pub(super) new_sockets: NewSockets,
}

/// A call on its way. Its sockets stay open: what arrives meanwhile waits in them.
#[derive(Debug)]
pub(super) struct Arrival {
    /// The call.
    pub(super) call: CallKey,
    /// Its media; none if it never had a plan.
    pub(super) session: Option<Box<Session>>,
    /// Its sockets.
    pub(super) sockets: SmallVec<[MediaSocket; 4]>,
}

/// The way to a worker.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    commands: Sender<Command>,
    wake: Arc<EventFd>,
}

impl Mailbox {
    pub(super) fn new(commands: Sender<Command>, wake: Arc<EventFd>) -> Mailbox {
        Mailbox { commands, wake }
    }

    /// Says whether there is still somebody who reads it.
    #[must_use]
    pub(super) fn send(&self, command: Command) -> bool {
        let sent = self.commands.send(command).is_ok();
        poke(&self.wake);
        sent
    }
}

/// Wakes a worker. The only failure, a counter at its limit, means that it is awake already.
pub(super) fn poke(wake: &EventFd) {
    let _ = wake.write(1);
}
