//! The packets of one SSRC in the order of their sequence numbers, each once: decoders need them so.

use std::time::Duration;

use crate::clock::Time;

/// When so many later packets are here, one that is missing is given up.
const MOST_HELD: usize = 10;

/// The same after so long: packets that are swapped arrive at most two packet times late.
const PATIENCE: Duration = Duration::from_millis(40);

/// What is farther from what is expected begins anew.
const WINDOW: i16 = 128;

/// Puts packets in order.
#[derive(Debug, Default)]
pub(super) struct Sequencer {
    /// The sequence number that is next.
    next: Option<u16>,
    /// Packets that have come before their turn, in order.
    held: Vec<Held>,
    /// Until when the packet that is next is waited for.
    deadline: Option<Time>,
    /// Buffers to be used again.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Held {
    sequence: u16,
    packet: Vec<u8>,
}

/// How a packet follows the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// Its sequence number is the next one, or packets between the two are lost.
    InOrder,
    /// Its sender has begun to count anew.
    Reset,
}

impl Sequencer {
    /// Takes a packet with its sequence number, and gives those whose turn it is.
    pub(super) fn take(
        &mut self,
        now: Time,
        sequence: u16,
        packet: &[u8],
        mut give: impl FnMut(&[u8], Follows),
    ) {
        let Some(next) = self.next else {
            self.next = Some(sequence.wrapping_add(1));
            return give(packet, Follows::InOrder);
        };
        match sequence.wrapping_sub(next).cast_signed() {
            0 => {
                self.next = Some(sequence.wrapping_add(1));
                give(packet, Follows::InOrder);
                self.give_held(now, &mut give);
            }
            1..=WINDOW => {
                self.hold(sequence, packet);
                if self.held.len() >= MOST_HELD {
                    self.give_up(now, &mut give);
                } else if self.deadline.is_none() {
                    self.deadline = Some(now + PATIENCE);
                }
            }
            // It comes too late, or once more.
            behind if (-WINDOW..0).contains(&behind) => {}
            _ => {
                while !self.held.is_empty() {
                    self.give_up(now, &mut give);
                }
                self.next = Some(sequence.wrapping_add(1));
                give(packet, Follows::Reset);
            }
        }
    }

    /// When [`Sequencer::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.deadline
    }

    /// Gives up what was waited for long enough.
    pub(super) fn handle_timeout(&mut self, now: Time, mut give: impl FnMut(&[u8], Follows)) {
        if self.deadline.is_some_and(|due| due <= now) {
            self.give_up(now, &mut give);
        }
    }

    fn hold(&mut self, sequence: u16, packet: &[u8]) {
        let next = self.next.unwrap_or(sequence);
        let turn = sequence.wrapping_sub(next);
        let place = self
            .held
            .partition_point(|held| held.sequence.wrapping_sub(next) < turn);
        if self.held.get(place).is_some_and(|held| held.sequence == sequence) {
            return;
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(packet);
        self.held.insert(
            place,
            Held {
                sequence,
                packet: buffer,
            },
        );
    }

    /// The missing packet is lost: goes on with what is there.
    fn give_up(&mut self, now: Time, give: &mut impl FnMut(&[u8], Follows)) {
        self.next = self.held.first().map(|held| held.sequence).or(self.next);
        self.give_held(now, give);
    }

    /// Gives what is held up to the next packet that is missing.
    fn give_held(&mut self, now: Time, give: &mut impl FnMut(&[u8], Follows)) {
        while let (Some(held), Some(next)) = (self.held.first(), self.next)
            && held.sequence == next
        {
            let Held { packet, .. } = self.held.remove(0);
            self.next = Some(next.wrapping_add(1));
            give(&packet, Follows::InOrder);
            self.spare.push(packet);
        }
        self.deadline = (!self.held.is_empty()).then(|| now + PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes out of packets that arrive so, one every 20 ms; each consists of its sequence number.
    fn ordered(arrivals: impl IntoIterator<Item = u16>) -> (Vec<u16>, usize) {
        let (mut sequencer, mut given, mut resets) = (Sequencer::default(), Vec::new(), 0);
        let mut now = Time(1_000_000_000);
        let mut give = |packet: &[u8], follows| {
            given.push(u16::from_be_bytes([packet[0], packet[1]]));
            resets += usize::from(follows == Follows::Reset);
        };
        for sequence in arrivals {
            now = now + Duration::from_millis(20);
            sequencer.handle_timeout(now, &mut give);
            sequencer.take(now, sequence, &sequence.to_be_bytes(), &mut give);
        }
        sequencer.handle_timeout(now + Duration::from_secs(1), &mut give);
        (given, resets)
    }

    #[test]
    fn swapped_and_repeated_packets_come_in_order_and_once() {
        assert_eq!(ordered([5, 7, 6, 6, 8, 5, 9]), (vec![5, 6, 7, 8, 9], 0));
        assert_eq!(
            ordered([5, 4, 6]),
            (vec![5, 6], 0),
            "what was before the first is too late"
        );
        assert_eq!(ordered([65_534, 0, 65_535, 1]), (vec![65_534, 65_535, 0, 1], 0));
    }

    #[test]
    fn lost_packets_are_given_up() {
        assert_eq!(ordered([5, 7, 8]), (vec![5, 7, 8], 0));
        assert_eq!(
            ordered([5, 7, 8, 9, 10, 6, 11]),
            (vec![5, 7, 8, 9, 10, 11], 0),
            "too late"
        );
        // All at once: no time passes.
        let mut sequencer = Sequencer::default();
        let mut given = Vec::new();
        for sequence in [5_u16].into_iter().chain(7..17) {
            sequencer.take(Time(0), sequence, &sequence.to_be_bytes(), |packet, _| {
                given.push(packet[1])
            });
        }
        assert_eq!(given, [5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    }

    #[test]
    fn a_jump_begins_anew() {
        assert_eq!(ordered([5, 205, 206]), (vec![5, 205, 206], 1));
        assert_eq!(ordered([1000, 500, 501]), (vec![1000, 500, 501], 1));
        assert_eq!(
            ordered([1000, 1002, 3000]),
            (vec![1000, 1002, 3000], 1),
            "nothing is forgotten"
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_is_given_once_and_little_is_kept(
            arrivals in proptest::collection::vec((any::<u8>(), 0..100_u64), 0..200),
        ) {
            let (mut sequencer, mut given) = (Sequencer::default(), 0);
            let mut now = Time(1_000_000_000);
            for (sequence, later) in &arrivals {
                now = now + Duration::from_millis(*later);
                sequencer.handle_timeout(now, |_, _| given += 1);
                sequencer.take(now, u16::from(*sequence) * 3, &[*sequence], |_, _| given += 1);
                prop_assert!(sequencer.held.len() < MOST_HELD);
                prop_assert_eq!(sequencer.held.is_empty(), sequencer.poll_timeout().is_none());
            }
            prop_assert!(given <= arrivals.len());
        }
    }
}
