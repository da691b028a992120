//! IPsec policies (xfrm): packets that must be encrypted on their way out, or must not leave.

use std::io;
use std::net::IpAddr;

use super::address::{Prefix, family, ip};
use super::message::{Message, Request};
use super::socket::{Events, Family, Socket};

// linux/xfrm.h
const XFRM_MSG_GETPOLICY: u16 = 0x15;
const XFRMNLGRP_POLICY: u32 = 4;
const XFRM_POLICY_OUT: u8 = 1;
const XFRM_POLICY_ALLOW: u8 = 0;
const XFRMA_TMPL: u16 = 5;

/// Lengths of `struct xfrm_userpolicy_id` and `xfrm_userpolicy_info`.
const POLICY_ID: usize = 64;
const POLICY_INFO: usize = 168;

/// A socket that asks.
#[derive(Debug)]
pub(crate) struct Xfrm {
    socket: Socket,
}

/// The packets that a policy is for. Ports are not looked at: a policy for one port counts for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    source: Prefix,
    destination: Prefix,
}

impl Xfrm {
    /// Opens it, in the network namespace of the calling thread; none on kernels without IPsec.
    pub(crate) fn open() -> io::Result<Option<Xfrm>> {
        match Socket::open(Family::Xfrm) {
            Ok(socket) => Ok(Some(Xfrm { socket })),
            Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A socket on which a message arrives whenever a policy changes.
    pub(crate) fn events(&self) -> io::Result<Events> {
        Events::open(Family::Xfrm, &[XFRMNLGRP_POLICY])
    }

    /// The policies that keep UDP packets of this host from leaving as they are.
    pub(crate) fn outbound(&mut self) -> io::Result<Vec<Policy>> {
        let request = Request::new(XFRM_MSG_GETPOLICY, libc::NLM_F_DUMP, &[0; POLICY_ID]);
        let mut policies = Vec::new();
        self.socket
            .request(request, |message| policies.extend(policy(&message)))?;
        Ok(policies)
    }
}

impl Policy {
    /// Whether packets between these addresses are its concern.
    pub(crate) fn concerns(&self, source: IpAddr, destination: IpAddr) -> bool {
        self.source.contains(source) && self.destination.contains(destination)
    }
}

/// `struct xfrm_userpolicy_info`: a selector (destination 16, source 16, ports 8, family 2, prefix lengths
/// 1 and 1, protocol 1, ...: 56), lifetimes 96, priority 4, index 4, direction 1, action 1, ...
fn policy(message: &Message<'_>) -> Option<Policy> {
    let info = message.body.get(..POLICY_INFO)?;
    let protocol = info[44];
    let is_plain = info[161] == XFRM_POLICY_ALLOW
        && !message
            .attributes(POLICY_INFO)
            .any(|attribute| attribute.kind == XFRMA_TMPL);
    if info[160] != XFRM_POLICY_OUT || !matches!(protocol, 0 | 17) || is_plain {
        return None;
    }
    let is_ipv4 = info[40..42] == u16::from(family(IpAddr::from([0; 4]))).to_ne_bytes();
    let length = if is_ipv4 { 4 } else { 16 };
    let prefix = |at: usize, bits| {
        Some(Prefix {
            address: ip(&info[at..at + length])?,
            length: bits,
        })
    };
    Some(Policy {
        destination: prefix(0, info[42])?,
        source: prefix(16, info[43])?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_message_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = policy(&Message { kind: 0x13, sequence: 0, body: &body });
        }
    }
}
