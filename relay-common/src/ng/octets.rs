//! Byte strings of the protocol as text, without loss.
//!
//! Call-ids, tags and SDP are bytes: mostly UTF-8, but nobody promises that. All that works on them works on `str`, so they
//! are carried as text: what is UTF-8 stays as it is, and each byte that is not becomes one character of a range that nobody
//! uses ([`FIRST`], at the end of the last private-use plane). Where the bytes themselves hold a character of that range,
//! its bytes are carried one by one in the same way. So different bytes are different text, and [`bytes`] has the way back.

use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The character that stands for the byte 0; those for the other bytes follow it.
const FIRST: u32 = 0x10_ff00;
const CARRIED: RangeInclusive<char> = '\u{10ff00}'..='\u{10ffff}';

/// The text that carries these bytes.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(is_carried) => Cow::Borrowed(text),
        Ok(_) | Err(_) => Cow::Owned(carry(bytes)),
    }
}

/// The bytes that a text carries.
pub fn bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(is_carried) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match carried(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// As [`bytes`], of a text that is not needed any more.
pub fn into_bytes(text: String) -> Vec<u8> {
    match bytes(&text) {
        Cow::Borrowed(_) => text.into_bytes(),
        Cow::Owned(bytes) => bytes,
    }
}

/// As [`text`], of bytes that are not needed any more.
pub fn into_text(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains(is_carried) => text,
        Ok(text) => carry(text.as_bytes()),
        Err(error) => carry(error.as_bytes()),
    }
}

/// Bytes for those who can read text only: what is UTF-8 as it is, also characters of the range, and each other byte as the
/// character that carries it. Bytes that differ differ here as well, but for such that hold characters of the range.
pub fn legible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().copied().filter_map(carrier));
    }
    text
}

fn carry(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_carried(character) {
                text.extend(character.encode_utf8(&mut [0; 4]).bytes().filter_map(carrier));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().copied().filter_map(carrier));
    }
    text
}

fn is_carried(character: char) -> bool {
    CARRIED.contains(&character)
}

/// The character that stands for a byte; there is one for each.
fn carrier(byte: u8) -> Option<char> {
    char::from_u32(FIRST + u32::from(byte))
}

/// The byte that a character stands for.
fn carried(character: char) -> Option<u8> {
    u32::from(character)
        .checked_sub(FIRST)
        .and_then(|byte| u8::try_from(byte).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn utf8_stays_as_it_is() {
        for known in ["", "v=0\r\n", "caf\u{e9}", "\u{10fe00}", "\0"] {
            assert!(matches!(text(known.as_bytes()), Cow::Borrowed(same) if same == known));
            assert!(matches!(bytes(known), Cow::Borrowed(same) if same == known.as_bytes()));
        }
    }

    #[test]
    fn other_bytes_are_one_character_each() {
        assert_eq!(text(b"caf\xe9"), "caf\u{10ffe9}");
        assert_eq!(text(b"\xff\xfe!"), "\u{10ffff}\u{10fffe}!");
        assert_eq!(text(b"\xe2\x82"), "\u{10ffe2}\u{10ff82}");
    }

    #[test]
    fn what_looks_like_a_carried_byte_is_carried_itself() {
        let looks = "\u{10ffe9}";
        assert_ne!(text(looks.as_bytes()), looks);
        assert_ne!(text(looks.as_bytes()), text(b"\xe9"));
        assert_eq!(bytes(&text(looks.as_bytes())), looks.as_bytes());
    }

    #[test]
    fn legible_bytes_differ_where_bytes_do() {
        assert_eq!(legible("caf\u{e9}\u{10ffe9}".as_bytes()), "caf\u{e9}\u{10ffe9}");
        assert_eq!(legible(b"id\xe9"), "id\u{10ffe9}");
        assert_ne!(legible(b"id\xe9"), legible(b"id\xe8"));
    }

    /// Any bytes, and such as begin characters of the range.
    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<char>().prop_map(|character| character.to_string().into_bytes()),
            (0..0x100_u32).prop_map(|byte| char::from_u32(FIRST + byte).unwrap().to_string().into_bytes()),
            Just(vec![0xf4, 0x8f, 0xbf]),
            "[a-z]".prop_map(String::into_bytes),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn there_is_a_way_back(original in any_bytes()) {
            let carried = text(&original).into_owned();
            prop_assert_eq!(&bytes(&carried)[..], &original[..]);
            prop_assert_eq!(&into_text(original.clone()), &carried);
            prop_assert_eq!(into_bytes(carried), original);
        }

        #[test]
        fn different_bytes_are_different_text(one in any_bytes(), other in any_bytes()) {
            prop_assert_eq!(one == other, text(&one) == text(&other));
        }

        #[test]
        fn pieces_between_ascii_can_be_carried_apart(one in any_bytes(), other in any_bytes()) {
            let whole = [&one[..], b" ", &other[..]].concat();
            prop_assert_eq!(text(&whole), format!("{} {}", text(&one), text(&other)));
        }
    }
}
