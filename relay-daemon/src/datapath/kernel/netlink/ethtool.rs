//! What a driver does to frames (linux/ethtool.h).

use std::ffi::c_char;
use std::os::fd::AsRawFd;

use socket2::Socket;

/// Whether a device takes VLAN tags off the frames that it receives (`rx-vlan-offload`). Who does not say may do it.
pub(crate) fn takes_tags_off(socket: &Socket, device: &str) -> bool {
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    const ETHTOOL_GFLAGS: u32 = 0x25;
    const ETH_FLAG_RXVLAN: u32 = 1 << 8;

    /// `struct ethtool_value`.
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }

    let mut value = Value {
        command: ETHTOOL_GFLAGS,
        data: 0,
    };
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: (&raw mut value).cast(),
        },
    };
    if device.len() >= libc::IFNAMSIZ {
        return true;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    // SAFETY: the request lives across the call, and so does the value that it points to, which has the layout of this command.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    result != 0 || value.data & ETH_FLAG_RXVLAN != 0
}
