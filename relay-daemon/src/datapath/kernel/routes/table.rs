//! Who uses which entry of the route array, shared between the workers and the keeper.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{HopState, RouteIndex, RouteKey};
use crate::plan::PortId;

/// The entries and their users. Locked when a rule or a route changes, never for a packet, and never
/// while the kernel is asked something.
#[derive(Debug)]
pub(crate) struct Table(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    keys: HashMap<RouteKey, RouteIndex>,
    entries: BTreeMap<RouteIndex, Entry>,
    /// Indices that nobody uses, the longest unused first.
    unused: VecDeque<RouteIndex>,
    /// The lowest index that never was used.
    next: u32,
    capacity: u32,
    /// Entries that the keeper does not know yet.
    fresh: Vec<(RouteIndex, RouteKey)>,
    mailboxes: Vec<Weak<Mailbox>>,
}

#[derive(Debug)]
struct Entry {
    key: RouteKey,
    state: HopState,
    users: BTreeMap<PortId, Arc<Mailbox>>,
    /// Nobody used it when the keeper last looked.
    idle: bool,
}

/// What came for the ports of one worker: the newest state of each port's entry.
pub(crate) struct Mailbox {
    mail: Mutex<BTreeMap<PortId, (RouteIndex, HopState)>>,
    awaits_barrier: AtomicBool,
    waker: Box<dyn Fn() + Send + Sync>,
}

/// All entries are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all next hops are in use")]
pub(crate) struct TableFull;

/// An entry as a worker gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acquired {
    pub(crate) index: RouteIndex,
    pub(crate) state: HopState,
    /// The keeper must look it up.
    pub(crate) is_new: bool,
}

impl Table {
    /// An empty table for an array of so many entries.
    pub(crate) fn new(capacity: usize) -> Table {
        Table(Mutex::new(Inner {
            keys: HashMap::new(),
            entries: BTreeMap::new(),
            unused: VecDeque::new(),
            next: 0,
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            fresh: Vec::new(),
            mailboxes: Vec::new(),
        }))
    }

    /// A new mailbox.
    pub(crate) fn mailbox(&self, waker: Box<dyn Fn() + Send + Sync>) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox {
            mail: Mutex::default(),
            awaits_barrier: AtomicBool::new(false),
            waker,
        });
        let mut inner = self.lock();
        inner.mailboxes.retain(|mailbox| mailbox.strong_count() > 0);
        inner.mailboxes.push(Arc::downgrade(&mailbox));
        mailbox
    }

    /// The mailboxes that anybody still reads.
    pub(crate) fn mailboxes(&self) -> Vec<Arc<Mailbox>> {
        self.lock().mailboxes.iter().filter_map(Weak::upgrade).collect()
    }

    /// The entry of a key, made if there is none.
    pub(crate) fn acquire(
        &self,
        key: RouteKey,
        port: PortId,
        mailbox: &Arc<Mailbox>,
    ) -> Result<Acquired, TableFull> {
        let mut inner = self.lock();
        let known = inner.keys.get(&key).copied();
        let index = known.map_or_else(|| inner.add(key), Ok)?;
        let entry = inner.entries.get_mut(&index).ok_or(TableFull)?;
        entry.users.insert(port, mailbox.clone());
        entry.idle = false;
        Ok(Acquired {
            index,
            state: entry.state,
            is_new: known.is_none(),
        })
    }

    /// A port uses an entry no longer. The entry stays for a while: the next call may want it.
    pub(crate) fn release(&self, index: RouteIndex, port: PortId) {
        if let Some(entry) = self.lock().entries.get_mut(&index) {
            entry.users.remove(&port);
        }
    }

    /// The entries made since the last call.
    pub(crate) fn take_fresh(&self) -> Vec<(RouteIndex, RouteKey)> {
        std::mem::take(&mut self.lock().fresh)
    }

    /// Publishes what is known of some entries; the result are the mailboxes in which there is something
    /// new.
    pub(crate) fn publish(
        &self,
        states: impl IntoIterator<Item = (RouteIndex, HopState)>,
    ) -> Vec<Arc<Mailbox>> {
        let mut inner = self.lock();
        let mut delivered: Vec<Arc<Mailbox>> = Vec::new();
        for (index, state) in states {
            let Some(entry) = inner.entries.get_mut(&index) else {
                continue;
            };
            if std::mem::replace(&mut entry.state, state) == state {
                continue;
            }
            for (port, mailbox) in &entry.users {
                lock(&mailbox.mail).insert(*port, (index, state));
                if !delivered.iter().any(|known| Arc::ptr_eq(known, mailbox)) {
                    delivered.push(mailbox.clone());
                }
            }
        }
        delivered
    }

    /// Takes out what nobody used since the last call. The indices are not reused before
    /// [`Table::recycle`].
    pub(crate) fn take_idle(&self) -> Vec<RouteIndex> {
        let mut inner = self.lock();
        let mut idle = Vec::new();
        for (index, entry) in &mut inner.entries {
            if !entry.users.is_empty() {
                continue;
            }
            if entry.idle {
                idle.push(*index);
            }
            entry.idle = true;
        }
        for index in &idle {
            if let Some(entry) = inner.entries.remove(index) {
                inner.keys.remove(&entry.key);
            }
        }
        idle
    }

    /// Gives back indices that are invalid in the array.
    pub(crate) fn recycle(&self, indices: impl IntoIterator<Item = RouteIndex>) {
        self.lock().unused.extend(indices);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }
}

impl Inner {
    fn add(&mut self, key: RouteKey) -> Result<RouteIndex, TableFull> {
        let index = self.unused.pop_front().or_else(|| {
            let index = (self.next < self.capacity).then_some(RouteIndex(self.next))?;
            self.next += 1;
            Some(index)
        });
        let index = index.ok_or(TableFull)?;
        self.keys.insert(key, index);
        self.fresh.push((index, key));
        self.entries.insert(
            index,
            Entry {
                key,
                state: HopState::Resolving,
                users: BTreeMap::new(),
                idle: false,
            },
        );
        Ok(index)
    }
}

impl Mailbox {
    /// What came since the last call.
    pub(crate) fn take(&self) -> BTreeMap<PortId, (RouteIndex, HopState)> {
        std::mem::take(&mut *lock(&self.mail))
    }

    /// Has the waker called after the next barrier.
    pub(crate) fn await_barrier(&self) {
        self.awaits_barrier.store(true, Ordering::Release);
    }

    /// Whether the waker is to be called after a barrier; asks only once.
    pub(crate) fn take_awaits_barrier(&self) -> bool {
        self.awaits_barrier.swap(false, Ordering::AcqRel)
    }

    /// Calls the waker.
    pub(crate) fn wake(&self) {
        (self.waker)();
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("mail", &self.mail)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::UserspaceReason;

    fn key(last: u8) -> RouteKey {
        RouteKey {
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 1, last].into(),
            tos: 0,
            ports: None,
        }
    }

    #[test]
    fn a_key_is_looked_up_once() {
        let table = Table::new(4);
        let mailbox = table.mailbox(Box::new(|| {}));
        let first = table.acquire(key(1), PortId(1), &mailbox).unwrap();
        assert!(first.is_new);
        let second = table.acquire(key(1), PortId(2), &mailbox).unwrap();
        assert_eq!((second.index, second.is_new), (first.index, false));
        assert_eq!(table.take_fresh(), [(first.index, key(1))]);
        assert_eq!(table.take_fresh(), []);
    }

    #[test]
    fn changes_reach_every_user_once() {
        let table = Table::new(4);
        let (mine, other) = (table.mailbox(Box::new(|| {})), table.mailbox(Box::new(|| {})));
        let index = table.acquire(key(1), PortId(1), &mine).unwrap().index;
        table.acquire(key(1), PortId(2), &mine).unwrap();
        table.acquire(key(1), PortId(3), &other).unwrap();
        table.acquire(key(2), PortId(4), &other).unwrap();
        table.release(index, PortId(2));

        assert_eq!(table.publish([(index, HopState::Ready)]).len(), 2);
        assert_eq!(mine.take(), [(PortId(1), (index, HopState::Ready))].into());
        assert_eq!(other.take(), [(PortId(3), (index, HopState::Ready))].into());
        assert_eq!(table.publish([(index, HopState::Ready)]).len(), 0);

        // Only the newest state is kept.
        let refused = HopState::Refused(UserspaceReason::NoNeighbour);
        assert_eq!(table.publish([(index, refused)]).len(), 2);
        assert_eq!(table.publish([(index, HopState::Resolving)]).len(), 2);
        assert_eq!(mine.take(), [(PortId(1), (index, HopState::Resolving))].into());
        assert_eq!(mine.take(), BTreeMap::new());
    }

    #[test]
    fn an_index_is_reused_only_after_it_was_recycled() {
        let table = Table::new(1);
        let mailbox = table.mailbox(Box::new(|| {}));
        let index = table.acquire(key(1), PortId(1), &mailbox).unwrap().index;
        assert_eq!(table.acquire(key(2), PortId(2), &mailbox), Err(TableFull));
        assert_eq!(table.take_idle(), []);
        table.release(index, PortId(1));
        assert_eq!(table.take_idle(), [], "it stays for a while");
        assert_eq!(table.take_idle(), [index]);
        assert_eq!(table.acquire(key(2), PortId(2), &mailbox), Err(TableFull));
        table.recycle([index]);
        let again = table.acquire(key(2), PortId(2), &mailbox).unwrap();
        assert_eq!((again.index, again.is_new), (index, true));
    }

    #[test]
    fn use_keeps_an_idle_entry() {
        let table = Table::new(1);
        let mailbox = table.mailbox(Box::new(|| {}));
        let index = table.acquire(key(1), PortId(1), &mailbox).unwrap().index;
        table.release(index, PortId(1));
        assert_eq!(table.take_idle(), []);
        assert!(!table.acquire(key(1), PortId(1), &mailbox).unwrap().is_new);
        table.release(index, PortId(1));
        assert_eq!(table.take_idle(), []);
        assert_eq!(table.take_idle(), [index]);
    }
}
