//! Commands about media.

use super::{ask, command, offer, options};
use crate::call::{
    Command, ConnectMode, Controlled, CreateMedia, FlowChoice, MediaControl, MediaEcho, MeshLink,
    MusicSource, PartyChoice, Playback, SourceChoice, SubscribeRequest, SubscriptionFlags, Tag,
    TransformMedia,
};
use crate::control::notices::Notice;
use crate::control::parse::RequestError;

/// A request on call `c` with these keys besides.
fn on_call(name: &str, more: &str) -> Command {
    command(&format!(r#"{{"command":"{name}","call-id":"c"{more}}}"#))
}

fn refused(body: &str) -> RequestError {
    ask(body).0.unwrap_err()
}

fn control(name: &str, more: &str) -> MediaControl {
    let Command::Control(control) = on_call(name, more) else {
        panic!("{name} is no media control");
    };
    control
}

fn subscription(more: &str) -> SubscribeRequest {
    let Command::SubscribeRequest(request) = on_call("subscribe request", more) else {
        panic!("no subscription");
    };
    *request
}

fn tag(tag: &str) -> PartyChoice {
    PartyChoice::Tag(tag.into())
}

#[test]
fn what_is_switched_on_and_off() {
    for (name, what, on) in [
        ("block media", Controlled::Media, true),
        ("unblock media", Controlled::Media, false),
        ("silence media", Controlled::Silence, true),
        ("unsilence media", Controlled::Silence, false),
        ("block DTMF", Controlled::Events, true),
        ("unblock DTMF", Controlled::Events, false),
        ("start forwarding", Controlled::Forwarding, true),
        ("stop forwarding", Controlled::Forwarding, false),
    ] {
        let control = control(name, "");
        assert_eq!((control.what, control.on), (what, on), "{name}");
        assert_eq!((control.source, control.sink), (None, None));
        let without = format!(r#"{{"command":"{name}","from-tag":"f"}}"#);
        assert_eq!(refused(&without), RequestError::NoCallId);
    }
}

#[test]
fn whose_media_it_is() {
    let source = |more: &str| control("block media", more).source;
    assert_eq!(source(r#","from-tag":"f""#), None, "proxies always send one");
    assert_eq!(
        source(r#","from-tag":"f","flags":["directional"]"#),
        Some(tag("f"))
    );
    assert_eq!(source(r#","rtpp-flags":"from-tag=f""#), Some(tag("f")));
    let address = PartyChoice::Address("198.51.100.1".parse().ok());
    assert_eq!(
        source(r#","from-tag":"f","address":"198.51.100.1","flags":"directional""#),
        Some(address)
    );
    assert_eq!(source(r#","address":"x""#), Some(PartyChoice::Address(None)));
    let label = Some(PartyChoice::Label("L".to_owned()));
    for key in ["label", "from-label", "from label"] {
        assert_eq!(source(&format!(r#","address":"x","{key}":"L""#)), label, "{key}");
    }
}

#[test]
fn which_flows_are_meant() {
    let flows = |more: &str| control("silence media", more).flows;
    for (word, choice) in [
        ("none", FlowChoice::Unsaid),
        ("all", FlowChoice::All),
        ("offer-answer", FlowChoice::OfferAnswer),
        ("offer answer", FlowChoice::OfferAnswer),
        ("except-offer-answer", FlowChoice::PubSub),
        ("not-offer-answer", FlowChoice::PubSub),
        ("non-offer-answer", FlowChoice::PubSub),
        ("flows", FlowChoice::Every),
    ] {
        assert_eq!(flows(&format!(r#","all":"{word}""#)), choice, "{word}");
    }
    assert_eq!(flows(r#","flags":["all"]"#), FlowChoice::All);
    let sink = |more: &str| control("block media", more).sink;
    assert_eq!(sink(r#","to-tag":"t""#), Some(tag("t")));
    assert_eq!(
        sink(r#","to-label":"L""#),
        Some(PartyChoice::Label("L".to_owned()))
    );
    assert_eq!(sink(r#","to-tag":"t","to-label":"L""#), Some(tag("t")));
    assert_eq!(sink(r#","to-tag":"""#), None);
    assert_eq!(
        control("block media", r#","set-label":"S""#).set_label.as_deref(),
        Some("S")
    );
}

#[test]
fn events_are_dropped_whatever_else_is_wished() {
    for how in ["drop", "silence"] {
        assert!(control("block DTMF", &format!(r#","DTMF-security":"{how}""#)).on);
    }
    assert!(!control("block DTMF", r#","DTMF-security":"off""#).on);
    assert_eq!(
        refused(r#"{"command":"block DTMF","call-id":"c","trigger":"12"}"#),
        RequestError::NoTriggers
    );
    assert!(options(r#","flags":["block DTMF"]"#).block_events);
}

#[test]
fn what_is_to_be_played() {
    let what = |name: &str, more: &str| {
        let Command::Play(play) = on_call(name, more) else {
            panic!("another command");
        };
        play.what
    };
    for (value, code) in [
        ("7", Some(7)),
        ("15", Some(15)),
        ("16", None),
        ("-1", None),
        (r#""7""#, Some(7)),
        (r##""#""##, Some(11)),
        (r#""*""#, Some(10)),
        (r#""D""#, Some(15)),
        (r#""E""#, None),
        (r#""""#, None),
    ] {
        for key in ["code", "digit"] {
            let found = what("play DTMF", &format!(r#","{key}":{value}"#));
            assert_eq!(found, Playback::Dtmf { code }, "{value}");
        }
    }
    for (more, source) in [
        ("", None),
        (r#","file":"x""#, Some(MusicSource::File)),
        (r#","file":"""#, None),
        (r#","blob":"x""#, Some(MusicSource::Blob)),
        (r#","blob64":"AAAA""#, Some(MusicSource::Blob)),
        (r#","blob64":"?""#, None),
        (r#","db-id":3"#, Some(MusicSource::Database)),
    ] {
        assert_eq!(what("play media", more), Playback::Media { source }, "{more}");
    }
    assert_eq!(what("stop media", ""), Playback::Stop);
}

#[test]
fn sources_of_a_subscription() {
    let sources = |more: &str| subscription(more).sources;
    assert_eq!(sources(""), SourceChoice::Nobody);
    assert_eq!(sources(r#","from-tag":"f""#), SourceChoice::One(tag("f")));
    assert_eq!(sources(r#","from-tag":"f","all":"all""#), SourceChoice::All);
    let two = SourceChoice::Tags(vec!["f".into(), "g".into()]);
    assert_eq!(sources(r#","from-tags":["f","g"]"#), two);
    assert_eq!(sources(r#","flags":["from-tags-f","from-tags-g"]"#), two);
    let label = SourceChoice::One(PartyChoice::Label("L".to_owned()));
    assert_eq!(sources(r#","label":"L","from-tag":"f""#), label);
}

#[test]
fn the_rest_of_a_subscription() {
    let request = subscription(r#","label":"L","to-label":"S","to-tag":"t","interface":"pub""#);
    assert_eq!(request.label.as_deref(), Some("S"));
    assert_eq!(request.options.label, None, "it says whose media is wanted");
    assert_eq!(request.options.interfaces.to.as_deref(), Some("pub"));
    assert_eq!(request.to_tag, Some("t".into()));
    assert_eq!(subscription(r#","to-tag":"t","rtpp-flags":"x""#).to_tag, None);
    assert_eq!(
        subscription(r#","rtpp-flags":"to-tag=t""#).to_tag,
        Some("t".into())
    );
    let flags = r#","flags":["inactive","bidirectional","egress","mix","RTCP-mirror","SIPREC"]"#;
    assert_eq!(
        subscription(flags).flags,
        SubscriptionFlags {
            inactive: true,
            bidirectional: true,
            egress: true,
            mix: true,
            rtcp_mirror: true,
            siprec: true
        }
    );
}

#[test]
fn what_commands_cannot_do_without() {
    for (body, error) in [
        (r#"{"command":"publish","call-id":"c"}"#, RequestError::NoSdp),
        (r#"{"command":"subscribe request"}"#, RequestError::NoCallId),
        (r#"{"command":"subscribe answer"}"#, RequestError::NoCallId),
        (r#"{"command":"unsubscribe"}"#, RequestError::NoCallId),
        (r#"{"command":"connect"}"#, RequestError::NoCallId),
        (
            r#"{"command":"inject start","call-id":"c"}"#,
            RequestError::NoToTag,
        ),
        (
            r#"{"command":"inject stop","call-id":"c","to-tag":"t"}"#,
            RequestError::NoSourceTag,
        ),
        (
            r#"{"command":"create answer","call-id":"c","sdp":"v"}"#,
            RequestError::NoFromTag,
        ),
        (r#"{"command":"create answer"}"#, RequestError::NoSdp),
        (r#"{"command":"cli"}"#, RequestError::NoBody),
        (r#"{"command":"CLI","body":""}"#, RequestError::NoBody),
    ] {
        assert_eq!(refused(body), error, "{body}");
    }
}

#[test]
fn connections() {
    let connect = |more: &str| {
        let Command::Connect(connect) = on_call("connect", more) else {
            panic!("another command");
        };
        connect
    };
    let first = connect(r#","from-tag":"f","to-tag":"t","to-call-id":"d""#);
    assert_eq!(
        (first.mode, first.to_call_id),
        (ConnectMode::Dialogue, Some("d".into()))
    );
    let mode = |flags: &str| connect(&format!(r#","from-tag":"f","to-tag":"t","flags":"{flags}""#)).mode;
    assert_eq!(mode("directional"), ConnectMode::OneWay);
    assert_eq!(mode("directional,bidirectional"), ConnectMode::BothWays);
    let mesh = on_call(
        "mesh",
        r#","calls":["c","d"],"tags":[{"from":"f","to":["t","u"]},{"to":["x"]},"x"],"flags":"unsubscribe""#,
    );
    let Command::Mesh(mesh) = mesh else {
        panic!("{mesh:?}");
    };
    assert_eq!(mesh.calls, ["c".into(), "d".into()]);
    let link = |from: &str, to: &[&str]| MeshLink {
        from: from.into(),
        to: to.iter().map(|tag| Tag::from(*tag)).collect(),
    };
    assert_eq!(
        mesh.links,
        [link("f", &["t", "u"]), link("", &["x"]), link("", &[])]
    );
    assert!(mesh.replace && !mesh.bidirectional);
    let inject = on_call(
        "inject start",
        r#","to-tag":"t","source-tag":"s","source-call-id":"d""#,
    );
    let Command::Inject(inject) = inject else {
        panic!("{inject:?}");
    };
    assert_eq!((inject.source_tag, inject.on), ("s".into(), true));
    assert_eq!(inject.source_call_id, Some("d".into()));
}

#[test]
fn what_the_relay_offers() {
    let media = |more: &str| {
        let Command::Create(create) = on_call("create", more) else {
            panic!("another command");
        };
        create.media
    };
    let section = |kind: &str, codecs: &[&str]| CreateMedia {
        kind: kind.to_owned(),
        codecs: codecs.iter().map(|codec| (*codec).to_owned()).collect(),
    };
    assert_eq!(media(""), []);
    assert_eq!(
        media(r#","medias":["audio",{"type":"video","codec":["VP8/90000"]}]"#),
        [section("audio", &[]), section("video", &["VP8/90000"])]
    );
}

#[test]
fn where_packets_go() {
    let transform = on_call(
        "transform",
        r#","media":[{"id":"x","type":"audio","destination":{"family":"IP4","address":"198.51.100.1","port":4000}}]"#,
    );
    let Command::Transform(transform) = transform else {
        panic!("{transform:?}");
    };
    let media = TransformMedia {
        id: "x".to_owned(),
        kind: Some("audio".to_owned()),
        destination: Some(([198, 51, 100, 1], 4000).into()),
    };
    assert_eq!(transform.media, [media]);
}

#[test]
fn echo_and_dropping() {
    for (words, echo) in [
        (&["blackhole", "sinkhole"][..], MediaEcho::Blackhole),
        (&["forward", "fwd", "fw"], MediaEcho::Forward),
        (
            &["backwards", "backward", "reverse", "back", "bkw", "bk"],
            MediaEcho::Backwards,
        ),
        (&["both"], MediaEcho::Both),
    ] {
        for word in words {
            assert_eq!(
                options(&format!(r#","media echo":"{word}""#)).media_echo,
                Some(echo)
            );
        }
    }
    assert_eq!(options("").drop_traffic, None);
    assert_eq!(options(r#","drop-traffic":"start""#).drop_traffic, Some(true));
    assert_eq!(options(r#","drop traffic":"stop""#).drop_traffic, Some(false));
    let (signal, notices) = offer(r#","media-echo":"x","drop-traffic":"x""#);
    assert_eq!(
        (signal.options.media_echo, signal.options.drop_traffic),
        (None, None)
    );
    assert!(notices.has(Notice::BadValue, "media-echo=x"));
    assert!(notices.has(Notice::BadValue, "drop-traffic=x"));
}
