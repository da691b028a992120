//! Which parties a message is about: tags and branches.

use crate::call::command::{Branch, Signal, Tag};
use crate::clock::Time;
use crate::sdp::Description;

use super::alias::PartyIdentity;
use super::flow::PartyId;
use super::media::{Media, Visibility};
use super::state::{Call, Party};

/// A tag that talks to itself, or to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct TalksToItself;

/// Who speaks, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct Dialogue {
    /// Who sent the SDP.
    pub(in crate::call) sender: PartyId,
    /// Who gets the rewritten one.
    pub(in crate::call) receiver: PartyId,
}

/// The parties of an offer, made where they are new.
///
/// Its receiver talks to nobody else from then on, its sender also to those that it offered to before: they are
/// branches of a forked call. Whoever is offered to has no tag until it answers, even if the offer has one.
pub(in crate::call) fn of_offer(
    call: &mut Call,
    signal: &Signal,
    description: &Description,
    now: Time,
) -> Result<Dialogue, TalksToItself> {
    let to_tag = signal.to_tag.as_ref();
    let known_receiver = to_tag.and_then(|tag| call.tagged(tag));
    let known_sender = call
        .tagged(&signal.from_tag)
        .or_else(|| known_by_another_tag(call, signal, description));
    let sender = match (known_sender, known_receiver) {
        (Some(party), _) => {
            name(call, party, &signal.from_tag);
            party
        }
        // Somebody who was offered to offers before he answers.
        (None, Some(receiver)) => match awaited_by(call, receiver, signal.via_branch.as_ref()) {
            Some(party) => {
                name(call, party, &signal.from_tag);
                party
            }
            None => call.add_party(Some(signal.from_tag.clone()), None, now),
        },
        (None, None) => call.add_party(Some(signal.from_tag.clone()), None, now),
    };
    let receiver = match (known_receiver, to_tag) {
        (Some(party), _) => party,
        (None, Some(_)) => call.add_party(None, signal.via_branch.clone(), now),
        // Nobody is left whom somebody could mean who has been here before.
        (None, None)
            if known_sender.is_some()
                && signal.via_branch.is_none()
                && call.party(sender).peers.is_empty() =>
        {
            return Err(TalksToItself);
        }
        (None, None) => receiver_by_branch(call, sender, signal, now),
    };
    if sender == receiver {
        return Err(TalksToItself);
    }
    remember_identity(call, sender, signal, description);
    call.introduce(sender, receiver);
    call.separate(receiver);
    call.associate(sender, receiver);
    Ok(Dialogue { sender, receiver })
}

/// The parties of an answer: the from-tag is that of the offer.
pub(in crate::call) fn of_answer(
    call: &mut Call,
    signal: &Signal,
    description: &Description,
    to_tag: &Tag,
    now: Time,
) -> Result<Dialogue, TalksToItself> {
    let known_receiver = call.tagged(&signal.from_tag);
    let sender = match (call.tagged(to_tag), known_receiver) {
        (Some(party), _) => party,
        (None, Some(receiver)) => {
            let party = unnamed_answerer(call, receiver, signal, now);
            name(call, party, to_tag);
            party
        }
        (None, None) => call.add_party(Some(to_tag.clone()), None, now),
    };
    let receiver = known_receiver.unwrap_or_else(|| call.add_party(None, signal.via_branch.clone(), now));
    if sender == receiver {
        return Err(TalksToItself);
    }
    remember_identity(call, sender, signal, description);
    call.party_mut(sender).has_answered_finally |= signal.options.strangers.is_final;
    call.introduce(sender, receiver);
    call.associate_only(sender, receiver);
    Ok(Dialogue { sender, receiver })
}

/// Whom an offer without to-tag goes to: the party of its branch, if its sender has offered to that one; without a
/// branch the one that its sender offered to last; else somebody new.
fn receiver_by_branch(call: &mut Call, sender: PartyId, signal: &Signal, now: Time) -> PartyId {
    let known = match &signal.via_branch {
        Some(branch) => call
            .on_branch(branch)
            .filter(|party| call.party(sender).known_parties.contains(party)),
        None => peers(call, sender).last(),
    };
    known.unwrap_or_else(|| call.add_party(None, signal.via_branch.clone(), now))
}

/// Somebody who was offered to and has not answered yet: on that branch, else the newest.
fn awaited_by(call: &Call, offerer: PartyId, branch: Option<&Branch>) -> Option<PartyId> {
    let is_untagged = |party: &PartyId| call.party(*party).tag.is_none();
    let by_branch = branch
        .and_then(|branch| call.on_branch(branch))
        .filter(is_untagged);
    let newest = || peers(call, offerer).filter(is_untagged).last();
    by_branch.or_else(newest)
}

/// Whoever answers with a tag that was never seen: the party of that branch, else one that was offered to and has not
/// answered yet, else one that has answered with another tag; or somebody new who takes its place.
fn unnamed_answerer(call: &mut Call, offerer: PartyId, signal: &Signal, now: Time) -> PartyId {
    let by_branch = signal
        .via_branch
        .as_ref()
        .and_then(|branch| call.on_branch(branch))
        .filter(|party| *party != offerer);
    let newest = peers(call, offerer).last();
    let found = by_branch.or_else(|| awaited_by(call, offerer, None)).or(newest);
    // Who was told of no section at all was not offered anything.
    let found = found.filter(|party| call.party(*party).was_told_of_sections());
    let Some(found) = found else {
        return call.add_party(None, signal.via_branch.clone(), now);
    };
    let strangers = signal.options.strangers;
    let is_settled = call.party(found).has_answered_finally && !strangers.provisional;
    if call.party(found).tag.is_none() || !(strangers.new_branch || is_settled) {
        return found;
    }
    let party = call.add_party(None, None, now);
    // It was told the ports of the one before: there was but one offer.
    call.party_mut(party).media = std::mem::take(&mut call.party_mut(found).media);
    party
}

/// Whom a party talks to, the newest last. Who has spoken of no section that is there for both is not found again.
fn peers(call: &Call, party: PartyId) -> impl Iterator<Item = PartyId> {
    let has_spoken = call.party(party).remote_description.is_some();
    let peers = call.party(party).peers.iter().copied();
    peers.filter(move |peer| !has_spoken || call.has_common_sections(party, *peer))
}

impl Party {
    /// Whether the party was told of any of its sections, if it has some.
    fn was_told_of_sections(&self) -> bool {
        let is_told = |media: &Media| media.shown != Visibility::Removed;
        self.media.is_empty() || self.media.iter().any(is_told)
    }
}

/// The party that has sent the offer, if it is known by another tag and may be recognised: by a message of its own that
/// asked for that, too.
fn known_by_another_tag(call: &Call, signal: &Signal, description: &Description) -> Option<PartyId> {
    let identity = PartyIdentity::of(description, signal.options.strangers.alias_key)?;
    let other = signal.to_tag.as_ref().and_then(|tag| call.tagged(tag));
    call.present()
        .find(|id| Some(*id) != other && call.party(*id).identities.contains(&identity))
}

fn remember_identity(call: &mut Call, sender: PartyId, signal: &Signal, description: &Description) {
    if let Some(identity) = PartyIdentity::of(description, signal.options.strangers.alias_key) {
        let identities = &mut call.party_mut(sender).identities;
        identities.retain(|known| std::mem::discriminant(known) != std::mem::discriminant(&identity));
        identities.push(identity);
    }
}

/// Gives a party its tag. One that it had before stays as an alias.
fn name(call: &mut Call, party: PartyId, tag: &Tag) {
    let party = call.party_mut(party);
    if tag.0.is_empty() || party.tag.as_ref() == Some(tag) || party.aliases.contains(tag) {
        return;
    }
    if let Some(former) = party.tag.replace(tag.clone()) {
        party.aliases.push(former);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::command::AliasKey;
    use crate::call::command::{SignalOptions, Strangers};
    use crate::call::section::crypto::testing::own_credentials;
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
        of_answer(
            call,
            &signal(from, Some(to), branch),
            &Description::default(),
            &to.into(),
            Time(0),
        )
        .unwrap()
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
    fn a_branch_that_comes_later_is_somebody_else() {
        let mut call = call();
        let first = offer(&mut call, "a", None, None);
        let second = offer(&mut call, "a", None, Some("1"));
        assert_ne!(first.receiver, second.receiver);
        assert_eq!(call.party(first.sender).peers, [first.receiver, second.receiver]);
        assert_ne!(offer(&mut call, "c", None, Some("1")).receiver, second.receiver);
    }

    #[test]
    fn who_is_offered_to_has_no_tag_before_it_answers() {
        let mut call = call();
        let first = offer(&mut call, "a", Some("b"), None);
        assert_eq!(call.party(first.receiver).tag, None);
        assert_eq!(answer(&mut call, "a", "b", None).sender, first.receiver);
        let own = offer(&mut call, "x", Some("x"), None);
        assert_eq!(answer(&mut call, "x", "y", None).sender, own.receiver);
    }

    #[test]
    fn who_was_offered_to_may_offer_first() {
        let mut call = call();
        let first = offer(&mut call, "a", None, Some("1"));
        let second = offer(&mut call, "a", None, Some("2"));
        let back = offer(&mut call, "b", Some("a"), Some("1"));
        assert_eq!((back.sender, back.receiver), (first.receiver, first.sender));
        assert!(call.party(second.receiver).peers.is_empty());
        let third = offer(&mut call, "c", Some("a"), None);
        assert_ne!(third.sender, second.receiver, "the branch has lost");
    }

    #[test]
    fn an_answer_to_nobody_known_makes_one_up() {
        let mut call = call();
        let first = offer(&mut call, "a", None, None);
        let back = answer(&mut call, "x", "a", None);
        assert_eq!(back.sender, first.sender);
        assert_eq!(call.party(back.receiver).tag, None);
        assert_ne!(back.receiver, first.receiver);
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
        of_answer(call, &signal, &Description::default(), &to.into(), Time(0)).unwrap()
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
            let mut signal = signal("a", None, None);
            signal.options.strangers.alias_key = alias_key;
            let description = Description::parse(&sdp(1)).unwrap();
            let first = of_offer(&mut call, &signal, &description, Time(0)).unwrap();
            answer(&mut call, "a", "b", None);
            let description = Description::parse(&sdp(version)).unwrap();
            (signal.from_tag, signal.to_tag) = ("a2".into(), Some("b".into()));
            let second = of_offer(&mut call, &signal, &description, Time(0)).unwrap();
            assert_eq!(first.sender == second.sender, known, "{alias_key:?} {version}");
        }
    }

    #[test]
    fn nobody_is_recognised_who_did_not_ask_for_it() {
        let mut call = call();
        let first = offer(&mut call, "a", None, None);
        answer(&mut call, "a", "b", None);
        let mut signal = signal("a2", Some("b"), None);
        signal.options.strangers.alias_key = AliasKey::Sdp;
        let second = of_offer(&mut call, &signal, &Description::default(), Time(0)).unwrap();
        assert_ne!(first.sender, second.sender);
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
            of_answer(
                &mut call,
                &signal("a", Some("a"), None),
                &Description::default(),
                &"a".into(),
                Time(0)
            ),
            Err(TalksToItself)
        );
    }

    #[test]
    fn a_stranger_takes_the_place_of_the_peer_when_he_offers() {
        let mut call = call();
        let first = offer(&mut call, "a", None, None);
        answer(&mut call, "a", "b", None);
        let third = offer(&mut call, "c", Some("b"), None);
        assert_eq!(call.party(first.receiver).peers, [third.sender]);
        assert!(call.party(first.sender).peers.is_empty());
        let to_nobody = |branch| {
            let mut call = call.clone();
            of_offer(
                &mut call,
                &signal("a", None, branch),
                &Description::default(),
                Time(0),
            )
        };
        assert_eq!(to_nobody(None), Err(TalksToItself));
        assert!(to_nobody(Some("1")).is_ok(), "somebody new");
        assert_eq!(call.party(first.sender).known_parties, [first.receiver]);
    }
}
