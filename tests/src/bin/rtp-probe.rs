//! Watches the network interfaces of the ends of calls until SIGTERM or SIGINT, then prints as JSON what
//! became of the RTP between them.
//!
//! `rtp-probe NAME=NETNS/INTERFACE...` prints `ready` first. Needs root.

use std::fs::File;
use std::io::Write;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use relay_tests::probe::{Datagram, End, Probe};
use serde_json::json;

/// Room for bursts between two looks at the socket.
const RECEIVE_BUFFER: usize = 64 << 20;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.len() < 2 {
        bail!("usage: rtp-probe NAME=NETNS/INTERFACE NAME=NETNS/INTERFACE...");
    }
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let stop = SignalFd::new(&signals)?;
    let (mut names, mut taps) = (Vec::new(), Vec::new());
    for (number, argument) in arguments.iter().enumerate() {
        let (name, place) = argument
            .split_once('=')
            .with_context(|| format!("{argument}: expected NAME=NETNS/INTERFACE"))?;
        names.push(name.to_owned());
        taps.push(Tap::open(End(number), place)?);
    }
    println!("ready");
    std::io::stdout().flush()?;

    let mut probe = Probe::new(names);
    let mut stopping = false;
    while !stopping {
        let sockets = taps.iter().map(|tap| tap.socket.as_fd());
        let mut waiting: Vec<PollFd<'_>> = std::iter::once(stop.as_fd())
            .chain(sockets)
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        stopping = waiting[0].any().unwrap_or(false);
        for tap in &taps {
            tap.drain(&mut probe)?;
        }
    }
    let mut report = probe.report();
    let drops: u32 = taps.iter().map(Tap::drops).sum::<anyhow::Result<_>>()?;
    report["capture_drops"] = json!(drops);
    println!("{report}");
    Ok(())
}

/// A packet socket on the interface of one end.
struct Tap {
    end: End,
    socket: OwnedFd,
}

impl Tap {
    /// Opens `NETNS/INTERFACE`. The calling thread stays in that namespace.
    fn open(end: End, place: &str) -> anyhow::Result<Tap> {
        let (namespace, interface) = place
            .split_once('/')
            .with_context(|| format!("{place}: expected NETNS/INTERFACE"))?;
        let path = format!("/run/netns/{namespace}");
        let namespace = File::open(&path).with_context(|| path.clone())?;
        setns(namespace, CloneFlags::CLONE_NEWNET).with_context(|| format!("entering {path}"))?;
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        // All protocols: a socket for one of them would not see what is sent.
        let socket = socket(
            AddressFamily::Packet,
            SockType::Datagram,
            flags,
            SockProtocol::EthAll,
        )?;
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        bind_to(&socket, interface).with_context(|| place.to_owned())?;
        Ok(Tap { end, socket })
    }

    /// Reads all that has arrived.
    fn drain(&self, probe: &mut Probe) -> anyhow::Result<()> {
        let mut buffer = [0; 65536];
        loop {
            let mut control = cmsg_space!(TimeSpec);
            let mut parts = [std::io::IoSliceMut::new(&mut buffer)];
            let message = match recvmsg::<LinkAddr>(
                self.socket.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                MsgFlags::empty(),
            ) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let at = message.cmsgs()?.find_map(|part| {
                if let ControlMessageOwned::ScmTimestampns(time) = part {
                    Some(Duration::from(time))
                } else {
                    None
                }
            });
            let (Some(at), Some(address)) = (at, message.address) else {
                continue;
            };
            let length = message.bytes;
            let sent = address.pkttype() == libc::PACKET_OUTGOING;
            if let Some((source, destination, payload)) = udp(&buffer[..length]) {
                probe.see(&Datagram {
                    at,
                    end: self.end,
                    sent,
                    source,
                    destination,
                    payload,
                });
            }
        }
    }

    /// How many packets found no room in the receive buffer.
    fn drops(&self) -> anyhow::Result<u32> {
        let mut statistics = libc::tpacket_stats {
            tp_packets: 0,
            tp_drops: 0,
        };
        let mut length = libc::socklen_t::try_from(size_of::<libc::tpacket_stats>())?;
        // SAFETY: the option writes a tpacket_stats of at most the given length.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        Errno::result(result)?;
        Ok(statistics.tp_drops)
    }
}

fn bind_to(socket: &OwnedFd, interface: &str) -> anyhow::Result<()> {
    let index = if_nametoindex(interface)?;
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET)?,
        sll_protocol: u16::try_from(libc::ETH_P_ALL)?.to_be(),
        sll_ifindex: i32::try_from(index)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>())?;
    // SAFETY: `address` is a valid sockaddr_ll of the given length.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(result)?;
    Ok(())
}

/// Source, destination and payload of a whole IPv4 packet with UDP in it.
fn udp(packet: &[u8]) -> Option<(SocketAddr, SocketAddr, &[u8])> {
    const UDP: u8 = 17;
    const MORE_FRAGMENTS_OR_OFFSET: u16 = 0x3fff;
    let (header, _) = packet.split_first_chunk::<20>()?;
    let fragment = u16::from_be_bytes([header[6], header[7]]) & MORE_FRAGMENTS_OR_OFFSET;
    if header[0] >> 4 != 4 || header[9] != UDP || fragment != 0 {
        return None;
    }
    let datagram = packet.get(usize::from(header[0] & 0x0f) * 4..)?;
    let (ports, _) = datagram.split_first_chunk::<8>()?;
    let address = |ip: usize, port: usize| {
        let ip: [u8; 4] = header[ip..ip + 4].try_into().ok()?;
        let port = u16::from_be_bytes([ports[port], ports[port + 1]]);
        Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), port))
    };
    let length = usize::from(u16::from_be_bytes([ports[4], ports[5]]));
    Some((address(12, 0)?, address(16, 2)?, datagram.get(8..length)?))
}
