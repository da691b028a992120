//! Flows at an even pace through a daemon, and the processor time that it takes for them.

use std::collections::{BTreeMap, HashSet};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use relay_daemon::security::Suite;
use relay_daemon::srtp::{Inbound, MAX_TRAILER, Outbound};
use relay_tests::lab::{IpVersion, Lab};
use relay_tests::netns::{Namespace, Offload};
use relay_tests::probe::Side;
use relay_tests::rounds::Rounds;

use crate::relays::{Exit, Relay};
use crate::{PACKET, key, packet};

/// Flows at a time, one direction of a call each.
pub(crate) const FLOWS: u16 = 500;

/// Packets a second of each flow.
pub(crate) const PACE: u64 = 50;

/// How long flows have to be learned before anything is measured, and packets a second meanwhile.
const WARM_UP: Duration = Duration::from_secs(4);
const WARM_UP_PACE: u64 = 10;

/// How long it is measured what is done without packets: what is done every second must be in it as often as it should.
const IDLE: Duration = Duration::from_secs(2);

/// How long the last packets may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a round may fail because packets were lost.
const TRIES: usize = 5;

/// What the two parties of all calls speak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// Where packets come from; plain RTP without a suite.
    pub(crate) caller: Option<Suite>,
    /// Where they go to.
    pub(crate) callee: Option<Suite>,
}

/// Nanoseconds of processor time for a packet, with so many packets of each flow in each round: of our daemon, of rtpengine, and, if packets stay as they are, of a bare loop.
pub(crate) fn measure(scenario: &Scenario, rounds: usize, packets: u64) -> [Rounds; 3] {
    let is_plain = scenario.caller.is_none() && scenario.callee.is_none();
    let mut lanes: Vec<Lane> = [Relay::ours, Relay::reference]
        .into_iter()
        .chain(is_plain.then_some(Relay::bare as fn(&Lab, &Scenario) -> Relay))
        .map(|start| Lane::open(start, scenario))
        .collect();
    on_first_processor();
    for lane in &mut lanes {
        lane.warm_up();
        lane.measure_idle();
    }
    let mut results = [Rounds::default(), Rounds::default(), Rounds::default()];
    for round in 0..rounds {
        for turn in 0..lanes.len() {
            let index = (turn + round) % lanes.len();
            let time = (0..TRIES).find_map(|_| lanes[index].round(packets));
            let time = time
                .unwrap_or_else(|| panic!("{}: packets were lost in every try", lanes[index].relay.name()));
            results[index].0.push(time);
        }
    }
    results
}

/// A relay in a network of its own, and its flows.
struct Lane {
    relay: Relay,
    exits: Vec<Exit>,
    sender: UdpSocket,
    outbound: Option<Outbound>,
    /// Of the next packet of each flow.
    sequence: u64,
    /// Nanoseconds of processor time that the relay uses in a second without packets.
    idle: f64,
    lab: Lab,
}

impl Lane {
    fn open(start: fn(&Lab, &Scenario) -> Relay, scenario: &Scenario) -> Lane {
        let lab = Lab::new();
        quieten(&lab);
        let mut relay = start(&lab, scenario);
        let [from, _] = ends();
        Lane {
            exits: relay.exits(&lab, scenario),
            relay,
            sender: lab.bind(Side::Caller, from),
            outbound: scenario.caller.map(|suite| Outbound::new(&key(suite, 1))),
            sequence: 1,
            idle: 0.0,
            lab,
        }
    }

    /// Has the flows learned, and looks at what becomes of their packets. From then on what is relayed is dropped where it leaves
    /// the relay's network stack: the way to a receiver over virtual Ethernet would be on the relay's time.
    fn warm_up(&mut self) {
        let [_, to] = ends();
        let sink = self.lab.bind(Side::Callee, to);
        sink.set_nonblocking(true).unwrap();
        setsockopt(&sink, sockopt::RcvBufForce, &(8 << 20)).unwrap();
        let mut readers: BTreeMap<SocketAddr, Option<Inbound>> = BTreeMap::new();
        for exit in &self.exits {
            readers.insert(exit.from, exit.key.as_ref().map(Inbound::new));
        }
        let mut heard = HashSet::new();
        let first = self.sequence;
        let rounds = WARM_UP.as_secs() * WARM_UP_PACE;
        self.send(rounds, WARM_UP_PACE);
        thread::sleep(PATIENCE);
        let mut buffer = [0; 2 * PACKET];
        while let Ok((length, from)) = sink.recv_from(&mut buffer) {
            let reader = readers.get_mut(&from).unwrap();
            let length = reader.as_mut().map_or(length, |reader| {
                reader.unprotect_rtp(&mut buffer[..length]).unwrap().length
            });
            let number = u64::from(u16::from_be_bytes([buffer[2], buffer[3]]));
            assert!((first..first + rounds).contains(&number));
            // Its SSRC may be another one.
            assert!(length == PACKET && buffer[12..PACKET] == packet(number)[12..]);
            heard.insert(from);
        }
        assert_eq!(
            heard.len(),
            usize::from(FLOWS),
            "{}: flows that arrive",
            self.relay.name()
        );
        let dropping = ["qdisc", "replace", "dev", "r1", "root", "blackhole"];
        assert!(tc(&self.lab.relay, &dropping).status.success());
    }

    /// Nanoseconds a packet, less what the relay does anyway. None if not all packets arrived.
    fn round(&mut self, packets: u64) -> Option<f64> {
        let (before, arrived, start) = (self.relay.processor_time(), self.arrived(), Instant::now());
        self.send(packets, PACE);
        let sent = packets * u64::from(FLOWS);
        let deadline = Instant::now() + PATIENCE;
        while self.arrived() - arrived < sent && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let idle = self.idle * start.elapsed().as_secs_f64();
        let spent = self.relay.processor_time() - before;
        let arrived = self.arrived() - arrived;
        if arrived != sent {
            eprintln!(
                "{}: {arrived} of {sent} packets arrived, once more",
                self.relay.name()
            );
            return None;
        }
        Some((spent as f64 - idle) / sent as f64)
    }

    /// What the relay does without packets.
    fn measure_idle(&mut self) {
        let (before, start) = (self.relay.processor_time(), Instant::now());
        thread::sleep(IDLE);
        self.idle = (self.relay.processor_time() - before) as f64 / start.elapsed().as_secs_f64();
    }

    /// Sends packets of each flow, all in turn with even intervals. Never sleeps: it would be late.
    fn send(&mut self, packets: u64, pace: u64) {
        let interval = Duration::from_secs(1) / u32::try_from(u64::from(FLOWS) * pace).unwrap();
        let (start, mut due) = (Instant::now(), Duration::ZERO);
        for _ in 0..packets {
            let mut buffer = [0; PACKET + MAX_TRAILER];
            buffer[..PACKET].copy_from_slice(&packet(self.sequence));
            self.sequence += 1;
            // The same for all flows: each has a context of its own in the relay.
            let length = self.outbound.as_mut().map_or(PACKET, |outbound| {
                outbound.protect_rtp(&mut buffer, PACKET, None).unwrap()
            });
            for exit in &self.exits {
                while start.elapsed() < due {
                    std::hint::spin_loop();
                }
                self.sender.send_to(&buffer[..length], exit.entry).unwrap();
                due += interval;
            }
        }
    }

    /// Packets that were sent to the callee so far.
    fn arrived(&self) -> u64 {
        let shown = tc(&self.lab.relay, &["-s", "-j", "qdisc", "show", "dev", "r1"]).stdout;
        let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
        shown[0]["drops"].as_u64().unwrap()
    }
}

/// Where the caller is, and the callee.
pub(crate) fn ends() -> [SocketAddr; 2] {
    Side::ALL.map(|side| SocketAddr::new(IpVersion::V4.address(side), 4000))
}

/// Nothing but the packets of the flows goes over the last link, and nothing merges them.
fn quieten(lab: &Lab) {
    for (namespace, device, neighbour) in [(&lab.relay, "r1", "10.9.2.2"), (&lab.callee, "d0", "10.9.2.1")] {
        let other = if device == "r1" {
            lab.callee.mac("d0")
        } else {
            lab.relay.mac("r1")
        };
        let mac = other.map(|byte| format!("{byte:02x}")).join(":");
        namespace.sysctl("ipv6/conf/all/disable_ipv6", "1");
        namespace.ip(&format!(
            "neigh replace {neighbour} lladdr {mac} nud permanent dev {device}"
        ));
    }
    lab.callee.set_offload("d0", Offload::GenericReceive, false);
}

fn tc(namespace: &Namespace, arguments: &[&str]) -> Output {
    let mut command = Command::new("tc");
    command.args(["-n", namespace.name()]).args(arguments);
    command.output().unwrap()
}

/// The relays have the other one.
fn on_first_processor() {
    let mut only = CpuSet::new();
    only.set(0).unwrap();
    sched_setaffinity(Pid::from_raw(0), &only).unwrap();
}
