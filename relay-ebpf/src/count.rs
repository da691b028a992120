//! Counters. Several CPUs may count for one slot at once, and the daemon reads all the while: what is
//! added is added atomically, what is the newest of its kind is just stored.

use core::arch::asm;
use core::mem::offset_of;

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use relay_common::packet::sequence_ahead;
use relay_common::slot::{Counters, PassReason, SSRCS_PER_SLOT, SsrcCounters};

use crate::PASSES;

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
pub fn passed(counters: *mut Counters, reason: PassReason) {
    // SAFETY: `counters` lies in a map value, which lives as long as the program.
    unsafe {
        add(&raw mut (*counters).passed, 1);
        store(&raw mut (*counters).last_pass_reason, reason as u32);
    }
}

/// A packet of an offloaded slot dropped.
#[inline(always)]
pub fn dropped(counters: *mut Counters) {
    // SAFETY: as above.
    unsafe { add(&raw mut (*counters).dropped, 1) };
}

/// A packet relayed or blocked, with its RTP header if it is RTP.
#[inline(always)]
pub fn received(counters: *mut Counters, bytes: u64, rtp: Option<RtpHeader>) {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    // SAFETY: as above.
    unsafe {
        add(&raw mut (*counters).packets, 1);
        add(&raw mut (*counters).bytes, bytes);
        store(&raw mut (*counters).last_seen, now);
    }
    if let Some(rtp) = rtp
        && let Some(entry) = entry_of(counters, &rtp)
    {
        count_ssrc(entry, &rtp, bytes, now);
    }
}

/// The entry of the packet's SSRC, a new one if need be; none if all belong to others.
#[inline(always)]
fn entry_of(counters: *mut Counters, rtp: &RtpHeader) -> Option<*mut SsrcCounters> {
    // SAFETY: `counters` lies in a map value, which lives as long as the program.
    let entries = unsafe { (&raw mut (*counters).ssrcs).cast::<SsrcCounters>() };
    let wanted = owner(rtp.ssrc);
    for index in 0..SSRCS_PER_SLOT {
        // SAFETY: `index` is within the array.
        let entry = unsafe { entries.add(index) };
        // SAFETY: as above.
        let found = unsafe { owner_of(entry).read_volatile() };
        if found == wanted {
            return Some(entry);
        }
        if found == 0 {
            return claim(entry, wanted, rtp.sequence);
        }
    }
    None
}

/// An SSRC and [`SsrcCounters::in_use`] as they lie in memory, so that both are written at once.
#[inline(always)]
fn owner(ssrc: u32) -> u64 {
    const { assert!(offset_of!(SsrcCounters, in_use) == offset_of!(SsrcCounters, ssrc) + 4) };
    const { assert!(offset_of!(SsrcCounters, ssrc) % 8 == 0 && cfg!(target_endian = "little")) };
    1 << 32 | ssrc as u64
}

#[inline(always)]
fn owner_of(entry: *mut SsrcCounters) -> *mut u64 {
    // SAFETY: no access, only a place.
    unsafe { (&raw mut (*entry).ssrc).cast() }
}

/// Takes an unused entry, unless another CPU is faster.
#[inline(always)]
fn claim(entry: *mut SsrcCounters, wanted: u64, sequence: u16) -> Option<*mut SsrcCounters> {
    // SAFETY: `entry` lies in a map value, which lives as long as the program.
    let found = unsafe { compare_and_swap(owner_of(entry), 0, wanted) };
    if found == 0 {
        // SAFETY: as above.
        unsafe {
            store(&raw mut (*entry).base_sequence, sequence as u32);
            // One behind, so that the first packet counts as the newest.
            store(
                &raw mut (*entry).highest_sequence,
                (sequence as u32).wrapping_sub(1),
            );
        }
    }
    if found == 0 || found == wanted {
        Some(entry)
    } else {
        None
    }
}

#[inline(always)]
fn count_ssrc(entry: *mut SsrcCounters, rtp: &RtpHeader, bytes: u64, now: u64) {
    // SAFETY: `entry` lies in a map value, which lives as long as the program.
    unsafe {
        add(&raw mut (*entry).packets, 1);
        add(&raw mut (*entry).bytes, bytes);
        let highest = (&raw const (*entry).highest_sequence).read_volatile();
        let ahead = sequence_ahead(highest, rtp.sequence);
        if ahead < 0 {
            let reordered = (&raw const (*entry).reordered).read_volatile();
            store(&raw mut (*entry).reordered, reordered.wrapping_add(1));
        }
        if ahead > 0 {
            store(
                &raw mut (*entry).highest_sequence,
                highest.wrapping_add(ahead as u32),
            );
            store(&raw mut (*entry).last_arrival, now);
            store(&raw mut (*entry).last_timestamp, rtp.timestamp);
            store(&raw mut (*entry).payload_type, rtp.payload_type as u32);
        }
    }
}

/// Adds atomically. `core` has no such operation for this target.
///
/// # Safety
///
/// `counter` must point into a map value.
#[inline(always)]
unsafe fn add(counter: *mut u64, value: u64) {
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
