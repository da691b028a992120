//! What is asked of the kernel about routes, neighbours and devices: netlink without async, since the
//! thread that asks has nothing else to do meanwhile.

mod address;
mod ethtool;
mod link;
mod message;
mod netdev;
mod policy;
mod route;
mod socket;
#[cfg(feature = "kernel")]
mod xdp;

pub(super) use ethtool::takes_tags_off;
#[cfg(test)]
pub(super) use link::tests as links;
pub(super) use link::{Link, Vlan};
pub(super) use netdev::Netdev;
pub(super) use policy::{Policy, Xfrm};
pub(super) use route::{Event, Neighbour, RouteKind, Rtnetlink, groups};
pub(super) use socket::{Drained, Events, Family};
