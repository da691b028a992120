//! Where a sequence of packets is: extended indices and the replay window (RFC 3711 sections 3.3.1 and 3.3.2).

use relay_common::packet::sequence_ahead;

use super::Error;

/// The highest index so far, and which of those before it were used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Rollover counter and sequence number, 48 bits; for SRTCP the index, 31 bits.
    pub highest: u64,
    /// Bit `n` is set if index `highest - n` was used.
    pub window: u128,
}

/// One more than the highest index of RTP.
pub(super) const RTP_INDICES: u64 = 1 << 48;

/// Packets of one turn of the sequence number.
pub(super) const CYCLE: u64 = 1 << 16;

impl Position {
    /// The first packet has this index.
    pub(super) fn at(index: u64) -> Position {
        Position {
            highest: index,
            window: 1,
        }
    }

    /// A packet had this index, and of those before it nobody knows: they count as used.
    pub(super) fn after_gap(index: u64) -> Position {
        Position {
            highest: index,
            window: u128::MAX,
        }
    }

    /// Whether a packet may have this index: it had not been used, and is not older than the window.
    pub(super) fn check(&self, index: u64) -> Result<(), Error> {
        match self.highest.checked_sub(index) {
            None => Ok(()),
            Some(age) if age < u64::from(u128::BITS) && self.window >> age & 1 == 0 => Ok(()),
            Some(_) => Err(Error::Replayed),
        }
    }

    /// The same, and a packet had this index.
    pub(super) fn with(mut self, index: u64) -> Position {
        self.note(index);
        self
    }

    /// A packet had this index.
    pub(super) fn note(&mut self, index: u64) {
        if index > self.highest {
            self.window = shift(self.window, index - self.highest) | 1;
            self.highest = index;
        } else {
            self.window |= shift(1, self.highest - index);
        }
    }

    /// What was used in either of two.
    pub(super) fn merge(self, other: Position) -> Position {
        let (earlier, later) = match self.highest <= other.highest {
            true => (self, other),
            false => (other, self),
        };
        let age = later.highest - earlier.highest;
        Position {
            highest: later.highest,
            window: later.window | shift(earlier.window, age),
        }
    }
}

fn shift(window: u128, by: u64) -> u128 {
    u32::try_from(by)
        .ok()
        .and_then(|by| window.checked_shl(by))
        .unwrap_or(0)
}

/// The index nearest to another one with these lower 16 bits.
pub(super) fn nearest(index: u64, sequence: u16) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "only the lower 16 bits matter")]
    let ahead = sequence_ahead(index as u32, sequence);
    // Before the very first cycle there is nothing.
    index
        .checked_add_signed(i64::from(ahead))
        .unwrap_or(u64::from(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_index_wraps_both_ways() {
        assert_eq!(nearest(0x1_fffe, 1), 0x2_0001);
        assert_eq!(nearest(0x2_0001, 0xfffe), 0x1_fffe);
        assert_eq!(nearest(0x2_0001, 5), 0x2_0005);
        assert_eq!(nearest(3, 0xfff0), 0xfff0, "there is no cycle before the first");
    }

    #[test]
    fn what_was_used_in_either_is_used() {
        let position = |indices: &[u64]| {
            let mut position = Position::at(indices[0]);
            indices.iter().for_each(|index| position.note(*index));
            position
        };
        let (one, other) = (position(&[10, 12, 13]), position(&[7, 11]));
        for merged in [one.merge(other), other.merge(one)] {
            assert_eq!(merged, position(&[7, 10, 11, 12, 13]));
        }
        assert_eq!(one.merge(position(&[1000])).highest, 1000);
    }

    #[test]
    fn an_index_counts_once() {
        let mut position = Position::at(1000);
        for index in [1001, 1010, 1005, 1009, 5000, 4999, 4873] {
            assert_eq!(position.check(index), Ok(()), "{index}");
            position.note(index);
            assert_eq!(position.check(index), Err(Error::Replayed), "{index}");
        }
        assert_eq!(position.check(4874), Ok(()));
        assert_eq!(
            position.check(4872),
            Err(Error::Replayed),
            "older than the window"
        );
        assert_eq!(position.check(1000), Err(Error::Replayed));
    }
}
