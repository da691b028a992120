//! RTCP reports as bytes (RFC 3550 section 6).

use relay_common::packet::{Kind, classify};

pub(super) const SENDER_REPORT: u8 = 200;
pub(super) const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;

/// Items of a source description (RFC 3550 section 6.5.1, RFC 9143 section 15.2).
const CNAME: u8 = 1;
const MID: u8 = 15;

/// Bytes of a sender report without blocks.
const SHORTEST_SENDER_REPORT: usize = 28;

/// How many blocks a report has room for.
pub(super) const MAX_BLOCKS: usize = 31;

/// What a sender says of what it sends (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SenderInfo {
    /// Seconds since 1900 in the upper half, fractions of one in the lower.
    pub(super) ntp: u64,
    /// The same moment in the clock of the media.
    pub(super) timestamp: u32,
    pub(super) packets: u32,
    pub(super) octets: u32,
}

/// What a receiver says of one sender (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) ssrc: u32,
    /// Part of the packets that were lost since the last report, of 256.
    pub(super) fraction_lost: u8,
    /// Packets lost in all; what comes twice counts as found. 24 bits are sent.
    pub(super) lost: i32,
    pub(super) highest_sequence: u32,
    /// In the clock of the media.
    pub(super) jitter: u32,
    /// The middle of the NTP time of the sender's last report, and how long ago that came, in 65536ths of a second.
    pub(super) last_report: u32,
    pub(super) delay: u32,
}

/// A report and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report<'a> {
    pub(super) ssrc: u32,
    pub(super) sender: SenderInfo,
    /// At most [`MAX_BLOCKS`] count.
    pub(super) blocks: &'a [Block],
    pub(super) name: &'a str,
    /// The media section, where several share a transport.
    pub(super) mid: Option<&'a str>,
}

impl Report<'_> {
    /// Appends it as a compound packet.
    pub(super) fn write(&self, packet: &mut Vec<u8>) {
        let blocks = &self.blocks[..self.blocks.len().min(MAX_BLOCKS)];
        let report = begin(packet, SENDER_REPORT, blocks.len());
        packet.extend(self.ssrc.to_be_bytes());
        let sender = self.sender;
        packet.extend(sender.ntp.to_be_bytes());
        for word in [sender.timestamp, sender.packets, sender.octets] {
            packet.extend(word.to_be_bytes());
        }
        for block in blocks {
            block.write(packet);
        }
        end(packet, report);
        let description = begin(packet, SOURCE_DESCRIPTION, 1);
        packet.extend(self.ssrc.to_be_bytes());
        item(packet, CNAME, self.name);
        if let Some(mid) = self.mid {
            item(packet, MID, mid);
        }
        // At least one zero ends the list of items.
        let chunk = packet.len() - description;
        packet.resize(packet.len() + 4 - chunk % 4, 0);
        end(packet, description);
    }
}

impl Block {
    /// None if it is too short.
    fn read(bytes: &[u8]) -> Option<Block> {
        let lost = word(bytes, 4)?;
        Some(Block {
            ssrc: word(bytes, 0)?,
            fraction_lost: *bytes.get(4)?,
            lost: (lost << 8).cast_signed() >> 8,
            highest_sequence: word(bytes, 8)?,
            jitter: word(bytes, 12)?,
            last_report: word(bytes, 16)?,
            delay: word(bytes, 20)?,
        })
    }

    fn write(&self, packet: &mut Vec<u8>) {
        let [_, lost @ ..] = self.lost.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
        packet.extend(self.ssrc.to_be_bytes());
        packet.push(self.fraction_lost);
        packet.extend(lost);
        for word in [self.highest_sequence, self.jitter, self.last_report, self.delay] {
            packet.extend(word.to_be_bytes());
        }
    }
}

/// Starts a message; the result is where.
#[expect(
    clippy::cast_possible_truncation,
    reason = "bounded by what fits in five bits"
)]
fn begin(packet: &mut Vec<u8>, kind: u8, count: usize) -> usize {
    let start = packet.len();
    packet.extend([0x80 | count as u8, kind, 0, 0]);
    start
}

/// Ends it, now that its length is known.
fn end(packet: &mut [u8], start: usize) {
    let words = (packet.len() - start) / 4 - 1;
    let words = u16::try_from(words).unwrap_or(u16::MAX);
    packet[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

fn item(packet: &mut Vec<u8>, kind: u8, text: &str) {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    packet.extend([kind, length]);
    packet.extend(text.bytes().take(length.into()));
}

/// The sender reports of a compound packet: whose, and the middle 32 bits of its NTP time.
pub(super) fn sender_reports(packet: &[u8]) -> impl Iterator<Item = (u32, u32)> + '_ {
    messages(packet)
        .filter(|(kind, message)| *kind == SENDER_REPORT && message.len() >= SHORTEST_SENDER_REPORT)
        .filter_map(|(_, message)| Some((word(message, 4)?, word(message, 10)?)))
}

/// The blocks of the reports in a compound packet, each with who says so.
pub(super) fn blocks(packet: &[u8]) -> impl Iterator<Item = (u32, Block)> + '_ {
    messages(packet).flat_map(|(kind, message)| {
        let start = match kind {
            SENDER_REPORT => SHORTEST_SENDER_REPORT,
            RECEIVER_REPORT => 8,
            _ => message.len(),
        };
        let count = message.first().map_or(0, |first| usize::from(first & 0x1f));
        let receiver = word(message, 4);
        let blocks = message.get(start..).unwrap_or_default().chunks_exact(24);
        let blocks = blocks.take(count).filter_map(Block::read);
        blocks.filter_map(move |block| Some((receiver?, block)))
    })
}

/// The messages of a compound packet with their types. What stands behind something that is no RTCP is passed over.
fn messages(packet: &[u8]) -> impl Iterator<Item = (u8, &[u8])> + '_ {
    let mut rest = packet;
    std::iter::from_fn(move || {
        let &[_, kind, high, low] = rest.first_chunk()?;
        if classify(rest) != Kind::Rtcp {
            return None;
        }
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let (message, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some((kind, message))
    })
}

fn word(message: &[u8], offset: usize) -> Option<u32> {
    let bytes = message.get(offset..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: Block = Block {
        ssrc: 0x0102_0304,
        fraction_lost: 128,
        lost: -2,
        highest_sequence: 0x0001_0203,
        jitter: 9,
        last_report: 0x0a0b_0c0d,
        delay: 0x0001_8000,
    };

    #[test]
    fn a_sender_report_byte_by_byte() {
        let report = Report {
            ssrc: 7,
            sender: SenderInfo {
                ntp: 0x1111_2222_3333_4444,
                timestamp: 160,
                packets: 2,
                octets: 320,
            },
            blocks: &[BLOCK],
            name: "0123456789ab",
            mid: Some("a"),
        };
        let mut packet = Vec::new();
        report.write(&mut packet);
        #[rustfmt::skip]
        let expected = [
            0x81, 200, 0, 12, 0, 0, 0, 7,
            0x11, 0x11, 0x22, 0x22, 0x33, 0x33, 0x44, 0x44,
            0, 0, 0, 160, 0, 0, 0, 2, 0, 0, 1, 64,
            1, 2, 3, 4, 128, 0xff, 0xff, 0xfe, 0, 1, 2, 3, 0, 0, 0, 9, 10, 11, 12, 13, 0, 1, 0x80, 0,
            0x81, 202, 0, 6, 0, 0, 0, 7,
            1, 12, b'0', b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'8', b'9', b'a', b'b',
            15, 1, b'a', 0, 0, 0,
        ];
        assert_eq!(packet, expected);
        let found: Vec<_> = sender_reports(&packet).collect();
        assert_eq!(found, [(7, 0x2222_3333)]);
        assert_eq!(blocks(&packet).collect::<Vec<_>>(), [(7, BLOCK)]);
        let too_short = [[0x80, 200, 0, 4].as_slice(), &[7; 16]].concat();
        assert_eq!(sender_reports(&too_short).count(), 0);
    }

    #[test]
    fn there_is_room_for_31_blocks() {
        let report = Report {
            ssrc: 7,
            sender: SenderInfo::default(),
            blocks: &[BLOCK; 40],
            name: "ab",
            mid: None,
        };
        let mut packet = Vec::new();
        report.write(&mut packet);
        assert_eq!(packet[..4], [0x80 | 31, 200, 0, 6 + 31 * 6]);
        // Two octets of text end right at a word: a word of zeroes follows.
        assert_eq!(
            packet[28 + 31 * 24..],
            [0x81, 202, 0, 3, 0, 0, 0, 7, 1, 2, b'a', b'b', 0, 0, 0, 0]
        );
        assert_eq!(sender_reports(&packet).count(), 1);
    }

    #[test]
    fn losses_stay_within_24_bits() {
        let lost = |lost| {
            let mut packet = Vec::new();
            Block { lost, ..BLOCK }.write(&mut packet);
            [packet[5], packet[6], packet[7]]
        };
        assert_eq!(lost(i32::MAX), [0x7f, 0xff, 0xff]);
        assert_eq!(lost(i32::MIN), [0x80, 0, 0]);
        assert_eq!(lost(-1), [0xff, 0xff, 0xff]);
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(packet in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(sender_reports(&packet).count() <= packet.len() / SHORTEST_SENDER_REPORT);
            prop_assert!(blocks(&packet).count() <= packet.len() / 24);
        }

        #[test]
        fn every_report_is_whole_words(
            name in "[a-z]{0,300}",
            mid in prop::option::of("[a-z]{0,300}"),
            blocks in 0..40usize,
        ) {
            let blocks = vec![BLOCK; blocks];
            let report = Report { ssrc: 7, sender: SenderInfo::default(), blocks: &blocks, name: &name, mid: mid.as_deref() };
            let mut packet = Vec::new();
            report.write(&mut packet);
            let first = 4 + 4 * usize::from(u16::from_be_bytes([packet[2], packet[3]]));
            let second = 4 + 4 * usize::from(u16::from_be_bytes([packet[first + 2], packet[first + 3]]));
            prop_assert_eq!(first + second, packet.len());
            prop_assert_eq!(packet.last(), Some(&0));
        }
    }
}
