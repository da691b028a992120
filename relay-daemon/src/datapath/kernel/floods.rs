//! What packets of unexpected sources may cost a worker.
//!
//! The same limits as in the program, for what it does not see: where it is not loaded or not attached, and what comes by other
//! ways. What it has let through comes here once more, and as a rule is let through: the buckets are as large.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use relay_common::slot::{DropReason, Limit, Limits, NO_LIMITS, PREFIXES, prefix};

use super::FloodLimits;
use super::rule::address;
use crate::clock::Time;

/// The buckets of networks, which all workers share, and what was dropped.
pub(crate) struct Floods {
    limits: Limits,
    /// By [`prefix`]; none if there is no limit.
    networks: Box<[AtomicU64]>,
    dropped: [AtomicU64; DropReason::COUNT as usize],
}

/// The bucket of a port: as in [`Limit::take`].
pub(crate) type Bucket = u64;

impl Floods {
    /// All buckets full.
    pub(crate) fn new(floods: &FloodLimits) -> Floods {
        let networks = if floods.network == 0 { 0 } else { PREFIXES };
        Floods {
            limits: limits(floods),
            networks: (0..networks).map(|_| AtomicU64::new(0)).collect(),
            dropped: Default::default(),
        }
    }

    /// Takes the tokens of a packet that is not expected. False: there are too many, it is to be dropped.
    pub(crate) fn admit(&self, now: Time, source: IpAddr, bucket: &mut Bucket) -> bool {
        let dropped = if !self.admits_network(now, source) {
            DropReason::PrefixLimit
        } else if !take(self.limits.port, bucket, now) {
            DropReason::PortLimit
        } else {
            return true;
        };
        self.dropped[dropped as usize].fetch_add(1, Ordering::Relaxed);
        false
    }

    /// How many packets were dropped, by reason.
    pub(crate) fn dropped(&self) -> [u64; DropReason::COUNT as usize] {
        self.dropped.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    fn admits_network(&self, now: Time, source: IpAddr) -> bool {
        let index = usize::try_from(prefix(&address(source), &self.limits)).unwrap_or_default();
        let Some(shared) = self.networks.get(index) else {
            return true;
        };
        let before = shared.load(Ordering::Relaxed);
        let mut bucket = before;
        // If another worker takes a token at the same moment, there are many packets: this one counts as one too many.
        take(self.limits.prefix, &mut bucket, now)
            && (bucket == before
                || shared
                    .compare_exchange(before, bucket, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok())
    }
}

/// As the program has them. The seed is another one each time.
pub(crate) fn limits(floods: &FloodLimits) -> Limits {
    Limits {
        port: Limit::per_second(floods.port),
        prefix: Limit::per_second(floods.network),
        seed: RandomState::new().build_hasher().finish(),
        prefix_mask: PREFIXES - 1,
        drop_unclaimed: floods.drop_unclaimed.into(),
        ..NO_LIMITS
    }
}

/// Takes a token, if there is one or need be none.
fn take(limit: Limit, bucket: &mut Bucket, now: Time) -> bool {
    if limit.interval == 0 {
        return true;
    }
    match limit.take(*bucket, now.0) {
        Some(after) => {
            *bucket = after;
            true
        }
        None => false,
    }
}

impl fmt::Debug for Floods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Floods")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// How many of a second's flood are let through at two ports.
    fn admitted(floods: &Floods, sources: &[&str]) -> [u64; 2] {
        let mut buckets = [0; 2];
        let mut admitted = [0; 2];
        for packet in 0..20_000 {
            let now = Time(1_000_000_000) + Duration::from_micros(50) * packet;
            let source = sources[packet as usize % sources.len()].parse().unwrap();
            let port = packet as usize / sources.len() % 2;
            admitted[port] += u64::from(floods.admit(now, source, &mut buckets[port]));
        }
        admitted
    }

    #[test]
    fn each_port_lets_through_what_it_may() {
        let floods = Floods::new(&FloodLimits {
            port: 100,
            ..FloodLimits::default()
        });
        assert_eq!(admitted(&floods, &["192.0.2.1", "2001:db8::1"]), [199, 199]);
        let dropped = floods.dropped();
        assert_eq!(dropped[DropReason::PortLimit as usize], 20_000 - 2 * 199);
        assert_eq!(dropped[DropReason::PrefixLimit as usize], 0);
    }

    #[test]
    fn each_network_lets_through_what_it_may_to_all_ports() {
        let floods = Floods::new(&FloodLimits {
            network: 100,
            ..FloodLimits::default()
        });
        let sum = |counts: [u64; 2]| counts.iter().sum::<u64>();
        assert_eq!(sum(admitted(&floods, &["192.0.2.1", "192.0.2.200"])), 199);
        let dropped = floods.dropped();
        assert_eq!(dropped[DropReason::PrefixLimit as usize], 20_000 - 199);
    }

    #[test]
    fn without_limits_everything_is_let_through() {
        let floods = Floods::new(&FloodLimits::default());
        assert_eq!(admitted(&floods, &["192.0.2.1"]), [10_000, 10_000]);
        assert_eq!(floods.dropped(), [0; DropReason::COUNT as usize]);
    }
}
