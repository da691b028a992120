//! What a datagram on a media port is, and the fixed part of an RTP header.

/// Length of an RTP header without CSRCs and extension, bytes (RFC 3550 section 5.1).
pub const RTP_HEADER: usize = 12;

/// What a datagram is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// STUN (first byte 0 to 3).
    Stun,
    /// DTLS (first byte 20 to 63).
    Dtls,
    /// RTP version 2 with a whole fixed header.
    Rtp,
    /// RTCP version 2.
    Rtcp,
    /// None of these: ZRTP, TURN channel data, T.38, keep-alives, noise.
    Other,
}

/// Tells STUN, DTLS, RTP and RTCP apart (RFC 7983 section 7). RTCP is a second byte from 194 to 223:
/// the range of RFC 5761 section 4 without the two types (192 and 193) of the long obsolete RFC 2032.
///
/// ```
/// # use relay_common::packet::{Kind, classify};
/// assert_eq!(classify(&[0x80, 0xc9, 0, 1, 0, 0, 0, 7]), Kind::Rtcp);
/// assert_eq!(classify(&[]), Kind::Other);
/// ```
pub fn classify(datagram: &[u8]) -> Kind {
    let byte = |index| datagram.get(index).copied();
    byte(0).map_or(Kind::Other, |first| kind(first, byte(1), datagram.len()))
}

/// [`classify`] for those who have no slice: the first two bytes and the length of a datagram.
#[inline(always)]
pub const fn kind(first: u8, second: Option<u8>, length: usize) -> Kind {
    match (first, second) {
        (0..=3, _) => Kind::Stun,
        (20..=63, _) => Kind::Dtls,
        (128..=191, Some(194..=223)) => Kind::Rtcp,
        (128..=191, _) if length >= RTP_HEADER => Kind::Rtp,
        _ => Kind::Other,
    }
}

/// The fields of an RTP header that a relay looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// The marker bit.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in units of the codec's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl RtpHeader {
    /// Reads the fixed header of a datagram that [`classify`] calls RTP; `None` for all others.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        if classify(datagram) != Kind::Rtp {
            return None;
        }
        let header: &[u8; RTP_HEADER] = datagram.first_chunk()?;
        let [_, second, s0, s1, t0, t1, t2, t3, ssrc @ ..] = *header;
        Some(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes(ssrc),
        })
    }
}

/// The value of an RTP header extension, one-byte or two-byte form (RFC 8285 sections 4.2 and 4.3). `None` for what is no
/// RTP or does not have it.
pub fn header_extension(datagram: &[u8], identifier: u8) -> Option<&[u8]> {
    if classify(datagram) != Kind::Rtp || datagram[0] & EXTENDED == 0 {
        return None;
    }
    let start = RTP_HEADER + 4 * usize::from(datagram[0] & 0x0f);
    let (&[p0, p1, l0, l1], rest) = datagram.get(start..)?.split_first_chunk()?;
    let words = usize::from(u16::from_be_bytes([l0, l1]));
    let mut elements = rest.get(..4 * words)?;
    let two_bytes = match u16::from_be_bytes([p0, p1]) {
        0xbede => false,
        profile if profile & 0xfff0 == 0x1000 => true,
        _ => return None,
    };
    while let Some((&first, rest)) = elements.split_first() {
        if first == 0 {
            elements = rest; // padding
            continue;
        }
        let (id, length, rest) = match (two_bytes, rest.split_first()) {
            (true, Some((&length, rest))) => (first, usize::from(length), rest),
            (true, None) => return None,
            // Reserved: whatever follows is not to be read.
            (false, _) if first >> 4 == 15 => return None,
            (false, _) => (first >> 4, usize::from(first & 0x0f) + 1, rest),
        };
        let (value, rest) = rest.split_at_checked(length)?;
        if id == identifier {
            return Some(value);
        }
        elements = rest;
    }
    None
}

/// The bit of the first byte that announces header extensions.
const EXTENDED: u8 = 0x10;

/// How far `sequence` is ahead of the highest extended sequence number so far, by the nearest way
/// round, as for an SRTP index (RFC 3711 section 3.3.1): negative for a packet that comes late.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "arithmetic modulo 2^16 is the point"
)]
pub const fn sequence_ahead(highest: u32, sequence: u16) -> i16 {
    sequence.wrapping_sub(highest as u16) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RTP: [u8; 14] = [
        0x80,
        0x80 | 101,
        0x12,
        0x34,
        0xde,
        0xad,
        0xbe,
        0xef,
        1,
        2,
        3,
        4,
        0xff,
        0xff,
    ];

    fn extended(extension: &[u8]) -> Vec<u8> {
        let mut packet = RTP[..RTP_HEADER].to_vec();
        packet[0] |= EXTENDED | 1;
        packet.extend([9; 4]); // a contributor
        packet.extend(extension);
        packet
    }

    #[test]
    fn header_extensions_of_both_forms() {
        let one_byte = extended(&[0xbe, 0xde, 0, 2, 0x10, 0xaa, 0, 0x32, b'a', b'b', b'c', 0, 7]);
        assert_eq!(header_extension(&one_byte, 1), Some(&[0xaa][..]));
        assert_eq!(header_extension(&one_byte, 3), Some(&b"abc"[..]));
        assert_eq!(header_extension(&one_byte, 2), None);
        let two_bytes = extended(&[0x10, 0, 0, 2, 200, 2, b'a', b'b', 0, 5, 0, 0]);
        assert_eq!(header_extension(&two_bytes, 200), Some(&b"ab"[..]));
        assert_eq!(header_extension(&two_bytes, 5), Some(&b""[..]));
        assert_eq!(header_extension(&RTP, 1), None);
        for broken in [
            &[0xbe, 0xde, 0, 9, 0x10, 1][..],
            &[0xbe, 0xde, 0, 1, 0x13, 1, 1, 1],
            &[0xbe, 0xde, 0, 1, 0xf0, 0x10, 1, 1],
            &[0x12, 0x34, 0, 1, 0x10, 1, 1, 1],
            &[0xbe, 0xde, 0],
        ] {
            assert_eq!(header_extension(&extended(broken), 1), None, "{broken:x?}");
        }
    }

    fn first_bytes(first: u8, second: u8) -> [u8; 20] {
        let mut datagram = [0; 20];
        datagram[0] = first;
        datagram[1] = second;
        datagram
    }

    #[test]
    fn the_first_byte_tells_the_protocols_apart() {
        let kinds = (0..=255).map(|first| classify(&first_bytes(first, 0)));
        for (first, found) in kinds.enumerate() {
            let expected = match first {
                0..=3 => Kind::Stun,
                20..=63 => Kind::Dtls,
                128..=191 => Kind::Rtp,
                _ => Kind::Other,
            };
            assert_eq!(found, expected, "first byte {first}");
        }
    }

    #[test]
    fn the_second_byte_tells_rtcp_from_rtp() {
        for second in 0..=255 {
            let expected = if (194..=223).contains(&second) {
                Kind::Rtcp
            } else {
                Kind::Rtp
            };
            assert_eq!(
                classify(&first_bytes(0x80, second)),
                expected,
                "second byte {second}"
            );
        }
    }

    #[test]
    fn an_rtp_header_is_read_and_a_cut_one_is_not() {
        let header = RtpHeader::parse(&RTP).unwrap();
        assert_eq!(
            header,
            RtpHeader {
                marker: true,
                payload_type: 101,
                sequence: 0x1234,
                timestamp: 0xdead_beef,
                ssrc: 0x0102_0304
            }
        );
        assert_eq!(RtpHeader::parse(&RTP[..11]), None);
        assert_eq!(classify(&RTP[..11]), Kind::Other);
        assert_eq!(classify(&[0x80]), Kind::Other);
    }

    #[test]
    fn sequence_numbers_go_on_over_the_wrap() {
        assert_eq!(sequence_ahead(0xffff, 0), 1);
        assert_eq!(sequence_ahead(0x1_0000, 0xffff), -1);
        assert_eq!(sequence_ahead(0x2_0005, 5), 0);
        assert_eq!(sequence_ahead(10, 10 + 0x7fff), 0x7fff);
        assert_eq!(sequence_ahead(10, 10 + 0x8000), -0x8000);
    }

    proptest! {
        #[test]
        fn nothing_panics(datagram in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(RtpHeader::parse(&datagram).is_some(), classify(&datagram) == Kind::Rtp);
            for identifier in 0..=255 {
                prop_assert!(header_extension(&extended(&datagram), identifier).is_none_or(|value| value.len() < 40));
                let _ = header_extension(&datagram, identifier);
            }
        }
    }
}
