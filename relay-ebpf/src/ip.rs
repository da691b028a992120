//! What differs between IPv4 and IPv6, each way through the program being compiled for one of them.
//!
//! The tables hold IPv4 addresses in their IPv4-mapped form. In one's complement its constant part is
//! another zero, so an IPv4 address and its mapped form sum to the same, and a datagram may change its IP
//! version like any other address.

use relay_common::checksum;
use relay_common::slot::{Address, PassReason, rule_flags};

use crate::headers::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ipv4, Ipv6, PROTOCOL_IPV6_FRAGMENT, PROTOCOL_UDP};
use crate::port::Rule;

/// An IP header without options or extensions.
pub trait Ip: Sized {
    /// An address as it lies in the header.
    type Address: Copy;

    const ETHERTYPE: u16;
    /// The flags of [`rule_flags`] of a rule for received packets of this IP version.
    const FLAG_IN: u16;

    /// The length of the UDP datagram behind the header, or why there is none.
    fn udp_length(&self) -> Result<u16, PassReason>;
    /// Whether the header is as it was sent, by its own checksum.
    fn is_intact(&self) -> bool;
    fn source(&self) -> Self::Address;
    fn destination(&self) -> Self::Address;

    /// The form that the tables hold.
    fn mapped(address: Self::Address) -> Address;
    /// The one's complement sum over an address.
    fn sum(address: Self::Address) -> u64;

    fn is_same(one: Self::Address, other: Self::Address) -> bool;

    /// The source address of a rule for received packets of this IP version.
    fn expected_source(rule: Rule) -> Result<Self::Address, PassReason>;
    /// The source and the destination address of packets relayed in this IP version.
    fn new_addresses(rule: Rule) -> Result<Addresses<Self>, PassReason>;
    /// The header that a socket of the relay would send with `length` bytes behind it.
    fn new(addresses: Addresses<Self>, tos: u8, hop_limit: u8, length: u16) -> Self;
}

/// A source and a destination address.
pub struct Addresses<T: Ip> {
    pub source: T::Address,
    pub destination: T::Address,
}

impl<T: Ip> Clone for Addresses<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Ip> Copy for Addresses<T> {}

impl<T: Ip> Addresses<T> {
    /// The one's complement sum over both.
    #[inline(always)]
    pub fn sum(self) -> u64 {
        T::sum(self.source) + T::sum(self.destination)
    }
}

impl Ip for Ipv4 {
    type Address = u32;

    const ETHERTYPE: u16 = ETHERTYPE_IPV4;
    const FLAG_IN: u16 = 0;

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
    fn is_intact(&self) -> bool {
        const { assert!(size_of::<Self>() == 5 * size_of::<u32>()) };
        let words = (&raw const *self).cast::<u32>();
        // SAFETY: there are so many. As with all fields, the verifier knows whether the machine minds how they are aligned.
        let sum = unsafe {
            *words as u64
                + *words.add(1) as u64
                + *words.add(2) as u64
                + *words.add(3) as u64
                + *words.add(4) as u64
        };
        checksum::fold(sum) == u16::MAX
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

    #[inline(always)]
    fn is_same(one: u32, other: u32) -> bool {
        one == other
    }

    #[inline(always)]
    fn expected_source(rule: Rule) -> Result<u32, PassReason> {
        Ok(rule.head.source)
    }

    #[inline(always)]
    fn new_addresses(rule: Rule) -> Result<Addresses<Self>, PassReason> {
        Ok(Addresses {
            source: rule.head.new_source,
            destination: rule.head.new_destination,
        })
    }

    /// "Don't fragment", and so identification 0 (RFC 6864).
    #[inline(always)]
    fn new(addresses: Addresses<Self>, tos: u8, hop_limit: u8, length: u16) -> Self {
        const DO_NOT_FRAGMENT: u16 = 0x4000_u16.to_be();
        let ttl_and_protocol = u16::from_ne_bytes([hop_limit, PROTOCOL_UDP]) as u64;
        let first = u16::from_ne_bytes([0x45, tos]) as u64;
        let total_length = (length + size_of::<Self>() as u16).to_be();
        let sum = first + total_length as u64 + DO_NOT_FRAGMENT as u64 + ttl_and_protocol;
        Self {
            version_and_length: 0x45,
            tos,
            total_length,
            identification: 0,
            fragment: DO_NOT_FRAGMENT,
            ttl: hop_limit,
            protocol: PROTOCOL_UDP,
            checksum: checksum::finish(sum + addresses.sum()),
            source: addresses.source,
            destination: addresses.destination,
        }
    }
}

impl Ip for Ipv6 {
    type Address = Address;

    const ETHERTYPE: u16 = ETHERTYPE_IPV6;
    const FLAG_IN: u16 = rule_flags::IPV6_IN;

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

    /// It has no checksum.
    #[inline(always)]
    fn is_intact(&self) -> bool {
        true
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

    /// `==` would become a call that compares byte by byte.
    #[inline(always)]
    fn is_same(one: Address, other: Address) -> bool {
        let differences =
            (one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) | (one[3] ^ other[3]);
        differences == 0
    }

    #[inline(always)]
    fn expected_source(rule: Rule) -> Result<Address, PassReason> {
        Ok(rule.tail()?.source)
    }

    #[inline(always)]
    fn new_addresses(rule: Rule) -> Result<Addresses<Self>, PassReason> {
        let tail = rule.tail()?;
        Ok(Addresses {
            source: tail.new_source,
            destination: tail.new_destination,
        })
    }

    #[inline(always)]
    fn new(addresses: Addresses<Self>, tos: u8, hop_limit: u8, length: u16) -> Self {
        Self {
            head: (6 << 28 | (tos as u32) << 20).to_be(),
            payload_length: length.to_be(),
            next_header: PROTOCOL_UDP,
            hop_limit,
            source: addresses.source,
            destination: addresses.destination,
        }
    }
}
