//! Asks the processor for memory that will be needed soon: so it waits for many places at a time, not for one after the other.

use std::mem::size_of_val;
use std::ptr;

/// Bytes that a processor fetches at once.
const LINE: usize = 64;

/// Fetches a value, without what it points to.
pub(crate) fn prefetch<T: ?Sized>(value: &T) {
    let start = ptr::from_ref(value).cast::<u8>();
    for offset in (0..size_of_val(value)).step_by(LINE) {
        prefetch_line(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
fn prefetch_line(place: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: every x86-64 processor can do it, and it reads nothing that the program would notice.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
}

/// Elsewhere memory comes when it is needed.
#[cfg(not(target_arch = "x86_64"))]
fn prefetch_line(_: *const u8) {}
