//! Interface specifications, `[NAME/]ADDR[!ADVERTISED]` and `ALIAS=NAME`, and the addresses they stand for.
//! A name `BASE:SUFFIX` makes a member of the group `BASE`.

use std::net::{IpAddr, ToSocketAddrs};

use super::error::ValueProblem;
use super::groups;
use super::{Alias, Group, Interface, InterfaceAddress, Interfaces, PortRange};
use crate::host::AddressId;

/// The name of an interface that has none.
const DEFAULT_NAME: &str = "default";

/// The addresses that names stand for. The default knows none.
#[derive(Clone, Debug, Default)]
pub(super) struct SystemAddresses {
    /// Of this machine: name of the system interface, and one of its addresses.
    pub(super) entries: Vec<(String, IpAddr)>,
    /// Whether the resolver is asked for names of hosts.
    pub(super) resolves: bool,
}

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
        let entries = nix::ifaddrs::getifaddrs()?
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
        Ok(SystemAddresses {
            entries,
            resolves: true,
        })
    }

    /// The first address of a host.
    pub(super) fn look_up(&self, name: &str) -> Result<IpAddr, ValueProblem> {
        let find = || (name, 0).to_socket_addrs().ok()?.next();
        let found = self.resolves.then(find).flatten();
        found
            .map(|found| found.ip())
            .ok_or_else(|| ValueProblem::NoSuchHost(name.to_owned()))
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
        self.entries
            .iter()
            .filter(|entry| wanted(entry) && !is_link_local(entry.1))
            .map(|(_, ip)| *ip)
            .collect()
    }

    fn has_interface(&self, name: &str) -> bool {
        self.entries.iter().any(|(interface, _)| interface == name)
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
            } => self.add_addresses(name, local, advertised, None, system),
        }
    }

    /// Adds an interface that is written in parts, with ports of its own if there are any.
    pub(super) fn add_parts(
        &mut self,
        name: &str,
        address: &str,
        advertised: Option<&str>,
        ports: Option<&PortRange>,
        system: &SystemAddresses,
    ) -> Result<(), ValueProblem> {
        let advertised = advertised.map(Host::parse).transpose()?;
        if advertised == Some(Host::Any) {
            return Err(ValueProblem::NotAnInterface);
        }
        self.add_addresses(word(name)?, Host::parse(address)?, advertised, ports, system)
    }

    fn add_addresses(
        &mut self,
        name: &str,
        local: Host<'_>,
        advertised: Option<Host<'_>>,
        ports: Option<&PortRange>,
        system: &SystemAddresses,
    ) -> Result<(), ValueProblem> {
        let advertised = advertised.map(|host| single(host, system)).transpose()?;
        let locals = resolve(local, system)?;
        let exact = locals.len() == 1;
        let add = |ip: IpAddr| {
            let advertised = match advertised {
                Some(advertised) if advertised.is_ipv4() == ip.is_ipv4() => advertised,
                Some(other) if exact => return Err(ValueProblem::AdvertisedFamily(other)),
                Some(_) | None => ip,
            };
            self.add_address(name, ip, advertised, ports)
        };
        locals.into_iter().try_for_each(add)
    }

    /// Gives an interface, or a group, a further name.
    pub(super) fn add_alias(&mut self, alias: &str, name: &str) -> Result<(), ValueProblem> {
        let position = |name: &str| {
            self.interfaces
                .iter()
                .position(|interface| interface.name == name)
        };
        if position(alias).is_some() {
            return Err(ValueProblem::NameTaken(alias.to_owned()));
        }
        let of = position(name).ok_or_else(|| ValueProblem::NoSuchInterface(name.to_owned()))?;
        self.aliases.push(Alias {
            interface: self.interfaces.len(),
            of,
        });
        self.interfaces.push(Interface {
            name: alias.to_owned(),
            addresses: self.interfaces[of].addresses.clone(),
        });
        Ok(())
    }

    fn add_address(
        &mut self,
        name: &str,
        ip: IpAddr,
        advertised: IpAddr,
        ports: Option<&PortRange>,
    ) -> Result<(), ValueProblem> {
        let index = self.real_interface(name)?;
        let local = self.address_id(ip, ports);
        let address = InterfaceAddress { local, advertised };
        let addresses = &mut self.interfaces[index].addresses;
        if addresses.contains(&address) {
            return Err(ValueProblem::AddressTwice(name.to_owned()));
        }
        addresses.push(address);
        // Groups and aliases show what has come so far.
        self.follow_members();
        Ok(())
    }

    /// The index of the interface of a name, made if it is new, and its group with it.
    fn real_interface(&mut self, name: &str) -> Result<usize, ValueProblem> {
        let found = self
            .interfaces
            .iter()
            .position(|interface| interface.name == name);
        if let Some(index) = found {
            let is_real = self.real().any(|(real, _)| real == index);
            return is_real
                .then_some(index)
                .ok_or_else(|| ValueProblem::NameTaken(name.to_owned()));
        }
        let base = match groups::base(name) {
            Some(base) => Some(base),
            None if name.contains(':') => return Err(ValueProblem::NotAnInterface),
            None => None,
        };
        if let Some(base) = base {
            self.ensure_group(base)?;
        }
        self.interfaces.push(Interface {
            name: name.to_owned(),
            addresses: Vec::new(),
        });
        if let Some(base) = base {
            self.note_member(base);
        }
        Ok(self.interfaces.len() - 1)
    }

    /// A group comes before its members: where its first one would be the default interface, it is.
    fn ensure_group(&mut self, base: &str) -> Result<(), ValueProblem> {
        let found = self
            .interfaces
            .iter()
            .position(|interface| interface.name == base);
        if let Some(index) = found {
            let is_group = self.groups.iter().any(|group| group.interface == index);
            return is_group
                .then_some(())
                .ok_or_else(|| ValueProblem::NameTaken(base.to_owned()));
        }
        self.groups.push(Group {
            interface: self.interfaces.len(),
            members: Vec::new(),
        });
        self.interfaces.push(Interface {
            name: base.to_owned(),
            addresses: Vec::new(),
        });
        Ok(())
    }

    fn address_id(&mut self, ip: IpAddr, ports: Option<&PortRange>) -> AddressId {
        let mut known = self.addresses.iter().zip(&self.own_ports);
        let index = known
            .position(|(known, own)| *known == ip && own.as_ref() == ports)
            .unwrap_or_else(|| {
                self.addresses.push(ip);
                self.own_ports.push(ports.cloned());
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
        Host::Name(name) => return system.look_up(name).map(|ip| vec![ip]),
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

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
