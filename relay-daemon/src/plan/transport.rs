//! ICE and DTLS on the transports of a party.

use std::net::SocketAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::PortId;
use crate::security::{IceAgent, IceRole};

/// ICE with a party in one media section, and what both sides need to know for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcePlan {
    /// Credentials, and the party's candidates.
    pub agent: IceAgent,
    /// Who decides, unless the party thinks otherwise.
    pub role: IceRole,
    /// Whether we are a lite agent: we answer checks and send none.
    pub lite: bool,
    /// Whether the party has a lite agent.
    pub peer_lite: bool,
    /// Our candidates: of each component the most wanted first.
    pub hosts: SmallVec<[Host; 2]>,
}

/// What ICE has decided on for a component, once it is completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedPair {
    /// Of our credentials: tells which start of ICE this came of.
    pub ufrag: Arc<str>,
    /// Our candidate.
    pub port: PortId,
    /// The party's.
    pub remote: SocketAddr,
}

/// A local port as a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// 1 for RTP, 2 for RTCP.
    pub component: u8,
    /// The port.
    pub port: PortId,
    /// Its local address.
    pub address: SocketAddr,
}
