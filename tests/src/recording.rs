//! Recorded conversations, in the format of `tests/fixtures/oracle/README.md`.

use std::fs;
use std::path::{Path, PathBuf};

use relay_common::ng::{self, Dictionary, Format, Item};
use serde_json::{Map, Value};

use crate::names::Names;

/// The interfaces of a daemon whose options name none.
const DEFAULT_INTERFACES: [&str; 2] = ["--interface=203.0.113.1", "--interface=2001:db8:4321::1"];

/// Where the recordings of the reference are.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/oracle")
}

/// All conversations of a folder, in the order of their names.
///
/// # Panics
///
/// If there is none, or one that is no conversation.
pub fn load(folder: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files.iter().map(|path| parse(path)).collect()
}

fn parse(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The options of a conversation's daemon, with interfaces.
pub fn options(conversation: &Value) -> Vec<String> {
    let given = array(&conversation["daemon"]);
    let given: Vec<String> = given
        .filter_map(|option| option.as_str().map(str::to_owned))
        .collect();
    let config = conversation["config"].as_str().unwrap_or_default();
    let has_interfaces =
        given.iter().any(|option| option.starts_with("--interface")) || config.contains("interfaces-config");
    match has_interfaces {
        true => given,
        false => DEFAULT_INTERFACES
            .iter()
            .map(|option| (*option).to_owned())
            .chain(given)
            .collect(),
    }
}

/// The local addresses of a conversation's daemon.
pub fn local_addresses(conversation: &Value) -> Vec<String> {
    let options = options(conversation);
    let options = options.iter().filter_map(|option| local_address(option));
    let config = conversation["config"].as_str().unwrap_or_default();
    let lines = config.lines().filter_map(|line| line.split_once('='));
    let lines = lines.filter(|(key, _)| key.trim() == "address");
    options
        .chain(lines.map(|(_, value)| value.trim().to_owned()))
        .collect()
}

fn local_address(option: &str) -> Option<String> {
    let interface = option.strip_prefix("--interface=")?;
    let address = interface.rsplit('/').next()?;
    address.split('!').next().map(str::to_owned)
}

/// The body of a step's request, the format in which it is answered, and the call that it is about.
pub fn request(step: &Value, names: &mut Names) -> (Vec<u8>, Format, String) {
    if let Some(raw) = step["raw"].as_str() {
        let body = names.fill_text(raw);
        names.sent_text(&body);
        let format = if body.starts_with('{') {
            Format::Json
        } else {
            Format::Bencode
        };
        return (body.into_bytes(), format, String::new());
    }
    let request = names.fill(&step["request"]);
    names.sent(&request);
    let format = match step["encoding"].as_str() {
        Some("json") => Format::Json,
        _ => Format::Bencode,
    };
    let scope = request["call-id"].as_str().unwrap_or_default().to_owned();
    (encode(&request, format), format, scope)
}

/// Encodes a request.
///
/// # Panics
///
/// If it is no dictionary.
pub fn encode(request: &Value, format: Format) -> Vec<u8> {
    match to_ng(request) {
        ng::Value::Dictionary(dictionary) => ng::encode(&dictionary, format),
        ng::Value::Integer(_) | ng::Value::Bytes(_) | ng::Value::List(_) => {
            panic!("a request is a dictionary")
        }
    }
}

fn to_ng(value: &Value) -> ng::Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), to_ng(value)));
            ng::Value::Dictionary(Dictionary(fields.collect()))
        }
        Value::Array(items) => ng::Value::List(items.iter().map(to_ng).collect()),
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => number.as_i64().unwrap_or_default().into(),
        Value::Bool(value) => i64::from(*value).into(),
        Value::Null => "".into(),
    }
}

/// A decoded body as JSON; what is no UTF-8 is lost.
pub fn object(entries: &ng::Entries<'_>) -> Value {
    let fields = entries.iter().map(|(key, item)| (key.to_string(), from_ng(item)));
    Value::Object(fields.collect::<Map<String, Value>>())
}

fn from_ng(item: &Item<'_>) -> Value {
    match item {
        Item::Integer(number) => Value::from(*number),
        Item::Bytes(bytes) => Value::from(String::from_utf8_lossy(bytes).into_owned()),
        Item::List(items) => items.iter().map(from_ng).collect(),
        Item::Dictionary(entries) => object(entries),
    }
}

/// The items of a list; none if it is something else.
pub fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
