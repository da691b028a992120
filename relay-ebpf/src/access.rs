//! The one way to packet memory.

use core::arch::asm;

use aya_ebpf::programs::XdpContext;
use relay_common::slot::PassReason;

/// The linear part of a packet: all of it, but for packets larger than a page.
#[derive(Clone, Copy)]
pub struct Packet {
    data: usize,
    end: usize,
}

impl Packet {
    #[inline(always)]
    pub fn new(ctx: &XdpContext) -> Self {
        Self {
            data: ctx.data(),
            end: ctx.data_end(),
        }
    }

    /// A pointer to a `T` that lies within the packet, `offset` bytes from its start.
    ///
    /// The headers are only aligned to two bytes. The verifier knows where that is not good enough for
    /// the machine.
    #[inline(always)]
    pub fn at<T>(self, offset: usize) -> Result<*mut T, PassReason> {
        let start = opaque(self.data + offset);
        if start + size_of::<T>() <= self.end {
            Ok(start as *mut T)
        } else {
            Err(PassReason::Short)
        }
    }

    /// Whether the packet has at least `length` bytes.
    #[inline(always)]
    pub fn holds(self, length: usize) -> bool {
        self.data + length <= self.end
    }
}

/// `value`, about which the compiler knows nothing. It would leave out a check that follows from an earlier
/// one in a way that the verifier does not see.
#[inline(always)]
pub fn opaque(mut value: usize) -> usize {
    // SAFETY: changes nothing. Without an instruction the line numbers for the verifier are not in order.
    unsafe { asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack)) };
    value
}
