//! WebRTC as aiortc does it: ICE, DTLS-SRTP, RTCP multiplexing, bundles. The other end is a phone with plain RTP; both hear
//! each other's tone for ten seconds.

use std::process::Command;

use relay_tests::daemon::Daemon;
use relay_tests::netns::{Namespace, connect, requires_root};

use super::{assert_success, output, scripts};

const RELAY: &str = "10.9.1.1";
const CLIENT: &str = "10.9.1.2";
const NG_PORT: u16 = 2224;
const SECONDS: &str = "10";

/// A call with so many sections (`audio` or `bundle`) in which the client is `offerer` or `answerer`.
fn call(sections: &str, part: &str) {
    let python = scripts().join(".venv/bin/python");
    if !requires_root() {
        return;
    }
    if !python.exists() {
        eprintln!("skipped: this test needs aiortc (scripts/setup.sh installs it)");
        return;
    }
    let (relay, client) = (Namespace::new("relay"), Namespace::new("client"));
    connect((&relay, "r0"), (&client, "c0"));
    relay.ip(&format!("addr add {RELAY}/24 dev r0"));
    client.ip(&format!("addr add {CLIENT}/24 dev c0"));
    let options = [
        "--table=-1",
        &format!("--interface={RELAY}"),
        &format!("--listen-ng={RELAY}:{NG_PORT}"),
    ];
    let daemon = Daemon::start(&relay, &options);
    let mut command = Command::new(python);
    command.arg(scripts().join("webrtc.py")).args([
        &format!("{RELAY}:{NG_PORT}"),
        CLIENT,
        SECONDS,
        sections,
        part,
    ]);
    let output = output(&client, &mut command);
    assert_success("webrtc.py", &output, &daemon);
}

#[test]
fn aiortc_calls_a_phone() {
    call("audio", "offerer");
}

#[test]
fn a_phone_calls_aiortc() {
    call("audio", "answerer");
}

#[test]
fn aiortc_calls_a_phone_with_two_sections_on_one_transport() {
    call("bundle", "offerer");
}

#[test]
fn a_phone_calls_aiortc_with_two_sections_on_one_transport() {
    call("bundle", "answerer");
}
