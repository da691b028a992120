//! Who receives what arrives at a stream, and what of it.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{ExtensionFilter, StreamId};
use crate::codec::Kind;

/// A receiver of a stream's RTP, or of its datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkPlan {
    /// The stream through which it receives.
    pub stream: StreamId,
    /// What it gets of the media: of all packets but telephone events.
    pub media: Treatment,
    /// Whether telephone events are kept from it.
    pub drop_events: bool,
    /// Payload types that it knows by another number.
    pub renumbering: Renumbering,
    /// Which header extensions it gets; all of them if that is not said.
    pub extensions: Option<ExtensionFilter>,
    /// What is decoded, and encoded anew.
    pub transcoding: Option<Arc<Transcoding>>,
}

/// Payload types that become others on their way to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcoding {
    /// Audio.
    pub audio: SmallVec<[Conversion; 2]>,
    /// Telephone events that the receiver knows as well.
    pub events: SmallVec<[EventConversion; 1]>,
}

/// Telephone events, whose clock may be another one for the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventConversion {
    /// Payload type and clock, Hz, of the sender.
    pub from: (u8, u32),
    /// Those of the receiver.
    pub to: (u8, u32),
}

/// A payload type that becomes another one on its way to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// That of the sender.
    pub from: Coding,
    /// That of the receiver.
    pub to: Coding,
    /// Milliseconds in a packet for the receiver.
    pub packet_time: u32,
}

/// What a payload type means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    /// Its number.
    pub payload_type: u8,
    /// The codec.
    pub kind: Kind,
    /// Hz: the clock of its timestamps.
    pub clock_rate: u32,
}

/// Payload types that have another number on their way to a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renumbering {
    /// The sender's and the receiver's number, as many as `count` says.
    pairs: [(u8, u8); Renumbering::MAX],
    count: usize,
}

/// What becomes of the media on its way to a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Treatment {
    /// It is relayed as it is.
    #[default]
    Pass,
    /// Its payload is overwritten with silence. Where silence is not known, nothing is relayed.
    Silence,
    /// Nothing is relayed.
    Drop,
}

impl From<StreamId> for SinkPlan {
    /// A receiver of everything.
    fn from(stream: StreamId) -> SinkPlan {
        SinkPlan {
            stream,
            media: Treatment::Pass,
            drop_events: false,
            renumbering: Renumbering::default(),
            extensions: None,
            transcoding: None,
        }
    }
}

impl Renumbering {
    /// Others keep their numbers.
    pub const MAX: usize = 8;

    /// Adds a payload type. Whether there was room for it.
    pub fn insert(&mut self, from: u8, to: u8) -> bool {
        let Some(pair) = self.pairs.get_mut(self.count) else {
            return false;
        };
        *pair = (from, to);
        self.count += 1;
        true
    }

    /// The number that a payload type has for the receiver, if it is another one.
    pub fn of(&self, payload_type: u8) -> Option<u8> {
        let mut pairs = self.pairs[..self.count].iter();
        let known = pairs.find(|(from, _)| *from == payload_type);
        known.map(|(_, to)| *to)
    }

    /// Whether all of them keep their numbers.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// What is known of the payload types of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payloads {
    /// Telephone events (RFC 4733).
    pub events: PayloadTypes,
    /// Payload types with a byte that a silent payload is made of.
    pub silence: SmallVec<[(u8, u8); 4]>,
}

/// A set of payload types: bit `pt % 64` of word `pt / 64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadTypes(pub [u64; 2]);

impl PayloadTypes {
    /// Adds a payload type. Numbers beyond 127 are none.
    pub fn insert(&mut self, payload_type: u8) {
        if let Some(word) = self.0.get_mut(usize::from(payload_type / 64)) {
            *word |= 1 << (payload_type % 64);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 2]
    }

    /// Whether a payload type is among them.
    pub fn contains(&self, payload_type: u8) -> bool {
        let word = self.0.get(usize::from(payload_type / 64));
        word.is_some_and(|word| word >> (payload_type % 64) & 1 == 1)
    }
}

impl Payloads {
    /// The byte that silence of this payload type is made of.
    pub fn silence(&self, payload_type: u8) -> Option<u8> {
        let mut known = self.silence.iter();
        known
            .find(|(known, _)| *known == payload_type)
            .map(|(_, byte)| *byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_payload_types_have_other_numbers() {
        let mut renumbering = Renumbering::default();
        assert!(renumbering.is_empty());
        assert!((0..8).all(|number| renumbering.insert(96 + number, 100 + number)));
        assert!(!renumbering.insert(120, 121), "no room");
        let numbers = [97, 104, 120].map(|number| renumbering.of(number));
        assert_eq!(numbers, [Some(101), None, None]);
    }

    #[test]
    fn a_set_has_room_for_all_payload_types() {
        let mut set = PayloadTypes::default();
        for payload_type in [0, 63, 64, 127, 128, 255] {
            set.insert(payload_type);
        }
        let members: Vec<u8> = (0..=255)
            .filter(|payload_type| set.contains(*payload_type))
            .collect();
        assert_eq!(members, [0, 63, 64, 127]);
        assert_eq!(set.0, [1 | 1 << 63, 1 | 1 << 63]);
    }
}
