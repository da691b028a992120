//! Whose turn it is to shake hands.
//!
//! A step of a handshake takes a few tenths of a millisecond (0.3 ms with the certificates that are made unless others are asked
//! for), and all packets that have arrived meanwhile wait. So there is one between two looks at the sockets, whatever
//! the number of handshakes, and calls take turns.

use std::collections::VecDeque;

/// How many steps are done in a round.
const STEPS: usize = 1;

/// The calls that have steps to do, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: VecDeque<usize>,
}

impl Turns {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A call has something to do: after all those that have said so before.
    pub(super) fn queue(&mut self, call: usize) {
        self.waiting.push_back(call);
    }

    /// The next call in a round in which so many steps are done. None if there are no more steps to be done in it.
    pub(super) fn next(&mut self, steps: usize) -> Option<usize> {
        match steps {
            0..STEPS => self.waiting.pop_front(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 500 calls with three steps each begin at once; another one, which has one, comes later.
    #[test]
    fn a_burst_of_handshakes_delays_a_round_by_one_step() {
        const CALLS: usize = 500;
        let mut turns = Turns::default();
        let mut left = vec![3; CALLS];
        left.push(1);
        (0..CALLS).for_each(|call| turns.queue(call));
        let (mut rounds, mut late) = (0, None);
        while !turns.is_empty() {
            if rounds == 10 {
                turns.queue(CALLS);
            }
            let mut steps = 0;
            while let Some(call) = turns.next(steps) {
                left[call] -= 1;
                steps += 1;
                if left[call] > 0 {
                    turns.queue(call);
                }
                if call == CALLS {
                    late = Some(rounds);
                }
            }
            assert!(steps <= 1, "media waits for one step at most");
            rounds += 1;
        }
        assert_eq!(rounds, 3 * CALLS + 1);
        assert!(left.iter().all(|left| *left == 0));
        assert_eq!(late, Some(CALLS + 10), "nobody waits for others to be done");
    }
}
