//! Groups of interfaces that calls use in turn, and other names of interfaces.

use super::{Interface, Interfaces};
use crate::sdp::AddressFamily;

/// Interfaces `BASE:SUFFIX`, which calls use in turn where they ask for `BASE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Index of the interface `BASE`. Its addresses are those of the first member.
    pub interface: usize,
    /// Indexes of the members.
    pub members: Vec<usize>,
}

/// A further name of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Index of the interface that has that name. Its addresses are those of the other one.
    pub interface: usize,
    /// Index of the other one.
    pub of: usize,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Indexes of interfaces that have addresses of their own: one, or the members of a group.
    pub members: Vec<usize>,
    /// Which group it is; the number of groups for all interfaces. Of no meaning for a single member.
    pub turn: usize,
    /// Whether the name is an alias.
    pub is_alias: bool,
}

impl Interfaces {
    /// Lets groups and aliases show the addresses of what they stand for: groups those of their first member.
    pub(super) fn follow_members(&mut self) {
        for group in &self.groups {
            if let Some(member) = group.members.first() {
                self.interfaces[group.interface].addresses = self.interfaces[*member].addresses.clone();
            }
        }
        // An alias stands behind what it is an alias of.
        for alias in &self.aliases {
            self.interfaces[alias.interface].addresses = self.interfaces[alias.of].addresses.clone();
        }
    }

    /// What a name stands for; none for an unknown one. `round-robin-calls` stands for all interfaces, and
    /// `BASE:round-robin-calls` is a group's legacy name.
    pub fn meaning(&self, name: &str) -> Option<Meaning> {
        let position = |name: &str| {
            let mut interfaces = self.interfaces.iter();
            interfaces.position(|interface| interface.name == name)
        };
        let legacy = || position(name.strip_suffix(":round-robin-calls")?);
        match position(name).or_else(legacy) {
            Some(index) => Some(self.meaning_of(index)),
            None if name == "round-robin-calls" => Some(Meaning {
                members: self.real().map(|(index, _)| index).collect(),
                turn: self.groups.len(),
                is_alias: false,
            }),
            None => None,
        }
    }

    /// What is meant by nothing: the first interface, or group; none if there is none.
    pub fn default_meaning(&self) -> Option<Meaning> {
        (!self.interfaces.is_empty()).then(|| self.meaning_of(0))
    }

    /// Whether an interface has an address of a family.
    pub fn has_family(&self, index: usize, family: AddressFamily) -> bool {
        let interface = self.interfaces.get(index);
        let mut addresses = interface.iter().flat_map(|interface| &interface.addresses);
        addresses.any(|address| AddressFamily::of(address.advertised) == family)
    }

    fn meaning_of(&self, index: usize) -> Meaning {
        if let Some(alias) = self.aliases.iter().find(|alias| alias.interface == index) {
            return Meaning {
                is_alias: true,
                ..self.meaning_of(alias.of)
            };
        }
        let turn = self.groups.iter().position(|group| group.interface == index);
        Meaning {
            members: turn.map_or_else(|| vec![index], |turn| self.groups[turn].members.clone()),
            turn: turn.unwrap_or_default(),
            is_alias: false,
        }
    }

    /// The interfaces that addresses were configured for, with their indexes: neither groups nor aliases.
    pub fn real(&self) -> impl Iterator<Item = (usize, &Interface)> {
        let is_real = |index: usize| {
            !self.groups.iter().any(|group| group.interface == index)
                && !self.aliases.iter().any(|alias| alias.interface == index)
        };
        self.interfaces
            .iter()
            .enumerate()
            .filter(move |(index, _)| is_real(*index))
    }

    /// Takes note of a new interface, the last one, if its name makes it a member of a group.
    pub(super) fn note_member(&mut self, base: &str) {
        let member = self.interfaces.len() - 1;
        let of_base = |group: &&mut Group| self.interfaces[group.interface].name == base;
        if let Some(group) = self.groups.iter_mut().find(of_base) {
            group.members.push(member);
        }
    }
}

/// `BASE` of `BASE:SUFFIX`.
pub(super) fn base(name: &str) -> Option<&str> {
    let (base, suffix) = name.split_once(':')?;
    (!base.is_empty() && !suffix.is_empty()).then_some(base)
}
