//! What ICE with a party goes by (RFC 8445).

use std::net::SocketAddr;
use std::sync::Arc;

/// Candidates of a party beyond these are not taken in.
pub const MAX_CANDIDATES: usize = 100;

/// ICE between us and one party, in one media section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceAgent {
    /// Ours.
    pub local: IceCredentials,
    /// The party's; none before its first SDP.
    pub remote: Option<IceCredentials>,
    /// The party's candidates, in the order in which they came.
    pub candidates: Vec<RemoteCandidate>,
    /// Whether no more of them will come.
    pub complete: bool,
}

/// User name fragment and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceCredentials {
    /// `a=ice-ufrag`.
    pub ufrag: Arc<str>,
    /// `a=ice-pwd`.
    pub pwd: Arc<str>,
}

/// Who decides which pair of candidates is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceRole {
    /// We do.
    Controlling,
    /// The party does.
    Controlled,
}

/// A candidate of a party that can be used: over UDP, at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCandidate {
    /// Candidates of one kind from one place have it in common.
    pub foundation: Arc<str>,
    /// 1 for RTP, 2 for RTCP.
    pub component: u8,
    /// How much it is wanted.
    pub priority: u32,
    /// Where it is.
    pub address: SocketAddr,
    /// What it is.
    pub kind: CandidateKind,
}

/// What a candidate is (RFC 8445 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateKind {
    /// An address of the agent itself.
    Host,
    /// Learned from a check.
    PeerReflexive,
    /// Learned from a STUN server.
    ServerReflexive,
    /// An address of a relay.
    Relay,
}

impl CandidateKind {
    /// The kind of a name as the SDP has it.
    pub fn named(name: &str) -> Option<CandidateKind> {
        [
            CandidateKind::Host,
            CandidateKind::PeerReflexive,
            CandidateKind::ServerReflexive,
            CandidateKind::Relay,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            CandidateKind::Host => "host",
            CandidateKind::PeerReflexive => "prflx",
            CandidateKind::ServerReflexive => "srflx",
            CandidateKind::Relay => "relay",
        }
    }

    /// The type preference that RFC 8445 section 5.1.2.2 recommends.
    fn preference(self) -> u32 {
        match self {
            CandidateKind::Host => 126,
            CandidateKind::PeerReflexive => 110,
            CandidateKind::ServerReflexive => 100,
            CandidateKind::Relay => 0,
        }
    }
}

/// The priority of an own candidate (RFC 8445 section 5.1.2.1): `rank` counts the addresses from 0, the most wanted
/// first.
pub fn candidate_priority(kind: CandidateKind, rank: u16, component: u8) -> u32 {
    kind.preference() << 24 | u32::from(u16::MAX - rank) << 8 | (256 - u32::from(component))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_follow_the_formula() {
        assert_eq!(candidate_priority(CandidateKind::Host, 0, 1), 2_130_706_431);
        assert_eq!(candidate_priority(CandidateKind::Host, 0, 2), 2_130_706_430);
        assert_eq!(candidate_priority(CandidateKind::Host, 1, 1), 2_130_706_175);
        assert_eq!(candidate_priority(CandidateKind::Host, 2, 1), 2_130_705_919);
        assert_eq!(candidate_priority(CandidateKind::Relay, 0, 1), 16_777_215);
        assert_eq!(candidate_priority(CandidateKind::Relay, 1, 2), 16_776_958);
    }

    #[test]
    fn kinds_by_name() {
        assert_eq!(
            CandidateKind::named("srflx"),
            Some(CandidateKind::ServerReflexive)
        );
        assert_eq!(CandidateKind::named("other"), None);
    }
}
