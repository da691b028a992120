//! Relaying a packet allocates nothing, from the socket to the socket.
//!
//! Alone in its file: it counts the allocations of every thread but the test's own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use relay_daemon::clock::Time;
use relay_daemon::config::CertificateSettings;
use relay_daemon::datapath::kernel::{Kernel, LocalPorts};
use relay_daemon::datapath::userspace::Workers;
use relay_daemon::dtls::Context;
use relay_daemon::host::{AddressId, PortCount};
use relay_daemon::plan::{
    CallKey, KernelUse, Learning, Payloads, Plan, Progress, SourcePolicy, StreamId, StreamKind, StreamPlan,
    StreamStatus,
};
use relay_daemon::ports::PortPool;
use relay_daemon::security::MediaSecurity;
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
    let address = Ipv4Addr::new(127, 81, high, low).into();
    let mut pool = PortPool::new(&[LocalPorts {
        address,
        port_min: 23_000,
        port_max: 23_001,
    }]);
    let ports = pool.reserve(AddressId(0), PortCount::Pair).unwrap();
    let dtls = Context::generate(CertificateSettings::default()).unwrap();
    let workers = Workers::start(1, &Kernel::disabled("a test"), &dtls, |_| ()).unwrap();
    let parties = [(); 2].map(|()| UdpSocket::bind((address, 0)).unwrap());
    let streams = [0, 1].map(|index: usize| StreamPlan {
        id: StreamId(u32::try_from(index).unwrap()),
        kind: StreamKind::Rtp,
        ports: SmallVec::from([ports[index]]),
        remote: parties[index].local_addr().ok(),
        learning: Learning::Heuristic,
        signalled_at: Time::read(),
        other_source: SourcePolicy::Forward,
        asymmetric: false,
        sinks: SmallVec::from([StreamId(1 - u32::try_from(index).unwrap()).into()]),
        rtcp_sinks: SmallVec::new(),
        payloads: Payloads::default(),
        security: MediaSecurity::Plain,
        rtp: None,
        feedback: false,
        ice: None,
        bundle: None,
        tos: 0,
        status: Arc::new(StreamStatus::default()),
    });
    let plan = Plan {
        call: CallKey(1),
        revision: 0,
        progress: Progress::default(),
        streams: streams.into(),
        kernel: KernelUse::Allowed,
    };
    let sockets = ports
        .iter()
        .map(|port| (port.id, pool.take_socket(port.id).unwrap()))
        .collect();
    workers.apply(plan, sockets);

    let exchange = |packets: u16| {
        for number in 0..packets {
            let mut packet = [0; 172];
            packet[0] = 0x80;
            packet[2..4].copy_from_slice(&number.to_be_bytes());
            for (from, to, port) in [(0, 1, ports[0]), (1, 0, ports[1])] {
                parties[from].send_to(&packet, port.address).unwrap();
                let mut buffer = [0; 200];
                parties[to]
                    .set_read_timeout(Some(Duration::from_secs(10)))
                    .unwrap();
                assert_eq!(parties[to].recv(&mut buffer).unwrap(), packet.len());
                assert_eq!(buffer[..172], packet);
            }
        }
    };
    exchange(1);
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    exchange(1000);
    assert_eq!(ALLOCATIONS.load(Ordering::SeqCst) - before, 0);
    workers.stop();
}
