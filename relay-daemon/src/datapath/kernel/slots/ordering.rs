//! The protocol of the parent module, with all interleavings of the daemon's stores and a program run's loads.
//!
//! Every short sequence of calls is carried out on a table of its own, and the memory is written down after each store. A run
//! of the program may load each word from any of these moments, within what its processor keeps in order, and as long as a
//! grace period does not lie between its first and its last load.

use super::tests::{PORT, table};
use super::*;

/// What the daemon does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Claim,
    Install(u32),
    MoveToSlot,
    Withdraw,
    Unclaim,
    GracePeriod,
}

const CALLS: [Call; 7] = [
    Call::Claim,
    Call::Install(1),
    Call::Install(2),
    Call::MoveToSlot,
    Call::Withdraw,
    Call::Unclaim,
    Call::GracePeriod,
];

/// How many calls follow each other.
const LENGTH: u32 = 6;

/// The words that matter: of each copy of the rule two, to see whether it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    state: u16,
    active: u16,
    copies: [[u32; 2]; 2],
}

impl Memory {
    fn of(table: &SlotTable) -> Memory {
        let (slot, annex, _) = table.parts(PORT).unwrap();
        Memory {
            state: slot.state.load(Ordering::Relaxed),
            active: slot.active.load(Ordering::Relaxed),
            copies: [0, 1].map(|copy| {
                let rule = read_rule(slot, annex, copy);
                [rule.source[3], rule.new_destination[3]]
            }),
        }
    }

    fn is_offloaded(&self) -> bool {
        self.state == SlotState::Offloaded as u16
    }

    fn rule(&self) -> [u32; 2] {
        self.copies[usize::from(self.active & 1)]
    }

    /// The moments on the way to another one, store by store: rule, active copy, state.
    fn stores_to(mut self, after: Memory) -> Vec<Memory> {
        let mut moments = Vec::new();
        for copy in 0..2 {
            for word in 0..2 {
                if self.copies[copy][word] != after.copies[copy][word] {
                    self.copies[copy][word] = after.copies[copy][word];
                    moments.push(self);
                }
            }
        }
        if self.active != after.active {
            self.active = after.active;
            moments.push(self);
        }
        if self.state != after.state {
            self.state = after.state;
            moments.push(self);
        }
        moments
    }
}

fn rule(mark: u32) -> ForwardRule {
    ForwardRule {
        source: [0, 0, 0, mark],
        new_destination: [0, 0, 0, mark],
        ..ForwardRule::default()
    }
}

/// The moments of a sequence of calls, cut into pieces at grace periods. None if the owner of a port would not do that.
fn moments(calls: &[Call], reorders_loads: bool) -> Option<Vec<Vec<Memory>>> {
    let (mut table, grace) = table();
    table.reorders_loads = reorders_loads;
    let mut pieces = vec![vec![Memory::of(&table)]];
    let mut claimed = false;
    for call in calls {
        let needs_claim = !matches!(call, Call::Claim | Call::GracePeriod);
        if needs_claim != claimed && *call != Call::GracePeriod {
            return None;
        }
        match call {
            Call::Claim => table.claim(PORT),
            Call::Install(mark) => drop(table.install(PORT, &rule(*mark), Clock::default())),
            Call::MoveToSlot => drop(table.use_primary(PORT)),
            Call::Withdraw => table.withdraw(PORT),
            Call::Unclaim => table.unclaim(PORT),
            Call::GracePeriod => grace.run(),
        }
        claimed = *call == Call::Claim || (claimed && *call != Call::Unclaim);
        let piece = pieces.last_mut()?;
        let before = *piece.last()?;
        let after = Memory::of(&table);
        piece.extend(before.stores_to(after));
        if *call == Call::GracePeriod {
            pieces.push(vec![after]);
        }
    }
    Some(pieces)
}

/// Whether a run that loads at these moments acts on a rule that was not in force meanwhile.
fn goes_wrong(piece: &[Memory], state: usize, active: usize, words: [usize; 2]) -> bool {
    if !piece[state].is_offloaded() {
        return false;
    }
    let copy = usize::from(piece[active].active & 1);
    let found = [0, 1].map(|word| piece[words[word]].copies[copy][word]);
    let times = [state, active, words[0], words[1]];
    let (first, last) = (
        times.into_iter().min().unwrap_or(0),
        times.into_iter().max().unwrap_or(0),
    );
    !piece[first..=last]
        .iter()
        .any(|moment| moment.is_offloaded() && moment.rule() == found)
}

/// A sequence of calls under which a run may go wrong.
fn counterexample(daemon_reckons: bool, program_reorders: bool) -> Option<Vec<Call>> {
    let number = CALLS.len().pow(LENGTH);
    let sequences = (0..number).map(|mut number| {
        let mut next = || {
            let call = CALLS[number % CALLS.len()];
            number /= CALLS.len();
            call
        };
        (0..LENGTH).map(|_| next()).collect::<Vec<Call>>()
    });
    let mut sequences = sequences.map(|calls| {
        // What goes wrong takes two rules: the sequences begin where the first one is in force.
        [
            &[Call::Claim, Call::Install(1), Call::GracePeriod, Call::Install(1)],
            &*calls,
        ]
        .concat()
    });
    sequences.find(|calls| {
        let pieces = moments(calls, daemon_reckons).unwrap_or_default();
        pieces.iter().any(|piece| {
            let times = || 0..piece.len();
            times().any(|state| {
                // In program order, or only as far as an address depends on what was loaded.
                let after_state = if program_reorders { 0 } else { state };
                (after_state..piece.len()).any(|active| {
                    (active..piece.len()).any(|first| {
                        let after_first = if program_reorders { active } else { first };
                        (after_first..piece.len())
                            .any(|second| goes_wrong(piece, state, active, [first, second]))
                    })
                })
            })
        })
    })
}

#[test]
fn loads_in_order_need_no_grace_period_before_a_rule_is_in_force() {
    assert_eq!(counterexample(false, false), None);
}

#[test]
fn loads_out_of_order_find_no_rule_that_is_not_in_force() {
    assert_eq!(counterexample(true, true), None);
}

/// The other way round it does: the search finds what it is for.
#[test]
fn loads_out_of_order_go_wrong_without() {
    assert!(counterexample(false, true).is_some());
}
