//! Requests of the peer that were seen.

use std::collections::VecDeque;

use crate::stun::TransactionId;

/// How many are remembered: more than a browser sends in some minutes.
const MOST: usize = 1024;

/// The newest transactions that a peer began.
#[derive(Debug, Default)]
pub(super) struct Requests(VecDeque<TransactionId>);

impl Requests {
    /// Whether a transaction was not seen before; from now on it was.
    pub(super) fn is_new(&mut self, transaction: TransactionId) -> bool {
        if self.0.contains(&transaction) {
            return false;
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(transaction);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let mut requests = Requests::default();
        let id = |number: u16| {
            let mut id = TransactionId::default();
            id[..2].copy_from_slice(&number.to_be_bytes());
            id
        };
        assert!((0..2000).all(|number| requests.is_new(id(number))));
        assert!(!requests.is_new(id(1999)) && !requests.is_new(id(976)));
        assert_eq!(requests.0.len(), MOST);
    }
}
