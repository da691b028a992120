//! `a=rtcp` (RFC 3605).

use std::fmt;
use std::net::IpAddr;

use super::address_type;
use super::connection::parse_address;

/// Where RTCP is received: `a=rtcp:<port>` or `a=rtcp:<port> IN IP4 <address>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtcp {
    /// The port.
    pub port: u16,
    /// The address, if it is said.
    pub address: Option<IpAddr>,
}

impl Rtcp {
    /// Parses what follows `a=rtcp:`. An address that is none counts as not said.
    pub(super) fn parse(value: &str) -> Option<Rtcp> {
        let value = value.trim();
        let (port, address) = value.split_once(' ').unwrap_or((value, ""));
        Some(Rtcp {
            port: port.parse().ok()?,
            address: parse_address(address),
        })
    }
}

impl fmt::Display for Rtcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{} IN {} {address}", self.port, address_type(address)),
            None => write!(f, "{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        for value in ["53020", "53020 IN IP4 198.51.100.1", "53020 IN IP6 2001:db8::1"] {
            assert_eq!(Rtcp::parse(value).unwrap().to_string(), value);
        }
    }

    #[test]
    fn broken_ones() {
        for value in ["", "x", "70000", "-1 IN IP4 198.51.100.1"] {
            assert_eq!(Rtcp::parse(value), None, "{value}");
        }
        assert_eq!(
            Rtcp::parse("9 IN IP4 host.example"),
            Some(Rtcp {
                port: 9,
                address: None
            })
        );
    }
}
