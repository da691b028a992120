//! A rule as the program reads it.

use std::net::IpAddr;

use relay_common::slot::{Address, ForwardRule, rule_flags};

use super::routes::RouteIndex;
use crate::plan::OffloadRule;

/// The rule in the program's terms, with its next hop.
pub(crate) fn forward_rule(rule: &OffloadRule, route: RouteIndex) -> ForwardRule {
    let mut flags = rule_flags::RTP;
    if rule.local.is_ipv6() {
        flags |= rule_flags::IPV6_IN;
    }
    if rule.new_destination.is_ipv6() {
        flags |= rule_flags::IPV6_OUT;
    }
    if rule.blocked {
        flags |= rule_flags::BLOCK;
    }
    ForwardRule {
        source: address(rule.source.ip()),
        new_source: address(rule.new_source.ip()),
        new_destination: address(rule.new_destination.ip()),
        userspace_payload_types: rule.userspace_payload_types,
        owner: 0,
        source_port: rule.source.port(),
        new_source_port: rule.new_source.port(),
        new_destination_port: rule.new_destination.port(),
        other_source: rule.other_source as u8,
        tos: rule.tos,
        flags,
        route: route.0,
    }
}

/// An address in network byte order, IPv4 mapped into IPv6.
pub(crate) fn address(address: IpAddr) -> Address {
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let (words, _) = octets.as_chunks::<4>();
    [0, 1, 2, 3].map(|word| u32::from_ne_bytes(words[word]))
}

#[cfg(test)]
mod tests {
    use relay_common::slot::{Clock, OtherSource};

    use super::*;
    use crate::plan::PortId;

    #[test]
    fn addresses_are_mapped_and_in_network_order() {
        let bytes = |text: &str| {
            let words = address(text.parse().unwrap());
            words.map(u32::to_ne_bytes).concat()
        };
        assert_eq!(
            bytes("10.1.2.3"),
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 1, 2, 3]
        );
        assert_eq!(
            bytes("fd00::1"),
            [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        );
    }

    #[test]
    fn families_become_flags() {
        let rule = |local: &str, to: &str| OffloadRule {
            port: PortId(0),
            local: local.parse().unwrap(),
            source: local.parse().unwrap(),
            other_source: OtherSource::Drop,
            new_source: to.parse().unwrap(),
            new_destination: to.parse().unwrap(),
            tos: 184,
            userspace_payload_types: [1, 2],
            blocked: false,
            clock: Clock::default(),
        };
        let v4 = forward_rule(&rule("10.0.0.1:4000", "10.0.0.2:5000"), RouteIndex(7));
        assert_eq!(v4.flags, rule_flags::RTP);
        assert_eq!((v4.source_port, v4.new_destination_port), (4000, 5000));
        assert_eq!((v4.other_source, v4.tos, v4.route), (2, 184, 7));
        let v6 = forward_rule(&rule("10.0.0.1:4000", "[fd00::1]:5000"), RouteIndex(0));
        assert_eq!(v6.flags, rule_flags::RTP | rule_flags::IPV6_OUT);
    }

    #[test]
    fn blocked_media_is_a_flag() {
        let local = "10.0.0.1:4000".parse().unwrap();
        let rule = OffloadRule {
            port: PortId(0),
            local,
            source: local,
            other_source: OtherSource::Pass,
            new_source: local,
            new_destination: local,
            tos: 0,
            userspace_payload_types: [0; 2],
            blocked: true,
            clock: Clock::default(),
        };
        let flags = forward_rule(&rule, RouteIndex(0)).flags;
        assert_eq!(flags, rule_flags::RTP | rule_flags::BLOCK);
    }
}
