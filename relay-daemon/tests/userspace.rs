//! Real sockets on the loopback interface: two parties, a worker between them, a plan made by hand.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use relay_daemon::clock::Time;
use relay_daemon::datapath::kernel::{Kernel, LocalPorts};
use relay_daemon::datapath::userspace::Workers;
use relay_daemon::host::{AddressId, Host, PortCount};
use relay_daemon::plan::{
    CallKey, KernelUse, Learned, Learning, LocalPort, Path, Payloads, Plan, PortId, SourcePolicy, StreamId,
    StreamKind, StreamPlan, StreamStatus, UserspaceReason,
};
use relay_daemon::ports::{DaemonHost, PortPool};
use smallvec::SmallVec;

const RTP: [u8; 16] = [0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, b'a', b'b', b'c', b'd'];
const RTCP: [u8; 8] = [0x80, 201, 0, 1, 1, 2, 3, 4];

#[test]
fn rtp_and_rtcp_go_both_ways_over_ipv4() {
    converse(loopback(), 23_100);
}

#[test]
fn rtp_and_rtcp_go_both_ways_over_ipv6() {
    converse(Ipv6Addr::LOCALHOST.into(), 23_600);
}

fn converse(address: IpAddr, port_min: u16) {
    let mut relay = Relay::start(address, port_min);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    relay.apply(vec![
        alice.rtp_plan(2),
        alice.rtcp_plan(3),
        bob.rtp_plan(0),
        bob.rtcp_plan(1),
    ]);

    for number in 0..100u8 {
        let mut packet = RTP;
        packet[3] = number;
        alice.rtp.send(&packet);
        assert_eq!(bob.rtp.receive(), (packet.to_vec(), bob.rtp_port.address));
        bob.rtp.send(&packet);
        assert_eq!(alice.rtp.receive(), (packet.to_vec(), alice.rtp_port.address));
    }
    alice.rtcp.send(&RTCP);
    assert_eq!(bob.rtcp.receive(), (RTCP.to_vec(), bob.rtcp_port.address));
    bob.rtp.send(&RTCP);
    assert_eq!(
        alice.rtcp.receive(),
        (RTCP.to_vec(), alice.rtcp_port.address),
        "RTCP on the RTP port"
    );

    relay.end();
    assert_eq!(counts(&alice.rtp_status), (100, 1600, 100, 1600));
    assert_eq!(counts(&bob.rtp_status), (101, 1608, 100, 1600));
    assert_eq!(alice.rtp_status.ssrc(), Some(0x0102_0304));
    assert_eq!(
        alice.rtp_status.path(),
        Path::Userspace(UserspaceReason::NoKernel)
    );
    let learned = Learned {
        source: alice.rtp.address(),
        settled: true,
    };
    assert_eq!(alice.rtp_status.learned(), Some(learned));

    relay.host.give_back(&relay.all_ports);
    assert_eq!(relay.host.usage().map(|usage| usage.used).sum::<usize>(), 0);
    let again = UdpSocket::bind(alice.rtp_port.address);
    assert!(again.is_ok(), "a released port is closed");
    relay.workers.stop();
}

#[test]
fn a_new_plan_moves_media_and_releases_ports_without_losing_packets() {
    let mut relay = Relay::start(loopback(), 23_300);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    relay.apply(vec![alice.rtp_plan(2), bob.rtp_plan(0)]);
    alice.rtp.send(&RTP);
    assert_eq!(bob.rtp.receive().0, RTP);

    // Bob moves: Alice is told a new port, the old one still receives.
    let moved = Endpoint::new(loopback());
    let new_port = relay.reserve(PortCount::One)[0];
    let old_port = alice.rtp_port;
    let mut to_alice = alice.rtp_plan(2);
    to_alice.ports = [new_port, old_port].into_iter().collect();
    let mut to_bob = bob.rtp_plan(0);
    to_bob.remote = Some(moved.address());
    to_bob.signalled_at = Time::read();
    relay.apply(vec![to_alice, to_bob.clone()]);
    for port in [old_port, new_port] {
        alice.rtp.send_to(&RTP, port.address);
        assert_eq!(moved.receive(), (RTP.to_vec(), bob.rtp_port.address));
    }
    moved.send_to(&RTP, bob.rtp_port.address);
    assert_eq!(
        alice.rtp.receive(),
        (RTP.to_vec(), new_port.address),
        "from the port that Alice was told last"
    );

    // The old port is no longer wanted.
    let mut to_alice = alice.rtp_plan(2);
    to_alice.ports = [new_port].into_iter().collect();
    relay.apply(vec![to_alice, to_bob]);
    assert_eq!(relay.released_ports(), [old_port.id]);
    alice.rtp.send_to(&RTP, new_port.address);
    assert_eq!(moved.receive().0, RTP);
    relay.workers.stop();
}

#[test]
fn stopping_ends_all_calls() {
    let mut relay = Relay::start(loopback(), 23_400);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    relay.apply(vec![
        alice.rtp_plan(2),
        alice.rtcp_plan(3),
        bob.rtp_plan(0),
        bob.rtcp_plan(1),
    ]);
    let Relay {
        workers,
        released,
        all_ports,
        ..
    } = relay;
    workers.stop();
    assert_eq!(sorted(released.recv().unwrap()), all_ports);
}

#[test]
fn the_tos_of_a_plan_is_that_of_the_packets() {
    let mut relay = Relay::start(loopback(), 23_500);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    let mut to_bob = bob.rtp_plan(0);
    to_bob.tos = 184;
    relay.apply(vec![alice.rtp_plan(2), to_bob.clone()]);
    alice.rtp.send(&RTP);
    assert_eq!(bob.rtp.receive_with_tos(), (RTP.to_vec(), 184));
    to_bob.tos = 0;
    relay.apply(vec![alice.rtp_plan(2), to_bob]);
    alice.rtp.send(&RTP);
    assert_eq!(bob.rtp.receive_with_tos(), (RTP.to_vec(), 0));
    relay.workers.stop();
}

#[test]
fn a_receiver_that_is_gone_is_counted_and_stops_nobody() {
    let mut relay = Relay::start(loopback(), 23_600);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    let mut to_bob = bob.rtp_plan(0);
    // No socket of an IPv4 address can send there.
    to_bob.remote = Some("[2001:db8::1]:4000".parse().unwrap());
    relay.apply(vec![
        alice.rtp_plan(2),
        alice.rtcp_plan(3),
        to_bob,
        bob.rtcp_plan(1),
    ]);
    alice.rtp.send(&RTP);
    alice.rtp.send(&RTCP);
    assert_eq!(bob.rtcp.receive().0, RTCP);
    relay.end();
    assert_eq!(alice.rtp_status.errors_in.load(Ordering::Relaxed), 1);
    assert_eq!(bob.rtp_status.errors_out.load(Ordering::Relaxed), 1);
    assert_eq!(counts(&bob.rtp_status), (0, 0, 0, 0));
    relay.workers.stop();
}

/// One relay with a worker.
struct Relay {
    host: DaemonHost,
    workers: Workers,
    released: Receiver<Vec<PortId>>,
    /// Every port that was reserved, sorted.
    all_ports: Vec<PortId>,
    revision: u32,
}

impl Relay {
    fn start(address: IpAddr, port_min: u16) -> Relay {
        let kernel = Kernel::disabled("a test");
        let ports = LocalPorts {
            address,
            port_min,
            port_max: port_min + 99,
        };
        let (report, released) = channel();
        let released_ports = move |ports| report.send(ports).unwrap_or_default();
        Relay {
            host: DaemonHost::new(PortPool::new(&[ports]), kernel.slots()),
            workers: Workers::start(2, &kernel, released_ports).unwrap(),
            released,
            all_ports: Vec::new(),
            revision: 0,
        }
    }

    fn reserve(&mut self, count: PortCount) -> Vec<LocalPort> {
        let ports = self.host.reserve(AddressId(0), count).unwrap();
        self.all_ports.extend(ports.iter().map(|port| port.id));
        self.all_ports.sort_unstable();
        ports
    }

    fn apply(&mut self, streams: Vec<StreamPlan>) {
        self.revision += 1;
        let sockets = streams
            .iter()
            .flat_map(|stream| &stream.ports)
            .filter_map(|port| Some((port.id, self.host.take_socket(port.id)?)))
            .collect();
        let plan = Plan {
            call: CallKey(7),
            revision: self.revision,
            streams,
            kernel: KernelUse::Allowed,
        };
        self.workers.apply(plan, sockets);
    }

    /// What is released next.
    fn released_ports(&self) -> Vec<PortId> {
        sorted(self.released.recv_timeout(PATIENCE).unwrap())
    }

    /// Ends the call. Nothing is counted after that.
    fn end(&self) {
        self.workers.end(CallKey(7));
        assert_eq!(self.released_ports(), self.all_ports);
    }
}

/// One party: its own sockets, and the ports that it sends to.
struct Party {
    first_stream: u32,
    rtp: Endpoint,
    rtcp: Endpoint,
    rtp_port: LocalPort,
    rtcp_port: LocalPort,
    rtp_status: Arc<StreamStatus>,
    rtcp_status: Arc<StreamStatus>,
}

impl Party {
    fn new(relay: &mut Relay, first_stream: u32) -> Party {
        let ports = relay.reserve(PortCount::Pair);
        let [mut rtp, mut rtcp] = [(); 2].map(|()| Endpoint::new(ports[0].address.ip()));
        rtp.peer = Some(ports[0].address);
        rtcp.peer = Some(ports[1].address);
        Party {
            first_stream,
            rtp,
            rtcp,
            rtp_port: ports[0],
            rtcp_port: ports[1],
            rtp_status: Arc::default(),
            rtcp_status: Arc::default(),
        }
    }

    fn rtp_plan(&self, sink: u32) -> StreamPlan {
        StreamPlan {
            id: StreamId(self.first_stream),
            kind: StreamKind::Rtp,
            ports: SmallVec::from([self.rtp_port]),
            remote: Some(self.rtp.address()),
            learning: Learning::Heuristic,
            signalled_at: Time::read(),
            other_source: SourcePolicy::Forward,
            asymmetric: false,
            sinks: SmallVec::from([StreamId(sink).into()]),
            rtcp_sinks: SmallVec::from([StreamId(sink + 1)]),
            payloads: Payloads::default(),
            tos: 0,
            status: Arc::clone(&self.rtp_status),
        }
    }

    fn rtcp_plan(&self, sink: u32) -> StreamPlan {
        StreamPlan {
            id: StreamId(self.first_stream + 1),
            kind: StreamKind::Rtcp,
            ports: SmallVec::from([self.rtcp_port]),
            remote: Some(self.rtcp.address()),
            sinks: SmallVec::new(),
            rtcp_sinks: SmallVec::from([StreamId(sink)]),
            status: Arc::clone(&self.rtcp_status),
            ..self.rtp_plan(sink)
        }
    }
}

/// An address of this process's own, so that copies of the tests may run at the same time.
fn loopback() -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 77, high, low).into()
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

struct Endpoint {
    socket: UdpSocket,
    peer: Option<SocketAddr>,
}

impl Endpoint {
    fn new(address: IpAddr) -> Endpoint {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        if address.is_ipv4() {
            setsockopt(&socket, sockopt::IpRecvTos, &true).unwrap();
        }
        Endpoint { socket, peer: None }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn send(&self, packet: &[u8]) {
        self.send_to(packet, self.peer.unwrap());
    }

    fn send_to(&self, packet: &[u8], to: SocketAddr) {
        self.socket.send_to(packet, to).unwrap();
    }

    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2048];
        let (length, source) = self.socket.recv_from(&mut buffer).unwrap();
        (buffer[..length].to_vec(), source)
    }

    fn receive_with_tos(&self) -> (Vec<u8>, u8) {
        let mut buffer = [0; 2048];
        let mut control = cmsg_space!(u8);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received = recvmsg::<SockaddrIn>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        )
        .unwrap();
        let tos = received.cmsgs().unwrap().next();
        let Some(ControlMessageOwned::Ipv4Tos(tos)) = tos else {
            panic!("asked for the TOS, got {tos:?}");
        };
        let length = received.bytes;
        (buffer[..length].to_vec(), tos)
    }
}

fn sorted(mut ports: Vec<PortId>) -> Vec<PortId> {
    ports.sort_unstable();
    ports
}

/// Packets and bytes in, packets and bytes out.
fn counts(status: &StreamStatus) -> (u64, u64, u64, u64) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    (
        read(&status.packets_in),
        read(&status.bytes_in),
        read(&status.packets_out),
        read(&status.bytes_out),
    )
}
