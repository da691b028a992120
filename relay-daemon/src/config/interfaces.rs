//! Interface specifications, `[NAME/]ADDR[!ADVERTISED]` and `ALIAS=NAME`, and the addresses they stand for.

use std::net::{IpAddr, ToSocketAddrs};

use super::error::ValueProblem;
use super::{Interface, InterfaceAddress, Interfaces};
use crate::host::AddressId;

/// The name of an interface that has none.
const DEFAULT_NAME: &str = "default";

/// The addresses of this machine: name of the system interface, and one of its addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct SystemAddresses(pub(super) Vec<(String, IpAddr)>);

/// One value of the option `interface`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Spec<'a> {
    /// Another name for an interface.
    Alias { alias: &'a str, name: &'a str },
    /// Addresses of an interface.
    Addresses {
        name: &'a str,
        local: Host<'a>,
        advertised: Option<Host<'a>>,
    },
}

/// An address, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host<'a> {
    Ip(IpAddr),
    Any,
    Name(&'a str),
}

impl SystemAddresses {
    /// Asks the system.
    pub(super) fn read() -> nix::Result<SystemAddresses> {
        let addresses = nix::ifaddrs::getifaddrs()?
            .filter_map(|entry| {
                let storage = entry.address?;
                let ip = match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
                    (Some(v4), _) => IpAddr::V4(v4.ip()),
                    (None, Some(v6)) => IpAddr::V6(v6.ip()),
                    (None, None) => return None,
                };
                Some((entry.interface_name, ip))
            })
            .collect();
        Ok(SystemAddresses(addresses))
    }

    /// The addresses of a system interface that media can be received at: link-local ones would need
    /// a scope that SDP cannot express.
    fn of(&self, name: &str) -> Vec<IpAddr> {
        self.usable(|(interface, _)| interface == name)
    }

    /// All but loopback.
    fn any(&self) -> Vec<IpAddr> {
        self.usable(|(_, ip)| !ip.is_loopback())
    }

    fn usable(&self, wanted: impl Fn(&(String, IpAddr)) -> bool) -> Vec<IpAddr> {
        self.0
            .iter()
            .filter(|entry| wanted(entry) && !is_link_local(entry.1))
            .map(|(_, ip)| *ip)
            .collect()
    }

    fn has_interface(&self, name: &str) -> bool {
        self.0.iter().any(|(interface, _)| interface == name)
    }
}

impl Interfaces {
    /// Adds what one value of the option `interface` says.
    pub(super) fn add(&mut self, text: &str, system: &SystemAddresses) -> Result<(), ValueProblem> {
        match Spec::parse(text)? {
            Spec::Alias { alias, name } => self.add_alias(alias, name),
            Spec::Addresses {
                name,
                local,
                advertised,
            } => {
                let advertised = advertised.map(|host| single(host, system)).transpose()?;
                let locals = resolve(local, system)?;
                let exact = locals.len() == 1;
                for ip in locals {
                    let advertised = match advertised {
                        Some(advertised) if advertised.is_ipv4() == ip.is_ipv4() => advertised,
                        Some(other) if exact => return Err(ValueProblem::AdvertisedFamily(other)),
                        Some(_) | None => ip,
                    };
                    self.add_address(name, ip, advertised)?;
                }
                Ok(())
            }
        }
    }

    fn add_alias(&mut self, alias: &str, name: &str) -> Result<(), ValueProblem> {
        if self.named(alias).is_some() {
            return Err(ValueProblem::NameTaken(alias.to_owned()));
        }
        let mut interface = self
            .named(name)
            .ok_or_else(|| ValueProblem::NoSuchInterface(name.to_owned()))?
            .clone();
        interface.name = alias.to_owned();
        self.interfaces.push(interface);
        Ok(())
    }

    fn add_address(&mut self, name: &str, ip: IpAddr, advertised: IpAddr) -> Result<(), ValueProblem> {
        let address = InterfaceAddress {
            local: self.address_id(ip),
            advertised,
        };
        match self
            .interfaces
            .iter_mut()
            .find(|interface| interface.name == name)
        {
            None => self.interfaces.push(Interface {
                name: name.to_owned(),
                addresses: vec![address],
            }),
            Some(interface) if interface.addresses.contains(&address) => {
                return Err(ValueProblem::AddressTwice(name.to_owned()));
            }
            Some(interface) => interface.addresses.push(address),
        }
        Ok(())
    }

    fn address_id(&mut self, ip: IpAddr) -> AddressId {
        let index = self
            .addresses
            .iter()
            .position(|known| *known == ip)
            .unwrap_or_else(|| {
                self.addresses.push(ip);
                self.addresses.len() - 1
            });
        // The number of addresses is checked once all are known.
        AddressId(u16::try_from(index).unwrap_or(u16::MAX))
    }
}

impl<'a> Spec<'a> {
    fn parse(text: &'a str) -> Result<Spec<'a>, ValueProblem> {
        if !text.contains(['/', '!'])
            && let Some((alias, name)) = text.split_once('=')
        {
            return Ok(Spec::Alias {
                alias: word(alias)?,
                name: word(name)?,
            });
        }
        let (name, rest) = text.split_once('/').unwrap_or((DEFAULT_NAME, text));
        let (local, advertised) = match rest.split_once('!') {
            Some((local, advertised)) => (local, Some(Host::parse(advertised)?)),
            None => (rest, None),
        };
        if advertised == Some(Host::Any) {
            return Err(ValueProblem::NotAnInterface);
        }
        Ok(Spec::Addresses {
            name: word(name)?,
            local: Host::parse(local)?,
            advertised,
        })
    }
}

impl<'a> Host<'a> {
    fn parse(text: &'a str) -> Result<Host<'a>, ValueProblem> {
        let text = word(text)?;
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() || ip.is_multicast() => Err(ValueProblem::NotAnInterface),
            Ok(ip) => Ok(Host::Ip(ip)),
            Err(_) if text == "any" => Ok(Host::Any),
            Err(_) => Ok(Host::Name(text)),
        }
    }
}

fn word(text: &str) -> Result<&str, ValueProblem> {
    let text = text.trim();
    if text.is_empty() || text.contains(['/', '!', '=', ' ']) {
        return Err(ValueProblem::NotAnInterface);
    }
    Ok(text)
}

fn resolve(host: Host<'_>, system: &SystemAddresses) -> Result<Vec<IpAddr>, ValueProblem> {
    let (name, addresses) = match host {
        Host::Ip(ip) => return Ok(vec![ip]),
        Host::Any => ("any", system.any()),
        Host::Name(name) if system.has_interface(name) => (name, system.of(name)),
        Host::Name(name) => return look_up(name).map(|ip| vec![ip]),
    };
    if addresses.is_empty() {
        return Err(ValueProblem::NoAddress(name.to_owned()));
    }
    Ok(addresses)
}

/// The address to advertise: one, whatever is written.
fn single(host: Host<'_>, system: &SystemAddresses) -> Result<IpAddr, ValueProblem> {
    let addresses = resolve(host, system)?;
    addresses.first().copied().ok_or(ValueProblem::NotAnInterface)
}

fn look_up(name: &str) -> Result<IpAddr, ValueProblem> {
    (name, 0)
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .map(|found| found.ip())
        .ok_or_else(|| ValueProblem::NoSuchHost(name.to_owned()))
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn system() -> SystemAddresses {
        let entries = [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("eth0", "192.0.2.1"),
            ("eth0", "fe80::1"),
            ("eth0", "2001:db8::1"),
            ("eth1", "198.51.100.1"),
            ("tun0", "fe80::2"),
        ];
        SystemAddresses(
            entries
                .iter()
                .map(|(name, ip)| ((*name).to_owned(), ip.parse().unwrap()))
                .collect(),
        )
    }

    fn all(specs: &[&str]) -> Result<Interfaces, ValueProblem> {
        let mut interfaces = Interfaces::default();
        for spec in specs {
            interfaces.add(spec, &system())?;
        }
        Ok(interfaces)
    }

    /// `name: local>advertised local>advertised`, for each interface.
    fn shown(specs: &[&str]) -> Vec<String> {
        let interfaces = all(specs).unwrap();
        interfaces
            .interfaces
            .iter()
            .map(|interface| {
                let addresses: Vec<_> = interface
                    .addresses
                    .iter()
                    .map(|address| {
                        let local = interfaces.addresses[usize::from(address.local.0)];
                        match local == address.advertised {
                            true => local.to_string(),
                            false => format!("{local}>{}", address.advertised),
                        }
                    })
                    .collect();
                format!("{}: {}", interface.name, addresses.join(" "))
            })
            .collect()
    }

    #[test]
    fn addresses_of_both_families_with_and_without_name() {
        assert_eq!(shown(&["192.0.2.1"]), ["default: 192.0.2.1"]);
        assert_eq!(
            shown(&[
                "pub/192.0.2.1!203.0.113.9",
                "pub/[2001:db8::1]",
                "priv/2001:db8::1!2001:db8::2"
            ]),
            [
                "pub: 192.0.2.1>203.0.113.9 2001:db8::1",
                "priv: 2001:db8::1>2001:db8::2"
            ]
        );
    }

    #[test]
    fn an_address_in_several_interfaces_is_one_address() {
        let interfaces = all(&["a/192.0.2.1", "b/192.0.2.1!203.0.113.9", "b/2001:db8::1"]).unwrap();
        assert_eq!(interfaces.addresses.len(), 2);
        assert_eq!(interfaces.interfaces[1].addresses[0].local, AddressId(0));
        assert_eq!(interfaces.interfaces[1].addresses[1].local, AddressId(1));
    }

    #[test]
    fn system_interfaces_any_and_host_names() {
        assert_eq!(shown(&["eth0"]), ["default: 192.0.2.1 2001:db8::1"]);
        assert_eq!(
            shown(&["x/eth0!203.0.113.9"]),
            ["x: 192.0.2.1>203.0.113.9 2001:db8::1"]
        );
        assert_eq!(shown(&["any"]), ["default: 192.0.2.1 2001:db8::1 198.51.100.1"]);
        assert!(shown(&["localhost"])[0].contains('1'));
        assert_eq!(
            all(&["tun0"]).unwrap_err(),
            ValueProblem::NoAddress("tun0".to_owned())
        );
        let unknown = "no-such-host.invalid";
        assert_eq!(
            all(&[unknown]).unwrap_err(),
            ValueProblem::NoSuchHost(unknown.to_owned())
        );
    }

    #[test]
    fn aliases() {
        assert_eq!(
            shown(&["pub/192.0.2.1", "external=pub"]),
            ["pub: 192.0.2.1", "external: 192.0.2.1"]
        );
        assert_eq!(
            all(&["external=pub", "pub/192.0.2.1"]).unwrap_err(),
            ValueProblem::NoSuchInterface("pub".to_owned())
        );
        assert_eq!(
            all(&["a/192.0.2.1", "b/192.0.2.1", "a=b"]).unwrap_err(),
            ValueProblem::NameTaken("a".to_owned())
        );
    }

    #[test]
    fn mistakes() {
        for spec in [
            "",
            "a/",
            "/192.0.2.1",
            "192.0.2.1!",
            "192.0.2.1!any",
            "0.0.0.0",
            "::",
            "ff02::1",
            "a=",
            "a b/::1",
        ] {
            assert_eq!(all(&[spec]).unwrap_err(), ValueProblem::NotAnInterface, "{spec}");
        }
        assert_eq!(
            all(&["192.0.2.1!2001:db8::9"]).unwrap_err(),
            ValueProblem::AdvertisedFamily("2001:db8::9".parse().unwrap())
        );
        assert_eq!(
            all(&["192.0.2.1", "192.0.2.1"]).unwrap_err(),
            ValueProblem::AddressTwice("default".to_owned())
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z0-9:.!/=\\[\\]]{0,30}") {
            let _ = Spec::parse(&text);
        }
    }
}
