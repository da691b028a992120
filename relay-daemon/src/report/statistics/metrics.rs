//! The daemon in numbers, for Prometheus.

use std::fmt::Display;

use super::super::Samples;
use super::exposition::Page;
use super::{Counts, InterfaceStatistics, RequestKind, Statistics};
use crate::ports::PortUsage;

/// All metrics. Those that begin with `rtpengine_` have the names and meanings that dashboards for the reference
/// expect; those with `relay_` are our own.
pub fn metrics(statistics: &Statistics) -> String {
    let mut page = Page::default();
    sessions(statistics, &mut page);
    relayed(statistics, &mut page);
    quality(statistics, &mut page);
    requests(statistics, &mut page);
    interfaces(statistics, &mut page);
    kernel(statistics, &mut page);
    userspace(statistics, &mut page);
    page.text()
}

fn sessions(statistics: &Statistics, page: &mut Page) {
    let (census, ended) = (&statistics.census, &statistics.ended);
    page.gauge("rtpengine_sessions", "Calls at the moment").labelled(
        "type",
        [
            ("own", census.sessions - census.foreign),
            ("foreign", census.foreign),
        ],
    );
    page.counter("rtpengine_sessions_total", "Calls that have ended")
        .value(ended.calls);
    page.counter(
        "rtpengine_closed_sessions_total",
        "Calls that have ended or were refused, by reason",
    )
    .labelled(
        "reason",
        [
            ("rejected", ended.rejected),
            ("timeout", ended.timeout),
            ("silent_timeout", ended.silent_timeout),
            ("final_timeout", ended.final_timeout),
            ("offer_timeout", ended.offer_timeout),
            ("terminated", ended.regular),
            ("force_terminated", ended.forced),
        ],
    );
    page.gauge(
        "rtpengine_transcoded_media",
        "Media that are transcoded at the moment",
    )
    .value(0);
    page.gauge("rtpengine_media_cache", "Media files in memory")
        .value(0);
    page.gauge("rtpengine_player_cache", "Encoded media files in memory")
        .value(0);
    page.gauge(
        "rtpengine_mediastreams",
        "Media at the moment, by where they are relayed",
    )
    .labelled(
        "type",
        [
            ("userspace", census.media_userspace),
            ("kernel", census.media_kernel),
            ("mixed", census.media_mixed),
        ],
    );
    page.gauge("rtpengine_uptime_seconds", "Time since the start")
        .value(statistics.uptime.as_secs());
    page.gauge(
        "rtpengine_call_duration_avg",
        "Mean duration of calls that have ended, seconds",
    )
    .value(ended.mean_duration());
    page.counter(
        "rtpengine_call_duration_total",
        "Duration of calls that have ended, seconds",
    )
    .value(ended.duration.as_secs_f64());
    page.counter(
        "rtpengine_call_duration2_total",
        "Squares of these durations, seconds squared",
    )
    .value(ended.duration_squares);
    page.counter("rtpengine_zero_packet_streams_total", "Media that nobody sent")
        .value(ended.zero_way);
    page.counter(
        "rtpengine_one_way_sessions_total",
        "Media that only one side sent",
    )
    .value(ended.one_way);
}

fn relayed(statistics: &Statistics, page: &mut Page) {
    let by_path = |of: fn(&Counts) -> u64| {
        let relayed = &statistics.relayed;
        [
            ("userspace", of(&relayed.userspace)),
            ("kernel", of(&relayed.kernel)),
        ]
    };
    page.counter("rtpengine_packets_total", "Packets received")
        .labelled("type", by_path(|counts| counts.packets));
    page.counter(
        "rtpengine_packet_errors_total",
        "Packets received that could not be relayed",
    )
    .labelled("type", by_path(|counts| counts.errors));
    page.counter("rtpengine_bytes_total", "UDP payload bytes received")
        .labelled("type", by_path(|counts| counts.bytes));
}

/// What RTCP would tell is not looked into; what the packets say themselves is.
fn quality(statistics: &Statistics, page: &mut Page) {
    let reception = &statistics.reception;
    for name in METRICS {
        let samples = match name {
            "jitter_measured" => reception.jitter,
            _ => Samples::default(),
        };
        for (suffix, what, value) in sums(samples) {
            page.counter(
                &format!("rtpengine_{name}{suffix}_total"),
                &format!("{what} of the samples of {name}"),
            )
            .value(value);
        }
    }
    for (name, value) in [
        ("packets_lost", reception.lost),
        ("rtp_duplicates", reception.duplicates),
        ("rtp_skips", 0),
        ("rtp_seq_resets", 0),
        ("rtp_reordered", reception.reordered),
    ] {
        page.counter(&format!("rtpengine_{name}"), "RTP packets, as the name says")
            .value(value);
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 samples")]
fn sums(samples: Samples) -> [(&'static str, &'static str, f64); 3] {
    [
        ("", "Sum", samples.sum),
        ("2", "Sum of squares", samples.squares),
        ("_samples", "Number", samples.count as f64),
    ]
}

const METRICS: [&str; 6] = [
    "mos",
    "jitter",
    "rtt_e2e",
    "rtt_dsct",
    "packetloss",
    "jitter_measured",
];

fn requests(statistics: &Statistics, page: &mut Page) {
    let proxies = &statistics.proxies;
    let tallies = || {
        proxies.iter().flat_map(|(peer, requests)| {
            let kinds = RequestKind::all().map(|kind| (kind.name(), requests.of(kind)));
            kinds
                .filter(|(_, tally)| tally.count > 0)
                .map(move |(name, tally)| (peer, name, tally))
        })
    };
    let mut counts = page.counter(
        "rtpengine_requests_total",
        "Requests, by control peer and command",
    );
    for (peer, name, tally) in tallies() {
        counts.sample(&[("proxy", peer), ("request", &name)], tally.count);
    }
    let mut durations = page.counter("rtpengine_request_seconds_total", "How long they took");
    for (peer, name, tally) in tallies() {
        durations.sample(
            &[("proxy", peer), ("request", &name)],
            tally.duration.as_secs_f64(),
        );
    }
    let mut errors = page.counter(
        "rtpengine_errors_total",
        "Requests that were refused, by control peer",
    );
    for (peer, requests) in proxies {
        errors.sample(&[("proxy", peer)], requests.errors);
    }
}

fn interfaces(statistics: &Statistics, page: &mut Page) {
    let interfaces = &statistics.interfaces;
    type OfPorts = fn(&PortUsage) -> usize;
    type OfCounts = fn(&Counts) -> u64;
    let ports: [(&str, &str, OfPorts); 3] = [
        ("rtpengine_ports_used", "Media ports in use", |ports| ports.used),
        ("rtpengine_ports_free", "Media ports that are free", |ports| {
            ports.total - ports.used
        }),
        ("rtpengine_ports", "All media ports", |ports| ports.total),
    ];
    for (name, help, of) in ports {
        let mut family = page.gauge(name, help);
        for interface in interfaces {
            family.sample(&interface.labels(), of(&interface.ports));
        }
    }
    let traffic: [(&str, &str, OfCounts); 3] = [
        ("rtpengine_interface_packets", "Packets", |counts| counts.packets),
        ("rtpengine_interface_bytes", "UDP payload bytes", |counts| {
            counts.bytes
        }),
        (
            "rtpengine_interface_errors",
            "Packets that could not be relayed",
            |counts| counts.errors,
        ),
    ];
    for (name, help, of) in traffic {
        let mut family = page.gauge(name, help);
        for interface in interfaces {
            let [of_name, of_address] = interface.labels();
            for (direction, counts) in [
                ("ingress", interface.traffic.ingress),
                ("egress", interface.traffic.egress),
            ] {
                family.sample(&[of_name, of_address, ("direction", &direction)], of(&counts));
            }
        }
    }
    for name in ["interface_packets_lost", "interface_duplicates"] {
        let mut family = page.counter(&format!("rtpengine_{name}"), "RTP packets, as the name says");
        for interface in interfaces {
            family.sample(&interface.labels(), 0);
        }
    }
    for metric in METRICS {
        for suffix in ["_total", "2_total", "_samples_total"] {
            let name = format!("rtpengine_interface_{metric}{suffix}");
            let mut family = page.counter(&name, "As without the interface");
            for interface in interfaces {
                family.sample(&interface.labels(), 0);
            }
        }
    }
}

fn kernel(statistics: &Statistics, page: &mut Page) {
    page.gauge(
        "relay_flows_kernel",
        "RTP flows that the XDP program relays, one for each direction",
    )
    .value(statistics.census.flows_kernel);
    page.gauge("relay_flows_userspace", "RTP flows that a worker relays, and why")
        .labelled(
            "reason",
            statistics
                .census
                .flows_userspace()
                .map(|(reason, count)| (reason.as_str(), count)),
        );
    page.counter(
        "relay_xdp_passed_total",
        "Packets that the XDP program passed to userspace, and why",
    )
    .labelled(
        "reason",
        statistics
            .kernel
            .passes()
            .map(|(reason, count)| (reason.as_str(), count)),
    );
    page.counter(
        "relay_xdp_dropped_total",
        "Packets that the XDP program dropped, or a worker for the same reasons, and why; without blocked media",
    )
    .labelled(
        "reason",
        statistics
            .kernel
            .drops()
            .map(|(reason, count)| (reason.as_str(), count)),
    );
    let mut attached = page.gauge(
        "relay_xdp_attached",
        "Devices that the XDP program is attached to",
    );
    for attachment in &statistics.kernel.attachments {
        attached.sample(
            &[("device", &attachment.interface), ("mode", &attachment.mode)],
            1,
        );
    }
}

fn userspace(statistics: &Statistics, page: &mut Page) {
    let delays = &statistics.delays;
    page.gauge(
        "relay_packet_delay_seconds",
        "How long packets took through userspace in the last ten seconds, from their arrival until they were sent",
    )
    .labelled(
        "quantile",
        [("0.5", delays.median), ("0.99", delays.p99), ("1", delays.longest)]
            .map(|(quantile, delay)| (quantile, delay.as_secs_f64())),
    );
    page.gauge("relay_packet_delay_packets", "How many packets that is of")
        .value(delays.packets);
}

impl InterfaceStatistics {
    fn labels(&self) -> [(&'static str, &dyn Display); 2] {
        [("name", &self.name), ("address", &self.ports.address)]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use super::super::{Ledger, Traffic};
    use super::*;
    use crate::clock::Time;
    use crate::plan::{Path, UserspaceReason};

    fn statistics() -> Statistics {
        let mut ledger = Ledger::new(Time(0));
        let peer = "192.0.2.5".parse().unwrap();
        ledger.request_arrived(peer);
        ledger.request_answered(peer, RequestKind::of("offer"), false, Duration::from_millis(1500));
        ledger.request_answered(peer, RequestKind::of("play media"), true, Duration::ZERO);
        let proxies = ledger.proxies();
        let mut statistics = Statistics {
            uptime: Duration::from_secs(90),
            requests: ledger.requests().clone(),
            proxies: proxies.map(|(peer, requests)| (peer, requests.clone())).collect(),
            interfaces: vec![InterfaceStatistics {
                name: "pub".to_owned(),
                ports: PortUsage {
                    address: "203.0.113.1".parse().unwrap(),
                    min: 30000,
                    max: 30009,
                    used: 4,
                    total: 10,
                },
                traffic: Traffic::default(),
            }],
            ..Statistics::default()
        };
        statistics.relayed.kernel.packets = 17;
        statistics.census.sessions = 3;
        statistics.delays.p99 = Duration::from_millis(2);
        statistics.census.add_flow(Path::Kernel);
        statistics
            .census
            .add_flow(Path::Userspace(UserspaceReason::Learning));
        statistics
    }

    /// The samples by name with labels. Every rule of the format that can be broken is checked.
    fn samples(page: &str) -> BTreeMap<String, f64> {
        let mut samples = BTreeMap::new();
        let (mut families, mut family) = (BTreeSet::new(), "");
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split(' ').next().unwrap();
                assert!(families.insert(family), "{family} is there twice");
                continue;
            }
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, family);
                assert!(["counter", "gauge"].contains(&kind));
                continue;
            }
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next(), Some(family));
            let earlier = samples.insert(name.to_owned(), value.parse().unwrap());
            assert_eq!(earlier, None, "{name} is there twice");
        }
        assert!(page.ends_with('\n'));
        samples
    }

    #[test]
    fn the_page_is_well_formed_and_has_the_names_of_the_reference() {
        let page = metrics(&statistics());
        let samples = samples(&page);
        for (name, value) in [
            ("rtpengine_sessions{type=\"own\"}", 3.0),
            ("rtpengine_sessions{type=\"foreign\"}", 0.0),
            ("rtpengine_sessions_total", 0.0),
            ("rtpengine_closed_sessions_total{reason=\"silent_timeout\"}", 0.0),
            ("rtpengine_mediastreams{type=\"mixed\"}", 0.0),
            ("rtpengine_uptime_seconds", 90.0),
            ("rtpengine_call_duration_avg", 0.0),
            ("rtpengine_packets_total{type=\"kernel\"}", 17.0),
            ("rtpengine_jitter_measured2_total", 0.0),
            ("rtpengine_mos_samples_total", 0.0),
            ("rtpengine_rtp_reordered", 0.0),
            (
                "rtpengine_requests_total{proxy=\"192.0.2.5\",request=\"offer\"}",
                1.0,
            ),
            (
                "rtpengine_request_seconds_total{proxy=\"192.0.2.5\",request=\"offer\"}",
                1.5,
            ),
            (
                "rtpengine_requests_total{proxy=\"192.0.2.5\",request=\"play media\"}",
                1.0,
            ),
            ("rtpengine_errors_total{proxy=\"192.0.2.5\"}", 1.0),
            ("rtpengine_ports_free{name=\"pub\",address=\"203.0.113.1\"}", 6.0),
            (
                "rtpengine_interface_bytes{name=\"pub\",address=\"203.0.113.1\",direction=\"egress\"}",
                0.0,
            ),
            (
                "rtpengine_interface_mos2_total{name=\"pub\",address=\"203.0.113.1\"}",
                0.0,
            ),
            ("relay_packet_delay_seconds{quantile=\"0.99\"}", 0.002),
            ("relay_packet_delay_packets", 0.0),
            ("relay_flows_kernel", 1.0),
            ("relay_flows_userspace{reason=\"source not settled\"}", 1.0),
            ("relay_xdp_passed_total{reason=\"not RTP\"}", 0.0),
            ("relay_xdp_dropped_total{reason=\"port limit\"}", 0.0),
        ] {
            assert_eq!(samples.get(name), Some(&value), "{name}");
        }
    }
}
