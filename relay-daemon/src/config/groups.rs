//! Groups of interfaces that calls use in turn, and other names of interfaces.

use super::{Interface, Interfaces};

/// Interfaces `BASE:SUFFIX`, which calls use in turn where they ask for `BASE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Index of the interface `BASE`. Its addresses are those of a member: the first, until a call has another one.
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

impl Interfaces {
    /// The interfaces as a call sees them that uses these members, of each group one, or the first.
    pub fn with_members(&self, members: &[Option<usize>]) -> Interfaces {
        let mut interfaces = self.clone();
        for (group, chosen) in self.groups.iter().zip(members) {
            if let Some(member) = chosen.or(group.members.first().copied()) {
                interfaces.interfaces[group.interface].addresses = self.interfaces[member].addresses.clone();
            }
        }
        // An alias stands behind what it is an alias of.
        for alias in &self.aliases {
            let addresses = interfaces.interfaces[alias.of].addresses.clone();
            interfaces.interfaces[alias.interface].addresses = addresses;
        }
        interfaces
    }

    /// The index of the interface of a name. An unknown name means the default one. `BASE:round-robin-calls` is a group's
    /// legacy name.
    pub fn lookup(&self, name: &str) -> usize {
        let position = |name: &str| {
            let mut interfaces = self.interfaces.iter();
            interfaces.position(|interface| interface.name == name)
        };
        let legacy = || position(name.strip_suffix(":round-robin-calls")?);
        position(name).or_else(legacy).unwrap_or(0)
    }

    /// The interface or group that is meant by an interface, which may be an alias.
    pub fn meant_by(&self, index: usize) -> usize {
        let alias = self.aliases.iter().find(|alias| alias.interface == index);
        alias.map_or(index, |alias| self.meant_by(alias.of))
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

    /// The indexes under which a real interface may be used: its own, that of its group, and those of aliases of either.
    pub fn uses_of(&self, real: usize) -> Vec<usize> {
        let mut uses = vec![real];
        let groups = self.groups.iter();
        uses.extend(
            groups
                .filter(|group| group.members.contains(&real))
                .map(|group| group.interface),
        );
        for alias in &self.aliases {
            if uses.contains(&alias.of) {
                uses.push(alias.interface);
            }
        }
        uses
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
