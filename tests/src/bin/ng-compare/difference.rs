//! What is different in two replies, line by line.

use std::collections::BTreeMap;

use serde_json::Value;

/// One line of a reply that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What kind of line, and how it differs: `a=rtpmap missing`.
    pub(crate) kind: String,
    /// The line of the reference.
    pub(crate) reference: Option<String>,
    /// Ours.
    pub(crate) ours: Option<String>,
}

impl Finding {
    fn new(kind: &str, reference: Option<&str>, ours: Option<&str>) -> Finding {
        let how = match (reference, ours) {
            (Some(_), None) => "missing",
            (None, _) => "added",
            (Some(_), Some(_)) => "differs",
        };
        Finding {
            kind: format!("{kind} {how}"),
            reference: reference.map(str::to_owned),
            ours: ours.map(str::to_owned),
        }
    }
}

/// What differs, in the order of the reply: its keys first, then the lines of its SDP.
pub(crate) fn findings(reference: &Value, ours: &Value) -> Vec<Finding> {
    if reference == ours {
        return Vec::new();
    }
    if let Some(finding) = other_result(reference, ours) {
        return vec![finding];
    }
    if !reference["expect"].is_null() {
        return of_packets(&reference["expect"], &ours["expect"]);
    }
    let (reference_leaves, our_leaves) = (leaves(reference), leaves(ours));
    let mut found = Vec::new();
    let mut paths: Vec<&String> = reference_leaves.keys().chain(our_leaves.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let (one, other) = (reference_leaves.get(path), our_leaves.get(path));
        if one != other {
            let kind = general(path);
            let shown = |leaf: Option<&String>| leaf.map(|leaf| format!("{path}: {leaf}"));
            let (one, other) = (shown(one), shown(other));
            found.push(Finding::new(&kind, one.as_deref(), other.as_deref()));
        }
    }
    if let (Some(one), Some(other)) = (reference["sdp"].as_str(), ours["sdp"].as_str()) {
        found.extend(of_sdp(one, other));
    }
    found
}

/// A reply that succeeds where the other one does not is all that is to be said.
fn other_result(reference: &Value, ours: &Value) -> Option<Finding> {
    let outcome = |reply: &Value| match reply["error-reason"].as_str() {
        Some(reason) => format!("error {reason:?}"),
        None if reply["no reply"].is_null() => reply["result"].as_str().unwrap_or("no result").to_owned(),
        None => "no reply".to_owned(),
    };
    let (one, other) = (outcome(reference), outcome(ours));
    (one != other).then(|| Finding {
        kind: format!("{other} for {one}"),
        reference: Some(one),
        ours: Some(other),
    })
}

/// All values with their paths, but for the SDP. Lists of texts are one value.
fn leaves(reply: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    walk(reply, "", &mut all);
    all
}

fn walk(value: &Value, path: &str, all: &mut BTreeMap<String, String>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        _ => format!("{path}/{name}"),
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields.iter().filter(|(name, _)| below(name) != "sdp") {
                walk(value, &below(name), all);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &below(&format!("#{index}")), all);
            }
        }
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => {
            all.insert(path.to_owned(), value.to_string());
        }
    }
}

/// A path without what is particular: indices, tags, SSRCs.
fn general(path: &str) -> String {
    let mut general = Vec::new();
    let mut above = "";
    for part in path.split('/') {
        let is_name = ["tags", "SSRC", "media-labels"].contains(&above) || part.starts_with('#');
        general.push(if is_name { "*" } else { part });
        above = if part.starts_with('#') { "" } else { part };
    }
    general.join("/")
}

/// Packets that arrived at one daemon's clients only.
fn of_packets(reference: &Value, ours: &Value) -> Vec<Finding> {
    let texts = |packets: &Value| -> Vec<String> {
        packets
            .as_array()
            .into_iter()
            .flatten()
            .map(Value::to_string)
            .collect()
    };
    let mut found = Vec::new();
    for (socket, packets) in reference.as_object().into_iter().flatten() {
        let (one, other) = (texts(packets), texts(&ours[socket]));
        let one: Vec<&str> = one.iter().map(String::as_str).collect();
        let other: Vec<&str> = other.iter().map(String::as_str).collect();
        let at = |packet: &str| format!("at {socket}: {packet}");
        for (only_one, only_other) in hunks(&one, &other) {
            let mut left = only_other.into_iter();
            for packet in only_one {
                let other = left.next().map(at);
                found.push(Finding::new(
                    &packet_kind(packet, socket),
                    Some(&at(packet)),
                    other.as_deref(),
                ));
            }
            for packet in left {
                found.push(Finding::new(
                    &packet_kind(packet, socket),
                    None,
                    Some(&at(packet)),
                ));
            }
        }
    }
    found
}

fn packet_kind(packet: &str, socket: &str) -> String {
    let kind = match packet {
        _ if packet.contains("\"seq\"") => "RTP",
        _ if packet.contains("\"rtcp\"") => "RTCP",
        _ => "packet",
    };
    format!("{kind} at {socket}")
}

fn of_sdp(reference: &str, ours: &str) -> Vec<Finding> {
    let (reference, ours) = (lines(reference), lines(ours));
    let mut found = Vec::new();
    for (only_reference, only_ours) in hunks(&reference, &ours) {
        let mut left: Vec<&str> = only_ours;
        for line in only_reference {
            let kind = kind_of(line);
            let other = left.iter().position(|other| kind_of(other) == kind);
            let other = other.map(|index| left.remove(index));
            let kind = match other {
                Some(other) => detail(kind, line, other),
                None if ours.contains(&line) && count(&ours, line) >= count(&reference, line) => {
                    format!("{kind} in another place,")
                }
                None => kind.to_owned(),
            };
            found.push(Finding::new(&kind, Some(line), other));
        }
        for line in left {
            if !(reference.contains(&line) && count(&reference, line) >= count(&ours, line)) {
                found.push(Finding::new(kind_of(line), None, Some(line)));
            }
        }
    }
    found
}

fn lines(sdp: &str) -> Vec<&str> {
    sdp.split("\r\n").filter(|line| !line.is_empty()).collect()
}

fn count(lines: &[&str], line: &str) -> usize {
    lines.iter().filter(|other| **other == line).count()
}

/// `m=`, `a=rtpmap`: all up to the value.
fn kind_of(line: &str) -> &str {
    let end = match line.strip_prefix("a=") {
        Some(attribute) => attribute.find(':').unwrap_or(attribute.len()) + 2,
        None => line.find('=').map_or(line.len(), |end| end + 1),
    };
    let kind = &line[..end];
    match kind {
        "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive" => "direction",
        _ => kind,
    }
}

/// Which field of a line differs.
fn detail(kind: &str, line: &str, other: &str) -> String {
    let fields: &[&str] = match kind {
        "m=" => &["m= kind", "m= port", "m= protocol", "m= formats"],
        "o=" => &[
            "o= user",
            "o= id",
            "o= version",
            "o= net",
            "o= family",
            "o= address",
        ],
        "a=candidate" => &[
            "a=candidate foundation",
            "a=candidate component",
            "a=candidate transport",
            "a=candidate priority",
            "a=candidate address",
            "a=candidate port",
        ],
        "a=crypto" => &["a=crypto tag", "a=crypto suite", "a=crypto key"],
        _ => &[],
    };
    let pairs = line.split(' ').zip(other.split(' ')).zip(fields);
    let differing = pairs.into_iter().find(|((one, other), _)| one != other);
    match differing {
        Some((_, field)) => (*field).to_owned(),
        None if kind == "m=" => "m= formats".to_owned(),
        None => kind.to_owned(),
    }
}

/// Runs of lines that are in one text only, by the longest common subsequence.
fn hunks<'a>(one: &[&'a str], other: &[&'a str]) -> Vec<(Vec<&'a str>, Vec<&'a str>)> {
    let mut lengths = vec![vec![0_usize; other.len() + 1]; one.len() + 1];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            lengths[i][j] = match one[i] == other[j] {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut all = Vec::new();
    let mut hunk = (Vec::new(), Vec::new());
    while i < one.len() || j < other.len() {
        if i < one.len() && j < other.len() && one[i] == other[j] {
            if hunk != (Vec::new(), Vec::new()) {
                all.push(std::mem::take(&mut hunk));
            }
            (i, j) = (i + 1, j + 1);
        } else if j == other.len() || (i < one.len() && lengths[i + 1][j] >= lengths[i][j + 1]) {
            hunk.0.push(one[i]);
            i += 1;
        } else {
            hunk.1.push(other[j]);
            j += 1;
        }
    }
    all.push(hunk);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kinds(reference: &Value, ours: &Value) -> Vec<String> {
        findings(reference, ours)
            .into_iter()
            .map(|finding| finding.kind)
            .collect()
    }

    fn sdp(reference: &str, ours: &str) -> Vec<String> {
        let reply = |text: &str| json!({"result": "ok", "sdp": text.replace('|', "\r\n")});
        kinds(&reply(reference), &reply(ours))
    }

    #[test]
    fn lines_of_sdp() {
        let reference = "v=0|m=audio «PORT1» RTP/AVP 0 8|a=rtpmap:0 PCMU/8000|a=mid:0|a=sendrecv|";
        assert_eq!(sdp(reference, reference), [""; 0]);
        assert_eq!(
            sdp(reference, "v=0|m=audio «PORT1» RTP/AVP 8|a=mid:0|a=sendrecv|"),
            ["m= formats differs", "a=rtpmap missing"]
        );
        assert_eq!(
            sdp(
                reference,
                "v=0|m=audio «PORT1» RTP/AVP 0 8|a=mid:0|a=rtpmap:0 PCMU/8000|a=recvonly|a=x|"
            ),
            [
                "a=rtpmap in another place, missing",
                "direction differs",
                "a=x added"
            ]
        );
        assert_eq!(
            sdp(reference, &reference.replace("RTP/AVP", "RTP/SAVP")),
            ["m= protocol differs"]
        );
    }

    #[test]
    fn keys_and_results() {
        assert_eq!(
            kinds(
                &json!({"result": "ok"}),
                &json!({"result": "error", "error-reason": "no"})
            ),
            ["error \"no\" for ok"]
        );
        let reply = |flags: Value| json!({"result": "ok", "tags": {"a": {"medias": [{"flags": flags}]}}});
        assert_eq!(
            kinds(&reply(json!(["send"])), &reply(json!(["send", "recv"]))),
            ["tags/*/medias/*/flags differs"]
        );
    }
}
