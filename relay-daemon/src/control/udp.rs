//! ng over UDP: the sockets, and nothing else.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::task::Poll;

use nix::cmsg_space;
use nix::sys::socket::{
    self, ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::config::PathMtu;

/// Room for a burst of requests, so that calls that begin together do not lose any; the system may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The sockets that requests arrive at.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<UdpSocket>,
    /// Where the next look for a datagram begins: every socket gets its turn.
    next: usize,
}

/// Where a request came from, and how its reply gets there: from the address that the request was sent to.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The sender's address.
    pub address: SocketAddr,
    socket: usize,
    local: Option<Local>,
}

/// The local address of a request, as the system names it.
#[derive(Clone, Copy, Debug)]
enum Local {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Listener {
    /// Binds a socket to each of the addresses; those of IPv6 take IPv6 alone. Must be called within a tokio
    /// runtime. The error names the address.
    pub fn bind(addresses: &[SocketAddr]) -> io::Result<Listener> {
        let bind = |address: &SocketAddr| {
            open(*address).map_err(|error| {
                let text = format!("cannot listen on {address}: {error}");
                io::Error::new(error.kind(), text)
            })
        };
        let sockets = addresses.iter().map(bind).collect::<io::Result<_>>()?;
        Ok(Listener { sockets, next: 0 })
    }

    /// Sets the TOS or traffic class of replies; 0 leaves it as the system has it, unless it was another one before.
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        for socket in &self.sockets {
            let tos = i32::from(tos);
            match socket.local_addr()? {
                SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4Tos, &tos)?,
                SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6TClass, &tos)?,
            }
        }
        Ok(())
    }

    /// Says what the system does about replies that are too long for a link on their way.
    pub fn set_path_mtu(&self, choice: PathMtu) -> io::Result<()> {
        for socket in &self.sockets {
            let (level, option) = match socket.local_addr()? {
                SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
                SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
            };
            let value: libc::c_int = match choice {
                PathMtu::Discover => libc::IP_PMTUDISC_WANT,
                PathMtu::Ignore => libc::IP_PMTUDISC_DONT,
            };
            set_option(socket.as_raw_fd(), level, option, value)?;
        }
        Ok(())
    }

    /// The addresses of the sockets, with the ports that were chosen where zero was asked for.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(UdpSocket::local_addr).collect()
    }

    /// Waits for a request; its length in the buffer, and its sender. Nothing is lost if the wait is given up.
    pub async fn recv(&mut self, buf: &mut [u8]) -> io::Result<(usize, Peer)> {
        loop {
            if let Some(received) = self.try_recv(buf)? {
                return Ok(received);
            }
            poll_fn(|context| {
                let mut ready = self.sockets.iter().map(|socket| socket.poll_recv_ready(context));
                ready.find(Poll::is_ready).unwrap_or(Poll::Pending)
            })
            .await?;
        }
    }

    /// A request that has arrived already, if any.
    pub fn try_recv(&mut self, buf: &mut [u8]) -> io::Result<Option<(usize, Peer)>> {
        for turn in 0..self.sockets.len() {
            let index = (self.next + turn) % self.sockets.len();
            let socket = &self.sockets[index];
            let received = socket.try_io(Interest::READABLE, || receive(socket.as_raw_fd(), buf));
            match received {
                Ok((length, address, local)) => {
                    self.next = index + 1;
                    let peer = Peer {
                        address,
                        socket: index,
                        local,
                    };
                    return Ok(Some((length, peer)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Sends a reply.
    pub async fn send(&self, peer: &Peer, reply: &[u8]) -> io::Result<()> {
        let socket = &self.sockets[peer.socket];
        let send = || transmit(socket.as_raw_fd(), peer, reply);
        socket.async_io(Interest::WRITABLE, send).await
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    socket.bind(&address.into())?;
    UdpSocket::from_std(StdSocket::from(socket))
}

fn set_option(fd: RawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of_val(&value)).map_err(io::Error::other)?;
    // SAFETY: the value lives as long as the call, and is as long as it says.
    let set = unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), size) };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn receive(fd: RawFd, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<Local>)> {
    let mut control = cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buf)];
    let message = socket::recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::empty())?;
    let mut local = None;
    for info in message.cmsgs()? {
        if let ControlMessageOwned::Ipv4PacketInfo(info) = info {
            local = Some(Local::V4(info));
        } else if let ControlMessageOwned::Ipv6PacketInfo(info) = info {
            local = Some(Local::V6(info));
        }
    }
    let address = message.address.as_ref().and_then(socket_address);
    let address = address.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
    Ok((message.bytes, address, local))
}

fn transmit(fd: RawFd, peer: &Peer, reply: &[u8]) -> io::Result<()> {
    let parts = [IoSlice::new(reply)];
    let to = SockaddrStorage::from(peer.address);
    let send =
        |control: &[ControlMessage<'_>]| socket::sendmsg(fd, &parts, control, MsgFlags::empty(), Some(&to));
    match peer.local {
        Some(Local::V4(info)) => {
            // The address alone is fixed; the way out is the routing's choice.
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ..info
            };
            send(&[ControlMessage::Ipv4PacketInfo(&info)])?;
        }
        Some(Local::V6(info)) => {
            // A link-local address means nothing without its interface.
            let link_local = Ipv6Addr::from(info.ipi6_addr.s6_addr).is_unicast_link_local();
            let ipi6_ifindex = if link_local { info.ipi6_ifindex } else { 0 };
            let info = libc::in6_pktinfo { ipi6_ifindex, ..info };
            send(&[ControlMessage::Ipv6PacketInfo(&info)])?;
        }
        None => {
            send(&[])?;
        }
    }
    Ok(())
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|address| SocketAddr::V6((*address).into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that accepts replies only from the address that it sent to.
    async fn client(server: &str, port: u16) -> UdpSocket {
        let any = if server.contains(':') {
            "[::]:0"
        } else {
            "0.0.0.0:0"
        };
        let socket = UdpSocket::bind(any).await.unwrap();
        socket.connect((server, port)).await.unwrap();
        socket
    }

    #[tokio::test]
    async fn replies_come_from_the_address_that_was_asked() {
        let mut listener = Listener::bind(&["0.0.0.0:0".parse().unwrap()]).unwrap();
        let port = listener.addresses().unwrap()[0].port();
        for server in ["127.0.0.1", "127.0.0.2"] {
            let client = client(server, port).await;
            client.send(b"request").await.unwrap();
            let mut buf = [0; 100];
            let (length, peer) = listener.recv(&mut buf).await.unwrap();
            assert_eq!(&buf[..length], b"request");
            assert_eq!(peer.address, client.local_addr().unwrap());
            listener.send(&peer, b"reply").await.unwrap();
            let length = client.recv(&mut buf).await.unwrap();
            assert_eq!(&buf[..length], b"reply");
        }
    }

    #[tokio::test]
    async fn several_addresses_of_both_families_take_turns() {
        let addresses = ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
        let mut listener = Listener::bind(&addresses).unwrap();
        let bound = listener.addresses().unwrap();
        let v4 = client("127.0.0.1", bound[0].port()).await;
        let v6 = client("::1", bound[1].port()).await;
        for _ in 0..2 {
            v4.send(b"4").await.unwrap();
            v6.send(b"6").await.unwrap();
        }
        let mut buf = [0; 100];
        let mut seen = Vec::new();
        for _ in 0..4 {
            let (length, peer) = listener.recv(&mut buf).await.unwrap();
            seen.extend_from_slice(&buf[..length]);
            listener.send(&peer, b"reply").await.unwrap();
        }
        assert!(listener.try_recv(&mut buf).unwrap().is_none());
        seen.sort_unstable();
        assert_eq!(seen, b"4466");
        for client in [v4, v6] {
            assert_eq!(client.recv(&mut buf).await.unwrap(), b"reply".len());
        }
    }

    #[tokio::test]
    async fn a_port_alone_is_both_families() {
        let probe = StdSocket::bind("0.0.0.0:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let wildcards = ["0.0.0.0", "::"].map(|ip| SocketAddr::new(ip.parse().unwrap(), port));
        let listener = Listener::bind(&wildcards).unwrap();
        assert_eq!(listener.addresses().unwrap(), wildcards);
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let taken = StdSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Listener::bind(&[address]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
