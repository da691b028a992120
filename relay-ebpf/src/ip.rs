//! What differs between IPv4 and IPv6, each way through the program being compiled for one of them.
//!
//! The tables hold IPv4 addresses in their IPv4-mapped form. In one's complement its constant part is
//! another zero, so an IPv4 address and its mapped form sum to the same, and a datagram may change its IP
//! version like any other address.

use relay_common::checksum;
use relay_common::slot::{Address, ForwardRule, PassReason, rule_flags};

use crate::headers::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ipv4, Ipv6, PROTOCOL_IPV6_FRAGMENT, PROTOCOL_UDP};

/// TTL and hop limit of relayed packets: what a socket of the relay sends.
const HOP_LIMIT: u8 = 64;

/// An IP header without options or extensions.
pub trait Ip: Sized {
    /// An address as it lies in the header.
    type Address: Copy;

    const ETHERTYPE: u16;
    /// The flags of [`rule_flags`] of a rule for received packets of this IP version.
    const FLAG_IN: u32;

    /// The length of the UDP datagram behind the header, or why there is none.
    fn udp_length(&self) -> Result<u16, PassReason>;
    fn source(&self) -> Self::Address;
    fn destination(&self) -> Self::Address;

    /// The form that the tables hold.
    fn mapped(address: Self::Address) -> Address;
    /// The one's complement sum over an address.
    fn sum(address: Self::Address) -> u64;

    /// The header that a socket of the relay would send with `length` bytes behind it.
    fn new(rule: &ForwardRule, length: u16) -> Self;
    /// The one's complement sum over both addresses of that header.
    fn new_sum(rule: &ForwardRule) -> u64;
}

impl Ip for Ipv4 {
    type Address = u32;

    const ETHERTYPE: u16 = ETHERTYPE_IPV4;
    const FLAG_IN: u32 = 0;

    #[inline(always)]
    fn udp_length(&self) -> Result<u16, PassReason> {
        /// "More fragments" and the fragment offset.
        const FRAGMENT: u16 = 0x3fff_u16.to_be();
        if self.version_and_length != 0x45 {
            return Err(PassReason::IpOptions);
        }
        if self.fragment & FRAGMENT != 0 {
            return Err(PassReason::Fragment);
        }
        if self.protocol != PROTOCOL_UDP {
            return Err(PassReason::NotUdp);
        }
        let total = u16::from_be(self.total_length);
        total
            .checked_sub(size_of::<Self>() as u16)
            .ok_or(PassReason::Short)
    }

    #[inline(always)]
    fn source(&self) -> u32 {
        self.source
    }

    #[inline(always)]
    fn destination(&self) -> u32 {
        self.destination
    }

    #[inline(always)]
    fn mapped(address: u32) -> Address {
        [0, 0, 0xffff_u32.to_be(), address]
    }

    #[inline(always)]
    fn sum(address: u32) -> u64 {
        address as u64
    }

    /// "Don't fragment", and so identification 0 (RFC 6864).
    #[inline(always)]
    fn new(rule: &ForwardRule, length: u16) -> Self {
        const DO_NOT_FRAGMENT: u16 = 0x4000_u16.to_be();
        const TTL_AND_PROTOCOL: u16 = u16::from_ne_bytes([HOP_LIMIT, PROTOCOL_UDP]);
        let first = u16::from_ne_bytes([0x45, rule.tos]) as u64;
        let total_length = (length + size_of::<Self>() as u16).to_be();
        let sum = first + total_length as u64 + DO_NOT_FRAGMENT as u64 + TTL_AND_PROTOCOL as u64;
        Self {
            version_and_length: 0x45,
            tos: rule.tos,
            total_length,
            identification: 0,
            fragment: DO_NOT_FRAGMENT,
            ttl: HOP_LIMIT,
            protocol: PROTOCOL_UDP,
            checksum: checksum::finish(sum + Self::new_sum(rule)),
            source: rule.new_source[3],
            destination: rule.new_destination[3],
        }
    }

    #[inline(always)]
    fn new_sum(rule: &ForwardRule) -> u64 {
        rule.new_source[3] as u64 + rule.new_destination[3] as u64
    }
}

impl Ip for Ipv6 {
    type Address = Address;

    const ETHERTYPE: u16 = ETHERTYPE_IPV6;
    const FLAG_IN: u32 = rule_flags::IPV6_IN;

    #[inline(always)]
    fn udp_length(&self) -> Result<u16, PassReason> {
        if u32::from_be(self.head) >> 28 != 6 {
            return Err(PassReason::NotIp);
        }
        match self.next_header {
            PROTOCOL_UDP => Ok(u16::from_be(self.payload_length)),
            PROTOCOL_IPV6_FRAGMENT => Err(PassReason::Fragment),
            _ => Err(PassReason::NotUdp),
        }
    }

    #[inline(always)]
    fn source(&self) -> Address {
        self.source
    }

    #[inline(always)]
    fn destination(&self) -> Address {
        self.destination
    }

    #[inline(always)]
    fn mapped(address: Address) -> Address {
        address
    }

    #[inline(always)]
    fn sum(address: Address) -> u64 {
        address[0] as u64 + address[1] as u64 + address[2] as u64 + address[3] as u64
    }

    #[inline(always)]
    fn new(rule: &ForwardRule, length: u16) -> Self {
        Self {
            head: (6 << 28 | (rule.tos as u32) << 20).to_be(),
            payload_length: length.to_be(),
            next_header: PROTOCOL_UDP,
            hop_limit: HOP_LIMIT,
            source: rule.new_source,
            destination: rule.new_destination,
        }
    }

    #[inline(always)]
    fn new_sum(rule: &ForwardRule) -> u64 {
        Self::sum(rule.new_source) + Self::sum(rule.new_destination)
    }
}
