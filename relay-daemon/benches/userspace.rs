//! What a packet costs in userspace: CPU time of the worker's thread, beside a bare epoll loop of recvfrom
//! and sendto over the same number of sockets. Compare the two with each other, not with other machines;
//! on the loopback interface the cost of sending includes that of the arrival.
//!
//! `cargo bench -p relay-daemon --bench userspace [-- CALLS PACKETS_PER_SECOND SECONDS]`
#![expect(
    clippy::unwrap_used,
    reason = "a measurement has nobody to report an error to"
)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use relay_daemon::clock::Time;
use relay_daemon::datapath::kernel::{Kernel, LocalPorts};
use relay_daemon::datapath::userspace::Workers;
use relay_daemon::host::{AddressId, PortCount};
use relay_daemon::plan::{
    CallKey, KernelUse, LocalPort, MosModel, Plan, Progress, StreamId, StreamPlan, StreamStatus,
};
use relay_daemon::ports::PortPool;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 80, 0, 1));
const PORT_MIN: u16 = 24_000;

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    let scenarios = match numbers[..] {
        [calls, rate, seconds] => vec![(calls, rate, seconds)],
        _ => vec![(1, 50_000, 2), (100, 50_000, 2), (1000, 50_000, 2)],
    };
    println!(
        "{:>6} {:>9} {:>14} {:>14}",
        "calls", "packets/s", "bare loop", "worker"
    );
    for (calls, rate, seconds) in scenarios {
        let load = Load {
            calls,
            packets: rate * seconds,
            rate,
        };
        println!(
            "{calls:>6} {rate:>9} {:>14} {:>14}",
            bare_loop(&load),
            worker(&load)
        );
    }
}

/// One direction of each call carries RTP, all at the same rate.
struct Load {
    calls: u64,
    packets: u64,
    rate: u64,
}

fn worker(load: &Load) -> String {
    let locals = [LocalPorts {
        address: LOOPBACK,
        port_min: PORT_MIN,
        port_max: PORT_MIN + 7999,
    }];
    let kernel = Kernel::disabled(&locals, "a measurement");
    let mut pool = PortPool::new(&locals);
    let workers = Workers::start(1, &kernel, |_| ()).unwrap();
    let receiver = receiver();
    let mut statuses = Vec::new();
    let targets: Vec<SocketAddr> = (0..load.calls)
        .map(|call| {
            let ports = pool.reserve(AddressId(0), PortCount::Pair).unwrap();
            let status = Arc::new(StreamStatus::default());
            statuses.push(Arc::clone(&status));
            let streams = vec![
                stream(ports[0], None, Some(ports[1]), status),
                stream(
                    ports[1],
                    Some(receiver.local_addr().unwrap()),
                    None,
                    Arc::default(),
                ),
            ];
            let sockets = ports
                .iter()
                .map(|port| (port.id, pool.take_socket(port.id).unwrap()))
                .collect();
            let plan = Plan {
                call: CallKey(call),
                revision: 0,
                progress: Progress::default(),
                streams,
                kernel: KernelUse::Allowed,
                reports: None,
                mos: MosModel::default(),
            };
            workers.apply(plan, sockets);
            workers.wake();
            ports[0].address
        })
        .collect();
    let spent = cpu_time("relay-worker-0", || load.send(&targets));
    let relayed = statuses
        .iter()
        .map(|status| status.packets_in.load(Ordering::Relaxed))
        .sum();
    workers.stop();
    per_packet(spent, relayed)
}

fn stream(
    port: LocalPort,
    remote: Option<SocketAddr>,
    sink: Option<LocalPort>,
    status: Arc<StreamStatus>,
) -> StreamPlan {
    StreamPlan {
        remote,
        sinks: sink.into_iter().map(|sink| StreamId(sink.id.0).into()).collect(),
        status,
        ..StreamPlan::plain(StreamId(port.id.0), port, Time::read())
    }
}

fn bare_loop(load: &Load) -> String {
    let stop = Arc::new(AtomicBool::new(false));
    let receiver = receiver();
    let to = receiver.local_addr().unwrap();
    let sockets: Vec<UdpSocket> = (0..load.calls)
        .map(|_| UdpSocket::bind((LOOPBACK, 0)).unwrap())
        .collect();
    let targets: Vec<SocketAddr> = sockets
        .iter()
        .map(|socket| socket.local_addr().unwrap())
        .collect();
    let stopped = Arc::clone(&stop);
    let relay = thread::Builder::new().name("bare-loop".to_owned());
    let relay = relay
        .spawn(move || {
            let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
            for (index, socket) in (0..).zip(&sockets) {
                socket.set_nonblocking(true).unwrap();
                epoll
                    .add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, index))
                    .unwrap();
            }
            let (mut events, mut buffer) = ([EpollEvent::empty(); 256], [0; 2048]);
            let mut relayed = 0;
            while !stopped.load(Ordering::Relaxed) {
                let ready = epoll.wait(&mut events, EpollTimeout::from(100u8)).unwrap();
                for event in &events[..ready] {
                    let socket = &sockets[usize::try_from(event.data()).unwrap()];
                    if let Ok((length, _)) = socket.recv_from(&mut buffer) {
                        socket.send_to(&buffer[..length], to).unwrap();
                        relayed += 1;
                    }
                }
            }
            relayed
        })
        .unwrap();
    let spent = cpu_time("bare-loop", || load.send(&targets));
    stop.store(true, Ordering::Relaxed);
    per_packet(spent, relay.join().unwrap())
}

impl Load {
    /// Sends the packets at the rate, in turn to all targets, and leaves time for the last ones to arrive.
    fn send(&self, targets: &[SocketAddr]) {
        let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
        let mut packet = [0; 172];
        packet[0] = 0x80;
        let start = Instant::now();
        let mut targets = targets.iter().cycle();
        let mut sent = 0;
        while sent < self.packets {
            let elapsed = u64::try_from(start.elapsed().as_micros()).unwrap();
            let due = self.packets.min(elapsed * self.rate / 1_000_000);
            for target in targets.by_ref().take(usize::try_from(due - sent).unwrap()) {
                socket.send_to(&packet, target).unwrap();
            }
            sent = due;
            thread::sleep(Duration::from_micros(500));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// A socket that nobody reads: what does not fit is dropped where it arrives.
fn receiver() -> UdpSocket {
    UdpSocket::bind((LOOPBACK, 0)).unwrap()
}

/// CPU time that a thread of this process spends while something goes on.
fn cpu_time(thread: &str, action: impl FnOnce()) -> Duration {
    thread::sleep(Duration::from_millis(100));
    let task = fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| task.unwrap().path())
        .find(|task| fs::read_to_string(task.join("comm")).unwrap().trim() == thread)
        .unwrap();
    let read = || {
        let statistics = fs::read_to_string(task.join("schedstat")).unwrap();
        Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
    };
    let before = read();
    action();
    read() - before
}

fn per_packet(spent: Duration, packets: u64) -> String {
    format!("{:.2} us", spent.as_secs_f64() * 1e6 / packets as f64)
}
