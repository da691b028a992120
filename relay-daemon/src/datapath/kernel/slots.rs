//! Slots as the daemon writes them.
//!
//! A program run reads the state, then which rule is active, then that rule, with nothing between
//! that would hold still. So a rule that is or was active is never written before every run that
//! could have found it there has ended: each install writes the other copy, and the copy that it
//! replaces rests for a grace period. To take a rule out of force only the state is written.
//!
//! A rule is at home in the slot: from its copy in the annex a packet takes another line of memory.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use relay_common::slot::{Clock, Counters, ForwardRule, SlotState};

use super::grace::{Grace, Stamp};
use super::memory::{
    SharedAnnex, SharedArray, SharedReceived, SharedRule, SharedSlot, clear_counters, read_counters,
};
use super::received;
use super::ticks::Ticks;
use crate::clock::Time;
use crate::plan::PortId;
use crate::prefetch::prefetch;
use crate::session::Received;

/// [`relay_common::slot::Slot::active`] while the copy in the annex is in force.
const AWAY: u16 = 1;

/// The slots of all local ports.
#[derive(Debug)]
pub(crate) struct SlotTable {
    slots: SharedArray<SharedSlot>,
    /// As many.
    annexes: SharedArray<SharedAnnex>,
    /// As many. Only the daemon has them.
    received: SharedArray<SharedReceived>,
    /// The [`Stamp`] of each slot's last flip: until it is over, the inactive copy is not to be touched.
    /// It belongs to the slot, not to who owns the port at the moment.
    flips: Box<[AtomicU64]>,
    grace: Arc<Grace>,
    ticks: Ticks,
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Install {
    /// It is in force.
    Done,
    /// The slot's last rule went out of force so recently that its copy cannot be reused before this is
    /// over. Nothing was changed.
    Busy(Stamp),
    /// The port is not one of the table's.
    NoSlot,
}

impl SlotTable {
    /// Takes over a table of zeroes.
    pub(crate) fn new(
        slots: SharedArray<SharedSlot>,
        annexes: SharedArray<SharedAnnex>,
        grace: Arc<Grace>,
        ticks: Ticks,
    ) -> io::Result<SlotTable> {
        Ok(SlotTable {
            received: SharedArray::anonymous(slots.len())?,
            flips: (0..slots.len()).map(|_| AtomicU64::new(0)).collect(),
            slots,
            annexes,
            grace,
            ticks,
        })
    }

    /// A table that no program looks at.
    pub(crate) fn without_program(length: usize) -> io::Result<SlotTable> {
        let (slots, annexes) = (SharedArray::anonymous(length)?, SharedArray::anonymous(length)?);
        SlotTable::new(slots, annexes, Arc::new(Grace::new()), Ticks::default())
    }

    /// Zeroes the counters and passes packets to the socket. The port's last rule must be out of force for
    /// longer than a program run takes, or a count of the last call comes back: ports are used in turn.
    pub(crate) fn claim(&self, port: PortId) {
        let Some((slot, annex, received)) = self.parts(port) else {
            return;
        };
        clear_counters(slot, annex, received);
        if self.flip(port).is_some_and(|flip| self.resting(flip).is_none()) {
            // So that the first rule goes home.
            slot.active.store(AWAY, Ordering::Relaxed);
        }
        set_state(slot, SlotState::Claimed);
    }

    /// Nobody listens any more.
    pub(crate) fn unclaim(&self, port: PortId) {
        self.leave(port, SlotState::Unclaimed);
    }

    /// Counts a packet that userspace received for its SSRC.
    pub(crate) fn count(&self, now: Time, packet: &Received) {
        if let Some((slot, annex, received)) = self.parts(packet.port) {
            received::count(slot, annex, received, now, packet);
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
                read_counters(slot, annex, received, |tick| self.ticks.time_of(tick, now))
            })
    }

    /// Puts a rule in force, for media with a clock.
    pub(crate) fn install(&self, port: PortId, rule: &ForwardRule, clock: Clock) -> Install {
        let Some(((slot, annex, _), flip)) = self.parts(port).zip(self.flip(port)) else {
            return Install::NoSlot;
        };
        let active = slot.active.load(Ordering::Relaxed) & 1;
        if read_rule(slot, annex, active) != *rule {
            if let Some(stamp) = self.resting(flip) {
                return Install::Busy(stamp);
            }
            write_rule(slot, annex, active ^ 1, rule);
            self.activate(slot, flip, active ^ 1);
        }
        annex.clock.store(clock.0, Ordering::Relaxed);
        set_state(slot, SlotState::Offloaded);
        Install::Done
    }

    /// Whether the rule in force is not at home.
    pub(crate) fn is_away(&self, port: PortId) -> bool {
        self.slots
            .get(port.0)
            .is_some_and(|slot| slot.active.load(Ordering::Relaxed) & 1 == AWAY)
    }

    /// Moves the rule in force home.
    pub(crate) fn bring_home(&self, port: PortId) -> Install {
        let Some(((slot, annex, _), flip)) = self.parts(port).zip(self.flip(port)) else {
            return Install::NoSlot;
        };
        if self.is_away(port) {
            if let Some(stamp) = self.resting(flip) {
                return Install::Busy(stamp);
            }
            write_rule(slot, annex, AWAY ^ 1, &read_rule(slot, annex, AWAY));
            self.activate(slot, flip, AWAY ^ 1);
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
        let before = slot.state.load(Ordering::Relaxed);
        set_state(slot, state);
        if before == SlotState::Offloaded as u16 {
            self.rest(flip);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_offloaded(&self, port: PortId) -> bool {
        self.slots
            .get(port.0)
            .is_some_and(|slot| slot.state.load(Ordering::Relaxed) == SlotState::Offloaded as u16)
    }

    fn parts(&self, port: PortId) -> Option<(&SharedSlot, &SharedAnnex, &SharedReceived)> {
        Some((
            self.slots.get(port.0)?,
            self.annexes.get(port.0)?,
            self.received.get(port.0)?,
        ))
    }

    /// Puts a copy of the rule in force. The other one rests from now on.
    fn activate(&self, slot: &SharedSlot, flip: &AtomicU64, copy: u16) {
        slot.active.store(copy, Ordering::Release);
        self.rest(flip);
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
    if copy == AWAY {
        (&annex.rule, 1)
    } else {
        (&slot.rule, 0)
    }
}

#[cfg(test)]
mod tests {
    use relay_common::slot::{OtherCounters, SsrcCounters};

    use super::super::memory::write_counters;
    use super::*;

    const PORT: PortId = PortId(3);

    fn table() -> (SlotTable, Arc<Grace>) {
        let grace = Arc::new(Grace::manual());
        let (slots, annexes) = (SharedArray::anonymous(8), SharedArray::anonymous(8));
        let table =
            SlotTable::new(slots.unwrap(), annexes.unwrap(), grace.clone(), Ticks::default()).unwrap();
        (table, grace)
    }

    fn rule(mark: u64) -> ForwardRule {
        ForwardRule {
            owner: mark,
            source: [1, 2, 3, 4],
            route: 9,
            ..ForwardRule::default()
        }
    }

    fn slot(table: &SlotTable) -> (u16, u16, [ForwardRule; 2]) {
        let (slot, annex, _) = table.parts(PORT).unwrap();
        (
            slot.state.load(Ordering::Relaxed),
            slot.active.load(Ordering::Relaxed),
            [0, 1].map(|copy| read_rule(slot, annex, copy)),
        )
    }

    #[test]
    fn each_install_writes_the_other_copy() {
        let (table, grace) = table();
        table.claim(PORT);
        assert_eq!(slot(&table), (1, AWAY, [ForwardRule::default(); 2]));
        assert_eq!(table.install(PORT, &rule(1), Clock::default()), Install::Done);
        assert_eq!(slot(&table), (2, 0, [rule(1), ForwardRule::default()]));
        grace.run();
        assert_eq!(table.install(PORT, &rule(2), Clock::default()), Install::Done);
        assert_eq!(slot(&table), (2, AWAY, [rule(1), rule(2)]));
    }

    #[test]
    fn a_rule_is_brought_home_after_a_grace_period() {
        let (table, grace) = table();
        table.claim(PORT);
        assert_eq!(table.install(PORT, &rule(1), Clock::default()), Install::Done);
        assert_eq!(table.bring_home(PORT), Install::Done);
        assert_eq!(slot(&table), (2, 0, [rule(1), ForwardRule::default()]));
        grace.run();
        assert_eq!(table.install(PORT, &rule(2), Clock::default()), Install::Done);
        assert!(matches!(table.bring_home(PORT), Install::Busy(_)));
        assert!(table.is_away(PORT));
        grace.run();
        assert_eq!(table.bring_home(PORT), Install::Done);
        assert_eq!(slot(&table), (2, 0, [rule(2), rule(2)]));
        // The next one finds the other copy busy, as after any flip.
        assert!(matches!(
            table.install(PORT, &rule(3), Clock::default()),
            Install::Busy(_)
        ));
    }

    #[test]
    fn the_first_rule_of_each_owner_goes_home() {
        let (table, grace) = table();
        for mark in [1, 2, 3] {
            table.claim(PORT);
            assert_eq!(table.install(PORT, &rule(mark), Clock::default()), Install::Done);
            assert!(!table.is_away(PORT));
            table.withdraw(PORT);
            table.unclaim(PORT);
            grace.run();
        }
    }

    #[test]
    fn the_old_copy_rests_for_a_grace_period() {
        let (table, grace) = table();
        table.claim(PORT);
        assert_eq!(table.install(PORT, &rule(1), Clock::default()), Install::Done);
        let before = slot(&table);
        let Install::Busy(stamp) = table.install(PORT, &rule(2), Clock::default()) else {
            panic!("the copy was not left alone");
        };
        assert_eq!(slot(&table), before);
        grace.run();
        assert!(grace.is_over(stamp));
        assert_eq!(table.install(PORT, &rule(2), Clock::default()), Install::Done);
    }

    #[test]
    fn the_grace_period_outlives_the_owner() {
        let (table, grace) = table();
        table.claim(PORT);
        assert_eq!(table.install(PORT, &rule(1), Clock::default()), Install::Done);
        table.withdraw(PORT);
        table.unclaim(PORT);
        table.claim(PORT);
        assert!(matches!(
            table.install(PORT, &rule(2), Clock::default()),
            Install::Busy(_)
        ));
        assert_eq!(slot(&table).0, SlotState::Claimed as u16);
        grace.run();
        assert_eq!(table.install(PORT, &rule(2), Clock::default()), Install::Done);
    }

    /// A run that began before the rule was withdrawn may read it until a grace period after that, whoever owns the port
    /// by then, and however long ago the rule was installed.
    #[test]
    fn a_withdrawn_rule_rests_for_a_grace_period() {
        let (table, grace) = table();
        table.claim(PORT);
        assert_eq!(table.install(PORT, &rule(1), Clock::default()), Install::Done);
        grace.run();
        table.withdraw(PORT);
        table.unclaim(PORT);
        table.claim(PORT);
        let before = slot(&table);
        assert!(matches!(
            table.install(PORT, &rule(2), Clock::default()),
            Install::Busy(_)
        ));
        assert_eq!(slot(&table), before);
        grace.run();
        assert_eq!(table.install(PORT, &rule(2), Clock::default()), Install::Done);
    }

    #[test]
    fn the_same_rule_returns_without_a_write() {
        let (table, _grace) = table();
        table.claim(PORT);
        assert_eq!(table.install(PORT, &rule(1), Clock::default()), Install::Done);
        let before = slot(&table);
        table.withdraw(PORT);
        assert_eq!(slot(&table), (SlotState::Claimed as u16, before.1, before.2));
        assert_eq!(table.install(PORT, &rule(1), Clock::default()), Install::Done);
        assert_eq!(slot(&table), before);
    }

    #[test]
    fn only_a_claim_zeroes_the_counters() {
        let (table, _grace) = table();
        let ssrcs = [1, 2, 3, 4].map(|ssrc| SsrcCounters {
            ssrc,
            counted_by: 1,
            packets: 7,
            last_arrival: 0,
            ..SsrcCounters::default()
        });
        let other = OtherCounters {
            passed: 5,
            ..OtherCounters::default()
        };
        let (slot, annex, _) = table.parts(PORT).unwrap();
        write_counters(slot, annex, &ssrcs, &other);
        let counted = table.counters(PORT);
        assert_eq!((counted.packets, counted.passed, counted.ssrcs), (28, 5, ssrcs));
        table.withdraw(PORT);
        table.unclaim(PORT);
        assert_eq!(table.counters(PORT), counted);
        table.claim(PORT);
        assert_eq!(table.counters(PORT), Counters::default());
    }

    #[test]
    fn ports_without_a_slot_are_ignored() {
        let (table, _grace) = table();
        table.claim(PortId(8));
        table.withdraw(PortId(u32::MAX));
        assert_eq!(
            table.install(PortId(8), &rule(1), Clock::default()),
            Install::NoSlot
        );
        assert_eq!(table.counters(PortId(8)), Counters::default());
    }
}
