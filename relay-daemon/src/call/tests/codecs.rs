//! What offers, answers and further offers say of codecs and packet times, and what that asks of the media.

use crate::call::CodecPattern;
use crate::call::command::{CodecOptions, Command, Signal, SignalOptions};
use crate::report::MediaFlag;

use super::world::{World, answer, offer, signal};

fn sdp(codecs: &str, lines: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP {codecs}\r\n{lines}"
    )
}

/// The number that a payload type of a stream has for whoever gets it.
fn renumbered(world: &World, stream: usize, payload_type: u8) -> Option<u8> {
    world.stream(stream).sinks[0].renumbering.of(payload_type)
}

#[test]
fn payload_types_that_were_never_offered_are_renumbered() {
    let mut world = World::new();
    let offered = "a=rtpmap:111 opus/48000/2\r\na=rtpmap:110 telephone-event/48000\r\n";
    world.sdp(offer("a", None, &sdp("111 110", offered)));
    let answered = "a=rtpmap:106 opus/48000/2\r\na=rtpmap:97 telephone-event/48000\r\n";
    let told = world.sdp(answer("a", "b", &sdp("106 97", answered)));
    assert!(told.contains(" RTP/AVP 111 110\r\n"), "{told}");
    assert_eq!(
        (renumbered(&world, 0, 111), renumbered(&world, 0, 110)),
        (Some(106), Some(97))
    );
    assert_eq!(
        (renumbered(&world, 2, 106), renumbered(&world, 2, 97)),
        (Some(111), Some(110))
    );
    // A new offer is told as it is: both sides have the same numbers again.
    world.sdp(offer("b", Some("a"), &sdp("106 97", answered)));
    world.sdp(answer("b", "a", &sdp("106 97", answered)));
    assert_eq!(
        (renumbered(&world, 0, 106), renumbered(&world, 2, 106)),
        (None, None)
    );
}

#[test]
fn what_both_have_keeps_its_number() {
    let mut world = World::new();
    world.connect();
    assert!(world.stream(0).sinks[0].renumbering.is_empty());
    assert!(world.stream(2).sinks[0].renumbering.is_empty());
}

/// What becomes of the payload types of a stream on their way to whoever gets it, and in packets of which length.
fn translated(world: &World, stream: usize) -> Vec<(u8, u8, u32)> {
    let transcoding = world.stream(stream).sinks[0].transcoding.clone();
    let audio = transcoding.iter().flat_map(|transcoding| &transcoding.audio);
    audio
        .map(|conversion| {
            (
                conversion.from.payload_type,
                conversion.to.payload_type,
                conversion.packet_time,
            )
        })
        .collect()
}

fn offer_with(codecs: CodecOptions, sdp: &str) -> Command {
    Command::Offer(Box::new(Signal {
        options: SignalOptions {
            codecs,
            ..SignalOptions::default()
        },
        ..signal("a", None, sdp)
    }))
}

#[test]
fn what_a_side_does_not_have_is_translated_into_what_it_has() {
    let mut world = World::new();
    let masked = || CodecOptions {
        mask: vec![CodecPattern::from("PCMU")],
        transcode: vec!["PCMA".into()],
        ..CodecOptions::default()
    };
    world.sdp(offer_with(masked(), &sdp("0", "a=ptime:30\r\n")));
    assert_eq!(translated(&world, 0), [(0, 8, 20)]);
    world.sdp(answer("a", "b", &sdp("8", "")));
    assert_eq!(translated(&world, 0), [(0, 8, 20)]);
    assert_eq!(
        translated(&world, 2),
        [(8, 0, 30)],
        "in packets as it says that it takes"
    );
    // The next offer does without.
    world.sdp(offer("a", Some("b"), &sdp("8", "")));
    world.sdp(answer("a", "b", &sdp("8", "")));
    assert_eq!((translated(&world, 0), translated(&world, 2)), (vec![], vec![]));
}

#[test]
fn what_both_sides_have_passes() {
    let mut world = World::new();
    let added = CodecOptions {
        transcode: vec!["PCMA".into()],
        ..CodecOptions::default()
    };
    world.sdp(offer_with(added.clone(), &sdp("0", "")));
    world.sdp(answer("a", "b", &sdp("0", "")));
    assert_eq!((translated(&world, 0), translated(&world, 2)), (vec![], vec![]));
    // Who puts first what was added is sent nothing else.
    world.sdp(offer_with(added, &sdp("0", "")));
    world.sdp(answer("a", "b", &sdp("8 0", "")));
    assert_eq!(
        (translated(&world, 0), translated(&world, 2)),
        (vec![(0, 8, 20)], vec![(8, 0, 20)])
    );
}

/// The packet time of what an offer or answer is rewritten to.
fn ptime(world: &mut World, command: Command) -> Option<u32> {
    let told = world.sdp(command);
    let line = told.lines().find_map(|line| line.strip_prefix("a=ptime:"))?;
    line.parse().ok()
}

#[test]
fn the_packet_time_stated_last_counts() {
    let mut world = World::new();
    let (none, thirty, forty) = (
        sdp("0", ""),
        sdp("0", "a=ptime:30\r\n"),
        sdp("0", "a=ptime:40\r\n"),
    );
    assert_eq!(ptime(&mut world, offer("a", None, &none)), None);
    assert_eq!(ptime(&mut world, answer("a", "b", &thirty)), Some(30));
    assert_eq!(ptime(&mut world, offer("a", Some("b"), &none)), Some(30));
    assert_eq!(ptime(&mut world, answer("a", "b", &none)), Some(30));
    assert_eq!(ptime(&mut world, offer("b", Some("a"), &forty)), Some(40));
    assert_eq!(ptime(&mut world, answer("b", "a", &none)), Some(40));
    assert_eq!(ptime(&mut world, offer("a", Some("b"), &none)), Some(40));
}

#[test]
fn a_packet_time_concerns_both_who_hear_of_it() {
    let mut world = World::new();
    let (none, twenty) = (sdp("0", ""), sdp("0", "a=ptime:20\r\n"));
    assert_eq!(ptime(&mut world, offer("a", None, &none)), None);
    assert_eq!(ptime(&mut world, answer("a", "b", &twenty)), Some(20));
    assert_eq!(ptime(&mut world, offer("a", Some("c"), &none)), None);
    assert_eq!(ptime(&mut world, answer("a", "c", &none)), Some(20));
    assert_eq!(ptime(&mut world, offer("b", Some("d"), &none)), None);
    assert_eq!(ptime(&mut world, answer("b", "d", &none)), Some(20));
}

#[test]
fn a_packet_time_that_was_asked_for_lasts() {
    let mut world = World::new();
    let twenty = sdp("0", "a=ptime:20\r\n");
    let asked = Command::Offer(Box::new(Signal {
        options: SignalOptions {
            ptime: Some(30),
            ptime_reverse: Some(60),
            ..SignalOptions::default()
        },
        ..signal("a", None, &twenty)
    }));
    assert_eq!(ptime(&mut world, asked), Some(30));
    assert_eq!(ptime(&mut world, answer("a", "b", &twenty)), Some(60));
    assert_eq!(ptime(&mut world, offer("a", Some("b"), &twenty)), Some(30));
    assert_eq!(ptime(&mut world, answer("a", "b", &twenty)), Some(60));
    assert_eq!(ptime(&mut world, offer("b", Some("a"), &twenty)), Some(60));
    assert_eq!(ptime(&mut world, answer("b", "a", &twenty)), Some(30));
}

/// What the query reply says of what media takes, for each party.
fn work(world: &mut World) -> Vec<Vec<MediaFlag>> {
    let wanted = [MediaFlag::PtimeOverride, MediaFlag::Transcoding];
    let parties = world.query().parties.into_iter();
    parties
        .map(|party| {
            let flags = party.media[0].flags.iter().copied();
            flags.filter(|flag| wanted.contains(flag)).collect()
        })
        .collect()
}

#[test]
fn what_media_takes_is_said_before_it_is_done() {
    const BOTH: &[MediaFlag] = &[MediaFlag::PtimeOverride, MediaFlag::Transcoding];
    const PTIME: &[MediaFlag] = &[MediaFlag::PtimeOverride];
    const DECODED: &[MediaFlag] = &[MediaFlag::Transcoding];
    const NOTHING: &[MediaFlag] = &[];
    let with_ptime = SignalOptions {
        ptime: Some(30),
        ..SignalOptions::default()
    };
    let with_codecs = |codecs: CodecOptions| SignalOptions {
        codecs,
        ..SignalOptions::default()
    };
    let force = with_codecs(CodecOptions {
        force: true,
        ..CodecOptions::default()
    });
    let accept = with_codecs(CodecOptions {
        accept: vec![CodecPattern::from("PCMA")],
        ..CodecOptions::default()
    });
    let inject = with_codecs(CodecOptions {
        events_to_come: true,
        ..CodecOptions::default()
    });
    let event = "a=rtpmap:101 telephone-event/8000\r\n";
    for (options, offered, answered, before, after) in [
        (
            with_ptime,
            sdp("0 8", ""),
            sdp("0 8", ""),
            [PTIME, BOTH],
            [BOTH, BOTH],
        ),
        (
            force,
            sdp("0 8", ""),
            sdp("0 8", ""),
            [NOTHING, DECODED],
            [NOTHING, DECODED],
        ),
        (
            accept.clone(),
            sdp("0 8", ""),
            sdp("0 8", ""),
            [NOTHING, DECODED],
            [NOTHING, DECODED],
        ),
        (
            accept,
            sdp("0 8", ""),
            sdp("0", ""),
            [NOTHING, DECODED],
            [DECODED, DECODED],
        ),
        (
            inject.clone(),
            sdp("0", ""),
            sdp("0", ""),
            [NOTHING, DECODED],
            [NOTHING, DECODED],
        ),
        (
            inject,
            sdp("0 101", event),
            sdp("0", ""),
            [NOTHING, NOTHING],
            [NOTHING, DECODED],
        ),
    ] {
        let mut world = World::new();
        let offer = Signal {
            options,
            ..signal("a", None, &offered)
        };
        world.sdp(Command::Offer(Box::new(offer)));
        assert_eq!(work(&mut world), before, "offer of {offered}");
        world.sdp(answer("a", "b", &answered));
        assert_eq!(work(&mut world), after, "answer to {offered}");
    }
}
