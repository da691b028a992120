//! Which parties a message is about: tags and branches.

use crate::clock::Time;
use crate::sdp::Description;

use super::state::{Call, Party, PartyId};
use super::{AliasKey, Signal, Tag};

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
pub(super) fn of_offer(
    call: &mut Call,
    signal: &Signal,
    description: &Description,
    now: Time,
) -> Result<Dialogue, TalksToItself> {
    let sender = match call.tagged(&signal.from_tag) {
        Some(party) => party,
        None => match known_by_another_tag(call, signal, description) {
            Some(party) => {
                name(call, party, &signal.from_tag);
                party
            }
            None => call.add_party(Some(signal.from_tag.clone()), None, now),
        },
    };
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
            let party = unnamed_answerer(call, receiver, signal, now);
            name(call, party, to_tag);
            party
        }
    };
    if sender == receiver {
        return Err(TalksToItself);
    }
    call.party_mut(sender).has_answered_finally |= signal.options.strangers.is_final;
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
/// answered yet, else one that has answered with another tag; or somebody new who takes its place.
fn unnamed_answerer(call: &mut Call, offerer: PartyId, signal: &Signal, now: Time) -> PartyId {
    let by_branch = signal.via_branch.as_ref().and_then(|branch| {
        call.ids()
            .find(|id| *id != offerer && call.party(*id).branch.as_ref() == Some(branch))
    });
    let peers = &call.party(offerer).peers;
    let untagged = peers.iter().rfind(|peer| call.party(**peer).tag.is_none());
    if let Some(party) = by_branch.or(untagged.copied()) {
        return party;
    }
    let strangers = signal.options.strangers;
    let former = peers.last().copied();
    match former {
        Some(former) if !strangers.new_branch => {
            let settled = call.party(former).has_answered_finally;
            if !settled || strangers.provisional {
                return former;
            }
        }
        Some(_) | None => {}
    }
    let party = call.add_party(None, signal.via_branch.clone(), now);
    // It was told the ports of the one before: there was but one offer.
    if let Some(former) = former {
        call.party_mut(party).media = std::mem::take(&mut call.party_mut(former).media);
    }
    party
}

/// The party that has sent the offer, if it is known by another tag and may be recognised.
fn known_by_another_tag(call: &Call, signal: &Signal, description: &Description) -> Option<PartyId> {
    let matches = |party: &Party| match signal.options.strangers.alias_key {
        AliasKey::Off => false,
        AliasKey::Sdp => party.said.as_deref() == Some(description),
        AliasKey::Address => {
            let endpoint = |description: &Description| {
                let section = description.media.first()?;
                Some((section.address?, section.port))
            };
            let known = party.said.as_deref().and_then(endpoint);
            known.is_some() && known == endpoint(description)
        }
    };
    let other = signal.to_tag.as_ref().and_then(|tag| call.tagged(tag));
    call.ids()
        .find(|id| Some(*id) != other && matches(call.party(*id)))
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
    use std::sync::Arc;

    use super::*;
    use crate::call::crypto::testing::own_credentials;
    use crate::call::{SignalOptions, Strangers};
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
        Call::new(CallKey(0), "call".into(), 0, own_credentials(), Time(0))
    }

    fn offer(call: &mut Call, from: &str, to: Option<&str>, branch: Option<&str>) -> Dialogue {
        of_offer(call, &signal(from, to, branch), &Description::default(), Time(0)).unwrap()
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

    /// An answer with options.
    fn answer_with(call: &mut Call, to: &str, strangers: Strangers) -> Dialogue {
        let mut signal = signal("a", Some(to), None);
        signal.options.strangers = strangers;
        of_answer(call, &signal, &to.into(), Time(0)).unwrap()
    }

    #[test]
    fn a_second_tag_may_be_another_party() {
        const PLAIN: Strangers = Strangers {
            alias_key: AliasKey::Off,
            new_branch: false,
            provisional: false,
            is_final: false,
        };
        let new_branch = Strangers {
            new_branch: true,
            ..PLAIN
        };
        let is_final = Strangers {
            is_final: true,
            ..PLAIN
        };
        let provisional = Strangers {
            provisional: true,
            ..PLAIN
        };
        for (first, second, same) in [
            (PLAIN, PLAIN, true),
            (PLAIN, new_branch, false),
            (is_final, PLAIN, false),
            (is_final, provisional, true),
            (PLAIN, is_final, true),
        ] {
            let mut call = call();
            offer(&mut call, "a", None, None);
            let one = answer_with(&mut call, "b1", first);
            let two = answer_with(&mut call, "b2", second);
            assert_eq!(one.sender == two.sender, same, "{first:?} {second:?}");
            assert_eq!(call.party(one.receiver).peers, [two.sender]);
        }
    }

    #[test]
    fn a_stranger_may_be_recognised() {
        let sdp = |port| {
            format!(
                "v=0\r\no=- 1 {port} IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nm=audio 4000 RTP/AVP 0\r\n"
            )
        };
        for (alias_key, version, known) in [
            (AliasKey::Off, 1, false),
            (AliasKey::Sdp, 1, true),
            (AliasKey::Sdp, 2, false),
            (AliasKey::Address, 2, true),
        ] {
            let mut call = call();
            let first = offer(&mut call, "a", None, None);
            answer(&mut call, "a", "b", None);
            let description = Description::parse(&sdp(1)).unwrap();
            call.party_mut(first.sender).said = Some(Arc::new(description));
            let mut signal = signal("a2", Some("b"), None);
            signal.options.strangers.alias_key = alias_key;
            let description = Description::parse(&sdp(version)).unwrap();
            let second = of_offer(&mut call, &signal, &description, Time(0)).unwrap();
            assert_eq!(first.sender == second.sender, known, "{alias_key:?} {version}");
        }
    }

    #[test]
    fn nobody_talks_to_himself() {
        let mut call = call();
        offer(&mut call, "a", None, None);
        assert_eq!(
            of_offer(
                &mut call,
                &signal("a", Some("a"), None),
                &Description::default(),
                Time(0)
            ),
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
