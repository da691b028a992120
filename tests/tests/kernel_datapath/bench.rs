//! The kernel datapath in the middle of three namespaces.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use relay_common::slot::{Clock, Counters, OtherSource};
use relay_daemon::datapath::kernel::{
    Kernel, KernelConfig, KernelError, Layout, LocalPorts, Offloader, Slots, XdpMode,
};
use relay_daemon::host::AddressId;
use relay_daemon::plan::{OffloadRule, Path, PortId};
use relay_tests::capture::{Capture, Captured};
use relay_tests::lab::Lab;
use relay_tests::netns::{Namespace, without_forks};
use relay_tests::stream::{Receiver, Stream};
use socket2::SockRef;

/// How long a test waits for what must come. Only a failing test waits so long. Shorter than the interval at
/// which all routes are looked up again, which would hide that an event was missed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(9);

/// TOS of relayed packets: EF.
pub(crate) const TOS: u8 = 184;

/// The sockets of one direction of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// Sends.
    pub(crate) caller: SocketAddr,
    /// The relay, towards the caller.
    pub(crate) inner: SocketAddr,
    /// The relay, towards the callee.
    pub(crate) outer: SocketAddr,
    /// Receives.
    pub(crate) callee: SocketAddr,
}

/// The namespaces.
pub(crate) struct Net {
    pub(crate) caller: Namespace,
    pub(crate) relay: Namespace,
    pub(crate) callee: Namespace,
}

/// The kernel datapath in the relay's namespace, with an offloader.
pub(crate) struct Relay {
    pub(crate) kernel: Kernel,
    pub(crate) slots: Slots,
    pub(crate) offloader: Offloader,
    wakes: mpsc::Receiver<()>,
    layout: Layout,
    locals: Vec<LocalPorts>,
}

/// The relay's sockets, and a thread that relays what they receive.
pub(crate) struct Sockets {
    relayed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A running stream from the caller to the callee.
pub(crate) struct Traffic {
    pub(crate) stream: Stream,
    pub(crate) receiver: Receiver,
    ends: Ends,
    socket: UdpSocket,
    capture: Capture,
}

pub(crate) fn ipv4() -> Ends {
    Ends {
        caller: addr("10.9.1.2:4000"),
        inner: addr("10.9.1.1:30000"),
        outer: addr("10.9.2.1:30002"),
        callee: addr("10.9.2.2:5000"),
    }
}

pub(crate) fn ipv6() -> Ends {
    Ends {
        caller: addr("[fd09:1::2]:4000"),
        inner: addr("[fd09:1::1]:30000"),
        outer: addr("[fd09:2::1]:30002"),
        callee: addr("[fd09:2::2]:5000"),
    }
}

/// Of a relay with these addresses.
pub(crate) fn config(mode: XdpMode, addresses: &[&str]) -> KernelConfig {
    let local = |address: &&str| LocalPorts {
        address: address.parse().unwrap(),
        port_min: 30000,
        port_max: 30099,
    };
    KernelConfig {
        locals: addresses.iter().map(local).collect(),
        mode,
        ..KernelConfig::default()
    }
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Net {
    /// Connected, as [`Lab::new`] says.
    pub(crate) fn new() -> Net {
        let Lab {
            caller,
            relay,
            callee,
        } = Lab::new();
        // Let a neighbour that is not there be given up after a second.
        relay.sysctl("ipv4/neigh/r1/mcast_solicit", "1");
        relay.sysctl("ipv4/neigh/r1/ucast_solicit", "1");
        Net {
            caller,
            relay,
            callee,
        }
    }

    /// The datapath, attached to both devices.
    pub(crate) fn start(&self, mode: XdpMode) -> Relay {
        let locals = [ipv4().inner, ipv4().outer, ipv6().inner, ipv6().outer];
        let locals = locals.map(|local| local.ip().to_string());
        let locals: Vec<&str> = locals.iter().map(String::as_str).collect();
        self.start_with(config(mode, &locals)).unwrap()
    }

    pub(crate) fn start_with(&self, config: KernelConfig) -> Result<Relay, KernelError> {
        let kernel = self.relay.run(|| Kernel::start(&config))?;
        let (wake, wakes) = mpsc::channel();
        let offloader = kernel.offloader(move || {
            let _ = wake.send(());
        });
        Ok(Relay {
            slots: kernel.slots(),
            kernel,
            offloader,
            wakes,
            layout: Layout::new(&config.locals),
            locals: config.locals,
        })
    }

    /// Opens the relay's sockets and relays in userspace what reaches them.
    pub(crate) fn relay_in_userspace(&self, ends: Ends) -> Sockets {
        let (inner, outer) = self
            .relay
            .run(|| (UdpSocket::bind(ends.inner), UdpSocket::bind(ends.outer)));
        let (inner, outer) = (inner.unwrap(), outer.unwrap());
        let options = SockRef::from(&outer);
        match ends.outer {
            SocketAddr::V4(_) => options.set_tos_v4(u32::from(TOS)).unwrap(),
            SocketAddr::V6(_) => options.set_tclass_v6(u32::from(TOS)).unwrap(),
        }
        inner.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        SockRef::from(&inner).set_recv_buffer_size(1 << 20).unwrap();
        let (relayed, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (relayed.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                // Nothing came for a while: is the test over?
                let Ok(length) = inner.recv(&mut buffer) else {
                    continue;
                };
                // Before it is sent: a test that has received it reads the count.
                count.fetch_add(1, Ordering::Relaxed);
                // A link that is down refuses; the packet is lost then, as on any path.
                let _ = outer.send_to(&buffer[..length], ends.callee);
            }
        });
        Sockets {
            relayed,
            stop,
            thread: Some(thread),
        }
    }

    /// A stream from the caller, captured where the callee receives.
    pub(crate) fn traffic(&self, ends: Ends) -> Traffic {
        let stream = Stream::new(0x1234_5678, 8);
        Traffic {
            receiver: stream.receiver(),
            stream,
            ends,
            socket: self.caller.run(|| UdpSocket::bind(ends.caller)).unwrap(),
            capture: self.callee.run(|| Capture::open("d0")),
        }
    }
}

impl Relay {
    /// The slot of the port that a local socket has.
    pub(crate) fn port(&self, local: SocketAddr) -> PortId {
        let index = self.locals.iter().position(|known| known.address == local.ip());
        let address = AddressId(u16::try_from(index.unwrap()).unwrap());
        self.layout.port(address, local.port()).unwrap()
    }

    /// The rule that relays from the caller to the callee.
    pub(crate) fn rule(&self, ends: Ends) -> OffloadRule {
        OffloadRule {
            port: self.port(ends.inner),
            local: ends.inner,
            source: ends.caller,
            other_source: OtherSource::Pass,
            new_source: ends.outer,
            new_destination: ends.callee,
            tos: TOS,
            userspace_payload_types: [0; 2],
            blocked: false,
            clock: Clock::default(),
        }
    }

    /// Claims the port and offloads the rule; returns when the path is this one.
    pub(crate) fn offload(&mut self, ends: Ends, expected: Path) -> PortId {
        let rule = self.rule(ends);
        self.slots.claim(rule.port);
        self.offload_rule(&rule, expected);
        rule.port
    }

    /// Offloads a rule; returns when the path is this one.
    pub(crate) fn offload_rule(&mut self, rule: &OffloadRule, expected: Path) {
        if self.offloader.offload(rule) != expected {
            self.wait(rule.port, expected);
        }
    }

    /// Waits until the path of a port becomes this one.
    pub(crate) fn wait(&mut self, port: PortId, expected: Path) {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        while last != Some(expected) {
            let patience = deadline.saturating_duration_since(Instant::now());
            if self.wakes.recv_timeout(patience).is_err() {
                panic!("the path is {last:?}, not {expected:?}");
            }
            let changes = self.offloader.poll();
            let own = changes.iter().rfind(|(changed, _)| *changed == port);
            last = own.map(|(_, path)| *path).or(last);
        }
    }

    pub(crate) fn counters(&self, ends: Ends) -> Counters {
        self.slots.counters(self.port(ends.inner))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        without_forks(|| self.kernel = Kernel::disabled(&[], "the test is over"));
    }
}

impl Sockets {
    /// Packets that reached userspace.
    pub(crate) fn relayed(&self) -> u64 {
        self.relayed.load(Ordering::Relaxed)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = without_forks(|| thread.join());
        }
    }
}

impl Traffic {
    /// Sends so many packets, no more at a time than any queue on the way holds, and returns what the
    /// callee's device received.
    pub(crate) fn send(&mut self, packets: u64) -> Vec<Captured> {
        const WINDOW: u64 = 32;
        let mut captured = Vec::new();
        let mut left = packets;
        while left > 0 {
            let window = left.min(WINDOW);
            for _ in 0..window {
                self.send_one();
            }
            left -= window;
            let wanted = self.stream.sent();
            while self.receiver.received() < wanted {
                let Some(datagram) = self.next(PATIENCE) else {
                    return captured;
                };
                captured.push(datagram);
            }
        }
        captured
    }

    /// Sends one packet at a time, until one is as wanted.
    pub(crate) fn send_until(&mut self, wanted: impl Fn(&Captured) -> bool) -> Captured {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.send_one();
            if let Some(captured) = self.next(Duration::from_millis(100)).filter(&wanted) {
                return captured;
            }
        }
        panic!("no packet came as wanted");
    }

    pub(crate) fn send_one(&mut self) {
        let packet = self.stream.next_packet();
        self.send_datagram(&packet);
    }

    /// Sends a datagram that is not part of the stream.
    pub(crate) fn send_datagram(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.ends.inner).unwrap();
    }

    /// Takes in what has come so far.
    pub(crate) fn drain(&mut self) {
        while self.receiver.received() < self.stream.sent() && self.next(PATIENCE).is_some() {}
    }

    /// The next datagram of the relay that the callee's device receives.
    pub(crate) fn next(&mut self, patience: Duration) -> Option<Captured> {
        let captured = self.capture.next(patience)?;
        self.receiver.take(&captured.payload);
        Some(captured)
    }
}
