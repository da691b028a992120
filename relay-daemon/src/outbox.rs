//! Datagrams of our own that wait to be sent: checks, answers, handshakes, media that was encoded.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;

use crate::plan::PortId;

/// Beyond these nothing more is taken, as if the network had lost it: whoever sends does so again.
const MAX_DATAGRAMS: usize = 256;
const MAX_BYTES: usize = 256 * 1024;

/// Datagrams in the order in which they are to be sent, in one buffer that is used again once all are gone.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    waiting: VecDeque<Waiting>,
}

/// A datagram to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The local port to send from.
    pub from: PortId,
    /// The receiver.
    pub to: SocketAddr,
    /// The UDP payload.
    pub bytes: &'a [u8],
}

#[derive(Debug)]
struct Waiting {
    from: PortId,
    to: SocketAddr,
    bytes: Range<usize>,
}

impl Outbox {
    /// Adds a datagram, which `write` appends to the buffer.
    pub fn push(&mut self, from: PortId, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        if self.waiting.is_empty() {
            self.bytes.clear();
        }
        let start = self.bytes.len();
        if self.waiting.len() >= MAX_DATAGRAMS || start >= MAX_BYTES {
            return;
        }
        write(&mut self.bytes);
        let bytes = start..self.bytes.len();
        self.waiting.push_back(Waiting { from, to, bytes });
    }

    /// The next datagram.
    pub fn pop(&mut self) -> Option<Datagram<'_>> {
        let Waiting { from, to, bytes } = self.waiting.pop_front()?;
        let bytes = &self.bytes[bytes];
        Some(Datagram { from, to, bytes })
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> SocketAddr {
        ([192, 0, 2, 1], 9).into()
    }

    #[test]
    fn first_in_first_out() {
        let mut outbox = Outbox::default();
        for round in 0..3 {
            outbox.push(PortId(1), address(), |buffer| buffer.extend([round, 1]));
            outbox.push(PortId(2), address(), |buffer| buffer.extend([round, 2, 2]));
            let first = outbox.pop().unwrap();
            assert_eq!(
                (first.from, first.to, first.bytes),
                (PortId(1), address(), &[round, 1][..])
            );
            assert_eq!(outbox.pop().unwrap().bytes, [round, 2, 2]);
            assert_eq!(outbox.pop(), None);
            assert!(outbox.is_empty());
        }
        assert_eq!(outbox.bytes.len(), 5, "the buffer is used again");
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut outbox = Outbox::default();
        for _ in 0..10 * MAX_DATAGRAMS {
            outbox.push(PortId(1), address(), |buffer| {
                buffer.resize(buffer.len() + 9000, 0)
            });
        }
        assert!(outbox.waiting.len() <= MAX_DATAGRAMS);
        assert!(outbox.bytes.len() <= MAX_BYTES + 9000);
    }
}
