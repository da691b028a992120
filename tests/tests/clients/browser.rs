//! Two browsers (Chromium) in two networks: sound and pictures both ways for ten seconds, judged by their samples.

use std::process::{Command, Stdio};

use relay_tests::daemon::{Daemon, SERVER};
use relay_tests::lab::Lab;

use super::{requires, requires_node, scripts};

const RELAY: [&str; 2] = ["10.9.1.1", "10.9.2.1"];

/// A call in which ICE and DTLS end where `manner` says, see `tests/clients/browser/pair.js`.
fn call(manner: &str) {
    if !requires_node() || !requires("chromium") {
        return;
    }
    let lab = Lab::new();
    let options = [
        "--table=0",
        "--no-fallback",
        &format!("--interface=inner/{}", RELAY[0]),
        &format!("--interface=outer/{}", RELAY[1]),
    ];
    let daemon = Daemon::start(&lab.relay, &options);
    let mut command = Command::new("node");
    command
        .arg(scripts().join("browser/pair.js"))
        .args([manner, SERVER, lab.caller.name(), lab.callee.name()])
        .args(RELAY)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = lab.relay.spawn(&mut command).wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}:\n{}{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        daemon.log(),
    );
    assert!(daemon.control(&lab.relay).calls().is_empty());
}

#[test]
fn browsers_bundle_towards_the_relay() {
    call("bundled");
}

#[test]
fn browsers_reach_each_other_by_the_relays_candidates_alone() {
    call("passed");
}

#[test]
fn browsers_bundle_from_end_to_end() {
    call("passed-bundled");
}
