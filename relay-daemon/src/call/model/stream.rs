//! One transport of a media section, with its counters.

use std::cmp::Reverse;
use std::ops::{Add, AddAssign};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use relay_common::slot::{Counters, PassReason, SSRCS_PER_SLOT};

use crate::clock::Time;
use crate::host::Host;
use crate::plan::{PortId, StreamId, StreamStatus};
use crate::report::{Counts, Passed, Received, Reception, Samples, SsrcSnapshot};

/// A stream lists no more SSRCs than these; further ones only add to the totals.
const MAX_SSRCS: usize = 4 * SSRCS_PER_SLOT;

/// RTP or RTCP of one media section of one party.
#[derive(Clone, Debug)]
pub(in crate::call) struct Stream {
    /// Its name.
    pub(in crate::call) id: StreamId,
    /// When the newest message mentioned it.
    pub(in crate::call) signalled_at: Time,
    /// What userspace counted and learned.
    pub(in crate::call) status: Arc<StreamStatus>,
    /// What the kernel received on ports that were given up since.
    given_up: KernelCounts,
    /// The SSRCs that came there.
    given_up_ssrcs: Vec<SsrcSnapshot>,
    /// What the kernel sent to the party, as far as it is settled.
    sent: KernelCounts,
    /// How much of what the kernel received was added to [`Stream::sent`] of whoever got it.
    settled: KernelCounts,
    /// What of received and sent packets the daemon's totals contain already.
    counted: (Received, Counts),
    /// The same of what its SSRCs say.
    counted_reception: Reception,
    /// The newest packet by then.
    counted_until: Time,
}

/// Packets and bytes that the kernel relayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) struct KernelCounts {
    pub(in crate::call) packets: u64,
    pub(in crate::call) bytes: u64,
    /// Packets dropped as foreign.
    pub(in crate::call) dropped: u64,
}

impl Stream {
    pub(in crate::call) fn new(id: StreamId, now: Time) -> Stream {
        Stream {
            id,
            signalled_at: now,
            status: Arc::default(),
            given_up: KernelCounts::default(),
            given_up_ssrcs: Vec::new(),
            sent: KernelCounts::default(),
            settled: KernelCounts::default(),
            counted: (Received::default(), Counts::default()),
            counted_reception: Reception::default(),
            counted_until: Time::default(),
        }
    }

    /// What the kernel received for the party on these ports and on those before them.
    pub(in crate::call) fn received_by_kernel(
        &self,
        ports: impl Iterator<Item = PortId>,
        host: &dyn Host,
    ) -> KernelCounts {
        ports.fold(self.given_up, |sum, port| {
            sum + KernelCounts::from(&host.kernel_counters(port))
        })
    }

    /// What the kernel sent to the party up to the last settling.
    pub(in crate::call) fn sent_by_kernel(&self) -> KernelCounts {
        self.sent
    }

    /// What of a count of received packets is not settled yet.
    pub(in crate::call) fn unsettled(&self, received: KernelCounts) -> KernelCounts {
        received.since(self.settled)
    }

    /// Takes note that what was received so far has been settled.
    pub(in crate::call) fn settle(&mut self, received: KernelCounts) {
        self.settled = received;
    }

    /// Adds packets that the kernel sent to the party.
    pub(in crate::call) fn add_sent(&mut self, sent: KernelCounts) {
        self.sent += sent;
    }

    /// What of these counts is new to the daemon's totals.
    pub(in crate::call) fn count(&mut self, received: Received, sent: Counts) -> (Received, Counts) {
        let counted = std::mem::replace(&mut self.counted, (received, sent));
        (received.since(counted.0), sent.since(counted.1))
    }

    /// A port is about to be given up: its counts stay.
    pub(in crate::call) fn give_up(&mut self, port: PortId, host: &dyn Host) {
        let counters = host.kernel_counters(port);
        self.given_up += KernelCounts::from(&counters);
        add_ssrcs(&mut self.given_up_ssrcs, &counters);
    }

    /// SSRCs that were seen on these ports and on those before them, the newest first.
    pub(in crate::call) fn ssrcs(
        &self,
        ports: impl Iterator<Item = PortId>,
        host: &dyn Host,
    ) -> Vec<SsrcSnapshot> {
        let mut ssrcs = self.given_up_ssrcs.clone();
        for port in ports {
            add_ssrcs(&mut ssrcs, &host.kernel_counters(port));
        }
        ssrcs.sort_by_key(|ssrc| Reverse(ssrc.newest));
        ssrcs
    }

    /// What of the SSRCs' numbers is new to the daemon's totals. A sample of the jitter for each time that something
    /// came.
    pub(in crate::call) fn count_reception(&mut self, ssrcs: &[SsrcSnapshot]) -> Reception {
        let total = Reception::of(ssrcs);
        let mut fresh = total.since(self.counted_reception);
        self.counted_reception = total.max(self.counted_reception);
        if let Some(newest) = ssrcs.first().filter(|newest| newest.newest > self.counted_until) {
            self.counted_until = newest.newest;
            if !newest.jitter.is_zero() {
                fresh.jitter = Samples::one(newest.jitter.as_secs_f64() * 1000.0);
            }
        }
        fresh
    }

    /// Arrival of the newest packet in userspace, if there was one.
    pub(in crate::call) fn last_user_packet(&self) -> Option<Time> {
        let time = self.status.last_packet.load(Ordering::Relaxed);
        (time != 0).then_some(Time(time))
    }
}

/// Arrival of the newest packet in the kernel on any of these ports, if there was one.
pub(in crate::call) fn last_kernel_packet(
    ports: impl Iterator<Item = PortId>,
    host: &dyn Host,
) -> Option<Time> {
    let newest = ports.map(|port| host.kernel_counters(port).last_seen).max()?;
    (newest != 0).then_some(Time(newest))
}

/// What the kernel passed to userspace or dropped as too much, of what came to these ports.
pub(in crate::call) fn passed(ports: impl Iterator<Item = PortId>, host: &dyn Host) -> Passed {
    let of_port = |counters: Counters| Passed {
        packets: counters.passed,
        last: PassReason::of(counters.last_pass_reason).filter(|_| counters.passed != 0),
        limited: counters.limited,
    };
    // The current port comes first.
    let ports = ports.map(|port| of_port(host.kernel_counters(port)));
    ports.fold(Passed::default(), Add::add)
}

/// Adds what a port's slot counted.
fn add_ssrcs(ssrcs: &mut Vec<SsrcSnapshot>, counters: &Counters) {
    for counters in counters.ssrcs.iter().filter(|ssrc| ssrc.counted_by != 0) {
        let fresh = SsrcSnapshot::from(counters);
        let is_full = ssrcs.len() >= MAX_SSRCS;
        match ssrcs.iter_mut().find(|known| known.ssrc == fresh.ssrc) {
            Some(known) => known.merge(&fresh),
            None if is_full => {}
            None => ssrcs.push(fresh),
        }
    }
}

impl KernelCounts {
    fn since(self, earlier: KernelCounts) -> KernelCounts {
        KernelCounts {
            packets: self.packets.saturating_sub(earlier.packets),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            dropped: self.dropped.saturating_sub(earlier.dropped),
        }
    }
}

impl From<&Counters> for KernelCounts {
    fn from(counters: &Counters) -> KernelCounts {
        KernelCounts {
            packets: counters.packets,
            bytes: counters.bytes,
            dropped: counters.dropped,
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

#[cfg(test)]
mod tests {
    use relay_common::slot::SsrcCounters;

    use super::*;
    use crate::call::testing::TestHost;

    fn seen(ssrc: u32, packets: u64, last_arrival: u64) -> SsrcCounters {
        SsrcCounters {
            ssrc,
            packets,
            bytes: packets * 172,
            last_arrival,
            highest_sequence: u32::try_from(last_arrival).unwrap(),
            counted_by: 1,
            ..SsrcCounters::default()
        }
    }

    fn counters(ssrcs: &[SsrcCounters]) -> Counters {
        let mut counters = Counters::default();
        counters.ssrcs[..ssrcs.len()].copy_from_slice(ssrcs);
        counters
    }

    #[test]
    fn ssrcs_of_ports_that_were_given_up_still_count() {
        let mut host = TestHost::new(&["203.0.113.1"]);
        let mut stream = Stream::new(StreamId(0), Time(0));
        let (old, new) = (PortId(1), PortId(2));
        host.kernel
            .insert(old, counters(&[seen(7, 10, 100), seen(8, 1, 50)]));
        stream.give_up(old, &host);
        host.kernel.remove(&old);
        host.kernel.insert(new, counters(&[seen(7, 5, 200)]));
        let listed = stream.ssrcs([new].into_iter(), &host);
        let short = |seen: &SsrcSnapshot| (seen.ssrc, seen.packets, seen.bytes, seen.sequence);
        assert_eq!(
            listed.iter().map(short).collect::<Vec<_>>(),
            [(7, 15, 15 * 172, 200), (8, 1, 172, 50)]
        );
    }

    #[test]
    fn no_more_ssrcs_are_kept_than_a_few() {
        let mut host = TestHost::new(&["203.0.113.1"]);
        let mut stream = Stream::new(StreamId(0), Time(0));
        for port in 0..100 {
            let ssrcs = [0, 1, 2, 3].map(|ssrc| seen(port * 4 + ssrc, 1, 1));
            host.kernel.insert(PortId(port), counters(&ssrcs));
            stream.give_up(PortId(port), &host);
        }
        let listed = stream.ssrcs(std::iter::empty(), &host);
        assert_eq!(listed.len(), MAX_SSRCS);
        assert_eq!(stream.given_up_ssrcs.len(), MAX_SSRCS);
    }
}
