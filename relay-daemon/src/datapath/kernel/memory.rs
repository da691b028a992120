//! The maps that the program and the daemon share, as memory.
//!
//! Both sides read and write at the same time, so all of it is made of atomics: the twins here have the
//! layout of the types in [`relay_common::slot`].

use std::io;
use std::mem::{align_of, offset_of, size_of};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use relay_common::slot::{
    Address, Annex, Counters, Guard, LocalHint, OtherCounters, Route, RuleHead, RuleTail, SSRCS_PER_SLOT,
    Slot, SsrcCounters, SsrcHead, SsrcTail,
};

const HINT_WORDS: usize = (size_of::<LocalHint>() - 4) / 4;
const HOP_WORDS: usize = (size_of::<Route>() - 4) / 4;

/// A [`Slot`].
#[derive(Debug)]
#[repr(C, align(8))]
pub(crate) struct SharedSlot {
    /// [`Slot::state`].
    pub(crate) state: AtomicU16,
    /// [`Slot::active`].
    pub(crate) active: AtomicU16,
    /// [`Slot::rule`].
    pub(crate) rule: SharedRule,
    /// [`Slot::ssrc`].
    pub(crate) ssrc: SharedSsrc,
}

/// An [`Annex`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SharedAnnex {
    /// [`Annex::tails`].
    pub(crate) tails: [SharedRuleTail; 2],
    /// [`Annex::rule`].
    pub(crate) rule: SharedRule,
    /// [`Annex::clock`].
    pub(crate) clock: AtomicU32,
    /// [`Annex::ssrc_tails`].
    pub(crate) ssrc_tails: [SharedSsrcTail; SSRCS_PER_SLOT],
    /// [`Annex::ssrcs`].
    pub(crate) ssrcs: [SharedSsrc; SSRCS_PER_SLOT - 1],
    other: SharedOther,
    /// [`Annex::owners`].
    pub(crate) owners: [AtomicU64; 2],
}

/// An [`SsrcHead`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SharedSsrc {
    /// [`SsrcHead::ssrc`] and [`SsrcHead::counted_by`].
    pub(crate) owner: AtomicU64,
    bytes: AtomicU64,
    packets: AtomicU32,
    /// [`SsrcHead::highest_sequence`].
    pub(crate) highest_sequence: AtomicU32,
    /// [`SsrcHead::seen`].
    pub(crate) seen: AtomicU32,
    last_tick: AtomicU32,
}

/// An [`SsrcTail`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SharedSsrcTail {
    timed_at: AtomicU64,
    last_timestamp: AtomicU32,
    jitter: AtomicU32,
    /// [`SsrcTail::base_sequence`].
    pub(crate) base_sequence: AtomicU32,
    /// [`SsrcTail::reordered`].
    pub(crate) reordered: AtomicU32,
    /// [`SsrcTail::duplicates`].
    pub(crate) duplicates: AtomicU32,
    /// [`SsrcTail::restart_sequence`].
    pub(crate) restart_sequence: AtomicU16,
    payload_type: AtomicU8,
    packets_turned: AtomicU8,
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

shared!(SharedRule, RuleHead, AtomicU32, u32);
shared!(SharedRuleTail, RuleTail, AtomicU64, u64);
shared!(SharedOther, OtherCounters, AtomicU64, u64);
shared!(SharedCounters, SsrcCounters, AtomicU64, u64);

/// What userspace received of the SSRCs of a port, in the place of the first entry of each. The program knows nothing
/// of it.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct SharedReceived(pub(crate) [SharedCounters; SSRCS_PER_SLOT]);

impl SharedSsrc {
    /// Each field whole.
    pub(crate) fn read(&self) -> SsrcHead {
        let [ssrc, counted_by] = halves(self.owner.load(Ordering::Relaxed));
        SsrcHead {
            ssrc,
            counted_by,
            bytes: self.bytes.load(Ordering::Relaxed),
            packets: self.packets.load(Ordering::Relaxed),
            highest_sequence: self.highest_sequence.load(Ordering::Relaxed),
            seen: self.seen.load(Ordering::Relaxed),
            last_tick: self.last_tick.load(Ordering::Relaxed),
        }
    }

    /// Writes it field by field. Only where no program run can be counting.
    fn write(&self, head: &SsrcHead) {
        self.owner
            .store(owner(head.ssrc, head.counted_by), Ordering::Relaxed);
        self.bytes.store(head.bytes, Ordering::Relaxed);
        self.packets.store(head.packets, Ordering::Relaxed);
        self.highest_sequence
            .store(head.highest_sequence, Ordering::Relaxed);
        self.seen.store(head.seen, Ordering::Relaxed);
        self.last_tick.store(head.last_tick, Ordering::Relaxed);
    }
}

impl SharedSsrc {
    /// Belongs to nobody from now on.
    pub(crate) fn free(&self) {
        self.write(&SsrcHead {
            ssrc: self.read().ssrc,
            counted_by: self.read().counted_by,
            ..SsrcHead::default()
        });
        self.owner.store(0, Ordering::Release);
    }
}

impl SharedAnnex {
    /// Adds what an SSRC counted that gives up its place.
    pub(crate) fn add_to_rest(&self, packets: u64, bytes: u64) {
        const { assert!(offset_of!(OtherCounters, packets) == 0 && offset_of!(OtherCounters, bytes) == 8) };
        self.other.0[0].fetch_add(packets, Ordering::Relaxed);
        self.other.0[1].fetch_add(bytes, Ordering::Relaxed);
    }
}

impl SharedSsrcTail {
    /// All zero.
    pub(crate) fn clear(&self) {
        self.write(&SsrcTail::default());
    }

    /// Each field whole.
    pub(crate) fn read(&self) -> SsrcTail {
        SsrcTail {
            timed_at: self.timed_at.load(Ordering::Relaxed),
            last_timestamp: self.last_timestamp.load(Ordering::Relaxed),
            jitter: self.jitter.load(Ordering::Relaxed),
            base_sequence: self.base_sequence.load(Ordering::Relaxed),
            reordered: self.reordered.load(Ordering::Relaxed),
            duplicates: self.duplicates.load(Ordering::Relaxed),
            restart_sequence: self.restart_sequence.load(Ordering::Relaxed),
            payload_type: self.payload_type.load(Ordering::Relaxed),
            packets_turned: self.packets_turned.load(Ordering::Relaxed),
        }
    }

    /// Writes it field by field. Only where no program run can be counting.
    fn write(&self, tail: &SsrcTail) {
        self.timed_at.store(tail.timed_at, Ordering::Relaxed);
        self.last_timestamp.store(tail.last_timestamp, Ordering::Relaxed);
        self.jitter.store(tail.jitter, Ordering::Relaxed);
        self.base_sequence.store(tail.base_sequence, Ordering::Relaxed);
        self.reordered.store(tail.reordered, Ordering::Relaxed);
        self.duplicates.store(tail.duplicates, Ordering::Relaxed);
        self.restart_sequence
            .store(tail.restart_sequence, Ordering::Relaxed);
        self.payload_type.store(tail.payload_type, Ordering::Relaxed);
        self.packets_turned.store(tail.packets_turned, Ordering::Relaxed);
    }
}

/// [`SharedSsrc::owner`].
pub(crate) fn owner(ssrc: u32, counted_by: u32) -> u64 {
    u64::from(counted_by) << u32::BITS | u64::from(ssrc)
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
fn halves(owner: u64) -> [u32; 2] {
    [owner as u32, (owner >> u32::BITS) as u32]
}

/// The counters of a port. They do not stand still meanwhile. `time_of` says when a tick was.
pub(crate) fn read_counters(
    slot: &SharedSlot,
    annex: &SharedAnnex,
    received: &SharedReceived,
    time_of: impl Fn(u32) -> u64,
) -> Counters {
    let entries = read_ssrcs(slot, annex, time_of);
    let received = received.0.each_ref().map(SharedCounters::read);
    Counters::of(entries, &annex.other.read(), &received)
}

/// What is counted of each SSRC.
pub(crate) fn read_ssrcs(
    slot: &SharedSlot,
    annex: &SharedAnnex,
    time_of: impl Fn(u32) -> u64,
) -> [SsrcCounters; SSRCS_PER_SLOT] {
    let [second, third, fourth] = annex.ssrcs.each_ref().map(SharedSsrc::read);
    let heads = [slot.ssrc.read(), second, third, fourth];
    let tails = annex.ssrc_tails.each_ref().map(SharedSsrcTail::read);
    std::array::from_fn(|index| {
        let last_arrival = time_of(heads[index].last_tick);
        SsrcCounters::join(&heads[index], &tails[index], last_arrival)
    })
}

/// Makes the counters of a port zero.
pub(crate) fn clear_counters(slot: &SharedSlot, annex: &SharedAnnex, received: &SharedReceived) {
    for shared in &received.0 {
        shared.write(&SsrcCounters::default());
    }
    write_counters(
        slot,
        annex,
        &[SsrcCounters::default(); SSRCS_PER_SLOT],
        &OtherCounters::default(),
    );
}

/// Counts as the program would.
pub(crate) fn write_counters(
    slot: &SharedSlot,
    annex: &SharedAnnex,
    ssrcs: &[SsrcCounters; SSRCS_PER_SLOT],
    other: &OtherCounters,
) {
    let heads = [&slot.ssrc].into_iter().chain(&annex.ssrcs);
    for ((shared_head, shared_tail), ssrc) in heads.zip(&annex.ssrc_tails).zip(ssrcs) {
        let (head, tail) = ssrc.split(0);
        shared_head.write(&head);
        shared_tail.write(&tail);
    }
    annex.other.write(other);
}

/// A [`LocalHint`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SharedHint {
    /// [`LocalHint::valid`].
    pub(crate) valid: AtomicU32,
    rest: [AtomicU32; HINT_WORDS],
}

impl SharedHint {
    /// Writes all but [`LocalHint::valid`], word by word. Only where no program run can be reading it.
    #[cfg(feature = "kernel")]
    pub(crate) fn write(&self, hint: &LocalHint) {
        // SAFETY: both have the same size (asserted below), and a LocalHint has no padding.
        let words = unsafe { std::mem::transmute::<LocalHint, [u32; HINT_WORDS + 1]>(*hint) };
        for (shared, word) in self.rest.iter().zip(&words[1..]) {
            shared.store(*word, Ordering::Relaxed);
        }
    }
}

/// A [`Guard`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SharedGuard {
    source: [AtomicU32; 4],
    bucket: AtomicU64,
    /// [`Guard::limited`].
    pub(crate) limited: AtomicU64,
    source_port: AtomicU16,
    flags: AtomicU16,
    reserved: AtomicU32,
}

impl SharedGuard {
    /// What is expected from now on. The bucket and the count stay.
    pub(crate) fn expect(&self, source: Address, port: u16, flags: u16) {
        for (shared, word) in self.source.iter().zip(source) {
            shared.store(word, Ordering::Relaxed);
        }
        self.source_port.store(port, Ordering::Relaxed);
        self.flags.store(flags, Ordering::Release);
    }

    /// A full bucket, nothing counted, and nobody expected.
    pub(crate) fn clear(&self) {
        self.expect(Address::default(), 0, 0);
        self.bucket.store(0, Ordering::Relaxed);
        self.limited.store(0, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn read(&self) -> Guard {
        Guard {
            source: self.source.each_ref().map(|word| word.load(Ordering::Relaxed)),
            bucket: self.bucket.load(Ordering::Relaxed),
            limited: self.limited.load(Ordering::Relaxed),
            source_port: self.source_port.load(Ordering::Relaxed),
            flags: self.flags.load(Ordering::Relaxed),
            reserved: self.reserved.load(Ordering::Relaxed),
        }
    }
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
    assert!(offset_of!(SharedSlot, rule) == offset_of!(Slot, rule));
    assert!(offset_of!(SharedSlot, ssrc) == offset_of!(Slot, ssrc));
    assert!(
        size_of::<SharedSsrc>() == size_of::<SsrcHead>()
            && align_of::<SharedSsrc>() == align_of::<SsrcHead>()
    );
    assert!(size_of::<SharedSsrcTail>() == size_of::<SsrcTail>());
    assert!(offset_of!(SharedSsrcTail, jitter) == offset_of!(SsrcTail, jitter));
    assert!(offset_of!(SharedSsrcTail, base_sequence) == offset_of!(SsrcTail, base_sequence));
    assert!(offset_of!(SharedSsrcTail, duplicates) == offset_of!(SsrcTail, duplicates));
    assert!(offset_of!(SharedSsrcTail, restart_sequence) == offset_of!(SsrcTail, restart_sequence));
    assert!(offset_of!(SharedSsrcTail, packets_turned) == offset_of!(SsrcTail, packets_turned));
    assert!(offset_of!(SharedSsrc, owner) == offset_of!(SsrcHead, ssrc));
    assert!(offset_of!(SharedSsrc, owner) + 4 == offset_of!(SsrcHead, counted_by));
    assert!(offset_of!(SharedSsrc, bytes) == offset_of!(SsrcHead, bytes));
    assert!(offset_of!(SharedSsrc, packets) == offset_of!(SsrcHead, packets));
    assert!(offset_of!(SharedSsrc, highest_sequence) == offset_of!(SsrcHead, highest_sequence));
    assert!(offset_of!(SharedSsrc, seen) == offset_of!(SsrcHead, seen));
    assert!(offset_of!(SharedSsrc, last_tick) == offset_of!(SsrcHead, last_tick));
    assert!(size_of::<SharedAnnex>() == size_of::<Annex>());
    assert!(align_of::<SharedAnnex>() == align_of::<Annex>());
    assert!(offset_of!(SharedAnnex, tails) == offset_of!(Annex, tails));
    assert!(offset_of!(SharedAnnex, rule) == offset_of!(Annex, rule));
    assert!(offset_of!(SharedAnnex, clock) == offset_of!(Annex, clock));
    assert!(offset_of!(SharedAnnex, ssrc_tails) == offset_of!(Annex, ssrc_tails));
    assert!(offset_of!(SharedAnnex, owners) == offset_of!(Annex, owners));
    assert!(offset_of!(SharedAnnex, other) == offset_of!(Annex, other));
    assert!(offset_of!(SharedAnnex, ssrcs) == offset_of!(Annex, ssrcs));
    assert!(
        size_of::<SharedGuard>() == size_of::<Guard>() && align_of::<SharedGuard>() == align_of::<Guard>()
    );
    assert!(size_of::<SharedHint>() == size_of::<LocalHint>() && offset_of!(LocalHint, valid) == 0);
    assert!(offset_of!(SharedGuard, bucket) == offset_of!(Guard, bucket));
    assert!(offset_of!(SharedGuard, limited) == offset_of!(Guard, limited));
    assert!(offset_of!(SharedGuard, source_port) == offset_of!(Guard, source_port));
    assert!(offset_of!(SharedGuard, flags) == offset_of!(Guard, flags));
    assert!(offset_of!(SharedGuard, reserved) == offset_of!(Guard, reserved));
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
// SAFETY: as above.
unsafe impl Shared for SharedGuard {}
// SAFETY: as above.
unsafe impl Shared for SharedHint {}

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
