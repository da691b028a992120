//! Which members of groups of interfaces a call uses.

use std::borrow::Cow;

use crate::config::{CallSettings, Group, Interfaces};
use crate::host::Host;

use super::super::InterfaceChoice;
use super::super::premises::Premises;
use super::super::state::Call;

/// Whose turn it is in each group: the position of a member.
#[derive(Debug, Default)]
pub(super) struct Rota(Vec<usize>);

/// Which groups a call is about to use.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    /// Any.
    All,
    /// Those that a message asks for.
    By(&'a InterfaceChoice),
}

impl Rota {
    /// The premises as they are for one call: a group of interfaces is the member that the call uses. Where it has none
    /// yet, and wants one, it takes the one whose turn it is.
    pub(super) fn premises_for<'p>(
        &mut self,
        call: &mut Call,
        wanted: Wanted<'_>,
        premises: &'p Premises,
        host: &dyn Host,
    ) -> Cow<'p, Premises> {
        let interfaces = &premises.settings.interfaces;
        if interfaces.groups.is_empty() {
            return Cow::Borrowed(premises);
        }
        let is_new = call.parties.iter().all(|party| party.media.is_empty());
        call.members.resize(interfaces.groups.len(), None);
        self.0.resize(interfaces.groups.len(), 0);
        let groups = interfaces.groups.iter().zip(&mut call.members).zip(&mut self.0);
        for ((group, member), turn) in groups {
            if member.is_none() && wanted.names(group, is_new, interfaces) {
                *member = Some(next(group, turn, interfaces, host));
            }
        }
        Cow::Owned(Premises {
            settings: CallSettings {
                interfaces: interfaces.with_members(&call.members),
                ..premises.settings.clone()
            },
            ..premises.clone()
        })
    }
}

impl Wanted<'_> {
    /// Whether a group is among them. In a new call, who asks for nothing gets the default interface.
    fn names(self, group: &Group, is_new: bool, interfaces: &Interfaces) -> bool {
        let Wanted::By(choice) = self else {
            return true;
        };
        let indexes = [&choice.from, &choice.to].map(|name| match name {
            Some(name) => Some(interfaces.lookup(name)),
            None => is_new.then_some(0),
        });
        let mut indexes = indexes.iter().flatten();
        indexes.any(|index| interfaces.meant_by(*index) == group.interface)
    }
}

/// The member whose turn it is, or the next one with free ports: its index among the interfaces.
fn next(group: &Group, turn: &mut usize, interfaces: &Interfaces, host: &dyn Host) -> usize {
    let count = group.members.len();
    let has_ports = |position: &usize| {
        let member = &interfaces.interfaces[group.members[*position]];
        let mut addresses = member.addresses.iter();
        addresses.all(|address| host.has_ports(address.local))
    };
    let mut positions = (0..count).map(|offset| (*turn + offset) % count);
    let position = positions.find(has_ports).unwrap_or(*turn % count);
    *turn = position + 1;
    group.members[position]
}
