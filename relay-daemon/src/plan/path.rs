//! Which way the packets of a port take, and why.

use std::net::SocketAddr;

use relay_common::slot::{Clock, OtherSource};

use super::PortId;

/// Why a flow is relayed in userspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum UserspaceReason {
    /// Nothing arrived yet.
    #[default]
    NoPacketYet = 0,
    /// The daemon runs without the kernel datapath.
    NoKernel = 1,
    /// RTCP, or datagrams of unknown kind.
    NotRtp = 2,
    /// The receiver's address is not known yet.
    NoReceiver = 3,
    /// Nobody may receive the media.
    NotForwarded = 4,
    /// More than one receiver.
    SeveralReceivers = 5,
    /// The source is not known well enough yet.
    Learning = 6,
    /// Switched off by hand.
    SwitchedOff = 7,
    /// The next hop is being looked up.
    ResolvingRoute = 8,
    /// No route to the receiver.
    NoRoute = 9,
    /// The next hop did not answer.
    NoNeighbour = 10,
    /// The receiver is reached through a device that XDP cannot redirect to.
    DeviceUnsuitable = 11,
    /// The receiver's address is one of this host.
    LocalReceiver = 12,
    /// The program is not attached to the interface of the local address.
    NotAttached = 13,
    /// Packets are changed on their way.
    Changed = 14,
    /// Packets of several media sections arrive at the port.
    Bundled = 15,
    /// The two sides are encrypted differently.
    Encryption = 16,
    /// The configuration keeps XDP from a device that the packets come or go by.
    DeviceNotAllowed = 17,
    /// Packets are dropped by what they carry.
    Filtered = 18,
    /// Media is decoded, and encoded anew.
    Transcoded = 19,
}

/// Where a stream's received media is relayed at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// By the XDP program.
    Kernel,
    /// By the worker, because.
    Userspace(UserspaceReason),
}

impl UserspaceReason {
    const ALL: [(UserspaceReason, &str); 20] = [
        (UserspaceReason::NoPacketYet, "no packet yet"),
        (UserspaceReason::NoKernel, "no kernel datapath"),
        (UserspaceReason::NotRtp, "not RTP"),
        (UserspaceReason::NoReceiver, "receiver not known yet"),
        (UserspaceReason::NotForwarded, "nobody may receive"),
        (UserspaceReason::SeveralReceivers, "several receivers"),
        (UserspaceReason::Learning, "source not settled"),
        (UserspaceReason::SwitchedOff, "switched off by hand"),
        (UserspaceReason::ResolvingRoute, "resolving the next hop"),
        (UserspaceReason::NoRoute, "no route"),
        (UserspaceReason::NoNeighbour, "next hop does not answer"),
        (
            UserspaceReason::DeviceUnsuitable,
            "device cannot be redirected to",
        ),
        (UserspaceReason::LocalReceiver, "receiver is this host"),
        (
            UserspaceReason::NotAttached,
            "program not attached to the interface",
        ),
        (UserspaceReason::Changed, "packets are changed"),
        (UserspaceReason::Bundled, "several media sections on one port"),
        (UserspaceReason::Encryption, "encrypted differently on both sides"),
        (
            UserspaceReason::DeviceNotAllowed,
            "device kept from XDP by configuration",
        ),
        (
            UserspaceReason::Filtered,
            "packets are dropped by what they carry",
        ),
        (UserspaceReason::Transcoded, "transcoded"),
    ];

    /// Number of reasons.
    pub const COUNT: usize = Self::ALL.len();

    /// All reasons.
    pub fn all() -> impl Iterator<Item = UserspaceReason> {
        Self::ALL.into_iter().map(|(reason, _)| reason)
    }

    pub(super) fn from_code(code: u8) -> UserspaceReason {
        Self::ALL
            .get(usize::from(code))
            .map_or(UserspaceReason::NoPacketYet, |(reason, _)| *reason)
    }

    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// How the XDP program is to relay what arrives at one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffloadRule {
    /// The port.
    pub port: PortId,
    /// Its local address, the destination of received packets.
    pub local: SocketAddr,
    /// The source that packets are expected from.
    pub source: SocketAddr,
    /// What happens to other sources. While learning goes on: [`OtherSource::Pass`].
    pub other_source: OtherSource,
    /// Source of the relayed packets: the local port that the receiver was told.
    pub new_source: SocketAddr,
    /// Where the relayed packets go.
    pub new_destination: SocketAddr,
    /// Their TOS or traffic class.
    pub tos: u8,
    /// Payload types that must reach userspace, bit `pt % 64` of word `pt / 64`.
    pub userspace_payload_types: [u64; 2],
    /// Whether all other packets are dropped instead of relayed.
    pub blocked: bool,
    /// The clock of the media that was seen last, for its jitter.
    pub clock: Clock,
}
