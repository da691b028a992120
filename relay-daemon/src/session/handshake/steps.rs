//! Steps of handshakes that wait for their turn: each takes as long as hundreds of packets.

use std::collections::VecDeque;

use crate::ice::Route;
use crate::plan::StreamId;

/// Beyond these nothing more is taken, as if the network had lost it: whoever sends does so again.
const MAX_STEPS: usize = 64;

/// So many of them are from one place: a flight may have a dozen datagrams.
const MAX_OF_ONE: usize = 16;

/// Those of one session, in the order in which they are to be done.
#[derive(Debug, Default)]
pub(in crate::session) struct Steps {
    waiting: VecDeque<Step>,
}

/// A step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// We open the association of a stream.
    Open(StreamId),
    /// A datagram came for a stream's.
    Receive(StreamId, Route, Box<[u8]>),
}

impl Steps {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Step> {
        self.waiting.pop_front()
    }

    /// Once for each stream.
    pub(super) fn open(&mut self, stream: StreamId) {
        let step = Step::Open(stream);
        if !self.waiting.contains(&step) {
            self.waiting.push_back(step);
        }
    }

    pub(super) fn receive(&mut self, stream: StreamId, from: Route, datagram: &[u8]) {
        let same = |step: &&Step| matches!(step, Step::Receive(_, route, _) if *route == from);
        if self.waiting.len() < MAX_STEPS && self.waiting.iter().filter(same).count() < MAX_OF_ONE {
            self.waiting
                .push_back(Step::Receive(stream, from, datagram.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PortId;

    fn from(port: u16) -> Route {
        Route {
            port: PortId(1),
            remote: ([192, 0, 2, 1], port).into(),
        }
    }

    #[test]
    fn first_come_first_served() {
        let mut steps = Steps::default();
        for _ in 0..3 {
            steps.open(StreamId(7));
        }
        steps.receive(StreamId(7), from(1), &[1]);
        steps.receive(StreamId(7), from(1), &[2]);
        assert_eq!(steps.pop(), Some(Step::Open(StreamId(7))));
        for byte in [1, 2] {
            let step = Step::Receive(StreamId(7), from(1), [byte].into());
            assert_eq!(steps.pop(), Some(step));
        }
        assert!(steps.is_empty());
    }

    #[test]
    fn there_is_an_end_to_it_and_one_leaves_room_to_others() {
        let mut steps = Steps::default();
        for port in [1, 2] {
            for _ in 0..100 {
                steps.receive(StreamId(7), from(port), &[1]);
            }
        }
        assert_eq!(steps.waiting.len(), 2 * MAX_OF_ONE);
        for port in 3..100 {
            steps.receive(StreamId(7), from(port), &[1]);
        }
        assert_eq!(steps.waiting.len(), MAX_STEPS);
    }
}
