//! RTCP on its way from one party to another.

use relay_common::packet::{Kind, classify};

use super::report::{RECEIVER_REPORT, SENDER_REPORT, sender_reports};

/// Transport-layer and payload-specific feedback (RFC 4585 section 6.1).
const FEEDBACK: [u8; 2] = [205, 206];

/// What is too short to be RTCP of any kind.
const SHORTEST: usize = 8;

/// Length of a report block (RFC 3550 section 6.4.1).
const BLOCK: usize = 24;

/// The SSRC of who sends a packet of RTCP: that of its first message.
pub(super) fn sender(packet: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*packet.get(4..)?.first_chunk()?))
}

/// Whether a compound packet can be read: what cannot is not relayed. Its first message is of a known type, those of known types
/// have room for what they must have, and all say version 2. A message that is cut off ends it.
pub(super) fn is_well_formed(packet: &[u8]) -> bool {
    let is_known = packet.get(1).is_some_and(|kind| shortest(*kind).is_some());
    if packet.len() < SHORTEST || !is_known {
        return false;
    }
    let mut rest = packet;
    while let Some(&[first, kind, high, low]) = rest.first_chunk() {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let Some((_, behind)) = rest.split_at_checked(length) else {
            return true;
        };
        let blocks = match kind {
            SENDER_REPORT | RECEIVER_REPORT => BLOCK * usize::from(first & 0x1f),
            _ => 0,
        };
        if first >> 6 != 2 || length < shortest(kind).unwrap_or(0) || length < 4 + blocks {
            return false;
        }
        rest = behind;
    }
    true
}

/// How many bytes a message of a type has at least; none for types that nobody knows.
fn shortest(kind: u8) -> Option<usize> {
    match kind {
        SENDER_REPORT => Some(28),
        RECEIVER_REPORT => Some(8),
        // Descriptions and goodbyes may be of nobody.
        202 | 203 => Some(4),
        // Of applications, and feedback.
        204..=206 => Some(12),
        // Extended reports (RFC 3611).
        207 => Some(8),
        _ => None,
    }
}

/// Takes the feedback messages out of a compound packet, for a party whose profile has none. The result is the length of
/// what is left at the start. What is no RTCP stays, and so does all behind it.
pub fn strip_feedback(packet: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some(&[_, kind, high, low]) = packet[from..].first_chunk()
        && classify(&packet[from..]) == Kind::Rtcp
    {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let end = packet.len().min(from + length);
        if !FEEDBACK.contains(&kind) {
            packet.copy_within(from..end, to);
            to += end - from;
        }
        from = end;
    }
    packet.copy_within(from.., to);
    to + packet.len() - from
}

/// Reads and strips any bytes.
///
/// # Panics
///
/// If something does not hold.
pub fn fuzz(data: &[u8]) {
    assert!(sender_reports(data).count() <= data.len() / 28);
    assert!(!is_well_formed(data) || data.len() >= SHORTEST && sender(data).is_some());
    let mut packet = data.to_vec();
    let length = strip_feedback(&mut packet);
    packet.truncate(length);
    let once = packet.clone();
    assert_eq!(
        strip_feedback(&mut packet),
        once.len(),
        "all of it is gone at once"
    );
    assert_eq!(packet, once);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u8, words: u8) -> Vec<u8> {
        let mut message = vec![0x81, kind, 0, words];
        message.resize(4 + 4 * usize::from(words), kind);
        message
    }

    fn stripped(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut packet = messages.concat();
        let length = strip_feedback(&mut packet);
        packet.truncate(length);
        packet
    }

    #[test]
    fn feedback_goes_and_reports_stay() {
        let (report, description, nack, loss) =
            (message(201, 7), message(202, 3), message(205, 3), message(206, 2));
        let kept = [report.clone(), description.clone()].concat();
        assert_eq!(stripped(&[report.clone(), description.clone()]), kept);
        assert_eq!(
            stripped(&[report.clone(), nack.clone(), description.clone(), loss.clone()]),
            kept
        );
        assert_eq!(stripped(&[nack.clone(), loss.clone()]), [0; 0]);
        assert_eq!(stripped(&[nack[..9].to_vec()]), [0; 0], "cut short");
        assert_eq!(
            stripped(&[loss, vec![1, 2, 3, 4, 5], nack.clone()]),
            [vec![1, 2, 3, 4, 5], nack].concat()
        );
    }

    #[test]
    fn what_can_be_read() {
        let hex = |text: &str| -> Vec<u8> {
            let digits: Vec<u8> = text
                .bytes()
                .filter_map(|c| u8::try_from(char::from(c).to_digit(16)?).ok())
                .collect();
            digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
        };
        let good = [
            "80c90001 aabbccdd",
            "81cb0001 aabbccdd",
            "80ca0000 11111111",
            "80cc0002 aabbccdd 41424344",
            "81ce0002 aabbccdd aabbccdd",
            // Cut off: not looked at any further.
            "80c80006 aabbccdd",
            "80c90001 aabbccdd 81c90007 aabbccdd",
            // What follows may be of any type.
            "80c90001 aabbccdd 80c00000",
            // The block ends 4 bytes too early.
            "81c90006 aabbccdd aabbccdd aabbccdd aabbccdd aabbccdd aabbccdd",
        ];
        for packet in good {
            assert!(is_well_formed(&hex(packet)), "{packet}");
        }
        let bad = [
            "80c80001 aabbccdd",
            "81c90001 aabbccdd",
            "80c90000",
            "80d00001 aabbccdd",
            "80c20001 aabbccdd",
            "80cc0001 aabbccdd",
            "80d00005 aabbccdd",
            "80c90001 aabbccdd 80c90000",
            "80c90001 aabbccdd 40ca0000",
            "80ca0000",
        ];
        for packet in bad {
            assert!(!is_well_formed(&hex(packet)), "{packet}");
        }
        assert_eq!(sender(&hex("80c90001 aabbccdd")), Some(0xaabb_ccdd));
        assert_eq!(sender(&hex("80c90001 aabbcc")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(data in prop::collection::vec(any::<u8>(), 0..100)) {
            fuzz(&data);
        }

        #[test]
        fn any_messages_do_no_harm(kinds in prop::collection::vec((200..208u8, 0..5u8), 0..6), cut: prop::sample::Index) {
            let messages: Vec<Vec<u8>> = kinds.into_iter().map(|(kind, words)| message(kind, words)).collect();
            let packet = messages.concat();
            fuzz(&packet[..cut.index(packet.len() + 1)]);
        }
    }
}
