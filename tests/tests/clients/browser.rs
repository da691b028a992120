//! Browsers (Chromium): sound and pictures both ways for ten seconds, judged by their samples.

use std::process::Command;

use relay_tests::daemon::{Daemon, SERVER};
use relay_tests::lab::Lab;

use super::{assert_success, output, requires, requires_node, scripts};

const RELAY: [&str; 2] = ["10.9.1.1", "10.9.2.1"];

/// A call that a script makes. Its arguments depend on the network.
fn call(script: &str, arguments: impl Fn(&Lab) -> Vec<String>) {
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
        .arg(scripts().join("browser").join(script))
        .args(arguments(&lab));
    let output = output(&lab.relay, &mut command);
    assert_success(script, &output, &daemon);
    assert!(daemon.control(&lab.relay).calls().is_empty());
}

/// Two browsers; ICE and DTLS end where `manner` says, see `tests/clients/browser/pair.js`.
fn pair(manner: &str) {
    call("pair.js", |lab| {
        let ends = [lab.caller.name(), lab.callee.name(), RELAY[0], RELAY[1]];
        [manner, SERVER]
            .iter()
            .chain(&ends)
            .map(|text| (*text).to_owned())
            .collect()
    });
}

#[test]
fn browsers_bundle_towards_the_relay() {
    pair("bundled");
}

#[test]
fn browsers_reach_each_other_by_the_relays_candidates_alone() {
    pair("passed");
}

#[test]
fn browsers_bundle_from_end_to_end() {
    pair("passed-bundled");
}

#[test]
fn a_browser_moves() {
    moves("full");
}

#[test]
fn a_browser_moves_while_the_relay_is_lite() {
    moves("lite");
}

/// A browser talks to a phone beside the relay, gets another address and restarts ICE.
fn moves(manner: &str) {
    call("move.js", |lab| {
        [manner, SERVER, lab.caller.name(), RELAY[0], RELAY[1]]
            .map(str::to_owned)
            .into()
    });
}

/// The phone is beside the relay, at its outer address.
#[test]
fn a_browser_tells_sections_of_a_plain_phone_apart() {
    call("echo.js", |lab| {
        [SERVER, lab.caller.name(), RELAY[0], RELAY[1]]
            .map(str::to_owned)
            .into()
    });
}
