//! What handshakes of DTLS cost media: how late packets of an established call are while 500 parties shake hands at once, on
//! one worker, beside the same without handshakes; and what a step of a handshake takes. What measures and the worker run before
//! all else (`SCHED_FIFO`, as root), so that neither the parties nor other programs count.
//!
//! `cargo bench -p relay-daemon --bench handshakes [-- HANDSHAKES]`
#![expect(
    clippy::unwrap_used,
    reason = "a measurement has nobody to report an error to"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use relay_daemon::clock::Time;
use relay_daemon::config::{CertificateKey, CertificateSettings, DtlsSettings, Scheduling, SchedulingPolicy};
use relay_daemon::datapath::kernel::{Kernel, LocalPorts};
use relay_daemon::datapath::userspace::{Threads, Workers};
use relay_daemon::dtls::{Association, Credentials, DtlsState};
use relay_daemon::host::{AddressId, PortCount};
use relay_daemon::plan::{CallKey, KernelUse, MosModel, Plan, Progress, StreamId, StreamPlan};
use relay_daemon::ports::PortPool;
use relay_daemon::security::{DtlsPeer, DtlsRole, HashFunction, MediaSecurity};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 80, 0, 1));

fn main() {
    let number = std::env::args().skip(1).find_map(|text| text.parse().ok());
    let handshakes: usize = number.unwrap_or(500);
    for (name, key) in [
        ("ECDSA P-256", CertificateSettings::default().key),
        ("RSA 2048", CertificateKey::Rsa { bits: 2048 }),
    ] {
        let settings = DtlsSettings {
            certificate: CertificateSettings {
                key,
                ..CertificateSettings::default()
            },
            ..DtlsSettings::default()
        };
        steps(name, &settings);
        println!("{name}, no handshakes:");
        burst(&settings, 0);
        println!("{name}, {handshakes} handshakes:");
        burst(&settings, handshakes);
    }
}

/// What the steps of a server take: a hundred handshakes, the medians.
fn steps(name: &str, settings: &DtlsSettings) {
    let ours = Credentials::generate(settings).unwrap();
    let theirs = Credentials::generate(&DtlsSettings::default()).unwrap();
    let mut taken: Vec<Vec<Duration>> = Vec::new();
    for _ in 0..100 {
        let mut client = Association::new(theirs.context(), DtlsRole::Active, None).unwrap();
        let mut server = Association::new(ours.context(), DtlsRole::Passive, None).unwrap();
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let now = Time::read();
        client.open(now, |datagram| up.push(datagram.to_vec()));
        let mut flight = 0;
        while !up.is_empty() {
            let begin = Instant::now();
            for datagram in up.drain(..) {
                server.handle(now, &datagram, |datagram| down.push(datagram.to_vec()));
            }
            if taken.len() == flight {
                taken.push(Vec::new());
            }
            taken[flight].push(begin.elapsed());
            flight += 1;
            for datagram in down.drain(..) {
                client.handle(now, &datagram, |datagram| up.push(datagram.to_vec()));
            }
        }
    }
    for (flight, taken) in taken.iter_mut().enumerate() {
        taken.sort();
        println!(
            "{name}: flight {flight} of a client takes a server {:?}",
            taken[taken.len() / 2]
        );
    }
}

/// Packets of one call every millisecond, and so many handshakes that begin a tenth of a second later.
fn burst(settings: &DtlsSettings, handshakes: usize) {
    let ours = Arc::new(Credentials::generate(settings).unwrap());
    let theirs = Credentials::generate(&DtlsSettings::default()).unwrap();
    let [alice, bob] = [(); 2].map(|()| UdpSocket::bind((LOOPBACK, 0)).unwrap());
    let clients: Vec<UdpSocket> = (0..handshakes)
        .map(|_| UdpSocket::bind((LOOPBACK, 0)).unwrap())
        .collect();
    let relay = Relay::start(&bob, &clients, &ours, &theirs);
    let stop = Arc::new(AtomicBool::new(false));
    let receiver = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            run_first();
            let mut late = Vec::new();
            let mut buffer = [0; 1500];
            bob.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            while !stop.load(Ordering::Relaxed) {
                if let Ok(length) = bob.recv(&mut buffer)
                    && length == 28
                {
                    let sent = u64::from_be_bytes(buffer[20..28].try_into().unwrap());
                    late.push(Time::read().0 - sent);
                }
            }
            late
        })
    };
    let sender = {
        let (stop, to) = (Arc::clone(&stop), relay.media);
        thread::spawn(move || {
            run_first();
            let mut sequence = 0_u16;
            let mut packet = [0_u8; 28];
            packet[0] = 0x80;
            let mut next = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                sequence = sequence.wrapping_add(1);
                packet[2..4].copy_from_slice(&sequence.to_be_bytes());
                packet[20..].copy_from_slice(&Time::read().0.to_be_bytes());
                alice.send_to(&packet, to).unwrap();
                next += Duration::from_millis(1);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            sequence
        })
    };
    thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    let done = shake_hands(&theirs, &clients, &relay.dtls);
    let taken = begin.elapsed();
    thread::sleep(Duration::from_millis(500).saturating_sub(taken));
    stop.store(true, Ordering::Relaxed);
    let sent = sender.join().unwrap();
    let mut late = receiver.join().unwrap();
    relay.workers.stop();
    late.sort_unstable();
    let at = |share: usize| late[(late.len() - 1) * share / 1000] / 1000;
    println!(
        "  {done} done in {taken:?}; {} of {sent} packets, late by {} us (median), {} us (99 %), {} us (99.9 %), {} us (most)",
        late.len(),
        at(500),
        at(990),
        at(999),
        at(1000)
    );
}

/// Has the thread that calls run before all others.
fn run_first() {
    let parameter = libc::sched_param { sched_priority: 2 };
    // SAFETY: 0 is the calling thread, and the parameter lives as long as the call. Who may not do that runs as others do.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
}

struct Relay {
    workers: Workers,
    /// Where the packets of the call go.
    media: SocketAddr,
    /// Where each party shakes hands.
    dtls: Vec<SocketAddr>,
}

impl Relay {
    /// A worker with a call that relays to Bob, and one for each of the clients.
    fn start(bob: &UdpSocket, clients: &[UdpSocket], ours: &Arc<Credentials>, theirs: &Credentials) -> Relay {
        let locals = [LocalPorts {
            address: LOOPBACK,
            port_min: 24_000,
            port_max: 31_999,
        }];
        let kernel = Kernel::disabled(&locals, "a measurement");
        let mut pool = PortPool::new(&locals);
        let threads = Threads {
            count: 1,
            scheduling: Scheduling {
                policy: Some(SchedulingPolicy::Fifo),
                priority: 1,
            },
            ..Threads::default()
        };
        let workers = Workers::start(threads, &kernel, |_| ()).unwrap();
        let mut begin = |call: usize, remote: SocketAddr, security: MediaSecurity| {
            let ports = pool.reserve(AddressId(0), PortCount::Pair).unwrap();
            let far = StreamPlan {
                remote: Some(remote),
                security,
                credentials: Some(Arc::clone(ours)),
                ..StreamPlan::plain(StreamId(ports[1].id.0), ports[1], Time::read())
            };
            let near = StreamPlan {
                sinks: [StreamId(ports[1].id.0).into()].into_iter().collect(),
                ..StreamPlan::plain(StreamId(ports[0].id.0), ports[0], Time::read())
            };
            let sockets = ports
                .iter()
                .map(|port| (port.id, pool.take_socket(port.id).unwrap()))
                .collect();
            let plan = Plan {
                call: CallKey(u64::try_from(call).unwrap()),
                revision: 0,
                progress: Progress::default(),
                streams: vec![near, far],
                kernel: KernelUse::Allowed,
                reports: None,
                mos: MosModel::default(),
            };
            workers.apply(plan, sockets);
            workers.wake();
            [ports[0].address, ports[1].address]
        };
        let [media, _] = begin(0, bob.local_addr().unwrap(), MediaSecurity::Plain);
        let dtls = clients.iter().enumerate().map(|(client, socket)| {
            let security = MediaSecurity::Dtls(DtlsPeer {
                role: DtlsRole::Passive,
                fingerprint: theirs.fingerprints().by(HashFunction::Sha256).clone(),
                association: "1".into(),
            });
            begin(client + 1, socket.local_addr().unwrap(), security)[1]
        });
        let dtls = dtls.collect();
        Relay { workers, media, dtls }
    }
}

/// All clients at once, until they are done or ten seconds have passed. How many are done.
fn shake_hands(theirs: &Credentials, sockets: &[UdpSocket], servers: &[SocketAddr]) -> usize {
    let mut clients: Vec<Association> = sockets
        .iter()
        .map(|_| Association::new(theirs.context(), DtlsRole::Active, None).unwrap())
        .collect();
    let send = |client: usize, datagram: &[u8]| {
        let _ = sockets[client].send_to(datagram, servers[client]);
    };
    for (client, association) in clients.iter_mut().enumerate() {
        sockets[client].set_nonblocking(true).unwrap();
        association.open(Time::read(), |datagram| send(client, datagram));
    }
    let is_done = |client: &Association| client.state() == DtlsState::Unverified;
    let begin = Instant::now();
    let mut buffer = [0; 2048];
    while begin.elapsed() < Duration::from_secs(10) && !clients.iter().all(is_done) {
        let mut any = false;
        for (client, association) in clients.iter_mut().enumerate() {
            while let Ok(length) = sockets[client].recv(&mut buffer) {
                any = true;
                association.handle(Time::read(), &buffer[..length], |datagram| send(client, datagram));
            }
            association.handle_timeout(Time::read(), |datagram| send(client, datagram));
        }
        if !any {
            thread::sleep(Duration::from_micros(200));
        }
    }
    clients.iter().filter(|client| is_done(client)).count()
}
