//! The daemon in numbers.

use std::fmt::{Display, Write};
use std::net::IpAddr;

use crate::report::{
    Census, Counts, InterfaceStatistics, Received, Reception, RequestKind, Samples, Statistics,
};

/// How many calls there are.
pub(crate) fn num_sessions(census: &Census) -> String {
    let Census {
        sessions,
        ipv4_only,
        ipv6_only,
        ip_mixed,
        ..
    } = census;
    format!(
        "Current sessions own: {sessions}\nCurrent sessions foreign: 0\nCurrent sessions total: {sessions}\n\
         Current transcoded media: 0\nCurrent sessions ipv4 only media: {ipv4_only}\n\
         Current sessions ipv6 only media: {ipv6_only}\nCurrent sessions ip mixed  media: {ip_mixed}\n"
    )
}

/// What is relayed in a second.
pub(crate) fn counters(rates: &Received) -> String {
    let mut lines = Lines::default();
    lines.rates(rates);
    lines.0
}

/// Everything.
pub(crate) fn totals(statistics: &Statistics) -> String {
    let mut lines = Lines::default();
    current(statistics, &mut lines);
    ended(statistics, &mut lines);
    quality(&statistics.reception, &mut lines);
    control(statistics, &mut lines);
    lines.0
}

fn current(statistics: &Statistics, lines: &mut Lines) {
    let census = &statistics.census;
    lines.heading("Statistics over currently running sessions:");
    lines.line("Owned sessions", census.sessions);
    lines.line("Foreign sessions", 0);
    lines.line("Total sessions", census.sessions);
    lines.line("Transcoded media", 0);
    lines.rates(&statistics.rates);
    lines.line("Userspace-only media streams", census.media_userspace);
    lines.line("Kernel-only media streams", census.media_kernel);
    lines.line("Mixed kernel/userspace media streams", census.media_mixed);
}

fn ended(statistics: &Statistics, lines: &mut Lines) {
    let ended = &statistics.ended;
    lines.heading("Total statistics (does not include current running sessions):");
    lines.line(
        "Uptime of rtpengine",
        format_args!("{} seconds", statistics.uptime.as_secs()),
    );
    lines.line("Total managed sessions", ended.calls);
    lines.line("Total rejected sessions", ended.rejected);
    lines.line("Total timed-out sessions via TIMEOUT", ended.timeout);
    lines.line(
        "Total timed-out sessions via SILENT_TIMEOUT",
        ended.silent_timeout,
    );
    lines.line("Total timed-out sessions via FINAL_TIMEOUT", ended.final_timeout);
    lines.line("Total timed-out sessions via OFFER_TIMEOUT", ended.offer_timeout);
    lines.line("Total regular terminated sessions", ended.regular);
    lines.line("Total forced terminated sessions", ended.forced);
    for (place, relayed) in by_path(&statistics.relayed, "") {
        lines.line(&format!("Total relayed packets{place}"), relayed.packets);
        lines.line(&format!("Total relayed packet errors{place}"), relayed.errors);
        lines.line(&format!("Total relayed bytes{place}"), relayed.bytes);
    }
    lines.line("Total number of streams with no relayed packets", ended.zero_way);
    lines.line("Total number of 1-way streams", ended.one_way);
    lines.line("Average call duration", decimal(ended.mean_duration()));
    lines.line("Total calls duration", decimal(ended.duration.as_secs_f64()));
    lines.line(
        "Total calls duration standard deviation",
        decimal(ended.duration_deviation()),
    );
}

/// What RTCP would tell is not looked into; what the packets say themselves is.
fn quality(reception: &Reception, lines: &mut Lines) {
    let metric = |lines: &mut Lines, name: &str, samples: Samples| {
        lines.line(&format!("Sum of all {name} values sampled"), decimal(samples.sum));
        lines.line(
            &format!("Sum of all square {name} values sampled"),
            decimal(samples.squares),
        );
        lines.line(&format!("Total number of {name} samples"), samples.count);
        lines.line(&format!("Average {name}"), decimal(samples.mean()));
        lines.line(
            &format!("{name} standard deviation"),
            decimal(samples.deviation()),
        );
    };
    lines.heading("MOS statistics:");
    metric(lines, "MOS", Samples::default());
    lines.heading("VoIP metrics:");
    for name in [
        "jitter (reported)",
        "end-to-end round-trip time",
        "discrete round-trip time",
        "packet loss",
    ] {
        metric(lines, name, Samples::default());
    }
    metric(lines, "jitter (measured)", reception.jitter);
    for (name, count) in [
        ("Packets lost", reception.lost),
        ("RTP duplicates", reception.duplicates),
        ("RTP skips", 0),
        ("RTP seq resets", 0),
        ("RTP reordered", reception.reordered),
    ] {
        lines.line(name, count);
    }
}

/// A table: a row for each control peer, and the sums.
fn control(statistics: &Statistics, lines: &mut Lines) {
    lines.heading("Control statistics:");
    let text = &mut lines.0;
    let _ = write!(text, " {:>40}", "Proxy");
    for kind in RequestKind::all() {
        let _ = write!(text, " | {:>9}", kind.short());
    }
    text.push('\n');
    let rows = statistics
        .proxies
        .iter()
        .map(|(peer, requests)| (peer.to_string(), requests));
    for (name, requests) in rows.chain([("Total".to_owned(), &statistics.requests)]) {
        let _ = write!(text, " {name:>40}");
        for kind in RequestKind::all() {
            let _ = write!(text, " | {:>9}", requests.of(kind).count);
        }
        text.push('\n');
    }
}

/// Interfaces with their ports and traffic.
pub(crate) fn interfaces(interfaces: &[InterfaceStatistics]) -> String {
    let mut text = String::new();
    for interface in interfaces {
        let ports = &interface.ports;
        let family = match ports.address {
            IpAddr::V4(_) => "IPv4",
            IpAddr::V6(_) => "IPv6",
        };
        let counts = |counts: Counts| format!("{} / {} / {}", counts.packets, counts.bytes, counts.errors);
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "Interface '{}' address '{}' ({family})\n Port range: {} - {}\n Ports used: {} / {} ({:5.1}%)\n \
             Packets/bytes/errors:\n  Ingress: {}\n  Egress:  {}\n Packets lost/duplicates: {} / {}\n MOS: 0.0\n \
             Jitter: {:.1}\n RTT: 0.0\n",
            interface.name,
            ports.address,
            ports.min,
            ports.max,
            ports.used,
            ports.total,
            ports.percentage(),
            counts(interface.traffic.ingress),
            counts(interface.traffic.egress),
            interface.traffic.reception.lost,
            interface.traffic.reception.duplicates,
            interface.traffic.reception.jitter.mean(),
        );
    }
    text
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn heading(&mut self, text: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{text}\n");
    }

    fn line(&mut self, label: &str, value: impl Display) {
        let _ = writeln!(self.0, " {label:<48}:{value}");
    }

    fn rates(&mut self, rates: &Received) {
        for (place, rate) in by_path(rates, " (total)") {
            self.line(&format!("Packets per second{place}"), rate.packets);
            self.line(&format!("Bytes per second{place}"), rate.bytes);
            self.line(&format!("Errors per second{place}"), rate.errors);
        }
    }
}

fn by_path(received: &Received, both: &'static str) -> [(&'static str, Counts); 3] {
    [
        (" (userspace)", received.userspace),
        (" (kernel)", received.kernel),
        (both, received.total()),
    ]
}

fn decimal(number: f64) -> String {
    format!("{number:.6}")
}
