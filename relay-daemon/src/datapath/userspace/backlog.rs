//! What a worker was told and has not done yet.
//!
//! A plan with its sockets takes as long as several packets, so a burst of orders (a thousand calls that come at once) is done in
//! turn with packets, a few in each round. The packets of a call for which there is an order still wait in their sockets: so
//! a plan holds for whatever comes after it.

use std::collections::{HashMap, VecDeque};

use super::orders::Command;
use crate::plan::CallKey;

/// How many commands are done in a round: no more than half a millisecond's work.
const MOST: usize = 16;

/// Commands in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    commands: VecDeque<Command>,
    /// How many orders there are for each call that has any.
    orders: HashMap<CallKey, usize>,
}

impl Backlog {
    pub(super) fn push(&mut self, command: Command) {
        if let Command::Order(call, _) = &command {
            *self.orders.entry(*call).or_default() += 1;
        }
        self.commands.push_back(command);
    }

    /// The next command in a round in which so many have been done. None if there is none to be done in it.
    pub(super) fn next(&mut self, done: usize) -> Option<Command> {
        if done >= MOST {
            return None;
        }
        let command = self.commands.pop_front()?;
        if let Command::Order(call, _) = &command
            && let Some(count) = self.orders.get_mut(call)
        {
            *count -= 1;
            if *count == 0 {
                self.orders.remove(call);
            }
        }
        Some(command)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Whether a call's packets have to wait.
    pub(super) fn has_orders_for(&self, call: CallKey) -> bool {
        !self.orders.is_empty() && self.orders.contains_key(&call)
    }
}

#[cfg(test)]
mod tests {
    use super::super::orders::Order;
    use super::*;

    fn order(call: u64) -> Command {
        Command::Order(CallKey(call), Order::End)
    }

    #[test]
    fn a_burst_of_orders_delays_a_round_by_a_few() {
        let mut backlog = Backlog::default();
        (0..1000).for_each(|call| backlog.push(order(call)));
        backlog.push(order(7));
        let (mut rounds, mut calls) = (0, Vec::new());
        while !backlog.is_empty() {
            let mut done = 0;
            while let Some(command) = backlog.next(done) {
                let Command::Order(call, _) = command else {
                    panic!("{command:?}");
                };
                // Its last order is still to come.
                assert_eq!(
                    backlog.has_orders_for(call),
                    call == CallKey(7) && calls.len() < 1000
                );
                calls.push(call);
                done += 1;
            }
            assert!(done <= MOST);
            rounds += 1;
        }
        assert_eq!((calls.len(), rounds), (1001, 1001_usize.div_ceil(MOST)));
        assert_eq!((calls[0], calls[1000]), (CallKey(0), CallKey(7)), "in order");
        assert!(!backlog.has_orders_for(CallKey(7)));
    }
}
