//! What packets of unexpected sources may cost.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use relay_common::slot::{Address, DropReason, Guard, Limit, guard_flags, prefix};

use crate::count::{add_atomically, compare_and_swap};
use crate::datagram::Datagram;
use crate::headers::Ipv6;
use crate::ip::Ip;
use crate::port::Port;
use crate::{GUARDS, LIMITS, PREFIX_BUCKETS};

/// Takes the tokens of a packet, unless it is from the source that the daemon expects. Or why it is to be dropped.
#[inline(always)]
pub fn admit<T: Ip>(port: Port, datagram: &Datagram<T>) -> Result<(), DropReason> {
    // Every slot has one.
    let Some(guard) = GUARDS.get_ptr_mut(port.index) else {
        return Ok(());
    };
    let source = T::mapped(datagram.source);
    match take_tokens(guard, &source, u16::from_be(datagram.source_port)) {
        PORT => Err(DropReason::PortLimit),
        PREFIX => Err(DropReason::PrefixLimit),
        _ => Ok(()),
    }
}

const ADMITTED: u64 = 0;
const PORT: u64 = 1;
const PREFIX: u64 = 2;

/// A function of its own, and with a plain number as its result: so the verifier remembers nothing of the ways through it.
#[inline(never)]
fn take_tokens(guard: *mut Guard, source: &Address, source_port: u16) -> u64 {
    // SAFETY: here and below `guard` lies in a map value, which lives as long as the program. The daemon writes at any time.
    let (flags, expected, expected_port) = unsafe {
        (
            (&raw const (*guard).flags).read_volatile(),
            (&raw const (*guard).source).read_volatile(),
            (&raw const (*guard).source_port).read_volatile(),
        )
    };
    if flags & guard_flags::ANY != 0 {
        return ADMITTED;
    }
    if flags & guard_flags::KNOWN != 0 && expected_port == source_port && Ipv6::is_same(expected, *source) {
        return ADMITTED;
    }
    let limits = LIMITS.load();
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let network = PREFIX_BUCKETS.get_ptr_mut(prefix(source, &limits));
    let bucket = unsafe { &raw mut (*guard).bucket };
    let reason = if network.is_some_and(|network| is_empty(network, limits.prefix, now)) {
        PREFIX
    } else if is_empty(bucket, limits.port, now) {
        PORT
    } else {
        return ADMITTED;
    };
    unsafe { add_atomically(&raw mut (*guard).limited, 1) };
    reason
}

/// Whether a bucket has no token, else takes one. If another CPU takes one at the same moment, there are many packets: then
/// this one counts as one too many.
#[inline(always)]
fn is_empty(bucket: *mut u64, limit: Limit, now: u64) -> bool {
    if limit.interval == 0 {
        return false;
    }
    // SAFETY: `bucket` lies in a map value.
    unsafe {
        let before = bucket.read_volatile();
        match limit.take(before, now) {
            Some(after) => compare_and_swap(bucket, before, after) != before,
            None => true,
        }
    }
}
