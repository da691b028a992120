//! Who receives what arrives at a stream, and what of it.

use smallvec::SmallVec;

use super::StreamId;

/// A receiver of a stream's RTP, or of its datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkPlan {
    /// The stream through which it receives.
    pub stream: StreamId,
    /// What it gets of the media: of all packets but telephone events.
    pub media: Treatment,
    /// Whether telephone events are kept from it.
    pub drop_events: bool,
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
        }
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
