//! Packets that nobody expects: few of them reach userspace, and none of the others is lost by it.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use relay_common::slot::DropReason;
use relay_daemon::datapath::kernel::{FloodLimits, KernelConfig, XdpMode};
use relay_daemon::plan::Path;
use relay_daemon::session::Expected;
use relay_tests::netns::requires_root;
use relay_tests::packets::rtp;

use super::bench::{Net, addr, config, ipv4};

/// So many a second.
const LIMIT: u32 = 100;

/// Packets of a flood. They are sent within a moment.
const FLOOD: u64 = 20_000;

/// One of each kind that is told apart: STUN, DTLS, RTCP, RTP, and none of these.
fn kinds() -> [Vec<u8>; 5] {
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let dtls = [&[22, 0xfe, 0xfd][..], &[0; 40]].concat();
    let report = [&[0x80, 200, 0, 6][..], &[0; 24]].concat();
    [stun, dtls, report, rtp(8, 1, 2, 3, 160), vec![0xff; 100]]
}

/// Sends a flood; says how long that took, in seconds begun.
fn flood(stranger: &UdpSocket, to: SocketAddr) -> u64 {
    let (start, kinds) = (Instant::now(), kinds());
    for packet in kinds.iter().cycle().take(usize::try_from(FLOOD).unwrap()) {
        stranger.send_to(packet, to).unwrap();
    }
    start.elapsed().as_secs() + 1
}

/// How many of a flood of so many seconds may come through: what was in the bucket, too.
fn allowed(seconds: u64) -> u64 {
    (seconds + 1) * u64::from(LIMIT)
}

fn limited(net: &Net) -> super::bench::Relay {
    let limited = KernelConfig {
        floods: FloodLimits {
            port: LIMIT,
            network: 0,
            drop_unclaimed: true,
        },
        ..config(XdpMode::Native, &["10.9.1.1", "10.9.2.1"])
    };
    net.start_with(limited).unwrap()
}

#[test]
fn strangers_get_no_further_than_the_program() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let sockets = net.relay_in_userspace(ends);
    let mut relay = limited(&net);
    let port = relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);
    traffic.send(50);
    let stranger = net.caller.run(|| UdpSocket::bind("10.9.1.2:4001").unwrap());

    let seconds = flood(&stranger, ends.inner);
    traffic.send(200);
    let of_kernel = relay.slots.counters(port);
    assert!(of_kernel.limited >= FLOOD - allowed(seconds), "{of_kernel:?}");
    assert!(of_kernel.passed <= allowed(seconds), "{of_kernel:?}");

    // The media goes through userspace for another reason: the flood still does not.
    relay.slots.expect(port, Expected::Source(ends.caller));
    relay.offloader.withdraw(port);
    let before = sockets.relayed();
    let seconds = flood(&stranger, ends.inner);
    traffic.send(200);
    let of_userspace = relay.slots.counters(port);
    let through = sockets.relayed() - before;
    assert!((200..=200 + allowed(seconds)).contains(&through), "{through}");
    let limited = of_userspace.limited - of_kernel.limited;
    assert!(limited >= FLOOD - allowed(seconds), "{of_userspace:?}");

    traffic.drain();
    let sent = traffic.stream.sent();
    assert_eq!((traffic.receiver.report(sent).lost, sent), (0, 450));
    let dropped = relay.kernel.drop_counters();
    assert_eq!(dropped.of(DropReason::PortLimit), of_userspace.limited);
    assert_eq!(dropped.of(DropReason::PrefixLimit), 0);
}

/// The stack takes them, for the host is one; but the program does not count them among those of the call.
#[test]
fn strangers_get_no_further_by_a_device_that_does_not_have_the_address() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let relay = limited(&net);
    net.caller.ip("route replace 10.9.2.1/32 via 10.9.1.1");
    let port = relay.port(ends.outer);
    let socket = net.relay.run(|| UdpSocket::bind(ends.outer).unwrap());
    socket2::SockRef::from(&socket)
        .set_recv_buffer_size(32 << 20)
        .unwrap();
    relay.slots.claim(port);
    let stranger = net.caller.run(|| UdpSocket::bind("10.9.1.2:4001").unwrap());
    let seconds = flood(&stranger, ends.outer);
    socket.set_nonblocking(true).unwrap();
    let mut through = 0;
    while socket.recv(&mut [0; 2048]).is_ok() {
        through += 1;
    }
    assert!(
        (1..=allowed(seconds)).contains(&through),
        "{through} in {seconds} s"
    );
    let counters = relay.slots.counters(port);
    assert!(counters.limited >= FLOOD - allowed(seconds), "{counters:?}");
    assert_eq!((counters.packets, counters.passed), (0, 0));
}

#[test]
fn what_comes_to_unclaimed_ports_is_dropped_if_wanted() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let relay = limited(&net);
    // As for any port of the relay without a socket, were it not for the program.
    let stranger = net.caller.run(|| UdpSocket::bind("10.9.1.2:4001").unwrap());
    stranger.connect(ends.inner).unwrap();
    for packet in kinds() {
        stranger.send(&packet).unwrap();
    }
    let of_range = relay.kernel.drop_counters().of(DropReason::Unclaimed);
    assert_eq!(of_range, 5);
    // Beyond the range the stack answers that nobody is there.
    stranger.connect(addr("10.9.1.1:30100")).unwrap();
    stranger.send(b"hello").unwrap();
    stranger.set_read_timeout(Some(super::bench::PATIENCE)).unwrap();
    let error = stranger.recv(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(relay.kernel.drop_counters().of(DropReason::Unclaimed), 5);
}
