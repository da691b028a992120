//! The generic netlink family `netdev` (Linux 6.3): what a device can do with XDP.

use std::io;

use super::message::{Attribute, Message, Request};
use super::socket::{Events, Family, Socket};

/// Shape of `struct genlmsghdr`: command 1, version 1, reserved 2.
const HEADER: usize = 4;

// linux/genetlink.h
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;

// linux/netdev.h
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_XDP_ACT_NDO_XMIT: u64 = 1 << 2;

/// A socket that asks the family.
#[derive(Debug)]
pub(crate) struct Netdev {
    socket: Socket,
    family: u16,
    changes: u32,
}

impl Netdev {
    /// Opens it; [`io::ErrorKind::NotFound`] on kernels without the family.
    pub(crate) fn open() -> io::Result<Netdev> {
        let mut socket = Socket::open(Family::Generic)?;
        let request = request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY).with(CTRL_ATTR_FAMILY_NAME, b"netdev\0");
        let mut found = None;
        socket.request(request, |message| found = found.or(family(&message)))?;
        let (family, changes) = found.ok_or(io::ErrorKind::NotFound)?;
        Ok(Netdev {
            socket,
            family,
            changes,
        })
    }

    /// A socket on which a message arrives whenever some device's abilities change.
    pub(crate) fn events(&self) -> io::Result<Events> {
        Events::open(Family::Generic, &[self.changes])
    }

    /// Whether frames that XDP redirects to the device are sent (`NETDEV_XDP_ACT_NDO_XMIT`).
    pub(crate) fn takes_redirects(&mut self, ifindex: u32) -> io::Result<bool> {
        let request =
            request(self.family, NETDEV_CMD_DEV_GET).with(NETDEV_A_DEV_IFINDEX, &ifindex.to_ne_bytes());
        let mut features = 0;
        self.socket.request(request, |message| {
            features = xdp_features(&message).unwrap_or(features);
        })?;
        Ok(features & NETDEV_XDP_ACT_NDO_XMIT != 0)
    }
}

fn request(family: u16, command: u8) -> Request {
    Request::new(family, libc::NLM_F_ACK, &[command, 1, 0, 0])
}

/// The family's number and that of its multicast group for changes.
fn family(message: &Message<'_>) -> Option<(u16, u32)> {
    let mut number = None;
    let mut changes = None;
    for attribute in message.attributes(HEADER) {
        match attribute.kind {
            CTRL_ATTR_FAMILY_ID => number = attribute.payload.first_chunk().copied(),
            CTRL_ATTR_MCAST_GROUPS => {
                changes = attribute
                    .nested()
                    .filter_map(|group| named_group(&group))
                    .find_map(|(name, number)| (name == "mgmt").then_some(number));
            }
            _ => {}
        }
    }
    Some((u16::from_ne_bytes(number?), changes?))
}

fn named_group<'a>(group: &Attribute<'a>) -> Option<(&'a str, u32)> {
    let name = group
        .nested()
        .find(|part| part.kind == CTRL_ATTR_MCAST_GRP_NAME)?;
    let number = group.nested().find(|part| part.kind == CTRL_ATTR_MCAST_GRP_ID)?;
    Some((name.text()?, number.u32()?))
}

fn xdp_features(message: &Message<'_>) -> Option<u64> {
    let features = message
        .attributes(HEADER)
        .find(|attribute| attribute.kind == NETDEV_A_DEV_XDP_FEATURES)?;
    Some(u64::from_ne_bytes(*features.payload.first_chunk()?))
}
