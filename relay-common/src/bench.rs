//! What the programs that measure the XDP program (`relay-ebpf/bench`) share with those who run them.

use crate::checksum;

/// The sender of every frame.
pub const SENDER: ([u8; 4], u16) = ([198, 51, 100, 7], 4000);

/// The relay's address, and the port of the first flow; the others follow.
pub const RELAY: ([u8; 4], u16) = ([192, 0, 2, 1], 30_000);

/// The receiver of every frame.
pub const RECEIVER: ([u8; 4], u16) = ([203, 0, 113, 9], 5000);

/// TOS of what is relayed.
pub const TOS: u8 = 0xb8;

/// Bytes of Ethernet, IPv4, UDP and RTP headers.
pub const HEADERS: usize = 54;

/// Bytes of a frame: 20 ms of G.711, all zero.
pub const FRAME: usize = HEADERS + 160;

/// The only entry of the map `SETTINGS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Index of the interface that frames are sent from, towards the relay.
    pub relay: u32,
    /// Index of the interface that `bare` redirects to.
    pub out: u32,
    /// Number of flows that take turns.
    pub flows: u32,
    /// How many flows further the next frame's is. Has no divisor in common with the number of flows.
    pub stride: u32,
}

/// Indices into the map `COUNTS`.
pub mod count {
    use super::{RELAY, SENDER};

    /// Frames made.
    pub const GENERATED: u32 = 0;
    /// Frames received by `drop`.
    pub const DROPPED: u32 = 1;
    /// Frames received by `sink` as they were made.
    pub const UNCHANGED: u32 = 2;
    /// Frames received by `sink` from the relay.
    pub const RELAYED: u32 = 3;
    /// Others, that the network stack sends by itself.
    pub const STRAY: u32 = 4;
    /// Number of counters.
    pub const KINDS: u32 = 5;

    /// The counter for a frame received by `sink`.
    #[inline(always)]
    pub fn of_received(headers: &[u8; super::HEADERS]) -> u32 {
        let [.., a, b, c, d] = *headers.first_chunk::<30>().unwrap_or(&[0; 30]);
        let source = [a, b, c, d];
        if source == RELAY.0 {
            RELAYED
        } else if source == SENDER.0 {
            UNCHANGED
        } else {
            STRAY
        }
    }
}

/// The headers of the frame that is sent to a flow's port in some round: a valid packet of the flow's stream.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "flows are ports; sequence numbers wrap"
)]
pub fn header(flow: u32, round: u32) -> [u8; HEADERS] {
    let port = RELAY.1.wrapping_add(flow as u16);
    let sequence = round as u16;
    let timestamp = round.wrapping_mul(160);
    let mut header = TEMPLATE;
    put(&mut header, 36, port.to_be_bytes());
    put(&mut header, 44, sequence.to_be_bytes());
    put(&mut header, 46, timestamp.to_be_bytes());
    put(&mut header, 50, flow.to_be_bytes());
    let words = |number: u32| (number >> 16) as u64 + (number & 0xffff) as u64;
    let sum = UDP_SUM + port as u64 + sequence as u64 + words(timestamp) + words(flow);
    put(
        &mut header,
        40,
        checksum::udp(checksum::finish(sum)).to_be_bytes(),
    );
    header
}

#[inline(always)]
fn put<const N: usize>(header: &mut [u8; HEADERS], at: usize, bytes: [u8; N]) {
    let mut index = 0;
    while index < N {
        header[at + index] = bytes[index];
        index += 1;
    }
}

/// The headers, without what differs from frame to frame.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a frame's length is a small number"
)]
const TEMPLATE: [u8; HEADERS] = {
    let (source, source_port) = (SENDER.0, SENDER.1.to_be_bytes());
    let destination = RELAY.0;
    let ip_length = ((FRAME - 14) as u16).to_be_bytes();
    let udp_length = ((FRAME - 34) as u16).to_be_bytes();
    let mut header = [0; HEADERS];
    let fields: [(usize, &[u8]); 9] = [
        (0, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]),
        (12, &[0x08, 0x00, 0x45, 0]),
        (16, &ip_length),
        (20, &[0x40, 0, 64, 17]),
        (26, &source),
        (30, &destination),
        (34, &source_port),
        (38, &udp_length),
        // RTP version 2, PCMA.
        (42, &[0x80, 8]),
    ];
    let mut field = 0;
    while field < fields.len() {
        let (at, bytes) = fields[field];
        let mut index = 0;
        while index < bytes.len() {
            header[at + index] = bytes[index];
            index += 1;
        }
        field += 1;
    }
    let [high, low] = checksum::finish(words(&header, 14, 34)).to_be_bytes();
    header[24] = high;
    header[25] = low;
    header
};

/// Sum of the words of the pseudo-header and of [`TEMPLATE`] from UDP on.
const UDP_SUM: u64 = words(&TEMPLATE, 26, HEADERS) + 17 + (FRAME - 34) as u64;

const fn words(bytes: &[u8; HEADERS], from: usize, to: usize) -> u64 {
    let mut sum = 0;
    let mut at = from;
    while at < to {
        sum += (bytes[at] as u64) << 8 | bytes[at + 1] as u64;
        at += 2;
    }
    sum
}

const _: () = assert!(size_of::<Settings>() == 16);

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no padding (asserted above), valid for any bytes.
unsafe impl aya::Pod for Settings {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{fold, sum};

    #[test]
    fn checksums_are_valid() {
        for (flow, round) in [(0, 0), (1, 2), (29_999, u32::MAX)] {
            let header = header(flow, round);
            assert_eq!(fold(sum(&header[14..34])), 0xffff, "IPv4");
            let length = sum(&[0, 17, header[38], header[39]]);
            assert_eq!(fold(sum(&header[26..]) + length), 0xffff, "UDP");
        }
    }

    #[test]
    fn a_frame_names_its_flow_and_round() {
        let header = header(258, 3);
        assert_eq!(u16::from_be_bytes([header[36], header[37]]), RELAY.1 + 258);
        assert_eq!(header[44..54], [0, 3, 0, 0, 1, 224, 0, 0, 1, 2]);
    }

    #[test]
    fn frames_are_told_apart_by_their_source() {
        let mut headers = header(0, 0);
        assert_eq!(count::of_received(&headers), count::UNCHANGED);
        headers[26..30].copy_from_slice(&RELAY.0);
        assert_eq!(count::of_received(&headers), count::RELAYED);
        headers[26] = 1;
        assert_eq!(count::of_received(&headers), count::STRAY);
    }
}
