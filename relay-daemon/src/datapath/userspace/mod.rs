//! Workers and their sockets: the userspace datapath.
//!
//! Each worker is a thread of its own with an epoll loop. It owns the sessions and the sockets of its
//! calls; nobody else touches them. Plans reach it through a queue, and what it knows leaves it through
//! the [`crate::plan::StreamStatus`] of the streams.

mod backlog;
mod batch;
mod delay;
mod orders;
mod pace;
mod socket;
mod turns;
mod worker;

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

pub use self::delay::PacketDelays;
use self::delay::Published;
use self::orders::{Bell, Command, Mailbox, Merge, Order};
use self::worker::Worker;
use super::kernel::Kernel;
use crate::clock::Time;
use crate::config::Scheduling;
use crate::plan::{CallKey, Plan, PortId};
use crate::supervise;

/// The worker threads.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Handle>,
}

/// How long busy workers let packets gather, unless asked otherwise.
pub const GATHER_TIME: Duration = Duration::from_micros(400);

/// How many threads there are to be, and how they run.
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    /// At least one is started.
    pub count: usize,
    /// Bytes of stack; none leaves it to the system.
    pub stack: Option<usize>,
    /// How they are scheduled.
    pub scheduling: Scheduling,
    /// How long packets gather where a worker is busy; zero for not at all.
    pub gather: Duration,
}

impl Default for Threads {
    fn default() -> Threads {
        Threads {
            count: 1,
            stack: None,
            scheduling: Scheduling::default(),
            gather: GATHER_TIME,
        }
    }
}

impl From<usize> for Threads {
    fn from(count: usize) -> Threads {
        Threads {
            count,
            ..Threads::default()
        }
    }
}

impl Workers {
    /// Starts threads. `released` is called on a worker's thread with the ports that it
    /// has closed: they may be bound again.
    pub fn start<R>(threads: impl Into<Threads>, kernel: &Kernel, released: R) -> io::Result<Workers>
    where
        R: Fn(Vec<PortId>) + Send + Sync + Clone + 'static,
    {
        let threads = threads.into();
        let workers = (0..threads.count.max(1))
            .map(|index| Handle::start(index, threads, kernel, released.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Workers { workers })
    }

    /// Wakes the workers that have got something to do since. A worker that is awake sees to it before it relays any packet
    /// that arrives later, so whoever has something more urgent to do may call this afterwards. Says whether there was any.
    pub fn wake(&self) -> bool {
        let woken = self.workers.iter().filter(|worker| worker.wake());
        woken.count() > 0
    }

    /// Whether all that workers were told is done.
    pub fn is_done(&self) -> bool {
        self.workers.iter().all(Handle::is_done)
    }

    /// How long packets took through userspace of late.
    pub fn delays(&self, now: Time) -> PacketDelays {
        PacketDelays::of(now, self.workers.iter().map(|worker| &*worker.delays))
    }

    /// Hands a plan to the call's worker, which [`Workers::wake`] wakes, with the sockets of the ports that no earlier plan of the call named:
    /// non-blocking, and bound to the address that the plan says.
    pub fn apply(&self, plan: Plan, new_sockets: Vec<(PortId, UdpSocket)>) {
        self.send(plan.call, Order::Apply(plan, new_sockets));
    }

    /// Makes one call of two. The streams of `from` go on under ids that are greater by `offset`, as the plan has
    /// them, on the worker of the plan's call; learned sources, counters and sockets stay. What arrives while they
    /// change hands is relayed afterwards. Both workers are to be woken.
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

    /// Ends the media of a call when its worker is woken; its ports are released.
    pub fn end(&self, call: CallKey) {
        self.send(call, Order::End);
    }

    /// Ends the media of all calls and waits for the threads.
    pub fn stop(self) {
        drop(self);
    }

    fn send(&self, call: CallKey, order: Order) {
        self.worker(call).put(call, order);
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
            worker.stop();
        }
        for worker in self.workers.drain(..) {
            // One that panics ends the process.
            let _ = worker.thread.join();
        }
    }
}

#[derive(Debug)]
struct Handle {
    mailbox: Mailbox,
    bell: Arc<Bell>,
    delays: Arc<Published>,
    thread: JoinHandle<()>,
    /// There is something in the mailbox that it was not woken for.
    has_news: AtomicBool,
    /// How many orders it was given.
    given: AtomicU64,
}

impl Handle {
    fn start<R>(index: usize, threads: Threads, kernel: &Kernel, released: R) -> io::Result<Handle>
    where
        R: Fn(Vec<PortId>) + Send + 'static,
    {
        let (commands, queue) = channel();
        let bell = Arc::new(Bell::new()?);
        let offloader = kernel.offloader({
            let bell = Arc::clone(&bell);
            move || bell.ring()
        });
        let delays = Arc::new(Published::default());
        let channel = (Arc::clone(&bell), queue);
        let mut worker = Worker::new(
            channel,
            (offloader, kernel.slots()),
            released,
            Arc::clone(&delays),
        )?;
        let name = format!("relay-worker-{index}");
        let thread = supervise::spawn_on(threads.stack, &name, move || {
            threads.scheduling.apply();
            worker.run(threads.gather)
        })?;
        Ok(Handle {
            mailbox: Mailbox::new(commands, Arc::clone(&bell)),
            bell,
            delays,
            thread,
            has_news: AtomicBool::new(false),
            given: AtomicU64::new(0),
        })
    }

    fn put(&self, call: CallKey, order: Order) {
        self.given.fetch_add(1, Ordering::Relaxed);
        self.has_news.store(true, Ordering::Relaxed);
        if !self.mailbox.put(Command::Order(call, order)) {
            tracing::error!(thread = self.thread.thread().name(), "a worker is gone");
        }
    }

    /// Says whether it had to be.
    fn wake(&self) -> bool {
        let has_news = self.has_news.swap(false, Ordering::Relaxed);
        if has_news {
            self.mailbox.ring();
        }
        has_news
    }

    fn stop(&self) {
        // One that is gone need not be stopped.
        let _ = self.mailbox.send(Command::Stop);
    }

    fn is_done(&self) -> bool {
        self.bell.done.load(Ordering::Acquire) == self.given.load(Ordering::Relaxed)
    }
}
