//! RTCP on its way from one party to another.

use relay_common::packet::{Kind, classify};

use super::report::sender_reports;

/// Transport-layer and payload-specific feedback (RFC 4585 section 6.1).
const FEEDBACK: [u8; 2] = [205, 206];

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
