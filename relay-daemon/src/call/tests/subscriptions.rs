//! Publishers, subscribers, and calls that the relay makes by itself.

use crate::call::command::{
    Command, CommandError, Create, CreateAnswer, CreateMedia, MediaError, PartyChoice, Publish, Reply,
    SignalOptions, SourceChoice, SubscribeAnswer, SubscribeRequest, SubscriptionFlags, Tag, Transform,
    TransformMedia, Unsubscribe,
};
use crate::report::{AssociationKind, Termination, call_details};

use super::world::{ANSWER, OFFER, World, answer, offer, step};

/// A subscriber's answer, from 198.51.100.9 port 7000.
const TAKEN: &str = "v=0\r\no=- 5 5 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n\
                     m=audio 7000 RTP/AVP 8\r\na=recvonly\r\n";

fn publish(tag: &str, sdp: &str) -> Command {
    Command::Publish(Box::new(Publish {
        bidirectional: false,
        call_id: Some("call".into()),
        from_tag: Some(tag.into()),
        sdp: sdp.to_owned(),
        options: SignalOptions::default(),
    }))
}

fn request(sources: SourceChoice, to: &str) -> SubscribeRequest {
    SubscribeRequest {
        call_id: "call".into(),
        sources,
        to_tag: Some(to.into()),
        label: None,
        flags: SubscriptionFlags::default(),
        options: SignalOptions::default(),
    }
}

fn one(tag: &str) -> SourceChoice {
    SourceChoice::One(PartyChoice::Tag(tag.into()))
}

fn subscribe(from: &str, to: &str) -> Command {
    Command::SubscribeRequest(Box::new(request(one(from), to)))
}

fn with_flags(from: &str, to: &str, flags: SubscriptionFlags) -> Command {
    Command::SubscribeRequest(Box::new(SubscribeRequest {
        flags,
        ..request(one(from), to)
    }))
}

fn take(to: &str, sdp: &str) -> SubscribeAnswer {
    SubscribeAnswer {
        call_id: "call".into(),
        to_tag: Some(to.into()),
        sdp: Some(sdp.to_owned()),
        may_refuse_codecs: false,
        options: SignalOptions::default(),
    }
}

fn unsubscribe(to: &str, from: Option<&str>) -> Command {
    Command::Unsubscribe(Unsubscribe {
        call_id: "call".into(),
        to_tag: Some(to.into()),
        from_tag: from.map(Tag::from),
    })
}

/// Whose media a party gets, and who gets its own.
fn flows(world: &mut World, tag: &str) -> (Vec<String>, Vec<String>) {
    let call = world.query();
    let party = call.parties.into_iter().find(|party| party.name == tag).unwrap();
    let names = |of: Vec<crate::report::Association>| {
        of.into_iter()
            .map(|one| format!("{} {}", one.tag, one.kind.as_str()))
            .collect()
    };
    (names(party.subscriptions), names(party.subscribers))
}

#[test]
fn one_publisher_two_subscribers() {
    let mut world = World::new();
    insta::assert_snapshot!("published", step(&mut world, publish("p", OFFER)));
    insta::assert_snapshot!("subscription_offered", step(&mut world, subscribe("p", "s")));
    let taken = step(&mut world, Command::SubscribeAnswer(Box::new(take("s", TAKEN))));
    insta::assert_snapshot!("subscription_taken", taken);
    step(&mut world, subscribe("p", "t"));
    let elsewhere = TAKEN.replace("7000", "7010");
    let second = step(
        &mut world,
        Command::SubscribeAnswer(Box::new(take("t", &elsewhere))),
    );
    insta::assert_snapshot!("second_subscription_taken", second);
    assert_eq!(
        flows(&mut world, "p"),
        (vec![], vec!["s pub/sub".to_owned(), "t pub/sub".to_owned()])
    );
    insta::assert_snapshot!("unsubscribed", step(&mut world, unsubscribe("s", None)));
    assert_eq!(flows(&mut world, "s"), (vec![], vec![]));
    assert_eq!(flows(&mut world, "p").1, ["t pub/sub"]);
}

#[test]
fn a_refused_subscription_changes_nothing() {
    let mut world = World::new();
    step(&mut world, publish("p", OFFER));
    step(&mut world, subscribe("p", "s"));
    let rejected = TAKEN.replace("7000", "0");
    let other_codec = TAKEN.replace("RTP/AVP 8", "RTP/AVP 0");
    for sdp in [&rejected, &other_codec] {
        let answer = Command::SubscribeAnswer(Box::new(take("s", sdp)));
        let reply = step(&mut world, answer);
        assert!(
            reply.starts_with("Failed to process subscription answer\n"),
            "{sdp}"
        );
    }
    let before = format!("{:?}", world.plan());
    for command in [
        subscribe("nobody", "s"),
        subscribe("s", "s"),
        Command::SubscribeRequest(Box::new(request(SourceChoice::Nobody, "s"))),
        Command::SubscribeRequest(Box::new(request(SourceChoice::All, "s"))),
        unsubscribe("nobody", None),
        unsubscribe("s", Some("nobody")),
        Command::SubscribeAnswer(Box::new(take("nobody", TAKEN))),
    ] {
        assert!(world.handle(command.clone()).is_err(), "{command:?}");
    }
    assert_eq!(format!("{:?}", world.plan()), before);
}

#[test]
fn an_answer_may_refuse_codecs_if_it_is_allowed_to() {
    let mut world = World::new();
    world.sdp(offer("a", None, OFFER));
    world.sdp(answer("a", "b", OFFER));
    step(&mut world, subscribe("a", "s"));
    let mut taken = take("s", TAKEN);
    let refused = world.handle(Command::SubscribeAnswer(Box::new(taken.clone())));
    assert_eq!(
        refused.unwrap_err(),
        CommandError::Media(MediaError::SubscriptionRefused),
        "PCMU was offered as well"
    );
    taken.may_refuse_codecs = true;
    assert!(world.handle(Command::SubscribeAnswer(Box::new(taken))).is_ok());
}

#[test]
fn a_call_is_overheard_in_one_or_two_sections() {
    let mut world = World::new();
    world.connect();
    let all = Command::SubscribeRequest(Box::new(request(SourceChoice::All, "s")));
    insta::assert_snapshot!("both_sides", step(&mut world, all));
    let mixed = SubscriptionFlags {
        mix: true,
        ..SubscriptionFlags::default()
    };
    let mixed = Command::SubscribeRequest(Box::new(SubscribeRequest {
        flags: mixed,
        ..request(SourceChoice::All, "s")
    }));
    insta::assert_snapshot!("both_sides_mixed", step(&mut world, mixed));
    assert_eq!(
        flows(&mut world, "s"),
        (vec!["a pub/sub".to_owned(), "b pub/sub".to_owned()], vec![])
    );
    step(&mut world, unsubscribe("s", Some("a")));
    assert_eq!(flows(&mut world, "s").0, ["b pub/sub"]);
    assert_eq!(flows(&mut world, "a").1, ["b offer/answer"]);
}

#[test]
fn who_subscribes_again_keeps_its_sections() {
    let mut world = World::new();
    world.connect();
    let both = |tags: &[&str]| {
        let tags = tags.iter().map(|tag| Tag::from(*tag)).collect();
        Command::SubscribeRequest(Box::new(request(SourceChoice::Tags(tags), "s")))
    };
    let sections = |world: &mut World, command: Command| -> Vec<String> {
        let Ok(Reply::Subscription { sdp, .. }) = world.handle(command) else {
            panic!("refused");
        };
        let media = sdp.lines().filter(|line| line.starts_with("m="));
        media
            .map(|line| line.split(' ').nth(1).unwrap_or_default().to_owned())
            .collect()
    };
    let first = sections(&mut world, both(&["b"]));
    let second = sections(&mut world, both(&["a", "b"]));
    assert_eq!(second[0], first[0], "b stands where it stood");
    assert_eq!(sections(&mut world, both(&["b", "a"])), second);
    assert_eq!(
        sections(&mut world, both(&["a"])),
        ["0".to_owned(), second[1].clone()]
    );
    step(&mut world, unsubscribe("s", None));
    assert_eq!(sections(&mut world, both(&["a"])).len(), 1, "it begins anew");
}

#[test]
fn siprec_sections_are_described() {
    let mut world = World::new();
    world.connect();
    let siprec = SubscriptionFlags {
        siprec: true,
        ..SubscriptionFlags::default()
    };
    let request = SubscribeRequest {
        flags: siprec,
        label: Some("recorder".to_owned()),
        ..request(SourceChoice::Tags(vec!["b".into(), "a".into()]), "s")
    };
    let reply = world.handle(Command::SubscribeRequest(Box::new(request)));
    let Ok(Reply::Subscription {
        sdp,
        from_tags,
        is_single,
        media: Some(media),
        ..
    }) = reply
    else {
        panic!("{reply:?}");
    };
    assert_eq!(from_tags, ["b".into(), "a".into()]);
    assert!(!is_single);
    let described: Vec<String> = media
        .iter()
        .map(|section| {
            format!(
                "{} {} {:?} {}",
                section.tag, section.index, section.label, section.kind
            )
        })
        .collect();
    assert_eq!(described, ["b 0 Some(\"1\") audio", "a 0 Some(\"0\") audio"]);
    assert!(sdp.contains("a=label:0") && sdp.contains("a=label:1"), "{sdp}");
    let call = world.query();
    assert_eq!(call.parties[2].label.as_deref(), Some("recorder"));
}

#[test]
fn flags_turn_the_media_around() {
    let mut world = World::new();
    world.connect();
    let none = SubscriptionFlags::default();
    let sinks = |world: &World, stream: usize| -> (Vec<u32>, Vec<u32>) {
        let stream = world.stream(stream);
        (
            stream.sinks.iter().map(|sink| sink.stream.0).collect(),
            stream.rtcp_sinks.iter().map(|id| id.0).collect(),
        )
    };
    // Streams: 0 and 1 are a's, 2 and 3 b's, 4 and 5 the subscriber's.
    step(&mut world, with_flags("a", "s", none));
    assert_eq!(sinks(&world, 0), (vec![2, 4], vec![3, 5]));
    assert_eq!(sinks(&world, 4), (vec![], vec![]));
    let inactive = SubscriptionFlags {
        inactive: true,
        ..none
    };
    step(&mut world, with_flags("a", "s", inactive));
    assert_eq!(sinks(&world, 0), (vec![2], vec![3, 5]));
    let egress = SubscriptionFlags { egress: true, ..none };
    step(&mut world, with_flags("a", "s", egress));
    assert_eq!(sinks(&world, 0), (vec![2], vec![3]));
    assert_eq!(sinks(&world, 2), (vec![0, 4], vec![1, 5]), "what a gets");
    let bidirectional = SubscriptionFlags {
        bidirectional: true,
        ..none
    };
    step(&mut world, with_flags("a", "s", bidirectional));
    assert_eq!(sinks(&world, 0), (vec![2, 4], vec![3, 5]));
    assert_eq!(sinks(&world, 4), (vec![], vec![]), "nobody hears the subscriber");
    let mirror = SubscriptionFlags {
        rtcp_mirror: true,
        ..none
    };
    step(&mut world, with_flags("a", "s", mirror));
    assert_eq!(
        sinks(&world, 4),
        (vec![], vec![1]),
        "a gets the subscriber's reports"
    );
}

/// It gets what it has subscribed to in the place of what it got before, until the next offer or answer.
#[test]
fn who_takes_part_in_a_call_may_subscribe_to_others() {
    let mut world = World::new();
    world.connect();
    step(&mut world, publish("p", OFFER));
    let offered = step(&mut world, subscribe("p", "a"));
    assert!(
        offered.contains("m=audio 3000") && offered.contains("a=sendonly"),
        "{offered}"
    );
    let sinks = [0, 2, 4].map(|stream| world.stream(stream).sinks.len());
    assert_eq!(sinks, [0, 0, 1]);
}

#[test]
fn publishing_again_keeps_the_ports_and_the_subscribers() {
    let mut world = World::new();
    let first = step(&mut world, publish("p", OFFER));
    step(&mut world, subscribe("p", "s"));
    let again = step(&mut world, publish("p", &OFFER.replace("4000", "4010")));
    let port = |reply: &str| {
        reply
            .lines()
            .find(|line| line.starts_with("m="))
            .map(str::to_owned)
    };
    assert_eq!(port(&again), port(&first));
    assert_eq!(flows(&mut world, "p").1, ["s pub/sub"]);
    let origin = |reply: &str| reply.lines().nth(1).map(str::to_owned);
    assert_eq!(
        origin(&again),
        origin(&first),
        "nothing that it is told has changed"
    );
}

#[test]
fn a_refused_publisher_leaves_a_call_without_ports() {
    let mut world = World::new();
    for sdp in ["", "nonsense", &OFFER.replace("4000", "0")] {
        assert!(world.handle(publish("p", sdp)).is_err(), "{sdp}");
    }
    world.host.limit = 1;
    assert_eq!(step(&mut world, publish("p", OFFER)), "Ran out of ports\n");
    assert_eq!((world.calls.session_count(), world.host.in_use()), (1, 0));
    world.pass(20_000);
    assert_eq!(world.calls.session_count(), 0);
}

/// As in the reference: a section that its party has never taken spoils the whole request, but the subscriber has subscribed.
#[test]
fn what_was_rejected_cannot_be_subscribed_to() {
    let mut world = World::new();
    step(&mut world, publish("p", OFFER));
    let both = format!("{OFFER}m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n");
    assert!(world.handle(offer("c", None, &both)).is_ok());
    let reply = step(&mut world, subscribe("c", "s"));
    assert!(reply.starts_with("Failed to create SDP\n"), "{reply}");
    assert_eq!(flows(&mut world, "s").0, ["c pub/sub"]);
    let taken = TAKEN.replace("RTP/AVP 8", "RTP/AVP 8 0");
    let answer = Command::SubscribeAnswer(Box::new(take("s", &taken)));
    assert!(world.handle(answer).is_ok());
}

/// What was said of the formats does not hold any more, but they stay.
#[test]
fn who_was_refused_may_still_be_listened_to() {
    let mut world = World::new();
    world.connect();
    let refusal = ANSWER.replace("m=audio 5000", "m=audio 0");
    assert!(world.handle(answer("a", "b", &refusal)).is_err());
    for source in ["a", "b"] {
        let offered = step(&mut world, subscribe(source, "s"));
        assert!(offered.contains("m=audio 3"), "{offered}");
        assert!(!offered.contains("a=rtpmap"), "{offered}");
    }
    let other = TAKEN.replace("RTP/AVP 8", "RTP/AVP 9");
    let taken = Command::SubscribeAnswer(Box::new(take("s", &other)));
    assert!(world.handle(taken).is_ok(), "nobody knows what comes");
}

#[test]
fn nobody_is_known_who_has_unsubscribed() {
    let mut world = World::new();
    step(&mut world, publish("p", OFFER));
    let first = step(&mut world, subscribe("p", "s"));
    step(&mut world, unsubscribe("s", None));
    assert_eq!(step(&mut world, unsubscribe("s", None)), "To-tag not found\n");
    let again = step(&mut world, subscribe("p", "s"));
    assert_ne!(first.lines().nth(4), again.lines().nth(4), "it begins anew");
    step(&mut world, unsubscribe("s", Some("p")));
    assert_eq!(flows(&mut world, "s").0, [""; 0]);
    let reply = step(&mut world, unsubscribe("s", Some("p")));
    assert!(reply.starts_with("Done\n"), "{reply}");
}

/// Nobody offered it more: nothing can be offered to it any more, as in the reference.
#[test]
fn an_answer_that_is_too_long_is_the_last() {
    let mut world = World::new();
    step(&mut world, publish("p", OFFER));
    step(&mut world, subscribe("p", "s"));
    let longer = format!("{TAKEN}m=audio 7010 RTP/AVP 8\r\n");
    let answer = Command::SubscribeAnswer(Box::new(take("s", &longer)));
    assert!(world.handle(answer).is_ok());
    let reply = step(&mut world, subscribe("p", "s"));
    assert!(reply.starts_with("Failed to create SDP\n"), "{reply}");
    step(&mut world, unsubscribe("s", None));
    let offered = step(&mut world, subscribe("p", "s"));
    assert!(offered.contains("m=audio 3"), "{offered}");
}

#[test]
fn media_is_expected_of_a_publisher_but_not_of_a_subscriber() {
    let mut world = World::new();
    step(&mut world, publish("p", OFFER));
    let ended = world.pass(61);
    assert_eq!(ended[0].ended, Some(Termination::Timeout));

    step(&mut world, publish("p", OFFER));
    step(&mut world, subscribe("p", "s"));
    step(&mut world, Command::SubscribeAnswer(Box::new(take("s", TAKEN))));
    assert!(world.pass(3599).is_empty(), "somebody listens");
    assert_eq!(world.pass(2)[0].ended, Some(Termination::Timeout));
    assert_eq!(world.host.in_use(), 0);
}

#[test]
fn names_are_made_up() {
    let mut world = World::new();
    let request = Publish {
        bidirectional: false,
        call_id: None,
        from_tag: None,
        sdp: OFFER.to_owned(),
        options: SignalOptions::default(),
    };
    let reply = world.handle(Command::Publish(Box::new(request)));
    let Ok(Reply::Own {
        call_id, from_tag, ..
    }) = reply
    else {
        panic!("{reply:?}");
    };
    for name in [call_id.0, from_tag.0] {
        assert_eq!(name.len(), 64);
        assert!(name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

#[test]
fn the_relay_calls_by_itself() {
    let mut world = World::new();
    let section = |kind: &str, codecs: &[&str]| CreateMedia {
        kind: kind.to_owned(),
        codecs: codecs.iter().map(|codec| (*codec).to_owned()).collect(),
    };
    let create = Create {
        call_id: Some("call".into()),
        from_tag: Some("me".into()),
        media: vec![
            section("audio", &["opus/48000/2", "PCMA", "telephone-event/8000"]),
            section("video", &["VP8/90000"]),
        ],
        options: SignalOptions::default(),
    };
    insta::assert_snapshot!("created", step(&mut world, Command::Create(Box::new(create))));
    let answer = |tag: &str| {
        Command::CreateAnswer(Box::new(CreateAnswer {
            call_id: "call".into(),
            from_tag: tag.into(),
            sdp: ANSWER.to_owned(),
            options: SignalOptions::default(),
        }))
    };
    assert_eq!(step(&mut world, answer("you")), "from-tag not found\n");
    insta::assert_snapshot!("create_answered", step(&mut world, answer("me")));
}

#[test]
fn packets_are_transformed_without_sdp() {
    let mut world = World::new();
    let media = |id: &str, port| TransformMedia {
        id: id.to_owned(),
        kind: Some("audio".to_owned()),
        destination: Some(([198, 51, 100, 40], port).into()),
    };
    let transform = |media| {
        Command::Transform(Transform {
            call_id: Some("call".into()),
            from_tag: Some("t".into()),
            interfaces: Default::default(),
            media,
        })
    };
    let first = step(&mut world, transform(vec![media("x", 6000), media("y", 6010)]));
    insta::assert_snapshot!("transformed", first);
    let again = world.handle(transform(vec![media("x", 6020)]));
    let Ok(Reply::Transformed { media, .. }) = again else {
        panic!("{again:?}");
    };
    let added = world.stream(2);
    assert_eq!(media[0].address, added.ports[0].address);
    assert_eq!(added.remote, Some(([198, 51, 100, 40], 6020).into()));
    assert_eq!(world.stream(0).remote, Some(([198, 51, 100, 40], 6000).into()));
}

#[test]
fn subscriptions_are_of_their_own_kind() {
    let mut world = World::new();
    world.connect();
    step(&mut world, subscribe("a", "s"));
    let call = world.query();
    let kinds: Vec<AssociationKind> = call.parties[0].subscribers.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [AssociationKind::OfferAnswer, AssociationKind::PubSub]);
    assert_eq!(call.parties[2].media[0].sources, [("a".to_owned(), 0)]);
    let details = call_details(&call).to_json();
    assert_eq!(details["parties"][2]["subscribed-to"], serde_json::json!(["a"]));
    assert!(details["parties"][0].get("subscribed-to").is_none());
}
