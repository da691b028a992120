//! One worker thread: an epoll loop over the sockets of its calls.

mod calls;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use slab::Slab;
use smallvec::SmallVec;

use super::backlog::Backlog;
use super::batch::{Batch, RECEIVE};
use super::delay::{Delays, Published};
use super::orders::{Arrival, Bell, Command, Order};
use super::pace::Pace;
use super::socket::{MediaSocket, find_socket};
use super::turns::Turns;
use crate::clock::{Stamps, Time};
use crate::datapath::kernel::{Offloader, Slots};
use crate::plan::{CallKey, PortId, Progress};
use crate::prefetch::prefetch;
use crate::session::{Event, Fetch, Session};
use crate::supervise::Ending;

/// How many sockets one wait reports; further ones wait their turn.
const EVENTS: usize = 256;

/// For how many sockets memory is fetched in advance: what is fetched for more may be gone again when it is needed.
const FETCHED: usize = 16;

/// How many timers of calls expire in a round: what they send is no more than what a round relays.
const TIMERS: usize = 16;

/// What a worker thread owns.
pub(super) struct Worker<R> {
    epoll: Epoll,
    bell: Arc<Bell>,
    commands: Receiver<Command>,
    /// What has come by them, and waits for its turn.
    backlog: Backlog,
    offloader: Offloader,
    slots: Slots,
    released: R,
    calls: Slab<Call>,
    indices: HashMap<CallKey, usize>,
    /// Which call has a port.
    owners: HashMap<PortId, usize>,
    /// When calls want to be woken.
    timers: BTreeSet<(Time, usize)>,
    /// Orders of calls that wait for another call to arrive: that is what each first one is about.
    waiting: HashMap<CallKey, VecDeque<Order>>,
    /// Calls that have arrived before anybody waited for them.
    arrived: HashMap<CallKey, Arrival>,
    /// Counts how often the worker looked for packets.
    round: u64,
    /// The calls with handshakes.
    turns: Turns,
    /// How long packets took.
    delays: Delays,
    published: Arc<Published>,
}

struct Call {
    session: Session,
    sockets: SmallVec<[MediaSocket; 4]>,
    /// As it stands in [`Worker::timers`].
    timer: Option<Time>,
    /// Whether it stands in [`Worker::turns`].
    has_turn: bool,
    /// Where to say that a plan is carried out, and which, until that is so.
    progress: Option<(Progress, u32)>,
}

/// What epoll says of a socket.
struct Token {
    call: usize,
    port: PortId,
}

/// What epoll says of the bell.
const WAKE: u64 = u64::MAX;

impl<R: Fn(Vec<PortId>)> Worker<R> {
    pub(super) fn new(
        (bell, commands): (Arc<Bell>, Receiver<Command>),
        (offloader, slots): (Offloader, Slots),
        released: R,
        published: Arc<Published>,
    ) -> io::Result<Worker<R>> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&*bell, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Worker {
            epoll,
            bell,
            commands,
            backlog: Backlog::default(),
            offloader,
            slots,
            released,
            calls: Slab::new(),
            indices: HashMap::new(),
            owners: HashMap::new(),
            timers: BTreeSet::new(),
            waiting: HashMap::new(),
            arrived: HashMap::new(),
            round: 0,
            turns: Turns::default(),
            delays: Delays::new(Time::read()),
            published,
        })
    }

    /// Runs until it is told to stop, or cannot go on. While it is busy, packets gather for so long.
    pub(super) fn run(&mut self, gather: Duration) -> Ending {
        let mut batch = Batch::new();
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut pace = Pace::new(gather);
        loop {
            if let Some(pause) = pace.pause().filter(|_| !self.has_work()) {
                thread::sleep(pause);
            }
            let ready = match self.epoll.wait(&mut events, self.time_to_wait()) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(error) => {
                    // Not with these arguments; without sockets there is nothing left to do.
                    tracing::error!(%error, "a worker cannot wait for packets");
                    return Ending::Broken;
                }
            };
            let now = Time::read();
            let events = &events[..ready];
            if events.iter().any(|event| event.data() == WAKE) {
                self.bell.answer();
                self.update_paths();
            }
            // First of all, so that a plan holds for every packet that came after it, also before the bell rings for it.
            if !self.take_commands(now) {
                return Ending::Wanted;
            }
            self.round += 1;
            let stamps = Stamps::read(now);
            let mut packets = 0;
            for events in events.chunks(FETCHED) {
                self.fetch(events);
                for event in events.iter().filter(|event| event.data() != WAKE) {
                    packets += self.receive((now, stamps), Token::of(event), &mut batch);
                }
            }
            self.expire_timers(now);
            self.shake_hands(now);
            let end = Time::read();
            pace.note(now, end, packets);
            self.delays.publish(end, &self.published);
        }
    }

    /// Whether there is something to do that nobody has to be waited for.
    fn has_work(&self) -> bool {
        !self.turns.is_empty() || !self.backlog.is_empty()
    }

    /// Has some calls go on with their handshakes. All others' packets wait for that.
    fn shake_hands(&mut self, now: Time) {
        let mut steps = 0;
        while let Some(index) = self.turns.next(steps) {
            // The call may have ended since.
            let Some(call) = self.calls.get_mut(index) else {
                continue;
            };
            call.has_turn = false;
            if call.session.shake_hands(now) {
                steps += 1;
            }
            self.follow_up(index);
            self.publish_progress(index);
        }
    }

    /// Has the memory fetched that the packets of some sockets are going to need.
    fn fetch(&self, events: &[EpollEvent]) {
        if events.len() == 1 {
            return;
        }
        let tokens = || events.iter().map(Token::of);
        for Token { call, port } in tokens() {
            self.slots.fetch(port);
            self.calls.get(call).inspect(|call| prefetch(*call));
        }
        for what in Fetch::ALL {
            for Token { call, port } in tokens() {
                self.calls
                    .get(call)
                    .inspect(|call| call.session.fetch(port, what));
            }
        }
    }

    /// Relays what a socket has, up to a batch. Says how many packets there were.
    fn receive(&mut self, (now, stamps): (Time, Stamps), token: Token, batch: &mut Batch) -> usize {
        let Token { call: index, port } = token;
        // The call may have ended, or given up the port, since epoll reported it.
        let Some(call) = self.calls.get_mut(index) else {
            return 0;
        };
        // What a plan says holds for the packets that come after it.
        if self.backlog.has_orders_for(call.session.call()) {
            return 0;
        }
        let Some(socket) = call.sockets.iter_mut().find(|socket| socket.port == port) else {
            return 0;
        };
        // One packet is what most sockets have, and finding out that there is no other costs as much as another round.
        let limit = if socket.round + 1 == self.round {
            RECEIVE
        } else {
            1
        };
        socket.round = self.round;
        let (expected, mut bucket) = (socket.expected, socket.bucket);
        // Errors that the network reported to the socket are of no use here: the next packet tells again.
        let received = batch.receive(socket.socket.as_fd(), limit).unwrap_or(0);
        if received > 0 {
            for port in call.session.uncounted(port) {
                call.session.handle_counts(port, &self.offloader.counters(port));
            }
        }
        for datagram in 0..received {
            let arrived = batch.stamp(datagram).map_or(now, |stamp| stamps.time(stamp));
            let (source, bytes) = batch.datagram(datagram);
            if !expected.allows(source) && !self.slots.admit(now, port, source.ip(), &mut bucket) {
                continue;
            }
            call.session.handle_datagram(now, port, source, bytes);
            let packet = call.session.poll_received();
            if let Some(packet) = packet.filter(|_| call.session.expects(port, source)) {
                self.slots.count(arrived, &packet);
            }
            while let Some(transmit) = call.session.poll_transmit() {
                if batch.is_full() {
                    flush(batch, call);
                }
                let session = &mut call.session;
                batch.push(datagram, transmit, |datagram, copy| {
                    session.write(&transmit, datagram, copy)
                });
            }
        }
        flush(batch, call);
        if let Some(socket) = call.sockets.iter_mut().find(|socket| socket.port == port) {
            socket.bucket = bucket;
        }
        if received > 0 {
            let sent = Time::read();
            let stamped = (0..received).filter_map(|datagram| batch.stamp(datagram));
            stamped.for_each(|stamp| self.delays.note(stamps.time(stamp), sent));
        }
        self.follow_up(index);
        received
    }

    /// What the kernel datapath has to say.
    fn update_paths(&mut self) {
        for (port, path) in self.offloader.poll() {
            let Some(&index) = self.owners.get(&port) else {
                continue;
            };
            self.calls[index].session.handle_path(port, path);
            self.follow_up(index);
        }
    }

    fn expire_timers(&mut self, now: Time) {
        let mut expired = 0;
        while let Some(&(due, index)) = self.timers.first()
            && due <= now
            && expired < TIMERS
        {
            self.calls[index].session.handle_timeout(now);
            self.follow_up(index);
            expired += 1;
        }
    }

    /// Does what a session wants done, and notes when it wants to be woken.
    fn follow_up(&mut self, index: usize) {
        let call = &mut self.calls[index];
        while let Some(event) = call.session.poll_event() {
            match event {
                Event::Offload(rule) => {
                    if call.session.is_srtp(rule.port) {
                        let counters = self.offloader.counters(rule.port);
                        call.session.handle_counts(rule.port, &counters);
                    }
                    let path = self.offloader.offload(&rule);
                    call.session.handle_path(rule.port, path);
                }
                Event::Onload(port) => self.offloader.withdraw(port),
                Event::Report(now) => call.session.report(now, |port| self.slots.counters(port)),
            }
        }
        while let Some((port, expected)) = call.session.poll_expected() {
            self.slots.expect(port, expected);
            if let Some(socket) = call.sockets.iter_mut().find(|socket| socket.port == port) {
                socket.expected = expected;
            }
        }
        call.send_own();
        if call.session.has_handshakes() && !call.has_turn {
            call.has_turn = true;
            self.turns.queue(index);
        }
        let due = call.session.poll_timeout();
        if due != call.timer {
            if let Some(before) = call.timer {
                self.timers.remove(&(before, index));
            }
            self.timers.extend(due.map(|due| (due, index)));
            call.timer = due;
        }
    }

    /// Says that a plan is carried out, with the associations that it opens: who asks what came of it wants to know of those too.
    fn publish_progress(&mut self, index: usize) {
        let call = &mut self.calls[index];
        if !call.has_turn
            && let Some((progress, revision)) = call.progress.take()
        {
            progress.publish(revision);
        }
    }

    /// Until the next timer; never early.
    fn time_to_wait(&self) -> EpollTimeout {
        if self.has_work() {
            return EpollTimeout::ZERO;
        }
        let Some((due, _)) = self.timers.first() else {
            return EpollTimeout::NONE;
        };
        let wait = due.since(Time::read()) + Duration::from_nanos(999_999);
        EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX)
    }
}

impl Call {
    /// Sends the session's own datagrams.
    fn send_own(&mut self) {
        while let Some(datagram) = self.session.poll_datagram() {
            // What is lost is sent again.
            if let Some(socket) = find_socket(&self.sockets, datagram.from) {
                let _ = socket.send_to(datagram.bytes, datagram.to);
            }
        }
    }
}

impl Token {
    fn event(&self) -> EpollEvent {
        // There are fewer calls than ports, so the halves do not overlap.
        let data = (self.call as u64) << 32 | u64::from(self.port.0);
        EpollEvent::new(EpollFlags::EPOLLIN, data)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
    fn of(event: &EpollEvent) -> Token {
        Token {
            call: (event.data() >> 32) as usize,
            port: PortId(event.data() as u32),
        }
    }
}

/// Sends what the batch holds.
fn flush(batch: &mut Batch, call: &mut Call) {
    let Call { session, sockets, .. } = call;
    batch.flush(
        |port| find_socket(sockets, port).map(AsFd::as_fd),
        |transmit, length, sent| session.handle_sent(transmit, length, sent),
    );
}
