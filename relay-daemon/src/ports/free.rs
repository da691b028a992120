//! Which ports of one address are free, and in which order they are used.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::host::PortCount;

/// The free ports of one address, the longest free first.
///
/// A pair is an even port and the next odd one. Whole free pairs and ports whose other half is in use (or
/// outside of the range) are kept apart, so that neither search has to pass over the other kind.
#[derive(Debug)]
pub(super) struct FreePorts {
    min: u16,
    /// Per port, when it became free, in ticks of `clock`; none while it is in use.
    since: Vec<Option<u64>>,
    /// Even ports of the free pairs, by the time they became whole.
    pairs: BTreeSet<(u64, u16)>,
    /// Free ports without their other half.
    singles: BTreeSet<(u64, u16)>,
    clock: u64,
    len: usize,
}

impl FreePorts {
    /// All of a range, in an order made by `random_below`, which draws from `0..bound`.
    pub(super) fn new(range: RangeInclusive<u16>, mut random_below: impl FnMut(usize) -> usize) -> FreePorts {
        let mut free = FreePorts {
            min: *range.start(),
            since: range.clone().map(|_| None).collect(),
            pairs: BTreeSet::new(),
            singles: BTreeSet::new(),
            clock: 0,
            len: 0,
        };
        let mut units: Vec<u16> = range
            .filter(|port| port.is_multiple_of(2) || !free.in_range(other_half(*port)))
            .collect();
        for remaining in (1..=units.len()).rev() {
            let port = units.swap_remove(random_below(remaining));
            free.put(port);
            if port.is_multiple_of(2) && free.in_range(other_half(port)) {
                free.put(other_half(port));
            }
        }
        free
    }

    /// Number of free ports.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether a pair is left.
    pub(super) fn has_pair(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// Takes a port out for good; false if it is not free.
    pub(super) fn withhold(&mut self, port: u16) -> bool {
        let Some(since) = self.since(port) else {
            return false;
        };
        let other = other_half(port);
        match self.since(other) {
            None => self.singles.remove(&(since, port)),
            Some(other_since) => {
                self.singles.insert((other_since, other));
                self.pairs.remove(&(since.max(other_since), port.min(other)))
            }
        };
        *self.since_mut(port) = None;
        self.len -= 1;
        true
    }

    /// Takes the port that has been free for longest, or the even one of the pair that was.
    pub(super) fn take(&mut self, count: PortCount) -> Option<u16> {
        match count {
            PortCount::Pair => self.take_pair(),
            PortCount::One => self.take_one(),
        }
    }

    /// Puts a port at the end of the queue.
    pub(super) fn put(&mut self, port: u16) {
        debug_assert!(self.since(port).is_none(), "port {port} is free already");
        self.clock += 1;
        self.len += 1;
        *self.since_mut(port) = Some(self.clock);
        let other = other_half(port);
        match self.since(other) {
            None => self.singles.insert((self.clock, port)),
            Some(since) => {
                self.singles.remove(&(since, other));
                self.pairs.insert((self.clock, port.min(other)))
            }
        };
    }

    fn take_pair(&mut self) -> Option<u16> {
        let (_, even) = self.pairs.pop_first()?;
        *self.since_mut(even) = None;
        *self.since_mut(even + 1) = None;
        self.len -= 2;
        Some(even)
    }

    fn take_one(&mut self) -> Option<u16> {
        let single_is_older = match (self.singles.first(), self.pairs.first()) {
            (Some(single), Some(pair)) => single < pair,
            (single, _) => single.is_some(),
        };
        let port = if single_is_older {
            self.singles.pop_first()?.1
        } else {
            // The other half takes the pair's place in the queue, so that the next single port comes from
            // the same pair and few pairs are broken.
            let (since, even) = self.pairs.pop_first()?;
            *self.since_mut(even + 1) = Some(since);
            self.singles.insert((since, even + 1));
            even
        };
        *self.since_mut(port) = None;
        self.len -= 1;
        Some(port)
    }

    fn in_range(&self, port: u16) -> bool {
        self.index(port).is_some()
    }

    fn since(&self, port: u16) -> Option<u64> {
        self.index(port).and_then(|index| self.since[index])
    }

    fn since_mut(&mut self, port: u16) -> &mut Option<u64> {
        &mut self.since[usize::from(port - self.min)]
    }

    fn index(&self, port: u16) -> Option<usize> {
        let index = usize::from(port.checked_sub(self.min)?);
        (index < self.since.len()).then_some(index)
    }
}

fn other_half(port: u16) -> u16 {
    port ^ 1
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// Lowest first: the order in which the units of a range are drawn without shuffling is known.
    fn free(range: RangeInclusive<u16>) -> FreePorts {
        FreePorts::new(range, |_| 0)
    }

    #[test]
    fn a_returned_port_is_used_last() {
        let mut free = free(10..=17);
        let first = free.take(PortCount::Pair).unwrap();
        free.put(first);
        free.put(first + 1);
        let next: Vec<u16> = std::iter::from_fn(|| free.take(PortCount::Pair)).collect();
        assert_eq!(next.len(), 4);
        assert_eq!(next[3], first);
    }

    #[test]
    fn single_ports_are_of_either_parity_and_break_few_pairs() {
        let mut free = free(10..=15);
        let ones = [
            free.take(PortCount::One).unwrap(),
            free.take(PortCount::One).unwrap(),
        ];
        assert_eq!(ones, [10, 11]);
        assert_eq!(free.len(), 4);
        assert!(free.take(PortCount::Pair).is_some());
        assert!(free.take(PortCount::Pair).is_some());
        assert_eq!(free.take(PortCount::Pair), None);
    }

    #[test]
    fn a_single_port_that_was_just_returned_waits_for_older_ones() {
        let mut free = free(10..=15);
        let one = free.take(PortCount::One).unwrap();
        let other = free.take(PortCount::One).unwrap();
        free.put(one);
        assert_ne!(free.take(PortCount::One), Some(one));
        free.put(other);
        assert_eq!(free.take(PortCount::Pair), Some(12));
    }

    #[test]
    fn ports_without_another_half_are_used_alone() {
        let mut free = free(11..=14);
        assert_eq!(free.take(PortCount::Pair), Some(12));
        assert_eq!(free.take(PortCount::Pair), None);
        let mut ones: Vec<u16> = std::iter::from_fn(|| free.take(PortCount::One)).collect();
        ones.sort_unstable();
        assert_eq!(ones, [11, 14]);
        assert_eq!(free.len(), 0);
    }

    #[test]
    fn the_highest_port_has_no_neighbour() {
        let mut free = free(u16::MAX..=u16::MAX);
        assert_eq!(free.take(PortCount::One), Some(u16::MAX));
        free.put(u16::MAX);
        assert_eq!(free.len(), 1);
    }

    proptest! {
        #[test]
        fn no_port_is_handed_out_twice_and_all_come_back(
            min in 1000u16..1004,
            size in 1u16..40,
            steps in prop::collection::vec((any::<u8>(), any::<bool>()), 0..200),
        ) {
            let range = min..=min + size;
            let mut random = steps.clone().into_iter().map(|(number, _)| usize::from(number)).cycle();
            let mut free = FreePorts::new(range.clone(), |bound| random.next().unwrap_or(0) % bound);
            let total = range.clone().count();
            prop_assert_eq!(free.len(), total);
            let mut taken = VecDeque::new();
            for (number, single) in steps {
                if number < 100 {
                    let index = usize::from(number) % taken.len().max(1);
                    if let Some(port) = taken.remove(index) {
                        free.put(port);
                    }
                    continue;
                }
                let count = if single { PortCount::One } else { PortCount::Pair };
                match free.take(count) {
                    Some(port) => {
                        taken.push_back(port);
                        if !single {
                            prop_assert_eq!(port % 2, 0);
                            taken.push_back(port + 1);
                        }
                    }
                    None => prop_assert!(!single || taken.len() == total),
                }
                let mut unique: Vec<u16> = taken.iter().copied().collect();
                unique.sort_unstable();
                unique.dedup();
                prop_assert_eq!(unique.len(), taken.len());
                prop_assert!(unique.iter().all(|port| range.contains(port)));
                prop_assert_eq!(free.len() + taken.len(), total);
            }
            for port in taken.drain(..) {
                free.put(port);
            }
            let mut all: Vec<u16> = std::iter::from_fn(|| free.take(PortCount::One)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, range.collect::<Vec<u16>>());
        }
    }
}
