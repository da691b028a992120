//! Rules come and go under traffic, and no packet is lost.

use std::net::SocketAddr;
use std::thread;

use relay_common::slot::PassReason;
use relay_daemon::datapath::kernel::XdpMode;
use relay_daemon::plan::Path;
use relay_tests::netns::requires_root;
use relay_tests::stream::Report;

use super::bench::{Net, TOS, ipv4, take_turns};

#[test]
fn a_port_without_a_rule_passes_to_its_socket() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let sockets = net.relay_in_userspace(ends);
    let mut relay = net.start(XdpMode::Native);
    let mut traffic = net.traffic(ends);
    let passed = |relay: &super::bench::Relay| {
        let counters = relay.kernel.pass_counters();
        (
            counters.of(PassReason::Unclaimed),
            counters.of(PassReason::NotOffloaded),
        )
    };

    traffic.send(10);
    assert_eq!(passed(&relay), (10, 0));
    let port = relay.port(ends.inner);
    relay.slots.claim(port);
    traffic.send(10);
    assert_eq!(passed(&relay), (10, 10));
    assert_eq!(sockets.relayed(), 20);

    relay.offload(ends, Path::Kernel);
    traffic.send(10);
    assert_eq!((sockets.relayed(), relay.counters(ends).packets), (20, 10));

    relay.offloader.withdraw(port);
    traffic.send(10);
    assert_eq!(passed(&relay), (10, 20));
    assert_eq!(
        (sockets.relayed(), relay.counters(ends).packets),
        (30, 10),
        "counters stay"
    );

    relay.slots.unclaim(port);
    traffic.send(10);
    assert_eq!(passed(&relay), (20, 20));
    relay.slots.claim(port);
    assert_eq!(relay.counters(ends).packets, 0);
    assert_eq!(traffic.receiver.report(50), Report::all_of(50));
}

#[test]
fn rules_change_under_traffic() {
    const CHANGES: u16 = 60;
    if !requires_root() {
        return;
    }
    let _turn = take_turns();
    let (net, ends) = (Net::new(), ipv4());
    let sockets = net.relay_in_userspace(ends);
    let mut relay = net.start(XdpMode::Native);
    let port = relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);

    // Each rule has a TOS and a port that belong together; so do the sockets of the relay.
    let destination = |number: u16| SocketAddr::new(ends.callee.ip(), 5000 + number);
    let (captured, relay) = thread::scope(|scope| {
        let changing = scope.spawn(move || {
            for number in 1..=CHANGES {
                let mut rule = relay.rule(ends);
                rule.new_destination = destination(number);
                rule.tos = tos(number);
                match number % 3 {
                    // In place of the last one, which went into force this moment.
                    0 => relay.offload_rule(&rule, Path::Kernel),
                    // Replaced before it is in force.
                    1 => drop(relay.offloader.offload(&rule)),
                    _ => {
                        relay.offloader.withdraw(port);
                        relay.offload_rule(&rule, Path::Kernel);
                    }
                }
            }
            relay
        });
        let mut captured = Vec::new();
        while !changing.is_finished() {
            captured.extend(traffic.send(64));
        }
        (captured, changing.join().unwrap())
    });

    let sent = traffic.stream.sent();
    let report = traffic.receiver.report(sent);
    // A packet that waits for the relay's thread is overtaken by one that does not.
    assert_eq!((report.lost, report.duplicated, report.corrupted), (0, 0, 0));
    for captured in &captured {
        let number = captured.destination.port() - 5000;
        let is_whole = captured.tos == if number == 0 { TOS } else { tos(number) };
        assert!(
            is_whole && captured.udp_checksum_valid,
            "a torn rule: {captured:?}"
        );
    }
    let kernel = relay.counters(ends).packets;
    assert_eq!(kernel + sockets.relayed(), sent);
    assert!(kernel > 0 && sockets.relayed() > 0, "both paths were used");
}

fn tos(number: u16) -> u8 {
    u8::try_from(number % 60).unwrap() << 2
}
