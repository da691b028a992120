//! `c=` (RFC 8866 section 5.7).

use std::net::IpAddr;

/// The two address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressFamily {
    /// IPv4.
    Ip4,
    /// IPv6.
    Ip6,
}

impl AddressFamily {
    /// The family of an address.
    pub fn of(address: IpAddr) -> AddressFamily {
        match address {
            IpAddr::V4(_) => AddressFamily::Ip4,
            IpAddr::V6(_) => AddressFamily::Ip6,
        }
    }
}

/// `IP4` or `IP6`, as `o=`, `c=` and `a=rtcp` name the family of an address.
pub fn address_type(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    }
}

/// The address of `IN IP4 198.51.100.1` or `IN IP6 2001:db8::1`, with one space between two fields. `None` for a host name,
/// an address of the other family, and one with a TTL or a count (multicast).
pub(super) fn parse_address(value: &str) -> Option<IpAddr> {
    let mut fields = value.split(' ');
    if !fields.next()?.eq_ignore_ascii_case("IN") {
        return None;
    }
    let family = fields.next()?;
    let address: IpAddr = fields.next()?.trim_end().parse().ok()?;
    (family == address_type(address)).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families() {
        assert_eq!(
            parse_address("IN IP4 198.51.100.1 "),
            Some("198.51.100.1".parse().unwrap())
        );
        assert_eq!(parse_address("IN IP6 ::"), Some("::".parse().unwrap()));
        assert_eq!(
            parse_address("in IP4 233.252.0.1"),
            Some("233.252.0.1".parse().unwrap())
        );
    }

    #[test]
    fn what_is_no_address() {
        for value in [
            "",
            "IN IP4",
            "IN IP4 198.51.100.999",
            "IN IP4 phone.example.org",
            "IN IP6 198.51.100.1",
            "IN ip4 198.51.100.1",
            "IN IP4 233.252.0.1/127/3",
            "IN  IP4 198.51.100.1",
            " IN IP4 198.51.100.1",
        ] {
            assert_eq!(parse_address(value), None, "{value}");
        }
    }
}
