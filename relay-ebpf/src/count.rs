//! Counters. The daemon reads all the while, so each is written whole.
//!
//! An SSRC's entry belongs to one CPU. Programs do not interrupt each other on a CPU (they run with bottom halves
//! disabled), so what a program reads there nobody changes before it writes: it adds without the lock that would
//! make it wait for all of its earlier writes. What several CPUs count is added atomically.

use core::arch::asm;
use core::mem::offset_of;

use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_coarse_ns};
use relay_common::packet::sequence_ahead;
use relay_common::slot::{OtherCounters, PassReason, SSRCS_PER_SLOT, SsrcCounters};

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
    // SAFETY: helpers without arguments.
    let (now, cpu) = unsafe { (bpf_ktime_get_coarse_ns(), bpf_get_smp_processor_id()) };
    if let Some(rtp) = rtp {
        let wanted = owner(rtp.ssrc, cpu);
        let entry = if first_owner == wanted {
            // SAFETY: no access, only a place.
            Some(unsafe { &raw mut (*port.slot).ssrc })
        } else {
            find_entry(port, wanted, rtp.sequence)
        };
        if let Some(entry) = entry {
            count_ssrc(entry, &rtp, bytes, now);
            return;
        }
    }
    if let Some(other) = other_counters(port) {
        // SAFETY: `other` lies in a map value, which lives as long as the program.
        unsafe {
            add_atomically(&raw mut (*other).packets, 1);
            add_atomically(&raw mut (*other).bytes, bytes);
            store(&raw mut (*other).last_seen, now);
        }
    }
}

#[inline(always)]
fn other_counters(port: Port) -> Option<*mut OtherCounters> {
    // SAFETY: no access, only a place.
    port.annex().map(|annex| unsafe { &raw mut (*annex).other })
}

/// The entry of the packet's SSRC on this CPU, a new one if need be; none if all belong to others.
#[inline(always)]
fn find_entry(port: Port, wanted: u64, sequence: u16) -> Option<*mut SsrcCounters> {
    // SAFETY: here and below no access, only a place.
    let first = unsafe { &raw mut (*port.slot).ssrc };
    let others = unsafe { (&raw mut (*port.annex()?).ssrcs).cast::<SsrcCounters>() };
    let mut extended = sequence as u32;
    for index in 0..SSRCS_PER_SLOT {
        let entry = match index {
            0 => first,
            // SAFETY: within the array.
            _ => unsafe { others.add(index - 1) },
        };
        // SAFETY: the entry lies in a map value, which lives as long as the program.
        let found = unsafe { owner_of(entry).read_volatile() };
        if found == wanted {
            return Some(entry);
        }
        if found == 0 && claim(entry, wanted, extended) {
            return Some(entry);
        }
        if found as u32 == wanted as u32 {
            extended = extend(entry, extended, sequence);
        }
    }
    None
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

/// The sequence number as it goes on from what another CPU has counted, if it has: else `unless`.
#[inline(always)]
fn extend(entry: *mut SsrcCounters, unless: u32, sequence: u16) -> u32 {
    // SAFETY: `entry` lies in a map value, which lives as long as the program.
    unsafe {
        if (&raw const (*entry).packets).read_volatile() == 0 {
            return unless;
        }
        let highest = (&raw const (*entry).highest_sequence).read_volatile();
        highest.wrapping_add(sequence_ahead(highest, sequence) as u32)
    }
}

/// Takes an unused entry, unless another CPU is faster.
#[inline(always)]
fn claim(entry: *mut SsrcCounters, wanted: u64, first_sequence: u32) -> bool {
    // SAFETY: `entry` lies in a map value, which lives as long as the program.
    if unsafe { compare_and_swap(owner_of(entry), 0, wanted) } != 0 {
        return false;
    }
    // SAFETY: as above.
    unsafe {
        store(&raw mut (*entry).base_sequence, first_sequence);
        // One behind, so that the first packet counts as the newest.
        store(&raw mut (*entry).highest_sequence, first_sequence.wrapping_sub(1));
    }
    true
}

/// Counts in an entry of this CPU.
#[inline(always)]
fn count_ssrc(entry: *mut SsrcCounters, rtp: &RtpHeader, bytes: u64, now: u64) {
    // SAFETY: `entry` lies in a map value, which lives as long as the program, and is written by this CPU alone.
    unsafe {
        add(&raw mut (*entry).packets, 1);
        add(&raw mut (*entry).bytes, bytes);
        store(&raw mut (*entry).last_arrival, now);
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
            store(&raw mut (*entry).last_timestamp, rtp.timestamp);
            store(&raw mut (*entry).payload_type, rtp.payload_type as u32);
        }
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
