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
        foreign,
        ipv4_only,
        ipv6_only,
        ip_mixed,
        ..
    } = census;
    let own = sessions - foreign;
    format!(
        "Current sessions own: {own}\nCurrent sessions foreign: {foreign}\nCurrent sessions total: {sessions}\n\
         Current transcoded media: 0\nCurrent sessions ipv4 only media: {ipv4_only}\n\
         Current sessions ipv6 only media: {ipv6_only}\nCurrent sessions ip mixed  media: {ip_mixed}\n"
    )
}

/// What is relayed in a second.
pub(crate) fn counters(rates: &Received) -> String {
    let mut lines = Lines::default();
    lines.heading("Current per-second counters:");
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
    for interface in &statistics.interfaces {
        let name = format!("{}/{}", interface.name, interface.ports.address);
        let _ = writeln!(lines.0, "VoIP metrics for interface {name}:");
        metric("MOS", Samples::default(), &mut lines);
        metrics(&interface.traffic.reception, &mut lines);
    }
    lines.0
}

fn current(statistics: &Statistics, lines: &mut Lines) {
    let census = &statistics.census;
    lines.heading("Statistics over currently running sessions:");
    lines.line("Owned sessions", census.sessions - census.foreign);
    lines.line("Foreign sessions", census.foreign);
    lines.line("Total sessions", census.sessions);
    lines.line("Transcoded media", 0);
    lines.line("Media cache size", 0);
    lines.line("Player cache size", 0);
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
    for (label, value, unit) in [
        ("Average call duration", ended.mean_duration(), "seconds"),
        ("Total calls duration", ended.duration.as_secs_f64(), "seconds"),
        (
            "Total calls duration squared",
            ended.duration_squares,
            "seconds squared",
        ),
        (
            "Total calls duration standard deviation",
            ended.duration_deviation(),
            "seconds",
        ),
    ] {
        lines.line(label, format_args!("{} {unit}", decimal(value)));
    }
    lines.0.push('\n');
}

/// What RTCP would tell is not looked into; what the packets say themselves is.
fn quality(reception: &Reception, lines: &mut Lines) {
    lines.heading("MOS statistics:");
    metric("MOS", Samples::default(), lines);
    lines.0.push('\n');
    lines.heading("VoIP metrics:");
    metrics(reception, lines);
    for (name, count) in [
        ("Packets lost", reception.lost),
        ("Duplicate RTP packets", reception.duplicates),
        ("RTP sequence skips", 0),
        ("RTP sequence resets", 0),
        ("Out-of-order RTP packets", reception.reordered),
    ] {
        lines.line(name, count);
    }
    lines.0.push('\n');
}

fn metrics(reception: &Reception, lines: &mut Lines) {
    for name in [
        "jitter (reported)",
        "end-to-end round-trip time",
        "discrete round-trip time",
        "packet loss",
    ] {
        metric(name, Samples::default(), lines);
    }
    metric("jitter (measured)", reception.jitter, lines);
}

fn metric(name: &str, samples: Samples, lines: &mut Lines) {
    lines.line(&format!("Sum of all {name} values sampled"), decimal(samples.sum));
    lines.line(
        &format!("Sum of all {name} square values sampled"),
        decimal(samples.squares),
    );
    lines.line(&format!("Total number of {name} samples"), samples.count);
    lines.line(&format!("Average {name}"), decimal(samples.mean()));
    lines.line(
        &format!("{name} standard deviation"),
        decimal(samples.deviation()),
    );
}

/// A table with a row for each control peer.
fn control(statistics: &Statistics, lines: &mut Lines) {
    lines.heading("Control statistics:");
    let text = &mut lines.0;
    let _ = write!(text, " {:>20} ", "Proxy");
    for kind in RequestKind::all() {
        let _ = write!(text, "| {:>10} ", kind.title());
    }
    text.push('\n');
    for (peer, requests) in &statistics.proxies {
        let _ = write!(text, " {:>20} ", peer.to_string());
        for kind in RequestKind::all() {
            let _ = write!(text, "| {:>10} ", requests.of(kind).count);
        }
        text.push('\n');
    }
    text.push_str("\n\n");
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
        let traffic = &interface.traffic;
        let counts = |Counts {
                          packets,
                          bytes,
                          errors,
                      }| format!("{packets:>10} / {bytes:>10} / {errors:>10}");
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "Interface '{}' address '{}' ({family})\n Port range: {} - {}\n Ports used: {:>5} / {:>5} ({:5.1}%)\n \
             Packets/bytes/errors:\n  Ingress:   {}\n  Egress:    {}\n Packets lost/duplicates: {:>10} / {:>10}\n \
             MOS:    avg -nan, packet loss avg -nan%\n Jitter: avg -nan (measured {})\n RTT:    e2e -nan, dsct -nan\n",
            interface.name,
            ports.address,
            ports.min,
            ports.max,
            ports.used,
            ports.total,
            ports.percentage(),
            counts(traffic.ingress),
            counts(traffic.egress),
            traffic.reception.lost,
            traffic.reception.duplicates,
            mean(traffic.reception.jitter),
        );
    }
    text
}

/// What the reference writes for the mean of nothing is followed.
fn mean(samples: Samples) -> String {
    match samples.count {
        0 => "-nan".to_owned(),
        _ => format!("{:.1}", samples.mean()),
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn heading(&mut self, text: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "\n{text}\n");
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
