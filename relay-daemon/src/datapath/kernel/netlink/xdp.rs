//! XDP programs on devices without a BPF link: there until somebody takes them off.

use std::io;

use super::link::IFINFOMSG;
use super::message::{Request, nest};
use super::route::Rtnetlink;

// linux/if_link.h
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

impl Rtnetlink {
    /// Takes the program off a device, in whatever mode it is there. Not one that a BPF link holds.
    pub(crate) fn detach_xdp(&mut self, ifindex: u32) -> io::Result<()> {
        const NONE: i32 = -1;
        let native = self.set_xdp(ifindex, NONE, XDP_FLAGS_DRV_MODE);
        let generic = self.set_xdp(ifindex, NONE, XDP_FLAGS_SKB_MODE);
        native.and(generic)
    }

    /// Puts a program (its descriptor) on a device, in generic mode.
    #[cfg(test)]
    pub(crate) fn attach_xdp(&mut self, ifindex: u32, program: i32) -> io::Result<()> {
        self.set_xdp(ifindex, program, XDP_FLAGS_SKB_MODE)
    }

    fn set_xdp(&mut self, ifindex: u32, program: i32, flags: u32) -> io::Result<()> {
        let mut header = [0; IFINFOMSG];
        header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        let program = program.to_ne_bytes();
        let flags = flags.to_ne_bytes();
        let nested = nest(&[(IFLA_XDP_FD, &program), (IFLA_XDP_FLAGS, &flags)]);
        let request =
            Request::new(libc::RTM_SETLINK, libc::NLM_F_ACK, &header).with_nested(IFLA_XDP, &nested);
        self.socket.request(request, |_| {})
    }
}
