//! Which payload type is the usual one.

use smallvec::SmallVec;

/// How often each payload type came, of those that are known.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: SmallVec<[(u8, u32); 4]>,
    usual: u8,
    most: u32,
}

impl Tally {
    /// One more packet. The payload type that is most frequent now, if that is news; of equally frequent ones the lowest.
    pub(super) fn add(&mut self, payload_type: u8) -> Option<u8> {
        let count = match self.counts.iter_mut().find(|(known, _)| *known == payload_type) {
            Some((_, count)) => {
                *count = count.saturating_add(1);
                *count
            }
            None => {
                self.counts.push((payload_type, 1));
                1
            }
        };
        let was_usual = self.most > 0 && self.usual == payload_type;
        let is_usual = count > self.most || count == self.most && payload_type <= self.usual;
        if is_usual {
            (self.usual, self.most) = (payload_type, count);
        }
        (is_usual && !was_usual).then_some(payload_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_payload_type_is_the_usual_one() {
        let mut tally = Tally::default();
        let news: Vec<Option<u8>> = [8, 8, 0, 0, 0, 101, 8]
            .map(|payload_type| tally.add(payload_type))
            .into();
        assert_eq!(news, [Some(8), None, None, Some(0), None, None, None]);
        assert_eq!((tally.usual, tally.most), (0, 3));
    }
}
