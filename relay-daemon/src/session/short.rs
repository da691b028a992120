//! Short packets (flag `block-short`): of codecs whose packets are all of one size, what is shorter than the first packet is no audio.

use smallvec::SmallVec;

use crate::clock::Time;
use crate::plan::PayloadTypes;

/// How much the first packet of each payload type carried, since the newest signalling message.
#[derive(Debug)]
pub(super) struct FirstSizes {
    /// Which payload types are looked at.
    even: PayloadTypes,
    since: Time,
    sizes: SmallVec<[(u8, usize); 2]>,
}

impl FirstSizes {
    pub(super) fn new(even: PayloadTypes, since: Time) -> FirstSizes {
        FirstSizes {
            even,
            since,
            sizes: SmallVec::new(),
        }
    }

    /// What is known goes on if no message has come.
    pub(super) fn go_on_from(&mut self, before: FirstSizes) {
        if before.since == self.since && before.even == self.even {
            self.sizes = before.sizes;
        }
    }

    /// Whether any packets may be dropped.
    pub(super) fn matter(&self) -> bool {
        self.even != PayloadTypes::default()
    }

    /// Whether a packet that carries so many bytes is shorter than the first one.
    pub(super) fn is_short(&mut self, payload_type: u8, size: usize) -> bool {
        if !self.even.contains(payload_type) {
            return false;
        }
        let mut known = self.sizes.iter();
        match known.find(|(known, _)| *known == payload_type) {
            Some((_, first)) => size < *first,
            None => {
                self.sizes.push((payload_type, size));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packet_of_a_payload_type_is_the_measure() {
        let mut even = PayloadTypes::default();
        even.insert(0);
        even.insert(8);
        let mut sizes = FirstSizes::new(even, Time(1));
        assert!(sizes.matter());
        let mut short = |payload_type, size| sizes.is_short(payload_type, size);
        assert_eq!(
            [160, 80, 320, 159, 160].map(|size| short(0, size)),
            [false, true, false, true, false]
        );
        assert_eq!([80, 79, 160].map(|size| short(8, size)), [false, true, false]);
        assert_eq!([20, 10].map(|size| short(101, size)), [false, false]);
    }

    #[test]
    fn a_message_starts_it_over() {
        let mut even = PayloadTypes::default();
        even.insert(0);
        let known = || {
            let mut sizes = FirstSizes::new(even, Time(1));
            sizes.is_short(0, 160);
            sizes
        };
        let mut same = FirstSizes::new(even, Time(1));
        same.go_on_from(known());
        assert!(same.is_short(0, 80));
        let mut next = FirstSizes::new(even, Time(2));
        next.go_on_from(known());
        assert!(!next.is_short(0, 80));
        assert!(!FirstSizes::new(PayloadTypes::default(), Time(1)).matter());
    }
}
