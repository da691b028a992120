//! A relay of workers, and parties with sockets of their own.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use relay_daemon::clock::Time;
use relay_daemon::datapath::kernel::{FloodLimits, Kernel, LocalPorts};
use relay_daemon::datapath::userspace::Workers;
use relay_daemon::host::{AddressId, Host, PortCount};
use relay_daemon::plan::{
    CallKey, KernelUse, LocalPort, MosModel, Plan, PortId, Progress, StreamId, StreamKind, StreamPlan,
    StreamStatus,
};
use relay_daemon::ports::{DaemonHost, PortPool};
use smallvec::SmallVec;

/// The call, unless a test has several.
pub(crate) const CALL: CallKey = CallKey(7);

/// One relay with two workers, and a call.
pub(crate) struct Relay {
    pub(crate) host: DaemonHost,
    pub(crate) workers: Workers,
    pub(crate) kernel: Kernel,
    pub(crate) released: Receiver<Vec<PortId>>,
    /// Every port that was reserved, sorted.
    pub(crate) all_ports: Vec<PortId>,
    revision: u32,
    /// How far the calls are: shared by all of them here.
    pub(crate) progress: Progress,
}

impl Relay {
    pub(crate) fn start(address: IpAddr, port_min: u16) -> Relay {
        Relay::limited(address, port_min, &FloodLimits::default())
    }

    pub(crate) fn limited(address: IpAddr, port_min: u16, floods: &FloodLimits) -> Relay {
        let ports = LocalPorts {
            address,
            port_min,
            port_max: port_min + 99,
        };
        let kernel = Kernel::disabled_with(&[ports], floods, "a test");
        let (report, released) = channel();
        let released_ports = move |ports| report.send(ports).unwrap_or_default();
        Relay {
            host: DaemonHost::new(PortPool::new(&[ports]), kernel.slots()),
            workers: Workers::start(2, &kernel, released_ports).unwrap(),
            kernel,
            released,
            all_ports: Vec::new(),
            revision: 0,
            progress: Progress::default(),
        }
    }

    pub(crate) fn reserve(&mut self, count: PortCount) -> Vec<LocalPort> {
        let ports = self.host.reserve(AddressId(0), count).unwrap();
        self.all_ports.extend(ports.iter().map(|port| port.id));
        self.all_ports.sort_unstable();
        ports
    }

    pub(crate) fn apply(&mut self, streams: Vec<StreamPlan>) {
        self.apply_to(CALL, streams);
    }

    pub(crate) fn apply_to(&mut self, call: CallKey, streams: Vec<StreamPlan>) {
        let (plan, sockets) = self.plan(call, streams);
        self.workers.apply(plan, sockets);
        self.workers.wake();
    }

    /// A plan, and the sockets of ports that it is the first to name.
    pub(crate) fn plan(
        &mut self,
        call: CallKey,
        streams: Vec<StreamPlan>,
    ) -> (Plan, Vec<(PortId, UdpSocket)>) {
        self.revision += 1;
        let sockets = streams
            .iter()
            .flat_map(|stream| &stream.ports)
            .filter_map(|port| Some((port.id, self.host.take_socket(port.id)?)))
            .collect();
        let plan = Plan {
            call,
            revision: self.revision,
            progress: self.progress.clone(),
            streams,
            kernel: KernelUse::Allowed,
            reports: None,
            mos: MosModel::default(),
        };
        (plan, sockets)
    }

    /// What is released next.
    pub(crate) fn released_ports(&self) -> Vec<PortId> {
        sorted(self.released.recv_timeout(PATIENCE).unwrap())
    }

    /// Ends the call. Nothing is counted after that.
    pub(crate) fn end(&self) {
        self.workers.end(CALL);
        self.workers.wake();
        assert_eq!(self.released_ports(), self.all_ports);
    }
}

/// One party: its own sockets, and the ports that it sends to.
pub(crate) struct Party {
    first_stream: u32,
    pub(crate) rtp: Endpoint,
    pub(crate) rtcp: Endpoint,
    pub(crate) rtp_port: LocalPort,
    pub(crate) rtcp_port: LocalPort,
    pub(crate) rtp_status: Arc<StreamStatus>,
    pub(crate) rtcp_status: Arc<StreamStatus>,
}

impl Party {
    pub(crate) fn new(relay: &mut Relay, first_stream: u32) -> Party {
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

    pub(crate) fn rtp_plan(&self, sink: u32) -> StreamPlan {
        StreamPlan {
            remote: Some(self.rtp.address()),
            sinks: SmallVec::from([StreamId(sink).into()]),
            rtcp_sinks: SmallVec::from([StreamId(sink + 1)]),
            status: Arc::clone(&self.rtp_status),
            ..StreamPlan::plain(StreamId(self.first_stream), self.rtp_port, Time::read())
        }
    }

    pub(crate) fn rtcp_plan(&self, sink: u32) -> StreamPlan {
        StreamPlan {
            id: StreamId(self.first_stream + 1),
            kind: StreamKind::Rtcp,
            ports: SmallVec::from([self.rtcp_port]),
            remote: Some(self.rtcp.address()),
            sinks: SmallVec::new(),
            rtcp_sinks: SmallVec::from([StreamId(sink)]),
            check_sinks: SmallVec::new(),
            status: Arc::clone(&self.rtcp_status),
            ..self.rtp_plan(sink)
        }
    }
}

/// An address of this process's own, so that copies of the tests may run at the same time.
pub(crate) fn loopback() -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 77, high, low).into()
}

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Endpoint {
    pub(crate) socket: UdpSocket,
    pub(crate) peer: Option<SocketAddr>,
}

impl Endpoint {
    pub(crate) fn new(address: IpAddr) -> Endpoint {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        if address.is_ipv4() {
            setsockopt(&socket, sockopt::IpRecvTos, &true).unwrap();
        }
        Endpoint { socket, peer: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn send(&self, packet: &[u8]) {
        self.send_to(packet, self.peer.unwrap());
    }

    pub(crate) fn send_to(&self, packet: &[u8], to: SocketAddr) {
        self.socket.send_to(packet, to).unwrap();
    }

    pub(crate) fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2048];
        let (length, source) = self.socket.recv_from(&mut buffer).unwrap();
        (buffer[..length].to_vec(), source)
    }

    pub(crate) fn receive_with_tos(&self) -> (Vec<u8>, u8) {
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

pub(crate) fn sorted(mut ports: Vec<PortId>) -> Vec<PortId> {
    ports.sort_unstable();
    ports
}

/// Packets and bytes in, packets and bytes out.
pub(crate) fn counts(status: &StreamStatus) -> (u64, u64, u64, u64) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    (
        read(&status.packets_in),
        read(&status.bytes_in),
        read(&status.packets_out),
        read(&status.bytes_out),
    )
}
