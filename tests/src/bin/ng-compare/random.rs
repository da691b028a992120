//! Random numbers that are the same wherever they are drawn: a seed stands for a conversation.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Neighbouring seeds have nothing in common.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several; there must be one.
    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// One of several, each as often as its weight says.
    pub(crate) fn weighted<T: Clone>(&mut self, of: &[(usize, T)]) -> T {
        let mut rest = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in of {
            match rest.checked_sub(*weight) {
                Some(left) => rest = left,
                None => return item.clone(),
            }
        }
        of[0].1.clone()
    }

    /// From one to `most` of several, each at most once, in random order.
    pub(crate) fn some<T: Clone>(&mut self, of: &[T], most: usize) -> Vec<T> {
        let mut items = of.to_vec();
        self.shuffle(&mut items);
        items.truncate(1 + self.below(most.min(of.len())));
        items
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// How many, where each further one is as likely as `percent` says.
    pub(crate) fn count(&mut self, percent: usize, most: usize) -> usize {
        let mut count = 0;
        while count < most && self.percent(percent) {
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_each_time_and_others_draw_otherwise() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..20).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn weights_count() {
        let mut random = Random::new(3);
        let drawn = (0..1000)
            .filter(|_| random.weighted(&[(9, true), (1, false)]))
            .count();
        assert!((850..950).contains(&drawn), "{drawn}");
        assert_eq!(random.weighted(&[(0, 1), (1, 2)]), 2);
    }
}
