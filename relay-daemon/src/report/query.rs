//! The reply to `query` and `delete`, as clients of the ng protocol know it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use relay_common::ng::{Dictionary, Value};

use crate::security::Suite;

use super::{
    Association, CallSnapshot, Counts, Local, MediaSnapshot, PartySnapshot, SsrcReporting, SsrcSnapshot,
    StreamSnapshot,
};

/// The reply to `query` and `delete`, without the result.
pub fn query_reply(call: &CallSnapshot) -> Dictionary {
    let mut reply = Dictionary::new();
    reply.push("created", call.created.as_secs());
    reply.push("created_us", call.created.subsec_micros());
    reply.push("created_ts", micros(call.created));
    reply.push("last signal", call.last_signal.as_secs());
    reply.push("last redis update", 0u32);
    if let Some(metadata) = &call.metadata {
        reply.push("metadata", metadata.as_str());
    }
    let mut ssrcs = Dictionary::new();
    let media = call.parties.iter().flat_map(|party| &party.media);
    for heard in media.flat_map(received_ssrcs) {
        let name = heard.ssrc.ssrc.to_string();
        if ssrcs.find(&name).is_none() {
            ssrcs.push(name, heard.statistics());
        }
    }
    if matches!(call.ssrc_reporting, SsrcReporting::Full | SsrcReporting::Global) {
        reply.push("SSRC", ssrcs);
    }
    let mut tags = Dictionary::new();
    for party in &call.parties {
        tags.push(party.name.as_str(), self::party(call, party));
    }
    reply.push("tags", tags);
    let mut totals = Dictionary::new();
    totals.push("RTP", counts(call.rtp));
    totals.push("RTCP", counts(call.rtcp));
    reply.push("totals", totals);
    reply
}

fn party(call: &CallSnapshot, party: &PartySnapshot) -> Dictionary {
    let mut fields = Dictionary::new();
    fields.push("tag", party.tag.as_deref().unwrap_or_default());
    if let Some(branch) = &party.branch {
        fields.push("via-branch", branch.as_str());
    }
    if !party.aliases.is_empty() {
        let aliases: Vec<Value> = party.aliases.iter().map(|tag| tag.as_str().into()).collect();
        fields.push("tag-aliases", aliases);
    }
    if let Some(label) = &party.label {
        fields.push("label", label.as_str());
    }
    fields.push("created", party.created.as_secs());
    if let Some(metadata) = &party.metadata {
        fields.push("metadata", metadata.as_str());
    }
    fields.push("subscriptions", associations(&party.subscriptions));
    fields.push("subscribers", associations(&party.subscribers));
    let medias = party.media.iter().enumerate();
    let medias: Vec<Value> = medias
        .map(|(index, media)| self::media(call, index, media).into())
        .collect();
    fields.push("medias", medias);
    fields.push("VSC", Vec::new());
    fields
}

fn associations(associations: &[Association]) -> Vec<Value> {
    let entry = |association: &Association| {
        let mut fields = Dictionary::new();
        fields.push("tag", association.tag.as_str());
        fields.push("type", association.kind.as_str());
        fields.into()
    };
    associations.iter().map(entry).collect()
}

fn media(call: &CallSnapshot, index: usize, media: &MediaSnapshot) -> Dictionary {
    let mut fields = Dictionary::new();
    fields.push("index", index + 1);
    fields.push("type", media.kind.as_str());
    if let Some(protocol) = &media.protocol {
        fields.push("protocol", protocol.as_str());
    }
    if let Some(codec) = &media.codec {
        fields.push("codec", codec.as_str());
    }
    // RTCP is told of as that of the newest sender.
    let newest = received_ssrcs(media).next().map(|heard| heard.ssrc.ssrc);
    let streams = media
        .streams
        .iter()
        .filter(|_| !media.is_bare)
        .map(|stream| self::stream(stream, newest, media.suite).into());
    let streams: Vec<Value> = streams.collect();
    fields.push("streams", streams);
    let flags: Vec<Value> = media.flags.iter().map(|flag| flag.as_str().into()).collect();
    fields.push("flags", flags);
    fields.push(
        "ingress SSRCs",
        ssrc_entries(call.ssrc_reporting, received_ssrcs(media)),
    );
    fields.push(
        "egress SSRCs",
        ssrc_entries(call.ssrc_reporting, sent_ssrcs(call, media).into_iter()),
    );
    fields
}

fn stream(stream: &StreamSnapshot, newest: Option<u32>, suite: Option<Suite>) -> Dictionary {
    let mut fields = Dictionary::new();
    let (port, address) = match stream.local {
        Local::Closed => (None, None),
        Local::WithoutPort(address) => (Some(0), Some(address)),
        Local::Open(local) => (Some(local.port()), Some(local.ip())),
    };
    if let Some(port) = port {
        fields.push("local port", port);
    }
    if let Some(address) = address {
        fields.push("local address", address.to_string());
        fields.push("family", family(address));
    }
    let learned = stream.learned.map(|learned| learned.source);
    fields.push("endpoint", endpoint(learned.or(stream.target)));
    fields.push("advertised endpoint", endpoint(stream.signalled));
    if let Some(suite) = suite {
        fields.push("crypto suite", suite.name());
    }
    let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs();
    fields.push("last packet", stream.last_activity.as_secs());
    fields.push("last kernel packet", seconds(stream.last_kernel_packet));
    fields.push(
        "last user packet",
        stream.last_user_packet.unwrap_or(stream.last_activity).as_secs(),
    );
    if let Some(newest) = newest {
        fields.push("SSRC", newest);
    }
    let flags: Vec<Value> = stream.flags.iter().map(|flag| flag.as_str().into()).collect();
    fields.push("flags", flags);
    fields.push("stats", counts(stream.received.total()));
    fields.push("stats_out", counts(stream.sent));
    fields
}

fn endpoint(endpoint: Option<SocketAddr>) -> Dictionary {
    let mut fields = Dictionary::new();
    if let Some(endpoint) = endpoint {
        fields.push("family", family(endpoint.ip()));
        fields.push("address", endpoint.ip().to_string());
        fields.push("port", endpoint.port());
    }
    fields
}

fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    }
}

fn counts(counts: Counts) -> Dictionary {
    let mut fields = Dictionary::new();
    fields.push("packets", counts.packets);
    fields.push("bytes", counts.bytes);
    fields.push("errors", counts.errors);
    fields
}

/// An SSRC, and the section that it is received for.
#[derive(Clone, Copy)]
struct Heard<'a> {
    /// None where nobody is told how it is received.
    media: Option<&'a MediaSnapshot>,
    ssrc: &'a SsrcSnapshot,
}

fn received_ssrcs(media: &MediaSnapshot) -> impl Iterator<Item = Heard<'_>> {
    let ssrcs = media.streams.iter().flat_map(|stream| &stream.ssrcs);
    ssrcs.map(move |ssrc| Heard {
        media: Some(media),
        ssrc,
    })
}

/// What a section was sent; where that is not known, what came for it. SSRCs are not renumbered: they are those of its sources, who
/// are told how they are received.
fn sent_ssrcs<'a>(call: &'a CallSnapshot, media: &'a MediaSnapshot) -> Vec<Heard<'a>> {
    let source = |(name, index): &(String, usize)| {
        let party = call.parties.iter().find(|party| party.name == *name);
        party.and_then(|party| party.media.get(*index))
    };
    let came: Vec<Heard<'_>> = media
        .sources
        .iter()
        .filter_map(source)
        .flat_map(received_ssrcs)
        .collect();
    let Some(sent) = &media.streams[0].sent_ssrcs else {
        return came
            .into_iter()
            .map(|heard| Heard { media: None, ..heard })
            .collect();
    };
    let entry = |ssrc: &'a SsrcSnapshot| Heard { media: None, ssrc };
    sent.iter().map(entry).collect()
}

impl Heard<'_> {
    fn statistics(self) -> Dictionary {
        let ssrc = self.ssrc;
        let mut fields = Dictionary::new();
        fields.push("bytes", ssrc.bytes);
        fields.push("packets", ssrc.packets);
        // As the reference has it.
        fields.push("last RTP timestamp", i64::from(ssrc.timestamp.cast_signed()));
        fields.push("last RTP seq", ssrc.sequence);
        let known = self.media.into_iter().flat_map(|media| &media.qualities);
        if let Some(known) = known.into_iter().find(|known| known.quality.ssrc == ssrc.ssrc) {
            known.describe(&mut fields);
        }
        fields
    }
}

fn ssrc_entries<'a>(reporting: SsrcReporting, ssrcs: impl Iterator<Item = Heard<'a>>) -> Vec<Value> {
    let entry = |heard: Heard<'_>| {
        let mut fields = match reporting {
            SsrcReporting::Full | SsrcReporting::Inline => heard.statistics(),
            SsrcReporting::Global | SsrcReporting::None => Dictionary::new(),
        };
        fields.push("SSRC", heard.ssrc.ssrc);
        fields.into()
    };
    match reporting {
        SsrcReporting::None => Vec::new(),
        SsrcReporting::Full | SsrcReporting::Inline | SsrcReporting::Global => ssrcs.map(entry).collect(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
