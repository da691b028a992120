//! Receives and sends many datagrams with one system call, without copying or allocating.

use std::io;
use std::mem::{align_of, offset_of, size_of};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use crate::plan::PortId;
use crate::session::Transmit;
use crate::srtp::MAX_TRAILER;

/// How many datagrams are received at once: also how many a socket may have relayed before it is the next
/// one's turn.
pub(super) const RECEIVE: usize = 32;

/// How many datagrams are sent at once.
const SEND: usize = 32;

/// Room for the largest UDP datagram, and for what protects it.
const BUFFER: usize = 65_536 + 4096;

/// Received datagrams, and where they are to be sent.
pub(super) struct Batch {
    /// One buffer per datagram, one after the other: those received, then changed copies of them.
    buffers: Vec<u8>,
    sources: [Name; RECEIVE],
    lengths: [usize; RECEIVE],
    /// When the kernel says that they arrived, nanoseconds of CLOCK_REALTIME.
    stamps: [Option<u64>; RECEIVE],
    /// Number of copies that wait to be sent.
    copies: usize,
    outgoing: Vec<Outgoing>,
}

struct Outgoing {
    transmit: Transmit,
    to: Name,
    /// Which buffer, and how much of it.
    datagram: usize,
    length: usize,
}

impl Outgoing {
    fn bytes<'b>(&self, buffers: &'b [u8]) -> &'b [u8] {
        &buffers[self.datagram * BUFFER..][..self.length]
    }
}

impl Batch {
    pub(super) fn new() -> Batch {
        Batch {
            // Pages that no datagram was long enough for take no memory.
            buffers: vec![0; (RECEIVE + SEND) * BUFFER],
            sources: [Name::EMPTY; RECEIVE],
            lengths: [0; RECEIVE],
            stamps: [None; RECEIVE],
            copies: 0,
            outgoing: Vec::with_capacity(SEND),
        }
    }

    /// Receives what a socket has, up to a limit of at most [`RECEIVE`], in place of what was received before. Says how many
    /// datagrams there are.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>, limit: usize) -> io::Result<usize> {
        debug_assert!(
            self.outgoing.is_empty(),
            "what is to be sent would be overwritten"
        );
        match limit {
            1 => self.receive_one(socket),
            _ => self.receive_many(socket, limit),
        }
    }

    /// A call for one datagram does with less than one for many.
    fn receive_one(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut vector = NO_MEMORY;
        (vector.iov_base, vector.iov_len) = (self.buffers.as_mut_ptr().cast(), BUFFER);
        let mut control = Control::EMPTY;
        let mut message = NO_MESSAGE.msg_hdr;
        message.msg_name = ptr::from_mut(&mut self.sources[0]).cast();
        message.msg_namelen = V6_SIZE;
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        control.attach(&mut message);
        // SAFETY: the message names memory of the stated length that nothing else refers to and that outlives the call.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
        self.lengths[0] = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        self.stamps[0] = stamp(&message);
        Ok(1)
    }

    fn receive_many(&mut self, socket: BorrowedFd<'_>, limit: usize) -> io::Result<usize> {
        let mut vectors = [NO_MEMORY; RECEIVE];
        let mut messages = [NO_MESSAGE; RECEIVE];
        let mut controls = [Control::EMPTY; RECEIVE];
        let buffers = self.buffers.chunks_exact_mut(BUFFER).take(RECEIVE);
        for ((((message, vector), name), control), buffer) in messages
            .iter_mut()
            .zip(&mut vectors)
            .zip(&mut self.sources)
            .zip(&mut controls)
            .zip(buffers)
        {
            control.attach(&mut message.msg_hdr);
            vector.iov_base = buffer.as_mut_ptr().cast();
            vector.iov_len = BUFFER;
            message.msg_hdr.msg_name = ptr::from_mut(name).cast();
            message.msg_hdr.msg_namelen = V6_SIZE;
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: each message names memory of the stated length that nothing else refers to and that
        // outlives the call: an address in `sources`, a vector in `vectors`, and through it a buffer, and one of `controls`.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                vlen(limit.min(RECEIVE)),
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        let places = self.lengths.iter_mut().zip(&mut self.stamps);
        for ((length, place), message) in places.zip(&messages[..received]) {
            *length = message.msg_len as usize;
            *place = stamp(&message.msg_hdr);
        }
        Ok(received)
    }

    /// A received datagram and where it came from.
    pub(super) fn datagram(&mut self, index: usize) -> (SocketAddr, &mut [u8]) {
        let start = index * BUFFER;
        let source = self.sources[index].address();
        (source, &mut self.buffers[start..start + self.lengths[index]])
    }

    /// When the kernel says that a received datagram arrived, nanoseconds of CLOCK_REALTIME; none if it does not.
    pub(super) fn stamp(&self, index: usize) -> Option<u64> {
        self.stamps[index]
    }

    /// Whether nothing more can be pushed before a flush.
    pub(super) fn is_full(&self) -> bool {
        self.outgoing.len() == SEND
    }

    /// Has a received datagram sent with the next flush: as it is in its buffer then, or what is written in its place, if
    /// anything.
    pub(super) fn push(
        &mut self,
        datagram: usize,
        transmit: Transmit,
        write: impl FnOnce(&[u8], &mut [u8]) -> Option<usize>,
    ) {
        let (datagram, length) = match transmit.rewritten {
            true => match self.rewrite(datagram, write) {
                Some(rewritten) => rewritten,
                None => return,
            },
            false => (datagram, transmit.length),
        };
        self.outgoing.push(Outgoing {
            to: Name::from(transmit.to),
            transmit,
            datagram,
            length,
        });
    }

    /// Sends everything, and tells of each datagram its length and whether it was sent.
    pub(super) fn flush<'s>(
        &mut self,
        socket: impl Fn(PortId) -> Option<BorrowedFd<'s>>,
        mut done: impl FnMut(&Transmit, usize, bool),
    ) {
        let mut rest = self.outgoing.as_mut_slice();
        while let Some(first) = rest.first() {
            let from = first.transmit.from;
            let run = rest.iter().take_while(|next| next.transmit.from == from).count();
            let (now, later) = rest.split_at_mut(run);
            let mut tell = |outgoing: &Outgoing, sent| {
                done(&outgoing.transmit, outgoing.length, sent);
            };
            match socket(from) {
                Some(socket) => send(socket, now, &self.buffers, tell),
                None => now.iter().for_each(|outgoing| tell(outgoing, false)),
            }
            rest = later;
        }
        self.outgoing.clear();
        self.copies = 0;
    }

    /// Buffer and length of what takes the place of a datagram. There are as many buffers as there can be datagrams to send.
    fn rewrite(
        &mut self,
        datagram: usize,
        write: impl FnOnce(&[u8], &mut [u8]) -> Option<usize>,
    ) -> Option<(usize, usize)> {
        let (received, copies) = self.buffers.split_at_mut(RECEIVE * BUFFER);
        let received = &received[datagram * BUFFER..][..self.lengths[datagram]];
        let length = write(received, &mut copies[self.copies * BUFFER..][..BUFFER])?;
        let copy = RECEIVE + self.copies;
        self.copies += 1;
        Some((copy, length))
    }
}

/// Sends datagrams from one socket.
fn send(
    socket: BorrowedFd<'_>,
    outgoing: &mut [Outgoing],
    buffers: &[u8],
    mut tell: impl FnMut(&Outgoing, bool),
) {
    match outgoing {
        [one] => tell(one, send_one(socket, one, buffers)),
        many => send_many(socket, many, buffers, tell),
    }
}

/// A call for one datagram does with less than one for many.
fn send_one(socket: BorrowedFd<'_>, outgoing: &Outgoing, buffers: &[u8]) -> bool {
    let datagram = outgoing.bytes(buffers);
    loop {
        // SAFETY: the datagram and the address outlive the call, which only reads them, and are as long as it is told.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                datagram.as_ptr().cast(),
                datagram.len(),
                libc::MSG_DONTWAIT,
                ptr::from_ref(&outgoing.to).cast(),
                outgoing.to.length(),
            )
        };
        if sent >= 0 {
            return true;
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return false;
        }
    }
}

fn send_many(
    socket: BorrowedFd<'_>,
    outgoing: &mut [Outgoing],
    buffers: &[u8],
    mut tell: impl FnMut(&Outgoing, bool),
) {
    let mut vectors = [NO_MEMORY; SEND];
    let mut messages = [NO_MESSAGE; SEND];
    for ((message, vector), outgoing) in messages.iter_mut().zip(&mut vectors).zip(outgoing.iter_mut()) {
        let datagram = outgoing.bytes(buffers);
        vector.iov_base = datagram.as_ptr().cast_mut().cast();
        vector.iov_len = datagram.len();
        message.msg_hdr.msg_name = ptr::from_mut(&mut outgoing.to).cast();
        message.msg_hdr.msg_namelen = outgoing.to.length();
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
    }
    let mut messages = &mut messages[..outgoing.len()];
    let mut outgoing = &*outgoing;
    while !messages.is_empty() {
        // SAFETY: each message names memory of the stated length that outlives the call: an address in
        // `outgoing`, a vector in `vectors`, and through it a datagram. The system call only reads the latter.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                vlen(messages.len()),
                libc::MSG_DONTWAIT,
            )
        };
        // A failure is that of the first message: the others are tried again.
        let (done, sent) = match usize::try_from(sent) {
            Ok(sent) if sent > 0 => (sent, true),
            _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => continue,
            _ => (1, false),
        };
        let (finished, rest) = outgoing.split_at(done);
        finished.iter().for_each(|outgoing| tell(outgoing, sent));
        outgoing = rest;
        messages = &mut messages[done..];
    }
}

const _: () = assert!(BUFFER >= 65_536 + MAX_TRAILER);

const NO_MEMORY: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};

const NO_MESSAGE: libc::mmsghdr = libc::mmsghdr {
    msg_hdr: libc::msghdr {
        msg_name: ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    },
    msg_len: 0,
};

/// Room for what the kernel says of a datagram: its time stamp.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

impl Control {
    const EMPTY: Control = Control([0; 64]);

    fn attach(&mut self, message: &mut libc::msghdr) {
        message.msg_control = self.0.as_mut_ptr().cast();
        message.msg_controllen = self.0.len();
    }
}

/// The time stamp of a received message (socket(7), `SO_TIMESTAMPNS`), nanoseconds of CLOCK_REALTIME.
fn stamp(message: &libc::msghdr) -> Option<u64> {
    // SAFETY: the kernel has filled the message's control buffer, which is still there, and says in `msg_controllen` how much of
    // it; the headers that are found lie within.
    let stamp = unsafe {
        let header = libc::CMSG_FIRSTHDR(message);
        let is_stamp = !header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_TIMESTAMPNS;
        if !is_stamp {
            return None;
        }
        libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned()
    };
    Some(stamp.tv_sec.unsigned_abs() * 1_000_000_000 + stamp.tv_nsec.unsigned_abs())
}

/// A socket address as the kernel has it: `sockaddr_in` and `sockaddr_in6` in one, fields in network byte
/// order. Sockets are bound to one address, so an IPv6 socket never sees an IPv4-mapped one.
#[repr(C)]
#[derive(Clone, Copy)]
struct Name {
    family: libc::sa_family_t,
    port: [u8; 2],
    /// The IPv4 address, or the flow label.
    v4: [u8; 4],
    v6: [u8; 16],
    scope: u32,
}

impl Name {
    const EMPTY: Name = Name {
        family: 0,
        port: [0; 2],
        v4: [0; 4],
        v6: [0; 16],
        scope: 0,
    };

    fn length(&self) -> libc::socklen_t {
        if self.family == V6 { V6_SIZE } else { V4_SIZE }
    }

    fn address(&self) -> SocketAddr {
        let port = u16::from_be_bytes(self.port);
        if self.family == V6 {
            // Without the flow label: it says nothing about who the sender is.
            SocketAddrV6::new(self.v6.into(), port, 0, self.scope).into()
        } else {
            (Ipv4Addr::from(self.v4), port).into()
        }
    }
}

impl From<SocketAddr> for Name {
    fn from(address: SocketAddr) -> Name {
        let port = address.port().to_be_bytes();
        match address {
            SocketAddr::V4(address) => Name {
                family: V4,
                port,
                v4: address.ip().octets(),
                ..Name::EMPTY
            },
            SocketAddr::V6(address) => Name {
                family: V6,
                port,
                v6: address.ip().octets(),
                scope: address.scope_id(),
                ..Name::EMPTY
            },
        }
    }
}

const V4: libc::sa_family_t = small(libc::AF_INET);
const V6: libc::sa_family_t = small(libc::AF_INET6);
const V4_SIZE: libc::socklen_t = size::<libc::sockaddr_in>();
const V6_SIZE: libc::socklen_t = size::<libc::sockaddr_in6>();

#[expect(
    clippy::cast_possible_truncation,
    reason = "address families are small numbers"
)]
const fn small(family: libc::c_int) -> libc::sa_family_t {
    family.cast_unsigned() as libc::sa_family_t
}

#[expect(clippy::cast_possible_truncation, reason = "addresses are short")]
const fn size<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

#[expect(clippy::cast_possible_truncation, reason = "at most RECEIVE or SEND")]
const fn vlen(messages: usize) -> libc::c_uint {
    messages as libc::c_uint
}

const _: () = {
    assert!(size_of::<Name>() == size_of::<libc::sockaddr_in6>());
    assert!(align_of::<Name>() >= align_of::<libc::sockaddr_in6>());
    assert!(offset_of!(Name, v4) == offset_of!(libc::sockaddr_in, sin_addr));
    assert!(offset_of!(Name, v6) == offset_of!(libc::sockaddr_in6, sin6_addr));
    assert!(offset_of!(Name, scope) == offset_of!(libc::sockaddr_in6, sin6_scope_id));
};
