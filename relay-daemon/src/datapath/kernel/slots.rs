//! Slots as the daemon writes them.
//!
//! # How something is published to the program
//!
//! A program run reads the state, then which rule is active, then that rule (for a next hop: `valid`, then the rest), with
//! nothing between that would hold still, and without barriers: eBPF has none that every kernel knows. What holds:
//!
//! 1. **What may be read is not written.** A rule that is or was in force is never written before every run that could have
//!    found it there has ended: each install writes the other copy, and from the moment when a copy went out of force, by
//!    a flip or by another state, it rests for a grace period ([`Grace`]). To take a rule out of force only the state is
//!    written.
//! 2. **What is written is everywhere before it is in force.** The three stores, rule, active copy, state, are made in this
//!    order. x86 loads in order, so whoever sees a later one sees the earlier ones. Machines that reorder loads
//!    ([`REORDERS_LOADS`]: arm64) may see the state and still have an older rule or an older active copy in hand; there a
//!    grace period lies between the stores: the runs that began before it have ended, those that begin after it see all
//!    that was stored before it.
//!
//! `tests::ordering` tries all interleavings and reorderings of both sides. Next hops follow the same rules
//! (`routes/keeper.rs`).
//!
//! The primary copy of a rule is in the slot, the secondary one in the annex: from there a packet takes another line of memory.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use relay_common::slot::{Address, Clock, Counters, DropReason, ForwardRule, SlotState, guard_flags};

use super::FloodLimits;
use super::floods::{Bucket, Floods};
use super::grace::{Grace, Stamp};
use super::memory::{
    SharedAnnex, SharedArray, SharedGuard, SharedReceived, SharedRule, SharedSlot, clear_counters,
    read_counters,
};
use super::received;
use super::rule::address;
use super::ticks::Ticks;
use crate::clock::Time;
use crate::plan::PortId;
use crate::prefetch::prefetch;
use crate::session::{Expected, Received};

/// Whether a processor of this kind may make two loads in another order than that of the program.
pub(super) const REORDERS_LOADS: bool = cfg!(not(any(target_arch = "x86_64", target_arch = "s390x")));

/// [`relay_common::slot::Slot::active`] while the copy in the annex is in force.
const SECONDARY: u16 = 1;

/// The slots of all local ports.
#[derive(Debug)]
pub(crate) struct SlotTable {
    slots: SharedArray<SharedSlot>,
    /// As many.
    annexes: SharedArray<SharedAnnex>,
    /// As many.
    guards: SharedArray<SharedGuard>,
    /// As many. Only the daemon has them.
    received: SharedArray<SharedReceived>,
    /// The [`Stamp`] of each slot's last flip: until it is over, the inactive copy is not to be touched.
    /// It belongs to the slot, not to who owns the port at the moment.
    flips: Box<[AtomicU64]>,
    grace: Arc<Grace>,
    ticks: Ticks,
    floods: Floods,
    reorders_loads: bool,
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Install {
    /// It is in force.
    Done,
    /// It is not in force: before this is over, the copy for it cannot be written, as somebody may be reading it, or what was
    /// written may not be everywhere yet.
    Busy(Stamp),
    /// The port is not one of the table's.
    NoSlot,
}

impl SlotTable {
    /// Takes over a table of zeroes.
    pub(crate) fn new(
        slots: SharedArray<SharedSlot>,
        annexes: SharedArray<SharedAnnex>,
        guards: SharedArray<SharedGuard>,
        grace: Arc<Grace>,
        ticks: Ticks,
        floods: &FloodLimits,
    ) -> io::Result<SlotTable> {
        Ok(SlotTable {
            received: SharedArray::anonymous(slots.len())?,
            flips: (0..slots.len()).map(|_| AtomicU64::new(0)).collect(),
            slots,
            annexes,
            guards,
            grace,
            ticks,
            floods: Floods::new(floods),
            reorders_loads: REORDERS_LOADS,
        })
    }

    /// A table that no program looks at.
    pub(crate) fn without_program(length: usize, floods: &FloodLimits) -> io::Result<SlotTable> {
        SlotTable::new(
            SharedArray::anonymous(length)?,
            SharedArray::anonymous(length)?,
            SharedArray::anonymous(length)?,
            Arc::new(Grace::new()),
            Ticks::default(),
            floods,
        )
    }

    /// Zeroes the counters and passes packets to the socket. The port's last rule must be out of force for
    /// longer than a program run takes, or a count of the last call comes back: ports are used in turn.
    pub(crate) fn claim(&self, port: PortId) {
        let Some((slot, annex, received)) = self.parts(port) else {
            return;
        };
        clear_counters(slot, annex, received);
        if let Some(guard) = self.guards.get(port.0) {
            guard.clear();
        }
        if let Some(flip) = self.flip(port)
            && self.resting(flip).is_none()
            && slot.active.load(Ordering::Relaxed) != SECONDARY
        {
            // So that the first rule is written to the primary copy.
            slot.active.store(SECONDARY, Ordering::Relaxed);
            if self.reorders_loads {
                self.rest(flip);
            }
        }
        set_state(slot, SlotState::Claimed);
    }

    /// Nobody listens any more.
    pub(crate) fn unclaim(&self, port: PortId) {
        self.leave(port, SlotState::Unclaimed);
    }

    /// Where a port's packets are expected from, from now on.
    pub(crate) fn expect(&self, port: PortId, expected: Expected) {
        let Some(guard) = self.guards.get(port.0) else {
            return;
        };
        match expected {
            Expected::Nobody => guard.expect(Address::default(), 0, 0),
            Expected::Source(source) => guard.expect(address(source.ip()), source.port(), guard_flags::KNOWN),
            Expected::Anybody => guard.expect(Address::default(), 0, guard_flags::ANY),
        }
    }

    /// Takes the tokens of a packet that is not expected. False: it is to be dropped, and is counted.
    pub(crate) fn admit(&self, now: Time, port: PortId, source: IpAddr, bucket: &mut Bucket) -> bool {
        let is_admitted = self.floods.admit(now, source, bucket);
        if !is_admitted && let Some(guard) = self.guards.get(port.0) {
            guard.limited.fetch_add(1, Ordering::Relaxed);
        }
        is_admitted
    }

    /// How many packets were not admitted, by reason.
    pub(crate) fn dropped(&self) -> [u64; DropReason::COUNT as usize] {
        self.floods.dropped()
    }

    /// Counts a packet that userspace received for its SSRC.
    pub(crate) fn count(&self, now: Time, packet: &Received) {
        if let Some((slot, annex, received)) = self.parts(packet.port) {
            let time_of = |tick| self.ticks.time_of(tick, now);
            received::count(slot, annex, received, (now, time_of), packet);
        }
    }

    pub(crate) fn fetch(&self, port: PortId) {
        if let Some((slot, _, received)) = self.parts(port) {
            prefetch(&slot.ssrc);
            prefetch(&received.0[0]);
        }
    }

    /// What was counted.
    pub(crate) fn counters(&self, port: PortId) -> Counters {
        self.parts(port)
            .map_or_else(Counters::default, |(slot, annex, received)| {
                let now = Time::read();
                let mut counters = read_counters(slot, annex, received, |tick| self.ticks.time_of(tick, now));
                let guard = self.guards.get(port.0);
                counters.limited = guard.map_or(0, |guard| guard.limited.load(Ordering::Relaxed));
                counters
            })
    }

    /// Puts a rule in force, for media with a clock.
    pub(crate) fn install(&self, port: PortId, rule: &ForwardRule, clock: Clock) -> Install {
        let Some(((slot, annex, _), flip)) = self.parts(port).zip(self.flip(port)) else {
            return Install::NoSlot;
        };
        let active = slot.active.load(Ordering::Relaxed) & 1;
        if read_rule(slot, annex, active) != *rule
            && let Some(stamp) = self.replace(slot, annex, flip, rule)
        {
            return Install::Busy(stamp);
        }
        // The rule is in force already, or was before: what of it may not be everywhere is the flip to it.
        if let Some(stamp) = self.unseen(slot, flip) {
            return Install::Busy(stamp);
        }
        annex.clock.store(clock.0, Ordering::Relaxed);
        set_state(slot, SlotState::Offloaded);
        Install::Done
    }

    /// Whether the secondary copy of the rule is in force.
    pub(crate) fn is_away(&self, port: PortId) -> bool {
        self.slots
            .get(port.0)
            .is_some_and(|slot| slot.active.load(Ordering::Relaxed) & 1 == SECONDARY)
    }

    /// Moves the rule in force to the primary copy.
    pub(crate) fn use_primary(&self, port: PortId) -> Install {
        let Some(((slot, annex, _), flip)) = self.parts(port).zip(self.flip(port)) else {
            return Install::NoSlot;
        };
        if self.is_away(port) {
            let rule = read_rule(slot, annex, SECONDARY);
            if let Some(stamp) = self.replace(slot, annex, flip, &rule) {
                return Install::Busy(stamp);
            }
        }
        Install::Done
    }

    /// Takes the rule out of force: packets pass to the socket. Counters stay.
    pub(crate) fn withdraw(&self, port: PortId) {
        self.leave(port, SlotState::Claimed);
    }

    /// Sets another state than offloaded. A program run that saw the rule in force may read it for a grace period more.
    fn leave(&self, port: PortId, state: SlotState) {
        let Some((slot, flip)) = self.slots.get(port.0).zip(self.flip(port)) else {
            return;
        };
        let was_offloaded = is_offloaded(slot);
        set_state(slot, state);
        if was_offloaded {
            self.rest(flip);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_offloaded(&self, port: PortId) -> bool {
        self.slots.get(port.0).is_some_and(is_offloaded)
    }

    fn parts(&self, port: PortId) -> Option<(&SharedSlot, &SharedAnnex, &SharedReceived)> {
        Some((
            self.slots.get(port.0)?,
            self.annexes.get(port.0)?,
            self.received.get(port.0)?,
        ))
    }

    /// Writes a rule to the copy that is not active and makes that the active one; the other one rests from now on. Where
    /// that is not allowed yet, says until when.
    fn replace(
        &self,
        slot: &SharedSlot,
        annex: &SharedAnnex,
        flip: &AtomicU64,
        rule: &ForwardRule,
    ) -> Option<Stamp> {
        if let Some(stamp) = self.resting(flip) {
            return Some(stamp);
        }
        let copy = (slot.active.load(Ordering::Relaxed) & 1) ^ 1;
        if read_rule(slot, annex, copy) != *rule {
            write_rule(slot, annex, copy, rule);
            if self.reorders_loads && is_offloaded(slot) {
                self.rest(flip);
                return self.resting(flip);
            }
        }
        slot.active.store(copy, Ordering::Release);
        self.rest(flip);
        None
    }

    /// Until when the state must not be set, as a run might see it before it sees which copy is active.
    fn unseen(&self, slot: &SharedSlot, flip: &AtomicU64) -> Option<Stamp> {
        if self.reorders_loads && !is_offloaded(slot) {
            return self.resting(flip);
        }
        None
    }

    /// From now on no copy is written before a grace period has passed.
    fn rest(&self, flip: &AtomicU64) {
        flip.store(self.grace.stamp().0, Ordering::Relaxed);
    }

    /// When nobody can be reading the inactive copy any more, if that is not yet so.
    fn resting(&self, flip: &AtomicU64) -> Option<Stamp> {
        let stamp = Stamp(flip.load(Ordering::Relaxed));
        (!self.grace.is_over(stamp)).then_some(stamp)
    }

    fn flip(&self, port: PortId) -> Option<&AtomicU64> {
        self.flips.get(usize::try_from(port.0).ok()?)
    }
}

/// What the state says of the slot is stored before it.
fn set_state(slot: &SharedSlot, state: SlotState) {
    slot.state.store(state as u16, Ordering::Release);
}

fn is_offloaded(slot: &SharedSlot) -> bool {
    slot.state.load(Ordering::Relaxed) == SlotState::Offloaded as u16
}

fn read_rule(slot: &SharedSlot, annex: &SharedAnnex, copy: u16) -> ForwardRule {
    let (head, copy) = head(slot, annex, copy);
    let owner = annex.owners[copy].load(Ordering::Relaxed);
    ForwardRule::join(&head.read(), &annex.tails[copy].read(), owner)
}

fn write_rule(slot: &SharedSlot, annex: &SharedAnnex, copy: u16, rule: &ForwardRule) {
    let (shared, copy) = head(slot, annex, copy);
    let (head, tail) = rule.split();
    shared.write(&head);
    annex.tails[copy].write(&tail);
    annex.owners[copy].store(rule.owner, Ordering::Relaxed);
}

/// Where the head of a copy lies, and the index of the rest.
fn head<'a>(slot: &'a SharedSlot, annex: &'a SharedAnnex, copy: u16) -> (&'a SharedRule, usize) {
    if copy == SECONDARY {
        (&annex.rule, 1)
    } else {
        (&slot.rule, 0)
    }
}

#[cfg(test)]
mod ordering;
#[cfg(test)]
mod tests;
