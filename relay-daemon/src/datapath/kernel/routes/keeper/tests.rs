//! The keeper in a network namespace of its own, with a program that is none, when netlink fails.

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::super::super::attach::{Held, Ingress, Program, Refusal};
use super::super::super::{AttachedMode, KernelConfig, LocalPorts, XdpMode};
use super::super::Mailbox;
use super::*;
use crate::plan::PortId;

/// Shorter than the interval at which everything is looked up again, which would hide that something was missed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where packets are let in.
#[derive(Clone, Debug, Default)]
struct Admitted(Arc<Mutex<Vec<Ingress>>>);

#[derive(Debug)]
struct Grip;

impl Held for Grip {}

impl Program for Admitted {
    fn id(&self) -> u32 {
        77
    }

    fn attach(&mut self, _: u32, _: AttachedMode) -> Result<Box<dyn Held>, Refusal> {
        Ok(Box::new(Grip))
    }

    fn admit(&mut self, ingress: &[Ingress]) {
        *self.0.lock().unwrap() = ingress.to_vec();
    }
}

/// Runs a test in a network namespace that ends with it. Prints what is missing where it cannot.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => test(),
        Err(error) => eprintln!("skipped: this test needs root ({error})"),
    });
    thread.join().unwrap();
}

/// Runs `ip` with each of these lines as arguments, in the namespace of the calling thread.
fn ip(lines: &[String]) {
    let mut command = Command::new("ip");
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    { stdin }.write_all(lines.join("\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{lines:?}");
}

/// A device with its peer. The address and the neighbour are missing.
fn devices() {
    // Its addresses become valid a while later, and with that event everything would be looked up again.
    std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    ip(&[
        "link set lo up",
        "link add a0 type veth peer name a1",
        "link set a0 up",
        "link set a1 up",
    ]
    .map(String::from));
}

/// What a call needs to leave by it.
fn address_and_neighbour() {
    ip(&[
        "addr add 192.0.2.1/24 dev a0",
        "neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev a0 nud permanent",
    ]
    .map(String::from));
}

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

struct Bench {
    keeper: Keeper,
    admitted: Admitted,
    mailbox: Arc<Mailbox>,
    mail: mpsc::Receiver<()>,
}

/// A keeper that a port has asked for the way from 192.0.2.1 to 192.0.2.9.
fn bench() -> Bench {
    let admitted = Admitted::default();
    let config = KernelConfig {
        locals: vec![LocalPorts {
            address: LOCAL,
            port_min: 30000,
            port_max: 30099,
        }],
        // From a driver, packets could not leave by these devices.
        mode: XdpMode::Generic,
        ..KernelConfig::default()
    };
    let attacher = Attacher::new(config, Box::new(admitted.clone()));
    let requests = Arc::new(RouteRequests::unattended(8).unwrap());
    let array = SharedArray::anonymous(8).unwrap();
    let (waker, mail) = mpsc::channel();
    let waker = Mutex::new(waker);
    let mailbox = requests.mailbox(move || {
        let _ = waker.lock().unwrap_or_else(PoisonError::into_inner).send(());
    });
    let key = RouteKey {
        source: LOCAL,
        destination: "192.0.2.9".parse().unwrap(),
        tos: 0,
        ports: None,
    };
    requests.acquire(key, PortId(1), &mailbox).unwrap();
    let keeper = Keeper::begin(requests, array, Arc::new(Grace::new()), attacher).unwrap();
    Bench {
        keeper,
        admitted,
        mailbox,
        mail,
    }
}

impl Bench {
    fn state(&self) -> Option<HopState> {
        let hops = self.keeper.hops.values();
        hops.map(|hop| hop.resolution.state()).next()
    }

    fn is_admitted(&self) -> bool {
        let admitted = self.admitted.0.lock().unwrap();
        admitted.iter().any(|place| place.address == LOCAL)
    }
}

#[test]
fn after_lost_events_devices_addresses_and_hops_are_read_again() {
    in_namespace(|| {
        devices();
        let mut bench = bench();
        bench.keeper.turn().unwrap();
        assert_eq!(bench.state(), Some(HopState::Refused(UserspaceReason::NoRoute)));
        assert!(!bench.is_admitted());
        // What came of making the devices is taken note of.
        let begin = Instant::now();
        while begin.elapsed() < super::super::stale::DEBOUNCE * 5 {
            bench.keeper.turn().unwrap();
        }
        // The queue fills with what does not matter here, and then there is no room for what does.
        bench.keeper.events.shrink();
        ip(&(0..200)
            .map(|number| format!("route add blackhole 198.18.0.{number}"))
            .collect::<Vec<_>>());
        address_and_neighbour();
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE && !(bench.is_admitted() && bench.state() == Some(HopState::Ready)) {
            bench.keeper.wait().unwrap();
            bench.keeper.turn().unwrap();
        }
        assert!(bench.is_admitted(), "the address is not known");
        assert_eq!(bench.state(), Some(HopState::Ready));
        assert!(begin.elapsed() < PATIENCE);
    });
}

/// Waits until a port's hop is as wanted; says what it was on the way there.
fn wait(mail: &mpsc::Receiver<()>, mailbox: &Mailbox, wanted: HopState) -> Vec<HopState> {
    let (begin, mut states) = (Instant::now(), Vec::new());
    while states.last() != Some(&wanted) {
        let left = PATIENCE.saturating_sub(begin.elapsed());
        if mail.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            panic!("not {wanted:?}: {states:?}");
        }
        states.extend(mailbox.take().into_values().map(|(_, state)| state));
    }
    states
}

#[test]
fn after_an_error_netlink_is_opened_again_and_followed() {
    in_namespace(|| {
        devices();
        address_and_neighbour();
        let Bench {
            mut keeper,
            mailbox,
            mail,
            ..
        } = bench();
        keeper.turn().unwrap();
        wait(&mail, &mailbox, HopState::Ready);
        keeper.events = Events::broken();
        let requests = keeper.requests.clone();
        // It inherits the namespace.
        let thread = thread::spawn(move || keeper.run());
        // Nobody could have told that the way is another one: no packet goes by it.
        wait(&mail, &mailbox, HopState::Refused(UserspaceReason::NoRoute));
        wait(&mail, &mailbox, HopState::Ready);
        ip(&["route add unreachable 192.0.2.9".to_owned()]);
        wait(&mail, &mailbox, HopState::Refused(UserspaceReason::NoRoute));
        ip(&["route del unreachable 192.0.2.9".to_owned()]);
        wait(&mail, &mailbox, HopState::Ready);
        requests.stopping.store(true, Ordering::Release);
        requests.wake();
        assert!(matches!(thread.join().unwrap(), Ending::Wanted));
    });
}
