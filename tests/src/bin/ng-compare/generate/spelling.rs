//! The same options written otherwise: with other names of keys, as flags, as one text.

use serde_json::{Value, json};

use super::options::{Options, flag};
use crate::random::Random;

/// Sometimes writes a few of the options in another form that the protocol has for them.
pub(crate) fn respell(random: &mut Random, options: Options, often: usize) -> Options {
    if !random.percent(often) {
        return options;
    }
    match random.below(4) {
        0 => other_keys(random, options),
        1 => as_flags(random, options),
        2 => as_commas(random, options),
        _ => as_text(random, options),
    }
}

fn other_keys(random: &mut Random, options: Options) -> Options {
    let other = |random: &mut Random, key: &str| match key {
        "ICE" => "ice".to_owned(),
        "SDES" => "sdes".to_owned(),
        "DTLS" => "dtls".to_owned(),
        "OSRTP" => "osrtp".to_owned(),
        "codec" => "codecs".to_owned(),
        "TOS" => "tos".to_owned(),
        "rtcp-mux" => random.pick(&["RTCP-mux", "rtcp mux", "RTCP mux"]).to_owned(),
        "bundle" => "BUNDLE".to_owned(),
        "sdp-attr" => random.pick(&["SDP-attr", "sdp attr"]).to_owned(),
        key => key.replace('-', " "),
    };
    options
        .into_iter()
        .map(|(key, value)| {
            if random.percent(60) {
                (other(random, &key), value)
            } else {
                (key, value)
            }
        })
        .collect()
}

/// `SDES-off`, `replace-origin`, `codec-strip-PCMU`.
fn as_flags(random: &mut Random, options: Options) -> Options {
    let mut respelled = Options::new();
    for (key, value) in options {
        let prefix = match key.as_str() {
            "SDES" | "OSRTP" | "rtcp-mux" | "replace" | "endpoint-learning" | "T.38" => key.clone(),
            "bundle" => "BUNDLE".to_owned(),
            "codec" => {
                for (name, codecs) in value.as_object().into_iter().flatten() {
                    for codec in strings(codecs) {
                        flag(&mut respelled, &format!("codec-{name}-{codec}"));
                    }
                }
                continue;
            }
            "sdp-attr" => {
                attr_flags(&value, &mut respelled);
                continue;
            }
            "flags" => {
                for text in strings(&value) {
                    let text = if random.percent(30) {
                        text.replace('-', " ")
                    } else {
                        text
                    };
                    flag(&mut respelled, &text);
                }
                continue;
            }
            _ => {
                respelled.insert(key, value);
                continue;
            }
        };
        for text in strings(&value) {
            flag(&mut respelled, &format!("{prefix}-{text}"));
        }
    }
    respelled
}

fn attr_flags(value: &Value, respelled: &mut Options) {
    for (section, how) in value.as_object().into_iter().flatten() {
        for (what, lines) in how.as_object().into_iter().flatten() {
            for line in lines.as_array().into_iter().flatten() {
                let text = match line {
                    Value::Array(pair) => strings(&Value::Array(pair.clone())).join(">"),
                    Value::String(line) => line.clone(),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => continue,
                };
                let text = text.replace('=', "--").replace(' ', "..");
                flag(respelled, &format!("sdp-attr-{what}-{section}-{text}"));
            }
        }
    }
}

/// Lists as one text with commas.
fn as_commas(random: &mut Random, options: Options) -> Options {
    let joined = |value: Value| match value.as_array() {
        Some(items) if items.iter().all(Value::is_string) => json!(strings(&value).join(",")),
        Some(_) | None => value,
    };
    options
        .into_iter()
        .map(|(key, value)| {
            if random.percent(60) {
                (key, joined(value))
            } else {
                (key, value)
            }
        })
        .collect()
}

/// All as one text of flags.
fn as_text(random: &mut Random, options: Options) -> Options {
    let mut words = Vec::new();
    let mut respelled = Options::new();
    for (key, value) in options {
        if random.percent(15) {
            respelled.insert(key, value);
        } else if key == "flags" {
            words.extend(strings(&value).into_iter().map(|flag| flag.replace(' ', "-")));
        } else {
            words.push(format!("{}={}", key.replace(' ', "-"), word(&value)));
        }
    }
    if random.percent(20) {
        words.push(
            random
                .pick(&[
                    "",
                    "]",
                    "[",
                    "nonsense",
                    "x=",
                    "=",
                    "direction=pub direction=priv",
                    "codec-strip=PCMU",
                    "SRTP",
                    "a=[b c",
                ])
                .to_owned(),
        );
    }
    if random.percent(30) {
        random.shuffle(&mut words);
    }
    let key = random.pick(&["rtpp-flags", "rtpp_flags", "rtpp flags"]);
    respelled.insert(key.to_owned(), json!(words.join(" ")));
    respelled
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('=', "--").replace(' ', ".."),
        Value::Array(items) => format!("[{}]", items.iter().map(word).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{key}={}", word(value)));
            format!("[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        Value::Number(_) | Value::Bool(_) | Value::Null => value.to_string(),
    }
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}
