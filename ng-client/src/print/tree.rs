//! Any reply, indented.

use std::fmt::Write;

use ng_client::{Dictionary, Value};

use super::view::{printable, scalar};

/// A reply without its result.
pub(super) fn text(reply: &Dictionary) -> String {
    let mut out = String::new();
    for (key, value) in &reply.0 {
        if key != "result" && key != "warning" {
            entry(key, value, 0, &mut out);
        }
    }
    out
}

fn entry(key: &str, value: &Value, level: usize, out: &mut String) {
    let indent = "  ".repeat(level);
    let key = printable(key);
    // Writing to a String does not fail.
    let _ = match value {
        Value::Integer(_) | Value::Bytes(_) => writeln!(out, "{indent}{key}: {}", printable(&scalar(value))),
        Value::List(values) if values.iter().all(is_scalar) => {
            let words: Vec<String> = values.iter().map(|value| printable(&scalar(value))).collect();
            writeln!(out, "{indent}{key}: {}", words.join(", "))
        }
        Value::List(_) | Value::Dictionary(_) => writeln!(out, "{indent}{key}:"),
    };
    match value {
        Value::Dictionary(dictionary) => {
            for (key, value) in &dictionary.0 {
                entry(key, value, level + 1, out);
            }
        }
        Value::List(values) if !values.iter().all(is_scalar) => {
            for (number, value) in values.iter().enumerate() {
                entry(&(number + 1).to_string(), value, level + 1, out);
            }
        }
        Value::List(_) | Value::Integer(_) | Value::Bytes(_) => {}
    }
}

fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::Integer(_) | Value::Bytes(_))
}
