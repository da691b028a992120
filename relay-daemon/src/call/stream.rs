//! One transport of a media section, with its counters.

use std::ops::{Add, AddAssign};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::Time;
use crate::host::Host;
use crate::plan::{PortId, StreamId, StreamStatus};
use crate::report::{Counts, Received};

/// RTP or RTCP of one media section of one party.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Its name.
    pub(super) id: StreamId,
    /// When the newest message mentioned it.
    pub(super) signalled_at: Time,
    /// What userspace counted and learned.
    pub(super) status: Arc<StreamStatus>,
    /// What the kernel received on ports that were given up since.
    given_up: KernelCounts,
    /// What the kernel sent to the party, as far as it is settled.
    sent: KernelCounts,
    /// How much of what the kernel received was added to [`Stream::sent`] of whoever got it.
    settled: KernelCounts,
    /// What of received and sent packets the daemon's totals contain already.
    counted: (Received, Counts),
}

/// Packets and bytes that the kernel relayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KernelCounts {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// Packets dropped as foreign.
    pub(super) dropped: u64,
}

impl Stream {
    pub(super) fn new(id: StreamId, now: Time) -> Stream {
        Stream {
            id,
            signalled_at: now,
            status: Arc::default(),
            given_up: KernelCounts::default(),
            sent: KernelCounts::default(),
            settled: KernelCounts::default(),
            counted: (Received::default(), Counts::default()),
        }
    }

    /// What the kernel received for the party on these ports and on those before them.
    pub(super) fn received_by_kernel(
        &self,
        ports: impl Iterator<Item = PortId>,
        host: &dyn Host,
    ) -> KernelCounts {
        ports.fold(self.given_up, |sum, port| sum + KernelCounts::of(port, host))
    }

    /// What the kernel sent to the party up to the last settling.
    pub(super) fn sent_by_kernel(&self) -> KernelCounts {
        self.sent
    }

    /// What of a count of received packets is not settled yet.
    pub(super) fn unsettled(&self, received: KernelCounts) -> KernelCounts {
        received.since(self.settled)
    }

    /// Takes note that what was received so far has been settled.
    pub(super) fn settle(&mut self, received: KernelCounts) {
        self.settled = received;
    }

    /// Adds packets that the kernel sent to the party.
    pub(super) fn add_sent(&mut self, sent: KernelCounts) {
        self.sent += sent;
    }

    /// What of these counts is new to the daemon's totals.
    pub(super) fn count(&mut self, received: Received, sent: Counts) -> (Received, Counts) {
        let counted = std::mem::replace(&mut self.counted, (received, sent));
        (received.since(counted.0), sent.since(counted.1))
    }

    /// A port is about to be given up: its counts stay.
    pub(super) fn give_up(&mut self, port: PortId, host: &dyn Host) {
        self.given_up += KernelCounts::of(port, host);
    }

    /// Arrival of the newest packet in userspace, if there was one.
    pub(super) fn last_user_packet(&self) -> Option<Time> {
        let time = self.status.last_packet.load(Ordering::Relaxed);
        (time != 0).then_some(Time(time))
    }
}

/// Arrival of the newest packet in the kernel on any of these ports, if there was one.
pub(super) fn last_kernel_packet(ports: impl Iterator<Item = PortId>, host: &dyn Host) -> Option<Time> {
    let newest = ports.map(|port| host.kernel_counters(port).last_seen).max()?;
    (newest != 0).then_some(Time(newest))
}

impl KernelCounts {
    fn of(port: PortId, host: &dyn Host) -> KernelCounts {
        let counters = host.kernel_counters(port);
        KernelCounts {
            packets: counters.packets,
            bytes: counters.bytes,
            dropped: counters.dropped,
        }
    }

    fn since(self, earlier: KernelCounts) -> KernelCounts {
        KernelCounts {
            packets: self.packets.saturating_sub(earlier.packets),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            dropped: self.dropped.saturating_sub(earlier.dropped),
        }
    }
}

impl Add for KernelCounts {
    type Output = KernelCounts;

    fn add(self, rhs: KernelCounts) -> KernelCounts {
        KernelCounts {
            packets: self.packets.saturating_add(rhs.packets),
            bytes: self.bytes.saturating_add(rhs.bytes),
            dropped: self.dropped.saturating_add(rhs.dropped),
        }
    }
}

impl AddAssign for KernelCounts {
    fn add_assign(&mut self, rhs: KernelCounts) {
        *self = *self + rhs;
    }
}
