//! A daemon in the middle of a network, and calls through it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use relay_common::slot::SlotState;
use relay_tests::call::{Audio, Call, Told};
use relay_tests::daemon::{Control, Daemon, wait_until};
use relay_tests::flow::Flow;
use relay_tests::lab::{IpVersion, Lab};
use relay_tests::probe::Side;

/// The relay's addresses: `inner` towards the caller, `outer` towards the callee.
pub(crate) const INTERFACES: [&str; 4] = [
    "--interface=inner/10.9.1.1",
    "--interface=inner/fd09:1::1",
    "--interface=outer/10.9.2.1",
    "--interface=outer/fd09:2::1",
];

/// The lowest and the highest media port of [`Bench::start`].
pub(crate) const PORTS: std::ops::RangeInclusive<u16> = 30000..=30099;

/// A daemon, and a client of it.
pub(crate) struct Bench {
    pub(crate) control: Control,
    pub(crate) daemon: Daemon,
    pub(crate) lab: Lab,
}

impl Bench {
    /// A daemon with these options, in a network of its own.
    pub(crate) fn start(options: &[&str]) -> Bench {
        let lab = Lab::new();
        let daemon = start(&lab, options);
        let control = Control::connect(&lab.relay);
        Bench { lab, daemon, control }
    }

    /// Waits until no media port is open and no slot is claimed.
    pub(crate) fn wait_for_free_ports(&self) {
        wait_until("all ports are free", || self.media_ports() == 0);
        wait_until("all slots are free", || {
            let slots = self.daemon.slots();
            slots.iter().all(|state| *state == SlotState::Unclaimed)
        });
    }

    /// How many media ports are open.
    pub(crate) fn media_ports(&self) -> usize {
        let ports = self.lab.relay.udp_ports();
        ports.iter().filter(|port| PORTS.contains(port)).count()
    }

    /// Sets up a call, and gives both its flows: what the caller sends, what the callee sends.
    pub(crate) fn talk(&mut self, call: &Call, version: IpVersion, port: u16) -> [Flow; 2] {
        talk(&self.lab, &mut self.control, call, version, port)
    }
}

/// Starts a daemon with both interfaces.
pub(crate) fn start(lab: &Lab, options: &[&str]) -> Daemon {
    let ports = [
        format!("--port-min={}", PORTS.start()),
        format!("--port-max={}", PORTS.end()),
    ];
    let mut all = vec!["--num-threads=2", &ports[0], &ports[1]];
    all.extend(INTERFACES);
    all.extend(options);
    Daemon::start(&lab.relay, &all)
}

/// What one end says of its audio, at this port.
pub(crate) fn audio(side: Side, version: IpVersion, port: u16) -> Audio {
    Audio::at(SocketAddr::new(version.address(side), port))
}

/// Sets up a call between two ends that both receive at `port`, and gives both its flows: what the caller sends, what the
/// callee sends.
pub(crate) fn talk(
    lab: &Lab,
    control: &mut Control,
    call: &Call,
    version: IpVersion,
    port: u16,
) -> [Flow; 2] {
    let [caller, callee] = Side::ALL.map(|side| audio(side, version, port));
    let told = call.set_up(control, caller, callee);
    flows(lab, told, caller.rtp, callee.rtp)
}

/// The two flows of a call whose ends send from these addresses, and have been told these.
pub(crate) fn flows(lab: &Lab, told: (Told, Told), caller: SocketAddr, callee: SocketAddr) -> [Flow; 2] {
    let (to_relay, to_relay_back) = (told.0.rtp, told.1.rtp);
    let (from_caller, from_callee) = (lab.bind(Side::Caller, caller), lab.bind(Side::Callee, callee));
    [
        Flow::new(lab, Side::Caller, from_caller, to_relay, callee, to_relay_back),
        Flow::new(lab, Side::Callee, from_callee, to_relay_back, caller, to_relay),
    ]
}

/// Watches the counters of a call: none may ever fall.
pub(crate) struct Monitor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    pub(crate) fn start(lab: &Lab, call: &Call) -> Monitor {
        let mut control = Control::connect(&lab.relay);
        let stop = Arc::new(AtomicBool::new(false));
        let (call, stopped) = (call.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut last = call.counters(&mut control);
            loop {
                let is_last = stopped.load(Ordering::Relaxed);
                let now = call.counters(&mut control);
                assert_eq!(now.fallen_since(&last), [""; 0]);
                last = now;
                if is_last {
                    return;
                }
            }
        });
        Monitor {
            stop,
            thread: Some(thread),
        }
    }

    /// Ends it. Panics if a counter fell.
    pub(crate) fn end(mut self) {
        self.stop().expect("no counter fell");
    }

    fn stop(&mut self) -> std::thread::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
