//! The thread that fills the route array, keeps the program attached, and follows what changes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use relay_common::slot::Route;

use super::super::KernelError;
use super::super::attach::{Attached, Attacher, Snapshot};
use super::super::grace::{Grace, Stamp};
use super::super::memory::{SharedArray, SharedRoute};
use super::super::netlink::{Drained, Event, Events, Family, Neighbour, groups};
use super::path_mtu::{PathMtu, TooBig};
use super::resolve::{Hop, Resolution, Resolver, Via};
use super::stale::{Stale, keys};
use super::{HopState, RouteIndex, RouteKey, RouteRequests};
use crate::plan::UserspaceReason;
use crate::supervise::Ending;

/// How often everything is looked up again, whatever was heard: some settings change without an event (TTLs; path MTUs, where
/// [`PathMtu`] may not listen), and kernels before 5.16 keep a neighbour only as long as it is asked for. Also how long unused
/// entries stay.
const REFRESH: Duration = Duration::from_secs(30);

/// How long to wait before the sockets are opened again that reported an error.
const REOPEN: Duration = Duration::from_secs(1);

/// So many changed routes are looked at one by one; where more have changed, all next hops are looked up.
const FEW_ROUTES: usize = 64;

/// The share of its time that the thread may spend on looking up again, however busy routing is.
const PAUSE_PER_WORK: u32 = 4;

pub(super) struct Keeper {
    requests: Arc<RouteRequests>,
    array: SharedArray<SharedRoute>,
    grace: Arc<Grace>,
    attacher: Attacher,
    resolver: Resolver,
    events: Events,
    /// Of devices' abilities and of policies: whatever they say, everything is looked up again at once.
    event_sockets: Vec<Events>,
    path_mtu: PathMtu,
    hops: BTreeMap<RouteIndex, Hop>,
    /// What stands in the array, by index.
    published: Vec<Published>,
    stale: Stale,
    refresh_at: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Published {
    /// As last written; not valid once it was unpublished.
    route: Route,
    /// When it was unpublished.
    unpublished: Stamp,
}

impl Keeper {
    /// Opens the sockets and attaches the program, in the network namespace of the calling thread.
    pub(super) fn begin(
        requests: Arc<RouteRequests>,
        array: SharedArray<SharedRoute>,
        grace: Arc<Grace>,
        attacher: Attacher,
    ) -> Result<Keeper, KernelError> {
        let mut keeper = Keeper::open(requests, array, grace, attacher).map_err(KernelError::Netlink)?;
        let snapshot = keeper.snapshot().map_err(KernelError::Netlink)?;
        keeper.attacher.begin(&snapshot)?;
        keeper.after_attaching(&snapshot).map_err(KernelError::Netlink)?;
        Ok(keeper)
    }

    fn open(
        requests: Arc<RouteRequests>,
        array: SharedArray<SharedRoute>,
        grace: Arc<Grace>,
        attacher: Attacher,
    ) -> io::Result<Keeper> {
        let resolver = Resolver::open(attacher.config().clone())?;
        let now = Instant::now();
        Ok(Keeper {
            events: Events::open(Family::Route, &groups())?,
            event_sockets: resolver.event_sockets()?,
            path_mtu: PathMtu::open(),
            published: vec![Published::default(); array.len()],
            requests,
            array,
            grace,
            attacher,
            resolver,
            hops: BTreeMap::new(),
            stale: Stale::new(now),
            refresh_at: now + REFRESH,
        })
    }

    /// Runs until the requests end. Without netlink no route can be trusted: all are invalid until it is back.
    pub(super) fn run(mut self) -> Ending {
        while let Err(error) = self.follow() {
            tracing::error!(%error, "routes cannot be followed: all media goes through userspace meanwhile");
            let indices: Vec<RouteIndex> = self.hops.keys().copied().collect();
            self.refuse(&indices, HopState::Refused(UserspaceReason::NoRoute));
            self.reopen();
        }
        self.attacher.detach();
        self.requests.set_attached(Attached::default());
        self.resolver.keep_only(&HashSet::new());
        Ending::Wanted
    }

    /// Opens new sockets, again and again until that works or the requests end. Then all is looked up again.
    fn reopen(&mut self) {
        while !self.requests.stopping.load(Ordering::Acquire) {
            let mut wake = [PollFd::new(self.requests.wake.as_fd(), PollFlags::POLLIN)];
            // However it ends, the next thing to do is the same.
            let _ = poll(&mut wake, timeout(Some(Instant::now() + REOPEN)));
            let _ = self.requests.wake.read();
            match self.open_sockets() {
                Ok(()) => {
                    tracing::info!("routes are followed again");
                    self.stale.add_scene();
                    return;
                }
                Err(error) => tracing::debug!(%error, "routes cannot be followed yet"),
            }
        }
    }

    fn open_sockets(&mut self) -> io::Result<()> {
        let mut resolver = Resolver::open(self.attacher.config().clone())?;
        resolver.take_over(&self.resolver);
        self.event_sockets = resolver.event_sockets()?;
        self.events = Events::open(Family::Route, &groups())?;
        self.resolver = resolver;
        Ok(())
    }

    fn follow(&mut self) -> io::Result<()> {
        while !self.requests.stopping.load(Ordering::Acquire) {
            self.wait()?;
            self.turn()?;
        }
        Ok(())
    }

    /// Does what there is to do.
    fn turn(&mut self) -> io::Result<()> {
        // Reading clears it; it is not there when something else woke the thread.
        let _ = self.requests.wake.read();
        self.take_events()?;
        self.take_path_mtus();
        let fresh = self.requests.table.take_fresh();
        self.look_up(fresh);
        if self.requests.barrier_wanted.swap(false, Ordering::AcqRel) {
            self.run_barrier();
        }
        let now = Instant::now();
        if let Some(stale) = self.stale.take(now, &self.hops) {
            if stale.snapshot {
                self.follow_scene()?;
            }
            self.look_up(stale.keys);
            self.stale.resting_until = Instant::now() + now.elapsed() * PAUSE_PER_WORK;
        }
        if self.refresh_at <= now {
            self.refresh();
            self.refresh_at = now + REFRESH;
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        let mut fds = vec![
            PollFd::new(self.requests.wake.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.events.as_fd(), PollFlags::POLLIN),
        ];
        for events in &self.event_sockets {
            fds.push(PollFd::new(events.as_fd(), PollFlags::POLLIN));
        }
        let (routers, listen_at) = self.path_mtu.sockets(Instant::now());
        fds.extend(routers.map(|socket| PollFd::new(socket, PollFlags::POLLIN)));
        let has_to_refresh = !self.hops.is_empty() || self.attacher.is_incomplete();
        let refresh_at = has_to_refresh.then_some(self.refresh_at);
        let due = [self.stale.due(), refresh_at, listen_at]
            .into_iter()
            .flatten()
            .min();
        match poll(&mut fds, timeout(due)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn take_events(&mut self) -> io::Result<()> {
        let mut heard = Vec::new();
        let drained = self.events.drain(|message| heard.extend(Event::of(&message)))?;
        let mut urgent = BTreeSet::new();
        let routes = heard.iter().filter(|event| matches!(event, Event::Route(_)));
        if routes.count() > FEW_ROUTES {
            heard.retain(|event| !matches!(event, Event::Route(_)));
            let indices = self.indices(|_| true);
            self.doubt(indices);
        }
        for event in heard {
            self.handle_event(event, &mut urgent);
        }
        if drained == Drained::Lost {
            tracing::warn!("netlink events were lost: devices, addresses and routes are looked up again");
            self.stale.add_scene();
            urgent.extend(self.hops.keys());
        }
        for events in &mut self.event_sockets {
            let mut changed = false;
            let drained = events.drain(|_| changed = true)?;
            // A device that takes no more redirected frames loses them silently; and what is to be
            // encrypted must not leave any more.
            if changed || drained == Drained::Lost {
                self.resolver.forget_policies();
                urgent.extend(self.hops.keys());
            }
        }
        self.look_up(keys(&self.hops, urgent));
        Ok(())
    }

    /// Where a router says that packets were too big for it, the stack may by now have another MTU for the destination: the
    /// router is not believed, but the stack is asked.
    fn take_path_mtus(&mut self) {
        for TooBig { destination, mtu } in self.path_mtu.take(Instant::now()) {
            let is_lower = |index: &RouteIndex| self.route(*index).is_some_and(|route| mtu < route.mtu);
            let mut indices = self.indices(|hop| hop.key.destination == destination);
            indices.retain(is_lower);
            self.stale.add(indices);
        }
    }

    /// Invalidates what is certainly wrong now, and notes what else may be.
    fn handle_event(&mut self, event: Event, urgent: &mut BTreeSet<RouteIndex>) {
        match event {
            Event::Route(prefix) => {
                let indices = self.indices(|hop| prefix.contains(hop.key.destination));
                self.doubt(indices);
            }
            Event::Routing => self.stale.add_scene(),
            Event::Link(link) if link.is_up() => self.stale.add_scene(),
            Event::Link(link) => self.lose_device(link.ifindex),
            Event::LinkGone(ifindex) => self.lose_device(ifindex),
            Event::Neighbour(neighbour) => self.handle_neighbour(&neighbour, urgent),
            Event::NeighbourGone(neighbour) => {
                let indices = self.via(&neighbour);
                self.refuse(&indices, HopState::Resolving);
                urgent.extend(indices);
            }
        }
    }

    /// Has packets pass to the stack, which knows the way, until the routes of some next hops have been looked up again.
    fn doubt(&mut self, mut indices: Vec<RouteIndex>) {
        self.stale.add(indices.iter().copied());
        indices.retain(|index| self.is_published(*index));
        self.refuse(&indices, HopState::Resolving);
    }

    fn lose_device(&mut self, ifindex: u32) {
        let indices = self.indices(|hop| hop.resolution.leaves_by(ifindex));
        self.refuse(&indices, HopState::Refused(UserspaceReason::NoNeighbour));
        self.stale.add_scene();
    }

    /// Devices as they are now.
    fn snapshot(&mut self) -> io::Result<Snapshot> {
        self.resolver.snapshot()
    }

    /// Attaches the program where it belongs by now, and has the ports in the keys if they matter.
    fn follow_scene(&mut self) -> io::Result<()> {
        let snapshot = self.snapshot()?;
        // From a driver, packets may leave only by devices that take them: before the first one comes from there.
        if self.attacher.may_become_native(&snapshot) && self.resolver.set_from_drivers(true) {
            self.look_up(keys(&self.hops, self.hops.keys().copied()));
        }
        // The operator has been told of what went wrong.
        let _ = self.attacher.follow(&snapshot);
        self.after_attaching(&snapshot)
    }

    fn after_attaching(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        if self.resolver.set_from_drivers(self.attacher.is_native()) {
            self.stale.add_all();
        }
        self.requests.set_attached(self.attacher.attached(snapshot));
        self.requests.set_by_port(self.resolver.is_by_port()?);
        Ok(())
    }

    fn handle_neighbour(&mut self, neighbour: &Neighbour, urgent: &mut BTreeSet<RouteIndex>) {
        let mut indices = self.via(neighbour);
        if let Some(mac) = neighbour.usable_mac() {
            indices.retain(|index| !self.has_mac(*index, mac));
            urgent.extend(indices);
        } else if neighbour.has_failed() {
            self.refuse(&indices, HopState::Refused(UserspaceReason::NoNeighbour));
        } else {
            // Looked up from scratch. One that had failed counts as that until it answers.
            indices.retain(|index| self.is_published(*index));
            self.refuse(&indices, HopState::Resolving);
        }
    }

    /// Unpublishes routes and tells the workers why.
    fn refuse(&mut self, indices: &[RouteIndex], state: HopState) {
        for index in indices {
            self.unpublish(*index);
            let Some(hop) = self.hops.get_mut(index) else {
                continue;
            };
            let Some(via) = hop.resolution.via() else {
                continue;
            };
            hop.resolution = match state {
                HopState::Refused(reason) => Resolution::Refused(reason, Some(via)),
                HopState::Resolving | HopState::Ready => Resolution::Waiting(via),
            };
        }
        self.report_states(indices.iter().map(|index| (*index, state)));
    }

    /// Looks up some keys and publishes what came of it.
    fn look_up(&mut self, keys: Vec<(RouteIndex, RouteKey)>) {
        if keys.is_empty() {
            return;
        }
        self.resolver.begin();
        let mut found = Vec::new();
        for (index, key) in keys {
            let resolution = self.resolver.resolve(key).unwrap_or_else(|error| {
                tracing::warn!(?key, %error, "a next hop could not be looked up");
                Resolution::Refused(UserspaceReason::NoRoute, None)
            });
            let before = self.hops.get(&index).map(|hop| hop.resolution);
            let resolution = resolution.after(before);
            tracing::debug!(?key, ?resolution, "next hop looked up");
            self.hops.insert(index, Hop { key, resolution });
            found.push((index, resolution));
        }
        self.publish(&found);
        self.report_states(found.iter().map(|(index, found)| (*index, found.state())));
        if self.resolver.has_new_lacking() {
            self.stale.add_scene();
        }
    }

    /// Brings the array to what was found.
    fn publish(&mut self, found: &[(RouteIndex, Resolution)]) {
        let mut changed = Vec::new();
        for (index, resolution) in found {
            match resolution {
                Resolution::Ready(_, route) if self.route(*index) == Some(*route) => {}
                Resolution::Ready(_, route) => {
                    self.unpublish(*index);
                    changed.push((*index, *route));
                }
                Resolution::Waiting(_) | Resolution::Refused(..) => self.unpublish(*index),
            }
        }
        let is_read = |index: &RouteIndex| {
            let stamp = self.published.get(slot(*index)).map(|old| old.unpublished);
            !self.grace.is_over(stamp.unwrap_or_default())
        };
        if changed.iter().any(|(index, _)| is_read(index)) {
            self.run_barrier();
        }
        for (index, route) in &changed {
            if let Some(shared) = self.array.get(index.0) {
                shared.write(route);
            }
        }
        if cfg!(not(target_arch = "x86_64")) && !changed.is_empty() {
            // The program reads `valid` and the rest without a barrier between them: on machines that
            // reorder loads, what was written must be everywhere before it becomes valid.
            self.run_barrier();
        }
        for (index, route) in changed {
            if let Some(shared) = self.array.get(index.0) {
                shared.valid.store(1, Ordering::Release);
            }
            if let Some(published) = self.published.get_mut(slot(index)) {
                published.route = route;
            }
        }
    }

    fn unpublish(&mut self, index: RouteIndex) {
        let Some(published) = self.published.get_mut(slot(index)) else {
            return;
        };
        if published.route.valid == 0 {
            return;
        }
        published.route.valid = 0;
        if let Some(shared) = self.array.get(index.0) {
            shared.valid.store(0, Ordering::Release);
        }
        published.unpublished = self.grace.stamp();
    }

    /// Drops what nobody uses, and looks up the rest again.
    fn refresh(&mut self) {
        let idle = self.requests.table.take_idle();
        for index in &idle {
            self.unpublish(*index);
            self.hops.remove(index);
            self.stale.some.remove(index);
        }
        self.requests.table.recycle(idle);
        let needed = self.hops.values().filter_map(|hop| hop.resolution.via());
        self.resolver.keep_only(&needed.collect());
        self.attacher.forget_refusals();
        self.stale.add_scene();
    }

    /// Tells the workers.
    fn report_states(&self, states: impl IntoIterator<Item = (RouteIndex, HopState)>) {
        for mailbox in self.requests.table.publish(states) {
            mailbox.wake();
        }
    }

    fn run_barrier(&self) {
        self.grace.run();
        for mailbox in self.requests.table.mailboxes() {
            if mailbox.take_awaits_barrier() {
                mailbox.wake();
            }
        }
    }

    fn indices(&self, affected: impl Fn(&Hop) -> bool) -> Vec<RouteIndex> {
        let hops = self.hops.iter().filter(|(_, hop)| affected(hop));
        hops.map(|(index, _)| *index).collect()
    }

    fn via(&self, neighbour: &Neighbour) -> Vec<RouteIndex> {
        let via = Via {
            ifindex: neighbour.ifindex,
            neighbour: neighbour.address,
        };
        self.indices(|hop| hop.resolution.via() == Some(via))
    }

    fn has_mac(&self, index: RouteIndex, mac: [u8; 6]) -> bool {
        self.route(index)
            .is_some_and(|route| route.valid == 1 && route.destination_mac == mac)
    }

    fn is_published(&self, index: RouteIndex) -> bool {
        self.route(index).is_some_and(|route| route.valid == 1)
    }

    fn route(&self, index: RouteIndex) -> Option<Route> {
        self.published.get(slot(index)).map(|published| published.route)
    }
}

/// Rounded up: woken a little early, the thread would only go round once more.
fn timeout(due: Option<Instant>) -> PollTimeout {
    let Some(due) = due else {
        return PollTimeout::NONE;
    };
    let wait = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
}

fn slot(index: RouteIndex) -> usize {
    usize::try_from(index.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
