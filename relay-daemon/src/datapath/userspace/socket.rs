//! The sockets of a call.

use std::net::{SocketAddr, UdpSocket};

use socket2::SockRef;

use crate::plan::PortId;
use crate::session::Expected;

/// The socket of a local port.
#[derive(Debug)]
pub(super) struct MediaSocket {
    /// The port.
    pub(super) port: PortId,
    /// Bound to it.
    pub(super) socket: UdpSocket,
    /// TOS or traffic class of what is sent.
    pub(super) tos: u8,
    /// The newest round in which it had something.
    pub(super) round: u64,
    /// Where its packets are expected from.
    pub(super) expected: Expected,
    /// What others may still cost: see [`Slots::admit`](crate::datapath::kernel::Slots::admit).
    pub(super) bucket: u64,
}

impl MediaSocket {
    /// Sends with this TOS or traffic class from now on.
    pub(super) fn set_tos(&mut self, tos: u8) {
        if self.tos == tos {
            return;
        }
        let socket = SockRef::from(&self.socket);
        let result = match self.socket.local_addr() {
            Ok(SocketAddr::V6(_)) => socket.set_tclass_v6(tos.into()),
            Ok(SocketAddr::V4(_)) => socket.set_tos_v4(tos.into()),
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => self.tos = tos,
            Err(error) => {
                tracing::warn!(port = ?self.port, tos, %error, "cannot set the TOS of a media port")
            }
        }
    }
}

/// The socket of a port. Calls have few sockets: looking at them all is faster than hashing.
pub(super) fn find_socket(sockets: &[MediaSocket], port: PortId) -> Option<&UdpSocket> {
    sockets
        .iter()
        .find(|socket| socket.port == port)
        .map(|socket| &socket.socket)
}
