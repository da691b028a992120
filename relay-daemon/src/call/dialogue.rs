//! Which parties a message is about: tags and branches.

use crate::clock::Time;

use super::state::{Call, PartyId};
use super::{Signal, Tag};

/// A tag that talks to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TalksToItself;

/// Who speaks, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialogue {
    /// Who sent the SDP.
    pub(super) sender: PartyId,
    /// Who gets the rewritten one.
    pub(super) receiver: PartyId,
}

/// The parties of an offer, made where they are new.
///
/// Without a to-tag the offer goes to whom its sender talks to already, unless its branch names somebody else: each
/// branch of a forked call has its own receiver.
pub(super) fn of_offer(call: &mut Call, signal: &Signal, now: Time) -> Result<Dialogue, TalksToItself> {
    let sender = find_or_add(call, &signal.from_tag, now);
    let receiver = match &signal.to_tag {
        Some(tag) => match call.tagged(tag) {
            Some(party) => party,
            None => call.add_party(Some(tag.clone()), signal.via_branch.clone(), now),
        },
        None => receiver_by_branch(call, sender, signal, now),
    };
    if sender == receiver {
        return Err(TalksToItself);
    }
    call.associate(sender, receiver);
    Ok(Dialogue { sender, receiver })
}

/// The parties of an answer: the from-tag is that of the offer.
pub(super) fn of_answer(
    call: &mut Call,
    signal: &Signal,
    to_tag: &Tag,
    now: Time,
) -> Result<Dialogue, TalksToItself> {
    let receiver = find_or_add(call, &signal.from_tag, now);
    let sender = match call.tagged(to_tag) {
        Some(party) => party,
        None => {
            let party = unnamed_answerer(call, receiver, signal)
                .unwrap_or_else(|| call.add_party(None, signal.via_branch.clone(), now));
            name(call, party, to_tag);
            party
        }
    };
    if sender == receiver {
        return Err(TalksToItself);
    }
    call.associate_only(sender, receiver);
    Ok(Dialogue { sender, receiver })
}

fn find_or_add(call: &mut Call, tag: &Tag, now: Time) -> PartyId {
    match call.tagged(tag) {
        Some(party) => party,
        None => call.add_party(Some(tag.clone()), None, now),
    }
}

fn receiver_by_branch(call: &mut Call, sender: PartyId, signal: &Signal, now: Time) -> PartyId {
    let peers = &call.party(sender).peers;
    let Some(branch) = &signal.via_branch else {
        return match peers.last() {
            Some(peer) => *peer,
            None => call.add_party(None, None, now),
        };
    };
    let known = call
        .ids()
        .find(|id| *id != sender && call.party(*id).branch.as_ref() == Some(branch));
    let without_branch = peers.iter().find(|peer| call.party(**peer).branch.is_none());
    match known.or(without_branch.copied()) {
        Some(party) => {
            call.party_mut(party).branch = Some(branch.clone());
            party
        }
        None => call.add_party(None, Some(branch.clone()), now),
    }
}

/// Whoever answers with a tag that was never seen: the party of that branch, else one that was offered to and has not
/// answered yet, else one that has answered with another tag.
fn unnamed_answerer(call: &Call, offerer: PartyId, signal: &Signal) -> Option<PartyId> {
    let by_branch = signal.via_branch.as_ref().and_then(|branch| {
        call.ids()
            .find(|id| *id != offerer && call.party(*id).branch.as_ref() == Some(branch))
    });
    let peers = &call.party(offerer).peers;
    let untagged = peers.iter().rfind(|peer| call.party(**peer).tag.is_none());
    by_branch.or(untagged.copied()).or(peers.last().copied())
}

/// Gives a party its tag. One that it had before stays as an alias.
fn name(call: &mut Call, party: PartyId, tag: &Tag) {
    let party = call.party_mut(party);
    if let Some(former) = party.tag.replace(tag.clone()) {
        party.aliases.push(former);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::SignalOptions;
    use crate::plan::CallKey;

    fn signal(from: &str, to: Option<&str>, branch: Option<&str>) -> Signal {
        Signal {
            call_id: "call".into(),
            from_tag: from.into(),
            to_tag: to.map(Tag::from),
            via_branch: branch.map(Into::into),
            sdp: String::new(),
            options: SignalOptions::default(),
        }
    }

    fn call() -> Call {
        Call::new(CallKey(0), "call".into(), 0, Time(0))
    }

    fn offer(call: &mut Call, from: &str, to: Option<&str>, branch: Option<&str>) -> Dialogue {
        of_offer(call, &signal(from, to, branch), Time(0)).unwrap()
    }

    fn answer(call: &mut Call, from: &str, to: &str, branch: Option<&str>) -> Dialogue {
        of_answer(call, &signal(from, Some(to), branch), &to.into(), Time(0)).unwrap()
    }

    #[test]
    fn an_answer_names_the_party_that_was_offered_to() {
        let mut call = call();
        let first = offer(&mut call, "a", None, None);
        assert_eq!(offer(&mut call, "a", None, None), first);
        let back = answer(&mut call, "a", "b", None);
        assert_eq!((back.sender, back.receiver), (first.receiver, first.sender));
        assert_eq!(offer(&mut call, "b", Some("a"), None), back);
        assert_eq!(call.parties.len(), 2);
    }

    #[test]
    fn a_late_offer_has_its_tags_swapped() {
        let mut call = call();
        let dialogue = offer(&mut call, "callee", Some("caller"), None);
        let back = answer(&mut call, "callee", "caller", None);
        assert_eq!((back.sender, back.receiver), (dialogue.receiver, dialogue.sender));
    }

    #[test]
    fn each_branch_has_its_own_receiver() {
        let mut call = call();
        let first = offer(&mut call, "a", None, Some("1"));
        let second = offer(&mut call, "a", None, Some("2"));
        assert_ne!(first.receiver, second.receiver);
        assert_eq!(offer(&mut call, "a", None, Some("1")), first);
        assert_eq!(call.party(first.sender).peers.len(), 2);
        assert_eq!(answer(&mut call, "a", "b2", Some("2")).sender, second.receiver);
        assert_eq!(call.party(first.sender).peers, [second.receiver]);
        assert!(call.party(first.receiver).peers.is_empty());
        assert_eq!(answer(&mut call, "a", "b1", Some("1")).sender, first.receiver);
        assert!(call.party(second.receiver).peers.is_empty());
    }

    #[test]
    fn a_branch_that_comes_later_names_the_receiver_without_one() {
        let mut call = call();
        let first = offer(&mut call, "a", None, None);
        assert_eq!(offer(&mut call, "a", None, Some("1")), first);
        assert_ne!(offer(&mut call, "a", None, Some("2")), first);
    }

    #[test]
    fn a_second_tag_without_a_branch_is_an_alias() {
        let mut call = call();
        offer(&mut call, "a", None, None);
        let first = answer(&mut call, "a", "b1", None);
        assert_eq!(answer(&mut call, "a", "b2", None), first);
        assert_eq!(call.party(first.sender).aliases, ["b1".into()]);
        assert_eq!(call.tagged(&"b1".into()), Some(first.sender));
    }

    #[test]
    fn nobody_talks_to_himself() {
        let mut call = call();
        offer(&mut call, "a", None, None);
        assert_eq!(
            of_offer(&mut call, &signal("a", Some("a"), None), Time(0)),
            Err(TalksToItself)
        );
        assert_eq!(
            of_answer(&mut call, &signal("a", Some("a"), None), &"a".into(), Time(0)),
            Err(TalksToItself)
        );
    }

    #[test]
    fn a_stranger_takes_the_place_of_the_peer_when_he_answers() {
        let mut call = call();
        let first = offer(&mut call, "a", None, None);
        answer(&mut call, "a", "b", None);
        let third = offer(&mut call, "c", Some("b"), None);
        assert_eq!(call.party(first.receiver).peers, [first.sender, third.sender]);
        answer(&mut call, "c", "b", None);
        assert_eq!(call.party(first.receiver).peers, [third.sender]);
        assert!(call.party(first.sender).peers.is_empty());
    }
}
