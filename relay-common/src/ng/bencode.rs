//! Bencode, tolerant on the way in and order-keeping on the way out.
//!
//! Neither direction uses the `bendy` crate: every one of its decoders refuses unsorted keys, which is what
//! Kamailio sends, and its encoder sorts the keys or refuses them, while replies keep the order in which they
//! were built. The tests check this module against it.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Dictionary, Entries, Item, MAX_DEPTH, MAX_ITEMS, Value, octets};

/// Why bytes are no bencode dictionary. Positions are offsets from the start of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BencodeError {
    /// The body does not begin with `d`.
    #[error("not a dictionary")]
    NotADictionary,
    /// The input ends within a value.
    #[error("ends within a value")]
    Truncated,
    /// Neither the beginning of a value nor an end was found where one of them must be.
    #[error("no value at byte {0}")]
    NoValue(usize),
    /// A key that is no string.
    #[error("key at byte {0} is no string")]
    BadKey(usize),
    /// An integer or a length that is no number, or too large a one.
    #[error("bad number at byte {0}")]
    BadNumber(usize),
    /// Lists and dictionaries nest too deeply.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// Too many values.
    #[error("more than {MAX_ITEMS} values")]
    TooMany,
}

/// Decodes the dictionary at the beginning of a body; returns its entries and its length in bytes.
///
/// Keys may stand in any order; of duplicates the last one counts. The final `e` of the outermost dictionary may
/// be missing at the end of the input, and whatever follows the dictionary is not looked at.
pub fn decode(body: &[u8]) -> Result<(Entries<'_>, usize), BencodeError> {
    let mut parser = Parser {
        body,
        at: 0,
        items: 0,
    };
    if !parser.take(b'd') {
        return Err(BencodeError::NotADictionary);
    }
    let entries = parser.entries(1)?;
    Ok((entries, parser.at))
}

/// Encodes a dictionary, keys in the order in which they stand in it.
pub fn encode(dictionary: &Dictionary) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    write_dictionary(dictionary, &mut out);
    out
}

struct Parser<'a> {
    body: &'a [u8],
    at: usize,
    items: usize,
}

impl<'a> Parser<'a> {
    /// The entries of a dictionary whose `d` has been taken, and its `e`. `depth` counts the levels so far.
    fn entries(&mut self, depth: usize) -> Result<Entries<'a>, BencodeError> {
        let mut entries = Entries::new();
        while !self.take(b'e') {
            match self.peek() {
                Some(b'0'..=b'9') => {
                    self.count()?;
                    let key = self.string()?;
                    entries.push((octets::text(key), self.item(depth)?));
                }
                Some(_) => return Err(BencodeError::BadKey(self.at)),
                None if depth == 1 => break,
                None => return Err(BencodeError::Truncated),
            }
        }
        keep_last(&mut entries);
        Ok(entries)
    }

    fn item(&mut self, depth: usize) -> Result<Item<'a>, BencodeError> {
        self.count()?;
        match self.peek().ok_or(BencodeError::Truncated)? {
            b'0'..=b'9' => self.string().map(|bytes| Item::Bytes(Cow::Borrowed(bytes))),
            b'i' => {
                self.at += 1;
                self.number_until(b'e').map(Item::Integer)
            }
            b'l' => {
                self.at += 1;
                let depth = deeper(depth)?;
                let mut items = Vec::new();
                while !self.take(b'e') {
                    items.push(self.item(depth)?);
                }
                Ok(Item::List(items))
            }
            b'd' => {
                self.at += 1;
                self.entries(deeper(depth)?).map(Item::Dictionary)
            }
            _ => Err(BencodeError::NoValue(self.at)),
        }
    }

    fn string(&mut self) -> Result<&'a [u8], BencodeError> {
        let start = self.at;
        let length = usize::try_from(self.number_until(b':')?).map_err(|_| BencodeError::BadNumber(start))?;
        let rest = &self.body[self.at..];
        let bytes = rest.get(..length).ok_or(BencodeError::Truncated)?;
        self.at += length;
        Ok(bytes)
    }

    fn number_until(&mut self, end: u8) -> Result<i64, BencodeError> {
        // Twenty digits and a sign: whatever is longer is no i64, and is not searched for its end.
        const LONGEST: usize = 21;
        let start = self.at;
        let rest = &self.body[start..];
        let window = &rest[..rest.len().min(LONGEST + 1)];
        let Some(length) = window.iter().position(|byte| *byte == end) else {
            return Err(if rest.len() <= LONGEST {
                BencodeError::Truncated
            } else {
                BencodeError::BadNumber(start)
            });
        };
        self.at += length + 1;
        std::str::from_utf8(&rest[..length])
            .ok()
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| digits.parse().ok())
            .ok_or(BencodeError::BadNumber(start))
    }

    fn count(&mut self) -> Result<(), BencodeError> {
        self.items += 1;
        if self.items > MAX_ITEMS {
            return Err(BencodeError::TooMany);
        }
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }
}

fn deeper(depth: usize) -> Result<usize, BencodeError> {
    if depth == MAX_DEPTH {
        return Err(BencodeError::TooDeep);
    }
    Ok(depth + 1)
}

/// Leaves of duplicate keys the last one.
fn keep_last(entries: &mut Entries<'_>) {
    let mut seen = HashSet::with_capacity(entries.len());
    let duplicates: Vec<bool> = entries
        .iter()
        .rev()
        .map(|(key, _)| !seen.insert(key.as_ref()))
        .collect();
    let mut duplicates = duplicates.into_iter().rev();
    entries.retain(|_| !duplicates.next().unwrap_or(false));
}

fn write_dictionary(dictionary: &Dictionary, out: &mut Vec<u8>) {
    out.push(b'd');
    for (key, value) in &dictionary.0 {
        write_bytes(&octets::bytes(key), out);
        write_value(value, out);
    }
    out.push(b'e');
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Integer(number) => {
            out.push(b'i');
            out.extend_from_slice(number.to_string().as_bytes());
            out.push(b'e');
        }
        Value::Bytes(bytes) => write_bytes(bytes, out),
        Value::List(values) => {
            out.push(b'l');
            for value in values {
                write_value(value, out);
            }
            out.push(b'e');
        }
        Value::Dictionary(dictionary) => write_dictionary(dictionary, out),
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}
