//! Where packets come in and leave the host: the program's attachments, and next hops.
//!
//! A rule names an entry of the program's route array. Entries are shared by all rules of the same
//! [`RouteKey`]. One thread asks the kernel for them, keeps their neighbours alive and follows every
//! change; a worker that wants one either finds it, or hears from that thread.
//!
//! An entry has one copy. To change it, it is made invalid first (the program then passes the packets
//! to userspace), and written after a grace period.

mod keeper;
mod path_mtu;
mod resolve;
mod stack;
mod stale;
mod table;

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};
pub(crate) use table::{Mailbox, TableFull};

use self::keeper::Keeper;
use self::table::Table;
use super::attach::{Attached, Attacher};
use super::grace::Grace;
use super::memory::{SharedArray, SharedRoute};
use super::{Attachment, KernelError};
use crate::plan::{OffloadRule, PortId, UserspaceReason};
use crate::supervise;

/// What decides about the next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RouteKey {
    /// Source of the relayed packets.
    pub(crate) source: IpAddr,
    /// Their destination.
    pub(crate) destination: IpAddr,
    /// Their TOS or traffic class.
    pub(crate) tos: u8,
    /// Their ports (source, destination), where routes depend on them.
    pub(crate) ports: Option<(u16, u16)>,
}

/// Index into the program's route array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RouteIndex(pub(crate) u32);

/// What is known of a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HopState {
    /// Being looked up.
    Resolving,
    /// The program may use it.
    Ready,
    /// Packets stay in userspace.
    Refused(UserspaceReason),
}

/// The route array and the thread that fills it. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Routes {
    requests: Arc<RouteRequests>,
    thread: Option<JoinHandle<()>>,
}

impl Routes {
    /// Attaches the program, and starts the thread, in the network namespace of the calling one.
    pub(crate) fn start(
        array: SharedArray<SharedRoute>,
        grace: Arc<Grace>,
        attacher: Attacher,
    ) -> Result<Routes, KernelError> {
        let requests = Arc::new(RouteRequests::unattended(array.len()).map_err(KernelError::Routes)?);
        let keeper = Keeper::begin(requests.clone(), array, grace, attacher)?;
        let thread = supervise::spawn("relay-routes", move || keeper.run()).map_err(KernelError::Routes)?;
        Ok(Routes {
            requests,
            thread: Some(thread),
        })
    }

    /// Where workers ask.
    pub(crate) fn requests(&self) -> Arc<RouteRequests> {
        self.requests.clone()
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        self.requests.stopping.store(true, Ordering::Release);
        self.requests.wake();
        if let Some(thread) = self.thread.take() {
            // One that panics ends the process.
            let _ = thread.join();
        }
    }
}

/// Where workers ask for next hops. No call waits for the kernel.
#[derive(Debug)]
pub(crate) struct RouteRequests {
    table: Table,
    attached: Mutex<Attached>,
    /// Whether the ports belong into the keys.
    by_port: AtomicBool,
    /// Counts the changes of these two.
    changes: AtomicU64,
    wake: EventFd,
    barrier_wanted: AtomicBool,
    stopping: AtomicBool,
}

impl RouteRequests {
    /// Requests for an array of so many entries, with nobody behind it yet.
    pub(crate) fn unattended(capacity: usize) -> io::Result<RouteRequests> {
        Ok(RouteRequests {
            table: Table::new(capacity),
            attached: Mutex::default(),
            by_port: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            barrier_wanted: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        })
    }

    /// A mailbox for the ports of one worker; `waker` is called when something came.
    pub(crate) fn mailbox(&self, waker: impl Fn() + Send + Sync + 'static) -> Arc<Mailbox> {
        self.table.mailbox(Box::new(waker))
    }

    /// Whether the program sees packets to a local address.
    pub(crate) fn is_attached(&self, address: IpAddr) -> bool {
        self.attached().addresses.contains(&address)
    }

    /// Why the program does not see the packets to a local address.
    pub(crate) fn refusal(&self, address: IpAddr) -> Option<UserspaceReason> {
        let attached = self.attached();
        if attached.addresses.contains(&address) {
            return None;
        }
        Some(match attached.kept_out.contains(&address) {
            true => UserspaceReason::DeviceNotAllowed,
            false => UserspaceReason::NotAttached,
        })
    }

    /// Where the program is attached.
    pub(crate) fn attachments(&self) -> Vec<Attachment> {
        self.attached().devices.clone()
    }

    /// The key of a rule.
    pub(crate) fn key(&self, rule: &OffloadRule) -> RouteKey {
        let by_port = self.by_port.load(Ordering::Acquire);
        RouteKey {
            source: rule.new_source.ip(),
            destination: rule.new_destination.ip(),
            tos: rule.tos,
            ports: by_port.then_some((rule.new_source.port(), rule.new_destination.port())),
        }
    }

    /// A number that is another one whenever attachments or keys may be others.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Publishes where the program is attached, and tells the workers.
    pub(crate) fn set_attached(&self, attached: Attached) {
        let before = std::mem::replace(&mut *self.attached(), attached.clone());
        if before != attached {
            self.announce_change();
        }
    }

    /// Publishes whether keys need ports, and tells the workers.
    pub(crate) fn set_by_port(&self, by_port: bool) {
        if self.by_port.swap(by_port, Ordering::AcqRel) != by_port {
            self.announce_change();
        }
    }

    fn announce_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        for mailbox in self.table.mailboxes() {
            mailbox.wake();
        }
    }

    fn attached(&self) -> MutexGuard<'_, Attached> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry of a key, from now on used by a port. Changes come into the mailbox until it is
    /// released. A port that uses the entry already goes on using it.
    pub(crate) fn acquire(
        &self,
        key: RouteKey,
        port: PortId,
        mailbox: &Arc<Mailbox>,
    ) -> Result<(RouteIndex, HopState), TableFull> {
        let acquired = self.table.acquire(key, port, mailbox)?;
        if acquired.is_new {
            self.wake();
        }
        Ok((acquired.index, acquired.state))
    }

    /// A port uses an entry no longer.
    pub(crate) fn release(&self, index: RouteIndex, port: PortId) {
        self.table.release(index, port);
    }

    /// Has a barrier run soon.
    pub(crate) fn request_barrier(&self) {
        if !self.barrier_wanted.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// What the keeper would find out.
    #[cfg(test)]
    pub(crate) fn publish(&self, index: RouteIndex, state: HopState) {
        let _ = self.table.publish([(index, state)]);
    }

    fn wake(&self) {
        // It fails only when the counter is full, and then the thread is awake.
        let _ = self.wake.write(1);
    }
}
