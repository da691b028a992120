//! JSON bodies: the same dictionaries in another notation.

use std::borrow::Cow;

use serde_json::{Deserializer, Map};

use super::{BodyError, Dictionary, Entries, Item, MAX_DEPTH, MAX_ITEMS, Value, octets};

/// Decodes the object at the beginning of a body. Booleans count as 0 and 1, numbers with a fraction as text;
/// entries that are `null` are left out. Whatever follows the object is not looked at.
pub(super) fn decode(body: &[u8]) -> Result<Entries<'static>, BodyError> {
    let mut values = Deserializer::from_slice(body).into_iter::<serde_json::Value>();
    match values.next() {
        Some(Ok(serde_json::Value::Object(object))) => entries(object, 1, &mut 0),
        Some(Ok(_)) | None => Err(BodyError::JsonDictionary),
        Some(Err(error)) => Err(BodyError::Json(error)),
    }
}

/// Encodes a dictionary. JSON has no bytes that are not UTF-8: they are written as [`octets::legible`] says.
pub(super) fn encode(dictionary: &Dictionary) -> Vec<u8> {
    dictionary.to_json().to_string().into_bytes()
}

impl Dictionary {
    /// The dictionary as a JSON object, with bytes as [`octets::legible`] says.
    pub fn to_json(&self) -> serde_json::Value {
        let entries = self
            .0
            .iter()
            .map(|(key, value)| (octets::legible(&octets::bytes(key)), to_json(value)));
        serde_json::Value::Object(entries.collect())
    }
}

fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Integer(number) => (*number).into(),
        Value::Bytes(bytes) => octets::legible(bytes).into(),
        Value::List(values) => values.iter().map(to_json).collect(),
        Value::Dictionary(dictionary) => dictionary.to_json(),
    }
}

fn entries(
    object: Map<String, serde_json::Value>,
    depth: usize,
    items: &mut usize,
) -> Result<Entries<'static>, BodyError> {
    object
        .into_iter()
        .filter_map(|(key, value)| {
            *items += 1;
            let item = item(value, depth, items).transpose()?;
            Some(item.map(|item| (Cow::Owned(octets::into_text(key.into_bytes())), item)))
        })
        .collect()
}

fn item(
    value: serde_json::Value,
    depth: usize,
    items: &mut usize,
) -> Result<Option<Item<'static>>, BodyError> {
    *items += 1;
    let nested = value.is_array() || value.is_object();
    if *items > MAX_ITEMS || (nested && depth == MAX_DEPTH) {
        return Err(BodyError::JsonDictionary);
    }
    let item = match value {
        serde_json::Value::Null => return Ok(None),
        serde_json::Value::Bool(value) => Item::Integer(value.into()),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Item::Integer(number),
            None => bytes(number.to_string()),
        },
        serde_json::Value::String(text) => bytes(text),
        serde_json::Value::Array(values) => {
            let values = values.into_iter();
            let list = values.filter_map(|value| item(value, depth + 1, items).transpose());
            Item::List(list.collect::<Result<_, _>>()?)
        }
        serde_json::Value::Object(object) => Item::Dictionary(entries(object, depth + 1, items)?),
    };
    Ok(Some(item))
}

fn bytes(text: String) -> Item<'static> {
    Item::Bytes(Cow::Owned(text.into_bytes()))
}
