//! The `statistics` reply, and the JSON of `list jsonstats`.

use std::time::Duration;

use relay_common::ng::{Dictionary, Value};

use super::super::{Reception, Samples};
use super::{Counts, InterfaceStatistics, Received, RequestKind, Requests, Statistics, Traffic};
use crate::ports::PortUsage;

/// The tree below `statistics`, as clients of the reference know it. What is not measured is zero.
pub fn statistics_reply(statistics: &Statistics) -> Dictionary {
    let mut tree = Dictionary::new();
    tree.push("currentstatistics", current(statistics));
    tree.push("totalstatistics", totals(statistics));
    tree.push("mos", metric("mos", Samples::default()));
    tree.push("voip_metrics", voip_metrics(&statistics.reception));
    tree.push("controlstatistics", control(statistics));
    let interfaces: Vec<Value> = statistics.interfaces.iter().map(interface).collect();
    tree.push("interfaces", interfaces);
    tree.push("transcoders", Vec::new());
    tree.push("poller_threads", Vec::new());
    tree.push("bufferpools", buffer_pools());
    tree
}

/// The same tree as JSON, where decimal numbers are numbers.
pub fn statistics_json(statistics: &Statistics) -> serde_json::Value {
    let mut tree = statistics_reply(statistics).to_json();
    make_numbers(&mut tree);
    tree
}

fn make_numbers(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                if !matches!(key.as_str(), "name" | "address" | "proxy") {
                    make_numbers(value);
                }
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(make_numbers),
        serde_json::Value::String(text) => {
            if let Ok(number) = text.parse::<i64>() {
                *value = number.into();
            } else if let Ok(number) = text.parse::<f64>() {
                *value = number.into();
            }
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

fn current(statistics: &Statistics) -> Dictionary {
    let census = &statistics.census;
    let mut fields = Dictionary::new();
    fields.push("sessionsown", census.sessions - census.foreign);
    fields.push("sessionsforeign", census.foreign);
    fields.push("sessionstotal", census.sessions);
    fields.push("transcodedmedia", 0u32);
    fields.push("mediacache", 0u32);
    fields.push("playercache", 0u32);
    for (suffix, rate) in by_path(&statistics.rates) {
        fields.push(format!("packetrate{suffix}"), rate.packets);
        fields.push(format!("byterate{suffix}"), rate.bytes);
        fields.push(format!("errorrate{suffix}"), rate.errors);
    }
    fields.push("media_userspace", census.media_userspace);
    fields.push("media_kernel", census.media_kernel);
    fields.push("media_mixed", census.media_mixed);
    fields
}

fn totals(statistics: &Statistics) -> Dictionary {
    let ended = &statistics.ended;
    let mut fields = Dictionary::new();
    fields.push("uptime", statistics.uptime.as_secs().to_string());
    fields.push("managedsessions", ended.calls);
    fields.push("rejectedsessions", ended.rejected);
    fields.push("timeoutsessions", ended.timeout);
    fields.push("silenttimeoutsessions", ended.silent_timeout);
    fields.push("finaltimeoutsessions", ended.final_timeout);
    fields.push("offertimeoutsessions", ended.offer_timeout);
    fields.push("regularterminatedsessions", ended.regular);
    fields.push("forcedterminatedsessions", ended.forced);
    for (suffix, relayed) in by_path(&statistics.relayed) {
        fields.push(format!("relayedpackets{suffix}"), relayed.packets);
        fields.push(format!("relayedpacketerrors{suffix}"), relayed.errors);
        fields.push(format!("relayedbytes{suffix}"), relayed.bytes);
    }
    fields.push("zerowaystreams", ended.zero_way);
    fields.push("onewaystreams", ended.one_way);
    fields.push("avgcallduration", decimal(ended.mean_duration()));
    fields.push("totalcallsduration", seconds(ended.duration));
    fields.push("totalcallsduration2", decimal(ended.duration_squares));
    fields.push("totalcallsduration_stddev", decimal(ended.duration_deviation()));
    fields
}

fn by_path(received: &Received) -> [(&'static str, Counts); 3] {
    [
        ("_user", received.userspace),
        ("_kernel", received.kernel),
        ("", received.total()),
    ]
}

fn control(statistics: &Statistics) -> Dictionary {
    let mut fields = Dictionary::new();
    let proxies = statistics.proxies.iter();
    let proxies: Vec<Value> = proxies
        .map(|(peer, requests)| {
            let mut fields = Dictionary::new();
            fields.push("proxy", peer.to_string());
            push_requests(requests, &mut fields);
            fields.into()
        })
        .collect();
    fields.push("proxies", proxies);
    for kind in RequestKind::all() {
        let count = statistics.requests.of(kind).count;
        fields.push(format!("total{}count", kind.short()), count);
    }
    fields
}

fn push_requests(requests: &Requests, fields: &mut Dictionary) {
    for kind in RequestKind::all() {
        let (short, tally) = (kind.short(), requests.of(kind));
        fields.push(format!("{short}count"), tally.count);
        fields.push(format!("{short}duration"), seconds(tally.duration));
    }
    fields.push("errorcount", requests.errors);
}

fn interface(interface: &InterfaceStatistics) -> Value {
    let mut fields = Dictionary::new();
    fields.push("name", interface.name.as_str());
    fields.push("address", interface.ports.address.to_string());
    fields.push("ports", ports(&interface.ports));
    let Traffic {
        ingress,
        egress,
        reception,
    } = interface.traffic;
    fields.push("packets_lost", reception.lost);
    fields.push("duplicates", reception.duplicates);
    let mut quality = metric("mos", Samples::default());
    quality.0.extend(metrics(&reception).0);
    fields.push("voip_metrics", quality);
    fields.push("ingress", counts(ingress));
    fields.push("egress", counts(egress));
    fields.into()
}

fn ports(usage: &PortUsage) -> Dictionary {
    let mut fields = Dictionary::new();
    fields.push("min", usage.min);
    fields.push("max", usage.max);
    fields.push("used", usage.used);
    fields.push("used_pct", format!("{:.2}", usage.percentage()));
    fields.push("free", usage.total - usage.used);
    fields.push("totals", usage.total);
    fields
}

fn counts(counts: Counts) -> Dictionary {
    let mut fields = Dictionary::new();
    fields.push("packets", counts.packets);
    fields.push("bytes", counts.bytes);
    fields.push("errors", counts.errors);
    fields
}

fn voip_metrics(reception: &Reception) -> Dictionary {
    let mut fields = metrics(reception);
    fields.push("packets_lost", reception.lost);
    fields.push("rtp_duplicates", reception.duplicates);
    fields.push("rtp_skips", 0u32);
    fields.push("rtp_seq_resets", 0u32);
    fields.push("rtp_reordered", reception.reordered);
    fields
}

/// What RTCP would tell is not looked into; what the packets say themselves is.
fn metrics(reception: &Reception) -> Dictionary {
    let unknown = ["jitter", "rtt_e2e", "rtt_dsct", "packetloss"].map(|name| (name, Samples::default()));
    let known = [("jitter_measured", reception.jitter)];
    let all = unknown.into_iter().chain(known);
    Dictionary(all.flat_map(|(name, samples)| metric(name, samples).0).collect())
}

fn metric(name: &str, samples: Samples) -> Dictionary {
    let mut fields = Dictionary::new();
    fields.push(format!("{name}_total"), decimal(samples.sum));
    fields.push(format!("{name}2_total"), decimal(samples.squares));
    fields.push(format!("{name}_samples_total"), samples.count);
    fields.push(format!("{name}_average"), decimal(samples.mean()));
    fields.push(format!("{name}_stddev"), decimal(samples.deviation()));
    fields
}

/// Pools of the reference's memory management, of which there are none.
fn buffer_pools() -> Dictionary {
    let mut pools = Dictionary::new();
    for name in ["main", "shared", "static"] {
        let mut pool = Dictionary::new();
        pool.push("num_shards", 0u32);
        pool.push("shards", Vec::new());
        pools.push(name, pool);
    }
    pools
}

fn seconds(duration: Duration) -> String {
    decimal(duration.as_secs_f64())
}

fn decimal(number: f64) -> String {
    format!("{number:.6}")
}
