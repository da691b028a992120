//! RTP streams whose packets can be told apart, and what became of them.

use std::collections::BTreeSet;

/// Makes the packets of one stream. Every byte of a packet follows from its number.
#[derive(Clone, Debug)]
pub struct Stream {
    ssrc: u32,
    payload_type: u8,
    sent: u64,
}

/// What became of a stream's packets, counted at the receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Packets that arrived whole, each counted once.
    pub received: u64,
    /// Packets that did not arrive.
    pub lost: u64,
    /// Further copies of packets.
    pub duplicated: u64,
    /// Packets that came later than a younger one.
    pub reordered: u64,
    /// Datagrams that no sender sent like that.
    pub corrupted: u64,
}

/// The receiving end of a [`Stream`].
#[derive(Clone, Debug)]
pub struct Receiver {
    stream: Stream,
    seen: BTreeSet<u64>,
    duplicated: u64,
    reordered: u64,
    corrupted: u64,
}

/// Bytes that follow no pattern, without an end.
#[derive(Clone, Debug)]
pub struct Noise(u64);

/// RTP payload: as much as 20 ms of G.711.
const PAYLOAD: usize = 160;

impl Stream {
    /// A stream that has not begun.
    pub fn new(ssrc: u32, payload_type: u8) -> Stream {
        Stream {
            ssrc,
            payload_type,
            sent: 0,
        }
    }

    /// The next packet.
    pub fn next_packet(&mut self) -> Vec<u8> {
        self.sent += 1;
        self.packet(self.sent - 1)
    }

    /// Packets made so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// A receiver for the stream's packets, from the first one on.
    pub fn receiver(&self) -> Receiver {
        Receiver {
            stream: self.clone(),
            seen: BTreeSet::new(),
            duplicated: 0,
            reordered: 0,
            corrupted: 0,
        }
    }

    fn packet(&self, number: u64) -> Vec<u8> {
        let bytes = number.to_be_bytes();
        let mut packet = vec![0x80, self.payload_type & 0x7f];
        packet.extend(&bytes[6..]);
        let timestamp = number.wrapping_mul(160).to_be_bytes();
        packet.extend(&timestamp[4..]);
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(bytes);
        let noise = Noise::new(number ^ u64::from(self.ssrc));
        packet.extend(noise.take(PAYLOAD - bytes.len()));
        packet
    }
}

impl Receiver {
    /// Takes in a datagram's payload.
    pub fn take(&mut self, payload: &[u8]) {
        let number = payload.get(12..).and_then(|rest| rest.first_chunk());
        let number = number.copied().map(u64::from_be_bytes);
        let Some(number) = number.filter(|number| self.stream.packet(*number) == payload) else {
            self.corrupted += 1;
            return;
        };
        if self.seen.last().is_some_and(|newest| number < *newest) {
            self.reordered += 1;
        }
        if !self.seen.insert(number) {
            self.duplicated += 1;
        }
    }

    /// Packets that arrived whole so far, each counted once.
    pub fn received(&self) -> u64 {
        u64::try_from(self.seen.len()).unwrap_or(u64::MAX)
    }

    /// The result, of so many packets sent.
    pub fn report(&self, sent: u64) -> Report {
        Report {
            received: self.received(),
            lost: sent.saturating_sub(self.received()),
            duplicated: self.duplicated,
            reordered: self.reordered,
            corrupted: self.corrupted,
        }
    }
}

impl Report {
    /// All packets of a stream, once each, in order.
    pub fn all_of(sent: u64) -> Report {
        Report {
            received: sent,
            ..Report::default()
        }
    }
}

impl Noise {
    /// The same seed gives the same bytes.
    pub fn new(seed: u64) -> Noise {
        Noise(seed)
    }
}

impl Iterator for Noise {
    type Item = u8;

    /// A byte of a splitmix64 sequence.
    fn next(&mut self) -> Option<u8> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Some((mixed ^ (mixed >> 27)).to_be_bytes()[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_stream_is_reported_as_such() {
        let mut stream = Stream::new(1, 0);
        let mut receiver = stream.receiver();
        for _ in 0..70_000 {
            receiver.take(&stream.next_packet());
        }
        assert_eq!(receiver.report(stream.sent()), Report::all_of(70_000));
    }

    #[test]
    fn every_fault_is_counted() {
        let mut stream = Stream::new(1, 0);
        let mut receiver = stream.receiver();
        let packets: Vec<_> = std::iter::repeat_with(|| stream.next_packet()).take(6).collect();
        let mut wrong = packets[5].clone();
        wrong[100] ^= 1;
        for packet in [&packets[1], &packets[0], &packets[2], &packets[2], &wrong] {
            receiver.take(packet);
        }
        receiver.take(&[0x80]);
        receiver.take(&Stream::new(2, 0).packet(4));
        let report = receiver.report(stream.sent());
        let expected = Report {
            received: 3,
            lost: 3,
            duplicated: 1,
            reordered: 1,
            corrupted: 3,
        };
        assert_eq!(report, expected);
    }
}
