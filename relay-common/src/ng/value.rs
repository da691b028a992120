//! Values of the ng protocol, owned: what bencode and JSON bodies have in common.

use std::borrow::Cow;

use super::octets;

/// A value in a request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An integer.
    Integer(i64),
    /// A byte string; text by convention.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A dictionary in the order in which it was made.
    Dictionary(Dictionary),
}

/// A dictionary that keeps the order of insertion: replies are sent in the order in which they are built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary(pub Vec<(String, Value)>);

impl Dictionary {
    /// An empty dictionary.
    pub fn new() -> Dictionary {
        Dictionary::default()
    }

    /// Appends a key. The caller sees to it that keys are unique.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.push((key.into(), value.into()));
    }

    /// The value of a key.
    pub fn find(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }
}

impl Value {
    /// The integer.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            Value::Bytes(_) | Value::List(_) | Value::Dictionary(_) => None,
        }
    }

    /// The text of a string, carried as [`octets`] says.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Bytes(bytes) => Some(octets::text(bytes)),
            Value::Integer(_) | Value::List(_) | Value::Dictionary(_) => None,
        }
    }

    /// The values of a list.
    pub fn list(&self) -> Option<&[Value]> {
        match self {
            Value::List(values) => Some(values),
            Value::Integer(_) | Value::Bytes(_) | Value::Dictionary(_) => None,
        }
    }

    /// The dictionary.
    pub fn dictionary(&self) -> Option<&Dictionary> {
        match self {
            Value::Dictionary(dictionary) => Some(dictionary),
            Value::Integer(_) | Value::Bytes(_) | Value::List(_) => None,
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Integer(value)
    }
}

impl From<u64> for Value {
    /// Numbers beyond `i64::MAX` are cut off there: the protocol has no larger ones.
    fn from(value: u64) -> Value {
        Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    /// As for `u64`.
    fn from(value: usize) -> Value {
        Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Value {
        Value::Integer(i64::from(value))
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Value {
        Value::Integer(i64::from(value))
    }
}

impl From<&str> for Value {
    /// The bytes that the text carries.
    fn from(value: &str) -> Value {
        Value::Bytes(octets::bytes(value).into_owned())
    }
}

impl From<String> for Value {
    /// The bytes that the text carries.
    fn from(value: String) -> Value {
        Value::Bytes(octets::into_bytes(value))
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Value {
        Value::List(value)
    }
}

impl From<Dictionary> for Value {
    fn from(value: Dictionary) -> Value {
        Value::Dictionary(value)
    }
}
