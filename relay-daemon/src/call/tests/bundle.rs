//! Sections of a party on one transport: what the media is asked for.

use std::fmt::Write as _;

use crate::call::command::{BundleOffer, BundleOptions, Command, IceMode};
use crate::plan::StreamKind;

use super::world::{World, signal};

/// Audio and video of a party, with RTCP muxed.
fn sdp(address: &str, group: &str, [audio, video]: [u16; 2]) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n{group}\
         m=audio {audio} RTP/AVP 0\r\na=mid:0\r\na=rtcp-mux\r\n\
         m=video {video} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=mid:1\r\na=rtcp-mux\r\n"
    )
}

const GROUP: &str = "a=group:BUNDLE 0 1\r\n";
const ALICE: &str = "198.51.100.31";
const BOB: &str = "198.51.100.32";

fn offered(accept: bool, offer: BundleOffer) -> BundleOptions {
    BundleOptions {
        accept,
        offer,
        reject: false,
    }
}

fn offer(from: &str, to: Option<&str>, sdp: &str, bundle: BundleOptions) -> Command {
    let mut signal = signal(from, to, sdp);
    signal.options.bundle = bundle;
    signal.options.rtcp_mux.offer = true;
    Command::Offer(Box::new(signal))
}

fn answer(sdp: &str) -> Command {
    Command::Answer(Box::new(signal("a", Some("b"), sdp)))
}

/// A line for each RTP stream: its own ports, where it is sent, and whose ports it shares.
fn transports(world: &World) -> String {
    let mut text = String::new();
    let streams = &world.plan().streams;
    for stream in streams.iter().filter(|stream| stream.kind == StreamKind::Rtp) {
        let ports: Vec<String> = stream
            .ports
            .iter()
            .map(|port| port.address.port().to_string())
            .collect();
        let remote = stream.remote.map_or(0, |remote| remote.port());
        let _ = write!(text, "{}: [{}] -> {remote}", stream.id.0, ports.join(" "));
        if let Some(bundle) = &stream.bundle {
            let how = if bundle.joined { "at" } else { "perhaps at" };
            let mids = bundle.marks.mids.join(" ");
            let _ = write!(text, ", {how} {}, mid {mids}", bundle.lead.0);
        }
        text.push('\n');
    }
    text
}

/// The `m=` and group lines.
fn shape(sdp: &str) -> String {
    let lines = sdp
        .lines()
        .filter(|line| line.starts_with("m=") || line.starts_with("a=group") || line.contains("bundle-only"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_caller_that_bundles_gets_one_port() {
    let mut world = World::new();
    let offer = offer(
        "a",
        None,
        &sdp(ALICE, GROUP, [4000, 4000]),
        offered(true, BundleOffer::No),
    );
    insta::assert_snapshot!(shape(&world.sdp(offer)), @"
    m=audio 30002 RTP/AVP 0
    m=video 30004 RTP/AVP 96
    ");
    insta::assert_snapshot!(shape(&world.sdp(answer(&sdp(BOB, "", [5000, 5002])))), @"
    a=group:BUNDLE 0 1
    m=audio 30000 RTP/AVP 0
    m=video 30000 RTP/AVP 96
    ");
    insta::assert_snapshot!(transports(&world), @"
    0: [30000] -> 4000, at 0, mid 0
    2: [30002] -> 5000
    4: [] -> 4000, at 0, mid 1
    6: [30004] -> 5002
    ");
}

#[test]
fn a_callee_decides_whether_it_bundles() {
    for (group, expected) in [
        (
            GROUP,
            "2: [30002] -> 5000, at 2, mid 0\n6: [30006] -> 5000, at 2, mid 1\n",
        ),
        ("", "2: [30002] -> 5000\n6: [30006] -> 5000\n"),
    ] {
        let mut world = World::new();
        let offer = offer(
            "a",
            None,
            &sdp(ALICE, "", [4000, 4002]),
            offered(false, BundleOffer::Offered),
        );
        world.sdp(offer);
        assert!(transports(&world).contains("2: [30002] -> 0, perhaps at 2, mid 0"));
        assert!(transports(&world).contains("6: [30006] -> 0, perhaps at 2, mid 1"));
        world.sdp(answer(&sdp(BOB, group, [5000, 5000])));
        let of_bob: String = transports(&world)
            .lines()
            .filter(|line| line.starts_with(['2', '6']))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(of_bob, expected);
    }
}

#[test]
fn a_callee_that_is_told_one_port_stays_there() {
    let mut world = World::new();
    let sdp_of_alice = sdp(ALICE, "", [4000, 4002]);
    let command = || offer("a", None, &sdp_of_alice, offered(false, BundleOffer::Required));
    insta::assert_snapshot!(shape(&world.sdp(command())), @"
    a=group:BUNDLE 0 1
    m=audio 30002 RTP/AVP 0
    m=video 30002 RTP/AVP 96
    a=bundle-only
    ");
    world.sdp(answer(&sdp(BOB, "", [5000, 5002])));
    insta::assert_snapshot!(transports(&world), @"
    0: [30000] -> 4000
    2: [30002] -> 5000, perhaps at 2, mid 0
    4: [30004] -> 4002
    6: [] -> 5002, perhaps at 2, mid 1
    ");
}

#[test]
fn without_its_lead_there_is_no_group() {
    let mut world = World::new();
    world.sdp(offer(
        "a",
        None,
        &sdp(ALICE, GROUP, [4000, 4000]),
        offered(true, BundleOffer::No),
    ));
    let video_only = sdp(BOB, "", [0, 5002]);
    insta::assert_snapshot!(shape(&world.sdp(answer(&video_only))), @"
    m=audio 0 RTP/AVP 0
    m=video 30006 RTP/AVP 96
    ");
    // Nor is there one where another device answers with both.
    insta::assert_snapshot!(shape(&world.sdp(answer(&sdp(BOB, "", [5000, 5002])))), @"
    m=audio 30000 RTP/AVP 0
    m=video 30006 RTP/AVP 96
    ");
}

#[test]
fn what_was_rejected_or_answered_with_other_formats_leaves_the_group() {
    let bundled = || {
        offer(
            "a",
            Some("b"),
            &sdp(ALICE, GROUP, [4000, 4000]),
            BundleOptions::default(),
        )
    };
    let renumbered = sdp(BOB, "", [5000, 5002]).replace("96", "97");
    for (first, again) in [
        (sdp(BOB, "", [5000, 0]), "a=group:BUNDLE 0\n"),
        (renumbered, "a=group:BUNDLE 0 1\n"),
    ] {
        let mut world = World::new();
        world.sdp(offer(
            "a",
            None,
            &sdp(ALICE, GROUP, [4000, 4000]),
            offered(true, BundleOffer::No),
        ));
        for sdp in [&first, &sdp(BOB, "", [5000, 5002])] {
            let told = shape(&world.sdp(answer(sdp)));
            assert!(told.starts_with("a=group:BUNDLE 0\n"), "{told}");
        }
        if first.contains("m=video 0") {
            world.sdp(answer(&first));
        }
        world.sdp(bundled());
        let told = shape(&world.sdp(answer(&sdp(BOB, "", [5000, 5002]))));
        assert!(told.starts_with(again), "{told}");
        world.sdp(bundled());
        let told = shape(&world.sdp(answer(&sdp(BOB, "", [5000, 5002]))));
        assert!(told.starts_with("a=group:BUNDLE 0 1\n"), "{told}");
    }
}

#[test]
fn what_is_offered_as_a_group_stands_until_the_answer() {
    let unbundled = sdp(ALICE, "", [4000, 4002]);
    let again = |to| offer("a", to, &unbundled, BundleOptions::default());
    let mut world = World::new();
    let first = world.sdp(offer("a", None, &unbundled, offered(false, BundleOffer::Offered)));
    let second = world.sdp(again(None));
    assert_eq!(shape(&second), shape(&first));
    assert!(
        second.contains("a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid"),
        "{second}"
    );
    let mut other = world;
    other.sdp(answer(&sdp(BOB, "", [5000, 5002])));
    assert!(!other.sdp(again(Some("b"))).contains("a=group"));
    let mut world = World::new();
    world.sdp(offer("a", None, &unbundled, offered(false, BundleOffer::Offered)));
    world.sdp(answer(&sdp(BOB, GROUP, [5000, 5000])));
    assert!(world.sdp(again(Some("b"))).contains(GROUP));
    // With formats that it has not named they could not be told apart.
    let renumbered = unbundled.replace("96", "97");
    let told = world.sdp(offer("a", Some("b"), &renumbered, BundleOptions::default()));
    assert!(told.contains("a=group:BUNDLE 0\r\n"), "{told}");
}

#[test]
fn who_was_in_a_group_once_may_bundle_unasked() {
    let plain = sdp(ALICE, "", [4000, 4002]);
    let grouped = sdp(BOB, GROUP, [5000, 5000]);
    for (bundle, is_granted) in [(BundleOffer::Offered, true), (BundleOffer::No, false)] {
        let mut world = World::new();
        world.sdp(offer("a", None, &plain, offered(false, bundle)));
        world.sdp(answer(&sdp(BOB, "", [5000, 5002])));
        world.sdp(offer("b", Some("a"), &grouped, BundleOptions::default()));
        let answer = Command::Answer(Box::new(signal("b", Some("a"), &plain)));
        assert_eq!(world.sdp(answer).contains(GROUP), is_granted, "{bundle:?}");
    }
}

#[test]
fn what_is_not_spoken_of_joins_a_group_and_leaves_it_with_ports_of_its_own() {
    let audio = |port| {
        let plain = sdp(ALICE, "", [port, 4002]);
        plain.split("m=video").next().unwrap().to_owned()
    };
    let mut world = World::new();
    world.sdp(offer(
        "a",
        None,
        &sdp(ALICE, "", [4000, 4002]),
        BundleOptions::default(),
    ));
    let required = || offered(false, BundleOffer::Required);
    let joined = world.sdp(offer("a", None, &audio(4000), required()));
    assert!(joined.contains("a=group:BUNDLE 0 1\r\n"), "{joined}");
    let rejected = world.sdp(offer("a", None, &audio(0), required()));
    assert!(!rejected.contains("a=group"), "{rejected}");
    assert!(
        transports(&world)
            .lines()
            .all(|line| !line.contains("[]") || line.contains("at"))
    );
}

#[test]
fn a_group_of_somebody_unknown_is_none() {
    let mut world = World::new();
    let plain = sdp(ALICE, "", [4000, 4002]);
    world.sdp(offer("a", None, &plain, offered(false, BundleOffer::Offered)));
    world.sdp(answer(&sdp(BOB, "a=group:BUNDLE x 1\r\n", [5000, 5002])));
    let again = world.sdp(offer("a", Some("b"), &plain, BundleOptions::default()));
    assert!(!again.contains("a=group"), "{again}");
}

#[test]
fn the_extension_that_was_offered_stands_until_the_answer() {
    let mut world = World::new();
    let plain = sdp(ALICE, "", [4000, 4002]);
    world.sdp(offer("a", None, &plain, offered(false, BundleOffer::Offered)));
    let with_others = plain.replace("a=mid:0", "a=extmap:1 urn:x\r\na=extmap:2 urn:y\r\na=mid:0");
    let again = world.sdp(offer("a", None, &with_others, BundleOptions::default()));
    let audio = again.split("m=").nth(1).unwrap();
    let mid = "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:2 urn:y";
    assert!(audio.contains(mid) && !audio.contains("urn:x"), "{audio}");
}

#[test]
fn a_group_may_name_sections_that_are_not_spoken_of() {
    let grouped = sdp(ALICE, GROUP, [4000, 4000]);
    let audio = grouped.split("m=video").next().unwrap().to_owned();
    let mut world = World::new();
    world.sdp(offer("a", None, &grouped, offered(true, BundleOffer::No)));
    world.sdp(offer("a", None, &audio, offered(true, BundleOffer::No)));
    let told = world.sdp(answer(&sdp(BOB, "", [5000, 5002])));
    assert!(told.contains(GROUP), "{told}");
}

#[test]
fn what_an_answer_is_silent_on_has_left_the_group_that_was_offered() {
    let mut world = World::new();
    let plain = sdp(ALICE, "", [4000, 4002]);
    world.sdp(offer("a", None, &plain, offered(false, BundleOffer::Required)));
    let answered = sdp(BOB, GROUP, [5000, 5000]);
    world.sdp(answer(answered.split("m=video").next().unwrap()));
    let told = world.sdp(offer("a", Some("b"), &plain, BundleOptions::default()));
    assert!(told.contains("a=group:BUNDLE 0\r\n"), "{told}");
    assert!(transports(&world).lines().all(|line| !line.contains("[]")));
}

#[test]
fn who_answers_without_its_group_has_left_it() {
    let mut world = World::new();
    let grouped = sdp(ALICE, GROUP, [4000, 4000]);
    world.sdp(offer("a", None, &grouped, offered(true, BundleOffer::No)));
    assert!(world.sdp(answer(&sdp(BOB, "", [5000, 5002]))).contains(GROUP));
    let of_alice = sdp(ALICE, "", [4000, 4002]);
    world.sdp(Command::Answer(Box::new(signal("b", Some("a"), &of_alice))));
    assert!(!world.sdp(answer(&sdp(BOB, "", [5000, 5002]))).contains("a=group"));
}

#[test]
fn bundle_only_sections_are_where_the_first_of_their_group_is() {
    let sdp_of_alice = sdp(ALICE, GROUP, [4000, 0]) + "a=bundle-only\r\n";
    let mut world = World::new();
    world.sdp(offer("a", None, &sdp_of_alice, offered(true, BundleOffer::No)));
    world.sdp(answer(&sdp(BOB, "", [5000, 5002])));
    assert!(transports(&world).contains("4: [] -> 4000, at 0, mid 1"));
    // Where bundles are not accepted it is a rejected section.
    let mut world = World::new();
    let rejected = world.sdp(offer("a", None, &sdp_of_alice, BundleOptions::default()));
    assert!(rejected.contains("m=video 0 RTP/AVP 96"));
}

#[test]
fn a_bundle_is_given_up_by_a_re_offer_without_it() {
    let mut world = World::new();
    world.sdp(offer(
        "a",
        None,
        &sdp(ALICE, GROUP, [4000, 4000]),
        offered(true, BundleOffer::No),
    ));
    world.sdp(answer(&sdp(BOB, "", [5000, 5002])));
    world.sdp(offer(
        "a",
        Some("b"),
        &sdp(ALICE, "", [4000, 4002]),
        offered(true, BundleOffer::No),
    ));
    world.sdp(answer(&sdp(BOB, "", [5000, 5002])));
    insta::assert_snapshot!(transports(&world), @"
    0: [30000] -> 4000
    2: [30002] -> 5000
    4: [30006] -> 4002
    6: [30004] -> 5002
    ");
}

#[test]
fn who_offers_contradicting_payload_types_is_not_granted_a_group() {
    let clashing = sdp(ALICE, "", [4000, 4002])
        .replace("RTP/AVP 0", "RTP/AVP 96")
        .replace("a=mid:0", "a=rtpmap:96 opus/48000/2\r\na=mid:0");
    let mut world = World::new();
    let clashing = clashing.replace("t=0 0\r\n", &format!("t=0 0\r\n{GROUP}"));
    world.sdp(offer("a", None, &clashing, offered(true, BundleOffer::No)));
    insta::assert_snapshot!(shape(&world.sdp(answer(&sdp(BOB, "", [5000, 5002])))), @"
    m=audio 30000 RTP/AVP 96
    m=video 30004 RTP/AVP 96
    ");
}

/// The marks of what is sent, of each stream that has one.
fn labels(world: &World) -> Vec<(u32, u8, String)> {
    let streams = world.plan().streams.iter();
    let streams = streams.filter(|stream| stream.kind == StreamKind::Rtp);
    let labels = streams.filter_map(|stream| Some((stream.id.0, stream.label.as_ref()?)));
    labels
        .map(|(id, label)| (id, label.identifier, label.mid.to_string()))
        .collect()
}

#[test]
fn who_has_said_that_it_knows_marks_gets_them() {
    let marked = |address, ports| {
        let extension = "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=mid:";
        sdp(address, GROUP, ports).replace("a=mid:", extension)
    };
    let accept = offered(true, BundleOffer::Offered);
    let mut world = World::new();
    world.sdp(offer("a", None, &marked(ALICE, [4000, 4000]), accept));
    let of_alice = [(0, 4, "0".to_owned()), (4, 4, "1".to_owned())];
    assert_eq!(labels(&world), of_alice, "Bob may not know them");
    world.sdp(answer(&sdp(BOB, GROUP, [5000, 5000])));
    assert_eq!(labels(&world), of_alice, "he does not");
    world.sdp(offer("a", Some("b"), &marked(ALICE, [4000, 4000]), accept));
    world.sdp(answer(&marked(BOB, [5000, 5000])));
    assert_eq!(labels(&world).len(), 4, "both do");
    world.sdp(offer("a", Some("b"), &sdp(ALICE, GROUP, [4000, 4000]), accept));
    assert!(!labels(&world).iter().any(|(id, ..)| *id == 0));
}

/// The keys that a section is offered, and what protects its stream.
fn keys(sdp: &str) -> Vec<&str> {
    let first = sdp.lines().filter(|line| line.starts_with("a=crypto:1 "));
    first.filter_map(|line| line.rsplit(':').next()).collect()
}

#[test]
fn each_section_of_a_bundle_has_keys_of_its_own_and_the_transport_has_those_of_the_first() {
    const LINE: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:";
    const KEYS: [&str; 2] = [
        "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        "PS1uQCVeeCFCanVmcjkpPCxcIXVzZXJzZGF0YTEy",
    ];
    let srtp = |sdp: String| {
        let line = |index: usize| format!("{LINE}{}\r\na=mid:{index}", KEYS[index]);
        sdp.replace("RTP/AVP", "RTP/SAVP")
            .replace("a=mid:0", &line(0))
            .replace("a=mid:1", &line(1))
    };
    let mut world = World::new();
    let sdp_of_alice = srtp(sdp(ALICE, "", [4000, 4002]));
    let command = offer("a", None, &sdp_of_alice, offered(false, BundleOffer::Required));
    assert_eq!(keys(&world.sdp(command)), KEYS);
    world.sdp(answer(&srtp(sdp(BOB, GROUP, [5000, 5000]))));
    let streams = world.plan().streams.iter();
    let of_bob = streams.filter(|stream| stream.kind == StreamKind::Rtp && stream.bundle.is_some());
    let securities: Vec<_> = of_bob.map(|stream| &stream.security).collect();
    assert!(matches!(&securities[..], [one, other] if one == other && one.is_srtp()));
}

#[test]
fn who_has_not_bundled_is_not_told_of_a_group_in_an_answer() {
    let mut world = World::new();
    let command = signal("a", None, &sdp(ALICE, "", [4000, 4002]));
    let mut command = Command::Offer(Box::new(command));
    if let Command::Offer(signal) = &mut command {
        signal.options.bundle = offered(false, BundleOffer::Offered);
    }
    world.sdp(command);
    world.sdp(answer(&sdp(BOB, "", [5000, 5002])));
    let back = Command::Answer(Box::new(signal("b", Some("a"), &sdp(ALICE, "", [4000, 4002]))));
    assert!(!world.sdp(back).contains("a=group"));
}

#[test]
fn groups_pass_where_everything_does() {
    let mut world = World::new();
    let mut command = signal(
        "a",
        None,
        &sdp(ALICE, "a=group:BUNDLE 0 1\r\na=group:LS 0 1\r\n", [4000, 4002]),
    );
    command.options.bundle = offered(false, BundleOffer::Offered);
    command.options.ice.mode = IceMode::ForceRelay;
    insta::assert_snapshot!(shape(&world.sdp(Command::Offer(Box::new(command)))), @"
    a=group:BUNDLE 0 1
    a=group:LS 0 1
    m=audio 4000 RTP/AVP 0
    m=video 4002 RTP/AVP 96
    ");
}

const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// The header extensions of an SDP.
fn extensions(sdp: &str) -> String {
    let lines = sdp.lines().filter_map(|line| line.strip_prefix("a=extmap:"));
    lines.collect::<Vec<_>>().join(", ").replace(MID, "mid")
}

/// Adds header extensions to the sections.
fn with_extensions(sdp: &str, [audio, video]: [&str; 2]) -> String {
    let lines = |extensions: &str| -> String {
        let each = extensions.split_terminator(',');
        each.map(|extension| format!("a=extmap:{}\r\n", extension.replace("mid", MID)))
            .collect()
    };
    sdp.replace("a=mid:0\r\n", &format!("a=mid:0\r\n{}", lines(audio)))
        .replace("a=mid:1\r\n", &format!("a=mid:1\r\n{}", lines(video)))
}

#[test]
fn in_one_bundle_an_identifier_means_one_extension() {
    for (offers, told) in [
        (["", ""], "1 mid, 1 mid"),
        (["1 urn:a", "2 urn:b"], "1 urn:a, 3 mid, 2 urn:b, 3 mid"),
        (["1 urn:a", "1 mid"], "1 mid, 1 mid"),
        (["4 mid", "5 mid"], "4 mid, 5 mid"),
    ] {
        let mut world = World::new();
        let sdp = with_extensions(&sdp(ALICE, "", [4000, 4002]), offers);
        let told_sdp = world.sdp(offer("a", None, &sdp, offered(false, BundleOffer::Offered)));
        assert_eq!(extensions(&told_sdp), told);
        let group = if offers[1] == "5 mid" {
            "a=group:BUNDLE 0\r\n"
        } else {
            "a=group:BUNDLE 0 1\r\n"
        };
        assert!(told_sdp.contains(group), "{told_sdp}");
    }
}

#[test]
fn an_extension_that_was_added_stays_between_us_and_who_took_it() {
    let mut world = World::new();
    let of_alice = with_extensions(&sdp(ALICE, "", [4000, 4002]), ["3 urn:x", ""]);
    let of_bob = with_extensions(&sdp(BOB, "", [5000, 5002]), ["1 mid", ""]);
    world.sdp(offer("a", None, &of_alice, offered(false, BundleOffer::Offered)));
    assert_eq!(extensions(&world.sdp(answer(&of_bob))), "");
    let again = offer("a", Some("b"), &of_alice, offered(false, BundleOffer::No));
    assert_eq!(extensions(&world.sdp(again)), "1 mid, 3 urn:x");
    let of_bob = offer("b", Some("a"), &of_bob, offered(false, BundleOffer::No));
    assert_eq!(extensions(&world.sdp(of_bob)), "");
}

#[test]
fn who_may_bundle_is_answered_with_its_own_extension() {
    let mut world = World::new();
    let of_alice = with_extensions(&sdp(ALICE, "", [4000, 4002]), ["2 mid,3 urn:x", ""]);
    let of_bob = with_extensions(&sdp(BOB, "", [5000, 5002]), ["1 urn:y", ""]);
    let command = offer("a", None, &of_alice, offered(true, BundleOffer::No));
    assert_eq!(extensions(&world.sdp(command)), "2 mid, 3 urn:x");
    assert_eq!(extensions(&world.sdp(answer(&of_bob))), "2 mid, 1 urn:y");
}
