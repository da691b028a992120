//! What a receiver sees is the same by whatever path it came.

use std::net::UdpSocket;

use relay_common::slot::PassReason;
use relay_daemon::datapath::kernel::XdpMode;
use relay_daemon::plan::Path;
use relay_tests::capture::Captured;
use relay_tests::netns::{Offload, requires_root};
use relay_tests::stream::Report;

use super::bench::{Ends, Net, PATIENCE, TOS, addr, ipv4, ipv6};

const PACKETS: u64 = 500;

/// Sends a stream through the program and checks that no packet took another way.
fn through_the_kernel(net: &Net, ends: Ends, mode: XdpMode) -> Vec<Captured> {
    let sockets = net.relay_in_userspace(ends);
    let mut relay = net.start(mode);
    relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);
    let captured = traffic.send(PACKETS);
    assert_eq!(traffic.receiver.report(PACKETS), Report::all_of(PACKETS));
    assert_eq!(sockets.relayed(), 0);
    let counters = relay.counters(ends);
    assert_eq!((counters.packets, counters.bytes), (PACKETS, PACKETS * 172));
    assert_eq!((counters.passed, counters.dropped), (0, 0));
    let ssrc = counters.ssrcs[0];
    assert_eq!((ssrc.ssrc, ssrc.packets), (0x1234_5678, PACKETS));
    assert_eq!((ssrc.lost(), ssrc.reordered, ssrc.duplicates), (0, 0, 0));
    assert_eq!(u64::from(ssrc.highest_sequence), PACKETS - 1);
    captured
}

fn through_sockets(net: &Net, ends: Ends) -> Vec<Captured> {
    let sockets = net.relay_in_userspace(ends);
    let mut traffic = net.traffic(ends);
    let captured = traffic.send(PACKETS);
    assert_eq!(traffic.receiver.report(PACKETS), Report::all_of(PACKETS));
    assert_eq!(sockets.relayed(), PACKETS);
    captured
}

fn looks_the_same_by_every_path(ends: Ends) {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let sockets = through_sockets(&net, ends);
    for captured in &sockets {
        assert_eq!((captured.source, captured.destination), (ends.outer, ends.callee));
        assert_eq!((captured.tos, captured.ttl), (TOS, 64));
        assert!(captured.dont_fragment && captured.header_checksum_valid && captured.udp_checksum_valid);
        assert_eq!(captured.source_mac, net.relay.mac("r1"));
        assert_eq!(captured.destination_mac, net.callee.mac("d0"));
    }
    assert_eq!(through_the_kernel(&net, ends, XdpMode::Generic), sockets);
    assert_eq!(through_the_kernel(&net, ends, XdpMode::Native), sockets);
}

#[test]
fn an_ipv4_stream_looks_the_same_by_every_path() {
    looks_the_same_by_every_path(ipv4());
}

#[test]
fn an_ipv6_stream_looks_the_same_by_every_path() {
    looks_the_same_by_every_path(ipv6());
}

/// What the host, a device or a route says of the TTL holds for the program as for sockets.
#[test]
fn the_ttl_is_that_of_sockets() {
    if !requires_root() {
        return;
    }
    let ttls = |net: &Net, ends: Ends| {
        let by_sockets = through_sockets(net, ends);
        let by_kernel = through_the_kernel(net, ends, XdpMode::Native);
        assert!(by_kernel.iter().all(|captured| captured.header_checksum_valid));
        [by_sockets, by_kernel].map(|captured| captured[0].ttl)
    };
    let net = Net::new();
    net.relay.sysctl("ipv4/ip_default_ttl", "99");
    net.relay.sysctl("ipv6/conf/r1/hop_limit", "55");
    assert_eq!(ttls(&net, ipv4()), [99, 99]);
    assert_eq!(ttls(&net, ipv6()), [55, 55]);
    net.relay.ip("route add 10.9.2.2/32 dev r1 hoplimit 33");
    net.relay.ip("-6 route add fd09:2::2/128 dev r1 hoplimit 22");
    assert_eq!(ttls(&net, ipv4()), [33, 33]);
    assert_eq!(ttls(&net, ipv6()), [22, 22]);
}

/// A neighbouring container sends with its device's checksum offload on, which on a veth nobody does.
fn is_delivered_with_checksum_offload(ends: Ends, mode: XdpMode) {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    net.caller.set_offload("c0", Offload::TransmitChecksum, true);
    let sockets = net.relay_in_userspace(ends);
    let mut relay = net.start(mode);
    relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);
    let captured = traffic.send(PACKETS);
    assert_eq!(traffic.receiver.report(PACKETS), Report::all_of(PACKETS));
    assert!(captured.iter().all(|captured| captured.udp_checksum_valid));
    // By one of the two ways, each packet.
    let partial = relay.kernel.pass_counters().of(PassReason::PartialChecksum);
    assert_eq!(sockets.relayed(), partial);
    assert_eq!(relay.counters(ends).packets + partial, PACKETS);
}

#[test]
fn ipv4_with_checksum_offload_is_delivered_in_generic_mode() {
    is_delivered_with_checksum_offload(ipv4(), XdpMode::Generic);
}

#[test]
fn ipv4_with_checksum_offload_is_delivered_in_native_mode() {
    is_delivered_with_checksum_offload(ipv4(), XdpMode::Native);
}

#[test]
fn ipv6_with_checksum_offload_is_delivered_in_native_mode() {
    is_delivered_with_checksum_offload(ipv6(), XdpMode::Native);
}

#[test]
fn ipv4_becomes_ipv6_in_the_kernel() {
    becomes_another_version_in_the_kernel(ipv4(), ipv6());
}

#[test]
fn ipv6_becomes_ipv4_in_the_kernel() {
    becomes_another_version_in_the_kernel(ipv6(), ipv4());
}

fn becomes_another_version_in_the_kernel(from: Ends, to: Ends) {
    if !requires_root() {
        return;
    }
    let ends = Ends {
        outer: to.outer,
        callee: to.callee,
        ..from
    };
    let net = Net::new();
    let captured = through_the_kernel(&net, ends, XdpMode::Native);
    for captured in &captured {
        assert_eq!((captured.source, captured.destination), (ends.outer, ends.callee));
        assert!(captured.udp_checksum_valid);
    }
}

/// Caller and callee behind the same device.
#[test]
fn a_stream_may_leave_as_it_came() {
    if !requires_root() {
        return;
    }
    let ends = Ends {
        outer: addr("10.9.1.1:30002"),
        callee: addr("10.9.1.2:5000"),
        ..ipv4()
    };
    let net = Net::new();
    let mut relay = net.start(XdpMode::Native);
    relay.offload(ends, Path::Kernel);
    let callee = net.caller.run(|| UdpSocket::bind(ends.callee)).unwrap();
    callee.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut traffic = net.traffic(ends);
    for _ in 0..PACKETS {
        traffic.send_one();
        let mut buffer = [0; 2048];
        let (length, source) = callee.recv_from(&mut buffer).unwrap();
        assert_eq!(source, ends.outer);
        traffic.receiver.take(&buffer[..length]);
    }
    assert_eq!(traffic.receiver.report(PACKETS), Report::all_of(PACKETS));
    assert_eq!(relay.counters(ends).packets, PACKETS);
}
