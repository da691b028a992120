//! Agents against each other, and against strangers.

mod attacks;
mod network;
mod pairs;

use std::time::Duration;

use proptest::prelude::*;

use self::network::{START, World};
use super::*;
use crate::security::{IceAgent, RemoteCandidate};

const A_RTP: &str = "203.0.113.1:30000";
const A_RTCP: &str = "203.0.113.1:30001";
const B_RTP: &str = "198.51.100.7:40000";
const B_RTCP: &str = "198.51.100.7:40001";
const B_RTP_V6: &str = "[2001:db8::7]:40002";
const NAT_RTP: &str = "192.0.2.99:61000";
const NAT_RTCP: &str = "192.0.2.99:61001";

/// Two agents with both components, who know of each other.
fn world() -> World {
    let mut world = World::new(
        plan("A", IceRole::Controlling, &[A_RTP, A_RTCP]),
        plan("B", IceRole::Controlled, &[B_RTP, B_RTCP]),
    );
    world.signal(0);
    world.signal(1);
    world
}

/// An agent that knows of nobody; its ports are RTP and RTCP in turn.
fn plan(name: &str, role: IceRole, addresses: &[&str]) -> IcePlan {
    let hosts = addresses.iter().enumerate().map(|(index, address)| Host {
        component: u8::try_from(index % 2 + 1).unwrap(),
        port: PortId(u32::try_from(index).unwrap()),
        address: address.parse().unwrap(),
    });
    IcePlan {
        agent: IceAgent {
            local: credentials(name, 1),
            remote: None,
            candidates: Vec::new(),
            complete: false,
        },
        role,
        lite: false,
        peer_lite: false,
        hosts: hosts.collect(),
    }
}

fn credentials(name: &str, generation: u32) -> IceCredentials {
    IceCredentials {
        ufrag: Arc::from(format!("{name}user{generation}")),
        pwd: Arc::from(format!("{name}password-of-22-chars-{generation}")),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const COMPLETED: [IceState; 2] = [IceState::Completed; 2];

#[test]
fn both_components_are_decided_on_once_they_work() {
    let mut world = world();
    assert_eq!(world.states(), [IceState::Checking; 2]);
    world.run(Duration::from_millis(90));
    assert_eq!(
        world.states(),
        [IceState::Connected; 2],
        "usable before the decision"
    );
    assert!(world.agree_on(1) && world.agree_on(2));
    world.run(Duration::from_millis(100));
    assert_eq!(world.states(), COMPLETED);
    assert!(world.agree_on(1) && world.agree_on(2));
    let route = world.sides[0].agent.selected(1).unwrap();
    assert!(world.sides[0].agent.accepts(route));
    let stranger = "192.0.2.1:5".parse().unwrap();
    assert!(!world.sides[0].agent.accepts(Route {
        remote: stranger,
        ..route
    }));
    assert!(!world.sides[0].agent.accepts(Route {
        port: PortId(1),
        ..route
    }));
}

#[test]
fn one_component_is_enough_if_there_is_no_other() {
    let mut world = World::new(
        plan("A", IceRole::Controlling, &[A_RTP]),
        plan("B", IceRole::Controlled, &[B_RTP]),
    );
    world.signal(0);
    world.signal(1);
    world.run(seconds(1));
    assert_eq!(world.states(), COMPLETED);
    assert_eq!(world.sides[0].agent.selected(2), None);
}

#[test]
fn who_is_behind_a_nat_is_found_by_its_requests() {
    let mut world = world();
    for (port, seen_as) in [(0, NAT_RTP), (1, NAT_RTCP)] {
        world.sides[1]
            .seen_as
            .insert(PortId(port), seen_as.parse().unwrap());
    }
    world.run(seconds(2));
    assert_eq!(world.states(), COMPLETED);
    assert!(world.agree_on(1) && world.agree_on(2));
    assert_eq!(
        world.sides[0].agent.selected(1).unwrap().remote,
        NAT_RTP.parse().unwrap()
    );
}

#[test]
fn a_lite_agent_answers_and_leaves_the_rest_to_the_other() {
    for lite in [0, 1] {
        let mut world = world();
        world.sides[lite].plan.lite = true;
        world.sides[1 - lite].plan.peer_lite = true;
        world.sides[lite].plan.role = IceRole::Controlled;
        world.sides[1 - lite].plan.role = IceRole::Controlling;
        for side in &mut world.sides {
            side.agent = Agent::new(&side.plan);
        }
        world.run(seconds(1));
        assert_eq!(world.states(), COMPLETED, "lite: {lite}");
        assert!(world.agree_on(1) && world.agree_on(2));
        assert_eq!(world.sides[lite].agent.poll_timeout(), None);
    }
}

#[test]
fn two_lite_agents_believe_each_other() {
    let mut world = world();
    for side in &mut world.sides {
        side.plan.lite = true;
        side.plan.peer_lite = true;
        side.agent = Agent::new(&side.plan);
    }
    assert!(world.agree_on(1) && world.agree_on(2));
    world.run(seconds(60));
    assert!(world.log.is_empty());
}

#[test]
fn of_two_with_one_role_one_gives_in() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut world = world();
        for side in &mut world.sides {
            side.plan.role = role;
            side.agent = Agent::new(&side.plan);
        }
        world.run(seconds(2));
        assert_eq!(world.states(), COMPLETED, "{role:?}");
        assert_ne!(world.sides[0].agent.role(), world.sides[1].agent.role());
        assert!(world.agree_on(1) && world.agree_on(2));
    }
}

#[test]
fn candidates_may_come_later() {
    let mut world = world();
    let late = std::mem::take(&mut world.sides[0].plan.agent.candidates);
    world.sides[1].plan.agent.candidates.clear();
    for side in &mut world.sides {
        side.plan.agent.complete = false;
        side.agent = Agent::new(&side.plan);
    }
    world.run(seconds(30));
    assert_eq!(world.states(), [IceState::Checking; 2]);
    assert!(world.log.is_empty());
    world.sides[0].plan.agent.candidates = late;
    world.update(0);
    world.run(seconds(1));
    assert_eq!(world.states(), COMPLETED, "and one side's are enough");
}

#[test]
fn what_does_not_work_fails_once_no_more_candidates_will_come() {
    let mut world = world();
    world.network.down = true;
    world.sides[0].plan.agent.complete = false;
    world.update(0);
    world.run(seconds(60));
    assert_eq!(world.states(), [IceState::Checking, IceState::Failed]);
    world.sides[0].plan.agent.complete = true;
    world.update(0);
    assert_eq!(world.states(), [IceState::Failed; 2]);
    assert_eq!(world.sides[0].agent.poll_timeout(), None);
}

#[test]
fn checks_are_repeated_seven_times_ever_more_slowly() {
    let mut world = World::new(
        plan("A", IceRole::Controlling, &[A_RTP]),
        plan("B", IceRole::Controlled, &[B_RTP]),
    );
    world.signal(0);
    world.network.down = true;
    world.run(seconds(60));
    let times: Vec<u128> = world.log.iter().map(|(at, ..)| at.as_millis()).collect();
    assert_eq!(times, [0, 100, 300, 700, 1500, 3100, 6300, 12_700]);
}

#[test]
fn requests_before_the_answer_are_not_in_vain() {
    let mut world = world();
    world.sides[0].plan.agent.remote = None;
    world.sides[0].plan.agent.candidates.clear();
    world.sides[0].agent = Agent::new(&world.sides[0].plan);
    world.run(Duration::from_millis(500));
    assert_eq!(world.sides[0].agent.state(), IceState::New);
    let heard = Route {
        port: PortId(0),
        remote: B_RTP.parse().unwrap(),
    };
    assert!(world.sides[0].agent.was_requested_from(heard));
    assert!(!world.sides[0].agent.accepts(heard));
    world.sides[0].plan.agent.remote = Some(credentials("B", 1));
    world.update(0);
    world.run(Duration::from_millis(300));
    assert_eq!(world.states(), COMPLETED);
}

#[test]
fn media_goes_on_while_ice_starts_over() {
    let mut world = world();
    world.run(seconds(1));
    let route = world.sides[0].agent.selected(1).unwrap();
    world.network.down = true;
    for side in 0..2 {
        let name = ["A", "B"][side];
        world.sides[side].plan.agent.local = credentials(name, 2);
    }
    world.signal(0);
    world.signal(1);
    world.run(seconds(1));
    assert_eq!(world.states(), [IceState::Checking; 2]);
    assert_eq!(world.sides[0].agent.selected(1), Some(route));
    assert!(world.sides[0].agent.accepts(route));
    world.network.down = false;
    world.run(seconds(5));
    assert_eq!(world.states(), COMPLETED);
    assert!(world.sides[0].agent.former.is_none());
}

/// What libwebrtc does when it restarts ICE: it checks its new candidates with our former ones, and where that succeeds it
/// stays with them and never takes our new credentials.
#[test]
fn who_restarts_ice_is_not_answered_before_it_knows_our_new_credentials() {
    for lite in [false, true] {
        let mut world = world();
        if lite {
            world.sides[0].plan.lite = true;
            world.sides[1].plan.peer_lite = true;
            world.sides[0].plan.role = IceRole::Controlled;
            world.sides[1].plan.role = IceRole::Controlling;
            for side in &mut world.sides {
                side.agent = Agent::new(&side.plan);
            }
        }
        world.run(seconds(1));
        assert_eq!(world.states(), COMPLETED);
        let moved = Route {
            port: PortId(0),
            remote: NAT_RTP.parse().unwrap(),
        };
        let answers = |world: &mut World, ours: u32, theirs: u32| {
            let (ours, theirs) = (credentials("A", ours), credentials("B", theirs));
            let request = world.request(&ours, &theirs);
            world.inject(0, moved, &request).is_some()
        };
        let checked = world.sides[0].agent.pairs.len();
        assert!(!answers(&mut world, 1, 2), "ahead of the offer");
        world.sides[0].plan.agent.local = credentials("A", 2);
        world.sides[0].plan.agent.remote = Some(credentials("B", 2));
        world.update(0);
        assert!(!answers(&mut world, 1, 2), "ahead of the answer");
        assert!(answers(&mut world, 1, 1), "as before the restart");
        assert!(!answers(&mut world, 2, 1));
        assert_eq!(world.sides[0].agent.pairs.len(), checked, "nothing is learned");
        assert!(answers(&mut world, 2, 2));
        assert_eq!(world.sides[0].agent.pairs.len(), checked + 1);
        assert_eq!(
            world.sides[0].agent.accepts(moved),
            lite,
            "a full agent checks it"
        );
    }
}

/// RFC 8445 section 7.3: a request that comes before the SDP that it belongs to is answered.
#[test]
fn who_answers_new_credentials_of_ours_is_heard_before_its_answer_is() {
    let mut world = world();
    world.run(seconds(1));
    world.sides[0].plan.agent.local = credentials("A", 2);
    world.update(0);
    let early = world.request(&credentials("A", 2), &credentials("B", 2));
    let route = Route {
        port: PortId(0),
        remote: NAT_RTP.parse().unwrap(),
    };
    assert!(world.inject(0, route, &early).is_some());
}

/// RFC 7675: also of what was in use before a restart.
#[test]
fn what_was_in_use_before_a_restart_needs_consent_too() {
    for lite in [false, true] {
        for gone in [true, false] {
            let mut world = world();
            if lite {
                world.sides[0].plan.lite = true;
                world.sides[1].plan.peer_lite = true;
                world.sides[0].plan.role = IceRole::Controlled;
                world.sides[1].plan.role = IceRole::Controlling;
                for side in &mut world.sides {
                    side.agent = Agent::new(&side.plan);
                }
            }
            world.run(seconds(10));
            let route = world.sides[0].agent.selected(1);
            assert!(route.is_some());
            // The peer does not know of it: it goes on as before, or is not there any more.
            world.sides[0].plan.agent.local = credentials("A", 2);
            world.sides[0].plan.agent.remote = Some(credentials("B", 2));
            world.update(0);
            world.network.down = gone;
            world.run(seconds(20));
            assert_eq!(world.sides[0].agent.selected(1), route);
            world.run(seconds(50));
            let expected = if gone { None } else { route };
            assert_eq!(world.sides[0].agent.selected(1), expected, "lite: {lite}");
        }
    }
}

#[test]
fn without_consent_nothing_is_sent_any_more() {
    let mut world = world();
    world.run(seconds(300));
    assert_eq!(world.states(), COMPLETED, "consent is renewed");
    let asked = world.log.len();
    world.network.down = true;
    world.run(seconds(31));
    assert!((world.log.len() - asked) / 4 <= 8, "not often");
    world.run(seconds(30));
    assert_eq!(world.states(), [IceState::Disconnected; 2]);
    assert_eq!(world.sides[0].agent.selected(1), None);
    let asked = world.log.len();
    world.run(seconds(300));
    assert_eq!(world.log.len(), asked, "nobody is bothered any more");
}

#[test]
fn a_pair_that_stops_working_is_replaced_by_another() {
    let mut world = World::new(
        plan(
            "A",
            IceRole::Controlling,
            &[A_RTP, A_RTCP, "203.0.113.2:30002", "203.0.113.2:30003"],
        ),
        plan("B", IceRole::Controlled, &[B_RTP, B_RTCP]),
    );
    world.signal(0);
    world.signal(1);
    world.run(seconds(2));
    assert_eq!(world.states(), COMPLETED);
    let before = world.sides[0].agent.selected(1).unwrap();
    assert_eq!(before.port, PortId(0), "the most wanted");
    world.network.cut = Some(A_RTP.parse().unwrap());
    world.run(seconds(70));
    let after = world.sides[0].agent.selected(1).unwrap();
    assert_eq!(after.port, PortId(2));
    assert!(world.agree_on(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the network does to single datagrams: both sides agree.
    #[test]
    fn agents_agree_over_a_bad_network(
        seed: u64,
        nat: bool,
        conflict: bool,
        lite: bool,
        both_families: bool,
        late in 0_u64..3000,
    ) {
        let more: &[&str] = if both_families { &["[2001:db8::1]:30002", "[2001:db8::1]:30003"] } else { &[] };
        let first = [&[A_RTP, A_RTCP][..], more].concat();
        let mut second = vec![B_RTP, B_RTCP];
        if both_families {
            second.extend([B_RTP_V6, "[2001:db8::7]:40003"]);
        }
        let role = if conflict { IceRole::Controlling } else { IceRole::Controlled };
        let mut world = World::new(plan("A", IceRole::Controlling, &first), plan("B", role, &second));
        if lite && !conflict {
            world.sides[1].plan.lite = true;
            world.sides[0].plan.peer_lite = true;
            for side in &mut world.sides {
                side.agent = Agent::new(&side.plan);
            }
        }
        world.network.seed = seed | 1;
        world.network.lossy = true;
        if nat && !lite {
            for (port, seen_as) in [(0, NAT_RTP), (1, NAT_RTCP)] {
                world.sides[1].seen_as.insert(PortId(port), seen_as.parse().unwrap());
            }
        }
        world.signal(1);
        world.run(Duration::from_millis(late));
        world.signal(0);
        world.run(seconds(25));
        world.network.lossy = false;
        world.run(seconds(15));
        prop_assert_eq!(world.states(), COMPLETED);
        prop_assert!(world.agree_on(1) && world.agree_on(2));
        prop_assert!(world.sides.iter().all(|side| side.agent.pairs.len() <= 8));
    }
}
