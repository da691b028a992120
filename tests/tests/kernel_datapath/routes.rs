//! Next hops follow the host's routing.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use relay_common::slot::PassReason;
use relay_daemon::datapath::kernel::XdpMode;
use relay_daemon::plan::{Path, UserspaceReason};
use relay_tests::capture::Captured;
use relay_tests::daemon::wait_until;
use relay_tests::netns::{Namespace, Offload, connect, requires_root};
use relay_tests::packets::rtp;
use relay_tests::stream::Report;

use super::bench::{Ends, Net, PATIENCE, Relay, addr, ipv4, ipv6, take_turns};

fn because(reason: UserspaceReason) -> Path {
    Path::Userspace(reason)
}

/// Offloads towards another receiver and waits for the path.
fn offload_towards(relay: &mut Relay, receiver: &str, expected: Path) {
    let ends = Ends {
        callee: addr(receiver),
        ..ipv4()
    };
    relay.offload(ends, expected);
}

#[test]
fn a_receiver_that_cannot_be_reached_has_a_reason() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    net.relay.ip("route add blackhole 198.51.100.0/24");
    let mut relay = net.start(XdpMode::Generic);
    offload_towards(&mut relay, "192.0.2.1:5000", because(UserspaceReason::NoRoute));
    offload_towards(&mut relay, "198.51.100.1:5000", because(UserspaceReason::NoRoute));
    offload_towards(
        &mut relay,
        "10.9.1.1:5000",
        because(UserspaceReason::LocalReceiver),
    );
    offload_towards(
        &mut relay,
        "127.0.0.1:5000",
        because(UserspaceReason::LocalReceiver),
    );
    offload_towards(
        &mut relay,
        "10.9.2.77:5000",
        because(UserspaceReason::NoNeighbour),
    );
    offload_towards(&mut relay, "10.9.2.2:5000", Path::Kernel);
}

#[test]
fn a_tunnel_is_unsuitable() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    net.relay
        .ip("link add t0 type vxlan id 1 remote 10.9.2.2 dstport 4789 dev r1");
    net.relay.ip("link set t0 up");
    net.relay.ip("route add 192.0.2.0/24 dev t0");
    let mut relay = net.start(XdpMode::Generic);
    offload_towards(
        &mut relay,
        "192.0.2.1:5000",
        because(UserspaceReason::DeviceUnsuitable),
    );
}

#[test]
fn a_device_that_takes_no_redirected_frames_is_unsuitable() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let sockets = net.relay_in_userspace(ends);
    let mut relay = net.start(XdpMode::Native);
    let port = relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);
    traffic.send(20);

    net.callee.set_offload("d0", Offload::GenericReceive, false);
    relay.wait(port, because(UserspaceReason::DeviceUnsuitable));
    traffic.send(20);
    assert_eq!((relay.counters(ends).packets, sockets.relayed()), (20, 20));

    net.callee.set_offload("d0", Offload::GenericReceive, true);
    relay.wait(port, Path::Kernel);
    traffic.send(20);
    assert_eq!((relay.counters(ends).packets, sockets.relayed()), (40, 20));
    assert_eq!(traffic.receiver.report(60), Report::all_of(60));
}

#[test]
fn generic_mode_redirects_to_any_device() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    net.callee.set_offload("d0", Offload::GenericReceive, false);
    let mut relay = net.start(XdpMode::Generic);
    relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);
    traffic.send(20);
    assert_eq!(traffic.receiver.report(20), Report::all_of(20));
}

#[test]
fn a_new_ethernet_address_is_followed() {
    if !requires_root() {
        return;
    }
    for ends in [ipv4(), ipv6()] {
        let net = Net::new();
        // While the next hop is written anew, packets take the way through userspace.
        let _sockets = net.relay_in_userspace(ends);
        let mut relay = net.start(XdpMode::Native);
        relay.offload(ends, Path::Kernel);
        let mut traffic = net.traffic(ends);
        let before = traffic.send(10);
        assert_eq!(before[0].destination_mac, net.callee.mac("d0"));

        let new = [2, 0, 0, 0, 0xaa, 1];
        net.callee.ip("link set d0 address 02:00:00:00:aa:01");
        net.relay.ip(&format!(
            "neigh replace {} lladdr 02:00:00:00:aa:01 dev r1 nud reachable",
            ends.callee.ip()
        ));
        let after = traffic.send_until(|captured| captured.destination_mac == new);
        assert!(after.udp_checksum_valid);
        traffic.drain();
        let report = traffic.receiver.report(traffic.stream.sent());
        assert_eq!((report.lost, report.duplicated, report.corrupted), (0, 0, 0));
    }
}

/// Neighbours that were looked up go away with their link; those made by hand stay.
fn goes_down_and_up(neighbour: &str) {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    net.callee.ip("link set d0 address 02:00:00:00:aa:01");
    net.relay.ip(&format!(
        "neigh replace 10.9.2.2 lladdr 02:00:00:00:aa:01 dev r1 nud {neighbour}"
    ));
    let mut relay = net.start(XdpMode::Native);
    let port = relay.offload(ends, Path::Kernel);
    net.callee.ip("link set d0 down");
    relay.wait(port, because(UserspaceReason::NoNeighbour));
    net.callee.ip("link set d0 up");
    relay.wait(port, Path::Kernel);
    net.relay.ip("link set r1 down");
    relay.wait(port, because(UserspaceReason::NoRoute));
    net.relay.ip("link set r1 up");
    relay.wait(port, Path::Kernel);
    let mut traffic = net.traffic(ends);
    traffic.send(10);
    assert_eq!(traffic.receiver.report(10), Report::all_of(10));
    assert_eq!(relay.counters(ends).packets, 10);
}

#[test]
fn a_link_that_goes_down_takes_its_routes_along() {
    goes_down_and_up("reachable");
}

#[test]
fn a_link_that_goes_down_takes_routes_to_permanent_neighbours_along() {
    goes_down_and_up("permanent");
}

#[test]
fn routes_and_rules_are_followed() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let far = Ends {
        callee: addr("203.0.113.9:5000"),
        ..ipv4()
    };
    let mut relay = net.start(XdpMode::Native);
    let port = relay.offload(far, because(UserspaceReason::NoRoute));
    net.relay.ip("route add 203.0.113.0/24 via 10.9.2.2");
    relay.wait(port, Path::Kernel);
    net.relay.ip("route replace 203.0.113.0/24 via 10.9.2.99");
    relay.wait(port, because(UserspaceReason::NoNeighbour));
    net.relay
        .ip("route replace 203.0.113.0/24 via inet6 fd09:2::2 dev r1");
    relay.wait(port, Path::Kernel);
    // A table of its own for this TOS, without a way out.
    net.relay.ip("route add unreachable default table 100");
    net.relay.ip("rule add tos 0x10 table 100");
    let mut marked = relay.rule(far);
    marked.tos = 0x10;
    relay.offload_rule(&marked, because(UserspaceReason::NoRoute));
    net.relay.ip("rule del tos 0x10 table 100");
    relay.wait(port, Path::Kernel);
    net.relay.ip("route del 203.0.113.0/24");
    relay.wait(port, because(UserspaceReason::NoRoute));
}

/// Under traffic; no packet is lost, torn or doubled, and none is left behind on the old way for long.
fn goes_by_another_gateway(there: &str, back: &str) {
    const GATEWAY: [u8; 6] = [2, 0, 0, 0, 0xbb, 3];
    if !requires_root() {
        return;
    }
    let _turn = take_turns();
    let (net, ends) = (Net::new(), ipv4());
    net.relay
        .ip("neigh replace 10.9.2.3 lladdr 02:00:00:00:bb:03 dev r1 nud permanent");
    net.relay.ip("route add default via 10.9.2.3 table 100");
    let sockets = net.relay_in_userspace(ends);
    let mut relay = net.start(XdpMode::Native);
    relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);
    let direct = net.callee.mac("d0");
    for _ in 0..5 {
        for (change, mac) in [(there, GATEWAY), (back, direct)] {
            net.relay.ip(change);
            let is_there = |captured: &Captured| captured.destination_mac == mac;
            // Sockets go the new way at once.
            wait_until("the kernel relays there", || {
                let before = relay.counters(ends).packets;
                let captured = traffic.send(1);
                relay.counters(ends).packets > before && captured.iter().all(is_there)
            });
            assert!(traffic.send(40).iter().all(is_there));
        }
    }
    let sent = traffic.stream.sent();
    let report = traffic.receiver.report(sent);
    // A packet that waits for the relay's thread is overtaken by one that does not.
    assert_eq!((report.lost, report.duplicated, report.corrupted), (0, 0, 0));
    assert_eq!(relay.counters(ends).packets + sockets.relayed(), sent);
}

#[test]
fn a_new_route_is_followed_under_traffic() {
    goes_by_another_gateway(
        "route add 10.9.2.2/32 via 10.9.2.3 dev r1",
        "route del 10.9.2.2/32 via 10.9.2.3 dev r1",
    );
}

#[test]
fn a_new_rule_is_followed_under_traffic() {
    goes_by_another_gateway("rule add to 10.9.2.2 table 100", "rule del to 10.9.2.2 table 100");
}

#[test]
fn ports_decide_where_rules_ask_for_them() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let mut relay = net.start(XdpMode::Native);
    let port = relay.offload(ends, Path::Kernel);
    net.relay.ip("route add unreachable default table 100");
    net.relay.ip("rule add ipproto udp dport 5000 table 100");
    relay.wait(port, because(UserspaceReason::NoRoute));
    offload_towards(&mut relay, "10.9.2.2:5002", Path::Kernel);
    net.relay.ip("rule del ipproto udp dport 5000 table 100");
    offload_towards(&mut relay, "10.9.2.2:5000", Path::Kernel);
}

/// Each flow has to leave as the stack would send it, whichever of two gateways that is.
#[test]
fn of_several_gateways_it_is_the_one_that_sockets_use() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let gateways = [
        ("10.9.2.2", "02:00:00:00:bb:02"),
        ("10.9.2.3", "02:00:00:00:bb:03"),
    ];
    for (gateway, mac) in gateways {
        net.relay.ip(&format!(
            "neigh replace {gateway} lladdr {mac} dev r1 nud permanent"
        ));
    }
    net.relay
        .ip("route add 203.0.113.0/24 nexthop via 10.9.2.2 nexthop via 10.9.2.3");
    net.relay.sysctl("ipv4/fib_multipath_hash_policy", "1");
    let gateways_of = |flows: &mut dyn FnMut(Ends) -> [u8; 6]| -> Vec<[u8; 6]> {
        let ends = (5000..5012).map(|port| Ends {
            callee: (Ipv4Addr::new(203, 0, 113, 9), port).into(),
            ..ipv4()
        });
        ends.map(flows).collect()
    };
    let by_sockets = gateways_of(&mut |ends| {
        let _sockets = net.relay_in_userspace(ends);
        net.traffic(ends).send(1)[0].destination_mac
    });
    assert!(
        by_sockets.iter().any(|mac| *mac != by_sockets[0]),
        "{by_sockets:?}"
    );
    let mut relay = net.start(XdpMode::Native);
    let by_kernel = gateways_of(&mut |ends| {
        let rule = relay.rule(ends);
        relay.slots.claim(rule.port);
        relay.offload_rule(&rule, Path::Kernel);
        net.traffic(ends).send(1)[0].destination_mac
    });
    assert_eq!(by_kernel, by_sockets);
}

#[test]
fn an_ipv6_gateway_may_be_link_local() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let far = Ends {
        callee: addr("[2001:db8:9::9]:5000"),
        ..ipv6()
    };
    let mut relay = net.start(XdpMode::Native);
    let port = relay.offload(far, because(UserspaceReason::NoRoute));
    net.callee.ip("addr add fe80::d0/64 dev d0 nodad");
    net.relay.ip("-6 route add 2001:db8:9::/64 via fe80::d0 dev r1");
    relay.wait(port, Path::Kernel);
    let captured = net.traffic(far).send(20);
    assert_eq!(captured.len(), 20);
    assert_eq!(captured[0].destination_mac, net.callee.mac("d0"));
    assert_eq!(relay.counters(far).packets, 20);
}

#[test]
fn what_is_to_be_encrypted_does_not_bypass_ipsec() {
    if !requires_root() {
        return;
    }
    for (ends, length, family) in [(ipv4(), 24, "10.9.2"), (ipv6(), 64, "fd09:2:")] {
        let net = Net::new();
        let mut relay = net.start(XdpMode::Native);
        let port = relay.offload(ends, Path::Kernel);
        let zero = if length == 24 { ".0" } else { ":" };
        let selector = format!(
            "src {}/{} dst {family}{zero}/{length} proto udp dir out",
            ends.outer.ip(),
            length
        );
        net.relay.ip(&format!(
            "xfrm policy add {selector} tmpl src {} dst {} proto esp mode tunnel",
            ends.outer.ip(),
            ends.callee.ip()
        ));
        relay.wait(port, because(UserspaceReason::DeviceUnsuitable));
        net.relay.ip(&format!("xfrm policy del {selector}"));
        relay.wait(port, Path::Kernel);
        // Of other packets, or that lets packets pass.
        net.relay
            .ip("xfrm policy add src 192.0.2.1 dst 192.0.2.2 dir out action block");
        net.relay.ip(&format!("xfrm policy add {selector} action allow"));
        let mut other = relay.rule(ends);
        other.tos = 4;
        relay.offload_rule(&other, Path::Kernel);
    }
}

#[test]
fn a_neighbour_that_comes_late_is_found() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let late = Ends {
        callee: addr("10.9.2.3:5000"),
        ..ipv4()
    };
    let mut relay = net.start(XdpMode::Native);
    let port = relay.offload(late, because(UserspaceReason::NoNeighbour));
    net.callee.ip("addr add 10.9.2.3/24 dev d0");
    relay.wait(port, Path::Kernel);
}

#[test]
fn packets_larger_than_the_path_go_through_userspace() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let mut relay = net.start(XdpMode::Native);
    relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);
    traffic.send(10);
    assert_eq!(relay.counters(ends).packets, 10);
    // RTP of 172 bytes no longer fits; the socket's packets leave in fragments, which nobody captures.
    net.relay.ip("route add 10.9.2.2/32 dev r1 mtu 150");
    let deadline = Instant::now() + PATIENCE;
    while relay.kernel.pass_counters().of(PassReason::TooBig) == 0 {
        assert!(Instant::now() < deadline, "the route's MTU is not followed");
        traffic.send_one();
    }
    let before = relay.counters(ends).packets;
    net.relay.ip("route del 10.9.2.2/32 dev r1");
    traffic.send_until(|_| relay.counters(ends).packets > before);
}

/// Where the receiver is, behind a link that takes only 1280 bytes: the callee is the router before it.
fn behind_a_narrow_link(net: &Net) -> Namespace {
    let far = Namespace::new("far");
    connect((&net.callee, "e0"), (&far, "f0"));
    for (namespace, device, v4, v6) in [
        (&net.callee, "e0", "203.0.113.1/24", "2001:db8:9::1/64"),
        (&far, "f0", "203.0.113.9/24", "2001:db8:9::9/64"),
    ] {
        namespace.ip(&format!("link set {device} mtu 1280"));
        namespace.ip(&format!("addr add {v4} dev {device}"));
        namespace.ip(&format!("addr add {v6} dev {device} nodad"));
    }
    net.callee.sysctl("ipv4/ip_forward", "1");
    net.callee.sysctl("ipv6/conf/all/forwarding", "1");
    far.ip("route add default via 203.0.113.1");
    far.ip("-6 route add default via 2001:db8:9::1");
    net.relay.ip("route add 203.0.113.0/24 via 10.9.2.2");
    net.relay.ip("-6 route add 2001:db8:9::/64 via fd09:2::2");
    far
}

/// The first large packet is lost, as with sockets; a moment later they come through, in fragments.
#[test]
fn a_lower_mtu_on_the_path_is_followed_at_once() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let far = behind_a_narrow_link(&net);
    for (ends, callee) in [(ipv4(), "203.0.113.9:5000"), (ipv6(), "[2001:db8:9::9]:5000")] {
        let ends = Ends {
            callee: addr(callee),
            ..ends
        };
        let _sockets = net.relay_in_userspace(ends);
        let receiver = far.run(|| UdpSocket::bind(ends.callee).unwrap());
        receiver
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let sender = net.caller.run(|| UdpSocket::bind(ends.caller).unwrap());
        let mut relay = net.start(XdpMode::Native);
        relay.offload(ends, Path::Kernel);
        let mut sent = 0;
        // What is still to be heard of how all this was made is no help any more.
        for _ in 0..50 {
            sender.send_to(&rtp(8, sent, 0, 7, 160), ends.inner).unwrap();
            sent += 1;
            while receiver.recv(&mut [0; 2048]).is_err() {}
            std::thread::sleep(Duration::from_millis(10));
        }
        let (begin, small) = (Instant::now(), sent);
        loop {
            sender.send_to(&rtp(8, sent, 0, 7, 1400), ends.inner).unwrap();
            sent += 1;
            if receiver.recv(&mut [0; 2048]).is_ok_and(|length| length == 1412) {
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "no packet of {sent} came through");
        }
        assert!(sent > small + 1, "the link is not narrow");
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "after {:?} only",
            begin.elapsed()
        );
        assert!(relay.kernel.pass_counters().of(PassReason::TooBig) > 0);
        // Small ones still go through the kernel.
        let before = relay.counters(ends).packets;
        sender.send_to(&rtp(8, sent, 0, 7, 160), ends.inner).unwrap();
        wait_until("a small packet is relayed", || {
            relay.counters(ends).packets > before
        });
    }
}

#[test]
fn neighbours_are_kept_and_let_go() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let neighbours = || net.relay.ip("neigh show dev r1");
    let mut relay = net.start(XdpMode::Native);
    relay.offload(ends, Path::Kernel);
    relay.offload(ipv6(), Path::Kernel);
    assert_eq!(neighbours().matches("managed").count(), 2, "{}", neighbours());
    drop(relay);
    assert_eq!(neighbours().matches("managed").count(), 0, "{}", neighbours());
}

#[test]
fn a_permanent_neighbour_stays_permanent() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    net.relay
        .ip("neigh replace 10.9.2.2 lladdr 02:00:00:00:aa:01 dev r1 nud permanent");
    let mut relay = net.start(XdpMode::Native);
    relay.offload(ends, Path::Kernel);
    drop(relay);
    let neighbours = net.relay.ip("neigh show dev r1");
    assert!(neighbours.contains("PERMANENT"), "{neighbours}");
}
