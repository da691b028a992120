//! Parties that are connected, within a call and across calls.

use crate::call::command::{
    CallId, Command, CommandError, Connect, ConnectMode, Inject, MediaError, Mesh, MeshLink, PartyChoice,
    Reply, SourceChoice, Tag,
};
use crate::plan::CallKey;

use super::world::{ANSWER, OFFER, World, answer, delete, offer, signal, step};

/// A second call, between `c` and `d`.
fn second_call(world: &mut World) {
    let in_call = |from: &str, to: Option<&str>, sdp: &str| {
        let mut signal = signal(from, to, sdp);
        signal.call_id = "second".into();
        Box::new(signal)
    };
    let elsewhere = |sdp: &str| sdp.replace("198.51.100.3", "198.51.100.5");
    world.sdp(Command::Offer(in_call("c", None, &elsewhere(OFFER))));
    world.sdp(Command::Answer(in_call("c", Some("d"), &elsewhere(ANSWER))));
}

fn two_calls() -> World {
    let mut world = World::new();
    world.connect();
    second_call(&mut world);
    world
}

fn connect(from: &str, to: &str, other: Option<&str>, mode: ConnectMode) -> Command {
    Command::Connect(Connect {
        call_id: "call".into(),
        sources: SourceChoice::One(PartyChoice::Tag(from.into())),
        to_tag: Some(to.into()),
        to_call_id: other.map(CallId::from),
        mode,
    })
}

/// Ids of the streams that get what arrives at a stream.
fn sinks(world: &World, stream: usize) -> Vec<u32> {
    let sinks = world.stream(stream).sinks.iter();
    sinks.map(|sink| sink.stream.0).collect()
}

fn ids(world: &mut World) -> Vec<String> {
    match world.handle(Command::List { limit: 10 }) {
        Ok(Reply::CallIds(ids)) => ids.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_calls_become_one() {
    let mut world = two_calls();
    let connected = step(
        &mut world,
        connect("a", "d", Some("second"), ConnectMode::Dialogue),
    );
    insta::assert_snapshot!("connected", connected);
    assert_eq!(world.calls.session_count(), 1);
    assert_eq!(ids(&mut world), ["call", "second"]);
    // Streams: 0 a, 2 b, 4 c, 6 d; RTCP after each.
    assert_eq!((sinks(&world, 0), sinks(&world, 6)), (vec![6], vec![0]));
    assert!(sinks(&world, 2).is_empty() && sinks(&world, 4).is_empty());

    // Either id names it, for signalling as well.
    let mut again = signal("d", Some("a"), ANSWER);
    again.call_id = "second".into();
    world.sdp(Command::Offer(Box::new(again)));
    assert_eq!(
        world.plans.keys().copied().collect::<Vec<CallKey>>(),
        [CallKey(0)]
    );
    step(&mut world, delete(None, Some(0)));
    assert!(ids(&mut world).is_empty());
    assert_eq!(world.host.in_use(), 0);
    second_call(&mut world);
    assert_eq!(ids(&mut world), ["second"], "the id is free again");
}

#[test]
fn a_tag_in_both_calls_prevents_it() {
    let mut world = World::new();
    world.connect();
    let mut other = signal("b", None, OFFER);
    other.call_id = "second".into();
    world.sdp(Command::Offer(Box::new(other)));
    let before = format!("{:?}", world.plans);
    let refused = world.handle(connect("a", "b", Some("second"), ConnectMode::Dialogue));
    assert_eq!(
        refused.unwrap_err(),
        CommandError::Media(MediaError::TagCollision)
    );
    assert_eq!(format!("{:?}", world.plans), before);
    assert_eq!(ids(&mut world), ["call", "second"]);
}

#[test]
fn what_is_refused_leaves_both_calls_as_they_were() {
    let mut world = two_calls();
    let before = format!("{:?}", world.plans);
    for command in [
        connect("nobody", "d", Some("second"), ConnectMode::Dialogue),
        connect("a", "d", Some("third"), ConnectMode::Dialogue),
        connect("d", "d", Some("second"), ConnectMode::OneWay),
    ] {
        assert!(world.handle(command.clone()).is_err(), "{command:?}");
    }
    assert_eq!(format!("{:?}", world.plans), before);
    assert_eq!(world.calls.session_count(), 2);
}

#[test]
fn one_way_and_both_ways() {
    let mut world = two_calls();
    step(&mut world, connect("a", "d", Some("second"), ConnectMode::OneWay));
    assert_eq!(sinks(&world, 0), [2, 6]);
    assert_eq!(sinks(&world, 6), [4]);
    step(&mut world, connect("a", "d", None, ConnectMode::BothWays));
    assert_eq!(sinks(&world, 0), [2, 6], "known subscriptions are not repeated");
    assert_eq!(sinks(&world, 6), [4, 0]);
}

/// Each section talks to one of its kind, wherever that stands.
#[test]
fn sections_in_other_places_are_connected() {
    const VIDEO: &str = "m=video 4010 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n";
    let mut world = World::new();
    world.sdp(offer("a", None, &format!("{OFFER}{VIDEO}")));
    world.sdp(answer("a", "b", &format!("{ANSWER}{VIDEO}")));
    let at = OFFER.find("m=audio").unwrap_or_default();
    let (session, audio) = OFFER.split_at(at);
    world.sdp(offer("c", None, &format!("{session}{VIDEO}{audio}")));
    step(&mut world, connect("b", "c", None, ConnectMode::Dialogue));
    // a, b, c, and whom c calls.
    let flows: Vec<_> = (0..4).map(|party| flows(&mut world, party)).collect();
    assert_eq!(
        flows,
        [vec![], vec!["c offer/answer"], vec!["b offer/answer"], vec![]]
    );
    // b's audio and video are 4 and 6, c's video and audio 8 and 10.
    let id = |place: usize| world.stream(place).id.0;
    let places: Vec<u32> = (0..8).map(|place| 2 * place).collect();
    let to = |from: u32| {
        let at = (0..world.plan().streams.len()).find(|place| id(*place) == from);
        at.map(|place| sinks(&world, place))
    };
    let ways: Vec<_> = places.into_iter().filter_map(to).collect();
    insta::assert_debug_snapshot!("connected_by_kind", ways);
    step(&mut world, delete(None, Some(0)));
    assert_eq!(world.host.in_use(), 0);
}

/// Whom a party gets media of, with the ways that these came about.
fn flows(world: &mut World, party: usize) -> Vec<String> {
    let call = world.query();
    let flows = call.parties[party].subscriptions.iter();
    flows
        .map(|known| format!("{} {}", known.tag, known.kind.as_str()))
        .collect()
}

#[test]
fn a_call_without_media_is_connected_too() {
    let mut world = World::new();
    world.connect();
    let mut broken = signal("x", None, "nonsense");
    broken.call_id = "second".into();
    assert!(world.handle(Command::Offer(Box::new(broken))).is_err());
    let actions = step(
        &mut world,
        connect("a", "x", Some("second"), ConnectMode::Dialogue),
    );
    assert!(
        !actions.contains("merge"),
        "it has no media to bring along: {actions}"
    );
    assert_eq!(world.calls.session_count(), 1);
    assert_eq!(sinks(&world, 0), [2], "a goes on with b");
}

fn mesh(calls: &[&str], links: &[(&str, &[&str])]) -> Mesh {
    Mesh {
        calls: calls.iter().map(|id| CallId::from(*id)).collect(),
        links: links
            .iter()
            .map(|(from, to)| MeshLink {
                from: (*from).into(),
                to: to.iter().map(|tag| Tag::from(*tag)).collect(),
            })
            .collect(),
        bidirectional: false,
        replace: false,
    }
}

#[test]
fn a_mesh_of_calls() {
    let mut world = two_calls();
    assert_eq!(
        step(&mut world, Command::Mesh(mesh(&["call", "third"], &[]))),
        "Unknown call ID(s)\n"
    );
    let links: &[(&str, &[&str])] = &[("a", &["c", "d", "a"])];
    let meshed = step(
        &mut world,
        Command::Mesh(mesh(&["call", "second", "call"], links)),
    );
    insta::assert_snapshot!("meshed", meshed);
    assert_eq!(sinks(&world, 0), [2, 4, 6]);
    let both = Mesh {
        bidirectional: true,
        ..mesh(&["call"], &[("b", &["c"])])
    };
    step(&mut world, Command::Mesh(both));
    assert_eq!((sinks(&world, 2), sinks(&world, 4)), (vec![0, 4], vec![6, 2]));
    let replaced = Mesh {
        replace: true,
        ..mesh(&["second"], &[("d", &["c"])])
    };
    step(&mut world, Command::Mesh(replaced));
    assert_eq!(sinks(&world, 0), [2, 4], "d gets nothing else any more");
    assert_eq!(sinks(&world, 4), [2], "not from c either");
    assert_eq!(sinks(&world, 6), [4], "c talks to d anyway");
}

#[test]
fn media_is_injected_until_it_is_stopped() {
    let mut world = two_calls();
    let inject = |source: &str, to: &str, on| {
        Command::Inject(Inject {
            call_id: "call".into(),
            to_tag: to.into(),
            source_tag: source.into(),
            source_call_id: Some("second".into()),
            on,
        })
    };
    assert_eq!(step(&mut world, inject("c", "x", true)), "To-tag not found\n");
    assert_eq!(step(&mut world, inject("x", "a", true)), "Source-tag not found\n");
    assert_eq!(
        step(&mut world, inject("b", "a", true)),
        "Failed to start inject\n",
        "a gets that anyway"
    );
    assert_eq!(
        step(&mut world, inject("a", "a", true)),
        "Trying to inject to self\n"
    );
    step(&mut world, inject("c", "a", true));
    assert_eq!(sinks(&world, 4), [6, 0]);
    step(&mut world, inject("c", "a", true));
    step(&mut world, inject("d", "a", true));
    step(&mut world, inject("c", "a", false));
    assert_eq!((sinks(&world, 4), sinks(&world, 6)), (vec![6], vec![4, 0]));
    assert_eq!(
        step(&mut world, inject("c", "a", false)),
        "Failed to stop inject\n"
    );
    step(&mut world, inject("d", "a", false));
    assert_eq!(sinks(&world, 6), [4]);
}

#[test]
fn who_meshes_anew_gets_nothing_else() {
    let mut world = two_calls();
    let anew = Mesh {
        replace: true,
        ..mesh(&["call", "second"], &[("b", &["d"])])
    };
    step(&mut world, Command::Mesh(anew));
    // Streams: 0 a, 2 b, 4 c, 6 d.
    assert!(sinks(&world, 0).is_empty(), "b does not get it any more");
    assert_eq!((sinks(&world, 2), sinks(&world, 4)), (vec![0, 6], vec![6]));
    world.sdp(offer("a", Some("b"), OFFER));
    assert_eq!(sinks(&world, 0), [2], "but after a new offer");
}

#[test]
fn connecting_several_leaves_the_last_one() {
    let mut world = two_calls();
    let mut request = connect("a", "c", Some("second"), ConnectMode::OneWay);
    step(&mut world, request);
    request = Command::Connect(Connect {
        call_id: "call".into(),
        sources: SourceChoice::Tags(vec!["a".into(), "nobody".into(), "b".into()]),
        to_tag: Some("c".into()),
        to_call_id: None,
        mode: ConnectMode::Dialogue,
    });
    step(&mut world, request);
    assert_eq!((sinks(&world, 2), sinks(&world, 4)), (vec![4], vec![2]));
    step(&mut world, connect("a", "stranger", None, ConnectMode::Dialogue));
    assert_eq!(sinks(&world, 2), [4], "who has no media takes nobody's place");
}

#[test]
fn sections_of_a_kind_are_connected() {
    let mut world = World::new();
    let video = |sdp: &str, port: &str| {
        let section = format!("m=video {port} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n");
        sdp.replace("m=audio", &format!("{section}m=audio"))
    };
    world.sdp(offer("a", None, OFFER));
    world.sdp(answer("a", "b", ANSWER));
    let mut other = signal("c", None, &video(OFFER, "4002"));
    other.call_id = "second".into();
    world.sdp(Command::Offer(Box::new(other)));
    step(&mut world, connect("a", "c", Some("second"), ConnectMode::OneWay));
    // From 4 on: video of both sides, then audio, that of c first.
    assert_eq!(sinks(&world, 0), [2, 8]);
}
