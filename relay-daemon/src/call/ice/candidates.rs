//! Our candidates.

use std::net::IpAddr;

use crate::host::AddressId;
use crate::plan::LocalPort;
use crate::sdp::{Candidate, Text};
use crate::security::{CandidateKind, candidate_priority};

use super::super::ports::{PortSet, RtcpPort};
use super::super::random::{Random, alphanumeric};

/// Characters of a foundation.
const FOUNDATION_LENGTH: usize = 16;

/// A name for each local address, the same in all calls.
#[derive(Clone, Debug)]
pub(in crate::call) struct Foundations(Vec<Text>);

impl Foundations {
    /// Makes names for so many addresses.
    pub(in crate::call) fn new(addresses: usize, random: Random<'_>) -> Foundations {
        let mut foundation = || Text::from(&*alphanumeric(FOUNDATION_LENGTH, &mut *random));
        Foundations((0..addresses).map(|_| foundation()).collect())
    }

    fn of(&self, address: AddressId) -> Text {
        let foundation = self.0.get(usize::from(address.0)).cloned();
        foundation.unwrap_or(Text::from_static("1"))
    }
}

/// What goes into the lines of our candidates.
pub(in crate::call) struct OwnCandidates<'a> {
    pub(in crate::call) ports: &'a PortSet,
    pub(in crate::call) foundations: &'a Foundations,
    /// `media-address`
    pub(in crate::call) media_address: Option<IpAddr>,
    pub(in crate::call) rank: Rank,
}

/// How much our candidates are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Rank {
    /// They are the only ones.
    Alone,
    /// Less than the sender's own addresses.
    BelowHosts,
    /// Less than anything else: they are called those of a relay.
    Last,
}

impl OwnCandidates<'_> {
    /// RTP at all addresses, the primary one first; then RTCP, unless it is muxed.
    pub(in crate::call) fn lines(&self) -> Vec<Candidate> {
        let (rtp, rtcp): (Vec<_>, Vec<_>) = (0..)
            .zip(self.ports.transports())
            .map(|(rank, transport)| {
                let rtcp = match transport.rtcp {
                    RtcpPort::Own(port) => Some(port),
                    RtcpPort::Shared | RtcpPort::Retired(_) => None,
                };
                let foundation = self.foundations.of(transport.place.local);
                let address = self.media_address.unwrap_or(transport.place.advertised);
                let line = |component, port: LocalPort| {
                    self.line(foundation.clone(), rank, component, address, port.address.port())
                };
                (line(1, transport.rtp), rtcp.map(|port| line(2, port)))
            })
            .unzip();
        rtp.into_iter().chain(rtcp.into_iter().flatten()).collect()
    }

    fn line(&self, foundation: Text, rank: u16, component: u8, address: IpAddr, port: u16) -> Candidate {
        let kind = match self.rank {
            Rank::Alone | Rank::BelowHosts => CandidateKind::Host,
            Rank::Last => CandidateKind::Relay,
        };
        let priority = match self.rank {
            Rank::Alone | Rank::Last => candidate_priority(kind, rank, component),
            Rank::BelowHosts => priority_below_hosts(rank, component),
        };
        Candidate {
            foundation,
            component: component.into(),
            transport: Text::from_static("UDP"),
            priority,
            address: Text::from(address.to_string()),
            port,
            kind: Text::from_static(kind.name()),
            rest: match self.rank {
                Rank::Alone | Rank::BelowHosts => Text::from_static(""),
                Rank::Last => Text::from(format!("raddr {address} rport {port}")),
            },
        }
    }
}

/// Below every candidate of type preference 126, that of hosts, and above those that are no hosts.
///
/// This leaves no local preference for a further address. The reference counts on below zero, and all bits above the
/// component are set; scripts and tests know the number.
fn priority_below_hosts(rank: u16, component: u8) -> u32 {
    let local_preference = 0_u32.wrapping_sub(rank.into());
    (125 << 24) | local_preference << 8 | (256 - u32::from(component))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_candidates_stand_below_all_hosts() {
        let lowest_host = candidate_priority(CandidateKind::Host, u16::MAX, 2);
        let reflexive = candidate_priority(CandidateKind::PeerReflexive, 0, 1);
        for component in [1, 2] {
            let priority = priority_below_hosts(0, component);
            assert!((reflexive..lowest_host).contains(&priority), "{priority}");
        }
    }

    #[test]
    fn further_optional_candidates_have_the_numbers_of_the_reference() {
        assert_eq!(priority_below_hosts(0, 1), 2_097_152_255);
        assert_eq!(priority_below_hosts(1, 1), 4_294_967_295);
        assert_eq!(priority_below_hosts(1, 2), 4_294_967_294);
        assert_eq!(priority_below_hosts(2, 1), 4_294_967_039);
    }
}
