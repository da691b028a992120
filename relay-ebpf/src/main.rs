//! The XDP program `relay`: relays the media of established flows in the receive path.
//!
//! A packet's way:
//!
//! ```text
//! frame ─ parse ─ LOCALS: address ─ SLOTS: base + port ─ state ─ rule ─ source ─ classify ─ checksum
//!           │              │                               │               │         │         │
//!         pass           pass                          pass/drop       GUARDS: drop  pass     pass
//!
//!       ─ ROUTES: next hop, MTU ─ headers ─ counters ─ redirect
//!                       │
//!                     pass
//! ```
//!
//! * [`datagram`] takes Ethernet, up to two VLAN tags, IP and UDP apart ([`headers`], [`ip`]).
//! * [`forward`] finds the slot ([`port`]) and asks its rule.
//! * [`guard`] bounds what unexpected sources may cost.
//! * [`rewrite`] writes the new headers; a datagram may change its IP version.
//! * [`count`] adds to the slot's counters, by SSRC too.
//!
//! Whatever the program is not sure of goes on to the host's network stack, where the relay's sockets
//! are bound. The daemon decides what goes into the tables; the program holds no policy.
//! `relay_common::rewrite` is the same written for reading: tests compare the two packet by packet.
//!
//! Packets leave by `bpf_redirect` even where they leave the way they came: on veth, frames sent with
//! `XDP_TX` wait in the peer's ring until something else wakes it. Only helpers of kernel 5.15 are used.
//! There is no log: each reason for passing a packet has a counter, and each slot keeps its latest one.
#![no_std]
#![no_main]
// Atomic operations, in `count`.
#![feature(asm_experimental_arch)]

mod access;
mod count;
mod datagram;
mod forward;
mod guard;
mod headers;
mod ip;
mod port;
mod rewrite;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::helpers::generated::bpf_jiffies64;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, HashMap, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use aya_ebpf::{Global, bindings::BPF_F_MMAPABLE};
use relay_common::slot::{
    self, Annex, DropReason, Guard, Limits, LocalHint, LocalKey, LocalRange, MAX_LOCAL_KEYS, MAX_ROUTES,
    PREFIXES, PassReason, Route, Slot,
};

/// The local addresses that have slots, by where they come in.
#[map]
static LOCALS: HashMap<LocalKey, LocalRange> = HashMap::with_max_entries(MAX_LOCAL_KEYS, 0);

/// Copies of entries of [`LOCALS`], by [`slot::local_hint`].
#[map]
static LOCAL_HINTS: Array<LocalHint> = Array::with_max_entries(slot::LOCAL_HINTS, BPF_F_MMAPABLE);

/// One slot for each local port. The daemon sets the size before it loads the program.
#[map]
static SLOTS: Array<Slot> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The rest of each slot. As many.
#[map]
static ANNEXES: Array<Annex> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What is expected at each slot's port. As many.
#[map]
static GUARDS: Array<Guard> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The buckets of networks that unexpected packets come from, by [`slot::prefix`].
#[map]
static PREFIX_BUCKETS: Array<u64> = Array::with_max_entries(PREFIXES, 0);

/// Next hops, by [`slot::ForwardRule::route`].
#[map]
static ROUTES: Array<Route> = Array::with_max_entries(MAX_ROUTES, BPF_F_MMAPABLE);

/// Passed packets by [`PassReason`].
#[map]
static PASSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(PassReason::COUNT, 0);

/// Dropped packets by [`DropReason`].
#[map]
static DROPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(DropReason::COUNT, 0);

/// What floods may cost. The daemon sets it before it loads the program: without, there are no limits.
#[unsafe(no_mangle)]
static LIMITS: Global<Limits> = Global::new(slot::NO_LIMITS);

/// [`slot::ABI_VERSION`] of this program, for those who find it pinned.
#[unsafe(no_mangle)]
static ABI_VERSION: Global<u32> = Global::new(slot::ABI_VERSION);

/// What becomes of a packet.
enum Verdict {
    Pass(PassReason),
    /// For a reason, if it is not that the media is blocked.
    Drop(Option<DropReason>),
    /// Out through the interface of this index.
    Redirect(u32),
}

/// Where packets come in.
#[xdp(frags)]
pub fn relay(ctx: XdpContext) -> u32 {
    match forward::forward(&ctx) {
        Verdict::Redirect(ifindex) => redirect(ifindex),
        Verdict::Drop(reason) => {
            if let Some(reason) = reason {
                count::drop(reason);
            }
            XDP_DROP
        }
        Verdict::Pass(reason) => {
            count::pass(reason);
            XDP_PASS
        }
    }
}

/// What a tick of the kernel is called at the moment, as in `SsrcHead::last_tick`. Never attached: the daemon runs it once.
#[xdp]
pub fn tick(_ctx: XdpContext) -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() as u32 }
}

/// Notes where the frame is to go, which does not fail with these arguments. It goes there when the program has ended, and nobody
/// tells it whether the device took it: what is counted as relayed was handed over, as with a socket. The device counts what it
/// refuses, and tracepoints tell (`xdp:xdp_redirect_err`, `xdp:xdp_devmap_xmit`). That a device is gone or down the daemon hears
/// from netlink; then the next hop is invalid.
#[inline(always)]
fn redirect(ifindex: u32) -> u32 {
    // SAFETY: the helper takes any index; that of no interface makes the kernel drop the frame.
    unsafe { bpf_redirect(ifindex, 0) as u32 }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"MIT\0";
