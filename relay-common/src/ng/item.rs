//! Values of a decoded body, borrowed from the bytes that came in, with the leniency of the protocol in their
//! accessors.

use std::borrow::Cow;

use super::{Dictionary, Value, octets};

/// A value of a decoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An integer.
    Integer(i64),
    /// A byte string; text by convention.
    Bytes(Cow<'a, [u8]>),
    /// A list.
    List(Vec<Item<'a>>),
    /// A dictionary.
    Dictionary(Entries<'a>),
}

/// The entries of a decoded dictionary in the order in which they came. Keys are unique: of duplicates only the
/// last one is left.
pub type Entries<'a> = Vec<(Cow<'a, str>, Item<'a>)>;

impl<'a> Item<'a> {
    /// The text of a string, carried as [`octets`] says, or an integer written out.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Item::Bytes(bytes) => Some(octets::text(bytes)),
            Item::Integer(number) => Some(Cow::Owned(number.to_string())),
            Item::List(_) | Item::Dictionary(_) => None,
        }
    }

    /// An integer, or a string that begins with the decimal notation of one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Item::Integer(number) => Some(*number),
            Item::Bytes(bytes) => leading_integer(bytes.trim_ascii_start()),
            Item::List(_) | Item::Dictionary(_) => None,
        }
    }

    /// The strings of a list; a single string counts as the list of its parts between commas. What is no string
    /// in a list is left out, as are empty parts.
    pub fn strings(&self) -> Vec<Cow<'_, str>> {
        match self {
            Item::List(items) => items.iter().filter_map(Item::text).collect(),
            Item::Bytes(_) | Item::Integer(_) => match self.text() {
                Some(Cow::Borrowed(text)) => parts(text).map(Cow::Borrowed).collect(),
                Some(Cow::Owned(text)) => parts(&text).map(|part| Cow::Owned(part.to_owned())).collect(),
                None => Vec::new(),
            },
            Item::Dictionary(_) => Vec::new(),
        }
    }

    /// The items of a list.
    pub fn list(&self) -> Option<&[Item<'a>]> {
        match self {
            Item::List(items) => Some(items),
            Item::Integer(_) | Item::Bytes(_) | Item::Dictionary(_) => None,
        }
    }

    /// The entries of a dictionary.
    pub fn entries(&self) -> Option<&Entries<'a>> {
        match self {
            Item::Dictionary(entries) => Some(entries),
            Item::Integer(_) | Item::Bytes(_) | Item::List(_) => None,
        }
    }

    /// The same value, owned.
    pub fn into_value(self) -> Value {
        match self {
            Item::Integer(number) => Value::Integer(number),
            Item::Bytes(bytes) => Value::Bytes(bytes.into_owned()),
            Item::List(items) => Value::List(items.into_iter().map(Item::into_value).collect()),
            Item::Dictionary(entries) => Value::Dictionary(entries.into()),
        }
    }
}

impl From<Entries<'_>> for Dictionary {
    fn from(entries: Entries<'_>) -> Dictionary {
        let owned = entries
            .into_iter()
            .map(|(key, item)| (key.into_owned(), item.into_value()));
        Dictionary(owned.collect())
    }
}

/// What follows the digits is passed over.
fn leading_integer(text: &[u8]) -> Option<i64> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let digits = text[sign..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(&text[..sign + digits]).ok()?.parse().ok()
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Item<'_> {
        Item::Bytes(Cow::Borrowed(text.as_bytes()))
    }

    #[test]
    fn integers_and_numeric_strings_are_interchangeable() {
        assert_eq!(Item::Integer(40).integer(), Some(40));
        assert_eq!(bytes("40").integer(), Some(40));
        assert_eq!(bytes("-1").integer(), Some(-1));
        assert_eq!(bytes("abc").integer(), None);
        assert_eq!(bytes(" 30ms").integer(), Some(30));
        assert_eq!(bytes("-").integer(), None);
        assert_eq!(bytes("99999999999999999999").integer(), None);
        assert_eq!(Item::Integer(40).text().as_deref(), Some("40"));
    }

    #[test]
    fn a_string_is_a_list_of_its_parts() {
        assert_eq!(bytes("a,b, c,").strings(), ["a", "b", "c"]);
        assert_eq!(bytes("").strings(), Vec::<String>::new());
        let list = Item::List(vec![bytes("a,b"), Item::Integer(3), Item::List(Vec::new())]);
        assert_eq!(list.strings(), ["a,b", "3"]);
    }

    #[test]
    fn text_that_is_not_utf8_is_carried() {
        let item = Item::Bytes(Cow::Borrowed(b"caf\xe9"));
        let text = item.text().unwrap().into_owned();
        assert_eq!(Value::from(text), item.into_value());
    }
}
