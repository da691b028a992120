//! Workers and their sockets: the userspace datapath.
//!
//! Each worker is a thread of its own with an epoll loop. It owns the sessions and the sockets of its
//! calls; nobody else touches them. Plans reach it through a queue, and what it knows leaves it through
//! the [`crate::plan::StreamStatus`] of the streams.

mod batch;
mod orders;
mod worker;

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};

use nix::sys::eventfd::{EfdFlags, EventFd};

use self::orders::{Command, Mailbox, Merge, Order, poke};
use self::worker::Worker;
use super::kernel::Kernel;
use crate::dtls::Context;
use crate::plan::{CallKey, Plan, PortId};

/// The worker threads.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Handle>,
}

impl Workers {
    /// Starts so many threads, at least one. `dtls` makes associations with parties. `released` is called on a worker's thread with the ports that it
    /// has closed: they may be bound again.
    pub fn start<R>(count: usize, kernel: &Kernel, dtls: &Context, released: R) -> io::Result<Workers>
    where
        R: Fn(Vec<PortId>) + Send + Sync + Clone + 'static,
    {
        let workers = (0..count.max(1))
            .map(|index| Handle::start(index, kernel, dtls.clone(), released.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Workers { workers })
    }

    /// Hands a plan to the call's worker, with the sockets of the ports that no earlier plan of the call named:
    /// non-blocking, and bound to the address that the plan says.
    pub fn apply(&self, plan: Plan, new_sockets: Vec<(PortId, UdpSocket)>) {
        self.send(plan.call, Order::Apply(plan, new_sockets));
    }

    /// Makes one call of two. The streams of `from` go on under ids that are greater by `offset`, as the plan has
    /// them, on the worker of the plan's call; learned sources, counters and sockets stay. What arrives while they
    /// change hands is relayed afterwards.
    pub fn merge(&self, from: CallKey, offset: u32, plan: Plan, new_sockets: Vec<(PortId, UdpSocket)>) {
        let into = plan.call;
        let merge = Merge {
            from,
            offset,
            plan,
            new_sockets,
        };
        self.send(into, Order::Merge(merge));
        self.send(from, Order::Leave(self.worker(into).mailbox.clone()));
    }

    /// Ends the media of a call; its ports are released.
    pub fn end(&self, call: CallKey) {
        self.send(call, Order::End);
    }

    /// Ends the media of all calls and waits for the threads.
    pub fn stop(self) {
        drop(self);
    }

    fn send(&self, call: CallKey, order: Order) {
        self.worker(call).send(Command::Order(call, order));
    }

    fn worker(&self, call: CallKey) -> &Handle {
        // The remainder is below the length, whatever the width of usize.
        let index = call.0 % self.workers.len() as u64;
        &self.workers[usize::try_from(index).unwrap_or(0)]
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.send(Command::Stop);
        }
        for worker in self.workers.drain(..) {
            if worker.thread.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
    }
}

#[derive(Debug)]
struct Handle {
    mailbox: Mailbox,
    thread: JoinHandle<()>,
}

impl Handle {
    fn start<R>(index: usize, kernel: &Kernel, dtls: Context, released: R) -> io::Result<Handle>
    where
        R: Fn(Vec<PortId>) + Send + 'static,
    {
        let (commands, queue) = channel();
        let wake = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC,
        )?);
        let offloader = kernel.offloader({
            let wake = Arc::clone(&wake);
            move || poke(&wake)
        });
        let mut worker = Worker::new(
            Arc::clone(&wake),
            queue,
            offloader,
            kernel.slots(),
            dtls,
            released,
        )?;
        let thread = Builder::new()
            .name(format!("relay-worker-{index}"))
            .spawn(move || worker.run())?;
        Ok(Handle {
            mailbox: Mailbox::new(commands, wake),
            thread,
        })
    }

    fn send(&self, command: Command) {
        if !self.mailbox.send(command) {
            tracing::error!(thread = self.thread.thread().name(), "a worker is gone");
        }
    }
}
