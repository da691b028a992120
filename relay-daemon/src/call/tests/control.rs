//! Blocking, silencing, echo: what becomes of the plan, and who is meant.

use crate::call::command::{
    Command, Controlled, FlowChoice, MediaControl, MediaEcho, MediaError, MusicSource, PartyChoice, Play,
    Playback, Reply, SourceChoice,
};
use crate::plan::{ReportPlan, SinkPlan, Treatment};
use crate::report::MediaFlag;

use super::world::{ANSWER, OFFER, World, answer, offer, signal};

/// The treatment of what `a` sends, and of what `b` sends.
fn treatments(world: &World) -> [(Treatment, bool); 2] {
    [0, 2].map(|stream| {
        let sink: SinkPlan = world.stream(stream).sinks[0].clone();
        (sink.media, sink.drop_events)
    })
}

const PASS: (Treatment, bool) = (Treatment::Pass, false);
const BLOCKED: (Treatment, bool) = (Treatment::Drop, false);
const SILENT: (Treatment, bool) = (Treatment::Silence, false);
const NO_EVENTS: (Treatment, bool) = (Treatment::Pass, true);

/// A request about the whole call.
fn request(what: Controlled, on: bool) -> MediaControl {
    MediaControl {
        call_id: "call".into(),
        what,
        on,
        source: None,
        sink: None,
        flows: FlowChoice::Unsaid,
        set_label: None,
    }
}

fn of(tag: &str, what: Controlled, on: bool) -> MediaControl {
    MediaControl {
        source: Some(PartyChoice::Tag(tag.into())),
        ..request(what, on)
    }
}

fn connected() -> World {
    let mut world = World::new();
    world.connect();
    world
}

fn control(world: &mut World, control: MediaControl) {
    let reply = world.handle(Command::Control(control.clone()));
    assert!(reply.is_ok(), "{control:?}: {reply:?}");
}

fn refused(world: &mut World, control: MediaControl) -> String {
    world.handle(Command::Control(control)).unwrap_err().to_string()
}

#[test]
fn a_whole_call_is_blocked_and_a_party_stays_blocked_after_that() {
    let mut world = connected();
    control(&mut world, of("a", Controlled::Media, true));
    assert_eq!(treatments(&world), [BLOCKED, PASS]);
    control(&mut world, request(Controlled::Media, true));
    assert_eq!(treatments(&world), [BLOCKED, BLOCKED]);
    control(&mut world, request(Controlled::Media, false));
    assert_eq!(treatments(&world), [BLOCKED, PASS]);
    control(
        &mut world,
        MediaControl {
            flows: FlowChoice::All,
            ..request(Controlled::Media, false)
        },
    );
    assert_eq!(treatments(&world), [PASS, PASS]);
}

#[test]
fn silence_and_events_are_switched_apart() {
    let mut world = connected();
    control(&mut world, of("b", Controlled::Silence, true));
    assert_eq!(treatments(&world), [PASS, SILENT]);
    control(&mut world, of("a", Controlled::Events, true));
    assert_eq!(treatments(&world), [NO_EVENTS, SILENT]);
    control(&mut world, of("a", Controlled::Forwarding, true));
    assert_eq!(treatments(&world), [NO_EVENTS, SILENT]);
    control(&mut world, of("b", Controlled::Media, true));
    assert_eq!(
        treatments(&world),
        [NO_EVENTS, BLOCKED],
        "the stricter one counts"
    );
    let call = world.query();
    assert_eq!(call.parties[0].controls, ["DTMF blocked", "forwarding"]);
    assert_eq!(call.parties[1].controls, ["media blocked", "media silenced"]);
}

#[test]
fn payload_types_are_those_of_either_side() {
    let mut world = connected();
    assert_eq!(
        world.stream(0).payloads,
        Default::default(),
        "nobody asks for them"
    );
    control(&mut world, request(Controlled::Silence, true));
    let payloads = &world.stream(0).payloads;
    assert!(payloads.events.contains(101) && !payloads.events.contains(8));
    assert_eq!(payloads.silence(8), Some(0xd5));
    assert_eq!(payloads.silence(0), Some(0xff));
    assert_eq!(payloads.silence(101), None);
}

#[test]
fn only_audio_is_silenced() {
    let mut world = World::new();
    let video =
        |sdp: &str, port: &str| format!("{sdp}m=video {port} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n");
    world.sdp(offer("a", None, &video(OFFER, "4002")));
    world.sdp(answer("a", "b", &video(ANSWER, "5002")));
    control(&mut world, request(Controlled::Silence, true));
    let treatment = |stream: usize| world.stream(stream).sinks[0].media;
    assert_eq!(treatment(0), Treatment::Silence);
    assert_eq!(treatment(4), Treatment::Pass);
}

#[test]
fn what_cannot_be_silenced_is_dropped() {
    let mut world = World::new();
    let srtp = |sdp: &str| {
        let key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
        let sdp = sdp.replace("RTP/AVP", "RTP/SAVP");
        format!("{sdp}a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n")
    };
    world.sdp(offer("a", None, &srtp(OFFER)));
    world.sdp(answer("a", "b", &srtp(ANSWER)));
    assert_eq!(treatments(&world), [PASS, PASS]);
    control(&mut world, request(Controlled::Silence, true));
    assert_eq!(treatments(&world), [(Treatment::Drop, false); 2]);
}

#[test]
fn a_single_flow_is_blocked() {
    let mut world = connected();
    let flow = |sink: PartyChoice, on| MediaControl {
        sink: Some(sink),
        ..of("a", Controlled::Media, on)
    };
    control(&mut world, flow(PartyChoice::Tag("b".into()), true));
    assert_eq!(treatments(&world), [BLOCKED, PASS]);
    world.sdp(offer("a", Some("b"), OFFER));
    world.sdp(answer("a", "b", ANSWER));
    assert_eq!(treatments(&world), [BLOCKED, PASS], "a re-INVITE changes nothing");
    control(&mut world, flow(PartyChoice::Tag("b".into()), false));
    assert_eq!(treatments(&world), [PASS, PASS]);
    assert_eq!(
        refused(&mut world, flow(PartyChoice::Tag("c".into()), true)),
        "Media flow not found (to-tag not found)"
    );
    assert_eq!(
        refused(&mut world, flow(PartyChoice::Label("c".into()), true)),
        "Media flow not found (to-label not found)"
    );
    assert_eq!(
        refused(&mut world, flow(PartyChoice::Tag("a".into()), true)),
        "Media flow not found (to-tag not subscribed)"
    );
}

#[test]
fn a_blocked_flow_that_ends_is_forgotten() {
    let mut world = connected();
    let all = MediaControl {
        flows: FlowChoice::OfferAnswer,
        ..request(Controlled::Media, true)
    };
    control(&mut world, all);
    assert_eq!(treatments(&world), [BLOCKED, BLOCKED]);
    // Somebody else takes the place of b, who comes back later.
    world.sdp(offer("a", Some("c"), OFFER));
    world.sdp(answer("a", "c", ANSWER));
    world.sdp(offer("a", Some("b"), OFFER));
    world.sdp(answer("a", "b", ANSWER));
    assert_eq!(treatments(&world), [PASS, PASS]);
}

#[test]
fn flows_of_a_kind() {
    let mut world = connected();
    let flows = |flows, on| MediaControl {
        flows,
        ..of("a", Controlled::Silence, on)
    };
    control(&mut world, flows(FlowChoice::Every, true));
    assert_eq!(treatments(&world), [SILENT, PASS]);
    control(&mut world, flows(FlowChoice::OfferAnswer, false));
    assert_eq!(treatments(&world), [PASS, PASS]);
    assert_eq!(
        refused(&mut world, flows(FlowChoice::PubSub, true)),
        "No eligible media subscriptions found"
    );
}

#[test]
fn who_is_meant() {
    let mut world = World::new();
    let mut first = signal("a", None, OFFER);
    first.options.label = Some("A".to_owned());
    world.sdp(Command::Offer(Box::new(first)));
    world.sdp(answer("a", "b", ANSWER));
    let by = |source: PartyChoice| MediaControl {
        source: Some(source),
        set_label: Some("blocked".to_owned()),
        ..request(Controlled::Media, true)
    };
    control(&mut world, by(PartyChoice::Address("198.51.100.32".parse().ok())));
    assert_eq!(treatments(&world), [PASS, BLOCKED]);
    assert_eq!(world.query().parties[1].label.as_deref(), Some("blocked"));
    control(&mut world, by(PartyChoice::Label("A".to_owned())));
    assert_eq!(treatments(&world), [BLOCKED, BLOCKED]);
    for (choice, error) in [
        (PartyChoice::Label("B".to_owned()), MediaError::NoLabel),
        (
            PartyChoice::Address("192.0.2.1".parse().ok()),
            MediaError::NoAddress,
        ),
        (PartyChoice::Address(None), MediaError::BadAddress),
        (PartyChoice::Tag("c".into()), MediaError::NoFromTag),
    ] {
        assert_eq!(refused(&mut world, by(choice)), error.to_string());
    }
    let mut unknown = request(Controlled::Media, true);
    unknown.call_id = "other".into();
    assert_eq!(refused(&mut world, unknown.clone()), "Unknown call-ID");
    unknown.what = Controlled::Forwarding;
    assert_eq!(refused(&mut world, unknown), "Unknown call-ID");
}

#[test]
fn echo_and_blackhole() {
    let mut world = World::new();
    let mut first = signal("a", None, OFFER);
    first.options.media_echo = Some(MediaEcho::Forward);
    world.sdp(Command::Offer(Box::new(first)));
    world.sdp(answer("a", "b", ANSWER));
    let ids = |world: &World, stream: usize| -> Vec<u32> {
        let sinks = world.stream(stream).sinks.iter();
        sinks.map(|sink| sink.stream.0).collect()
    };
    assert_eq!((ids(&world, 0), ids(&world, 2)), (vec![], vec![2]));
    assert!(
        world
            .plan()
            .streams
            .iter()
            .all(|stream| stream.rtcp_sinks.is_empty())
    );
    let flags = |world: &mut World| -> [bool; 4] {
        let call = world.query();
        let has = |party: usize, flag| call.parties[party].media[0].flags.contains(&flag);
        [
            has(0, MediaFlag::Blackhole),
            has(0, MediaFlag::Echo),
            has(1, MediaFlag::Blackhole),
            has(1, MediaFlag::Echo),
        ]
    };
    assert_eq!(flags(&mut world), [true, false, false, true]);

    let mut again = signal("a", Some("b"), OFFER);
    again.options.media_echo = Some(MediaEcho::Both);
    world.sdp(Command::Offer(Box::new(again)));
    assert_eq!((ids(&world, 0), ids(&world, 2)), (vec![0], vec![2]));
    assert_eq!(flags(&mut world), [false, true, false, true]);

    world
        .handle(Command::Control(request(Controlled::Media, true)))
        .unwrap();
    let heard = |world: &World, stream: usize| world.stream(stream).sinks[0].media;
    assert_eq!(
        (heard(&world, 0), heard(&world, 2)),
        (Treatment::Drop, Treatment::Drop)
    );
}

#[test]
fn all_traffic_is_dropped_and_comes_back() {
    let mut world = World::new();
    let mut first = signal("a", None, OFFER);
    first.options.drop_traffic = Some(true);
    world.sdp(Command::Offer(Box::new(first)));
    world.sdp(answer("a", "b", ANSWER));
    assert_eq!(treatments(&world), [(Treatment::Drop, true); 2]);
    assert!(!world.stream(0).rtcp_sinks.is_empty());
    assert_eq!(world.query().controls, ["traffic dropped"]);
    let mut again = signal("b", Some("a"), ANSWER);
    again.options.drop_traffic = Some(false);
    again.options.block_events = true;
    world.sdp(Command::Offer(Box::new(again)));
    assert_eq!(treatments(&world), [PASS, NO_EVENTS]);
}

#[test]
fn nothing_can_be_played_yet() {
    let mut world = connected();
    let mut reply = |parties: SourceChoice, what| {
        world.handle(Command::Play(Play {
            call_id: "call".into(),
            parties,
            what,
        }))
    };
    let mut play = |parties, what| reply(parties, what).unwrap_err().to_string();
    let a = || SourceChoice::One(PartyChoice::Tag("a".into()));
    let dtmf = |code| Playback::Dtmf { code };
    assert_eq!(
        play(SourceChoice::Nobody, dtmf(Some(1))),
        "No participant party specified"
    );
    assert_eq!(play(a(), dtmf(None)), "Out of range 'code' specified");
    assert_eq!(
        play(a(), dtmf(Some(1))),
        "No SSRC context present for DTMF injection"
    );
    assert_eq!(play(a(), Playback::Stop), "Not currently playing media");
    assert_eq!(
        play(SourceChoice::All, Playback::Media { source: None }),
        "No media file specified"
    );
    assert_eq!(play(a(), Playback::Stop), "Not currently playing media");
    let source = Some(MusicSource::Blob);
    assert_eq!(
        play(a(), Playback::Media { source }),
        "Failed to start media playback from blob"
    );
    assert!(matches!(reply(a(), Playback::Stop), Ok(Reply::Stopped)));
}

#[test]
fn rtcp_of_our_own_goes_to_each_party_where_it_takes_rtcp() {
    let mut world = World::new();
    let mut first = signal("a", None, OFFER);
    first.options.generate_rtcp = Some(true);
    world.sdp(Command::Offer(Box::new(first)));
    world.sdp(answer("a", "b", ANSWER));
    let reports = world.plan().reports.clone().unwrap();
    let ids = |world: &World| -> Vec<u32> { world.plan().streams.iter().map(|stream| stream.id.0).collect() };
    assert_eq!(ids(&world), [0, 1, 2, 3]);
    let ways = |reports: &ReportPlan| -> Vec<(u32, u32)> {
        let ways = reports.ways.iter();
        ways.map(|(to, by)| (to.0, by.0)).collect()
    };
    assert_eq!(ways(&reports), [(0, 1), (2, 3)], "RTCP has ports of its own");
    assert_eq!(reports.interval.as_secs(), 5);
    assert!(reports.name.len() == 12 && reports.name.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let flags = |world: &mut World| {
        let call = world.query();
        [0, 1].map(|party: usize| {
            call.parties[party].media[0]
                .flags
                .contains(&MediaFlag::RtcpGenerator)
        })
    };
    assert_eq!(flags(&mut world), [true; 2]);

    let muxed = format!("{OFFER}a=rtcp-mux\r\n");
    world.sdp(Command::Offer(Box::new(signal("a", Some("b"), &muxed))));
    world.sdp(answer("a", "b", &format!("{ANSWER}a=rtcp-mux\r\n")));
    let again = world.plan().reports.clone().unwrap();
    assert_eq!(ways(&again), [(0, 0), (2, 2)]);
    assert_eq!(
        (again.name, again.seed),
        (reports.name, reports.seed),
        "who we are stays"
    );

    let mut last = signal("b", Some("a"), ANSWER);
    last.options.generate_rtcp = Some(false);
    world.sdp(Command::Offer(Box::new(last)));
    assert_eq!(world.plan().reports, None);
    assert_eq!(flags(&mut world), [false; 2]);
}
