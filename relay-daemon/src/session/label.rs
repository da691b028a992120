//! Marks packets for a party with the section that they belong to, where they come without (RFC 9143 section 15): who has
//! agreed to the mark in a bundle need not look at anything else.

use relay_common::ng::octets;
use relay_common::packet::{RTP_HEADER, RtpHeader, header_extension};

use crate::plan::Label;
use crate::srtp::MAX_TRAILER;

/// The bit of the first byte that announces header extensions.
const EXTENDED: u8 = 0x10;
/// Forms of header extensions (RFC 8285 sections 4.2 and 4.3): the second with four bits for applications.
const ONE_BYTE: u16 = 0xbede;
const TWO_BYTES: u16 = 0x1000;

/// Marks a packet of so many bytes, and returns how many it then has. One that is marked already stays as it is, and so does
/// one that leaves no room in the buffer for the mark and what encryption adds, or with other extensions of a form that cannot
/// hold the mark.
pub(super) fn mark(buffer: &mut [u8], length: usize, label: &Label) -> usize {
    insert(buffer, length, label).unwrap_or(length)
}

fn insert(buffer: &mut [u8], length: usize, label: &Label) -> Option<usize> {
    let packet = buffer.get(..length)?;
    RtpHeader::parse(packet)?;
    if header_extension(packet, label.identifier).is_some() {
        return None;
    }
    let mid = octets::bytes(&label.mid);
    let fits_one_byte = (1..=14).contains(&label.identifier) && (1..=16).contains(&mid.len());
    let start = RTP_HEADER + 4 * usize::from(packet[0] & 0x0f);
    let has_others = packet[0] & EXTENDED != 0;
    let (form, words) = match has_others {
        true => {
            let &[form_high, form_low, high, low] = packet.get(start..)?.first_chunk()?;
            (
                u16::from_be_bytes([form_high, form_low]),
                u16::from_be_bytes([high, low]),
            )
        }
        false if fits_one_byte => (ONE_BYTE, 0),
        false => (TWO_BYTES, 0),
    };
    let size = u8::try_from(mid.len()).ok()?;
    let (head, head_size) = match form {
        ONE_BYTE if fits_one_byte => ([label.identifier << 4 | (size - 1), 0], 1),
        form if form & 0xfff0 == TWO_BYTES => ([label.identifier, size], 2),
        _ => return None,
    };
    let element = (head_size + mid.len()).next_multiple_of(4);
    let (at, gap) = match has_others {
        true => (start + 4 + 4 * usize::from(words), element),
        false => (start, 4 + element),
    };
    let words = words.checked_add(u16::try_from(element / 4).ok()?)?;
    if at > length || buffer.len() < length + gap + MAX_TRAILER {
        return None;
    }
    buffer.copy_within(at..length, at + gap);
    buffer[0] |= EXTENDED;
    buffer[start..start + 2].copy_from_slice(&form.to_be_bytes());
    buffer[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
    let place = &mut buffer[at + gap - element..at + gap];
    place.fill(0);
    place[..head_size].copy_from_slice(&head[..head_size]);
    place[head_size..head_size + mid.len()].copy_from_slice(&mid);
    Some(length + gap)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// With one contributor.
    const PLAIN: &[u8] = &[0x81, 8, 0, 1, 0, 0, 0, 160, 0, 0, 0, 1, 9, 9, 9, 9, 0xd5, 0xd6];

    fn label(identifier: u8, mid: &str) -> Label {
        Label {
            identifier,
            mid: Arc::from(mid),
        }
    }

    fn marked(packet: &[u8], label: &Label) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + 600, 0xee);
        let length = mark(&mut buffer, packet.len(), label);
        buffer.truncate(length);
        buffer
    }

    /// With header extensions.
    fn extended(extension: &[u8]) -> Vec<u8> {
        let mut packet = [&PLAIN[..16], extension, &PLAIN[16..]].concat();
        packet[0] |= EXTENDED;
        packet
    }

    #[test]
    fn a_mark_is_added_in_the_form_that_can_hold_it() {
        let plain = |extension: &[u8]| extended(extension);
        assert_eq!(
            marked(PLAIN, &label(4, "0")),
            plain(&[0xbe, 0xde, 0, 1, 0x40, b'0', 0, 0])
        );
        assert_eq!(
            marked(PLAIN, &label(200, "0")),
            plain(&[0x10, 0, 0, 1, 200, 1, b'0', 0])
        );
        let others = extended(&[0xbe, 0xde, 0, 1, 0x10, 7, 0, 0]);
        assert_eq!(
            marked(&others, &label(4, "abc")),
            plain(&[0xbe, 0xde, 0, 2, 0x10, 7, 0, 0, 0x42, b'a', b'b', b'c'])
        );
        let others = extended(&[0x10, 3, 0, 1, 1, 1, 7, 0]);
        assert_eq!(
            marked(&others, &label(4, "ab")),
            plain(&[0x10, 3, 0, 2, 1, 1, 7, 0, 4, 2, b'a', b'b'])
        );
    }

    #[test]
    fn what_cannot_or_need_not_be_marked_stays() {
        let other_form = extended(&[0x12, 0x34, 0, 1, 0x10, 1, 1, 1]);
        let done = extended(&[0xbe, 0xde, 0, 1, 0x40, b'1', 0, 0]);
        let cut = &extended(&[0xbe, 0xde, 0, 9])[..];
        for packet in [&other_form[..], &done, cut, &PLAIN[..11], &[]] {
            assert_eq!(marked(packet, &label(4, "0")), packet);
        }
        let short = extended(&[0xbe, 0xde, 0, 1, 0x10, 7, 0, 0]);
        assert_eq!(marked(&short, &label(200, "0")), short);
        let mut tight = [PLAIN, &[0; 8 + MAX_TRAILER - 1]].concat();
        assert_eq!(mark(&mut tight, PLAIN.len(), &label(4, "0")), PLAIN.len());
        tight.push(0);
        assert_eq!(mark(&mut tight, PLAIN.len(), &label(4, "0")), PLAIN.len() + 8);
    }

    proptest! {
        #[test]
        fn any_packet_is_marked_or_stays(
            mut packet in prop::collection::vec(any::<u8>(), 0..200),
            identifier in 1..=255u8,
            mid in "[a-z0-9]{1,20}",
        ) {
            if let [first, second, ..] = &mut packet[..] {
                (*first, *second) = (0x80 | *first & 0x3f, 8);
            }
            let label = label(identifier, &mid);
            let after = marked(&packet, &label);
            prop_assert!(after == packet || after[1..12] == packet[1..12]);
            // Without other extensions there is nothing in the way.
            if let Some(first) = packet.first_mut() {
                *first &= !EXTENDED;
            }
            let payload = 12 + packet.first().map_or(0, |first| 4 * usize::from(first & 0x0f));
            if packet.len() >= payload {
                let after = marked(&packet, &label);
                prop_assert_eq!(header_extension(&after, identifier), Some(mid.as_bytes()));
                prop_assert!(after.ends_with(&packet[payload..]));
            }
        }
    }
}
