//! `delete`: which party is meant, and what goes with it.

use crate::call::command::Delete;
use crate::call::model::flow::PartyId;
use crate::call::model::state::{Call, Presence};
use crate::clock::Time;
use crate::host::Host;

/// Who is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Target {
    Call,
    Party(PartyId),
}

/// What is left of a call after a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Remainder {
    /// Somebody still talks to somebody.
    Some,
    /// Nobody does.
    Nothing,
}

impl Call {
    /// Who is meant: the branch counts unless the to-tag does, then the to-tag if it counts, else the from-tag. None if
    /// nobody matches.
    pub(in crate::call) fn find_target(&self, delete: &Delete) -> Option<Target> {
        let Some(from_tag) = &delete.from_tag else {
            return Some(Target::Call);
        };
        // A branch that was deleted before means itself still: not the offerer, whom others may talk to.
        let by_branch = || {
            let branch = delete.via_branch.as_ref()?;
            let gone = || {
                self.ids()
                    .find(|id| self.party(*id).branch.as_ref() == Some(branch))
            };
            self.on_branch(branch).or_else(gone)
        };
        let party = match &delete.to_tag {
            None => by_branch().or_else(|| self.tagged(from_tag)),
            Some(to_tag) => self
                .tagged(to_tag)
                .or_else(by_branch)
                .or_else(|| self.tagged(from_tag).filter(|party| self.awaits_answer(*party))),
        };
        party.map(Target::Party)
    }

    /// Whether a party has offered to one other only, who has no tag yet.
    fn awaits_answer(&self, party: PartyId) -> bool {
        match self.party(party).known_parties[..] {
            [other] => self.party(other).tag.is_none(),
            _ => false,
        }
    }

    /// Deletes later, unless a message comes before: whoever would have to go now.
    pub(in crate::call) fn delete_later(&mut self, target: Target, at: Time) -> Remainder {
        for party in self.take_leave(target) {
            self.party_mut(party).presence = Presence::Leaving(at);
        }
        let remainder = self.remainder(target);
        if remainder == Remainder::Nothing {
            self.deletion = Some(at);
        }
        remainder
    }

    /// Deletes now: the party, and those who have to do with nobody else.
    pub(in crate::call) fn delete(&mut self, target: Target, host: &dyn Host) -> Remainder {
        for party in self.take_leave(target) {
            self.remove(party, host);
        }
        self.remainder(target)
    }

    /// Carries out the deletions that are due.
    pub(in crate::call) fn delete_due(&mut self, now: Time, host: &dyn Host) -> Remainder {
        if self.deletion.is_some_and(|at| at <= now) {
            return Remainder::Nothing;
        }
        for id in self.ids() {
            match self.party(id).presence {
                Presence::Leaving(at) if at <= now => self.remove(id, host),
                Presence::Here | Presence::Leaving(_) | Presence::Gone => {}
            }
        }
        Remainder::Some
    }

    /// A message concerns these parties: whatever was to be deleted stays.
    pub(in crate::call) fn revive(&mut self, parties: [PartyId; 2]) {
        self.deletion = None;
        for party in parties {
            self.party_mut(party).presence = Presence::Here;
        }
    }

    /// Who goes with the target: itself, and those whom nobody else has to do with.
    fn take_leave(&mut self, target: Target) -> Vec<PartyId> {
        let Target::Party(party) = target else {
            return Vec::new();
        };
        if self.party(party).presence == Presence::Gone {
            return Vec::new();
        }
        let mut leaving = vec![party];
        for other in std::mem::take(&mut self.party_mut(party).known_parties) {
            let known_parties = &mut self.party_mut(other).known_parties;
            known_parties.retain(|known| *known != party);
            if known_parties.is_empty() && !self.talks(other, &leaving) {
                leaving.push(other);
            }
        }
        for peer in self.party(party).peers.clone() {
            if !self.stays(peer) {
                // It leaves by itself.
                continue;
            }
            let is_known = leaving.contains(&peer) || !self.party(peer).known_parties.is_empty();
            if !is_known && !self.talks(peer, &leaving) {
                leaving.push(peer);
            }
        }
        leaving
    }

    /// Whether a party talks to somebody who stays.
    fn talks(&self, party: PartyId, leaving: &[PartyId]) -> bool {
        let stays = |peer: &PartyId| !leaving.contains(peer) && self.stays(*peer);
        self.party(party).peers.iter().any(stays)
    }

    fn stays(&self, party: PartyId) -> bool {
        self.party(party).presence == Presence::Here
    }

    fn remainder(&self, target: Target) -> Remainder {
        let mut staying = self.ids().filter(|party| self.stays(*party));
        let has_company =
            |party: PartyId| !self.party(party).known_parties.is_empty() || self.talks(party, &[]);
        match target {
            Target::Party(_) if staying.any(has_company) => Remainder::Some,
            Target::Party(_) | Target::Call => Remainder::Nothing,
        }
    }

    /// The party stays visible, without ports.
    fn remove(&mut self, party: PartyId, host: &dyn Host) {
        let party = self.party_mut(party);
        party.presence = Presence::Gone;
        for media in &mut party.media {
            media.give_up_ports(host);
        }
        self.doubt_sources();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::command::{Branch, Tag};
    use crate::call::section::crypto::testing::own_credentials;
    use crate::call::testing::TestHost;
    use crate::plan::CallKey;

    /// `a` offered to `b`, who answered, on branch `1`; and to somebody without a tag on branch `2`.
    fn call() -> (Call, [PartyId; 3]) {
        let mut call = Call::new(CallKey(0), "call".into(), 0, own_credentials(), Time(0));
        let a = call.add_party(Some("a".into()), None, Time(0));
        let b = call.add_party(Some("b".into()), Some("1".into()), Time(0));
        let c = call.add_party(None, Some("2".into()), Time(0));
        call.introduce(a, b);
        call.introduce(a, c);
        call.associate_only(a, b);
        (call, [a, b, c])
    }

    fn request(from: Option<&str>, to: Option<&str>, branch: Option<&str>) -> Delete {
        Delete {
            call_id: "call".into(),
            from_tag: from.map(Tag::from),
            to_tag: to.map(Tag::from),
            via_branch: branch.map(Branch::from),
            delay: None,
            fatal: false,
            fast: false,
        }
    }

    fn gone(call: &Call) -> Vec<PartyId> {
        let is_gone = |id: &PartyId| call.party(*id).presence == Presence::Gone;
        call.ids().filter(is_gone).collect()
    }

    #[test]
    fn who_is_meant() {
        let (mut call, [a, b, c]) = call();
        let target = |call: &Call, from, to, branch| call.find_target(&request(from, to, branch));
        assert_eq!(target(&call, None, None, None), Some(Target::Call));
        assert_eq!(target(&call, Some("a"), None, None), Some(Target::Party(a)));
        assert_eq!(target(&call, Some("a"), None, Some("2")), Some(Target::Party(c)));
        assert_eq!(target(&call, Some("a"), None, Some("3")), Some(Target::Party(a)));
        assert_eq!(
            target(&call, Some("a"), Some("b"), Some("2")),
            Some(Target::Party(b))
        );
        assert_eq!(
            target(&call, Some("a"), Some("x"), Some("2")),
            Some(Target::Party(c))
        );
        assert_eq!(target(&call, Some("a"), Some("x"), None), None);
        assert_eq!(target(&call, Some("x"), None, None), None);
        call.party_mut(a).known_parties = vec![c];
        assert_eq!(target(&call, Some("a"), Some("x"), None), Some(Target::Party(a)));
    }

    #[test]
    fn who_was_deleted_is_not_found_again() {
        let host = TestHost::new(&["203.0.113.1"]);
        let (mut call, [_, b, c]) = call();
        call.delete(Target::Party(b), &host);
        assert_eq!(call.find_target(&request(Some("b"), None, None)), None);
        assert_eq!(
            call.find_target(&request(Some("b"), None, Some("2"))),
            Some(Target::Party(c))
        );
    }

    #[test]
    fn a_branch_that_ended_ends_nothing_else() {
        let host = TestHost::new(&["203.0.113.1"]);
        let (mut call, [_, b, _]) = call();
        call.delete(Target::Party(b), &host);
        let again = call.find_target(&request(Some("a"), None, Some("1")));
        assert_eq!(again, Some(Target::Party(b)));
        assert_eq!(call.delete(Target::Party(b), &host), Remainder::Some);
        assert_eq!(gone(&call), [b]);
    }

    #[test]
    fn a_branch_ends_alone_whatever_was_answered() {
        let host = TestHost::new(&["203.0.113.1"]);
        for losers in [[1, 2], [2, 1]] {
            let (mut call, parties) = call();
            let [first, last] = losers.map(|index| parties[index]);
            assert_eq!(call.delete(Target::Party(first), &host), Remainder::Some);
            assert_eq!(gone(&call), [first]);
            assert_eq!(call.delete(Target::Party(last), &host), Remainder::Nothing);
        }
    }

    #[test]
    fn all_branches_go_with_their_offerer() {
        let host = TestHost::new(&["203.0.113.1"]);
        let (mut call, [a, b, c]) = call();
        assert_eq!(call.delete(Target::Party(a), &host), Remainder::Nothing);
        assert_eq!(gone(&call), [a, b, c]);
    }

    #[test]
    fn who_was_connected_to_somebody_else_stays() {
        let host = TestHost::new(&["203.0.113.1"]);
        let (mut call, [a, b, c]) = call();
        let d = call.add_party(Some("d".into()), None, Time(0));
        call.associate_only(a, d);
        assert_eq!(call.delete(Target::Party(b), &host), Remainder::Some);
        assert_eq!(call.delete(Target::Party(c), &host), Remainder::Some);
        assert_eq!(gone(&call), [b, c]);
        assert_eq!(call.delete(Target::Party(d), &host), Remainder::Nothing);
        assert_eq!(gone(&call), [a, b, c, d]);
    }

    #[test]
    fn a_delayed_deletion_can_be_called_off() {
        let host = TestHost::new(&["203.0.113.1"]);
        let (mut call, [a, b, c]) = call();
        assert_eq!(
            call.delete_later(Target::Party(a), Time(10)),
            Remainder::Nothing,
            "nobody is left"
        );
        call.revive([a, b]);
        call.introduce(a, b);
        assert_eq!(call.delete_due(Time(9), &host), Remainder::Some);
        assert_eq!(gone(&call), []);
        assert_eq!(call.delete_due(Time(10), &host), Remainder::Some);
        assert_eq!(gone(&call), [c]);
        assert_eq!(call.delete_later(Target::Call, Time(20)), Remainder::Nothing);
        assert_eq!(call.delete_due(Time(20), &host), Remainder::Nothing);
    }
}
