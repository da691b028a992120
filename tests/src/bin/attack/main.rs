//! Attacks on the media ports of a daemon, and what they cost others: `scripts/attack.sh`.
//!
//! ```text
//! attacker 10.66.0.2 ── caller 10.9.1.2 ── relay ── callee 10.9.2.2
//! ```
//!
//! The attacker has an address of its own, from where it knows all ports. Calls go on in both directions at 50 packets a
//! second while it attacks one of them, in the kernel and in userspace. What is printed of each attack: packets that it sent,
//! what the other calls lost, what the victim lost meanwhile and after a second of peace, how long after the end of the attack
//! it lost its last packet, how many packets of the attacker reached a party, and how many of a party's reached the attacker.
//!
//! What a flood costs others in the kernel is compared with what the same flood costs where `XDP_DROP` is all that becomes of it
//! (`drop`): the machine has to make it and to receive it, whatever the relay does.

mod decoy;

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use relay_tests::call::{Audio, Call, Told};
use relay_tests::daemon::{Control, Daemon, SERVER};
use relay_tests::lab::Lab;
use relay_tests::netns::{Namespace, connect};
use relay_tests::packets::rtp;

use self::decoy::Decoy;

/// Calls; the first one is the victim.
const CALLS: u16 = 10;

/// The media ports of the daemon.
const PORTS: (u16, u16) = (30_000, 30_399);

/// Between two packets of a stream.
const PACE: Duration = Duration::from_millis(20);

/// RTP payload of genuine packets, bytes; that of the attacker has another length.
const GENUINE: usize = 160;
const FORGED: usize = 100;

/// The share of their packets that others may lose while an attack goes on; if it is a flood, beyond what it costs anyhow.
const TOLERATED: f64 = 0.001;

/// How soon after the attack the victim must have its packets again.
const RECOVERY: Duration = Duration::from_secs(1);

/// Packets that an attacker may get before the true source is known.
const LEAKED: u64 = 5;

/// What the attacker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    /// Nothing: what is lost then is the machine's fault.
    Peace,
    /// What [`Attack::Flood`] sends, to a device of the relay's machine that drops everything.
    Drop,
    /// STUN, DTLS, RTCP, RTP and noise to one port, as fast as it can.
    Flood,
    /// The same to all ports of the range in turn.
    Spray,
    /// Media with the victim's SSRC and numbers that fit.
    Inject,
    /// The victim's own packets, again.
    Replay,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    attacked: u64,
    others_sent: u64,
    others_lost: u64,
    victim_lost: u64,
    victim_lost_after: u64,
    /// How long after the end of the attack the victim sent the last packet that was lost.
    recovered_after: Duration,
    /// Packets of the attacker that a party received.
    came_through: u64,
    /// Packets of the parties that the attacker received.
    leaked: u64,
}

impl Outcome {
    /// The share of their packets that others lost.
    fn share_lost(&self) -> f64 {
        self.others_lost as f64 / self.others_sent.max(1) as f64
    }
}

/// One direction of a call.
struct Flow {
    sender: UdpSocket,
    to: SocketAddr,
    receiver: UdpSocket,
    ssrc: u32,
    sent: u64,
    received: u64,
    forged: u64,
    /// When each packet was sent since the attack ended, by its sequence number; none before.
    after: Option<Vec<(u16, Instant)>>,
    heard: HashSet<u16>,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seconds, rate] = &arguments[..] else {
        bail!("usage: attack SECONDS PACKETS-PER-SECOND (0: as fast as it can)");
    };
    let duration = Duration::from_secs(seconds.parse().context("SECONDS")?);
    let rate: u64 = rate.parse().context("PACKETS-PER-SECOND")?;
    println!(
        "{:<10} {:<8} {:>10} {:>13} {:>12} {:>15} {:>13} {:>8} {:>7}",
        "path",
        "attack",
        "packets",
        "others lost",
        "victim lost",
        "recovered after",
        "lost after",
        "through",
        "leaked"
    );
    let (mut is_well, mut unavoidable) = (true, 0.0);
    for (path, table) in [("kernel", "--table=0"), ("userspace", "--table=-1")] {
        for attack in [
            Attack::Peace,
            Attack::Drop,
            Attack::Flood,
            Attack::Spray,
            Attack::Inject,
            Attack::Replay,
        ] {
            if attack == Attack::Drop && path != "kernel" {
                continue;
            }
            let outcome = attempt(attack, table, duration, rate)?;
            if attack == Attack::Drop {
                unavoidable = outcome.share_lost();
            }
            is_well &= print(path, attack, &outcome, unavoidable);
        }
    }
    Ok(is_well)
}

/// Whether it is as it should be. Without the program a flood costs whoever shares the processors with it.
fn print(path: &str, attack: Attack, outcome: &Outcome, unavoidable: f64) -> bool {
    let share = outcome.share_lost();
    let is_flood = matches!(attack, Attack::Drop | Attack::Flood | Attack::Spray);
    let tolerated = if is_flood { unavoidable } else { 0.0 } + TOLERATED;
    let faults = [
        (path == "kernel" || !is_flood) && share > tolerated,
        outcome.recovered_after > RECOVERY,
        outcome.victim_lost_after > 0,
        outcome.leaked > LEAKED,
    ];
    let is_well = !faults.contains(&true);
    println!(
        "{path:<10} {:<8} {:>10} {:>12.3}% {:>12} {:>12} ms {:>13} {:>8} {:>7}{}",
        format!("{attack:?}").to_lowercase(),
        outcome.attacked,
        share * 100.0,
        outcome.victim_lost,
        outcome.recovered_after.as_millis(),
        outcome.victim_lost_after,
        outcome.came_through,
        outcome.leaked,
        if is_well { "" } else { "  FAILED" },
    );
    is_well
}

fn attempt(attack: Attack, table: &str, duration: Duration, rate: u64) -> anyhow::Result<Outcome> {
    let lab = Lab::new();
    let attacker = attacker(&lab);
    let decoy = (attack == Attack::Drop).then(|| Decoy::new(&lab)).transpose()?;
    let daemon = daemon(&lab, table)?;
    let mut control = daemon.control(&lab.relay);
    let mut flows = calls(&lab, &mut control);
    let from = attacker.run(|| UdpSocket::bind("10.66.0.2:6666"))?;
    from.set_nonblocking(true)?;

    // Sources are learned, and flows enter the kernel.
    talk(&mut flows, Duration::from_secs(4));
    flows.iter_mut().for_each(Flow::forget);
    let (stop, attacked) = (AtomicBool::new(false), AtomicU64::new(0));
    let to = decoy
        .as_ref()
        .map_or(flows[0].to, |decoy| decoy.in_place_of(flows[0].to));
    let victim = (to, flows[0].ssrc);
    thread::scope(|scope| {
        scope.spawn(|| assail(attack, &from, victim, rate, (&stop, &attacked)));
        talk(&mut flows, duration);
        stop.store(true, Ordering::Relaxed);
    });
    let ended = Instant::now();
    settle(&mut flows);
    let mut outcome = Outcome {
        attacked: attacked.load(Ordering::Relaxed),
        others_sent: flows[2..].iter().map(|flow| flow.sent).sum(),
        others_lost: flows[2..].iter().map(Flow::lost).sum(),
        victim_lost: flows[..2].iter().map(Flow::lost).sum(),
        came_through: flows.iter().map(|flow| flow.forged).sum(),
        ..Outcome::default()
    };
    // A second to recover.
    flows[..2]
        .iter_mut()
        .for_each(|flow| flow.after = Some(Vec::new()));
    talk(&mut flows, RECOVERY);
    settle(&mut flows);
    let lost = flows[..2].iter().filter_map(Flow::last_lost);
    outcome.recovered_after = lost.max().map_or(Duration::ZERO, |last| last + PACE - ended);
    flows.iter_mut().for_each(Flow::forget);
    talk(&mut flows, Duration::from_secs(1));
    settle(&mut flows);
    outcome.victim_lost_after = flows[..2].iter().map(Flow::lost).sum();
    let mut buffer = [0; 2048];
    while from.recv(&mut buffer).is_ok() {
        outcome.leaked += 1;
    }
    Ok(outcome)
}

/// Somebody behind the caller's network, in a network of its own.
fn attacker(lab: &Lab) -> Namespace {
    let attacker = Namespace::new("attacker");
    connect((&attacker, "x0"), (&lab.caller, "c1"));
    attacker.ip("addr add 10.66.0.2/24 dev x0");
    lab.caller.ip("addr add 10.66.0.1/24 dev c1");
    lab.caller.sysctl("ipv4/ip_forward", "1");
    attacker.ip("route add default via 10.66.0.1");
    lab.relay.ip("route add 10.66.0.0/24 via 10.9.1.2");
    attacker
}

fn daemon(lab: &Lab, table: &str) -> anyhow::Result<Daemon> {
    let program = std::env::current_exe()?.with_file_name("relay-daemon");
    let mut command = Command::new(program);
    command.args([
        "--config-file=none",
        "--foreground",
        "--log-stderr",
        "--log-level=3",
    ]);
    command.args(["--interface=inner/10.9.1.1", "--interface=outer/10.9.2.1"]);
    command.args([
        format!("--port-min={}", PORTS.0),
        format!("--port-max={}", PORTS.1),
        format!("--listen-ng={SERVER}"),
        "--drop-unclaimed".to_owned(),
        table.to_owned(),
    ]);
    if table == "--table=0" {
        command.arg("--no-fallback");
    }
    Daemon::start_command(&lab.relay, &mut command)
        .map_err(|ended| anyhow::anyhow!("the daemon {}:\n{}", ended.status, ended.log))
}

/// Calls with both their flows, one after the other.
fn calls(lab: &Lab, control: &mut Control) -> Vec<Flow> {
    let mut flows = Vec::new();
    for number in 0..CALLS {
        let [caller, callee] = ["10.9.1.2", "10.9.2.2"].map(|address| {
            let address = address.parse().expect("an address");
            SocketAddr::new(address, 4000 + 4 * number)
        });
        let call = Call::new(&format!("call-{number}"));
        let (to_caller, to_callee): (Told, Told) = call.set_up(control, Audio::at(caller), Audio::at(callee));
        let near = lab.caller.run(|| socket(caller));
        let far = lab.callee.run(|| socket(callee));
        let copy = |socket: &UdpSocket| socket.try_clone().expect("a descriptor");
        let ssrc = u32::from(number) << 8;
        flows.push(Flow::new(copy(&near), to_caller.rtp, copy(&far), ssrc));
        flows.push(Flow::new(far, to_callee.rtp, near, ssrc + 1));
    }
    flows
}

fn socket(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("the address is free");
    socket.set_nonblocking(true).expect("a socket need not block");
    socket
}

impl Flow {
    fn new(sender: UdpSocket, to: SocketAddr, receiver: UdpSocket, ssrc: u32) -> Flow {
        Flow {
            sender,
            to,
            receiver,
            ssrc,
            sent: 0,
            received: 0,
            forged: 0,
            after: None,
            heard: HashSet::new(),
        }
    }

    fn send(&mut self, number: u64) {
        let sequence = u16::try_from(number & 0xffff).unwrap_or_default();
        let packet = rtp(8, sequence, u32::from(sequence) * 160, self.ssrc, GENUINE);
        self.sent += u64::from(self.sender.send_to(&packet, self.to).is_ok());
        if let Some(after) = &mut self.after {
            after.push((sequence, Instant::now()));
        }
    }

    /// Takes in what has come.
    fn receive(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.receiver.recv(&mut buffer) {
            match length {
                length if length == 12 + GENUINE => {
                    self.received += 1;
                    self.heard.insert(u16::from_be_bytes([buffer[2], buffer[3]]));
                }
                _ => self.forged += 1,
            }
        }
    }

    fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// When the last packet was sent, since the attack ended, that has not arrived.
    fn last_lost(&self) -> Option<Instant> {
        let mut lost = self.after.iter().flatten().rev();
        let lost = lost.find(|(sequence, _)| !self.heard.contains(sequence));
        lost.map(|(_, at)| *at)
    }

    fn forget(&mut self) {
        (self.sent, self.received, self.forged) = (0, 0, 0);
    }
}

/// All parties talk.
fn talk(flows: &mut [Flow], duration: Duration) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let start = Instant::now();
    let mut next = start;
    while start.elapsed() < duration {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        for flow in &mut *flows {
            flow.send(number);
        }
        next += PACE;
        // Packets are received in between, so that no queue overflows.
        while Instant::now() < next {
            flows.iter_mut().for_each(Flow::receive);
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// What is under way arrives.
fn settle(flows: &mut [Flow]) {
    thread::sleep(Duration::from_millis(300));
    flows.iter_mut().for_each(Flow::receive);
}

fn assail(
    attack: Attack,
    from: &UdpSocket,
    (to, ssrc): (SocketAddr, u32),
    rate: u64,
    (stop, attacked): (&AtomicBool, &AtomicU64),
) {
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let dtls = [&[22, 0xfe, 0xfd][..], &[0; 40]].concat();
    let report = [&[0x80, 200, 0, 6][..], &[0; 24]].concat();
    let kinds = [stun, dtls, report, rtp(8, 1, 2, 3, FORGED), vec![0xff; 90]];
    let ports = u64::from(PORTS.1 - PORTS.0) + 1;
    let start = Instant::now();
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) || attack == Attack::Peace {
            return;
        }
        let sequence = u16::try_from(number & 0xffff).unwrap_or_default();
        let kind = kinds[usize::try_from(number).unwrap_or_default() % kinds.len()].clone();
        let (packet, to, rate) = match attack {
            Attack::Peace | Attack::Drop | Attack::Flood => (kind, to, rate),
            Attack::Spray => {
                let port = PORTS.0 + u16::try_from(number % ports).unwrap_or_default();
                (kind, SocketAddr::new(to.ip(), port), rate)
            }
            // At the pace of media, or a little faster.
            Attack::Inject => (rtp(8, sequence, u32::from(sequence) * 160, ssrc, FORGED), to, 100),
            Attack::Replay => (
                rtp(8, sequence, u32::from(sequence) * 160, ssrc, GENUINE + 1),
                to,
                100,
            ),
        };
        if from.send_to(&packet, to).is_ok() {
            attacked.fetch_add(1, Ordering::Relaxed);
        }
        if rate > 0 {
            let due = start + Duration::from_secs(1).mul_f64(number as f64 / rate as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}
