//! Measures the kernel path on this machine, each thing beside what it is compared with, and prints the ratios.
//!
//! `kernel-bench [--rounds N] [--seconds S] [--call-seconds S] [--plots FOLDER] [--json]`, as root; wants two
//! processors, and `rtpengine` to compare with.

mod follow;
mod load;
mod pipeline;
mod plot;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use relay_tests::rounds::median;
use serde_json::{Value, json};

use self::follow::Followed;
use self::load::{Load, System};
use self::pipeline::{Pipeline, Stage};

/// Numbers of flows among which the program must not slow down.
const FLOWS: [u32; 4] = [100, 1000, 10_000, 30_000];

/// The number of flows at which the program is compared with a bare redirect.
const MANY: u32 = 10_000;

struct Options {
    rounds: usize,
    seconds: u64,
    call_seconds: u64,
    plots: Option<PathBuf>,
    json: bool,
}

/// Nanoseconds a frame, of every round.
struct Rounds {
    drop: Vec<f64>,
    bare: Vec<f64>,
    relay: Vec<(u32, Vec<f64>)>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    load::on_first_processor()?;
    eprintln!("frames through the program");
    // On a thread of its own, as it stays in its namespace.
    let rounds = std::thread::spawn(move || Rounds::measure(options.rounds))
        .join()
        .map_err(|_| anyhow::anyhow!("the pipeline panicked"))??;
    let mut loads = Vec::new();
    for system in System::ALL {
        eprintln!("{} flows through {}", load::FLOWS, system.name());
        loads.push((
            system,
            load::measure(system, Duration::from_secs(options.seconds))?,
        ));
    }
    eprintln!("calls and a changing network");
    let followed = Followed::measure(Duration::from_secs(options.call_seconds))?;
    if let Some(folder) = &options.plots {
        plot::growth(
            &folder.join("bench-flows.svg"),
            &rounds.relay,
            median(&rounds.bare),
        )?;
        plot::latency(&folder.join("bench-latency.svg"), &loads)?;
    }
    let summary = summary(&rounds, &loads, &followed);
    if options.json {
        println!("{summary:#}");
    } else {
        print(&summary);
    }
    Ok(())
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Options> {
        let mut options = Options {
            rounds: 30,
            seconds: 10,
            call_seconds: 60,
            plots: None,
            json: false,
        };
        while let Some(name) = arguments.next() {
            if name == "--json" {
                options.json = true;
                continue;
            }
            let value = arguments
                .next()
                .with_context(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--rounds" => options.rounds = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--call-seconds" => options.call_seconds = value.parse()?,
                "--plots" => options.plots = Some(value.into()),
                _ => bail!("unknown option {name}"),
            }
        }
        Ok(options)
    }
}

impl Rounds {
    /// Everything in turn, in every round.
    fn measure(rounds: usize) -> anyhow::Result<Rounds> {
        let mut pipeline = Pipeline::open(FLOWS[FLOWS.len() - 1])?;
        let mut all = Rounds {
            drop: Vec::new(),
            bare: Vec::new(),
            relay: FLOWS.map(|flows| (flows, Vec::new())).to_vec(),
        };
        // The first one only warms up.
        for round in 0..=rounds {
            let drop = pipeline.nanoseconds(Stage::Drop, MANY)?;
            let bare = pipeline.nanoseconds(Stage::Bare, MANY)?;
            if round > 0 {
                all.drop.push(drop);
                all.bare.push(bare);
            }
            for (flows, times) in &mut all.relay {
                let time = pipeline.nanoseconds(Stage::Relay, *flows)?;
                if round > 0 {
                    times.push(time);
                }
            }
        }
        Ok(all)
    }

    fn relay(&self, flows: u32) -> &[f64] {
        let found = self.relay.iter().find(|(of, _)| *of == flows);
        found.map_or(&[], |(_, times)| times)
    }
}

fn summary(rounds: &Rounds, loads: &[(System, Load)], followed: &Followed) -> Value {
    let drop = median(&rounds.drop);
    let relay = median(rounds.relay(MANY));
    let reference = loads
        .iter()
        .find(|(system, _)| *system == System::Reference)
        .map_or(f64::NAN, |(_, load)| load.processor_per_packet());
    let growth = rounds.relay.iter().map(|(_, times)| median(times));
    let (least, most) = growth.fold((f64::MAX, f64::MIN), |(least, most), time| {
        (least.min(time), most.max(time))
    });
    let per_flows = rounds.relay.iter();
    json!({
        "rounds": rounds.drop.len(),
        "drop": spread(&rounds.drop),
        "bare": spread(&rounds.bare),
        "relay": per_flows.map(|(flows, times)| (flows.to_string(), spread(times))).collect::<serde_json::Map<_, _>>(),
        "load": loads.iter().map(|(system, load)| (system.name().to_owned(), load.json())).collect::<serde_json::Map<_, _>>(),
        "calls": followed.json(),
        "ratios": {
            "rate_of_bare_redirect": median(&rounds.bare) / relay,
            "ns_over_bare_redirect": relay - median(&rounds.bare),
            "ns_per_packet": relay - drop,
            "reference_cpu_per_packet_over_ours": reference / (relay - drop),
            "slowest_over_fastest_by_flows": most / least,
            "slowest_over_fastest_less_generator": (most - drop) / (least - drop),
        },
    })
}

/// Median, least and most, nanoseconds a frame.
fn spread(times: &[f64]) -> Value {
    let (least, most) = times.iter().fold((f64::MAX, f64::MIN), |(least, most), time| {
        (least.min(*time), most.max(*time))
    });
    json!({"median_ns": round(median(times)), "least_ns": round(least), "most_ns": round(most)})
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn print(summary: &Value) {
    let times = |name: &str, of: &Value| {
        println!(
            "{name:<32} {:>7} ns a frame ({} to {})",
            of["median_ns"], of["least_ns"], of["most_ns"]
        );
    };
    times("generator into a drop", &summary["drop"]);
    times("bare redirect, 10,000 flows", &summary["bare"]);
    for flows in FLOWS {
        times(
            &format!("full relay, {flows} flows"),
            &summary["relay"][flows.to_string()],
        );
    }
    for system in System::ALL {
        let load = &summary["load"][system.name()];
        let number = |value: &Value| round(value.as_f64().unwrap_or(f64::NAN));
        let latency = &load["latency_us"];
        println!(
            "{:<32} {:>7} ns of CPU a packet; latency p50 {}, p99 {}, p99.9 {} us; {} of {} lost",
            format!("1,000 flows x 50/s, {}", system.name()),
            number(&load["cpu_ns_per_packet"]),
            number(&latency["p50"]),
            number(&latency["p99"]),
            number(&latency["p999"]),
            load["lost"],
            load["sent"],
        );
    }
    let calls = &summary["calls"];
    let share = calls["kernel_share"].as_f64().unwrap_or(f64::NAN) * 100.0;
    println!("share of a call in the kernel: {share:.2} %");
    println!(
        "first packet to offload: median {} ms, worst {} ms",
        calls["ms_to_offload"]["median"], calls["ms_to_offload"]["worst"]
    );
    println!(
        "receiver's MAC changed: {} ms lost",
        calls["mac_change"]["lost_ms"]
    );
    println!(
        "route changed: {} ms lost, new route taken after {} ms",
        calls["route_change"]["lost_ms"], calls["route_change"]["until_new_route_ms"],
    );
    let ratios = &summary["ratios"];
    let ratio = |name: &str| ratios[name].as_f64().unwrap_or(f64::NAN);
    println!(
        "ratio: full relay at {:.3} of a bare redirect's rate ({:.0} ns more)",
        ratio("rate_of_bare_redirect"),
        ratio("ns_over_bare_redirect")
    );
    println!(
        "ratio: {:.0} ns a packet, 1/{:.0} of rtpengine's CPU a packet",
        ratio("ns_per_packet"),
        ratio("reference_cpu_per_packet_over_ours")
    );
    println!(
        "ratio: slowest over fastest of 100 to 30,000 flows: {:.2} ({:.2} less the generator's time)",
        ratio("slowest_over_fastest_by_flows"),
        ratio("slowest_over_fastest_less_generator")
    );
}
