//! Next hops: how the packets of a rule leave the host.
//!
//! A rule names an entry of the program's route array. Entries are shared by all rules of the same
//! [`RouteKey`]. One thread asks the kernel for them, keeps their neighbours alive and follows every
//! change; a worker that wants one either finds it, or hears from that thread.
//!
//! An entry has one copy. To change it, it is made invalid first (the program then passes the packets
//! to userspace), and written after a grace period.

mod keeper;
mod resolve;
mod table;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use nix::sys::eventfd::{EfdFlags, EventFd};
pub(crate) use table::{Mailbox, TableFull};

use self::keeper::Keeper;
use self::table::Table;
use super::grace::Grace;
use super::memory::{SharedArray, SharedRoute};
use crate::plan::{OffloadRule, PortId, UserspaceReason};

/// What decides about the next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RouteKey {
    /// Source of the relayed packets.
    pub(crate) source: IpAddr,
    /// Their destination.
    pub(crate) destination: IpAddr,
    /// Their TOS or traffic class.
    pub(crate) tos: u8,
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

/// Through which devices packets may be redirected.
#[derive(Clone, Debug)]
pub(crate) struct Exits {
    pub(crate) redirect: Redirect,
    /// Their names; none if it may be any.
    pub(crate) only: Option<Vec<String>>,
}

/// Through which devices packets can be redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// From the stack's entry: any Ethernet device.
    Generic,
    /// From a driver: devices that take such frames (`NETDEV_XDP_ACT_NDO_XMIT`).
    Native,
}

/// The route array and the thread that fills it. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Routes {
    desk: Arc<RouteDesk>,
    thread: Option<JoinHandle<()>>,
}

impl Routes {
    /// Starts the thread, in the network namespace of the calling one.
    pub(crate) fn start(
        array: SharedArray<SharedRoute>,
        grace: Arc<Grace>,
        exits: Exits,
    ) -> io::Result<Routes> {
        let desk = Arc::new(RouteDesk::unattended(array.len())?);
        let keeper = Keeper::new(desk.clone(), array, grace, exits)?;
        let thread = Builder::new()
            .name("relay-routes".into())
            .spawn(move || keeper.run())?;
        Ok(Routes {
            desk,
            thread: Some(thread),
        })
    }

    /// Where workers ask.
    pub(crate) fn desk(&self) -> Arc<RouteDesk> {
        self.desk.clone()
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        self.desk.stopping.store(true, Ordering::Release);
        self.desk.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that follows routes had panicked");
        }
    }
}

/// Where workers ask for next hops. No call waits for the kernel.
#[derive(Debug)]
pub(crate) struct RouteDesk {
    table: Table,
    wake: EventFd,
    barrier_wanted: AtomicBool,
    stopping: AtomicBool,
}

impl RouteDesk {
    /// A desk for an array of so many entries, with nobody behind it yet.
    pub(crate) fn unattended(capacity: usize) -> io::Result<RouteDesk> {
        Ok(RouteDesk {
            table: Table::new(capacity),
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            barrier_wanted: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        })
    }

    /// A mailbox for the ports of one worker; `waker` is called when something came.
    pub(crate) fn mailbox(&self, waker: impl Fn() + Send + Sync + 'static) -> Arc<Mailbox> {
        self.table.mailbox(Box::new(waker))
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

impl RouteKey {
    /// The key of a rule.
    pub(crate) fn of(rule: &OffloadRule) -> RouteKey {
        RouteKey {
            source: rule.new_source.ip(),
            destination: rule.new_destination.ip(),
            tos: rule.tos,
        }
    }
}
