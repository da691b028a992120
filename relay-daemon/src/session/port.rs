//! A local port of a stream, and what the kernel is to do with the packets that arrive there.

use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::plan::{LocalPort, OffloadRule, Path, UserspaceReason};

/// A local port of a stream.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) local: LocalPort,
    /// What the kernel was asked to do with the packets that arrive here.
    pub(super) rule: Option<OffloadRule>,
    /// As the driver was told.
    pub(super) expected: Expected,
    /// Whether nothing but a change of plan or source can bring the port's packets into the kernel.
    pub(super) decided: bool,
    /// Whether the kernel has relayed its packets since it was last asked for its counts.
    pub(super) was_in_kernel: bool,
    pub(super) marks: SmallVec<[Mark; 1]>,
    pub(super) path: Path,
}

/// Where the packets of a port are expected from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// It is not known yet.
    #[default]
    Nobody,
    /// From this address.
    Source(SocketAddr),
    /// From anywhere.
    Anybody,
}

impl Expected {
    /// Whether packets may come from a source, however many.
    pub fn allows(self, source: SocketAddr) -> bool {
        match self {
            Expected::Nobody => false,
            Expected::Source(expected) => expected == source,
            Expected::Anybody => true,
        }
    }
}

/// What the kernel had counted of an SSRC when it was last asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) ssrc: u32,
    /// The highest extended sequence number.
    pub(super) highest: u32,
    pub(super) packets: u64,
}

impl Port {
    /// A port as planned, taken over from those of the plan before if it is among them.
    pub(super) fn new(local: LocalPort, before: &mut SmallVec<[Port; 1]>) -> Port {
        match before.iter().position(|port| port.local == local) {
            Some(index) => before.swap_remove(index),
            None => Port {
                local,
                rule: None,
                expected: Expected::default(),
                decided: false,
                was_in_kernel: false,
                marks: SmallVec::new(),
                path: Path::Userspace(UserspaceReason::NoPacketYet),
            },
        }
    }

    /// Where its packets are relayed.
    pub(super) fn path(&self) -> Path {
        self.path
    }

    /// Whatever the kernel had is forgotten.
    pub(super) fn leave_kernel(&mut self) {
        self.rule = None;
        self.decided = false;
        self.path = Path::Userspace(UserspaceReason::NoPacketYet);
    }
}
