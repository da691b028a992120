use relay_common::slot::{Guard, OtherCounters, SsrcCounters};

use super::super::memory::write_counters;
use super::*;

pub(super) const PORT: PortId = PortId(3);

pub(super) fn table() -> (SlotTable, Arc<Grace>) {
    let grace = Arc::new(Grace::manual());
    let (slots, annexes) = (SharedArray::anonymous(8), SharedArray::anonymous(8));
    let table = SlotTable::new(
        slots.unwrap(),
        annexes.unwrap(),
        SharedArray::anonymous(8).unwrap(),
        grace.clone(),
        Ticks::default(),
        &FloodLimits::default(),
    )
    .unwrap();
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
fn what_is_expected_at_a_port_ends_with_its_claim() {
    let (table, _) = table();
    table.claim(PORT);
    let guard = || table.guards.get(PORT.0).unwrap().read();
    table.expect(PORT, Expected::Source("198.51.100.7:4000".parse().unwrap()));
    assert_eq!((guard().flags, guard().source_port), (guard_flags::KNOWN, 4000));
    assert_eq!(guard().source, address("198.51.100.7".parse().unwrap()));
    table
        .guards
        .get(PORT.0)
        .unwrap()
        .limited
        .store(7, Ordering::Relaxed);
    assert_eq!(table.counters(PORT).limited, 7);
    table.expect(PORT, Expected::Anybody);
    assert_eq!((guard().flags, guard().source_port), (guard_flags::ANY, 0));
    table.claim(PORT);
    assert_eq!(guard(), Guard::default());
    assert_eq!(table.counters(PORT).limited, 0);
}

#[test]
fn each_install_writes_the_other_copy() {
    let (table, grace) = table();
    table.claim(PORT);
    assert_eq!(slot(&table), (1, SECONDARY, [ForwardRule::default(); 2]));
    assert_eq!(table.install(PORT, &rule(1), Clock::default()), Install::Done);
    assert_eq!(slot(&table), (2, 0, [rule(1), ForwardRule::default()]));
    grace.run();
    assert_eq!(table.install(PORT, &rule(2), Clock::default()), Install::Done);
    assert_eq!(slot(&table), (2, SECONDARY, [rule(1), rule(2)]));
}

#[test]
fn a_rule_moves_to_the_primary_copy_after_a_grace_period() {
    let (table, grace) = table();
    table.claim(PORT);
    assert_eq!(table.install(PORT, &rule(1), Clock::default()), Install::Done);
    assert_eq!(table.use_primary(PORT), Install::Done);
    assert_eq!(slot(&table), (2, 0, [rule(1), ForwardRule::default()]));
    grace.run();
    assert_eq!(table.install(PORT, &rule(2), Clock::default()), Install::Done);
    assert!(matches!(table.use_primary(PORT), Install::Busy(_)));
    assert!(table.is_away(PORT));
    grace.run();
    assert_eq!(table.use_primary(PORT), Install::Done);
    assert_eq!(slot(&table), (2, 0, [rule(2), rule(2)]));
    // The next one finds the other copy busy, as after any flip.
    assert!(matches!(
        table.install(PORT, &rule(3), Clock::default()),
        Install::Busy(_)
    ));
}

#[test]
fn the_first_rule_of_each_owner_is_written_to_the_primary_copy() {
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
