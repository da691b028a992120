//! The XDP datapath: slots, routes, attachment.
//!
//! The kernel is a cache (every flow works without it), so the same API exists without the program:
//! built without the feature `kernel`, or switched off ([`Kernel::disabled`]), ports can be claimed
//! and rules offered all the same, and every flow stays in userspace.

mod layout;
#[cfg(feature = "kernel")]
pub mod program;

use std::net::IpAddr;

pub use layout::Layout;
use relay_common::slot::{Counters, PassReason};

use crate::plan::{OffloadRule, Path, PortId, UserspaceReason};

/// What the kernel datapath is to do.
#[derive(Clone, Debug)]
pub struct KernelConfig {
    /// The local addresses with their port ranges, in the order of [`crate::host::AddressId`].
    pub locals: Vec<LocalPorts>,
    /// How the program is attached.
    pub mode: XdpMode,
    /// The only devices that it may be attached to; any that carries a local address by default.
    pub only: Option<Vec<String>>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// Native where the driver takes it, else generic.
    #[default]
    Auto,
    /// In the driver, before the kernel allocates anything for a packet.
    Native,
    /// In the network stack's entry, on any device.
    Generic,
}

/// Why the kernel datapath cannot run.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The daemon was built without it.
    #[error("built without the kernel datapath (cargo feature `kernel`)")]
    NotBuilt,
}

/// The running kernel datapath. Dropping it detaches the program: all flows go on in userspace.
#[derive(Debug)]
pub struct Kernel {
    disabled: String,
}

impl Kernel {
    /// Loads the program and attaches it to the devices that carry a local address.
    pub fn start(config: KernelConfig) -> Result<Kernel, KernelError> {
        let _ = config;
        Err(KernelError::NotBuilt)
    }

    /// The datapath that relays nothing.
    pub fn disabled(reason: impl Into<String>) -> Kernel {
        Kernel {
            disabled: reason.into(),
        }
    }

    /// Why nothing is relayed in the kernel; none while it is.
    pub fn disabled_reason(&self) -> Option<&str> {
        Some(&self.disabled)
    }

    /// The slots, for the port pool and for reports.
    pub fn slots(&self) -> Slots {
        Slots {}
    }

    /// The offloader of one worker thread. `waker` is called, on another thread, when [`Offloader::poll`]
    /// has something to say.
    pub fn offloader(&self, waker: impl Fn() + Send + Sync + 'static) -> Offloader {
        let _ = waker;
        Offloader {}
    }

    /// How many packets the program passed to userspace, by [`PassReason`].
    pub fn pass_counters(&self) -> [u64; PassReason::COUNT as usize] {
        [0; PassReason::COUNT as usize]
    }
}

/// The slots of all local ports, shared with the program. No call makes a system call.
#[derive(Clone, Debug)]
pub struct Slots {}

impl Slots {
    /// A socket is bound: zeroes the port's counters and passes its packets to userspace.
    pub fn claim(&self, port: PortId) {
        let _ = port;
    }

    /// The socket is closed.
    pub fn unclaim(&self, port: PortId) {
        let _ = port;
    }

    /// What the program counted since the port was claimed.
    pub fn counters(&self, port: PortId) -> Counters {
        let _ = port;
        Counters::default()
    }
}

/// Moves the flows of one worker thread in and out of the kernel.
#[derive(Debug)]
pub struct Offloader {}

impl Offloader {
    /// Wants a port's packets relayed by the program, in place of any earlier rule of that port. The
    /// port must be claimed. Says where its packets are relayed from now on; when that changes,
    /// [`Offloader::poll`] tells.
    pub fn offload(&mut self, rule: &OffloadRule) -> Path {
        let _ = rule;
        Path::Userspace(UserspaceReason::NoKernel)
    }

    /// Wants a port's packets in userspace: they are, from now on. Counters stay.
    pub fn withdraw(&mut self, port: PortId) {
        let _ = port;
    }

    /// The ports whose path changed since the last call, and for which an offload is wanted.
    pub fn poll(&mut self) -> Vec<(PortId, Path)> {
        Vec::new()
    }
}
