//! Any sequence of commands about media, over calls that are connected and parties that come and go.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::call::command::{
    CallId, Command, Connect, ConnectMode, Controlled, Create, CreateAnswer, CreateMedia, Delete, FlowChoice,
    Inject, MediaControl, MediaEcho, Mesh, MeshLink, PartyChoice, Publish, Signal, SignalOptions,
    SourceChoice, SubscribeAnswer, SubscribeRequest, SubscriptionFlags, Tag, Transform, TransformMedia,
    Unsubscribe,
};
use crate::plan::{CallKey, Plan, StreamId, StreamKind};

use super::world::{ANSWER, OFFER, World, is_refused};

#[derive(Clone, Debug)]
enum Step {
    Command(Command),
    Pass(u64),
}

fn call_id() -> impl Strategy<Value = CallId> {
    prop::sample::select(vec!["one", "two", "three"]).prop_map(CallId::from)
}

/// Few, so that they meet; and some that only one call has, so that calls can be connected.
fn tag() -> impl Strategy<Value = Tag> {
    prop::sample::select(vec!["a", "b", "c", "d", "e", "s", "t"]).prop_map(Tag::from)
}

fn sdp() -> impl Strategy<Value = String> {
    let video = "m=video 4100 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n";
    let fax = "m=image 4200 udptl t38\r\n";
    prop::sample::select(vec![
        OFFER.to_owned(),
        ANSWER.to_owned(),
        format!("{OFFER}{video}"),
        format!("{OFFER}{fax}{video}"),
        OFFER.replace("sendrecv", "sendonly"),
        ANSWER.replace("sendrecv", "recvonly"),
        OFFER.replace("4000", "0"),
        OFFER.replace("198.51.100.31", "0.0.0.0"),
        format!("{ANSWER}a=rtcp-mux\r\n"),
        "nonsense".to_owned(),
    ])
}

fn options() -> impl Strategy<Value = SignalOptions> {
    let echo = prop::sample::select(vec![
        None,
        None,
        Some(MediaEcho::Blackhole),
        Some(MediaEcho::Both),
        Some(MediaEcho::Forward),
    ]);
    let drop = prop::sample::select(vec![None, None, Some(true), Some(false)]);
    (echo, drop).prop_map(|(media_echo, drop_traffic)| SignalOptions {
        media_echo,
        drop_traffic,
        ..SignalOptions::default()
    })
}

fn sources() -> impl Strategy<Value = SourceChoice> {
    prop_oneof![
        4 => tag().prop_map(|tag| SourceChoice::One(PartyChoice::Tag(tag))),
        1 => prop::collection::vec(tag(), 0..3).prop_map(SourceChoice::Tags),
        1 => Just(SourceChoice::All),
        1 => Just(SourceChoice::Nobody),
    ]
}

fn dialogue() -> impl Strategy<Value = Command> {
    (
        call_id(),
        tag(),
        prop::option::of(tag()),
        sdp(),
        options(),
        any::<bool>(),
    )
        .prop_map(|(call_id, from_tag, to_tag, sdp, options, offers)| {
            let signal = Box::new(Signal {
                call_id,
                from_tag,
                to_tag,
                via_branch: None,
                sdp,
                options,
            });
            match offers {
                true => Command::Offer(signal),
                false => Command::Answer(signal),
            }
        })
}

fn control() -> impl Strategy<Value = Command> {
    let what = prop::sample::select(vec![
        Controlled::Media,
        Controlled::Silence,
        Controlled::Events,
        Controlled::Forwarding,
    ]);
    let flows = prop::sample::select(vec![
        FlowChoice::Unsaid,
        FlowChoice::Unsaid,
        FlowChoice::All,
        FlowChoice::OfferAnswer,
        FlowChoice::PubSub,
        FlowChoice::Every,
    ]);
    let party = || prop::option::of(tag().prop_map(PartyChoice::Tag));
    (call_id(), what, any::<bool>(), party(), party(), flows).prop_map(
        |(call_id, what, on, source, sink, flows)| {
            Command::Control(MediaControl {
                call_id,
                what,
                on,
                source,
                sink,
                flows,
                set_label: None,
            })
        },
    )
}

fn subscription() -> impl Strategy<Value = Command> {
    let flags = prop::array::uniform6(prop::bool::weighted(0.3)).prop_map(
        |[inactive, bidirectional, egress, mix, rtcp_mirror, siprec]| SubscriptionFlags {
            inactive,
            bidirectional,
            egress,
            mix,
            rtcp_mirror,
            siprec,
        },
    );
    let request = (call_id(), sources(), tag(), flags).prop_map(|(call_id, sources, to_tag, flags)| {
        Command::SubscribeRequest(Box::new(SubscribeRequest {
            call_id,
            sources,
            to_tag: Some(to_tag),
            label: None,
            flags,
            options: SignalOptions::default(),
        }))
    });
    let answer =
        (call_id(), tag(), sdp(), any::<bool>()).prop_map(|(call_id, to_tag, sdp, may_refuse_codecs)| {
            Command::SubscribeAnswer(Box::new(SubscribeAnswer {
                call_id,
                to_tag: Some(to_tag),
                sdp: Some(sdp),
                may_refuse_codecs,
                options: SignalOptions::default(),
            }))
        });
    let end = (call_id(), tag(), prop::option::of(tag())).prop_map(|(call_id, to_tag, from_tag)| {
        Command::Unsubscribe(Unsubscribe {
            call_id,
            to_tag: Some(to_tag),
            from_tag,
        })
    });
    prop_oneof![3 => request, 2 => answer, 1 => end]
}

fn connection() -> impl Strategy<Value = Command> {
    let mode = prop::sample::select(vec![
        ConnectMode::Dialogue,
        ConnectMode::OneWay,
        ConnectMode::BothWays,
    ]);
    let connect = (call_id(), sources(), tag(), prop::option::of(call_id()), mode).prop_map(
        |(call_id, sources, to_tag, to_call_id, mode)| {
            Command::Connect(Connect {
                call_id,
                sources,
                to_tag: Some(to_tag),
                to_call_id,
                mode,
            })
        },
    );
    let link = (tag(), prop::collection::vec(tag(), 0..3)).prop_map(|(from, to)| MeshLink { from, to });
    let mesh = (
        prop::collection::vec(call_id(), 0..4),
        prop::collection::vec(link, 0..3),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(calls, links, bidirectional, replace)| {
            Command::Mesh(Mesh {
                calls,
                links,
                bidirectional,
                replace,
            })
        });
    let inject = (
        call_id(),
        tag(),
        tag(),
        prop::option::of(call_id()),
        any::<bool>(),
    )
        .prop_map(|(call_id, to_tag, source_tag, source_call_id, on)| {
            Command::Inject(Inject {
                call_id,
                to_tag,
                source_tag,
                source_call_id,
                on,
            })
        });
    prop_oneof![2 => connect, 1 => mesh, 1 => inject]
}

fn own() -> impl Strategy<Value = Command> {
    let publish = (call_id(), tag(), sdp()).prop_map(|(call_id, tag, sdp)| {
        Command::Publish(Box::new(Publish {
            bidirectional: false,
            call_id: Some(call_id),
            from_tag: Some(tag),
            sdp,
            options: SignalOptions::default(),
        }))
    });
    let create = (call_id(), tag(), 1..3usize).prop_map(|(call_id, tag, sections)| {
        let section = CreateMedia {
            kind: "audio".to_owned(),
            codecs: vec!["8".to_owned()],
        };
        Command::Create(Box::new(Create {
            call_id: Some(call_id),
            from_tag: Some(tag),
            media: vec![section; sections],
            options: SignalOptions::default(),
        }))
    });
    let answer = (call_id(), tag(), sdp()).prop_map(|(call_id, from_tag, sdp)| {
        Command::CreateAnswer(Box::new(CreateAnswer {
            call_id,
            from_tag,
            sdp,
            options: SignalOptions::default(),
        }))
    });
    let transform = (call_id(), tag(), 1..3usize).prop_map(|(call_id, tag, sections)| {
        let section = TransformMedia {
            id: String::new(),
            kind: Some("audio".to_owned()),
            destination: Some(([198, 51, 100, 40], 6000).into()),
        };
        Command::Transform(Transform {
            call_id: Some(call_id),
            from_tag: Some(tag),
            interfaces: Default::default(),
            media: vec![section; sections],
        })
    });
    prop_oneof![3 => publish, 1 => create, 1 => answer, 1 => transform]
}

/// All commands that there are about media, among offers and answers.
pub(super) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => dialogue(),
        3 => control(),
        5 => subscription(),
        4 => connection(),
        3 => own(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let delete = (call_id(), prop::option::of(tag()), any::<bool>()).prop_map(|(call_id, from_tag, now)| {
        Command::Delete(Delete {
            call_id,
            from_tag,
            to_tag: None,
            via_branch: None,
            delay: now.then_some(std::time::Duration::ZERO),
            fatal: false,
            fast: false,
        })
    });
    prop_oneof![
        21 => command().prop_map(Step::Command),
        2 => delete.prop_map(Step::Command),
        1 => (1..100u64).prop_map(Step::Pass),
    ]
}

/// Whatever a stream sends to exists and is of its kind; nobody gets the same twice. Each has ports, or those of the
/// stream with which it is bundled.
pub(super) fn check(plan: &Plan) {
    let kinds: BTreeMap<StreamId, StreamKind> = plan
        .streams
        .iter()
        .map(|stream| (stream.id, stream.kind))
        .collect();
    assert_eq!(kinds.len(), plan.streams.len(), "no id stands twice");
    for stream in &plan.streams {
        let lead = stream.bundle.as_ref().map(|bundle| bundle.lead);
        let lead = lead.map(|lead| {
            plan.streams
                .iter()
                .find(|stream| stream.id == lead)
                .expect("a lead")
        });
        assert!(!stream.ports.is_empty() || lead.is_some_and(|lead| !lead.ports.is_empty()));
        let mut sinks = BTreeSet::new();
        for sink in &stream.sinks {
            assert_eq!(
                kinds.get(&sink.stream),
                Some(&stream.kind),
                "{sink:?} in {plan:#?}"
            );
            assert!(sinks.insert(sink.stream), "{sink:?} stands twice in {plan:#?}");
        }
        let mut sinks = BTreeSet::new();
        for sink in &stream.rtcp_sinks {
            assert!(kinds.contains_key(sink), "{sink:?} in {plan:#?}");
            assert!(sinks.insert(sink), "{sink:?} stands twice in {plan:#?}");
        }
    }
}

fn revisions(world: &World) -> Vec<(CallKey, u32)> {
    let plans = world.plans.iter();
    plans.map(|(key, plan)| (*key, plan.revision)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn anything_goes(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        for step in steps {
            match step {
                // World::handle checks that the ports that are reserved are those that stand in plans.
                Step::Command(command) => {
                    let before = revisions(&world);
                    // Who is refused an SDP is subscribed all the same, and was heard in part.
                    let stays = matches!(
                        command,
                        Command::SubscribeRequest(_) | Command::SubscribeAnswer(_) | Command::Publish(_)
                    );
                    let refused = is_refused(&world.handle(command)) && !stays;
                    prop_assert!(!refused || before == revisions(&world), "a refused command changes nothing");
                }
                Step::Pass(seconds) => {
                    world.pass(seconds);
                }
            }
            world.plans.values().for_each(check);
            let reports = world.calls.handle(world.now, Command::Calls { offset: 0, limit: 10 }, &mut world.host);
            prop_assert!(reports.is_ok());
        }
        world.pass(20_000);
        prop_assert_eq!(world.calls.session_count(), 0);
        prop_assert_eq!(world.host.in_use(), 0);
    }
}
