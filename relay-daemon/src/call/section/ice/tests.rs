use crate::call::section::crypto::testing::{counting, section};

use super::*;
use crate::call::command::IceLite;

const CREDENTIALS: &str = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";
const RESTARTED: &str = "a=ice-ufrag:7ggX\r\na=ice-pwd:zzz88fgpdd777uzjYhagZg\r\n";

/// Both sides of a section.
#[derive(Default)]
struct Sides {
    caller: Ice,
    callee: Ice,
    /// Makes credentials differ from call to call.
    rounds: usize,
}

impl Sides {
    fn offer(&mut self, lines: &str, change: impl Fn(&mut IceMessage<'_>)) -> IceChange {
        let Sides {
            caller,
            callee,
            rounds,
        } = self;
        exchange(Kind::Offer, lines, change, caller, callee, rounds)
    }

    fn answer(&mut self, lines: &str, change: impl Fn(&mut IceMessage<'_>)) -> IceChange {
        let Sides {
            caller,
            callee,
            rounds,
        } = self;
        exchange(Kind::Answer, lines, change, callee, caller, rounds)
    }
}

fn exchange(
    kind: Kind,
    lines: &str,
    change: impl Fn(&mut IceMessage<'_>),
    sender: &mut Ice,
    receiver: &mut Ice,
    rounds: &mut usize,
) -> IceChange {
    *rounds += 1;
    let mut random = counting();
    random(&mut vec![0; *rounds]);
    let section = section("RTP/AVP", lines);
    let mut message = IceMessage {
        is_new: false,
        kind,
        section: &section,
        peer_lite: false,
        options: IceOptions::default(),
        reset: false,
        passes_on: false,
    };
    change(&mut message);
    message.apply(sender, receiver, &mut random)
}

fn mode(mode: IceMode) -> impl Fn(&mut IceMessage<'_>) {
    move |message| message.options.mode = mode
}

fn none(_: &mut IceMessage<'_>) {}

fn ufrag(ice: &Ice) -> String {
    ice.agent().expect("an agent").local.ufrag.to_string()
}

/// `-` for no ICE, `H` if it ends here, `T` if it passes through: the callee's side after an offer.
fn offered(lines: &str, wish: IceMode) -> (char, char) {
    let mut sides = Sides::default();
    sides.offer(lines, mode(wish));
    (letter(&sides.caller), letter(&sides.callee))
}

fn letter(ice: &Ice) -> char {
    match ice.side {
        IceSide::Off => '-',
        IceSide::Here(_) => 'H',
        IceSide::Through => 'T',
    }
}

#[test]
fn what_an_offer_brings() {
    for (wish, without, with) in [
        (IceMode::Default, ('-', '-'), ('H', 'H')),
        (IceMode::Force, ('-', 'H'), ('H', 'H')),
        (IceMode::Remove, ('-', '-'), ('H', '-')),
        (IceMode::Optional, ('-', 'H'), ('T', 'T')),
        (IceMode::ForceRelay, ('-', '-'), ('T', 'T')),
    ] {
        assert_eq!(offered("", wish), without, "{wish:?}");
        assert_eq!(offered(CREDENTIALS, wish), with, "{wish:?}");
    }
}

#[test]
fn who_answers_without_ice_is_asked_again_only_by_request() {
    let mut sides = Sides::default();
    sides.offer("", mode(IceMode::Force));
    let first = ufrag(&sides.callee);
    sides.answer("", none);
    assert_eq!(letter(&sides.callee), '-');
    sides.offer(CREDENTIALS, none);
    assert_eq!(letter(&sides.callee), '-');
    sides.offer("", mode(IceMode::Force));
    assert_eq!(ufrag(&sides.callee), first, "the same agent goes on");
    sides.offer("", |message| {
        message.options.mode = IceMode::Force;
        message.reset = true;
    });
    assert_ne!(ufrag(&sides.callee), first);
}

#[test]
fn who_does_ice_is_offered_it_again() {
    let mut sides = Sides::default();
    sides.offer("", none);
    sides.answer(CREDENTIALS, none);
    assert_eq!(letter(&sides.callee), '-', "it was not asked");
    sides.offer("", none);
    assert_eq!(letter(&sides.callee), 'H');
    sides.offer("", mode(IceMode::Remove));
    assert_eq!(letter(&sides.callee), '-');
    sides.offer("", none);
    assert_eq!(letter(&sides.callee), 'H');
    sides.answer(CREDENTIALS, |message| message.options.reject = true);
    sides.offer("", none);
    assert_eq!(letter(&sides.callee), '-');
}

#[test]
fn what_passes_through_once_does_so_for_good() {
    let mut sides = Sides::default();
    sides.offer(CREDENTIALS, mode(IceMode::Optional));
    sides.answer("", mode(IceMode::Remove));
    for wish in [IceMode::Default, IceMode::Force, IceMode::Remove] {
        sides.offer("", mode(wish));
        assert_eq!(
            (letter(&sides.caller), letter(&sides.callee)),
            ('T', 'T'),
            "{wish:?}"
        );
    }
}

#[test]
fn an_answer_may_let_pass_what_both_ends_do() {
    for (offered, answered, letters) in [
        (CREDENTIALS, CREDENTIALS, ('T', 'T')),
        (CREDENTIALS, "", ('H', '-')),
        ("", CREDENTIALS, ('-', '-')),
    ] {
        let mut sides = Sides::default();
        sides.offer(offered, none);
        sides.answer(answered, mode(IceMode::Optional));
        assert_eq!((letter(&sides.caller), letter(&sides.callee)), letters);
    }
}

#[test]
fn only_the_side_that_restarts_gets_new_credentials() {
    let mut sides = Sides::default();
    assert_eq!(sides.offer(CREDENTIALS, none), IceChange::Same);
    sides.answer(CREDENTIALS, none);
    let before = (ufrag(&sides.caller), ufrag(&sides.callee));
    assert_eq!(sides.offer(CREDENTIALS, none), IceChange::Same);
    assert_eq!((ufrag(&sides.caller), ufrag(&sides.callee)), before);
    assert_eq!(sides.offer(RESTARTED, none), IceChange::Restarted);
    assert_ne!(ufrag(&sides.caller), before.0);
    assert_eq!(ufrag(&sides.callee), before.1);
}

#[test]
fn an_answer_makes_no_credentials_of_ours_anew() {
    let mut sides = Sides::default();
    sides.offer(CREDENTIALS, none);
    sides.answer(CREDENTIALS, none);
    let before = (ufrag(&sides.caller), ufrag(&sides.callee));
    // Another device answers.
    sides.answer(RESTARTED, none);
    assert_eq!((ufrag(&sides.caller), ufrag(&sides.callee)), before);
}

#[test]
fn whoever_was_never_heard_of_is_told_what_an_answer_says() {
    let mut sides = Sides::default();
    sides.answer(CREDENTIALS, none);
    assert_eq!(letter(&sides.caller), 'H');
    let mut sides = Sides::default();
    sides.answer(CREDENTIALS, mode(IceMode::Remove));
    assert_eq!(letter(&sides.caller), '-');
}

#[test]
fn where_there_never_was_ice_nothing_is_said_of_it() {
    let options = IceOptions {
        trickle: true,
        ..IceOptions::default()
    };
    for (wish, expected) in [(IceMode::Default, None), (IceMode::Force, Some("trickle"))] {
        let mut sides = Sides::default();
        sides.offer("", mode(wish));
        sides.answer("", none);
        sides.offer("", |message| message.options.trickle = true);
        let text = sides.callee.text(Kind::Offer, options, Vec::new());
        assert_eq!(
            (text.ufrag, text.options.as_deref()),
            (None, expected),
            "{wish:?}"
        );
    }
}

#[test]
fn what_a_party_can_do_is_repeated_without_ice() {
    let offered = format!("{CREDENTIALS}a=ice-options:trickle\r\n");
    for (reject, expected) in [(false, Some("trickle")), (true, None)] {
        let mut sides = Sides::default();
        sides.offer(&offered, |message| message.options.reject = reject);
        sides.answer("", mode(IceMode::Remove));
        let text = sides.caller.text(Kind::Answer, IceOptions::default(), Vec::new());
        assert_eq!(
            (text.ufrag, text.options.as_deref()),
            (None, expected),
            "{reject}"
        );
    }
}

#[test]
fn candidates_elsewhere_are_a_restart() {
    let mut sides = Sides::default();
    sides.offer(CREDENTIALS, none);
    let mut random = counting();
    sides.caller.settle_at(PortId(0), &mut random);
    let first = ufrag(&sides.caller);
    sides.caller.settle_at(PortId(0), &mut random);
    assert_eq!(ufrag(&sides.caller), first);
    sides.caller.settle_at(PortId(1), &mut random);
    assert_ne!(ufrag(&sides.caller), first);
}

#[test]
fn ice_may_be_rejected_either_way() {
    let mut sides = Sides::default();
    sides.offer(CREDENTIALS, |message| message.options.reject = true);
    assert_eq!((letter(&sides.caller), letter(&sides.callee)), ('-', 'H'));
    let mut sides = Sides::default();
    sides.offer(CREDENTIALS, none);
    sides.answer("", mode(IceMode::Remove));
    assert_eq!(letter(&sides.caller), '-');
}

#[test]
fn roles_follow_the_offer_and_lite_agents() {
    let mut ice = Ice::default();
    assert_eq!(ice.role(true), IceRole::Controlling);
    assert_eq!(ice.role(false), IceRole::Controlled);
    ice.peer.lite = true;
    assert_eq!(ice.role(false), IceRole::Controlling);
    ice.lite = true;
    assert_eq!(ice.role(false), IceRole::Controlled);
    ice.peer.lite = false;
    assert_eq!(ice.role(true), IceRole::Controlled);
}

#[test]
fn lite_agents_stay_lite() {
    let mut sides = Sides::default();
    sides.offer(CREDENTIALS, |message| {
        message.options.lite = Some(IceLite {
            forward: true,
            backward: false,
        });
    });
    sides.offer(CREDENTIALS, none);
    assert_eq!((sides.caller.lite, sides.callee.lite), (false, true));
    sides.offer(CREDENTIALS, |message| {
        message.options.lite = Some(IceLite::default());
    });
    assert!(!sides.callee.lite);
}

#[test]
fn usable_candidates_are_taken_in() {
    let lines = format!(
        "{CREDENTIALS}a=candidate:1 1 UDP 2130706431 198.51.100.31 11798 typ host\r\n\
         a=candidate:2 1 TCP 1509957375 198.51.100.31 9 typ host tcptype active\r\n\
         a=candidate:3 1 udp 2122194687 5b7e9d0c.local 50001 typ host\r\n\
         a=candidate:4 2 udp 2122262783 2001:db8::31 50002 typ srflx raddr :: rport 9\r\n\
         a=candidate:5 3 udp 2122262783 2001:db8::31 50002 typ host\r\n\
         a=candidate:6 1 udp 1 198.51.100.31 11798 typ relay\r\n\
         a=candidate:7 2 udp 2122262784 2001:db8::31 50002 typ host\r\na=end-of-candidates\r\n"
    );
    let mut sides = Sides::default();
    sides.offer(&lines, none);
    let agent = sides.caller.agent().unwrap();
    let seen: Vec<_> = agent
        .candidates
        .iter()
        .map(|candidate| (&*candidate.foundation, candidate.component, candidate.kind))
        .collect();
    assert_eq!(
        seen,
        [("1", 1, CandidateKind::Host), ("7", 2, CandidateKind::Host)]
    );
    assert!(agent.complete);
}

#[test]
fn no_more_than_so_many_candidates() {
    let mut lines = CREDENTIALS.to_owned();
    for port in 1..=2 * MAX_CANDIDATES {
        lines += &format!("a=candidate:1 1 UDP 1 198.51.100.31 {port} typ host\r\n");
    }
    let mut sides = Sides::default();
    sides.offer(&lines, none);
    assert_eq!(sides.caller.agent().unwrap().candidates.len(), MAX_CANDIDATES);
}

#[test]
fn fragments_add_to_the_generation_that_they_name() {
    let mut sides = Sides::default();
    sides.offer(CREDENTIALS, none);
    let candidate = "a=candidate:1 1 UDP 2130706431 198.51.100.31 11798 typ host\r\n";
    let count = |sides: &Sides| sides.caller.agent().unwrap().candidates.len();
    let other = format!("{RESTARTED}{candidate}");
    sides.caller.add_fragment(&section("RTP/AVP", &other));
    assert_eq!(count(&sides), 0);
    let same = format!("{CREDENTIALS}{candidate}");
    sides.caller.add_fragment(&section("RTP/AVP", &same));
    assert_eq!(count(&sides), 1);
    sides
        .caller
        .add_fragment(&section("RTP/AVP", "a=end-of-candidates\r\n"));
    assert!(sides.caller.agent().unwrap().complete);
}

#[test]
fn options_are_said_where_they_hold() {
    let mut sides = Sides::default();
    sides.offer(&format!("{CREDENTIALS}a=ice-options:rtp+ecn trickle\r\n"), none);
    let words = |ice: &Ice, kind, options| {
        let text = ice.text(kind, options, Vec::new());
        (
            text.options.map(|words| words.to_string()),
            text.end_of_candidates,
        )
    };
    let plain = IceOptions::default();
    assert_eq!(
        words(&sides.caller, Kind::Answer, plain),
        (Some("trickle".into()), true)
    );
    assert_eq!(words(&sides.callee, Kind::Offer, plain), (None, false));
    let both = IceOptions {
        trickle: true,
        ice2: true,
        ..plain
    };
    let trickle_ice2 = (Some("trickle ice2".into()), true);
    assert_eq!(words(&sides.callee, Kind::Offer, both), trickle_ice2);
    assert_eq!(
        words(&sides.callee, Kind::Answer, both),
        (None, false),
        "not offered"
    );
    sides.answer(&format!("{CREDENTIALS}a=ice-options:ice2\r\n"), none);
    assert_eq!(
        words(&sides.callee, Kind::Offer, plain),
        (Some("ice2".into()), false)
    );
}
