//! What SRTP costs: one packet alone, ours beside libsrtp's; and CPU time a relayed packet, this daemon beside rtpengine.
//!
//! `srtp-bench [SECONDS]`: as root, with two processors, rtpengine and libsrtp2-1 installed. Compare the numbers of one
//! run with each other.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement has nobody to report an error to"
)]

use std::env;
use std::fs;
use std::hint::black_box;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ng_client::{Value, command};
use relay_daemon::security::{MasterKey, Srtp, Suite};
use relay_daemon::srtp::{Inbound, MAX_TRAILER, Outbound};
use relay_tests::call::{Audio, Told};
use relay_tests::daemon::{Control, Daemon, SERVER};
use relay_tests::lab::{IpVersion, Lab};
use relay_tests::libsrtp::LibSrtp;
use relay_tests::probe::Side;

const FLOWS: u16 = 500;
/// Packets a second of each flow.
const PACE: u64 = 50;
/// How long flows have to be learned before anything is measured.
const WARM_UP: u64 = 4;

fn main() {
    let seconds = env::args().nth(1).map_or(10, |text| text.parse().unwrap());
    println!(
        "{:<28} {:>9} {:>9} {:>7}",
        "ns for a packet of G.711", "ours", "libsrtp", "ratio"
    );
    for suite in [Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm] {
        alone(suite);
    }
    println!(
        "{:<28} {:>9} {:>9} {:>7}",
        "ns of CPU a packet", "ours", "rtpengine", "ratio"
    );
    let (cm, gcm) = (Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm);
    for (name, caller, callee) in [
        ("RTP to RTP", None, None),
        ("RTP to CM-128/80", None, Some(cm)),
        ("RTP to GCM-128", None, Some(gcm)),
        // With the same suite on both sides nothing would be encrypted anew.
        (
            "CM-128/80 to CM-128/32",
            Some(cm),
            Some(Suite::AesCm128HmacSha1_32),
        ),
        ("GCM-128 to GCM-256", Some(gcm), Some(Suite::AeadAes256Gcm)),
    ] {
        let own = env::current_exe().unwrap().with_file_name("relay-daemon");
        let ours = relayed(own.to_str().unwrap(), caller, callee, seconds);
        let theirs = relayed("rtpengine", caller, callee, seconds);
        line(name, ours, theirs);
    }
}

fn line(name: &str, ours: f64, theirs: f64) {
    println!("{name:<28} {ours:>9.0} {theirs:>9.0} {:>7.2}", ours / theirs);
}

fn key(suite: Suite, fill: u8) -> Srtp {
    Srtp::new(MasterKey::cut(suite, [fill; MasterKey::MAX_LENGTH]))
}

fn packet(ssrc: u16, sequence: u64) -> [u8; 172] {
    let mut packet = [0x55; 172];
    packet[..2].copy_from_slice(&[0x80, 8]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes()[6..]);
    packet[4..8].copy_from_slice(&(sequence * 160).to_be_bytes()[4..]);
    packet[8..12].copy_from_slice(&u32::from(ssrc).to_be_bytes());
    packet
}

/// Protects and unprotects packets of one source.
fn alone(suite: Suite) {
    const PACKETS: u64 = 60_000;
    let srtp = key(suite, 1);
    let mut wire = Vec::new();
    let mut outbound = Outbound::new(&srtp);
    let ours = nanoseconds(PACKETS, |sequence| {
        let mut buffer = [0; 172 + MAX_TRAILER];
        buffer[..172].copy_from_slice(&packet(1, sequence));
        let length = outbound.protect_rtp(&mut buffer, 172, None).unwrap();
        wire.push(buffer[..length].to_vec());
    });
    let mut theirs = LibSrtp::outbound(&srtp).unwrap();
    let libsrtp = nanoseconds(PACKETS, |sequence| {
        black_box(theirs.protect(&packet(1, sequence)).unwrap());
    });
    line(&format!("protect, {suite}"), ours, libsrtp);
    let mut inbound = Inbound::new(&srtp);
    let ours = nanoseconds(PACKETS, |sequence| {
        let packet = &mut wire[usize::try_from(sequence).unwrap()].clone();
        black_box(inbound.unprotect_rtp(packet).unwrap());
    });
    let mut theirs = LibSrtp::inbound(&srtp).unwrap();
    let libsrtp = nanoseconds(PACKETS, |sequence| {
        black_box(
            theirs
                .unprotect(&wire[usize::try_from(sequence).unwrap()])
                .unwrap(),
        );
    });
    line(&format!("unprotect, {suite}"), ours, libsrtp);
}

fn nanoseconds(packets: u64, mut action: impl FnMut(u64)) -> f64 {
    let start = Instant::now();
    for sequence in 0..packets {
        action(sequence);
    }
    start.elapsed().as_secs_f64() * 1e9 / packets as f64
}

/// Nanoseconds of a daemon's CPU time for each packet that it relays, from callers to a callee.
fn relayed(program: &str, caller: Option<Suite>, callee: Option<Suite>, seconds: u64) -> f64 {
    let lab = Lab::new();
    let daemon = start(&lab, program);
    let mut control = Control::connect(&lab.relay);
    let caller_key = caller.map(|suite| key(suite, 1));
    let [from, to] = Side::ALL.map(|side| SocketAddr::new(IpVersion::V4.address(side), 4000));
    let targets: Vec<SocketAddr> = (0..FLOWS)
        .map(|number| set_up(&mut control, number, (from, &caller_key), (to, callee)))
        .collect();
    let packets = prepared(caller_key.as_ref(), (WARM_UP + seconds) * PACE);
    let sender = lab.bind(Side::Caller, from);
    let receiver = Receiver::start(lab.bind(Side::Callee, to));
    let mut packets = packets.iter();
    send(&sender, &targets, &mut packets, WARM_UP * PACE);
    let (cpu, received) = (processor_time(&daemon), receiver.count());
    send(&sender, &targets, &mut packets, seconds * PACE);
    let relayed = receiver.count() - received;
    let spent = processor_time(&daemon) - cpu;
    let sent = u64::from(FLOWS) * seconds * PACE;
    assert!(
        relayed > sent * 9 / 10,
        "{program}: only {relayed} of {sent} arrived"
    );
    spent as f64 / relayed as f64
}

fn start(lab: &Lab, program: &str) -> Daemon {
    let mut command = Command::new(program);
    command.args([
        "--config-file=none",
        "--foreground",
        "--log-stderr",
        "--log-level=3",
        "--table=-1",
    ]);
    command.args([
        "--interface=inner/10.9.1.1",
        "--interface=outer/10.9.2.1",
        "--num-threads=1",
    ]);
    command.args(["--port-min=20000", "--port-max=40000"]);
    command.arg(format!("--listen-ng={SERVER}"));
    Daemon::start_command(&lab.relay, &mut command)
        .unwrap_or_else(|ended| panic!("{program}: {}\n{}", ended.status, ended.log))
}

/// A call, and where its caller sends to.
fn set_up(
    control: &mut Control,
    number: u16,
    (from, caller): (SocketAddr, &Option<Srtp>),
    (to, callee): (SocketAddr, Option<Suite>),
) -> SocketAddr {
    let call = format!("srtp-{number}");
    let protocol = if callee.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    let mut offer = command::offer(&call, "caller", &sdp(from, caller.as_ref(), 1));
    offer.push("transport-protocol", protocol);
    offer.push("direction", ["inner", "outer"].map(Value::from).to_vec());
    let offered = control.request(&offer);
    let offered = offered.find("sdp").and_then(Value::text).unwrap().into_owned();
    let tag = callee.map_or(1, |suite| {
        let wanted = format!(" {suite} ");
        let line = offered
            .lines()
            .find(|line| line.starts_with("a=crypto:") && line.contains(&wanted));
        let tag = line
            .unwrap()
            .strip_prefix("a=crypto:")
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        tag.parse().unwrap()
    });
    let callee = callee.map(|suite| key(suite, 2));
    let mut answer = command::answer(&call, "caller", "callee", &sdp(to, callee.as_ref(), tag));
    answer.push("direction", ["outer", "inner"].map(Value::from).to_vec());
    let answered = control.request(&answer);
    let answered = answered.find("sdp").and_then(Value::text).unwrap();
    Told::parse(&answered).unwrap().rtp
}

fn sdp(at: SocketAddr, key: Option<&Srtp>, tag: u32) -> String {
    let sdp = Audio::at(at).to_string();
    let Some(srtp) = key else {
        return sdp;
    };
    let inline = BASE64.encode(srtp.key.key_and_salt());
    let sdp = sdp.replace("RTP/AVP", "RTP/SAVP");
    format!("{sdp}a=crypto:{tag} {} inline:{inline}\r\n", srtp.suite())
}

/// The packets of a flow: the same for all.
fn prepared(key: Option<&Srtp>, packets: u64) -> Vec<Vec<u8>> {
    let mut outbound = key.map(Outbound::new);
    let wire = |sequence| {
        let mut buffer = packet(1, sequence).to_vec();
        if let Some(outbound) = &mut outbound {
            buffer.resize(172 + MAX_TRAILER, 0);
            let length = outbound.protect_rtp(&mut buffer, 172, None).unwrap();
            buffer.truncate(length);
        }
        buffer
    };
    (0..packets).map(wire).collect()
}

/// Sends a packet of each flow in turn, at an even pace, and leaves time for the last ones to arrive.
fn send<'a>(
    socket: &UdpSocket,
    targets: &[SocketAddr],
    packets: &mut impl Iterator<Item = &'a Vec<u8>>,
    rounds: u64,
) {
    let start = Instant::now();
    let interval = Duration::from_secs(1) / u32::try_from(PACE).unwrap();
    for (round, packet) in (1u32..).zip(packets.take(usize::try_from(rounds).unwrap())) {
        // Some at a time, so that no queue overflows.
        for targets in targets.chunks(50) {
            for target in targets {
                socket.send_to(packet, target).unwrap();
            }
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep((interval * round).saturating_sub(start.elapsed()));
    }
    thread::sleep(Duration::from_millis(300));
}

/// Takes and counts what arrives.
struct Receiver {
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Receiver {
    fn start(socket: UdpSocket) -> Receiver {
        let receiver = Receiver {
            count: Arc::default(),
            stop: Arc::default(),
        };
        let (count, stop) = (Arc::clone(&receiver.count), Arc::clone(&receiver.stop));
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 300];
            while !stop.load(Ordering::Relaxed) {
                if socket.recv(&mut buffer).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        receiver
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// CPU time of all threads of a daemon, nanoseconds.
fn processor_time(daemon: &Daemon) -> u64 {
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    threads
        .map(|thread| fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap())
        .map(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}
