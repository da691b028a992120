//! Frames that come another way than those of the local address: the stack decides about them, and the program relays none.

use std::net::UdpSocket;

use relay_common::slot::{Counters, PassReason};
use relay_daemon::datapath::kernel::XdpMode;
use relay_daemon::plan::Path;
use relay_tests::capture::send_frame;
use relay_tests::netns::requires_root;
use relay_tests::packets::{Frame, rtp};

use super::bench::{Net, PATIENCE, Relay, ipv4};

const PACKETS: u64 = 20;

/// A frame of the call, for the relay's device.
fn frame(net: &Net, sequence: u16) -> Frame {
    let ends = ipv4();
    let mut frame = Frame::new(ends.caller, ends.inner, rtp(8, sequence, 0, 7, 160));
    frame.destination_mac = mac(&net.relay.ip("link show r0"));
    frame
}

fn mac(link: &str) -> [u8; 6] {
    let mut words = link.split_whitespace().skip_while(|word| *word != "link/ether");
    let bytes = words.nth(1).unwrap().split(':');
    let bytes: Vec<u8> = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// What the program does with frames from the caller's device.
fn counted(net: &Net, relay: &Relay, change: impl Fn(&mut Frame)) -> (Counters, u64) {
    let passes = || {
        let passes = relay.kernel.pass_counters();
        passes.of(PassReason::NotOurs) + passes.of(PassReason::OtherHost)
    };
    let before = passes();
    for number in 0..PACKETS {
        let mut frame = frame(net, u16::try_from(number).unwrap());
        change(&mut frame);
        net.caller.run(|| send_frame("c0", &frame.bytes()));
    }
    (relay.counters(ipv4()), passes() - before)
}

#[test]
fn frames_that_are_not_for_the_host_are_not_relayed() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let _sockets = net.relay_in_userspace(ends);
    let mut relay = net.start(XdpMode::Native);
    relay.offload(ends, Path::Kernel);
    let (counters, _) = counted(&net, &relay, |_| {});
    assert_eq!(counters.packets, PACKETS, "the frame is right");

    for (what, change) in [
        (
            "another host's",
            (|frame| frame.destination_mac = [2, 9, 9, 9, 9, 9]) as fn(&mut Frame),
        ),
        ("multicast", |frame| frame.destination_mac = [1, 0, 0x5e, 9, 1, 1]),
        ("broadcast", |frame| frame.destination_mac = [0xff; 6]),
        ("another VLAN's", |frame| frame.vlans = vec![(0x8100, 200)]),
        ("another service's", |frame| {
            frame.vlans = vec![(0x88a8, 200), (0x8100, 5)]
        }),
    ] {
        let (counters, passed) = counted(&net, &relay, change);
        assert_eq!((counters.packets, counters.passed), (PACKETS, 0), "{what}");
        assert!(passed >= PACKETS, "{what}: {passed}");
    }
}

/// The stack takes them: the host is one.
#[test]
fn packets_for_the_address_of_another_device_are_left_to_the_stack() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let mut relay = net.start(XdpMode::Native);
    // The caller sends to the relay's other address, by the device that does not have it.
    net.caller.ip("route replace 10.9.2.1/32 via 10.9.1.1");
    let mut rule = relay.rule(ends);
    (rule.local, rule.port) = (ends.outer, relay.port(ends.outer));
    let socket = net.relay.run(|| UdpSocket::bind(ends.outer).unwrap());
    relay.slots.claim(rule.port);
    relay.offload_rule(&rule, Path::Kernel);
    let caller = net.caller.run(|| UdpSocket::bind(ends.caller).unwrap());
    caller.send_to(&rtp(8, 1, 2, 3, 160), ends.outer).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.recv(&mut [0; 2048]).unwrap();
    let counters = relay.slots.counters(rule.port);
    assert_eq!((counters.packets, counters.passed), (0, 0));
}
