//! Which members of groups of interfaces a call uses.

use std::borrow::Cow;

use crate::config::{CallSettings, Group, Interfaces};
use crate::host::Host;

use super::super::InterfaceChoice;
use super::super::state::Call;

/// Whose turn it is in each group: the position of a member.
#[derive(Debug, Default)]
pub(super) struct Rota(Vec<usize>);

impl Rota {
    /// The settings as they are for one call: a group of interfaces is the member that the call uses. Where it has none
    /// yet, and this choice asks for one, it takes the one whose turn it is.
    pub(super) fn settings_for<'s>(
        &mut self,
        call: &mut Call,
        choice: &InterfaceChoice,
        settings: &'s CallSettings,
        host: &dyn Host,
    ) -> Cow<'s, CallSettings> {
        let interfaces = &settings.interfaces;
        if interfaces.groups.is_empty() {
            return Cow::Borrowed(settings);
        }
        let is_new = call.parties.iter().all(|party| party.media.is_empty());
        let wanted = [&choice.from, &choice.to].map(|name| match name {
            Some(name) => Some(interfaces.lookup(name)),
            None => is_new.then_some(0),
        });
        call.members.resize(interfaces.groups.len(), None);
        self.0.resize(interfaces.groups.len(), 0);
        let groups = interfaces.groups.iter().zip(&mut call.members).zip(&mut self.0);
        for ((group, member), turn) in groups {
            let is_wanted = |index: &usize| interfaces.meant_by(*index) == group.interface;
            if member.is_none() && wanted.iter().flatten().any(is_wanted) {
                *member = Some(next(group, turn, interfaces, host));
            }
        }
        Cow::Owned(CallSettings {
            interfaces: interfaces.with_members(&call.members),
            ..settings.clone()
        })
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
