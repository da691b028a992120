//! What calls ask of the kernel: blocked media, and media that changes hands.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use relay_daemon::clock::Time;

use relay_daemon::datapath::kernel::XdpMode;
use relay_daemon::datapath::userspace::Workers;

use relay_daemon::plan::{
    CallKey, KernelUse, LocalPort, MosModel, Path, Plan, PortId, Progress, StreamId, StreamPlan, StreamStatus,
};
use relay_tests::netns::{requires_root, without_forks};
use relay_tests::packets::rtp;

use super::bench::{Ends, Net, PATIENCE, Relay, Traffic, ipv4};

const EVENT: u8 = 101;

#[test]
fn blocked_media_is_counted_and_its_events_are_relayed() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let sockets = net.relay_in_userspace(ends);
    let mut relay = net.start(XdpMode::Native);
    let mut rule = relay.rule(ends);
    rule.blocked = true;
    rule.userspace_payload_types[usize::from(EVENT / 64)] = 1 << (EVENT % 64);
    relay.slots.claim(rule.port);
    relay.offload_rule(&rule, Path::Kernel);

    let mut traffic = net.traffic(ends);
    for number in 0..10 {
        traffic.send_one();
        traffic.send_datagram(&rtp(EVENT, number, 0, 7, 4));
    }
    for _ in 0..10 {
        let event = traffic.next(PATIENCE).unwrap();
        assert_eq!(event.payload[1], EVENT, "media comes through: {event:?}");
    }
    assert_eq!(sockets.relayed(), 10);
    let counters = relay.counters(ends);
    assert_eq!((counters.packets, counters.dropped), (10, 0));
    assert_ne!(counters.last_seen, 0);

    rule.blocked = false;
    relay.offload_rule(&rule, Path::Kernel);
    traffic.send_one();
    assert_eq!(traffic.next(PATIENCE).unwrap().payload[1] & 0x7f, 8);
    assert_eq!(relay.counters(ends).packets, 11);
}

/// A call with media in the kernel becomes part of another one, on another worker: the media leaves the kernel, comes
/// back, and nothing is lost.
#[test]
fn media_comes_back_into_the_kernel_when_it_has_changed_hands() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let relay = net.start(XdpMode::Native);
    let workers = Workers::start(2, &relay.kernel, |_| ()).unwrap();
    let status = Arc::new(StreamStatus::default());
    let streams = |offset| streams(&relay, ends, &status, offset);
    let sockets = net.relay.run(|| [ends.inner, ends.outer].map(socket));
    let ports = [relay.port(ends.inner), relay.port(ends.outer)];
    for port in ports {
        relay.slots.claim(port);
    }
    let plan = |call, streams| Plan {
        call: CallKey(call),
        revision: 0,
        progress: Progress::default(),
        streams,
        kernel: KernelUse::Allowed,
        reports: None,
        mos: MosModel::default(),
    };
    workers.apply(plan(1, streams(0)), ports.into_iter().zip(sockets).collect());
    workers.wake();
    workers.apply(plan(2, Vec::new()), Vec::new());
    workers.wake();
    let mut traffic = net.traffic(ends);
    send_until_in_kernel(&mut traffic, &status);
    let before = (relay.counters(ends).packets, traffic.stream.sent());

    // Packets are under way while it happens.
    for number in 0..48 {
        traffic.send_one();
        if number == 16 {
            workers.merge(CallKey(1), 20, plan(2, streams(20)), Vec::new());
            workers.wake();
        }
    }
    traffic.send(64);
    send_until_in_kernel(&mut traffic, &status);
    traffic.send(64);
    let sent = traffic.stream.sent();
    let report = traffic.receiver.report(sent);
    assert_eq!((report.lost, report.duplicated, report.corrupted), (0, 0, 0));
    let kernel = relay.counters(ends).packets;
    assert_eq!(kernel + status.packets_in.load(Ordering::Relaxed), sent);
    assert!(
        kernel >= before.0 + 64,
        "{kernel} of {sent} packets, before {before:?}"
    );
    without_forks(|| workers.stop());
}

fn send_until_in_kernel(traffic: &mut Traffic, status: &StreamStatus) {
    let deadline = Instant::now() + PATIENCE;
    while status.path() != Path::Kernel {
        traffic.send(1);
        assert!(Instant::now() < deadline, "the path is {:?}", status.path());
    }
}

fn socket(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// The caller's stream and the callee's, under ids from `offset` on.
fn streams(relay: &Relay, ends: Ends, status: &Arc<StreamStatus>, offset: u32) -> Vec<StreamPlan> {
    let local = |address: SocketAddr| LocalPort {
        id: PortId(relay.port(address).0),
        address,
    };
    let of_caller = StreamPlan {
        remote: Some(ends.caller),
        sinks: [StreamId(offset + 1).into()].into_iter().collect(),
        tos: super::bench::TOS,
        status: Arc::clone(status),
        ..StreamPlan::plain(StreamId(offset), local(ends.inner), Time(1))
    };
    let of_callee = StreamPlan {
        remote: Some(ends.callee),
        tos: super::bench::TOS,
        ..StreamPlan::plain(StreamId(offset + 1), local(ends.outer), Time(1))
    };
    vec![of_caller, of_callee]
}
