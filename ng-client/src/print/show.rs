//! One call in detail.

use std::fmt::Write;

use ng_client::{Dictionary, Value};

use super::view::{dictionaries, duration, grouped, inner_number, number, passed, word, words};

/// The reply to `relay show`, indented by party, media section and stream.
pub(super) fn text(reply: &Dictionary) -> String {
    let mut out = String::new();
    let call_id = word(reply, "call-id").unwrap_or_default();
    let mut facts = vec![format!("age {}", duration(number(reply, "age")))];
    if word(reply, "kernel").is_some_and(|kernel| kernel == "off") {
        facts.push("kept out of the kernel by hand".to_owned());
    }
    if reply.find("deleted-in").is_some() {
        facts.push(format!("deleted in {} s", number(reply, "deleted-in")));
    }
    if number(reply, "pending") != 0 {
        facts.push("media about to follow the newest message".to_owned());
    }
    facts.extend(words(reply, "controls"));
    line(&mut out, 0, &format!("call {call_id} ({})", facts.join(", ")));
    for party in dictionaries(reply, "parties") {
        write_party(party, &mut out);
    }
    out
}

fn write_party(party: &Dictionary, out: &mut String) {
    let name = word(party, "tag").unwrap_or_else(|| "(no tag)".to_owned());
    let label = word(party, "label").map(|label| format!("label {label}"));
    let branch = word(party, "via-branch").map(|branch| format!("branch {branch}"));
    let sources = words(party, "subscribed-to");
    let subscribed = (!sources.is_empty()).then(|| format!("subscribed to {}", sources.join(" and ")));
    let mut facts: Vec<String> = [label, branch, subscribed].into_iter().flatten().collect();
    facts.extend(words(party, "controls"));
    let facts = if facts.is_empty() {
        String::new()
    } else {
        format!(" ({})", facts.join(", "))
    };
    line(out, 1, &format!("party {name}{facts}"));
    for media in dictionaries(party, "medias") {
        let facts = ["type", "protocol", "codec", "direction"];
        let facts: Vec<String> = facts.iter().filter_map(|key| word(media, key)).collect();
        line(
            out,
            2,
            &format!("media {}: {}", number(media, "index"), facts.join(", ")),
        );
        for stream in dictionaries(media, "streams") {
            write_stream(stream, out);
        }
    }
}

fn write_stream(stream: &Dictionary, out: &mut String) {
    let kind = word(stream, "kind").unwrap_or_default();
    let Some(local) = word(stream, "local") else {
        return line(out, 3, &format!("{kind}, closed"));
    };
    let advertised = word(stream, "advertised").filter(|advertised| *advertised != local);
    let advertised = advertised
        .map(|address| format!(", advertised as {address}"))
        .unwrap_or_default();
    line(out, 3, &format!("{kind} at {local}{advertised}"));
    line(out, 4, &format!("peer      {}", peer(stream)));
    for (key, name) in [("ICE", "ICE      "), ("DTLS", "DTLS     ")] {
        if let Some(state) = word(stream, key) {
            line(out, 4, &format!("{name} {state}"));
        }
    }
    line(out, 4, &format!("relayed   {}", place(stream)));
    let received = stream.find("received").and_then(Value::dictionary);
    if let Some(received) = received {
        let kernel = counters(received, "kernel");
        let userspace = counters(received, "userspace");
        line(
            out,
            4,
            &format!("received  kernel {kernel}; userspace {userspace}{}", last(stream)),
        );
    }
    line(
        out,
        4,
        &format!("sent      userspace {}", counters(stream, "sent")),
    );
    if let Some(passed) = passed(stream) {
        line(out, 4, &format!("passed    {passed}"));
    }
    let limited = number(stream, "limited");
    if limited != 0 {
        let limited = grouped(limited);
        line(
            out,
            4,
            &format!("dropped   {limited} packets: too many from unexpected sources"),
        );
    }
    if let Some(refused) = stream.find("refused").and_then(Value::dictionary) {
        let reasons = refused.0.iter();
        let reasons = reasons.map(|(reason, _)| format!("{} {reason}", grouped(number(refused, reason))));
        let reasons: Vec<String> = reasons.collect();
        line(out, 4, &format!("refused   by SRTP: {}", reasons.join(", ")));
    }
    for ssrc in dictionaries(stream, "ssrcs") {
        line(out, 4, &format!("SSRC      {}", reception(ssrc)));
    }
}

fn reception(ssrc: &Dictionary) -> String {
    let count = |key| grouped(number(ssrc, key));
    let jitter = number(ssrc, "jitter");
    format!(
        "{:08x}: {} packets, {} lost, {} reordered, {} duplicates, jitter {}.{:03} ms, sequence {}",
        number(ssrc, "ssrc"),
        count("packets"),
        count("lost"),
        count("reordered"),
        count("duplicates"),
        jitter / 1000,
        jitter % 1000,
        number(ssrc, "sequence"),
    )
}

/// What is known of the other end: what was signalled, and what packets came from.
fn peer(stream: &Dictionary) -> String {
    let signalled = word(stream, "signalled").unwrap_or_else(|| "not known yet".to_owned());
    let Some(learned) = word(stream, "learned") else {
        return signalled;
    };
    let state = if number(stream, "settled") == 1 {
        "settled"
    } else {
        "still learning"
    };
    format!("{signalled}, packets come from {learned} ({state})")
}

fn place(stream: &Dictionary) -> String {
    let path = word(stream, "path").unwrap_or_default();
    match word(stream, "reason") {
        Some(reason) => format!("{path}: {reason}"),
        None => path,
    }
}

fn counters(dictionary: &Dictionary, key: &str) -> String {
    let [packets, bytes, errors] =
        ["packets", "bytes", "errors"].map(|name| inner_number(dictionary, key, name));
    let errors = if errors == 0 {
        String::new()
    } else {
        format!(", {} errors", grouped(errors))
    };
    format!("{} packets, {} bytes{errors}", grouped(packets), grouped(bytes))
}

fn last(stream: &Dictionary) -> String {
    let silent = stream.find("silent");
    silent
        .map(|_| format!("; last {} s ago", number(stream, "silent")))
        .unwrap_or_default()
}

fn line(out: &mut String, level: usize, text: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{}{text}", "  ".repeat(level));
}
