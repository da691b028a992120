//! Addresses and prefixes as netlink has them: families and bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses whose first bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// Any one of them.
    pub(crate) address: IpAddr,
    /// How many bits.
    pub(crate) length: u8,
}

impl Prefix {
    /// Whether an address is one of them.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (prefix, address, bits) = match (self.address, address) {
            (IpAddr::V4(prefix), IpAddr::V4(address)) => {
                (u128::from(prefix.to_bits()), u128::from(address.to_bits()), 32)
            }
            (IpAddr::V6(prefix), IpAddr::V6(address)) => (prefix.to_bits(), address.to_bits(), 128),
            _ => return false,
        };
        let ignored = bits - u32::from(self.length).min(bits);
        prefix.checked_shr(ignored) == address.checked_shr(ignored)
    }
}

/// `AF_INET` or `AF_INET6`.
pub(crate) fn family(address: IpAddr) -> u8 {
    let family = match address {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    u8::try_from(family).unwrap_or_default()
}

/// The address that stands for all of a family.
pub(crate) fn unspecified(family: u8) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(Ipv4Addr::UNSPECIFIED.into()),
        libc::AF_INET6 => Some(Ipv6Addr::UNSPECIFIED.into()),
        _ => None,
    }
}

/// The address of four or sixteen bytes.
pub(crate) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// The bytes of an address.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_contain_addresses() {
        let contains = |prefix: &str, length, address: &str| {
            let address = address.parse().unwrap();
            let prefix = prefix.parse().unwrap();
            Prefix {
                address: prefix,
                length,
            }
            .contains(address)
        };
        assert!(contains("10.1.0.0", 16, "10.1.2.3"));
        assert!(!contains("10.1.0.0", 16, "10.2.2.3"));
        assert!(contains("0.0.0.0", 0, "10.2.2.3"));
        assert!(!contains("0.0.0.0", 0, "fd00::1"));
        assert!(contains("::", 0, "fd00::1"));
        assert!(contains("fd00::1", 128, "fd00::1"));
        assert!(!contains("fd00::1", 128, "fd00::2"));
        assert!(contains("10.1.2.3", 32, "10.1.2.3"));
        assert!(!contains("10.1.2.3", 200, "10.1.2.4"));
    }
}
