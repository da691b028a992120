//! What a worker does for orders: calls come, change, go, and change hands.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TryRecvError;

use smallvec::SmallVec;

use super::super::orders::{Arrival, Command, Mailbox, Merge, NewSockets, Order};
use super::super::socket::MediaSocket;
use super::{Call, Token, Worker};
use crate::clock::Time;
use crate::datapath::kernel::Offloader;
use crate::plan::{CallKey, Plan, PortId};
use crate::session::{Expected, Session};

impl<R: Fn(Vec<PortId>)> Worker<R> {
    /// Does some of what somebody has said. False: stop.
    pub(super) fn take_commands(&mut self, now: Time) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.backlog.push(command),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.backlog.push(Command::Stop);
                    break;
                }
            }
        }
        let mut done = 0;
        while let Some(command) = self.backlog.next(done) {
            done += 1;
            match command {
                Command::Order(call, order) => self.take_order(now, call, order),
                Command::Arrive(arrival) => self.arrive(now, arrival),
                Command::Stop => {
                    self.end_all();
                    return false;
                }
            }
        }
        true
    }

    fn take_order(&mut self, now: Time, call: CallKey, order: Order) {
        if let Some(queue) = self.waiting.get_mut(&call) {
            queue.push_back(order);
        } else if let Some(order) = self.carry_out(now, call, order) {
            self.waiting.insert(call, VecDeque::from([order]));
        }
    }

    /// Gives an order back that has to wait.
    fn carry_out(&mut self, now: Time, call: CallKey, order: Order) -> Option<Order> {
        match order {
            Order::Apply(plan, new_sockets) => self.apply(now, plan, new_sockets),
            Order::End => self.end(call),
            Order::Leave(to) => self.leave(call, &to),
            Order::Merge(merge) => match self.arrived.remove(&merge.from) {
                Some(arrival) => self.merge(now, merge, arrival),
                None => return Some(Order::Merge(merge)),
            },
        }
        self.bell.done.fetch_add(1, Ordering::Release);
        None
    }

    fn arrive(&mut self, now: Time, arrival: Arrival) {
        let from = arrival.call;
        self.arrived.insert(from, arrival);
        let is_awaited = |queue: &VecDeque<Order>| matches!(queue.front(), Some(Order::Merge(merge)) if merge.from == from);
        let mut waiting = self.waiting.iter();
        let Some(call) = waiting.find_map(|(call, queue)| is_awaited(queue).then_some(*call)) else {
            return;
        };
        let mut queue = self.waiting.remove(&call).unwrap_or_default();
        while let Some(order) = queue.pop_front() {
            if let Some(order) = self.carry_out(now, call, order) {
                queue.push_front(order);
                self.waiting.insert(call, queue);
                return;
            }
        }
    }

    fn apply(&mut self, now: Time, plan: Plan, new_sockets: NewSockets) {
        let index = self.index_of(plan.call);
        self.add_sockets(index, new_sockets);
        let progress = (plan.progress.clone(), plan.revision);
        count_kernel(&self.offloader, &mut self.calls[index].session);
        self.calls[index].session.handle_plan(now, plan);
        self.calls[index].progress = Some(progress);
        self.follow_plan(index);
    }

    fn merge(&mut self, now: Time, merge: Merge, arrival: Arrival) {
        let index = self.index_of(merge.plan.call);
        self.add_sockets(index, merge.new_sockets);
        for socket in arrival.sockets {
            self.watch(index, socket);
        }
        let progress = (merge.plan.progress.clone(), merge.plan.revision);
        self.calls[index].progress = Some(progress);
        let session = &mut self.calls[index].session;
        count_kernel(&self.offloader, session);
        match arrival.session {
            Some(mut other) => {
                count_kernel(&self.offloader, &mut other);
                session.absorb(now, *other, merge.offset, merge.plan);
            }
            None => session.handle_plan(now, merge.plan),
        }
        self.follow_plan(index);
    }

    /// Another worker goes on with the call. Its flows leave the kernel, as the rules are this worker's; the other one
    /// brings them back.
    fn leave(&mut self, key: CallKey, to: &Mailbox) {
        let call = self.indices.remove(&key).map(|index| {
            let call = self.calls.remove(index);
            if let Some(due) = call.timer {
                self.timers.remove(&(due, index));
            }
            call
        });
        let (session, sockets) = match call {
            Some(Call {
                mut session, sockets, ..
            }) => {
                session.leave_kernel();
                (Some(Box::new(session)), sockets)
            }
            None => (None, SmallVec::new()),
        };
        for socket in &sockets {
            self.offloader.withdraw(socket.port);
            self.owners.remove(&socket.port);
            if let Err(error) = self.epoll.delete(&socket.socket) {
                tracing::error!(port = ?socket.port, %error, "a media port cannot change hands");
            }
        }
        let arrival = Arrival {
            call: key,
            session,
            sockets,
        };
        if !to.send(Command::Arrive(arrival)) {
            tracing::error!(call = ?key, "a worker is gone");
        }
    }

    /// Makes the sockets what the session's plan says, and does what the session wants done.
    fn follow_plan(&mut self, index: usize) {
        let call = &mut self.calls[index];
        for (port, tos) in call.session.ports() {
            match call.sockets.iter_mut().find(|socket| socket.port == port) {
                Some(socket) => socket.set_tos(tos),
                None => tracing::error!(?port, call = ?call.session.call(), "a planned port has no socket"),
            }
        }
        self.follow_up(index);
        let call = &mut self.calls[index];
        let session = &call.session;
        let (kept, dropped): (SmallVec<[MediaSocket; 4]>, SmallVec<[MediaSocket; 4]>) = call
            .sockets
            .drain(..)
            .partition(|socket| session.has_port(socket.port));
        call.sockets = kept;
        self.close(dropped);
        self.publish_progress(index);
    }

    fn end(&mut self, key: CallKey) {
        let Some(index) = self.indices.remove(&key) else {
            return;
        };
        let mut call = self.calls.remove(index);
        if let Some(due) = call.timer {
            self.timers.remove(&(due, index));
        }
        call.session.close();
        call.send_own();
        self.close(call.sockets);
    }

    fn end_all(&mut self) {
        let calls: Vec<CallKey> = self.indices.keys().copied().collect();
        for call in calls {
            self.end(call);
        }
        for (_, arrival) in std::mem::take(&mut self.arrived) {
            self.close(arrival.sockets);
        }
    }

    fn index_of(&mut self, key: CallKey) -> usize {
        *self.indices.entry(key).or_insert_with(|| {
            self.calls.insert(Call {
                session: Session::new(key),
                sockets: SmallVec::new(),
                timer: None,
                has_turn: false,
                progress: None,
            })
        })
    }

    fn add_sockets(&mut self, index: usize, sockets: NewSockets) {
        for (port, socket) in sockets {
            self.watch(
                index,
                MediaSocket {
                    port,
                    socket,
                    tos: 0,
                    round: 0,
                    expected: Expected::default(),
                    bucket: 0,
                },
            );
        }
    }

    fn watch(&mut self, index: usize, socket: MediaSocket) {
        let port = socket.port;
        let token = Token { call: index, port };
        if let Err(error) = self.epoll.add(&socket.socket, token.event()) {
            tracing::error!(?port, %error, "a media port cannot be watched");
        }
        self.owners.insert(port, index);
        self.calls[index].sockets.push(socket);
    }

    /// Takes ports out of the kernel, closes them and reports them.
    fn close(&mut self, sockets: SmallVec<[MediaSocket; 4]>) {
        if sockets.is_empty() {
            return;
        }
        let ports: Vec<PortId> = sockets.iter().map(|socket| socket.port).collect();
        for port in &ports {
            self.offloader.withdraw(*port);
            self.owners.remove(port);
        }
        drop(sockets);
        (self.released)(ports);
    }
}

/// Hands in what the kernel counted of SRTP, while it is known under which key.
fn count_kernel(offloader: &Offloader, session: &mut Session) {
    for port in session.all_uncounted() {
        session.handle_counts(port, &offloader.counters(port));
    }
}
