//! What really arrives at a device: raw frames, and their headers taken apart.

use std::mem::size_of;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use relay_common::checksum::{fold, sum};
use socket2::{Domain, Socket, Type};

/// Captures the frames that a device receives.
#[derive(Debug)]
pub struct Capture {
    socket: Socket,
}

/// A captured UDP datagram with all that a receiver could notice about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Ethernet destination.
    pub destination_mac: [u8; 6],
    /// Ethernet source.
    pub source_mac: [u8; 6],
    /// Source address and port.
    pub source: SocketAddr,
    /// Destination address and port.
    pub destination: SocketAddr,
    /// TOS or traffic class.
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The flag "don't fragment"; true for IPv6, which never fragments on the way.
    pub dont_fragment: bool,
    /// The IPv4 header checksum is right; true for IPv6, which has none.
    pub header_checksum_valid: bool,
    /// The UDP checksum is there and right.
    pub udp_checksum_valid: bool,
    /// UDP payload.
    pub payload: Vec<u8>,
}

/// Room for what arrives while the test does something else, bytes.
const QUEUE: usize = 32 * 1024 * 1024;

impl Capture {
    /// Captures from now on, in the namespace of the calling thread.
    pub fn open(device: &str) -> Capture {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).expect("root may capture");
        set_option(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1);
        let queue = i32::try_from(QUEUE).expect("fits");
        set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, queue);
        bind(&socket, device);
        Capture { socket }
    }

    /// The next UDP datagram; none if nothing comes for so long.
    pub fn next(&self, patience: Duration) -> Option<Captured> {
        self.socket
            .set_read_timeout(Some(patience))
            .expect("a time-out can be set");
        self.receive(MsgFlags::empty())
    }

    /// The next UDP datagram that has come already.
    pub fn waiting(&self) -> Option<Captured> {
        self.receive(MsgFlags::MSG_DONTWAIT)
    }

    fn receive(&self, flags: MsgFlags) -> Option<Captured> {
        let mut frame = vec![0; 64 * 1024];
        loop {
            match recv(self.socket.as_raw_fd(), &mut frame, flags) {
                Ok(length) => {
                    if let Some(captured) = Captured::parse(&frame[..length]) {
                        return Some(captured);
                    }
                }
                Err(Errno::EAGAIN) => return None,
                // A read with a time-out is not restarted by itself.
                Err(Errno::EINTR) => {}
                Err(error) => panic!("capture: {error}"),
            }
        }
    }
}

/// Sends a frame by a device of the calling thread's namespace, as it is.
pub fn send_frame(device: &str, frame: &[u8]) {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None).expect("root may send frames");
    bind(&socket, device);
    socket.send(frame).expect("the device takes the frame");
}

impl Captured {
    /// Takes a frame apart; none if it is not plain UDP over IP.
    pub fn parse(frame: &[u8]) -> Option<Captured> {
        let (ethernet, packet) = frame.split_at_checked(14)?;
        match u16::from_be_bytes([ethernet[12], ethernet[13]]) {
            0x0800 => ipv4(ethernet, packet),
            0x86dd => ipv6(ethernet, packet),
            _ => None,
        }
    }
}

fn ipv4(ethernet: &[u8], packet: &[u8]) -> Option<Captured> {
    let header = packet.get(..usize::from(packet.first()? & 0xf) * 4)?;
    let length = usize::from(u16::from_be_bytes([*header.get(2)?, *header.get(3)?]));
    let udp = packet.get(header.len()..length)?;
    if *header.get(9)? != 17 {
        return None;
    }
    let address = |at: usize| Some(IpAddr::from(*header.get(at..)?.first_chunk::<4>()?));
    let mut captured = datagram(ethernet, udp, address(12)?, address(16)?)?;
    captured.tos = header[1];
    captured.ttl = header[8];
    captured.dont_fragment = header[6] & 0x40 != 0;
    captured.header_checksum_valid = fold(sum(header)) == 0xffff;
    Some(captured)
}

fn ipv6(ethernet: &[u8], packet: &[u8]) -> Option<Captured> {
    let (header, rest) = packet.split_at_checked(40)?;
    let udp = rest.get(..usize::from(u16::from_be_bytes([header[4], header[5]])))?;
    if header[6] != 17 {
        return None;
    }
    let address = |at: usize| Some(IpAddr::from(*header.get(at..)?.first_chunk::<16>()?));
    let mut captured = datagram(ethernet, udp, address(8)?, address(24)?)?;
    captured.tos = header[0] << 4 | header[1] >> 4;
    captured.ttl = header[7];
    Some(captured)
}

fn datagram(ethernet: &[u8], udp: &[u8], source: IpAddr, destination: IpAddr) -> Option<Captured> {
    let half = |at: usize| Some(u16::from_be_bytes(*udp.get(at..)?.first_chunk()?));
    let length = half(4)?;
    let segment = udp.get(..usize::from(length))?;
    // The pseudo-header of RFC 768 and RFC 8200 section 8.1: zeroes in between add nothing.
    let pseudo_header = sum(&octets(source)) + sum(&octets(destination)) + 17 + u64::from(length);
    let udp_checksum_valid = half(6)? != 0 && fold(pseudo_header + sum(segment)) == 0xffff;
    Some(Captured {
        destination_mac: *ethernet.first_chunk()?,
        source_mac: *ethernet.get(6..)?.first_chunk()?,
        source: SocketAddr::new(source, half(0)?),
        destination: SocketAddr::new(destination, half(2)?),
        tos: 0,
        ttl: 0,
        dont_fragment: true,
        header_checksum_valid: true,
        udp_checksum_valid,
        payload: segment.get(8..)?.to_vec(),
    })
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn set_option(socket: &Socket, level: i32, name: i32, value: i32) {
    let length = libc::socklen_t::try_from(size_of::<i32>()).expect("fits");
    // SAFETY: the value is an int that lives across the call, and `length` is its size.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    Errno::result(result).unwrap_or_else(|error| panic!("socket option {name}: {error}"));
}

/// Bound only after its options are set, so that nothing else ever gets in.
fn bind(socket: &Socket, device: &str) {
    let index = nix::net::if_::if_nametoindex(device).unwrap_or_else(|error| panic!("{device}: {error}"));
    // SAFETY: a sockaddr_ll is valid as zeroes.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).expect("fits");
    address.sll_protocol = u16::try_from(libc::ETH_P_ALL).expect("fits").to_be();
    address.sll_ifindex = i32::try_from(index).expect("fits");
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).expect("fits");
    // SAFETY: the address lives across the call, and `length` is its size.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(result).unwrap_or_else(|error| panic!("capture on {device}: {error}"));
}
