//! Whoever sends to a media port without being a party hears nothing of the call, by whatever path media goes.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ng_client::Value;
use relay_tests::call::{Call, Told};
use relay_tests::daemon::PATIENCE;
use relay_tests::lab::IpVersion;
use relay_tests::netns::requires_root;
use relay_tests::packets::rtp;
use relay_tests::probe::Side;

use super::bench::{Bench, audio};

/// What an injector may hear before the true source is known, packets.
const FEW: usize = 5;

/// How long sources compete after the newest signalling message.
const WINDOW: Duration = Duration::from_secs(3);

const PATHS: [(&str, &[&str]); 2] = [
    ("kernel", &["--table=0", "--no-fallback"]),
    ("userspace", &["--table=-1"]),
];

/// Lengths by which packets are told apart.
const GENUINE: usize = 160;
const FORGED: usize = 100;

/// A call, and somebody in the caller's network who knows the caller's port at the relay.
struct Scene {
    call: Call,
    caller: UdpSocket,
    callee: UdpSocket,
    injector: UdpSocket,
    /// Where the caller and the callee send.
    to: (SocketAddr, SocketAddr),
    sequence: u16,
    answered: Instant,
}

/// What arrived where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Heard {
    /// Packets of the callee that the caller got.
    caller: usize,
    /// Packets of the callee that the injector got.
    injector: usize,
    /// Packets of the injector that the callee got.
    forged: usize,
}

impl Scene {
    fn new(bench: &mut Bench, name: &str, flags: &[&str], port: u16) -> Scene {
        let flags: Vec<Value> = flags.iter().map(|flag| Value::from(*flag)).collect();
        let call = Call::new(name).with("flags", flags);
        let [caller, callee] = Side::ALL.map(|side| audio(side, IpVersion::V4, port));
        let (to_relay, to_relay_back): (Told, Told) = call.set_up(&mut bench.control, caller, callee);
        let bind = |side, address| {
            let socket = bench.lab.bind(side, address);
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let elsewhere = SocketAddr::new("10.9.1.3".parse().unwrap(), port + 3);
        Scene {
            call,
            caller: bind(Side::Caller, caller.rtp),
            callee: bind(Side::Callee, callee.rtp),
            injector: bind(Side::Caller, elsewhere),
            to: (to_relay.rtp, to_relay_back.rtp),
            sequence: 0,
            answered: Instant::now(),
        }
    }

    /// Rounds of a packet of each: the injector's first of all, then the callee's, then the caller's, if they speak.
    fn rounds(&mut self, rounds: usize, (injects, talks): (bool, bool)) -> Heard {
        let mut heard = Heard::default();
        for _ in 0..rounds {
            self.sequence += 1;
            if injects {
                // With the caller's SSRC and numbers.
                let packet = rtp(8, self.sequence, u32::from(self.sequence) * 160, 1, FORGED);
                self.injector.send_to(&packet, self.to.0).unwrap();
            }
            let packet = |ssrc| rtp(8, self.sequence, u32::from(self.sequence) * 160, ssrc, GENUINE);
            self.callee.send_to(&packet(2), self.to.1).unwrap();
            if talks {
                self.caller.send_to(&packet(1), self.to.0).unwrap();
            }
            // Of what the parties have sent nothing is lost, wherever it goes.
            let begin = Instant::now();
            let (mut of_callee, mut of_caller) = (0, usize::from(!talks));
            while of_callee < 1 || of_caller < 1 {
                assert!(begin.elapsed() < PATIENCE, "a packet is lost: {heard:?}");
                let (caller, injector) = (receive(&self.caller, GENUINE), receive(&self.injector, GENUINE));
                of_callee += caller + injector;
                heard.caller += caller;
                heard.injector += injector;
                of_caller += self.receive_at_callee(&mut heard);
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        self.receive_at_callee(&mut heard);
        heard
    }

    /// How many packets of the caller have come.
    fn receive_at_callee(&self, heard: &mut Heard) -> usize {
        let (mut genuine, mut buffer) = (0, [0; 2048]);
        while let Ok(length) = self.callee.recv(&mut buffer) {
            match length {
                length if length == GENUINE + 12 => genuine += 1,
                _ => heard.forged += 1,
            }
        }
        genuine
    }

    /// Has the parties talk until the window is over, and the media is where it is going to stay.
    fn wait_for_path(&mut self, bench: &mut Bench, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.rounds(1, (false, true));
            let paths = Side::ALL.map(|side| self.call.path(&mut bench.control, side));
            let is_there = paths
                .iter()
                .all(|found| (found == "kernel") == (path == "kernel"));
            if is_there && self.answered.elapsed() > WINDOW {
                return;
            }
            assert!(Instant::now() < deadline, "{paths:?}");
        }
    }
}

/// How many packets of a payload have come to a socket.
fn receive(socket: &UdpSocket, payload: usize) -> usize {
    let (mut received, mut buffer) = (0, [0; 2048]);
    while let Ok(length) = socket.recv(&mut buffer) {
        received += usize::from(length == payload + 12);
    }
    received
}

/// A daemon for each path; the caller's network has a second address.
fn on_each_path(test: impl Fn(&mut Bench, &str)) {
    if !requires_root() {
        return;
    }
    for (path, options) in PATHS {
        let mut bench = Bench::start(options);
        bench.lab.caller.ip("addr add 10.9.1.3/24 dev c0");
        test(&mut bench, path);
    }
}

#[test]
fn an_injector_hears_little_within_the_window_and_nothing_after_it() {
    on_each_path(|bench, path| {
        let mut scene = Scene::new(bench, "heuristic", &[], 4000);
        // The injector is first: until the caller has spoken, nobody can tell that it is not the caller, behind NAT.
        let heard = scene.rounds(50, (true, true));
        assert!(scene.answered.elapsed() < WINDOW, "too slow for this test");
        assert!(heard.injector <= FEW, "{path}: {heard:?}");
        scene.wait_for_path(bench, path);
        let heard = scene.rounds(200, (true, true));
        assert_eq!((heard.caller, heard.injector), (200, 0), "{path}: {heard:?}");
        // If the caller is quiet, too.
        let heard = scene.rounds(200, (true, false));
        assert_eq!((heard.caller, heard.injector), (200, 0), "{path}: {heard:?}");
    });
}

#[test]
fn an_injector_hears_and_says_nothing_with_strict_source() {
    on_each_path(|bench, path| {
        let mut scene = Scene::new(bench, "strict", &["strict-source"], 4000);
        scene.rounds(1, (false, true));
        let heard = scene.rounds(50, (true, true));
        assert!(scene.answered.elapsed() < WINDOW, "too slow for this test");
        assert_eq!((heard.injector, heard.forged), (0, 0), "{path}: {heard:?}");
        scene.wait_for_path(bench, path);
        let heard = scene.rounds(200, (true, true));
        assert_eq!((heard.injector, heard.forged), (0, 0), "{path}: {heard:?}");
        let heard = scene.rounds(200, (true, false));
        assert_eq!((heard.injector, heard.forged), (0, 0), "{path}: {heard:?}");
    });
}

#[test]
fn an_injector_hears_nothing_where_nothing_is_learned() {
    on_each_path(|bench, path| {
        let mut scene = Scene::new(bench, "off", &["endpoint-learning-off"], 4000);
        // The caller may be quiet: it is known where it is.
        let heard = scene.rounds(50, (true, false));
        assert_eq!(heard.injector, 0, "{path}: {heard:?}");
        let heard = scene.rounds(50, (true, true));
        assert_eq!(heard.injector, 0, "{path}: {heard:?}");
        scene.wait_for_path(bench, path);
        let heard = scene.rounds(200, (true, true));
        assert_eq!((heard.caller, heard.injector), (200, 0), "{path}: {heard:?}");
    });
}
