//! Counters. The daemon reads all the while, so each is written whole.
//!
//! What adds up of an SSRC is in an entry that belongs to one CPU. Programs do not interrupt each other on a CPU (they run with bottom halves
//! disabled), so what a program reads there nobody changes before it writes: it adds without the lock that would
//! make it wait for all of its earlier writes. What several CPUs count is added atomically.

use core::arch::asm;
use core::mem::offset_of;

use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_coarse_ns, bpf_ktime_get_ns};
use relay_common::reception::{self, Place, Sequence};
use relay_common::slot::{
    COUNTED_BY_USERSPACE, Clock, OtherCounters, PassReason, SSRCS_PER_SLOT, SsrcCounters,
};

use crate::PASSES;
use crate::port::Port;

/// What of an RTP header is counted.
pub struct RtpHeader {
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

/// A packet passed to userspace.
#[inline(always)]
pub fn pass(reason: PassReason) {
    if let Some(counter) = PASSES.get_ptr_mut(reason as u32) {
        // SAFETY: this CPU's own counter; XDP programs do not interrupt each other.
        unsafe { *counter += 1 };
    }
}

/// A packet of an offloaded slot passed to userspace.
#[inline(always)]
pub fn passed(port: Port, reason: PassReason) {
    if let Some(other) = other_counters(port) {
        // SAFETY: `other` lies in a map value, which lives as long as the program.
        unsafe {
            add_atomically(&raw mut (*other).passed, 1);
            store(&raw mut (*other).last_pass_reason, reason as u32);
        }
    }
}

/// A packet of an offloaded slot dropped.
#[inline(always)]
pub fn dropped(port: Port) {
    if let Some(other) = other_counters(port) {
        // SAFETY: as above.
        unsafe { add_atomically(&raw mut (*other).dropped, 1) };
    }
}

/// Whom the first entry belongs to, for [`received`].
#[inline(always)]
pub fn first_owner(port: Port) -> u64 {
    // SAFETY: the slot lies in a map value, which lives as long as the program.
    unsafe { owner_of(&raw mut (*port.slot).ssrc).read_volatile() }
}

/// A packet relayed or blocked, with its RTP header if it is RTP.
#[inline(always)]
pub fn received(port: Port, first_owner: u64, bytes: u64, rtp: Option<RtpHeader>) {
    if let Some(rtp) = rtp {
        // SAFETY: a helper without arguments.
        let wanted = owner(rtp.ssrc, unsafe { bpf_get_smp_processor_id() });
        let entries = if first_owner == wanted {
            // SAFETY: no access, only a place.
            let first = unsafe { &raw mut (*port.slot).ssrc };
            Some(Entries { own: first, first })
        } else {
            find_entries(port, wanted, rtp.sequence)
        };
        if let Some(Entries { own, first }) = entries {
            // SAFETY: `own` lies in a map value, which lives as long as the program, and is written by this CPU alone.
            unsafe {
                add(&raw mut (*own).packets, 1);
                add(&raw mut (*own).bytes, bytes);
            }
            count_ssrc(first, &rtp, port.clock());
            return;
        }
    }
    if let Some(other) = other_counters(port) {
        // SAFETY: `other` lies in a map value, which lives as long as the program. A helper without arguments.
        unsafe {
            add_atomically(&raw mut (*other).packets, 1);
            add_atomically(&raw mut (*other).bytes, bytes);
            store(&raw mut (*other).last_seen, bpf_ktime_get_coarse_ns());
        }
    }
}

#[inline(always)]
fn other_counters(port: Port) -> Option<*mut OtherCounters> {
    // SAFETY: no access, only a place.
    port.annex().map(|annex| unsafe { &raw mut (*annex).other })
}

/// Where a packet is counted.
struct Entries {
    /// What adds up: by this CPU alone.
    own: *mut SsrcCounters,
    /// What does not: in the first entry of the SSRC.
    first: *mut SsrcCounters,
}

/// The entries of the packet's SSRC, new ones if need be; none if all belong to others. Without one of its own left, this
/// CPU adds to the first one, and may lose a count if another does so at the same moment.
#[inline(always)]
fn find_entries(port: Port, wanted: u64, sequence: u16) -> Option<Entries> {
    // SAFETY: here and below no access, only a place.
    let in_slot = unsafe { &raw mut (*port.slot).ssrc };
    let in_annex = unsafe { (&raw mut (*port.annex()?).ssrcs).cast::<SsrcCounters>() };
    let mut first = None;
    for index in 0..SSRCS_PER_SLOT {
        let entry = match index {
            0 => in_slot,
            // SAFETY: within the array.
            _ => unsafe { in_annex.add(index - 1) },
        };
        let found = owner_after_claim(entry, wanted, first.is_none().then_some(sequence));
        if found == wanted {
            let first = first.unwrap_or(entry);
            return Some(Entries { own: entry, first });
        }
        if found as u32 == wanted as u32 && first.is_none() {
            first = Some(entry);
        }
    }
    first.map(|first| Entries { own: first, first })
}

/// Whom an entry belongs to; if to nobody, this CPU takes it for an SSRC, unless another one is faster. With the sequence
/// number of the packet if that is the first of the SSRC's entries.
#[inline(always)]
fn owner_after_claim(entry: *mut SsrcCounters, wanted: u64, sequence: Option<u16>) -> u64 {
    // SAFETY: here and below `entry` lies in a map value, which lives as long as the program.
    let found = unsafe { owner_of(entry).read_volatile() };
    let reserved = (COUNTED_BY_USERSPACE as u64) << 32 | wanted as u32 as u64;
    if found != 0 && found != reserved {
        return found;
    }
    let before = unsafe { compare_and_swap(owner_of(entry), found, wanted) };
    if before != found {
        return before;
    }
    if let (0, Some(sequence)) = (found, sequence) {
        let Sequence { base, highest, .. } = Sequence::before(sequence);
        unsafe {
            store(&raw mut (*entry).base_sequence, base);
            store(&raw mut (*entry).highest_sequence, highest);
        }
    }
    wanted
}

/// An SSRC and [`SsrcCounters::counted_by`] as they lie in memory, so that both are written at once.
#[inline(always)]
fn owner(ssrc: u32, cpu: u32) -> u64 {
    const { assert!(offset_of!(SsrcCounters, counted_by) == offset_of!(SsrcCounters, ssrc) + 4) };
    const { assert!(offset_of!(SsrcCounters, ssrc) % 8 == 0 && cfg!(target_endian = "little")) };
    (cpu as u64 + 1) << 32 | ssrc as u64
}

#[inline(always)]
fn owner_of(entry: *mut SsrcCounters) -> *mut u64 {
    // SAFETY: no access, only a place.
    unsafe { (&raw mut (*entry).ssrc).cast() }
}

/// Counts what does not add up.
#[inline(always)]
fn count_ssrc(entry: *mut SsrcCounters, rtp: &RtpHeader, clock: Clock) {
    let is_timed = clock.is_known() && reception::needs_exact_time(rtp.sequence);
    // SAFETY: helpers without arguments. `entry` lies in a map value, which lives as long as the program.
    unsafe {
        let now = if is_timed {
            bpf_ktime_get_ns()
        } else {
            bpf_ktime_get_coarse_ns()
        };
        let place = count_sequence(entry, rtp.sequence);
        if matches!(place, Place::Next) && reception::is_sampled(rtp.sequence) {
            measure(entry, rtp, now, clock);
        }
        store(&raw mut (*entry).last_arrival, now);
        store(&raw mut (*entry).in_order, place.is_newest() as u8);
        if place.is_newest() {
            store(&raw mut (*entry).last_timestamp, rtp.timestamp);
            store(&raw mut (*entry).payload_type, rtp.payload_type);
        }
    }
}

/// # Safety
///
/// `entry` must point into a map value.
#[inline(always)]
unsafe fn count_sequence(entry: *mut SsrcCounters, number: u16) -> Place {
    // SAFETY: the caller's.
    unsafe {
        let before = Sequence {
            base: load(&raw const (*entry).base_sequence),
            highest: load(&raw const (*entry).highest_sequence),
            seen: load(&raw const (*entry).seen),
            restart: load(&raw const (*entry).restart_sequence),
        };
        let mut sequence = before;
        let place = sequence.take(number);
        store(&raw mut (*entry).highest_sequence, sequence.highest);
        store(&raw mut (*entry).seen, sequence.seen);
        if sequence.base != before.base {
            store(&raw mut (*entry).base_sequence, sequence.base);
            store(&raw mut (*entry).restart_sequence, sequence.restart);
        }
        match place {
            Place::Late => increment(&raw mut (*entry).reordered),
            Place::Duplicate => increment(&raw mut (*entry).duplicates),
            Place::Next | Place::Ahead | Place::Astray => {}
        }
        place
    }
}

/// Measures the jitter against the packet before this one, if the clock is that of both.
///
/// # Safety
///
/// `entry` must point into a map value.
#[inline(always)]
unsafe fn measure(entry: *mut SsrcCounters, rtp: &RtpHeader, now: u64, clock: Clock) {
    // SAFETY: the caller's.
    unsafe {
        let is_before = load(&raw const (*entry).in_order) != 0
            && clock.is_of(load(&raw const (*entry).payload_type))
            && clock.is_of(rtp.payload_type);
        if !is_before {
            return;
        }
        let elapsed = now.wrapping_sub(load(&raw const (*entry).last_arrival));
        let units = rtp
            .timestamp
            .wrapping_sub(load(&raw const (*entry).last_timestamp));
        let before = load(&raw const (*entry).jitter);
        let after = reception::jitter(before, clock, elapsed, units as i32);
        store(&raw mut (*entry).jitter, after);
    }
}

/// Adds to what this CPU alone writes.
///
/// # Safety
///
/// `counter` must point into a map value.
#[inline(always)]
unsafe fn add(counter: *mut u64, value: u64) {
    // SAFETY: the caller's.
    unsafe { store(counter, counter.read_volatile().wrapping_add(value)) };
}

/// Adds atomically. `core` has no such operation for this target.
///
/// # Safety
///
/// `counter` must point into a map value.
#[inline(always)]
unsafe fn add_atomically(counter: *mut u64, value: u64) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "lock *(u64 *)({counter} + 0) += {value}",
            counter = in(reg) counter,
            value = in(reg) value,
            options(nostack),
        );
    }
}

/// Writes `new` if `place` holds `expected`, atomically; what was found there.
///
/// # Safety
///
/// `place` must point into a map value.
#[inline(always)]
unsafe fn compare_and_swap(place: *mut u64, expected: u64, new: u64) -> u64 {
    let mut found = expected;
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({place} + 0, r0, {new})",
            place = in(reg) place,
            new = in(reg) new,
            inout("r0") found,
            options(nostack),
        );
    }
    found
}

/// # Safety
///
/// `place` must point into a map value.
#[inline(always)]
unsafe fn store<T>(place: *mut T, value: T) {
    // SAFETY: the caller's. Volatile, as the daemon reads it at any time.
    unsafe { place.write_volatile(value) };
}

/// # Safety
///
/// `place` must point into a map value.
#[inline(always)]
unsafe fn load<T>(place: *const T) -> T {
    // SAFETY: the caller's. Volatile, as others write it at any time.
    unsafe { place.read_volatile() }
}

/// # Safety
///
/// `count` must point into a map value.
#[inline(always)]
unsafe fn increment(count: *mut u32) {
    // SAFETY: the caller's.
    unsafe { store(count, load(count).wrapping_add(1)) };
}
