//! The daemon itself, a call through it, and what its statistics say of that.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod common;

use std::time::{Duration, Instant};

use common::{Daemon, at, integer, media_port, phone};
use relay_common::ng::Dictionary;

#[test]
fn a_call_is_in_the_statistics_while_it_lasts_and_afterwards() {
    let mut daemon = Daemon::start(&["--max-sessions=1"]);
    let ip = daemon.ip();
    let ((alice, offer), (bob, answer)) = (phone(&ip), phone(&ip));
    let tags = [("call-id", "c"), ("from-tag", "a"), ("to-tag", "b")];
    let reply = daemon.ask("offer", &[&tags[..2], &[("sdp", &offer)]].concat());
    let for_bob = media_port(&reply);
    let reply = daemon.ask("answer", &[&tags[..], &[("sdp", &answer)]].concat());
    let for_alice = media_port(&reply);
    let mut packet = *b"\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01payload";
    for number in 0..10 {
        packet[3] = number;
        alice.send_to(&packet, (ip.as_str(), for_alice)).unwrap();
        let mut received = [0; 100];
        let (length, from) = bob.recv_from(&mut received).unwrap();
        assert_eq!((&received[..length], from.port()), (&packet[..], for_bob));
    }
    daemon.ask("offer", &[("call-id", "d"), ("from-tag", "a"), ("sdp", &offer)]);

    let tree = daemon.ask("statistics", &[]);
    let current = |key| integer(&tree, &["statistics", "currentstatistics", key]);
    assert_eq!((current("sessionstotal"), current("media_userspace")), (1, 1));
    let totals = ["statistics", "totalstatistics"];
    let total = |tree: &Dictionary, key| integer(tree, &[&totals[..], &[key]].concat());
    assert_eq!(
        [
            total(&tree, "relayedpackets_user"),
            total(&tree, "relayedbytes"),
            total(&tree, "managedsessions"),
            total(&tree, "rejectedsessions")
        ],
        [10, 10 * 19, 0, 1]
    );
    let control = ["statistics", "controlstatistics"];
    let count = |key| integer(&tree, &[&control[..], &[key]].concat());
    assert_eq!((count("totaloffercount"), count("totalanswercount")), (2, 1));
    let proxies = at(&tree, &[&control[..], &["proxies"]].concat()).list().unwrap();
    let proxy = proxies[0].dictionary().unwrap();
    assert_eq!(proxy.find("proxy").unwrap().text().unwrap(), ip);
    assert_eq!(integer(proxy, &["errorcount"]), 1);
    let interfaces = at(&tree, &["statistics", "interfaces"]).list().unwrap();
    let interface = interfaces[0].dictionary().unwrap();
    let ports = |key| integer(interface, &["ports", key]);
    assert_eq!(
        [ports("min"), ports("max"), ports("used"), ports("free")],
        [30000, 30099, 4, 96]
    );
    assert_eq!(integer(interface, &["ingress", "packets"]), 10);
    // A packet counts as sent when the system has taken it: its receiver may be faster than that.
    let sent = |daemon: &mut Daemon| {
        let tree = daemon.ask("statistics", &[]);
        let interfaces = at(&tree, &["statistics", "interfaces"]).list().unwrap();
        integer(interfaces[0].dictionary().unwrap(), &["egress", "packets"])
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while sent(&mut daemon) < 10 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(sent(&mut daemon), 10);

    let page = ureq::get(format!("http://{}/metrics", daemon.http))
        .call()
        .unwrap();
    let page = page.into_body().read_to_string().unwrap();
    for line in [
        "rtpengine_packets_total{type=\"userspace\"} 10",
        "rtpengine_sessions{type=\"own\"} 1",
        "relay_flows_userspace{reason=\"no packet yet\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }

    daemon.ask(
        "delete",
        &[("call-id", "c"), ("from-tag", "a"), ("delete-delay", "0")],
    );
    let tree = daemon.ask("statistics", &[]);
    assert_eq!(
        integer(&tree, &["statistics", "currentstatistics", "sessionstotal"]),
        0
    );
    assert_eq!(
        [
            total(&tree, "managedsessions"),
            total(&tree, "regularterminatedsessions"),
            total(&tree, "onewaystreams"),
            total(&tree, "relayedpackets")
        ],
        [1, 1, 1, 10]
    );
}

/// Rates come from samples of a second: they are there in the end, and gone again.
#[test]
fn rates_are_measured() {
    let mut daemon = Daemon::start(&[]);
    let ip = daemon.ip();
    let ((alice, offer), (bob, answer)) = (phone(&ip), phone(&ip));
    daemon.ask("offer", &[("call-id", "c"), ("from-tag", "a"), ("sdp", &offer)]);
    let tags = [("call-id", "c"), ("from-tag", "a"), ("to-tag", "b")];
    let reply = daemon.ask("answer", &[&tags[..], &[("sdp", &answer)]].concat());
    let port = media_port(&reply);
    let rate = |daemon: &mut Daemon| {
        let tree = daemon.ask("statistics", &[]);
        integer(&tree, &["statistics", "currentstatistics", "packetrate_user"])
    };
    let packet = *b"\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01payload";
    loop {
        alice.send_to(&packet, (ip.as_str(), port)).unwrap();
        bob.recv(&mut [0; 100]).unwrap();
        if rate(&mut daemon) > 0 {
            break;
        }
    }
    while rate(&mut daemon) > 0 {
        std::thread::yield_now();
    }
}
