//! Takes RTP header extensions (RFC 8285) out of a packet that its receiver does not know, and names the section in their place.

use relay_common::ng::octets;
use relay_common::packet::RTP_HEADER;
use smallvec::SmallVec;

use super::label;
use crate::plan::{ExtensionFilter, Label};
use crate::srtp::MAX_TRAILER;

/// The bit of the first byte that announces header extensions.
const EXTENDED: u8 = 0x10;

/// Forms of header extensions (RFC 8285 sections 4.2 and 4.3): the second with four bits for applications.
const ONE_BYTE: u16 = 0xbede;
const TWO_BYTES: u16 = 0x1000;

/// The greatest identifier of the first form; 15 ends the list.
const GREATEST: u8 = 14;

/// Most extensions are shorter.
type Elements = SmallVec<[u8; 64]>;

/// An identifier and what it is for.
type Element<'a> = (u8, &'a [u8]);

/// Makes the header extensions of a packet of so many bytes what its receiver is to get, and returns how many it then has: see [`filter`]
/// and [`label::mark`].
pub(super) fn adapt(
    buffer: &mut [u8],
    length: usize,
    filter: Option<&ExtensionFilter>,
    label: Option<&Label>,
) -> usize {
    match (filter, label) {
        (Some(filter), label) => self::filter(buffer, length, filter, label),
        (None, Some(label)) => label::mark(buffer, length, label),
        (None, None) => length,
    }
}

/// Takes out of a packet of so many bytes what does not pass, adds the label first, and returns how many it then has. All is
/// written in the form that the filter says, or the second one if the first cannot hold it, without padding in between. A packet
/// stays as it is if there is no room in the buffer for what is added, and for what encryption adds.
fn filter(buffer: &mut [u8], length: usize, filter: &ExtensionFilter, label: Option<&Label>) -> usize {
    rewrite(buffer, length, filter, label).unwrap_or(length)
}

fn rewrite(
    buffer: &mut [u8],
    length: usize,
    filter: &ExtensionFilter,
    label: Option<&Label>,
) -> Option<usize> {
    let packet = buffer.get(..length)?;
    let start = RTP_HEADER + 4 * usize::from(packet.first()? & 0x0f);
    packet.get(start..)?;
    let mid = label.map(|label| octets::bytes(&label.mid));
    let mut kept: SmallVec<[Element<'_>; 8]> = SmallVec::new();
    if let (Some(label), Some(mid)) = (label, &mid) {
        kept.push((label.identifier, mid));
    }
    let mut form = TWO_BYTES;
    let end = match packet[0] & EXTENDED {
        0 => start,
        _ => {
            let &[form_high, form_low, high, low] = packet.get(start..)?.first_chunk()?;
            let given = u16::from_be_bytes([form_high, form_low]);
            let end = start + 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
            let elements = Parser {
                rest: packet.get(start + 4..end)?,
                form: given,
            };
            // Nobody else names the section.
            let is_label = |identifier| label.is_some_and(|label| label.identifier == identifier);
            kept.extend(
                elements
                    .filter(|(identifier, _)| filter.passes.contains(*identifier) && !is_label(*identifier)),
            );
            end
        }
    };
    let is_short =
        |(identifier, value): &Element<'_>| *identifier <= GREATEST && (1..=16).contains(&value.len());
    if !filter.two_bytes && kept.iter().all(is_short) {
        form = ONE_BYTE;
    }
    let mut elements = Elements::new();
    for (identifier, value) in kept {
        let size = u8::try_from(value.len()).ok()?;
        match form {
            ONE_BYTE => elements.push(identifier << 4 | (size - 1)),
            _ => elements.extend([identifier, size]),
        }
        elements.extend_from_slice(value);
    }
    elements.resize(elements.len().next_multiple_of(4), 0);
    let size = match elements.len() {
        0 => 0,
        size => 4 + size,
    };
    let new_length = length - (end - start) + size;
    if new_length > length && buffer.len() < new_length + MAX_TRAILER {
        return None;
    }
    let words = u16::try_from(elements.len() / 4).ok()?;
    buffer.copy_within(end..length, start + size);
    if elements.is_empty() {
        buffer[0] &= !EXTENDED;
        return Some(new_length);
    }
    buffer[0] |= EXTENDED;
    buffer[start..start + 2].copy_from_slice(&form.to_be_bytes());
    buffer[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
    buffer[start + 4..start + size].copy_from_slice(&elements);
    Some(new_length)
}

/// The elements of a header extension, as far as they can be read.
struct Parser<'a> {
    rest: &'a [u8],
    form: u16,
}

impl<'a> Iterator for Parser<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let two_bytes = match self.form {
            ONE_BYTE => false,
            form if form & 0xfff0 == TWO_BYTES => true,
            _ => return None,
        };
        // What lies between is padding.
        let at = self.rest.iter().position(|byte| *byte != 0)?;
        let (&first, rest) = self.rest[at..].split_first()?;
        let (identifier, size, rest) = match two_bytes {
            true => rest
                .split_first()
                .map(|(&size, rest)| (first, usize::from(size), rest))?,
            false if first >> 4 > GREATEST => return None,
            false => (first >> 4, usize::from(first & 0x0f) + 1, rest),
        };
        let (value, rest) = rest.split_at_checked(size)?;
        self.rest = rest;
        Some((identifier, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use relay_common::packet::RtpHeader;

    use super::*;

    fn passing(identifiers: &[u8]) -> ExtensionFilter {
        ExtensionFilter {
            passes: identifiers.iter().copied().collect(),
            two_bytes: identifiers.iter().any(|identifier| *identifier > GREATEST),
            removes: true,
        }
    }

    /// With one contributor.
    fn packet(extension: &[u8]) -> Vec<u8> {
        let head = [0x91, 8, 0, 1, 0, 0, 0, 160, 0, 0, 0, 1, 9, 9, 9, 9];
        [&head, extension, &[0xd5, 0xd6]].concat()
    }

    fn filtered(packet: &[u8], identifiers: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + 100 + MAX_TRAILER, 0xee);
        let length = filter(&mut buffer, packet.len(), &passing(identifiers), None);
        buffer.truncate(length);
        buffer
    }

    #[test]
    fn what_passes_stays_in_the_form_that_it_needs() {
        let all = packet(&[0xbe, 0xde, 0, 2, 0x10, 0x80, 0, 0x22, 1, 2, 3, 0]);
        assert_eq!(filtered(&all, &[2]), packet(&[0xbe, 0xde, 0, 1, 0x22, 1, 2, 3]));
        assert_eq!(
            filtered(&all, &[1, 2]),
            packet(&[0xbe, 0xde, 0, 2, 0x10, 0x80, 0x22, 1, 2, 3, 0, 0])
        );
        assert_eq!(filtered(&all, &[1, 20]), packet(&[0x10, 0, 0, 1, 1, 1, 0x80, 0]));
        let mut without = packet(&[]);
        without[0] = 0x81;
        assert_eq!(filtered(&all, &[3]), without);
        assert_eq!(filtered(&without, &[3]), without);
        // Of a form that nobody knows.
        assert_eq!(
            filtered(&packet(&[0xab, 0xcd, 0, 1, 0x10, 0x80, 0, 0]), &[1]),
            without
        );
        // The short form cannot hold an empty one.
        let two = packet(&[0x10, 5, 0, 2, 1, 0, 2, 2, 7, 8, 15, 0]);
        assert_eq!(
            filtered(&two, &[1, 2]),
            packet(&[0x10, 0, 0, 2, 1, 0, 2, 2, 7, 8, 0, 0])
        );
        assert_eq!(filtered(&two, &[2]), packet(&[0xbe, 0xde, 0, 1, 0x21, 7, 8, 0]));
    }

    #[test]
    fn what_has_no_room_stays() {
        let all = packet(&[0xbe, 0xde, 0, 1, 0x11, 7, 8, 0x20]);
        let mut buffer = all.clone();
        assert_eq!(
            filter(&mut buffer, all.len(), &passing(&[1, 20]), None),
            all.len()
        );
        assert_eq!(
            buffer,
            packet(&[0x10, 0, 0, 1, 1, 2, 7, 8]),
            "no longer than before"
        );
        let all = packet(&[0xbe, 0xde, 0, 1, 0x10, 7, 0x20, 8]);
        let mut buffer = all.clone();
        assert_eq!(
            filter(&mut buffer, all.len(), &passing(&[1, 2, 20]), None),
            all.len()
        );
        assert_eq!(buffer, all);
    }

    #[test]
    fn the_section_is_named_first() {
        let label = Label {
            identifier: 4,
            mid: "v".into(),
        };
        let labelled = |packet: &[u8]| {
            let mut buffer = packet.to_vec();
            buffer.resize(packet.len() + 100 + MAX_TRAILER, 0xee);
            let length = filter(&mut buffer, packet.len(), &passing(&[1]), Some(&label));
            buffer.truncate(length);
            buffer
        };
        let extended = packet(&[0xbe, 0xde, 0, 2, 0x40, b'x', 0x10, 0x80, 0x22, 1, 2, 3]);
        let named = packet(&[0xbe, 0xde, 0, 1, 0x40, b'v', 0x10, 0x80]);
        assert_eq!(labelled(&extended), named);
        let mut plain = packet(&[]);
        plain[0] = 0x81;
        assert_eq!(labelled(&plain), packet(&[0xbe, 0xde, 0, 1, 0x40, b'v', 0, 0]));
    }

    proptest! {
        #[test]
        fn any_packet_stays_one(data in prop::collection::vec(any::<u8>(), 0..100), passes in prop::collection::vec(any::<u8>(), 0..4)) {
            let mut data = data;
            if let Some(first) = data.first_mut() {
                *first = *first & 0x1f | 0x80;
            }
            let before = RtpHeader::parse(&data);
            let after = filtered(&data, &passes);
            prop_assert_eq!(before, RtpHeader::parse(&after));
            prop_assert_eq!(filtered(&after, &passes), after, "all of it is gone at once");
        }
    }
}
