//! What routers say of packets that were too big for them.
//!
//! The kernel takes note of a lower path MTU (RFC 1191, RFC 8201) without an event: whoever does not ask again goes on
//! sending packets into a black hole. So a raw socket hears the same messages. They are not believed, as anybody can send
//! them; the stack checks them (a packet of one of its sockets must be quoted), and is asked again.

use std::collections::BTreeMap;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Instant;

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::stale::DEBOUNCE;

/// So many messages are looked at in a round, and then none for a while: there may be any number.
const MOST: usize = 64;

/// Enough for the headers that count.
const LONGEST: usize = 256;

/// Room for a burst, bytes. What does not fit comes again with the next packet that is too big.
const QUEUE: usize = 64 * 1024;

/// Hears routers. Without the capability to (`CAP_NET_RAW`) it hears nothing.
#[derive(Debug)]
pub(super) struct PathMtu {
    sockets: Vec<(IpVersion, Socket)>,
    resting_until: Option<Instant>,
}

/// A router has dropped a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TooBig {
    /// Where the packet was to go.
    pub(super) destination: IpAddr,
    /// The MTU of the next link, bytes; 0 if the router is older than RFC 1191.
    pub(super) mtu: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IpVersion {
    V4,
    V6,
}

impl PathMtu {
    /// Opens the sockets, in the network namespace of the calling thread.
    pub(super) fn open() -> PathMtu {
        let mut sockets = Vec::new();
        for version in [IpVersion::V4, IpVersion::V6] {
            match version.open() {
                Ok(socket) => sockets.push((version, socket)),
                // A host without the IP version has no path of it either.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    tracing::info!("without CAP_NET_RAW lower path MTUs are followed every half minute only");
                    break;
                }
                Err(error) => tracing::debug!(?version, %error, "path MTUs cannot be followed"),
            }
        }
        PathMtu {
            sockets,
            resting_until: None,
        }
    }

    /// The sockets to wait for; or none, and until when.
    pub(super) fn sockets(&self, now: Instant) -> (impl Iterator<Item = BorrowedFd<'_>>, Option<Instant>) {
        let resting_until = self.resting_until.filter(|until| *until > now);
        let all = if resting_until.is_some() {
            &[]
        } else {
            &self.sockets[..]
        };
        (all.iter().map(|(_, socket)| socket.as_fd()), resting_until)
    }

    /// What was said since the last call, the lowest MTU for each destination.
    pub(super) fn take(&mut self, now: Instant) -> impl Iterator<Item = TooBig> + use<> {
        let mut lowest = BTreeMap::new();
        let is_resting = self.resting_until.is_some_and(|until| until > now);
        for (version, socket) in self.sockets.iter().filter(|_| !is_resting) {
            for _ in 0..MOST {
                let mut buffer = [const { MaybeUninit::<u8>::uninit() }; LONGEST];
                let Ok(length) = socket.recv(&mut buffer) else {
                    break;
                };
                // SAFETY: so many bytes were received.
                let message = unsafe { buffer[..length.min(LONGEST)].assume_init_ref() };
                self.resting_until = Some(now + DEBOUNCE);
                if let Some(TooBig { destination, mtu }) = version.parse(message) {
                    let known = lowest.entry(destination).or_insert(mtu);
                    *known = mtu.min(*known);
                }
            }
        }
        lowest
            .into_iter()
            .map(|(destination, mtu)| TooBig { destination, mtu })
    }
}

impl IpVersion {
    /// A socket that gets these messages and no others.
    fn open(self) -> io::Result<Socket> {
        let (domain, protocol) = match self {
            IpVersion::V4 => (Domain::IPV4, Protocol::ICMPV4),
            IpVersion::V6 => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        self.set_filter(&socket)?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(QUEUE)?;
        Ok(socket)
    }

    /// A bit for each type that is not wanted (raw(7); RFC 3542 section 3.2).
    fn set_filter(self, socket: &Socket) -> io::Result<()> {
        const SOL_RAW: i32 = 255;
        const ICMP_FILTER: i32 = 1;
        const ICMP6_FILTER: i32 = 1;
        let mut filter = [u32::MAX; 8];
        let (level, option, kind, length) = match self {
            IpVersion::V4 => (SOL_RAW, ICMP_FILTER, UNREACHABLE, size_of::<u32>()),
            IpVersion::V6 => (
                libc::IPPROTO_ICMPV6,
                ICMP6_FILTER,
                PACKET_TOO_BIG,
                size_of_val(&filter),
            ),
        };
        filter[0] &= !(1 << kind);
        let length = libc::socklen_t::try_from(length).unwrap_or_default();
        // SAFETY: `filter` lives across the call and is at least as long as `length` says.
        let result =
            unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, filter.as_ptr().cast(), length) };
        Ok(Errno::result(result).map(drop)?)
    }

    fn parse(self, message: &[u8]) -> Option<TooBig> {
        match self {
            IpVersion::V4 => parse_v4(message),
            IpVersion::V6 => parse_v6(message),
        }
    }
}

/// ICMP types.
const UNREACHABLE: u8 = 3;
const PACKET_TOO_BIG: u8 = 2;

/// Code of [`UNREACHABLE`].
const FRAGMENTATION_NEEDED: u8 = 4;

/// Bytes before what is quoted.
const ICMP_HEADER: usize = 8;

/// An IPv4 packet (RFC 792, RFC 1191 section 4).
fn parse_v4(packet: &[u8]) -> Option<TooBig> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let icmp = packet.get(header..)?;
    if icmp.get(..2)? != [UNREACHABLE, FRAGMENTATION_NEEDED] {
        return None;
    }
    let destination: [u8; 4] = *icmp.get(ICMP_HEADER + 16..)?.first_chunk()?;
    Some(TooBig {
        destination: destination.into(),
        mtu: u16::from_be_bytes(*icmp.get(6..)?.first_chunk()?),
    })
}

/// An ICMPv6 message (RFC 4443 section 3.2).
fn parse_v6(icmp: &[u8]) -> Option<TooBig> {
    if *icmp.first()? != PACKET_TOO_BIG {
        return None;
    }
    let destination: [u8; 16] = *icmp.get(ICMP_HEADER + 24..)?.first_chunk()?;
    let mtu = u32::from_be_bytes(*icmp.get(4..)?.first_chunk()?);
    Some(TooBig {
        destination: Ipv6Addr::from(destination).into(),
        mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As a router sends it: the start of the packet that it has dropped.
    fn messages() -> [(IpVersion, Vec<u8>, IpAddr); 2] {
        let v4: [u8; 4] = [203, 0, 113, 9];
        let v6: Ipv6Addr = "2001:db8::9".parse().unwrap();
        let outer = [&[0x46][..], &[0; 23]].concat();
        let quoted = [&[0x45][..], &[0; 15], &v4, &[0; 8]].concat();
        let icmp = [3, 4, 0, 0, 0, 0, 0x05, 0x00];
        let icmp_v6 = [2, 0, 0, 0, 0, 0, 0x05, 0x00];
        let quoted_v6 = [&[0x60][..], &[0; 23], &v6.octets(), &[0; 8]].concat();
        [
            (IpVersion::V4, [&outer[..], &icmp, &quoted].concat(), v4.into()),
            (IpVersion::V6, [&icmp_v6[..], &quoted_v6].concat(), v6.into()),
        ]
    }

    #[test]
    fn the_destination_and_the_mtu_are_read() {
        for (version, message, destination) in messages() {
            let expected = TooBig {
                destination,
                mtu: 1280,
            };
            assert_eq!(version.parse(&message), Some(expected));
        }
    }

    #[test]
    fn other_messages_are_left_alone() {
        let [(v4, mut message, _), _] = messages();
        message[25] = 3;
        assert_eq!(v4.parse(&message), None, "a port that nobody listens at");
    }

    proptest! {
        #[test]
        fn any_message_is_read_or_refused(
            change in proptest::option::of((0_usize..80, any::<u8>())),
            length in 0_usize..100,
        ) {
            for (version, mut message, _) in messages() {
                if let Some((at, value)) = change
                    && let Some(byte) = message.get_mut(at)
                {
                    *byte = value;
                }
                message.truncate(length);
                let _ = version.parse(&message);
            }
        }
    }
}
