//! What the media is told of ICE.

use crate::call::command::{BundleOffer, BundleOptions, Command, IceMode};
use crate::plan::{IcePlan, SelectedPair};
use crate::security::IceRole;

use super::world::{ANSWER, OFFER, World, answer, offer, signal};

const ICE: &str = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n\
    a=candidate:1 1 UDP 2130706431 198.51.100.31 4000 typ host\r\n\
    a=candidate:1 2 UDP 2130706430 198.51.100.31 4001 typ host\r\n\
    a=candidate:1 1 TCP 2130706431 198.51.100.31 9 typ host tcptype active\r\n";

/// The agents, those that know their peer first.
fn agents(world: &World) -> Vec<IcePlan> {
    let streams = world.plan().streams.iter();
    let mut agents: Vec<IcePlan> = streams
        .filter_map(|stream| stream.ice.as_deref().cloned())
        .collect();
    agents.sort_by_key(|plan| plan.agent.remote.is_none());
    agents
}

/// With candidates at how many addresses each.
fn components(plan: &IcePlan) -> Vec<(u8, usize)> {
    let count = |component| {
        let hosts = plan.hosts.iter().filter(|host| host.component == component);
        hosts.count()
    };
    let counts = [1, 2].map(|component| (component, count(component)));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn each_section_with_ice_has_one_agent_for_both_components() {
    let mut world = World::new();
    world.sdp(offer("a", None, &format!("{OFFER}{ICE}")));
    let [caller, callee] = &agents(&world)[..] else {
        panic!("one for each side");
    };
    assert_eq!(
        (caller.role, callee.role),
        (IceRole::Controlled, IceRole::Controlling)
    );
    assert_eq!(components(caller), [(1, 2), (2, 2)]);
    assert_eq!(components(callee), [(1, 2), (2, 2)]);
    assert_eq!(caller.agent.candidates.len(), 2);
    assert!(caller.agent.complete, "it does not trickle");
    let ports: Vec<_> = world
        .plan()
        .streams
        .iter()
        .flat_map(|stream| &stream.ports)
        .collect();
    for host in caller.hosts.iter().chain(&callee.hosts) {
        assert!(
            ports
                .iter()
                .any(|port| (port.id, port.address) == (host.port, host.address))
        );
    }
    let before = caller.clone();
    world.sdp(answer("a", "b", ANSWER));
    assert_eq!(agents(&world), [before], "the callee has refused");
}

#[test]
fn a_section_on_the_transport_of_another_has_no_agent_of_its_own() {
    let sections = |group: &str| {
        let audio = format!("{ICE}a=mid:0\r\na=rtcp-mux\r\n");
        let video = "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=mid:1\r\na=rtcp-mux\r\n\
            a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";
        let sdp = format!("{OFFER}{audio}{video}");
        sdp.replace("t=0 0\r\n", &format!("t=0 0\r\n{group}"))
    };
    let mut world = World::new();
    let mut first = signal("a", None, &sections(""));
    first.options.bundle = BundleOptions {
        offer: BundleOffer::Offered,
        ..BundleOptions::default()
    };
    first.options.rtcp_mux.offer = true;
    world.sdp(Command::Offer(Box::new(first)));
    assert_eq!(agents(&world).len(), 4, "the callee may bundle or not");
    world.sdp(answer("a", "b", &sections("a=group:BUNDLE 0 1\r\n")));
    let agents = agents(&world);
    assert_eq!(agents.len(), 3, "it does");
    assert!(agents.iter().all(|agent| agent.agent.remote.is_some()));
    assert!(
        agents.iter().any(|agent| components(agent) == [(1, 2)]),
        "and has RTCP muxed"
    );
}

/// Which stream gets the checks that arrive at which.
fn checks(world: &World) -> Vec<(u32, u32)> {
    let streams = world.plan().streams.iter();
    let sinks = streams.flat_map(|stream| stream.check_sinks.iter().map(|sink| (stream.id.0, sink.0)));
    sinks.collect()
}

#[test]
fn checks_pass_where_we_are_but_a_candidate() {
    for (mode, passes) in [
        (IceMode::Default, false),
        (IceMode::Force, false),
        (IceMode::Remove, false),
        (IceMode::Optional, true),
        (IceMode::ForceRelay, true),
    ] {
        let message = |from, to, sdp: &str| {
            let mut message = signal(from, to, &format!("{sdp}{ICE}"));
            message.options.ice.mode = mode;
            Box::new(message)
        };
        let mut world = World::new();
        world.sdp(Command::Offer(message("a", None, OFFER)));
        world.sdp(Command::Answer(message("a", Some("b"), ANSWER)));
        let component = [(0, 2), (1, 3), (2, 0), (3, 1)];
        assert_eq!(
            checks(&world),
            if passes { &component[..] } else { &[] },
            "{mode:?}"
        );
        // Neither holding the call nor blocking its media ends them.
        let hold = OFFER.replace("sendrecv", "inactive");
        world.sdp(Command::Offer(message("a", Some("b"), &hold)));
        assert_eq!(checks(&world).len(), if passes { 4 } else { 0 }, "{mode:?}");
    }
}

/// ICE with a side is completed, at our candidates of this rank.
fn complete(world: &World, role: IceRole, rank: usize) {
    let streams = &world.plan().streams;
    let of_role = |plan: &&IcePlan| plan.role == role;
    let plan = streams
        .iter()
        .find_map(|stream| stream.ice.as_deref().filter(of_role))
        .unwrap();
    for component in [1, 2] {
        let mut hosts = plan.hosts.iter().filter(|host| host.component == component);
        let host = hosts.nth(rank).unwrap();
        let has_port =
            |stream: &&crate::plan::StreamPlan| stream.ports.iter().any(|port| port.id == host.port);
        let stream = streams.iter().find(has_port).unwrap();
        stream.status.publish_selected(Some(SelectedPair {
            ufrag: plan.agent.local.ufrag.clone(),
            port: host.port,
            remote: ([198, 51, 100, 77], 7000 + u16::from(component)).into(),
        }));
    }
}

fn candidates(sdp: &str) -> (usize, Option<&str>) {
    let count = sdp
        .lines()
        .filter(|line| line.starts_with("a=candidate:"))
        .count();
    let remote = sdp
        .lines()
        .find_map(|line| line.strip_prefix("a=remote-candidates:"));
    (count, remote)
}

#[test]
fn what_was_decided_on_is_said_in_later_messages() {
    let mut world = World::new();
    let (from_a, from_b) = (format!("{OFFER}{ICE}"), format!("{ANSWER}{ICE}"));
    let remote = Some("1 198.51.100.77 7001 2 198.51.100.77 7002");
    assert_eq!(candidates(&world.sdp(offer("a", None, &from_a))), (4, None));
    assert_eq!(candidates(&world.sdp(answer("a", "b", &from_b))), (4, None));
    complete(&world, IceRole::Controlling, 0);
    complete(&world, IceRole::Controlled, 0);
    let told = world.sdp(offer("a", Some("b"), &from_a));
    assert_eq!(candidates(&told), (2, remote));
    let told = world.sdp(answer("a", "b", &from_b));
    assert_eq!(candidates(&told), (2, None), "we do not decide with the caller");
    let told = world.sdp(offer("b", Some("a"), &from_b));
    assert_eq!(candidates(&told), (2, None), "nor now");
    // Elsewhere than at the address in `c=`: then the party would find that they do not match.
    complete(&world, IceRole::Controlling, 1);
    let told = world.sdp(offer("a", Some("b"), &from_a));
    assert_eq!(candidates(&told), (4, None));
    // What came of ICE before it was started anew does not count.
    complete(&world, IceRole::Controlling, 0);
    for stream in &world.plan().streams {
        let former = stream.status.selected().map(|selected| SelectedPair {
            ufrag: "former".into(),
            ..selected
        });
        stream.status.publish_selected(former);
    }
    let told = world.sdp(offer("a", Some("b"), &from_a));
    assert_eq!(candidates(&told), (4, None));
}

/// Our username fragment in an SDP.
fn ufrag(sdp: &str) -> &str {
    let line = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    line.expect("ICE")
}

#[test]
fn who_starts_ice_over_is_told_the_credentials_that_the_agent_has() {
    for (to, lite) in [(None, false), (Some("b"), false), (None, true), (Some("b"), true)] {
        let mut world = World::new();
        world.host.random.1 = true;
        let browser = format!("{OFFER}{ICE}a=mid:0\r\na=rtcp-mux\r\n");
        let browser = browser.replace("t=0 0\r\n", "t=0 0\r\na=group:BUNDLE 0\r\n");
        let mut talk = |to: Option<&str>, sdp: &str| {
            let mut message = signal("a", to, sdp);
            message.options.ice.mode = IceMode::Remove;
            message.options.rtcp_mux.demux = true;
            if lite {
                message.options.ice.lite = Some(crate::call::command::IceLite {
                    forward: false,
                    backward: true,
                });
            }
            world.sdp(Command::Offer(Box::new(message)));
            let begun = agents(&world)[0].agent.local.ufrag.clone();
            let told = world.sdp(answer("a", "b", ANSWER));
            let agents = agents(&world);
            assert_eq!(agents.len(), 1);
            assert_eq!(&*agents[0].agent.local.ufrag, ufrag(&told), "to {to:?}");
            assert_eq!(*begun, *ufrag(&told), "the offer has made them, to {to:?}");
            ufrag(&told).to_owned()
        };
        let before = talk(None, &browser);
        let restarted = browser.replace("8hhY", "9x0K").replace("asd88f", "bsd88f");
        let after = talk(to, &restarted);
        assert_ne!(after, before, "to {to:?}");
    }
}

#[test]
fn the_first_section_tells_whether_our_agent_is_lite() {
    for (first, is_lite) in [(ICE, true), ("", false)] {
        let mut world = World::new();
        let offered = format!("{OFFER}{ICE}m=video 4002 RTP/AVP 34\r\n{ICE}");
        let mut signal = signal("a", None, &offered);
        signal.options.ice.lite = Some(crate::call::command::IceLite {
            forward: true,
            backward: false,
        });
        world.sdp(Command::Offer(Box::new(signal)));
        let answered = format!("{ANSWER}{first}m=video 5002 RTP/AVP 34\r\n{ICE}");
        world.sdp(answer("a", "b", &answered));
        let told = world.sdp(offer("a", Some("b"), &offered));
        assert_eq!(told.contains("a=ice-lite"), is_lite, "{told}");
    }
}

#[test]
fn other_ports_after_a_rejection_are_no_restart() {
    let mut world = World::new();
    let first = world.sdp(offer("a", None, &format!("{OFFER}{ICE}")));
    let rejected = ANSWER.replace("m=audio 5000", "m=audio 0");
    assert_ne!(rejected, ANSWER);
    assert!(world.handle(answer("a", "b", &rejected)).is_err());
    let moved = format!("{OFFER}{ICE}").replace("m=audio 4000", "m=audio 4010");
    let ufrag = |sdp: &str| {
        sdp.lines()
            .find(|line| line.starts_with("a=ice-ufrag"))
            .map(str::to_owned)
    };
    let again = world.sdp(offer("a", Some("b"), &moved));
    assert_eq!(ufrag(&again), ufrag(&first));
    assert!(ufrag(&first).is_some());
}

#[test]
fn the_second_component_is_told_where_there_is_no_rtp() {
    let mut world = World::new();
    let offered = OFFER.replace("RTP/AVP", "foo/bar");
    let mut signal = signal("a", None, &format!("{offered}{ICE}"));
    signal.options.rtcp_mux.require = true;
    let told = world.sdp(Command::Offer(Box::new(signal)));
    assert!(told.lines().any(|line| line.contains(" 2 UDP ")), "{told}");
}
