//! Which interface serves a party: the one that is asked for, or the default one; of a group the member whose turn it is.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::{Interfaces, Meaning};
use crate::host::Host;
use crate::sdp::AddressFamily;

/// Whose turn it is in each group, and among all interfaces.
#[derive(Debug)]
pub(in crate::call) struct Turns(Vec<AtomicUsize>);

/// What is known when an interface is chosen.
#[derive(Clone, Copy, Debug)]
pub(in crate::call) struct Wish<'a> {
    /// Which one is asked for.
    pub(in crate::call) name: Option<&'a str>,
    /// Index of the one that serves the party so far.
    pub(in crate::call) current: Option<usize>,
    /// Family of the address that is wanted.
    pub(in crate::call) family: AddressFamily,
    /// Whether nothing else will do, as the party itself speaks from an address of that family.
    pub(in crate::call) strict: bool,
}

impl Turns {
    pub(in crate::call) fn new(interfaces: &Interfaces) -> Turns {
        Turns(
            (0..=interfaces.groups.len())
                .map(|_| AtomicUsize::new(0))
                .collect(),
        )
    }

    /// The index of the interface, which is neither a group nor an alias.
    ///
    /// The name of an alias counts for families that its interface has; whatever does not count leads to the default
    /// interface of the family.
    pub(in crate::call) fn choose(&self, wish: Wish<'_>, interfaces: &Interfaces, host: &dyn Host) -> usize {
        let of_family = |index: &usize| interfaces.has_family(*index, wish.family);
        let default = || self.default(wish.family, interfaces, host);
        let Some(name) = wish.name else {
            let current = wish.current.filter(|index| !wish.strict || of_family(index));
            return current.unwrap_or_else(default);
        };
        let Some(meaning) = interfaces.meaning(name) else {
            return default();
        };
        let is_among = |index: &usize| meaning.members.contains(index);
        if let Some(current) = wish.current.filter(|index| is_among(index) && of_family(index)) {
            return current;
        }
        self.next(&meaning, of_family, interfaces, host)
            .or_else(|| {
                let any = (!wish.strict && !meaning.is_alias).then_some(|_: &usize| true)?;
                self.next(&meaning, any, interfaces, host)
            })
            .unwrap_or_else(default)
    }

    fn default(&self, family: AddressFamily, interfaces: &Interfaces, host: &dyn Host) -> usize {
        let of_family = |index: &usize| interfaces.has_family(*index, family);
        let Some(first) = interfaces.default_meaning() else {
            return 0;
        };
        self.next(&first, of_family, interfaces, host)
            .or_else(|| interfaces.real().map(|(index, _)| index).find(of_family))
            .or_else(|| self.next(&first, |_| true, interfaces, host))
            .unwrap_or(0)
    }

    /// The member whose turn it is of those that fit, or the next one with free ports.
    fn next(
        &self,
        meaning: &Meaning,
        fits: impl Fn(&usize) -> bool,
        interfaces: &Interfaces,
        host: &dyn Host,
    ) -> Option<usize> {
        let members = &meaning.members;
        let [first, _, ..] = &members[..] else {
            return members.first().copied().filter(fits);
        };
        let turn = self.0.get(meaning.turn);
        let start = turn.map_or(*first, |turn| turn.load(Ordering::Relaxed));
        let position = |offset| (start + offset) % members.len();
        let mut fitting = (0..members.len())
            .map(position)
            .filter(|position| fits(&members[*position]));
        let has_ports = |position: &usize| {
            let member = &interfaces.interfaces[members[*position]];
            let mut addresses = member.addresses.iter();
            addresses.all(|address| host.has_ports(address.local))
        };
        let chosen = fitting.clone().find(has_ports).or_else(|| fitting.next())?;
        if let Some(turn) = turn {
            turn.store(chosen + 1, Ordering::Relaxed);
        }
        Some(members[chosen])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::testing::TestHost;
    use crate::config::{Group, Interface, InterfaceAddress};
    use crate::host::AddressId;

    #[test]
    fn a_member_without_ports_is_passed_over() {
        let mut host = TestHost::new(&["203.0.113.1", "203.0.113.2"]);
        let interface = |name: &str, index| Interface {
            name: name.to_owned(),
            addresses: vec![InterfaceAddress {
                local: AddressId(index),
                advertised: host.place(index).advertised,
            }],
        };
        let interfaces = Interfaces {
            addresses: Vec::new(),
            own_ports: Vec::new(),
            interfaces: vec![interface("pub", 0), interface("pub:a", 0), interface("pub:b", 1)],
            groups: vec![Group {
                interface: 0,
                members: vec![1, 2],
            }],
            aliases: Vec::new(),
        };
        let turns = Turns::new(&interfaces);
        let wish = Wish {
            name: Some("pub"),
            current: None,
            family: AddressFamily::Ip4,
            strict: true,
        };
        host.exhausted.insert(AddressId(1));
        for _ in 0..3 {
            assert_eq!(turns.choose(wish, &interfaces, &host), 1);
        }
        host.exhausted.clear();
        assert_eq!(turns.choose(wish, &interfaces, &host), 2);
    }
}
