//! Programs to measure `relay` with: they make its frames, receive them, and stand in its place.
//!
//! ```text
//! generate ─ redirect ─> veth ─> relay, or `bare`, or `drop` ─ redirect ─> veth ─> `sink`
//! ```
//!
//! `generate` is run with live frames (`BPF_PROG_TEST_RUN`). Their pages come back with what the relay wrote into them,
//! so it writes the whole header of each frame anew. Addresses and sizes are those of `relay_common::bench`.
#![no_std]
#![no_main]

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use relay_common::bench::{FRAME, HEADERS, Settings, count, header};

#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

/// Frames by [`count`].
#[map]
static COUNTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(count::KINDS, 0);

/// Sends the frame that a slot's sender would send next; each frame meets another slot.
#[xdp(frags)]
pub fn generate(ctx: XdpContext) -> u32 {
    let Some(settings) = SETTINGS.get(0) else {
        return XDP_ABORTED;
    };
    let number = increase(count::GENERATED);
    let start = ctx.data() as *mut [u8; HEADERS];
    if ctx.data() + FRAME > ctx.data_end() || settings.flows == 0 {
        return XDP_ABORTED;
    }
    let flow = number.wrapping_mul(u64::from(settings.stride)) % u64::from(settings.flows);
    let round = number / u64::from(settings.flows);
    // SAFETY: the frame is longer than its headers, as checked.
    unsafe { start.write(header(flow as u32, round as u32)) };
    redirect(settings.relay)
}

/// What a redirect costs by itself.
#[xdp(frags)]
pub fn bare(_ctx: XdpContext) -> u32 {
    match SETTINGS.get(0) {
        Some(settings) => redirect(settings.out),
        None => XDP_ABORTED,
    }
}

/// What the generator costs by itself.
#[xdp(frags)]
pub fn drop(_ctx: XdpContext) -> u32 {
    increase(count::DROPPED);
    XDP_DROP
}

/// The end of every frame.
#[xdp(frags)]
pub fn sink(ctx: XdpContext) -> u32 {
    let start = ctx.data() as *const [u8; HEADERS];
    if ctx.data() + HEADERS > ctx.data_end() {
        return XDP_PASS;
    }
    // SAFETY: the frame is not shorter than its headers, as checked.
    let headers = unsafe { &*start };
    increase(count::of_received(headers));
    XDP_DROP
}

#[inline(always)]
fn redirect(interface: u32) -> u32 {
    // SAFETY: takes numbers only.
    unsafe { bpf_redirect(interface, 0) as u32 }
}

/// The counter before.
#[inline(always)]
fn increase(counter: u32) -> u64 {
    let Some(counter) = COUNTS.get_ptr_mut(counter) else {
        return 0;
    };
    // SAFETY: the pointer is into the map's value of this CPU, where nobody else writes.
    unsafe {
        let before = *counter;
        *counter = before + 1;
        before
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"MIT\0";
