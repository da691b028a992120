//! Calls as `ng-client` shows them.

use std::net::SocketAddr;
use std::ops::Add;

use relay_common::ng::{Dictionary, Value};

use super::{
    AssociationKind, CallSnapshot, Counts, Local, MediaSnapshot, PartySnapshot, Passed, SsrcSnapshot,
    StreamSnapshot,
};
use crate::plan::{KernelUse, Path, StreamKind};

/// A call in the reply to `relay calls`:
///
/// ```text
/// call-id str | created int (epoch s) | age int (s)
/// parties [ {tag str, label str?, address "ADDR:PORT"? (signalled, of the first stream)} ]
/// codecs [ str ]                       "PCMA/8000", each once
/// packets {kernel int, userspace int}  received, of all streams
/// path "kernel" | "userspace" | "mixed"    of the RTP streams that received something, else "userspace"
/// reason str?                          why (the first of) the streams in userspace are there
/// passed {packets int, reason str}?    from the kernel to userspace, of all streams, and why (one of) the newest was
/// limited int?                         dropped, of all streams: too many from unexpected sources
/// ```
pub fn call_summary(call: &CallSnapshot) -> Dictionary {
    let mut fields = Dictionary::new();
    fields.push("call-id", call.call_id.as_str());
    fields.push("created", call.created.as_secs());
    fields.push("age", call.age.as_secs());
    fields.push(
        "parties",
        call.parties.iter().map(party_summary).collect::<Vec<Value>>(),
    );
    fields.push("codecs", codecs(call));
    let mut packets = Dictionary::new();
    packets.push(
        "kernel",
        streams(call)
            .map(|stream| stream.received.kernel.packets)
            .sum::<u64>(),
    );
    packets.push(
        "userspace",
        streams(call)
            .map(|stream| stream.received.userspace.packets)
            .sum::<u64>(),
    );
    fields.push("packets", packets);
    let (path, reason) = call_path(call);
    fields.push("path", path);
    if let Some(reason) = reason {
        fields.push("reason", reason);
    }
    let all = streams(call).map(|stream| stream.passed);
    fields.0.extend(passed(all.fold(Passed::default(), Add::add)).0);
    fields
}

/// The reply to `relay show`, without the result:
///
/// ```text
/// call-id str | created int | age int | kernel "on" | "off" (by hand)
/// pending 0|1                          whether the media has yet to follow the newest message; 0: paths are up to date
/// deleted-in int (s)?                  while a delayed deletion runs
/// controls [ str ]?                    "media blocked": what is switched for the whole call
/// parties [ tag str | label str? | via-branch str?
///    controls [ str ]?                 the same for what the party sends
///    subscribed-to [ str ]?            whose media it gets otherwise than by offer and answer
///    medias [ index int | type str | protocol str? | codec str? | direction str?
///       streams [ kind "RTP" | "RTCP" | "datagrams"
///          local "ADDR:PORT"? | advertised "ADDR:PORT"? | signalled "ADDR:PORT"? | learned "ADDR:PORT"?
///          settled 0|1 (with learned)
///          path "kernel" | "userspace" | reason str?
///          received {kernel {packets, bytes}, userspace {packets, bytes, errors}}
///          sent {packets, bytes, errors}
///          passed {packets, reason str}?  by the kernel to userspace, and why the newest one
///          limited int?                   packets that were dropped: too many from unexpected sources
///          silent int (s)?  since the last packet | ssrc int?
///          ssrcs [ ssrc int | packets int | bytes int | sequence int (extended) | lost int (may be negative)
///             | reordered int | duplicates int | jitter int (us) ] ] ] ]
/// ```
pub fn call_details(call: &CallSnapshot) -> Dictionary {
    let mut fields = Dictionary::new();
    fields.push("call-id", call.call_id.as_str());
    fields.push("created", call.created.as_secs());
    fields.push("age", call.age.as_secs());
    fields.push(
        "kernel",
        match call.kernel {
            KernelUse::Allowed => "on",
            KernelUse::SwitchedOff => "off",
        },
    );
    fields.push("pending", u32::from(call.pending));
    if let Some(rest) = call.deleted_in {
        fields.push("deleted-in", rest.as_secs());
    }
    push_words(&mut fields, "controls", call.controls.iter().copied());
    fields.push(
        "parties",
        call.parties.iter().map(party_details).collect::<Vec<Value>>(),
    );
    fields
}

fn party_summary(party: &PartySnapshot) -> Value {
    let mut fields = named(party);
    let first = party.media.first().and_then(|media| media.streams[0].signalled);
    push_address(&mut fields, "address", first);
    fields.into()
}

fn party_details(party: &PartySnapshot) -> Value {
    let mut fields = named(party);
    if let Some(branch) = &party.branch {
        fields.push("via-branch", branch.as_str());
    }
    push_words(&mut fields, "controls", party.controls.iter().copied());
    let subscriptions = party.subscriptions.iter();
    let subscriptions = subscriptions.filter(|source| source.kind == AssociationKind::PubSub);
    let tags = subscriptions.map(|source| source.tag.as_str());
    push_words(&mut fields, "subscribed-to", tags);
    let medias = party.media.iter().enumerate();
    fields.push(
        "medias",
        medias
            .map(|(index, media)| media_details(index, media))
            .collect::<Vec<Value>>(),
    );
    fields.into()
}

/// A list, unless it is empty.
fn push_words<'a>(fields: &mut Dictionary, key: &str, words: impl Iterator<Item = &'a str>) {
    let words: Vec<Value> = words.map(Value::from).collect();
    if !words.is_empty() {
        fields.push(key, words);
    }
}

fn named(party: &PartySnapshot) -> Dictionary {
    let mut fields = Dictionary::new();
    fields.push("tag", party.name.as_str());
    if let Some(label) = &party.label {
        fields.push("label", label.as_str());
    }
    fields
}

fn media_details(index: usize, media: &MediaSnapshot) -> Value {
    let mut fields = Dictionary::new();
    fields.push("index", index + 1);
    fields.push("type", media.kind.as_str());
    if let Some(protocol) = &media.protocol {
        fields.push("protocol", protocol.as_str());
    }
    if let Some(codec) = media.codecs.first() {
        fields.push("codec", codec.as_str());
    }
    fields.push("direction", media.direction.as_str());
    fields.push(
        "streams",
        media.streams.iter().map(stream_details).collect::<Vec<Value>>(),
    );
    fields.into()
}

fn stream_details(stream: &StreamSnapshot) -> Value {
    let mut fields = Dictionary::new();
    fields.push(
        "kind",
        match stream.kind {
            StreamKind::Rtp => "RTP",
            StreamKind::Rtcp => "RTCP",
            StreamKind::Datagrams => "datagrams",
        },
    );
    if let Local::Open(local) = stream.local {
        push_address(&mut fields, "local", Some(local));
        let advertised = stream
            .advertised
            .map(|address| SocketAddr::new(address, local.port()));
        push_address(&mut fields, "advertised", advertised);
    }
    push_address(&mut fields, "signalled", stream.signalled);
    if let Some(learned) = stream.learned {
        push_address(&mut fields, "learned", Some(learned.source));
        fields.push("settled", u32::from(learned.settled));
    }
    match stream.path {
        Path::Kernel => fields.push("path", "kernel"),
        Path::Userspace(reason) => {
            fields.push("path", "userspace");
            fields.push("reason", reason.as_str());
        }
    }
    if let Some(ice) = stream.ice {
        fields.push("ICE", ice.as_str());
    }
    if let Some(dtls) = stream.dtls {
        fields.push("DTLS", dtls.as_str());
    }
    let mut received = Dictionary::new();
    received.push("kernel", counts(stream.received.kernel));
    received.push("userspace", counts(stream.received.userspace));
    fields.push("received", received);
    fields.push("sent", counts(stream.sent));
    if let Some(silent) = stream.silent {
        fields.push("silent", silent.as_secs());
    }
    fields.0.extend(passed(stream.passed).0);
    if !stream.refused.is_empty() {
        let mut refused = Dictionary::new();
        for (error, packets) in &stream.refused {
            refused.push(error.as_str(), *packets);
        }
        fields.push("refused", refused);
    }
    if let Some(newest) = stream.ssrcs.first() {
        fields.push("ssrc", newest.ssrc);
        fields.push(
            "ssrcs",
            stream.ssrcs.iter().map(reception).collect::<Vec<Value>>(),
        );
    }
    fields.into()
}

/// Fields if there is something to tell.
fn passed(passed: Passed) -> Dictionary {
    let mut fields = Dictionary::new();
    if let Some(reason) = passed.last {
        let mut inner = Dictionary::new();
        inner.push("packets", passed.packets);
        inner.push("reason", reason.as_str());
        fields.push("passed", inner);
    }
    if passed.limited != 0 {
        fields.push("limited", passed.limited);
    }
    fields
}

fn reception(ssrc: &SsrcSnapshot) -> Value {
    let mut fields = Dictionary::new();
    fields.push("ssrc", ssrc.ssrc);
    fields.push("packets", ssrc.packets);
    fields.push("bytes", ssrc.bytes);
    fields.push("sequence", ssrc.sequence);
    fields.push("lost", ssrc.lost);
    fields.push("reordered", ssrc.reordered);
    fields.push("duplicates", ssrc.duplicates);
    fields.push(
        "jitter",
        u64::try_from(ssrc.jitter.as_micros()).unwrap_or(u64::MAX),
    );
    fields.into()
}

fn streams(call: &CallSnapshot) -> impl Iterator<Item = &StreamSnapshot> {
    call.parties
        .iter()
        .flat_map(|party| &party.media)
        .flat_map(|media| &media.streams)
}

/// The codecs of all media, each once.
fn codecs(call: &CallSnapshot) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for codec in call
        .parties
        .iter()
        .flat_map(|party| &party.media)
        .flat_map(|media| &media.codecs)
    {
        if !names.contains(&codec.as_str()) {
            names.push(codec);
        }
    }
    names.into_iter().map(Value::from).collect()
}

/// Where the RTP streams are relayed that received something, and why those in userspace are.
fn call_path(call: &CallSnapshot) -> (&'static str, Option<&'static str>) {
    let rtp = || streams(call).filter(|stream| stream.kind != StreamKind::Rtcp);
    let mut flowing = rtp()
        .filter(|stream| stream.received.total().packets > 0)
        .peekable();
    if flowing.peek().is_none() {
        return ("userspace", rtp().find_map(userspace_reason));
    }
    let (mut in_kernel, mut reason) = (false, None);
    for stream in flowing {
        match stream.path {
            Path::Kernel => in_kernel = true,
            Path::Userspace(_) => reason = reason.or(userspace_reason(stream)),
        }
    }
    match (in_kernel, reason) {
        (true, None) => ("kernel", None),
        (true, Some(_)) => ("mixed", reason),
        (false, _) => ("userspace", reason),
    }
}

fn userspace_reason(stream: &StreamSnapshot) -> Option<&'static str> {
    match stream.path {
        Path::Kernel => None,
        Path::Userspace(reason) => Some(reason.as_str()),
    }
}

fn counts(counts: Counts) -> Dictionary {
    let mut fields = Dictionary::new();
    fields.push("packets", counts.packets);
    fields.push("bytes", counts.bytes);
    fields.push("errors", counts.errors);
    fields
}

fn push_address(fields: &mut Dictionary, key: &str, address: Option<SocketAddr>) {
    if let Some(address) = address {
        fields.push(key, address.to_string());
    }
}
