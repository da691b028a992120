//! Media sections over several messages: which is which, what they are called, and what is said of those that are rejected.

use crate::call::command::{Command, Extensions};

use super::world::{World, signal};

/// An SDP of these sections, each given by what follows `m=` and by its mid, if it has one.
fn sdp(sections: &[(&str, Option<&str>)]) -> String {
    let mut sdp =
        String::from("v=0\r\no=- 1 1 IN IP4 198.51.100.31\r\ns=-\r\nc=IN IP4 198.51.100.31\r\nt=0 0\r\n");
    for (line, mid) in sections {
        sdp += &format!("m={line}\r\n");
        if let Some(mid) = mid {
            sdp += &format!("a=mid:{mid}\r\n");
        }
    }
    sdp
}

/// `m=` and `a=mid` of what comes out.
fn told(world: &mut World, command: Command) -> String {
    let sdp = world.sdp(command);
    let lines = sdp
        .lines()
        .filter(|line| line.starts_with("m=") || line.starts_with("a=mid"));
    lines.collect::<Vec<_>>().join("\n")
}

fn offer(from: &str, to: Option<&str>, sections: &[(&str, Option<&str>)]) -> Command {
    Command::Offer(Box::new(signal(from, to, &sdp(sections))))
}

fn answer(from: &str, to: &str, sections: &[(&str, Option<&str>)]) -> Command {
    Command::Answer(Box::new(signal(from, Some(to), &sdp(sections))))
}

const AUDIO: &str = "audio 4000 RTP/AVP 0";
const VIDEO: &str = "video 4002 RTP/AVP 34";

/// A call in which the sections are called 0 and 1.
fn connected() -> World {
    let mut world = World::new();
    told(
        &mut world,
        offer("a", None, &[(AUDIO, Some("0")), (VIDEO, Some("1"))]),
    );
    told(&mut world, answer("a", "b", &[(AUDIO, Some("x")), (VIDEO, None)]));
    world
}

#[test]
fn sections_that_change_places_stay_where_they_were_for_the_other_party() {
    let mut world = connected();
    let swapped = [(VIDEO, Some("1")), (AUDIO, Some("0"))];
    insta::assert_snapshot!(told(&mut world, offer("a", Some("b"), &swapped)), @"
    m=audio 30002 RTP/AVP 0
    a=mid:0
    m=video 30006 RTP/AVP 34
    a=mid:1
    ");
    let added = [
        (VIDEO, Some("1")),
        (AUDIO, Some("0")),
        ("video 4004 RTP/AVP 34", Some("2")),
    ];
    insta::assert_snapshot!(told(&mut world, offer("a", Some("b"), &added)), @"
    m=audio 30002 RTP/AVP 0
    a=mid:0
    m=video 30006 RTP/AVP 34
    a=mid:1
    m=video 30010 RTP/AVP 34
    a=mid:2
    ");
}

#[test]
fn the_last_of_two_sections_for_one_counts() {
    let mut world = World::new();
    told(&mut world, offer("a", None, &[(AUDIO, Some("0"))]));
    let twice = [(AUDIO, None), ("audio 4004 RTP/AVP 8", Some("0"))];
    insta::assert_snapshot!(told(&mut world, offer("a", None, &twice)), @"
    m=audio 30004 RTP/AVP 8
    a=mid:0
    ");
    let same = [(AUDIO, Some("0")), (AUDIO, Some("1")), (AUDIO, Some("1"))];
    insta::assert_snapshot!(told(&mut World::new(), offer("a", None, &same)), @"
    m=audio 30002 RTP/AVP 0
    a=mid:0
    m=audio 30006 RTP/AVP 0
    a=mid:1
    m=audio 30010 RTP/AVP 0
    a=mid:1
    ");
}

#[test]
fn of_sections_that_a_message_lacks_the_receiver_is_told_its_own() {
    let mut world = World::new();
    told(&mut world, offer("a", None, &[(AUDIO, None), (VIDEO, None)]));
    let answered = [(AUDIO, None), ("video 4002 RTP/AVP 31", None)];
    told(&mut world, answer("a", "b", &answered));
    insta::assert_snapshot!(told(&mut world, offer("a", Some("b"), &[(AUDIO, None)])), @"
    m=audio 30002 RTP/AVP 0
    m=video 30006 RTP/AVP 31
    ");
    told(&mut world, offer("a", Some("c"), &[(AUDIO, None)]));
    insta::assert_snapshot!(told(&mut world, answer("a", "c", &[(AUDIO, None)])), @"
    m=audio 30000 RTP/AVP 0
    m=video 30004 RTP/AVP 31
    ");
}

#[test]
fn who_knows_of_a_section_is_not_made_to_forget_it() {
    let mut world = connected();
    let mut again = signal("a", Some("b"), &sdp(&[(AUDIO, Some("0")), (VIDEO, Some("1"))]));
    again.options.removed_media = vec!["video"];
    insta::assert_snapshot!(told(&mut world, Command::Offer(Box::new(again))), @"
    m=audio 30002 RTP/AVP 0
    a=mid:0
    m=video 30006 RTP/AVP 34
    a=mid:1
    ");
    insta::assert_snapshot!(told(&mut world, answer("a", "b", &[(AUDIO, None)])), @"
    m=audio 30000 RTP/AVP 0
    a=mid:0
    m=video 0 RTP/AVP 34
    ");
}

#[test]
fn each_party_keeps_its_own_names() {
    let mut world = connected();
    let renamed = [(AUDIO, Some("y")), (VIDEO, None)];
    insta::assert_snapshot!(told(&mut world, offer("b", Some("a"), &renamed)), @"
    m=audio 30000 RTP/AVP 0
    a=mid:0
    m=video 30004 RTP/AVP 34
    a=mid:1
    ");
    let answered = [(AUDIO, Some("0")), (VIDEO, Some("1"))];
    insta::assert_snapshot!(told(&mut world, answer("b", "a", &answered)), @"
    m=audio 30002 RTP/AVP 0
    a=mid:y
    m=video 30006 RTP/AVP 34
    a=mid:1
    ");
}

#[test]
fn a_name_that_only_an_answer_mentions_does_not_count() {
    let mut world = World::new();
    told(&mut world, offer("a", None, &[(AUDIO, None)]));
    insta::assert_snapshot!(told(&mut world, answer("a", "b", &[(AUDIO, Some("x"))])), @"m=audio 30000 RTP/AVP 0");
    insta::assert_snapshot!(told(&mut world, offer("a", Some("b"), &[(AUDIO, None)])), @"m=audio 30002 RTP/AVP 0");
}

/// `a=extmap` lines of what comes out.
fn extensions(world: &mut World, command: Command) -> String {
    let sdp = world.sdp(command);
    let lines = sdp.lines().filter(|line| line.starts_with("a=extmap"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn mixed_extensions_are_not_offered_to_who_does_not_take_them() {
    let with = |mixed: &str| {
        let section = format!("{AUDIO}\r\na=extmap:4 urn:x:one{mixed}");
        sdp(&[(&*section, None)])
    };
    for (mixed, expected) in [
        ("", "a=extmap:4 urn:x:one"),
        (
            "\r\na=extmap-allow-mixed",
            "a=extmap-allow-mixed\na=extmap:4 urn:x:one",
        ),
    ] {
        let mut world = World::new();
        let offer = Command::Offer(Box::new(signal("a", None, &with(mixed))));
        assert!(
            extensions(&mut world, offer).starts_with("a=extmap-allow-mixed"),
            "nothing is known yet"
        );
        let answer = Command::Answer(Box::new(signal("a", Some("b"), &with(""))));
        assert_eq!(extensions(&mut world, answer), expected);
    }
}

#[test]
fn masked_extensions_are_answered_to_who_offered_them() {
    let mut world = World::new();
    let offered = format!("{AUDIO}\r\na=extmap:4 urn:x:one\r\na=extmap:5 urn:x:two\r\na=extmap-allow-mixed");
    let mut signal = signal("a", None, &sdp(&[(&*offered, None)]));
    signal.options.masked_extensions = Extensions::Named(vec!["urn:x:one".to_owned()]);
    insta::assert_snapshot!(extensions(&mut world, Command::Offer(Box::new(signal))), @"
    a=extmap-allow-mixed
    a=extmap:5 urn:x:two
    ");
    let answered = format!("{AUDIO}\r\na=extmap:5 urn:x:two");
    insta::assert_snapshot!(extensions(&mut world, answer("a", "b", &[(&*answered, None)])), @"
    a=extmap-allow-mixed
    a=extmap:4 urn:x:one
    a=extmap:5 urn:x:two
    ");
}

#[test]
fn a_rejected_section_keeps_its_name_and_the_profile_that_was_offered() {
    let mut world = World::new();
    let offered = [(AUDIO, None), ("video 4002 RTP/AVP 100 107", Some("1"))];
    told(&mut world, offer("a", None, &offered));
    for (rejected, formats) in [
        ("video 0 RTP/AVPF 100", "100 107"),
        ("video 0 RTP/AVP 100", "100"),
    ] {
        assert_eq!(
            told(&mut world, answer("a", "b", &[(AUDIO, None), (rejected, None)])),
            format!("m=audio 30000 RTP/AVP 0\nm=video 0 RTP/AVP {formats}\na=mid:1")
        );
    }
}

/// An offer that does not tell the other party of video.
fn offer_without_video(to: Option<&str>) -> Command {
    let mut command = offer("a", to, &[(AUDIO, Some("x")), (VIDEO, Some("y"))]);
    if let Command::Offer(signal) = &mut command {
        signal.options.removed_media = vec![crate::sdp::Place::kind("video").unwrap()];
    }
    command
}

#[test]
fn a_section_is_removed_only_where_it_is_new() {
    let mut world = World::new();
    let told_first = told(&mut world, offer_without_video(None));
    assert!(!told_first.contains("video"), "{told_first}");
    let answered = told(&mut world, answer("a", "b", &[(AUDIO, None)]));
    assert!(answered.ends_with("m=video 0 RTP/AVP 34\na=mid:y"), "{answered}");
    let shown = told(
        &mut world,
        offer("a", Some("b"), &[(AUDIO, Some("x")), (VIDEO, Some("y"))]),
    );
    assert!(shown.contains("m=video"), "{shown}");
    assert_eq!(told(&mut world, offer_without_video(Some("b"))), shown);
}

#[test]
fn a_removed_section_may_be_answered_all_the_same() {
    let mut world = World::new();
    told(&mut world, offer_without_video(None));
    let answered = told(&mut world, answer("a", "b", &[(AUDIO, None), (VIDEO, None)]));
    assert_eq!(answered.matches("m=video").count(), 1, "{answered}");
    assert!(!answered.contains("m=video 0 "), "{answered}");
}

#[test]
fn an_answer_of_another_kind_has_the_kind_that_was_offered() {
    let mut world = World::new();
    told(&mut world, offer("a", None, &[(AUDIO, None)]));
    told(&mut world, offer("b", None, &[(VIDEO, None)]));
    let answered = told(&mut world, answer("b", "a", &[("audio 4000 RTP/AVP 34", None)]));
    assert!(answered.starts_with("m=video "), "{answered}");
    // Of whoever was only offered to the answer says what it is.
    let mut world = World::new();
    told(&mut world, offer("a", None, &[(VIDEO, None)]));
    let answered = told(&mut world, answer("a", "b", &[(AUDIO, None)]));
    assert!(answered.starts_with("m=audio "), "{answered}");
}

#[test]
fn of_a_section_that_is_not_spoken_of_is_told_what_holds() {
    let video = "video 4002 RTP/AVP 34\r\na=rtcp-mux\r\na=extmap:4 urn:x:one\r\na=extmap:5 urn:x:two";
    let answered = "video 5002 RTP/AVP 34\r\na=rtcp-mux\r\na=extmap:4 urn:x:one";
    let muxed = format!("{AUDIO}\r\na=rtcp-mux");
    let mut world = World::new();
    told(&mut world, offer("a", None, &[(&*muxed, None), (video, None)]));
    told(&mut world, answer("a", "b", &[(&*muxed, None), (answered, None)]));
    let sdp = world.sdp(offer("a", Some("b"), &[(&*muxed, None)]));
    let told = sdp.split("m=video").nth(1).unwrap();
    assert!(
        told.contains("a=extmap:4 urn:x:one\r\n") && !told.contains("urn:x:two"),
        "{told}"
    );
    let port = told.split(' ').nth(1).unwrap();
    assert!(
        told.contains(&format!("a=rtcp:{port}\r\na=rtcp-mux\r\n")),
        "{told}"
    );
}

#[test]
fn a_removed_section_counts_for_packet_times() {
    let mut world = World::new();
    let mut command = offer("a", None, &[("video 4002 RTP/AVP 34\r\na=ptime:30", None)]);
    if let Command::Offer(signal) = &mut command {
        signal.options.removed_media = vec![crate::sdp::Place::kind("video").unwrap()];
    }
    assert!(world.handle(command).is_err());
    assert!(
        world
            .sdp(answer("a", "b", &[(VIDEO, None)]))
            .contains("a=ptime:30\r\n")
    );
}

#[test]
fn who_was_told_of_no_section_was_not_offered_anything() {
    let mut world = World::new();
    let extmap = format!("{VIDEO}\r\na=extmap:4 urn:x:one");
    let mut command = offer("a", None, &[(&*extmap, None)]);
    if let Command::Offer(signal) = &mut command {
        signal.options.removed_media = vec![crate::sdp::Place::kind("video").unwrap()];
    }
    assert!(world.handle(command).is_err());
    let answered =
        format!("{VIDEO}\r\na=extmap:4 urn:x:one\r\na=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg");
    let told = world.sdp(answer("a", "b", &[(&*answered, None)]));
    assert!(told.contains("a=extmap-allow-mixed"), "{told}");
    assert_eq!(world.query().parties.len(), 3);
    // Who answers without having been asked does ICE if it says so.
    assert!(
        world
            .sdp(offer("a", Some("b"), &[(VIDEO, None)]))
            .contains("a=ice-ufrag")
    );
}

#[test]
fn sections_that_a_party_brought_are_told_it_as_it_has_them() {
    let dtls = "a=setup:active\r\na=fingerprint:sha-256 \
        D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F";
    let secure = format!("video 4002 UDP/TLS/RTP/SAVPF 34\r\n{dtls}");
    let mut world = World::new();
    world.sdp(offer("a", None, &[(AUDIO, None)]));
    world.sdp(answer("a", "b", &[(AUDIO, None), (&*secure, None)]));
    let told = world.sdp(offer("a", Some("b"), &[(AUDIO, None)]));
    assert!(told.contains("a=setup:passive"), "{told}");
}

#[test]
fn a_name_that_a_message_lacks_is_the_last_one() {
    let mut world = World::new();
    let named = sdp(&[(AUDIO, None)]).replace("s=-", "s=talk");
    world.sdp(Command::Offer(Box::new(signal("a", None, &named))));
    let nameless = named.replace("s=talk\r\n", "");
    let told = world.sdp(Command::Offer(Box::new(signal("a", None, &nameless))));
    assert!(told.contains("s=talk\r\n"), "{told}");
    let unnumbered = named.replace("o=- 1 1", "o=- 1 x");
    let told = world.sdp(Command::Offer(Box::new(signal("a", None, &unnumbered))));
    assert!(told.contains("o=- 1 0 IN"), "{told}");
}

#[test]
fn of_a_section_that_is_not_spoken_of_the_newest_direction_counts() {
    let mut world = World::new();
    let both = |direction: &str| format!("{VIDEO}\r\na={direction}");
    let mut first = signal("a", None, &sdp(&[(AUDIO, None), (&both("sendrecv"), None)]));
    first.via_branch = Some("1".into());
    world.sdp(Command::Offer(Box::new(first)));
    let mut second = signal("a", None, &sdp(&[(AUDIO, None), (&both("sendonly"), None)]));
    second.via_branch = Some("2".into());
    world.sdp(Command::Offer(Box::new(second)));
    let mut third = signal("a", Some("b"), &sdp(&[(AUDIO, None)]));
    third.via_branch = Some("1".into());
    let told = world.sdp(Command::Answer(Box::new(third)));
    assert!(
        told.split("m=video").nth(1).unwrap().contains("a=recvonly"),
        "{told}"
    );
}
