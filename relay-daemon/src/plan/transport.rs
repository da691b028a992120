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

/// How far ICE with a party is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum IceState {
    /// There is none, or the party did not answer yet.
    #[default]
    New = 0,
    /// No pair can be used yet.
    Checking = 1,
    /// Each component has a pair that can be used.
    Connected = 2,
    /// Each component has the pair that was decided on.
    Completed = 3,
    /// No pair works.
    Failed = 4,
    /// What worked does so no more.
    Disconnected = 5,
}

impl IceState {
    /// All states, in the order of their numbers.
    pub const ALL: [IceState; 6] = [
        IceState::New,
        IceState::Checking,
        IceState::Connected,
        IceState::Completed,
        IceState::Failed,
        IceState::Disconnected,
    ];

    /// The state in words.
    pub fn as_str(self) -> &'static str {
        match self {
            IceState::New => "waiting for the party",
            IceState::Checking => "checking",
            IceState::Connected => "connected",
            IceState::Completed => "completed",
            IceState::Failed => "failed: no pair of candidates works",
            IceState::Disconnected => "disconnected: the party does not answer any more",
        }
    }
}
