//! A whole call by clients that others wrote: npm's rtpengine-client, curl, and a WebSocket library; and media of aiortc and
//! of browsers.
//!
//! Kamailio's rtpengine module has its calls in `scripts/sip-calls.sh`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod http;
mod webrtc;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use relay_tests::daemon::{Daemon, wait_until};
use relay_tests::netns::{Namespace, requires_root};

/// Where all listen, alone in their namespace.
const HOST: &str = "127.0.0.1";
const UDP: &str = "2223";
const TCP: &str = "2224";
const HTTP: &str = "2225";

/// For media. Below those that the system chooses.
const PORTS: RangeInclusive<u16> = 30000..=30499;

/// A daemon that listens in every way.
struct Bench {
    daemon: Daemon,
    relay: Namespace,
}

impl Bench {
    fn start() -> Bench {
        let relay = Namespace::new("clients");
        let options = [
            "--table=-1",
            &format!("--interface={HOST}"),
            &format!("--port-min={}", PORTS.start()),
            &format!("--port-max={}", PORTS.end()),
            &format!("--listen-tcp-ng={HOST}:{TCP}"),
            &format!("--listen-http={HOST}:{HTTP}"),
        ];
        let daemon = Daemon::start(&relay, &options);
        Bench { daemon, relay }
    }

    /// What a program comes to that talks to the daemon.
    fn run(&self, command: &mut Command) -> Output {
        output(&self.relay, command)
    }

    /// Runs a program of `tests/clients` with node; it must succeed.
    fn node(&self, script: &str, arguments: &[&str]) {
        let output = self.run(Command::new("node").arg(scripts().join(script)).args(arguments));
        assert_success(&format!("{script} {arguments:?}"), &output, &self.daemon);
    }

    /// Nothing may be left of what the clients did.
    fn end(self) {
        let mut control = self.daemon.control(&self.relay);
        assert!(control.calls().is_empty());
        let is_media = |port: &u16| PORTS.contains(port);
        wait_until("all ports are closed", || {
            !self.relay.udp_ports().iter().any(is_media)
        });
    }
}

/// What a program comes to in a namespace.
fn output(namespace: &Namespace, command: &mut Command) -> Output {
    let pipes = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    namespace.spawn(pipes).wait_with_output().unwrap()
}

fn assert_success(what: &str, output: &Output, daemon: &Daemon) {
    assert!(
        output.status.success(),
        "{what} {}:\n{}{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        daemon.log(),
    );
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Whether a program is there; if not, prints that it is missing.
fn requires(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: this test needs {program} (scripts/setup.sh installs it)");
    }
    found
}

fn requires_node() -> bool {
    if !requires_root() || !requires("node") {
        return false;
    }
    let found = scripts().join("node_modules/rtpengine-client").exists();
    if !found {
        eprintln!("skipped: this test needs the packages of tests/clients (scripts/setup.sh installs them)");
    }
    found
}

#[test]
fn the_npm_client_has_a_call_over_every_transport() {
    if !requires_node() {
        return;
    }
    let bench = Bench::start();
    bench.node("npm.js", &["udp", HOST, UDP]);
    bench.node("npm.js", &["tcp", HOST, TCP]);
    bench.node("npm.js", &["websocket", HOST, HTTP]);
    bench.end();
}

#[test]
fn a_websocket_client_has_a_call_in_every_protocol_and_format() {
    if !requires_node() {
        return;
    }
    let bench = Bench::start();
    for protocol in ["ng.rtpengine.com", "ng-plain.rtpengine.com"] {
        for format in ["json", "bencode"] {
            bench.node("websocket.js", &[protocol, format, HOST, HTTP]);
        }
    }
    bench.end();
}
