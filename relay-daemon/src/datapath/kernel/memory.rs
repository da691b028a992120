//! The maps that the program and the daemon share, as memory.
//!
//! Both sides read and write at the same time, so all of it is made of atomics: the twins here have the
//! layout of the types in [`relay_common::slot`].

use std::io;
use std::mem::{align_of, offset_of, size_of};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use relay_common::slot::{Counters, ForwardRule, Route, Slot};

const RULE_WORDS: usize = size_of::<ForwardRule>() / 8;
const COUNTER_WORDS: usize = size_of::<Counters>() / 8;
const HOP_WORDS: usize = (size_of::<Route>() - 4) / 4;

/// A [`Slot`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SharedSlot {
    /// [`Slot::state`].
    pub(crate) state: AtomicU32,
    /// [`Slot::active`].
    pub(crate) active: AtomicU32,
    /// [`Slot::rules`].
    pub(crate) rules: [SharedRule; 2],
    /// [`Slot::counters`].
    pub(crate) counters: SharedCounters,
}

/// A [`ForwardRule`].
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct SharedRule([AtomicU64; RULE_WORDS]);

/// [`Counters`].
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct SharedCounters([AtomicU64; COUNTER_WORDS]);

/// A [`Route`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SharedRoute {
    /// [`Route::valid`].
    pub(crate) valid: AtomicU32,
    rest: [AtomicU32; HOP_WORDS],
}

const _: () = {
    assert!(size_of::<SharedSlot>() == size_of::<Slot>() && align_of::<SharedSlot>() == align_of::<Slot>());
    assert!(offset_of!(SharedSlot, state) == offset_of!(Slot, state));
    assert!(offset_of!(SharedSlot, active) == offset_of!(Slot, active));
    assert!(offset_of!(SharedSlot, rules) == offset_of!(Slot, rules));
    assert!(offset_of!(SharedSlot, counters) == offset_of!(Slot, counters));
    assert!(RULE_WORDS * 8 == size_of::<ForwardRule>() && COUNTER_WORDS * 8 == size_of::<Counters>());
    assert!(size_of::<SharedRoute>() == size_of::<Route>() && offset_of!(Route, valid) == 0);
    assert!(align_of::<SharedRoute>() == align_of::<Route>());
};

impl SharedRule {
    /// The rule. Whole only while nobody writes it.
    pub(crate) fn read(&self) -> ForwardRule {
        let words = self.0.each_ref().map(|word| word.load(Ordering::Relaxed));
        // SAFETY: both have the same size (asserted above), and any bytes are a ForwardRule: it is
        // repr(C), of integers, without padding.
        unsafe { std::mem::transmute::<[u64; RULE_WORDS], ForwardRule>(words) }
    }

    /// Writes the rule, word by word. Only where no program run can be reading it.
    pub(crate) fn write(&self, rule: &ForwardRule) {
        // SAFETY: both have the same size (asserted above), and a ForwardRule has no padding.
        let words = unsafe { std::mem::transmute::<ForwardRule, [u64; RULE_WORDS]>(*rule) };
        for (shared, word) in self.0.iter().zip(words) {
            shared.store(word, Ordering::Relaxed);
        }
    }
}

impl SharedCounters {
    /// The counters, each whole; they do not stand still meanwhile.
    pub(crate) fn read(&self) -> Counters {
        let words = self.0.each_ref().map(|word| word.load(Ordering::Relaxed));
        // SAFETY: both have the same size (asserted above), and any bytes are Counters: they are
        // repr(C), of integers, without padding.
        unsafe { std::mem::transmute::<[u64; COUNTER_WORDS], Counters>(words) }
    }

    /// Counts as the program would.
    #[cfg(test)]
    pub(crate) fn write(&self, counters: &Counters) {
        // SAFETY: both have the same size (asserted above), and Counters have no padding.
        let words = unsafe { std::mem::transmute::<Counters, [u64; COUNTER_WORDS]>(*counters) };
        for (shared, word) in self.0.iter().zip(words) {
            shared.store(word, Ordering::Relaxed);
        }
    }

    /// Back to zero.
    pub(crate) fn clear(&self) {
        for word in &self.0 {
            word.store(0, Ordering::Relaxed);
        }
    }
}

impl SharedRoute {
    /// Writes all but [`Route::valid`], word by word. Only where no program run can be reading it.
    pub(crate) fn write(&self, route: &Route) {
        // SAFETY: both have the same size (asserted above), and a Route has no padding.
        let words = unsafe { std::mem::transmute::<Route, [u32; HOP_WORDS + 1]>(*route) };
        for (shared, word) in self.rest.iter().zip(&words[1..]) {
            shared.store(*word, Ordering::Relaxed);
        }
    }
}

/// What may lie in memory that another side writes too.
///
/// # Safety
///
/// Made of atomics only: valid for any bytes, without padding.
pub(crate) unsafe trait Shared: Sync {}

// SAFETY: only atomics, no padding (sizes are asserted above).
unsafe impl Shared for SharedSlot {}
// SAFETY: as above.
unsafe impl Shared for SharedRoute {}

/// A map's array in our memory.
#[derive(Debug)]
pub(crate) struct SharedArray<T: Shared> {
    first: NonNull<T>,
    length: usize,
}

// SAFETY: the memory belongs to this value until it is dropped, and is only reached through shared
// references to T, which is Sync.
unsafe impl<T: Shared> Send for SharedArray<T> {}
// SAFETY: as above.
unsafe impl<T: Shared> Sync for SharedArray<T> {}

impl<T: Shared> SharedArray<T> {
    /// Maps an array map with `BPF_F_MMAPABLE` of so many entries. The memory outlives the descriptor.
    pub(crate) fn map(map: impl AsFd, length: usize) -> io::Result<SharedArray<T>> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else refers to it.
        let memory = unsafe {
            mmap(
                None,
                Self::bytes(length)?,
                protection,
                MapFlags::MAP_SHARED,
                map,
                0,
            )?
        };
        Ok(SharedArray {
            first: memory.cast(),
            length,
        })
    }

    /// Memory that nobody else has.
    #[cfg(test)]
    pub(crate) fn anonymous(length: usize) -> io::Result<SharedArray<T>> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: as in `map`.
        let memory = unsafe {
            nix::sys::mman::mmap_anonymous(None, Self::bytes(length)?, protection, MapFlags::MAP_PRIVATE)?
        };
        Ok(SharedArray {
            first: memory.cast(),
            length,
        })
    }

    /// An entry; none behind the end.
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let index = usize::try_from(index).ok().filter(|index| *index < self.length)?;
        // SAFETY: the mapping holds `length` entries (pages are at least as aligned as T) and lives as
        // long as self; any bytes are a T.
        Some(unsafe { self.first.add(index).as_ref() })
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    fn bytes(length: usize) -> io::Result<NonZeroUsize> {
        length
            .checked_mul(size_of::<T>())
            .and_then(NonZeroUsize::new)
            .ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl<T: Shared> Drop for SharedArray<T> {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that was made, which nobody refers to any more. It cannot fail
        // for a mapping that exists.
        let _ = unsafe { munmap(self.first.cast(), self.length * size_of::<T>()) };
    }
}
