//! The maps that the program and the daemon share, as memory.
//!
//! Both sides read and write at the same time, so all of it is made of atomics: the twins here have the
//! layout of the types in [`relay_common::slot`].

use std::io;
use std::mem::{align_of, offset_of, size_of};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use relay_common::slot::{
    Annex, Counters, OtherCounters, Route, RuleHead, RuleTail, SSRCS_PER_SLOT, Slot, SsrcCounters,
};

const HOP_WORDS: usize = (size_of::<Route>() - 4) / 4;

/// A [`Slot`].
#[derive(Debug)]
#[repr(C, align(8))]
pub(crate) struct SharedSlot {
    /// [`Slot::state`].
    pub(crate) state: AtomicU16,
    /// [`Slot::active`].
    pub(crate) active: AtomicU16,
    /// [`Slot::clock`].
    pub(crate) clock: AtomicU32,
    /// [`Slot::rules`].
    pub(crate) rules: [SharedHead; 2],
    /// [`Slot::ssrc`].
    pub(crate) ssrc: SharedSsrc,
}

/// An [`Annex`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SharedAnnex {
    /// [`Annex::rules`].
    pub(crate) rules: [SharedTail; 2],
    /// [`Annex::owners`].
    pub(crate) owners: [AtomicU64; 2],
    other: SharedOther,
    /// [`Annex::ssrcs`].
    pub(crate) ssrcs: [SharedSsrc; SSRCS_PER_SLOT - 1],
    rest: [AtomicU64; 8],
}

/// Words that are written and read one by one, as another type of the same size.
macro_rules! shared {
    ($name:ident, $of:ident, $atomic:ident, $word:ident) => {
        #[doc = concat!("[`", stringify!($of), "`].")]
        #[derive(Debug)]
        #[repr(transparent)]
        pub(crate) struct $name(pub(crate) [$atomic; size_of::<$of>() / size_of::<$word>()]);

        impl $name {
            /// The value as words.
            pub(crate) fn words(value: &$of) -> [$word; size_of::<$of>() / size_of::<$word>()] {
                // SAFETY: both have the same size (else this does not compile), and the value has no padding (sizes
                // are asserted where it is defined).
                unsafe { std::mem::transmute::<$of, [$word; size_of::<$of>() / size_of::<$word>()]>(*value) }
            }

            /// Each word whole, all of it only while nobody writes.
            pub(crate) fn read(&self) -> $of {
                let words = self.0.each_ref().map(|word| word.load(Ordering::Relaxed));
                // SAFETY: both have the same size (else this does not compile), and any bytes are valid: it is
                // repr(C), of integers, without padding (sizes are asserted where it is defined).
                unsafe { std::mem::transmute::<[$word; size_of::<$of>() / size_of::<$word>()], $of>(words) }
            }

            /// Writes it word by word. Only where no program run can be reading or counting.
            pub(crate) fn write(&self, value: &$of) {
                for (shared, word) in self.0.iter().zip(Self::words(value)) {
                    shared.store(word, Ordering::Relaxed);
                }
            }
        }
    };
}

shared!(SharedHead, RuleHead, AtomicU32, u32);
shared!(SharedTail, RuleTail, AtomicU64, u64);
shared!(SharedSsrc, SsrcCounters, AtomicU64, u64);
shared!(SharedOther, OtherCounters, AtomicU64, u64);

/// What userspace received of the SSRCs of a port, in the place of the first entry of each. The program knows nothing
/// of it.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct SharedReceived(pub(crate) [SharedSsrc; SSRCS_PER_SLOT]);

/// The counters of a port. They do not stand still meanwhile.
pub(crate) fn read_counters(slot: &SharedSlot, annex: &SharedAnnex, received: &SharedReceived) -> Counters {
    let [second, third, fourth] = annex.ssrcs.each_ref().map(SharedSsrc::read);
    let received = received.0.each_ref().map(SharedSsrc::read);
    let entries = [slot.ssrc.read(), second, third, fourth];
    Counters::of(entries, &annex.other.read(), &received)
}

/// Makes the counters of a port zero.
pub(crate) fn clear_counters(slot: &SharedSlot, annex: &SharedAnnex, received: &SharedReceived) {
    for shared in &received.0 {
        shared.write(&SsrcCounters::default());
    }
    write_counters(
        slot,
        annex,
        [SsrcCounters::default(); SSRCS_PER_SLOT],
        &OtherCounters::default(),
    );
}

/// Counts as the program would.
pub(crate) fn write_counters(
    slot: &SharedSlot,
    annex: &SharedAnnex,
    [first, others @ ..]: [SsrcCounters; SSRCS_PER_SLOT],
    other: &OtherCounters,
) {
    slot.ssrc.write(&first);
    for (shared, ssrc) in annex.ssrcs.iter().zip(&others) {
        shared.write(ssrc);
    }
    annex.other.write(other);
}

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
    assert!(offset_of!(SharedSlot, clock) == offset_of!(Slot, clock));
    assert!(offset_of!(SharedSlot, rules) == offset_of!(Slot, rules));
    assert!(offset_of!(SharedSlot, ssrc) == offset_of!(Slot, ssrc));
    assert!(size_of::<SharedAnnex>() == size_of::<Annex>());
    assert!(align_of::<SharedAnnex>() == align_of::<Annex>());
    assert!(offset_of!(SharedAnnex, rules) == offset_of!(Annex, rules));
    assert!(offset_of!(SharedAnnex, owners) == offset_of!(Annex, owners));
    assert!(offset_of!(SharedAnnex, other) == offset_of!(Annex, other));
    assert!(offset_of!(SharedAnnex, ssrcs) == offset_of!(Annex, ssrcs));
    assert!(size_of::<SharedRoute>() == size_of::<Route>() && offset_of!(Route, valid) == 0);
    assert!(align_of::<SharedRoute>() == align_of::<Route>());
};

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
unsafe impl Shared for SharedAnnex {}
// SAFETY: as above.
unsafe impl Shared for SharedReceived {}
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

    /// Memory that nobody else has, all zero. It takes no room before it is written to.
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
