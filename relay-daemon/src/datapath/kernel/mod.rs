//! The XDP datapath: slots, routes, attachment.
//!
//! ```text
//! control thread ── Slots ───┐                    ┌── slot array ──┐
//!                            ├── SlotTable ───────┤                │
//! worker ── Offloader ───────┘                    │                ├── program
//!              │                                  │                │
//!              └── RouteRequests ── Keeper ───────────┴── route array ─┘
//!                                 └── netlink
//! ```
//!
//! The kernel is a cache (every flow works without it), so the same API exists without the program:
//! built without the feature `kernel`, or switched off ([`Kernel::disabled`]), ports can be claimed
//! and rules offered all the same, and every flow stays in userspace.
#![cfg_attr(
    not(feature = "kernel"),
    expect(dead_code, reason = "only a loaded program brings it to life")
)]

mod attach;
#[cfg(feature = "kernel")]
mod cleanup;
mod error;
mod floods;
mod grace;
mod layout;
#[cfg(feature = "kernel")]
mod loader;
#[cfg(feature = "kernel")]
mod locals;
mod memory;
mod netlink;
mod offloader;
#[cfg(feature = "kernel")]
pub mod program;
mod received;
mod routes;
mod rule;
#[cfg(feature = "kernel")]
mod running;
mod slots;
mod ticks;
#[cfg(feature = "kernel")]
mod xdp;

pub use crate::config::{FloodLimits, XdpMode};

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use relay_common::slot::{Counters, DropReason, PassReason};

#[cfg(feature = "kernel")]
pub use self::cleanup::{Fate, Leftover, clean_up};
pub use self::error::KernelError;
pub use self::layout::Layout;
use self::offloader::KernelOffloader;
#[cfg(feature = "kernel")]
use self::running::Running;
use self::slots::SlotTable;
use crate::clock::Time;
use crate::plan::{OffloadRule, Path, PortId, UserspaceReason};
use crate::session::{Expected, Received};

/// What the kernel datapath is to do.
#[derive(Clone, Debug, Default)]
pub struct KernelConfig {
    /// The local addresses with their port ranges, in the order of [`crate::host::AddressId`].
    pub locals: Vec<LocalPorts>,
    /// How the program is attached to devices that are not named.
    pub mode: XdpMode,
    /// Devices by name, each with a mode of its own. If any of them is to have the program, all others are not.
    pub interfaces: Vec<(String, XdpMode)>,
    /// Whether it is an error if the program cannot be attached to all of them at the start.
    pub strict: bool,
    /// What packets that nobody expects may cost.
    pub floods: FloodLimits,
}

/// A local address and the ports that media uses there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalPorts {
    /// The address that sockets are bound to.
    pub address: IpAddr,
    /// Lowest port.
    pub port_min: u16,
    /// Highest port, inclusive.
    pub port_max: u16,
}

/// How the program is attached to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachedMode {
    /// In the driver.
    Native,
    /// In the network stack's entry.
    Generic,
}

/// A device that the program is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The device's name.
    pub interface: String,
    /// How.
    pub mode: AttachedMode,
}

/// Packets that the program passed to userspace, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassCounters([u64; PassReason::COUNT as usize]);

/// Packets that the program or a worker dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounters([u64; DropReason::COUNT as usize]);

/// The kernel datapath. Dropping it detaches the program: all flows go on in userspace.
#[derive(Debug)]
pub struct Kernel(State);

#[derive(Debug)]
enum State {
    Disabled(String, Slots),
    #[cfg(feature = "kernel")]
    Running(Box<Running>),
}

impl Kernel {
    /// Loads the program and attaches it to the devices that carry a local address, in the network namespace of the
    /// calling thread; and to those that come or change later. Logs a line for each.
    pub fn start(config: &KernelConfig) -> Result<Kernel, KernelError> {
        #[cfg(feature = "kernel")]
        return Ok(Kernel(State::Running(Box::new(Running::start(config)?))));
        #[cfg(not(feature = "kernel"))]
        return Err(KernelError::not_built(config));
    }

    /// The datapath that relays nothing, but still has a slot for each local port.
    pub fn disabled(locals: &[LocalPorts], reason: impl Into<String>) -> Kernel {
        Kernel::disabled_with(locals, &FloodLimits::default(), reason)
    }

    /// The same, with limits for what workers take from unexpected sources.
    pub fn disabled_with(locals: &[LocalPorts], floods: &FloodLimits, reason: impl Into<String>) -> Kernel {
        Kernel(State::Disabled(
            reason.into(),
            Slots::without_program(locals, floods),
        ))
    }

    /// Why nothing is relayed in the kernel; none while it is.
    pub fn disabled_reason(&self) -> Option<&str> {
        match &self.0 {
            State::Disabled(reason, _) => Some(reason),
            #[cfg(feature = "kernel")]
            State::Running(_) => None,
        }
    }

    /// The devices that the program is attached to at the moment.
    pub fn attachments(&self) -> Vec<Attachment> {
        match &self.0 {
            State::Disabled(..) => Vec::new(),
            #[cfg(feature = "kernel")]
            State::Running(running) => running.attachments(),
        }
    }

    /// The slots, for the port pool and for reports.
    pub fn slots(&self) -> Slots {
        match &self.0 {
            State::Disabled(_, slots) => slots.clone(),
            #[cfg(feature = "kernel")]
            State::Running(running) => Slots(Some(running.slots())),
        }
    }

    /// The offloader of one worker thread. `waker` is called, on another thread, when [`Offloader::poll`]
    /// may have something to say; it must not block.
    pub fn offloader(&self, waker: impl Fn() + Send + Sync + 'static) -> Offloader {
        match &self.0 {
            State::Disabled(..) => {
                drop(waker);
                Offloader(None)
            }
            #[cfg(feature = "kernel")]
            State::Running(running) => Offloader(Some(running.offloader(waker))),
        }
    }

    /// How many packets the program passed to userspace. A system call for each reason.
    pub fn pass_counters(&self) -> PassCounters {
        match &self.0 {
            State::Disabled(..) => PassCounters::default(),
            #[cfg(feature = "kernel")]
            State::Running(running) => PassCounters(running.passes()),
        }
    }

    /// How many packets the program dropped, a system call for each reason; and the workers, for the same reasons.
    pub fn drop_counters(&self) -> DropCounters {
        let by_workers = self.slots().dropped();
        match &self.0 {
            State::Disabled(..) => DropCounters(by_workers),
            #[cfg(feature = "kernel")]
            State::Running(running) => {
                let by_program = running.drops();
                DropCounters(std::array::from_fn(|reason| {
                    by_program[reason] + by_workers[reason]
                }))
            }
        }
    }
}

/// The slots of all local ports, shared with the program. No call makes a system call.
#[derive(Clone, Debug)]
pub struct Slots(Option<Arc<SlotTable>>);

impl Slots {
    fn without_program(locals: &[LocalPorts], floods: &FloodLimits) -> Slots {
        let slots = usize::try_from(Layout::new(locals).slots()).unwrap_or_default();
        // Without memory nothing is counted: that is no reason not to relay.
        Slots(SlotTable::without_program(slots, floods).ok().map(Arc::new))
    }

    /// A socket is bound: zeroes the port's counters and passes its packets to userspace.
    pub fn claim(&self, port: PortId) {
        if let Some(table) = &self.0 {
            table.claim(port);
        }
    }

    /// The socket is closed. Its worker must have withdrawn the port before.
    pub fn unclaim(&self, port: PortId) {
        if let Some(table) = &self.0 {
            table.unclaim(port);
        }
    }

    /// Where a port's packets are expected from, from now on: others take from its token bucket. Only by the worker that
    /// has the port.
    pub fn expect(&self, port: PortId, expected: Expected) {
        if let Some(table) = &self.0 {
            table.expect(port, expected);
        }
    }

    /// Takes the tokens of a packet that came to a port, and from elsewhere than expected. False: there are too many, it is to
    /// be dropped.
    pub fn admit(&self, now: Time, port: PortId, source: IpAddr, bucket: &mut u64) -> bool {
        let table = self.0.as_ref();
        table.is_none_or(|table| table.admit(now, port, source, bucket))
    }

    /// How many packets were not admitted, by reason.
    fn dropped(&self) -> [u64; DropReason::COUNT as usize] {
        self.0.as_ref().map(|table| table.dropped()).unwrap_or_default()
    }

    /// Counts a packet that userspace received for its SSRC. Only by the worker that has the port.
    pub fn count(&self, now: Time, packet: &Received) {
        if let Some(table) = &self.0 {
            table.count(now, packet);
        }
    }

    /// Has the processor fetch what [`Slots::count`] is going to need.
    pub fn fetch(&self, port: PortId) {
        if let Some(table) = &self.0 {
            table.fetch(port);
        }
    }

    /// What was counted since the port was claimed: by the program, and for each SSRC by both.
    pub fn counters(&self, port: PortId) -> Counters {
        self.0
            .as_ref()
            .map_or_else(Counters::default, |table| table.counters(port))
    }
}

/// Moves the flows of one worker thread in and out of the kernel. Dropping it moves all of them out.
#[derive(Debug)]
pub struct Offloader(Option<KernelOffloader>);

impl Offloader {
    /// Wants a port's packets relayed by the program, in place of any earlier rule of that port. The
    /// port must be claimed. Says where its packets are relayed from now on; when that changes,
    /// [`Offloader::poll`] tells.
    ///
    /// Never waits. A rule that has to wait (its next hop is being looked up, or the port's last rule
    /// was replaced only milliseconds ago) leaves the packets in userspace until it is in force.
    pub fn offload(&mut self, rule: &OffloadRule) -> Path {
        self.0
            .as_mut()
            .map_or(Path::Userspace(UserspaceReason::NoKernel), |kernel| {
                kernel.offload(rule)
            })
    }

    /// Wants a port's packets in userspace: they are, from now on. Counters stay.
    pub fn withdraw(&mut self, port: PortId) {
        if let Some(kernel) = &mut self.0 {
            kernel.withdraw(port);
        }
    }

    /// What the program counted at a port since it was claimed. No system call.
    pub fn counters(&self, port: PortId) -> Counters {
        self.0
            .as_ref()
            .map_or_else(Counters::default, |kernel| kernel.counters(port))
    }

    /// The ports whose path changed since they were last reported, among those whose offload is wanted.
    pub fn poll(&mut self) -> Vec<(PortId, Path)> {
        self.0.as_mut().map(KernelOffloader::poll).unwrap_or_default()
    }
}

impl KernelConfig {
    /// How the program is to be attached to a device.
    fn mode_of(&self, interface: &str) -> XdpMode {
        let mut named = self.interfaces.iter();
        match named.find(|(name, _)| name == interface) {
            Some((_, mode)) => *mode,
            None if self.interfaces.iter().any(|(_, mode)| *mode != XdpMode::Off) => XdpMode::Off,
            None => self.mode,
        }
    }

    /// Whether a device is named to have the program.
    fn names(&self, interface: &str) -> bool {
        let is_it = |(name, mode): &(String, XdpMode)| name == interface && *mode != XdpMode::Off;
        self.interfaces.iter().any(is_it)
    }
}

impl PassCounters {
    /// The packets passed for a reason.
    pub fn of(&self, reason: PassReason) -> u64 {
        self.0[reason as usize]
    }
}

impl DropCounters {
    /// The packets dropped for a reason.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }
}

impl fmt::Display for AttachedMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AttachedMode::Native => "native",
            AttachedMode::Generic => "generic",
        })
    }
}
