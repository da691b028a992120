//! Requests and answers of others than the peer.

use super::*;
use crate::stun::{Claim, Writer, code};

/// A request to A, as B would make it, changed.
struct Request<'a> {
    username: Option<&'a str>,
    password: Option<&'a str>,
    unknown: bool,
    claim: Option<Claim>,
}

const FROM_B: Request<'static> = Request {
    username: Some("Auser1:Buser1"),
    password: Some("Apassword-of-22-chars-1"),
    unknown: false,
    claim: None,
};

impl Request<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer, Class::Request, [9; 12]);
        if let Some(username) = self.username {
            writer.username([username, "", ""]);
        }
        if let Some(claim) = self.claim {
            writer.claim(claim);
        }
        if self.unknown {
            writer.attribute(0x7fff, &[1]);
        }
        let key = self.password.map(|password| Key::new(password.as_bytes()));
        writer.finish(key.as_ref());
        buffer
    }
}

fn from(address: &str) -> Route {
    Route {
        port: PortId(0),
        remote: address.parse().unwrap(),
    }
}

/// The code of the answer, or 0 for success; and whether it is signed.
fn answer(world: &mut World, request: &Request<'_>) -> (u16, bool) {
    let bytes = world.inject(0, from("192.0.2.66:666"), &request.bytes()).unwrap();
    let message = Message::parse(&bytes).unwrap();
    let code = match message.class {
        Class::Success => 0,
        Class::Error => message.error.unwrap(),
        Class::Request | Class::Indication => panic!("{message:?}"),
    };
    assert_eq!(message.transaction, [9; 12]);
    let key = Key::new(b"Apassword-of-22-chars-1");
    (code, message.is_signed_with(&key))
}

#[test]
fn what_is_wrong_is_refused_and_leaves_nothing_behind() {
    let mut world = world();
    let pairs = world.sides[0].agent.pairs.len();
    let claim = |role, tie_breaker| Some(Claim { role, tie_breaker });
    for (request, expected) in [
        (
            Request {
                username: None,
                ..FROM_B
            },
            (code::BAD_REQUEST, false),
        ),
        (
            Request {
                password: None,
                ..FROM_B
            },
            (code::BAD_REQUEST, false),
        ),
        (
            Request {
                username: Some("Auser1"),
                ..FROM_B
            },
            (code::UNAUTHENTICATED, false),
        ),
        (
            Request {
                username: Some("Auser12:B"),
                ..FROM_B
            },
            (code::UNAUTHENTICATED, false),
        ),
        (
            Request {
                username: Some("Buser1:Auser1"),
                ..FROM_B
            },
            (code::UNAUTHENTICATED, false),
        ),
        (
            Request {
                password: Some("guess"),
                ..FROM_B
            },
            (code::UNAUTHENTICATED, false),
        ),
        (
            Request {
                unknown: true,
                ..FROM_B
            },
            (code::UNKNOWN_ATTRIBUTE, true),
        ),
        (
            Request {
                claim: claim(IceRole::Controlling, 0),
                ..FROM_B
            },
            (code::ROLE_CONFLICT, true),
        ),
    ] {
        assert_eq!(answer(&mut world, &request), expected);
        assert_eq!(world.sides[0].agent.pairs.len(), pairs);
    }
    assert_eq!(answer(&mut world, &FROM_B), (0, true));
    assert_eq!(world.sides[0].agent.pairs.len(), pairs + 1);
    let wins = Request {
        claim: claim(IceRole::Controlling, u64::MAX),
        ..FROM_B
    };
    assert_eq!(answer(&mut world, &wins), (0, true));
    assert_eq!(world.sides[0].agent.role(), IceRole::Controlled);
}

#[test]
fn a_flood_of_requests_costs_nothing_that_grows() {
    let mut world = world();
    let forged = Request {
        password: Some("guess"),
        ..FROM_B
    }
    .bytes();
    let genuine = FROM_B.bytes();
    let pairs = world.sides[0].agent.pairs.len();
    for port in 1..=20_000 {
        let route = from(&format!("192.0.2.66:{port}"));
        assert!(world.inject(0, route, &forged).is_some());
    }
    assert_eq!(world.sides[0].agent.pairs.len(), pairs);
    // Somebody who knows the password, or repeats what he saw.
    for port in 1..=2000 {
        assert!(
            world
                .inject(0, from(&format!("192.0.2.66:{port}")), &genuine)
                .is_some()
        );
    }
    assert_eq!(world.sides[0].agent.pairs.len(), MAX_PAIRS);
    world.run(seconds(2));
    assert!(
        world.agree_on(1) && world.agree_on(2),
        "the call goes on all the same"
    );
}

#[test]
fn answers_of_others_do_not_count() {
    let mut world = World::new(
        plan("A", IceRole::Controlling, &[A_RTP]),
        plan("B", IceRole::Controlled, &[B_RTP]),
    );
    world.signal(0);
    world.network.down = true;
    world.run(Duration::from_millis(10));
    let transaction = world.sides[0].agent.pairs[0].check.unwrap().transaction;
    let answer = |class, password: Option<&str>| {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer, class, transaction);
        writer.mapped(A_RTP.parse().unwrap());
        if class == Class::Error {
            writer.error(code::ROLE_CONFLICT);
        }
        let key = password.map(|password| Key::new(password.as_bytes()));
        writer.finish(key.as_ref());
        buffer
    };
    let password = "Bpassword-of-22-chars-1";
    let state = |world: &World| (world.sides[0].agent.state(), world.sides[0].agent.role());
    let before = (IceState::Checking, IceRole::Controlling);
    for (source, class, password) in [
        (B_RTP, Class::Success, None),
        (B_RTP, Class::Success, Some("Apassword-of-22-chars-1")),
        (B_RTP, Class::Error, None),
        ("192.0.2.66:666", Class::Success, Some(password)),
    ] {
        world.inject(0, from(source), &answer(class, password));
        assert_eq!(state(&world), before);
    }
    world.inject(0, from(B_RTP), &answer(Class::Success, Some(password)));
    assert_eq!(world.sides[0].agent.state(), IceState::Connected);
}

/// A party that moves without starting over decides anew, whatever the priorities; and who repeats what it said earlier from
/// elsewhere changes nothing.
#[test]
fn a_lite_agent_follows_the_newest_decision_of_the_peer_only() {
    let mut lite = plan("A", IceRole::Controlled, &[A_RTP]);
    lite.lite = true;
    let mut world = World::new(lite, plan("B", IceRole::Controlling, &[B_RTP]));
    world.sides[0].plan.agent.remote = Some(credentials("B", 1));
    world.update(0);
    let decision = |priority: u32, number: u8| {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer, Class::Request, [number; 12]);
        writer.username(["Auser1", ":", "Buser1"]);
        writer.priority(priority);
        writer.claim(Claim {
            role: IceRole::Controlling,
            tie_breaker: 1,
        });
        writer.use_candidate();
        writer.finish(Some(&Key::new(b"Apassword-of-22-chars-1")));
        buffer
    };
    let (first, second) = (decision(2_000_000_000, 1), decision(1_000_000, 2));
    let (old, new, elsewhere) = (
        from("198.51.100.7:1"),
        from("198.51.100.8:2"),
        from("192.0.2.66:666"),
    );
    let selected = |world: &World| world.sides[0].agent.selected(1);
    world.inject(0, old, &first).unwrap();
    assert_eq!(selected(&world), Some(old));
    world.inject(0, new, &second).unwrap();
    assert_eq!(selected(&world), Some(new));
    for repeated in [&first, &second] {
        world.inject(0, elsewhere, repeated).unwrap();
        assert_eq!(selected(&world), Some(new));
        assert!(!world.sides[0].agent.accepts(elsewhere));
    }
    world.inject(0, old, &decision(2_000_000_000, 3)).unwrap();
    assert_eq!(selected(&world), Some(old), "and back");
}

proptest! {
    #[test]
    fn any_bytes(datagram in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut world = world();
        prop_assert_eq!(world.inject(0, from(B_RTP), &datagram), None);
    }
}
