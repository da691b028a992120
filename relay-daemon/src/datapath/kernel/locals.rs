//! The map of local addresses, and its hints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aya::maps::{HashMap, MapData};
use relay_common::slot::{ANY_DEVICE, LocalHint, LocalKey, LocalRange, MAX_LOCAL_KEYS, local_hint};

use super::attach::Ingress;
use super::grace::Grace;
use super::layout::Layout;
use super::memory::{SharedArray, SharedHint};
use super::rule::address;

/// Which local addresses the program takes packets for, and where. Only one thread changes it.
pub(crate) struct Locals {
    map: HashMap<MapData, LocalKey, LocalRange>,
    hints: SharedArray<SharedHint>,
    layout: Layout,
    grace: Arc<Grace>,
    /// What stands in the map.
    known: BTreeMap<LocalKey, LocalRange>,
    /// What stands in the hints, by index.
    hinted: BTreeMap<u32, LocalHint>,
}

impl Locals {
    /// Takes over empty maps.
    pub(crate) fn new(
        map: HashMap<MapData, LocalKey, LocalRange>,
        hints: SharedArray<SharedHint>,
        layout: Layout,
        grace: Arc<Grace>,
    ) -> Locals {
        Locals {
            map,
            hints,
            layout,
            grace,
            known: BTreeMap::new(),
            hinted: BTreeMap::new(),
        }
    }

    /// Has the program take packets that come in there, and no others.
    pub(crate) fn set(&mut self, ingress: &[Ingress]) {
        let wanted = self.entries(ingress);
        if wanted == self.known {
            return;
        }
        self.set_map(&wanted);
        self.set_hints(&wanted);
        self.known = wanted;
    }

    fn entries(&self, ingress: &[Ingress]) -> BTreeMap<LocalKey, LocalRange> {
        let mut entries = BTreeMap::new();
        for place in ingress {
            let Some((_, range)) = self.layout.ranges().find(|(local, _)| *local == place.address) else {
                continue;
            };
            let key = LocalKey {
                address: address(place.address),
                ifindex: place.ifindex,
                vlans: place.vlans,
            };
            entries.insert(
                key,
                LocalRange {
                    mac: place.mac,
                    ..range
                },
            );
            entries.insert(
                LocalKey {
                    ifindex: ANY_DEVICE,
                    vlans: [0; 2],
                    ..key
                },
                range,
            );
        }
        entries
    }

    fn set_map(&mut self, wanted: &BTreeMap<LocalKey, LocalRange>) {
        let gone = self.known.keys().filter(|key| !wanted.contains_key(key));
        for key in gone {
            // It is there; whatever the kernel says, it is not wanted any more.
            let _ = self.map.remove(key);
        }
        let changed = wanted
            .iter()
            .filter(|(key, range)| self.known.get(key) != Some(range));
        for (key, range) in changed {
            if let Err(error) = self.map.insert(key, range, 0) {
                tracing::warn!(
                    %error,
                    "a local address comes in by more devices than the XDP program has room for ({MAX_LOCAL_KEYS}): some of its \
                     packets go through userspace"
                );
            }
        }
    }

    /// Of keys with the same index the last one has the hint; the others are found in the map.
    fn set_hints(&mut self, wanted: &BTreeMap<LocalKey, LocalRange>) {
        let hint = |(key, range): (&LocalKey, &LocalRange)| LocalHint {
            valid: 1,
            key: *key,
            range: *range,
            ..LocalHint::default()
        };
        // What comes in an odd way may take a while.
        let hints: BTreeMap<u32, LocalHint> = wanted
            .iter()
            .filter(|(key, _)| key.ifindex != ANY_DEVICE)
            .map(|entry| (local_hint(entry.0), hint(entry)))
            .collect();
        let indices: BTreeSet<u32> = hints.keys().chain(self.hinted.keys()).copied().collect();
        let is_other = |index: &u32| hints.get(index) != self.hinted.get(index);
        let changed: Vec<u32> = indices.into_iter().filter(is_other).collect();
        // As with next hops: invalid, and everywhere so, before anything else is written.
        let shared = |index: &u32| self.hints.get(*index);
        let mut was_valid = false;
        for hint in changed.iter().filter_map(shared) {
            was_valid |= hint.valid.swap(0, Ordering::AcqRel) == 1;
        }
        if was_valid {
            self.grace.run();
        }
        let written = || {
            changed
                .iter()
                .filter_map(|index| Some((shared(index)?, hints.get(index)?)))
        };
        for (shared, hint) in written() {
            shared.write(hint);
        }
        if super::slots::REORDERS_LOADS {
            self.grace.run();
        }
        for (shared, _) in written() {
            shared.valid.store(1, Ordering::Release);
        }
        self.hinted = hints;
    }
}

impl fmt::Debug for Locals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locals")
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}
