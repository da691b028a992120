//! What is to be looked up again, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::resolve::Hop;
use super::{RouteIndex, RouteKey};

/// Changes come in bursts: so long after the first one, all that may be affected is looked up again.
pub(super) const DEBOUNCE: Duration = Duration::from_millis(20);

/// What is to be looked up again.
#[derive(Debug)]
pub(super) struct Stale {
    pub(super) some: BTreeSet<RouteIndex>,
    all: bool,
    /// Devices or addresses are others now, or rules.
    snapshot: bool,
    due: Option<Instant>,
    /// Not before: after a long batch there is a pause.
    pub(super) resting_until: Instant,
}

/// What is to be looked up now.
pub(super) struct Due {
    pub(super) keys: Vec<(RouteIndex, RouteKey)>,
    pub(super) snapshot: bool,
}

impl Stale {
    pub(super) fn new(now: Instant) -> Stale {
        Stale {
            some: BTreeSet::new(),
            all: false,
            snapshot: false,
            due: None,
            resting_until: now,
        }
    }

    pub(super) fn add(&mut self, indices: impl IntoIterator<Item = RouteIndex>) {
        let before = self.some.len();
        self.some.extend(indices);
        if self.some.len() > before {
            self.due.get_or_insert_with(|| Instant::now() + DEBOUNCE);
        }
    }

    pub(super) fn add_all(&mut self) {
        self.all = true;
        self.due.get_or_insert_with(|| Instant::now() + DEBOUNCE);
    }

    pub(super) fn add_scene(&mut self) {
        self.snapshot = true;
        self.add_all();
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due.map(|due| due.max(self.resting_until))
    }

    /// What is to be looked up, once it is due.
    pub(super) fn take(&mut self, now: Instant, hops: &BTreeMap<RouteIndex, Hop>) -> Option<Due> {
        self.due().filter(|due| *due <= now)?;
        self.due = None;
        let some = std::mem::take(&mut self.some);
        let keys = match std::mem::take(&mut self.all) {
            true => keys(hops, hops.keys().copied()),
            false => keys(hops, some),
        };
        Some(Due {
            keys,
            snapshot: std::mem::take(&mut self.snapshot),
        })
    }
}

/// The keys of some entries in use.
pub(super) fn keys(
    hops: &BTreeMap<RouteIndex, Hop>,
    indices: impl IntoIterator<Item = RouteIndex>,
) -> Vec<(RouteIndex, RouteKey)> {
    indices
        .into_iter()
        .filter_map(|index| Some((index, hops.get(&index)?.key)))
        .collect()
}
