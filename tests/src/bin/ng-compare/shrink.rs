//! Making a conversation smaller while its difference stays.

use serde_json::{Map, Value};

/// How many attempts a conversation is worth.
const MOST_ATTEMPTS: usize = 600;

/// How many it is worth if packets have to be waited for.
const MOST_WITH_PACKETS: usize = 100;

/// The smallest that `still_differs` says yes to, by leaving out: steps, options of the daemon, keys, entries of lists, words of
/// texts, sections of SDP and lines of it.
pub(crate) fn shrink(conversation: &Value, mut still_differs: impl FnMut(&Value) -> bool) -> Value {
    let mut smallest = conversation.clone();
    let mut attempts = 0;
    let has_packets = conversation["steps"]
        .as_array()
        .is_some_and(|steps| steps.iter().any(|step| !step["expect"].is_null()));
    let most = if has_packets {
        MOST_WITH_PACKETS
    } else {
        MOST_ATTEMPTS
    };
    loop {
        let before = smallest.clone();
        let mut index = 0;
        // What comes late in the list is tried on what is left by then.
        while attempts < most {
            let Some(smaller) = cuts(&smallest).into_iter().nth(index) else {
                break;
            };
            attempts += 1;
            if still_differs(&smaller) {
                smallest = smaller;
            } else {
                index += 1;
            }
        }
        if smallest == before || attempts >= most {
            return smallest;
        }
    }
}

/// All conversations with one thing less, the greatest things first.
fn cuts(conversation: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let steps = conversation["steps"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    // The last step shows the difference.
    for index in (0..steps.len().saturating_sub(1)).rev() {
        all.push(with(conversation, &["steps"], without_item(steps, index)));
    }
    for key in ["config", "daemon"] {
        if conversation.get(key).is_some_and(|value| !value.is_null()) {
            all.push(with(conversation, &[key], Value::Null));
        }
    }
    for index in (0..steps.len()).rev() {
        let position = index.to_string();
        for key in ["encoding", "cookie"] {
            if !steps[index][key].is_null() {
                all.push(with(conversation, &["steps", &position, key], Value::Null));
            }
        }
        let request = &steps[index]["request"];
        if request.is_object() {
            let smaller = smaller_request(request);
            all.extend(
                smaller
                    .into_iter()
                    .map(|request| with(conversation, &["steps", &position, "request"], request)),
            );
        }
    }
    all
}

fn smaller_request(request: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let Some(fields) = request.as_object() else {
        return all;
    };
    for key in fields.keys().filter(|key| *key != "command") {
        all.push(Value::Object(without_key(fields, key)));
    }
    for (key, value) in fields.iter().filter(|(key, _)| *key != "command") {
        let smaller = match value.as_str() {
            Some(text) if key.eq_ignore_ascii_case("sdp") => {
                smaller_sdp(text).into_iter().map(Value::String).collect()
            }
            Some(_) | None => smaller_value(value),
        };
        all.extend(smaller.into_iter().map(|value| with(request, &[key], value)));
    }
    all
}

fn smaller_value(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::Array(items) => {
            all.extend((0..items.len()).map(|index| without_item(items, index)));
            for (index, item) in items.iter().enumerate() {
                let smaller = smaller_value(item).into_iter();
                all.extend(smaller.map(|item| with(value, &[&index.to_string()], item)));
            }
        }
        Value::Object(fields) => {
            all.extend(fields.keys().map(|key| Value::Object(without_key(fields, key))));
            for (key, item) in fields {
                all.extend(
                    smaller_value(item)
                        .into_iter()
                        .map(|item| with(value, &[key], item)),
                );
            }
        }
        Value::String(text) if text.contains(' ') => {
            let words: Vec<&str> = text.split(' ').collect();
            all.extend((0..words.len()).map(|index| without(&words, index).join(" ").into()));
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    all
}

/// Without a section, a line, a payload type.
fn smaller_sdp(sdp: &str) -> Vec<String> {
    let lines: Vec<&str> = sdp.split("\r\n").collect();
    let starts: Vec<usize> = (0..lines.len())
        .filter(|index| lines[*index].starts_with("m="))
        .collect();
    let mut all = Vec::new();
    let end_of = |start: &usize| {
        starts
            .iter()
            .find(|next| *next > start)
            .copied()
            .unwrap_or(lines.len().saturating_sub(1))
    };
    if starts.len() > 1 {
        for start in starts.iter().rev() {
            all.push([&lines[..*start], &lines[end_of(start)..]].concat().join("\r\n"));
        }
    }
    for (index, line) in lines.iter().enumerate().rev() {
        let is_needed = line.is_empty()
            || ["m=", "v=", "o=", "s=", "t="]
                .iter()
                .any(|kind| line.starts_with(kind));
        if !is_needed {
            all.push(without(&lines, index).join("\r\n"));
        }
    }
    for start in &starts {
        let words: Vec<&str> = lines[*start].split(' ').collect();
        for index in (3..words.len()).rev().filter(|_| words.len() > 4) {
            let pt = words[index];
            let is_about = |line: &&str| {
                ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"].iter().any(|kind| {
                    line.strip_prefix(kind)
                        .is_some_and(|rest| rest.split(' ').next() == Some(pt))
                })
            };
            let shorter = without(&words, index).join(" ");
            let mut kept: Vec<&str> = lines[..*start].to_vec();
            kept.push(&shorter);
            kept.extend(
                lines[start + 1..end_of(start)]
                    .iter()
                    .filter(|line| !is_about(line)),
            );
            kept.extend(&lines[end_of(start)..]);
            all.push(kept.join("\r\n"));
        }
    }
    all
}

fn without<T: Clone>(items: &[T], index: usize) -> Vec<T> {
    [&items[..index], &items[index + 1..]].concat()
}

fn without_item(items: &[Value], index: usize) -> Value {
    Value::Array(without(items, index))
}

fn without_key(fields: &Map<String, Value>, key: &str) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(name, _)| *name != key)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A copy with another value at a path; null removes a key.
fn with(value: &Value, path: &[&str], new: Value) -> Value {
    let mut copy = value.clone();
    let Some((last, above)) = path.split_last() else {
        return new;
    };
    let mut place = &mut copy;
    for part in above {
        let below = match place {
            Value::Array(items) => part.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            Value::Object(fields) => fields.get_mut(*part),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        let Some(below) = below else {
            return value.clone();
        };
        place = below;
    }
    match place {
        Value::Array(items) => {
            if let Some(item) = last.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                *item = new;
            }
        }
        Value::Object(fields) if new.is_null() => {
            fields.shift_remove(*last);
        }
        Value::Object(fields) => {
            fields.insert((*last).to_owned(), new);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_matters_is_left() {
        let sdp = "v=0\r\nm=audio 1 RTP/AVP 0 8 9\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\na=x\r\nm=video 2 RTP/AVP 96\r\na=mid:1\r\n";
        let offer = |more: Value| {
            let mut request = json!({"command": "offer", "call-id": "c", "sdp": sdp, "flags": ["a", "b c"]});
            request
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            json!({"request": request})
        };
        let conversation = json!({
            "daemon": ["--x"],
            "steps": [offer(json!({})), offer(json!({"codec": {"strip": ["x", "y"], "offer": ["z"]}})), offer(json!({}))],
        });
        // A pair that differs if there are a strip of y, and a payload type 8, in two steps.
        let differs = |conversation: &Value| {
            let steps = conversation["steps"].as_array().unwrap();
            let strips = steps
                .iter()
                .any(|step| step["request"]["codec"]["strip"].to_string().contains('y'));
            let last = steps
                .last()
                .and_then(|step| step["request"]["sdp"].as_str())
                .unwrap_or_default();
            strips && last.contains("RTP/AVP") && last.contains(" 8") && steps.len() > 1
        };
        let smallest = shrink(&conversation, differs);
        assert_eq!(
            smallest,
            json!({"steps": [
                {"request": {"command": "offer", "codec": {"strip": ["y"]}}},
                {"request": {"command": "offer", "sdp": "v=0\r\nm=audio 1 RTP/AVP 8\r\n"}},
            ]})
        );
    }

    #[test]
    fn what_cannot_be_smaller_stays() {
        let conversation = json!({"steps": [{"request": {"command": "ping"}}]});
        assert_eq!(shrink(&conversation, |_| false), conversation);
    }
}
