//! Counters. The daemon reads all the while, so each is written whole.
//!
//! What adds up of an SSRC is in an entry that belongs to one CPU. Programs do not interrupt each other on a CPU (they run with bottom halves
//! disabled), so what a program reads there nobody changes before it writes: it adds without the lock that would
//! make it wait for all of its earlier writes. What several CPUs count is added atomically.

use core::arch::asm;
use core::mem::offset_of;

use aya_ebpf::helpers::generated::bpf_jiffies64;
use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_coarse_ns, bpf_ktime_get_ns};
use relay_common::reception::{self, Place, Sequence};
use relay_common::slot::{
    Annex, COUNTED_BY_USERSPACE, Clock, DropReason, OtherCounters, PassReason, SSRCS_PER_SLOT, SsrcHead,
    SsrcTail,
};

use crate::port::Port;
use crate::{DROPS, LIMITS, PASSES};

/// What of an RTP header is counted.
pub struct RtpHeader {
    /// Whether it is one, and is to be counted for its SSRC. Instead of an option, whose empty value the compiler copies as it
    /// lies on the stack: the verifier minds that.
    pub is_counted: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

impl RtpHeader {
    /// Of what is no RTP.
    pub const NONE: RtpHeader = RtpHeader {
        is_counted: false,
        payload_type: 0,
        sequence: 0,
        timestamp: 0,
        ssrc: 0,
    };
}

/// A packet passed to userspace.
#[inline(always)]
pub fn pass(reason: PassReason) {
    if let Some(counter) = PASSES.get_ptr_mut(reason as u32) {
        // SAFETY: this CPU's own counter; XDP programs do not interrupt each other.
        unsafe { *counter += 1 };
    }
}

/// A packet dropped.
#[inline(always)]
pub fn drop(reason: DropReason) {
    if let Some(counter) = DROPS.get_ptr_mut(reason as u32) {
        // SAFETY: as above.
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

/// A packet relayed or blocked, with its RTP header.
#[inline(always)]
pub fn received(port: Port, bytes: u64, rtp: RtpHeader) {
    let counted = if rtp.is_counted {
        count_rtp(port, bytes, &rtp)
    } else {
        None
    };
    if counted.is_none()
        && let Some(other) = other_counters(port)
    {
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

/// Counts for the packet's SSRC; none if all entries belong to others.
#[inline(always)]
fn count_rtp(port: Port, bytes: u64, rtp: &RtpHeader) -> Option<()> {
    // SAFETY: a helper without arguments.
    let wanted = owner(rtp.ssrc, unsafe { bpf_get_smp_processor_id() });
    // SAFETY: no access, only a place.
    let in_slot = unsafe { &raw mut (*port.slot).ssrc };
    // SAFETY: `in_slot` lies in a map value, which lives as long as the program.
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_jiffies64() as u32 };
    let (own, first) = if unsafe { owner_of(in_slot).read_volatile() } == wanted {
        let entry = Entry {
            head: in_slot,
            number: 0,
        };
        (entry, entry)
    } else {
        find_entries(port, wanted, rtp.sequence, now)?
    };
    // SAFETY: `head` lies in a map value, and these of its fields are written by this CPU alone.
    unsafe {
        store(&raw mut (*own.head).last_tick, now);
        add(&raw mut (*own.head).bytes, bytes);
        if increment(&raw mut (*own.head).packets) == 0 {
            let tail = own.tail(port)?;
            let turned = load(&raw const (*tail).packets_turned);
            store(&raw mut (*tail).packets_turned, turned.wrapping_add(1));
        }
    }
    count_sequence(port, first, rtp);
    Some(())
}

/// Where an SSRC is counted.
#[derive(Clone, Copy)]
struct Entry {
    head: *mut SsrcHead,
    number: usize,
}

impl Entry {
    /// What most packets leave alone: other lines of memory.
    #[inline(always)]
    fn tail(self, port: Port) -> Option<*mut SsrcTail> {
        let annex = port.annex()?;
        // SAFETY: no access, only a place. `number` is that of an entry; the verifier does not remember it.
        Some(unsafe { (&raw mut (*annex).ssrc_tails[self.number & (SSRCS_PER_SLOT - 1)]) })
    }
}

/// The entry of the packet's SSRC where this CPU adds up, and the first one of the SSRC, where all count what does not add
/// up; new ones if need be, none if all belong to others. Without one of its own left, this CPU adds to the first one, and
/// may lose a count if another does so at the same moment.
#[inline(always)]
fn find_entries(port: Port, wanted: u64, sequence: u16, now: u32) -> Option<(Entry, Entry)> {
    const { assert!(SSRCS_PER_SLOT.is_power_of_two()) };
    let annex: *mut Annex = port.annex()?;
    // SAFETY: here and below no access, only a place.
    let in_slot = unsafe { &raw mut (*port.slot).ssrc };
    let in_annex = unsafe { (&raw mut (*annex).ssrcs).cast::<SsrcHead>() };
    let mut first = None;
    for number in 0..SSRCS_PER_SLOT {
        let head = match number {
            0 => in_slot,
            // SAFETY: within the array.
            _ => unsafe { in_annex.add(number - 1) },
        };
        let entry = Entry { head, number };
        let (found, is_new) = owner_after_claim(entry.head, wanted);
        if found == wanted {
            if is_new && first.is_none() {
                start(port, entry, sequence);
            }
            return Some((entry, first.unwrap_or(entry)));
        }
        if found as u32 == wanted as u32 && first.is_none() {
            first = Some(entry);
        }
    }
    if let Some(first) = first {
        return Some((first, first));
    }
    let number = make_room(in_slot, annex, now) as usize;
    let head = match number {
        0 => in_slot,
        // SAFETY: within the array, as far as there is an entry of that number.
        1..SSRCS_PER_SLOT => unsafe { in_annex.add(number - 1) },
        _ => return None,
    };
    let entry = Entry { head, number };
    let (found, is_new) = owner_after_claim(head, wanted);
    if found != wanted {
        return None;
    }
    if is_new {
        start(port, entry, sequence);
    }
    Some((entry, entry))
}

/// The number of an entry that nobody has.
const NO_ENTRY: u64 = SSRCS_PER_SLOT as u64;

/// Frees the entries of the SSRC that was heard last longest ago, if that was a second ago, and says which the first one is. What
/// they counted goes to the total of the rest. A packet of that SSRC that comes to another CPU at this very moment may be
/// counted wrongly.
///
/// A function of its own, and with a plain number as its result: so the verifier remembers nothing of the ways through it.
#[inline(never)]
fn make_room(in_slot: *mut SsrcHead, annex: *mut Annex, now: u32) -> u64 {
    // SAFETY: here and below both lie in map values, and what is added lies within them.
    let in_annex = unsafe { (&raw mut (*annex).ssrcs).cast::<SsrcHead>() };
    let head = |number: usize| match number {
        0 => in_slot,
        _ => unsafe { in_annex.add(number - 1) },
    };
    let ssrc = |number| unsafe { load(&raw const (*head(number)).ssrc) };
    let age = |number| now.wrapping_sub(unsafe { load(&raw const (*head(number)).last_tick) });
    let (mut oldest, mut highest_age) = (NO_ENTRY, 0);
    let mut victim = 0;
    for number in 0..SSRCS_PER_SLOT {
        // The age of an SSRC is that of its newest entry.
        let mut newest = age(number);
        for other in 0..SSRCS_PER_SLOT {
            if ssrc(other) == ssrc(number) && age(other) < newest {
                newest = age(other);
            }
        }
        if newest >= LIMITS.load().ticks_per_second && (oldest == NO_ENTRY || newest > highest_age) {
            (oldest, highest_age, victim) = (number as u64, newest, ssrc(number));
        }
    }
    if oldest == NO_ENTRY {
        return NO_ENTRY;
    }
    for number in 0..SSRCS_PER_SLOT {
        if ssrc(number) == victim {
            unsafe { free(annex, head(number), number) };
        }
    }
    oldest
}

/// Frees an entry.
///
/// # Safety
///
/// All must point into map values.
#[inline(always)]
unsafe fn free(annex: *mut Annex, head: *mut SsrcHead, number: usize) {
    // SAFETY: the caller's.
    unsafe {
        let tail = &raw mut (*annex).ssrc_tails[number & (SSRCS_PER_SLOT - 1)];
        let packets = load(&raw const (*head).packets) as u64;
        let packets = (load(&raw const (*tail).packets_turned) as u64) << u32::BITS | packets;
        add_atomically(&raw mut (*annex).other.packets, packets);
        add_atomically(&raw mut (*annex).other.bytes, load(&raw const (*head).bytes));
        store(&raw mut (*head).bytes, 0);
        store(&raw mut (*head).packets, 0);
        store(&raw mut (*head).highest_sequence, 0);
        store(&raw mut (*head).seen, 0);
        store(&raw mut (*head).last_tick, 0);
        for word in 0..size_of::<SsrcTail>() / size_of::<u64>() {
            store(tail.cast::<u64>().add(word), 0);
        }
        store(owner_of(head), 0);
    }
}

/// Whom an entry belongs to; if to nobody, this CPU takes it for an SSRC, unless another one is faster. And whether nobody
/// has counted there before.
#[inline(always)]
fn owner_after_claim(head: *mut SsrcHead, wanted: u64) -> (u64, bool) {
    // SAFETY: here and below `head` lies in a map value, which lives as long as the program.
    let found = unsafe { owner_of(head).read_volatile() };
    let reserved = (COUNTED_BY_USERSPACE as u64) << 32 | wanted as u32 as u64;
    if found != 0 && found != reserved {
        return (found, false);
    }
    let before = unsafe { compare_and_swap(owner_of(head), found, wanted) };
    if before != found {
        return (before, false);
    }
    (wanted, found == 0)
}

/// The first sequence number of an SSRC.
#[inline(always)]
fn start(port: Port, entry: Entry, first: u16) {
    let Sequence { base, highest, .. } = Sequence::before(first);
    // SAFETY: both lie in map values, which live as long as the program.
    unsafe {
        if let Some(tail) = entry.tail(port) {
            store(&raw mut (*tail).base_sequence, base);
        }
        store(&raw mut (*entry.head).highest_sequence, highest);
    }
}

/// An SSRC and [`SsrcHead::counted_by`] as they lie in memory, so that both are written at once.
#[inline(always)]
fn owner(ssrc: u32, cpu: u32) -> u64 {
    const { assert!(offset_of!(SsrcHead, counted_by) == offset_of!(SsrcHead, ssrc) + 4) };
    const { assert!(offset_of!(SsrcHead, ssrc) % 8 == 0 && cfg!(target_endian = "little")) };
    (cpu as u64 + 1) << 32 | ssrc as u64
}

#[inline(always)]
fn owner_of(head: *mut SsrcHead) -> *mut u64 {
    // SAFETY: no access, only a place.
    unsafe { (&raw mut (*head).ssrc).cast() }
}

/// Counts what does not add up.
#[inline(always)]
fn count_sequence(port: Port, entry: Entry, rtp: &RtpHeader) {
    let head = entry.head;
    // SAFETY: `head` lies in a map value, which lives as long as the program.
    unsafe {
        let mut highest = load(&raw const (*head).highest_sequence);
        let mut seen = load(&raw const (*head).seen);
        let place = reception::advance(&mut highest, &mut seen, rtp.sequence);
        if place.is_none() || reception::is_timed(rtp.sequence) {
            count_seldom(port, entry, rtp, place);
        }
        if place.is_some() {
            store(&raw mut (*head).highest_sequence, highest);
            store(&raw mut (*head).seen, seen);
        }
    }
}

/// Counts what most packets change nothing of: those that are not ahead of all others (`place` is none), and those that
/// are timed.
///
/// # Safety
///
/// `entry` must be one of the port's.
#[inline(always)]
unsafe fn count_seldom(port: Port, entry: Entry, rtp: &RtpHeader, place: Option<Place>) {
    // SAFETY: the caller's. `annex` and `tail` lie in map values, which live as long as the program.
    unsafe {
        let (Some(annex), Some(tail)) = (port.annex(), entry.tail(port)) else {
            return;
        };
        let place = match place {
            Some(place) => place,
            None => count_exception(entry.head, tail, rtp.sequence),
        };
        if reception::is_timed(rtp.sequence) {
            time(tail, rtp, place, load(&raw const (*annex).clock));
        }
    }
}

/// # Safety
///
/// `head` and `tail` must point into map values.
#[inline(always)]
unsafe fn count_exception(head: *mut SsrcHead, tail: *mut SsrcTail, number: u16) -> Place {
    // SAFETY: the caller's.
    unsafe {
        let mut sequence = Sequence {
            base: load(&raw const (*tail).base_sequence),
            highest: load(&raw const (*head).highest_sequence),
            seen: load(&raw const (*head).seen),
            restart: load(&raw const (*tail).restart_sequence),
        };
        let place = sequence.take(number);
        store(&raw mut (*tail).base_sequence, sequence.base);
        store(&raw mut (*head).highest_sequence, sequence.highest);
        store(&raw mut (*head).seen, sequence.seen);
        store(&raw mut (*tail).restart_sequence, sequence.restart);
        match place {
            Place::Late => increment(&raw mut (*tail).reordered),
            Place::Duplicate => increment(&raw mut (*tail).duplicates),
            Place::Next | Place::Ahead | Place::Astray => 0,
        };
        place
    }
}

/// Measures the jitter against the packet that was timed last, if the clock is that of both.
///
/// # Safety
///
/// `tail` must point into a map value.
#[inline(always)]
unsafe fn time(tail: *mut SsrcTail, rtp: &RtpHeader, place: Place, clock: Clock) {
    // SAFETY: the caller's. Helpers without arguments.
    unsafe {
        let now = if clock.is_known() {
            bpf_ktime_get_ns()
        } else {
            bpf_ktime_get_coarse_ns()
        };
        let before = load(&raw const (*tail).timed_at);
        if matches!(place, Place::Next)
            && reception::is_measured(rtp.sequence)
            && clock.is_of(rtp.payload_type)
            && clock.is_of(load(&raw const (*tail).payload_type))
            && before != 0
        {
            let elapsed = now.wrapping_sub(before);
            let units = rtp
                .timestamp
                .wrapping_sub(load(&raw const (*tail).last_timestamp));
            let jitter = load(&raw const (*tail).jitter);
            let jitter = reception::jitter(jitter, clock, elapsed, units as i32);
            store(&raw mut (*tail).jitter, jitter);
        }
        if place.is_newest() {
            store(&raw mut (*tail).timed_at, now);
            store(&raw mut (*tail).last_timestamp, rtp.timestamp);
            store(&raw mut (*tail).payload_type, rtp.payload_type);
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
pub unsafe fn add_atomically(counter: *mut u64, value: u64) {
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
pub unsafe fn compare_and_swap(place: *mut u64, expected: u64, new: u64) -> u64 {
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

/// The count after.
///
/// # Safety
///
/// `count` must point into a map value.
#[inline(always)]
unsafe fn increment(count: *mut u32) -> u32 {
    // SAFETY: the caller's.
    unsafe {
        let after = load(count).wrapping_add(1);
        store(count, after);
        after
    }
}
