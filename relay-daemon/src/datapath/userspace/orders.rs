//! What workers are told, by the control thread and by each other.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use nix::sys::eventfd::{EfdFlags, EventFd};
use smallvec::SmallVec;

use super::socket::MediaSocket;
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
    bell: Arc<Bell>,
}

impl Mailbox {
    pub(super) fn new(commands: Sender<Command>, bell: Arc<Bell>) -> Mailbox {
        Mailbox { commands, bell }
    }

    /// Puts a command in without a sound: the worker finds it at the latest when [`Mailbox::ring`] is called, and in any
    /// case before a packet that arrives later. Says whether there is still somebody who reads it.
    #[must_use]
    pub(super) fn put(&self, command: Command) -> bool {
        self.commands.send(command).is_ok()
    }

    /// Wakes the worker.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// Both.
    #[must_use]
    pub(super) fn send(&self, command: Command) -> bool {
        let sent = self.put(command);
        self.ring();
        sent
    }
}

/// What wakes a worker.
#[derive(Debug)]
pub(super) struct Bell {
    event: EventFd,
    /// It has been rung, and nobody has come yet: once is enough.
    rung: AtomicBool,
    /// How many orders the worker has carried out.
    pub(super) done: AtomicU64,
}

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        Ok(Bell {
            event: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
            rung: AtomicBool::new(false),
            done: AtomicU64::new(0),
        })
    }

    /// Whatever was put into queues before is seen by whoever answers.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // The only failure, a counter at its limit, means that the worker is awake already.
            let _ = self.event.write(1);
        }
    }

    /// To be called before the queues are emptied, so that what comes later rings again.
    pub(super) fn answer(&self) {
        // In this order: whoever finds the bell rung already has been heard.
        let _ = self.event.read();
        self.rung.swap(false, Ordering::AcqRel);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
