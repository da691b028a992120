//! Calls.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};

use crate::call::CallLine;
use crate::plan::StreamKind;
use crate::report::{
    AssociationKind, CallSnapshot, Local, MediaSnapshot, PartySnapshot, StreamFlag, StreamSnapshot,
};

/// A call in a list of all.
pub(crate) fn call_line(call: &CallLine<'_>) -> String {
    format!(
        "ID: {:>60} | del:{} | creat: {:>11} | prx:{} | redis:-1 | frgn:{} | rec:n\n",
        text(&call.id.0),
        if call.is_leaving { 'y' } else { 'n' },
        call.created.as_secs(),
        peer(call.created_by),
        if call.is_foreign { 'y' } else { 'n' },
    )
}

/// A call in detail.
pub(crate) fn call(call: &CallSnapshot) -> String {
    let mut text = String::new();
    let yes_or_no = |is: bool| if is { "yes" } else { "no" };
    // Writing to a String does not fail.
    let _ = writeln!(text, "\ncallid: {}", self::text(&call.call_id));
    for other in &call.other_ids {
        let _ = writeln!(text, "alias: {}", self::text(other));
    }
    let _ = writeln!(
        text,
        "deletionmark: {}\ncreated: {}\nproxy: {}\ntos: {}\nlast_signal: {}\nredis_keyspace: -1\n\
         last redis update: 0\nforeign: {}\nrecording: no\n",
        yes_or_no(call.deleted_in.is_some()),
        call.created.as_secs(),
        peer(call.created_by),
        call.tos,
        call.last_signal.as_secs(),
        yes_or_no(call.is_foreign),
    );
    for index in 0..call.parties.len() {
        write_party(call, index, &mut text);
    }
    text.push('\n');
    text
}

/// One party of a call; none if nobody has or had that tag.
pub(crate) fn party(call: &CallSnapshot, tag: &str) -> Option<String> {
    let has_tag = |party: &PartySnapshot| {
        party.tag.as_deref() == Some(tag) || party.aliases.iter().any(|alias| alias == tag)
    };
    let index = call.parties.iter().position(has_tag)?;
    let mut text = String::new();
    write_party(call, index, &mut text);
    Some(text)
}

fn write_party(call: &CallSnapshot, index: usize, text: &mut String) {
    let party = &call.parties[index];
    let earlier = call.parties.iter().take(index);
    let kind = match &party.tag {
        Some(_) if !is_in_dialogue(party) => "UNKNOWN",
        Some(_) if earlier.clone().any(is_in_dialogue) => "TO_TAG",
        Some(_) => "FROM_TAG",
        None => "UNKNOWN",
    };
    let now = call.created + call.age;
    let duration = now.saturating_sub(party.created);
    let [tag, label, branch] =
        [&party.tag, &party.label, &party.branch].map(|text| self::text(text.as_deref().unwrap_or_default()));
    let _ = writeln!(
        text,
        "--- Tag '{tag}', type: {kind}, label '{label}', branch '{branch}', callduration {}.{:06}",
        duration.as_secs(),
        duration.subsec_micros(),
    );
    if !party.aliases.is_empty() {
        let _ = writeln!(text, "---     Aliases: {}", self::text(&party.aliases.join(", ")));
    }
    for number in 1..=party.media.len() {
        for (what, others) in [
            ("subscribed to", &party.subscriptions),
            ("subscription of", &party.subscribers),
        ] {
            for other in others {
                let tag = self::text(&other.tag);
                let _ = writeln!(
                    text,
                    "---     {what} media with monologue tag '{tag}' (index: {number})"
                );
            }
        }
    }
    for (number, media) in party.media.iter().enumerate() {
        write_media(number + 1, media, text);
    }
}

/// Whether it exchanges offers and answers.
fn is_in_dialogue(party: &PartySnapshot) -> bool {
    let mut associations = party.subscriptions.iter().chain(&party.subscribers);
    associations.any(|association| association.kind == AssociationKind::OfferAnswer)
}

fn write_media(number: usize, media: &MediaSnapshot, text: &mut String) {
    let codec = media.codec.as_deref().unwrap_or("unknown codec");
    let _ = writeln!(
        text,
        "------ Media #{number} ({} over {}) using {}",
        self::text(&media.kind),
        self::text(media.protocol.as_deref().unwrap_or("unknown protocol")),
        self::text(codec)
    );
    let own = |stream: &&StreamSnapshot| !stream.flags.contains(&StreamFlag::FallbackRtcp);
    for stream in media.streams.iter().filter(own) {
        write_stream(stream, text);
    }
}

fn write_stream(stream: &StreamSnapshot, text: &mut String) {
    let none = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let local = match stream.local {
        Local::Open(local) => local,
        Local::WithoutPort(address) => SocketAddr::new(address, 0),
        Local::Closed => none,
    };
    let remote = stream.learned.map(|learned| learned.source).or(stream.signalled);
    let rtcp = if stream.kind == StreamKind::Rtcp {
        " (RTCP)"
    } else {
        ""
    };
    let received = stream.received.total();
    let ssrc = stream.ssrcs.first().map_or(0, |newest| newest.ssrc);
    let user = stream.last_user_packet.unwrap_or(stream.last_activity);
    let _ = writeln!(
        text,
        "-------- Port {} <> {}{rtcp}, SSRC {ssrc:x}, {} p, {} b, {} e, {} uts {} kts",
        endpoint(Some(local)),
        endpoint(remote),
        received.packets,
        received.bytes,
        received.errors,
        user.as_secs(),
        stream.last_kernel_packet.unwrap_or_default().as_secs(),
    );
}

/// Address and port, wide enough to stand in columns; without the brackets of IPv6.
fn endpoint(address: Option<SocketAddr>) -> String {
    let ip = address.map_or_else(String::new, |address| address.ip().to_string());
    format!("{ip:>15}:{:<5}", address.map_or(0, |address| address.port()))
}

fn peer(peer: Option<SocketAddr>) -> String {
    let peer = peer.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    format!("{}:{}", peer.ip(), peer.port())
}

/// Text from the network, without what would begin a line or command a terminal.
pub(crate) fn text(text: &str) -> String {
    let escape = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Association;

    #[test]
    fn names_from_the_network_stay_in_their_line() {
        let snapshot = CallSnapshot {
            call_id: "x\nforeign: yes\u{1b}[2J".to_owned(),
            parties: vec![PartySnapshot {
                tag: Some("t\n".to_owned()),
                aliases: vec!["a\n".to_owned()],
                subscriptions: vec![Association {
                    tag: "p\n".to_owned(),
                    kind: AssociationKind::OfferAnswer,
                }],
                ..PartySnapshot::default()
            }],
            ..CallSnapshot::default()
        };
        let text = call(&snapshot);
        assert!(
            text.starts_with("\ncallid: x\u{fffd}foreign: yes\u{fffd}[2J\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 15);
        assert_eq!(party(&snapshot, "a\n").unwrap().lines().count(), 2);
        assert_eq!(party(&snapshot, "b"), None);
    }
}
