//! Netlink sockets: one kind that asks and waits for the answer, one that listens to events.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, NetlinkAddr, bind, recvfrom, send, setsockopt, sockopt};
use socket2::{Domain, Type};

use super::message::{Message, Request, u32_at};

/// Larger than any netlink datagram of the kernel (at most 32 KiB in dumps).
const BUFFER: usize = 64 * 1024;

/// Room for bursts of events, bytes; what does not fit is noticed ([`Drained::Lost`]).
const EVENT_QUEUE: usize = 1024 * 1024;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Routes, devices, addresses, neighbours.
    Route = libc::NETLINK_ROUTE as isize,
    /// IPsec.
    Xfrm = libc::NETLINK_XFRM as isize,
    /// Families that are known by name.
    Generic = libc::NETLINK_GENERIC as isize,
}

/// A socket that asks.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket of a netlink family, in the network namespace of the calling thread.
    pub(crate) fn open(family: Family) -> io::Result<Socket> {
        Ok(Socket {
            fd: bound(family)?.into(),
            sequence: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Sends a request and shows every message of the answer to `each`. A refusal by the kernel is the
    /// error that it names.
    pub(crate) fn request(&mut self, request: Request, mut each: impl FnMut(Message<'_>)) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request.finish(self.sequence);
        send(self.fd.as_raw_fd(), &request, MsgFlags::empty())?;
        loop {
            let Some(length) = receive(&self.fd, &mut self.buffer)? else {
                continue;
            };
            for message in Message::all(&self.buffer[..length]) {
                if message.sequence != self.sequence {
                    continue;
                }
                match i32::from(message.kind) {
                    libc::NLMSG_DONE => return Ok(()),
                    libc::NLMSG_ERROR => return acknowledged(&message),
                    _ => each(message),
                }
            }
        }
    }
}

/// An acknowledgement is an error message with the number 0.
fn acknowledged(message: &Message<'_>) -> io::Result<()> {
    match u32_at(message.body, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(error.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// A socket that listens to multicast groups.
#[derive(Debug)]
pub(crate) struct Events {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

/// How many datagrams are taken from the queue at once; the rest waits. While routes are loaded by the ten thousand, the
/// thread has other things to do as well.
const MOST_DRAINED: usize = 256;

/// What became of the events that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Drained {
    /// All were seen.
    All,
    /// Some did not fit into the socket's queue.
    Lost,
}

impl Events {
    /// Opens a socket of a netlink family that listens to some of its groups, in the network namespace of
    /// the calling thread.
    pub(crate) fn open(family: Family, groups: &[u32]) -> io::Result<Events> {
        let socket = bound(family)?;
        socket.set_nonblocking(true)?;
        let fd = OwnedFd::from(socket);
        set_queue(&fd, EVENT_QUEUE)?;
        for group in groups {
            join(&fd, *group)?;
        }
        Ok(Events {
            fd,
            buffer: vec![0; BUFFER],
        })
    }

    /// Shows events that have arrived to `each`, without waiting: as many as [`MOST_DRAINED`] datagrams hold.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(Message<'_>)) -> io::Result<Drained> {
        let mut drained = Drained::All;
        for _ in 0..MOST_DRAINED {
            match receive(&self.fd, &mut self.buffer) {
                Ok(None) => {}
                Ok(Some(length)) => Message::all(&self.buffer[..length]).for_each(&mut each),
                Err(Errno::EAGAIN) => return Ok(drained),
                Err(Errno::ENOBUFS) => drained = Drained::Lost,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(drained)
    }
}

/// Hooks for tests of what goes wrong.
#[cfg(test)]
impl Events {
    /// Has room for a few events only, from now on.
    pub(crate) fn shrink(&self) {
        set_queue(&self.fd, 1).unwrap();
    }

    /// A socket that reports an error whenever it is asked.
    pub(crate) fn broken() -> Events {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        Events {
            fd: socket.into(),
            buffer: vec![0; BUFFER],
        }
    }
}

/// The plain limit (net.core.rmem_max) does for a process without CAP_NET_ADMIN.
fn set_queue(fd: &OwnedFd, bytes: usize) -> io::Result<()> {
    if setsockopt(fd, sockopt::RcvBufForce, &bytes).is_err() {
        setsockopt(fd, sockopt::RcvBuf, &bytes)?;
    }
    Ok(())
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn bound(family: Family) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::RAW,
        Some((family as i32).into()),
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(socket)
}

fn join(fd: &OwnedFd, group: u32) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<u32>()).unwrap_or_default();
    // SAFETY: the option's value is a u32 that lives across the call, and `length` is its size.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_ADD_MEMBERSHIP,
            (&raw const group).cast(),
            length,
        )
    };
    Ok(Errno::result(result).map(drop)?)
}

/// Receives one datagram; none if it is not the kernel's and so not to be believed.
fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> nix::Result<Option<usize>> {
    loop {
        match recvfrom::<NetlinkAddr>(fd.as_raw_fd(), buffer) {
            Ok((length, sender)) => {
                return Ok(sender.is_some_and(|sender| sender.pid() == 0).then_some(length));
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}
