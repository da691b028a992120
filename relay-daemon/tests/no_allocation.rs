//! Relaying a packet allocates nothing, from the socket to the socket, encrypted or not.
//!
//! Alone in its file: it counts the allocations of every thread but the test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on is to fail")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use relay_daemon::clock::Time;
use relay_daemon::datapath::kernel::{Kernel, LocalPorts};
use relay_daemon::datapath::userspace::Workers;
use relay_daemon::host::{AddressId, PortCount};
use relay_daemon::plan::{CallKey, KernelUse, LocalPort, MosModel, Plan, Progress, StreamId, StreamPlan};
use relay_daemon::ports::PortPool;
use relay_daemon::security::{MasterKey, MediaSecurity, Srtp, SrtpKeys, Suite};
use relay_daemon::srtp::{Inbound, MAX_TRAILER, Outbound};
use smallvec::SmallVec;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static EXEMPT: Cell<bool> = const { Cell::new(false) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !EXEMPT.get() {
            ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[test]
fn relaying_allocates_nothing() {
    EXEMPT.set(true);
    let [.., high, low] = std::process::id().to_be_bytes();
    let address: IpAddr = Ipv4Addr::new(127, 81, high, low).into();
    let locals = [LocalPorts {
        address,
        port_min: 23_000,
        port_max: 23_007,
    }];
    let mut pool = PortPool::new(&locals);
    let workers = Workers::start(1, &Kernel::disabled(&locals, "a test"), |_| ()).unwrap();
    let aes = |fill| Some(keys(Suite::AesCm128HmacSha1_80, fill));
    let gcm = |fill| Some(keys(Suite::AeadAes128Gcm, fill));
    for (call, [caller, callee]) in [[None, None], [None, aes(1)], [aes(1), gcm(3)], [gcm(1), gcm(3)]]
        .into_iter()
        .enumerate()
    {
        let ports = pool.reserve(AddressId(0), PortCount::Pair).unwrap();
        let mut parties = [
            Party::new(address, ports[0], caller),
            Party::new(address, ports[1], callee),
        ];
        let plan = Plan {
            call: CallKey(call as u64),
            revision: 0,
            progress: Progress::default(),
            streams: vec![parties[0].stream(0, 1), parties[1].stream(1, 0)],
            kernel: KernelUse::Allowed,
            reports: None,
            mos: MosModel::default(),
        };
        let sockets = ports
            .iter()
            .map(|port| (port.id, pool.take_socket(port.id).unwrap()))
            .collect();
        workers.apply(plan, sockets);
        workers.wake();
        // When the second ones are here, all is done about the first.
        exchange(&mut parties, 0..2);
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        exchange(&mut parties, 2..1000);
        assert_eq!(ALLOCATIONS.load(Ordering::SeqCst) - before, 0, "call {call}");
    }
    workers.stop();
}

fn keys(suite: Suite, fill: u8) -> SrtpKeys {
    let srtp = |fill| Srtp::new(MasterKey::cut(suite, [fill; MasterKey::MAX_LENGTH]));
    SrtpKeys {
        is_copied: false,
        inbound: srtp(fill),
        outbound: srtp(fill + 1),
    }
}

/// A party, and the port that it is told.
struct Party {
    socket: UdpSocket,
    port: LocalPort,
    keys: Option<SrtpKeys>,
    sends: Option<Outbound>,
    receives: Option<Inbound>,
}

impl Party {
    fn new(address: IpAddr, port: LocalPort, keys: Option<SrtpKeys>) -> Party {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Party {
            socket,
            port,
            sends: keys.as_ref().map(|keys| Outbound::new(&keys.inbound)),
            receives: keys.as_ref().map(|keys| Inbound::new(&keys.outbound)),
            keys,
        }
    }

    fn stream(&self, id: u32, sink: u32) -> StreamPlan {
        StreamPlan {
            remote: self.socket.local_addr().ok(),
            sinks: SmallVec::from([StreamId(sink).into()]),
            security: self
                .keys
                .clone()
                .map_or(MediaSecurity::Plain, MediaSecurity::Sdes),
            ..StreamPlan::plain(StreamId(id), self.port, Time::read())
        }
    }

    fn send(&mut self, packet: &[u8]) {
        let mut buffer = [packet, &[0; MAX_TRAILER]].concat();
        let length = match &mut self.sends {
            Some(sends) => sends.protect_rtp(&mut buffer, packet.len(), None).unwrap(),
            None => packet.len(),
        };
        self.socket.send_to(&buffer[..length], self.port.address).unwrap();
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut buffer = [0; 300];
        let length = self.socket.recv(&mut buffer).unwrap();
        let length = match &mut self.receives {
            Some(receives) => receives.unprotect_rtp(&mut buffer[..length]).unwrap().length,
            None => length,
        };
        buffer[..length].to_vec()
    }
}

/// Each of them sends packets of these numbers, which the other one reads.
fn exchange(parties: &mut [Party; 2], numbers: std::ops::Range<u16>) {
    for number in numbers {
        let mut packet = [0; 172];
        packet[0] = 0x80;
        packet[2..4].copy_from_slice(&number.to_be_bytes());
        for (from, to) in [(0, 1), (1, 0)] {
            parties[from].send(&packet);
            assert_eq!(parties[to].receive(), packet);
        }
    }
}
