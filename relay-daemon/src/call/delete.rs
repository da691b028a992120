//! `delete`: which party is meant, and what goes with it.

use crate::clock::Time;
use crate::host::Host;

use super::Delete;
use super::state::{Call, PartyId, Presence};

/// Who is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Call,
    Party(PartyId),
}

/// What is left of a call after a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remainder {
    /// Somebody still talks to somebody.
    Some,
    /// Nobody does.
    Nothing,
}

impl Call {
    /// Who is meant: the branch counts unless the to-tag does, then the to-tag if it counts, else the from-tag. None if
    /// nobody matches.
    pub(super) fn find_target(&self, delete: &Delete) -> Option<Target> {
        let Some(from_tag) = &delete.from_tag else {
            return Some(Target::Call);
        };
        let by_branch = || {
            let branch = delete.via_branch.as_ref()?;
            self.ids()
                .find(|id| self.party(*id).branch.as_ref() == Some(branch))
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

    /// Whether a party has offered to somebody who has no tag yet.
    fn awaits_answer(&self, party: PartyId) -> bool {
        let peers = &self.party(party).peers;
        peers.iter().any(|peer| self.party(*peer).tag.is_none())
    }

    /// Deletes later, unless a message comes before.
    pub(super) fn delete_later(&mut self, target: Target, at: Time) {
        match target {
            Target::Call => self.deletion = Some(at),
            Target::Party(party) => self.party_mut(party).presence = Presence::Leaving(at),
        }
    }

    /// Deletes now: the party, and peers that have nobody else.
    pub(super) fn delete(&mut self, target: Target, host: &dyn Host) -> Remainder {
        let Target::Party(party) = target else {
            return Remainder::Nothing;
        };
        self.remove(party, host);
        for peer in self.party(party).peers.clone() {
            let left_alone = self.party(peer).peers.iter().all(|other| self.is_gone(*other));
            if left_alone {
                self.remove(peer, host);
            }
        }
        match self.is_associated() {
            true => Remainder::Some,
            false => Remainder::Nothing,
        }
    }

    /// Carries out the deletions that are due.
    pub(super) fn delete_due(&mut self, now: Time, host: &dyn Host) -> Remainder {
        if self.deletion.is_some_and(|at| at <= now) {
            return self.delete(Target::Call, host);
        }
        for id in self.ids() {
            match self.party(id).presence {
                Presence::Leaving(at) if at <= now => {
                    if self.delete(Target::Party(id), host) == Remainder::Nothing {
                        return Remainder::Nothing;
                    }
                }
                Presence::Here | Presence::Leaving(_) | Presence::Gone => {}
            }
        }
        Remainder::Some
    }

    /// A message concerns these parties: whatever was to be deleted stays.
    pub(super) fn revive(&mut self, parties: [PartyId; 2]) {
        self.deletion = None;
        for party in parties {
            self.party_mut(party).presence = Presence::Here;
        }
    }

    fn is_gone(&self, party: PartyId) -> bool {
        self.party(party).presence == Presence::Gone
    }

    /// The party stays visible, without ports.
    fn remove(&mut self, party: PartyId, host: &dyn Host) {
        let party = self.party_mut(party);
        party.presence = Presence::Gone;
        for media in &mut party.media {
            media.give_up_ports(host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::crypto::testing::own_credentials;
    use crate::call::testing::TestHost;
    use crate::call::{Branch, Tag};
    use crate::plan::CallKey;

    /// `a` offered to `b`, who answered, on branch `1`; and to somebody without a tag on branch `2`.
    fn call() -> (Call, [PartyId; 3]) {
        let mut call = Call::new(CallKey(0), "call".into(), 0, own_credentials(), Time(0));
        let a = call.add_party(Some("a".into()), None, Time(0));
        let b = call.add_party(Some("b".into()), Some("1".into()), Time(0));
        let c = call.add_party(None, Some("2".into()), Time(0));
        call.associate(a, b);
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
        call.associate(a, c);
        assert_eq!(target(&call, Some("a"), Some("x"), None), Some(Target::Party(a)));
    }

    #[test]
    fn who_is_left_alone_goes_too() {
        let host = TestHost::new(&["203.0.113.1"]);
        let (mut call, [a, b, c]) = call();
        assert_eq!(call.delete(Target::Party(c), &host), Remainder::Some);
        assert_eq!(call.delete(Target::Party(a), &host), Remainder::Nothing);
        assert_eq!(call.party(b).presence, Presence::Gone);
    }

    #[test]
    fn a_peer_with_another_peer_stays() {
        let host = TestHost::new(&["203.0.113.1"]);
        let (mut call, [a, b, c]) = call();
        call.associate(a, c);
        assert_eq!(call.delete(Target::Party(c), &host), Remainder::Some);
        assert_eq!(call.party(a).presence, Presence::Here);
        assert_eq!(call.delete(Target::Party(b), &host), Remainder::Nothing);
    }

    #[test]
    fn a_delayed_deletion_can_be_called_off() {
        let host = TestHost::new(&["203.0.113.1"]);
        let (mut call, [a, b, _]) = call();
        call.delete_later(Target::Party(a), Time(10));
        assert_eq!(call.delete_due(Time(9), &host), Remainder::Some);
        call.revive([a, b]);
        assert_eq!(call.delete_due(Time(10), &host), Remainder::Some);
        call.delete_later(Target::Call, Time(20));
        assert_eq!(call.delete_due(Time(20), &host), Remainder::Nothing);
    }
}
