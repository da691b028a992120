//! Our candidates.

use std::net::IpAddr;

use crate::call::section::ports::{Place, PortSet, RtcpPort};
use crate::call::section::random::{Random, alphanumeric};
use crate::host::AddressId;
use crate::plan::LocalPort;
use crate::sdp::{Candidate, Text};
use crate::security::{CandidateKind, candidate_priority};

/// Characters of a foundation.
const FOUNDATION_LENGTH: usize = 16;

/// A name for each local address of an interface, the same in all calls. An interface whose IPv6 addresses come first is not
/// the same as with those of IPv4 first: the reference has it so, and who compares candidates of two sections sees which of
/// them belong together.
#[derive(Clone, Debug)]
pub(in crate::call) struct Foundations {
    names: Vec<Text>,
    addresses: usize,
}

impl Foundations {
    /// Makes names for so many interfaces and addresses.
    pub(in crate::call) fn new(interfaces: usize, addresses: usize, random: Random<'_>) -> Foundations {
        let mut name = || Text::from(&*alphanumeric(FOUNDATION_LENGTH, &mut *random));
        Foundations {
            names: (0..2 * interfaces * addresses).map(|_| name()).collect(),
            addresses,
        }
    }

    /// The name of an address that stands beside a main one.
    fn of(&self, main: Place, address: AddressId) -> Text {
        let list = 2 * main.interface + usize::from(main.advertised.is_ipv6());
        let name = self.names.get(list * self.addresses + usize::from(address.0));
        name.cloned().unwrap_or(Text::from_static("1"))
    }
}

/// What goes into the lines of our candidates.
pub(in crate::call) struct OwnCandidates<'a> {
    pub(in crate::call) ports: &'a PortSet,
    pub(in crate::call) foundations: &'a Foundations,
    /// `media-address`
    pub(in crate::call) media_address: Option<IpAddr>,
    pub(in crate::call) rank: Rank,
    /// Whether all addresses are listed, and not only the main one.
    pub(in crate::call) all: bool,
}

/// How much our candidates are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Rank {
    /// They are the only ones.
    Alone,
    /// They stand beside those of the sender.
    Beside(Neighbour),
    /// Less than anything else: they are called those of a relay.
    Last,
}

impl OwnCandidates<'_> {
    /// RTP at all addresses, the primary one first; then RTCP, unless it is muxed.
    pub(in crate::call) fn lines(&self) -> Vec<Candidate> {
        let (rtp, rtcp): (Vec<_>, Vec<_>) = (0..)
            .zip(
                self.ports
                    .transports()
                    .take(if self.all { usize::MAX } else { 1 }),
            )
            .map(|(rank, transport)| {
                let rtcp = match transport.rtcp {
                    RtcpPort::Own(port) => Some(port),
                    RtcpPort::Shared | RtcpPort::Retired(_) => None,
                };
                let foundation = self.foundations.of(self.ports.place, transport.place.local);
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
            Rank::Alone | Rank::Beside(_) => CandidateKind::Host,
            Rank::Last => CandidateKind::Relay,
        };
        let priority = match self.rank {
            Rank::Alone | Rank::Last => candidate_priority(kind, rank, component),
            Rank::Beside(neighbour) => neighbour.priority(rank, component),
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
                Rank::Alone | Rank::Beside(_) => Text::from_static(""),
                Rank::Last => Text::from(format!("raddr {address} rport {port}")),
            },
        }
    }
}

/// Type preference and local preference of the first of our candidates beside others, in one number: a priority without the
/// part for the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct Neighbour(u32);

impl Neighbour {
    /// The highest that a host has.
    const HIGHEST: u32 = 126 << 16 | 0xffff;

    /// One more than the address of its own for RTP that a sender wants least; names do not count. It is looked for from the top down: after one that
    /// leaves no room above it, the others do not count.
    pub(in crate::call) fn among(candidates: &[Candidate]) -> Neighbour {
        let hosts = candidates
            .iter()
            .filter(|candidate| *candidate.kind == *CandidateKind::Host.name())
            .filter(|candidate| candidate.transport.eq_ignore_ascii_case("udp") && candidate.component == 1)
            .filter(|candidate| candidate.address.parse::<IpAddr>().is_ok())
            .map(|candidate| candidate.priority >> 8);
        Neighbour(hosts.fold(Neighbour::HIGHEST, |ours, host| match host {
            host if host > ours => ours,
            host if host & 0xffff == 0xffff => (host >> 16).saturating_sub(1) << 16,
            host => host + 1,
        }))
    }

    /// Our other addresses follow the first one downwards.
    ///
    /// Where there is no room the reference counts on below zero, and all bits above the component are set: more than a
    /// priority may have (RFC 8445 section 5.1.2). Here the next lower type preference follows.
    fn priority(self, rank: u16, component: u8) -> u32 {
        self.0.saturating_sub(rank.into()) << 8 | (256 - u32::from(component))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(priority: u32) -> Candidate {
        Candidate {
            foundation: Text::from_static("1"),
            component: 1,
            transport: Text::from_static("udp"),
            priority,
            address: Text::from_static("198.51.100.1"),
            port: 4000,
            kind: Text::from_static("host"),
            rest: Text::from_static(""),
        }
    }

    fn priorities(listed: &[u32]) -> [u32; 3] {
        let listed: Vec<Candidate> = listed.iter().copied().map(host).collect();
        let neighbour = Neighbour::among(&listed);
        [0, 1, 2].map(|rank| neighbour.priority(rank, 1))
    }

    #[test]
    fn ours_stand_beside_the_least_wanted_host() {
        let expected = [2_122_260_479, 2_122_260_223, 2_122_259_967];
        assert_eq!(priorities(&[2_122_260_223]), expected);
        assert_eq!(priorities(&[2_122_260_223, 2_130_706_431]), expected);
        assert_eq!(priorities(&[]), [2_130_706_431, 2_130_706_175, 2_130_705_919]);
        assert_eq!(priorities(&[1])[..2], [511, 255]);
    }

    #[test]
    fn others_than_hosts_over_udp_do_not_count() {
        let tcp = Candidate {
            transport: Text::from_static("TCP"),
            ..host(1)
        };
        let relay = Candidate {
            kind: Text::from_static("relay"),
            ..host(1)
        };
        let named = Candidate {
            address: Text::from_static("host.local"),
            ..host(1)
        };
        let for_rtcp = Candidate {
            component: 2,
            ..host(1)
        };
        let neighbour = Neighbour::among(&[tcp, relay, named, for_rtcp, host(u32::MAX)]);
        assert_eq!(neighbour, Neighbour::among(&[]));
    }

    #[test]
    fn without_room_the_next_type_follows() {
        assert_eq!(
            priorities(&[2_130_706_431]),
            [2_097_152_255, 2_097_151_999, 2_097_151_743]
        );
        assert_eq!(priorities(&[2_130_706_431, 2_130_706_175])[0], 2_097_152_255);
        assert_eq!(priorities(&[2_130_706_175])[0], 2_130_706_431);
    }
}
