//! What must hold for any SDP, made up or not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use relay_daemon::sdp::fuzz::{fuzz, unchanged};
use relay_daemon::sdp::{Description, MAX_BYTES, MAX_FORMATS, MAX_LINES, MAX_MEDIA, Problem};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&data);
    }

    #[test]
    fn any_lines(lines in prop::collection::vec(line(), 0..60), end in prop::sample::select(vec!["\r\n", "\n"])) {
        fuzz(sdp(&lines, end).as_bytes());
    }

    #[test]
    fn damaged_sdps_of_devices(
        text in prop::sample::select(fixtures()),
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 0..8),
    ) {
        let mut bytes = text.into_bytes();
        for (place, damage) in damages {
            let place = place.index(bytes.len());
            match damage {
                Damage::Byte(byte) => bytes[place] = byte,
                Damage::Text(text) => drop(bytes.splice(place..place, text.bytes())),
                Damage::End => bytes.truncate(place.max(1)),
            }
        }
        fuzz(&bytes);
    }

    /// A second parser accepts what we write and sees the same lines.
    #[test]
    fn another_parser_agrees(lines in prop::collection::vec(clean_line(), 0..40)) {
        let head = ["o=- 1 1 IN IP4 198.51.100.1", "s=-", "c=IN IP4 198.51.100.1"].map(str::to_owned);
        let lines = allowed([&head[..], &lines].concat());
        let description = Description::parse(&sdp(&lines, "\r\n")).unwrap();
        let written = unchanged(&description);
        prop_assert_eq!(seen_by_other(&written), written);
    }

    /// Attributes that are nobody's come out once, in order, in the section where they stood.
    #[test]
    fn nothing_is_lost(
        session in prop::collection::vec(foreign_attribute(), 0..8),
        media in prop::collection::vec(prop::collection::vec(prop_oneof![foreign_attribute(), line()], 0..20), 1..8),
    ) {
        let mut text = String::from("v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n");
        text += &joined(&session);
        for (index, lines) in media.iter().enumerate() {
            let lines: Vec<_> = lines.iter().filter(|line| is_attribute(line)).cloned().collect();
            text += &format!("m=audio {} RTP/AVP 0 96\r\n{}", 4000 + 2 * index, joined(&lines));
        }
        let written = unchanged(&Description::parse(&text).unwrap());
        let foreign = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.starts_with("a=x-") || line.starts_with("m=")).map(str::to_owned).collect()
        };
        prop_assert_eq!(foreign(&written), foreign(&text));
    }
}

/// Something that goes wrong at a place in an SDP.
#[derive(Clone, Debug)]
enum Damage {
    /// Another byte stands there.
    Byte(u8),
    /// Text is inserted.
    Text(String),
    /// The rest is missing.
    End,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        6 => prop::sample::select(b"\r\n\t :;/=*0a\0".to_vec()).prop_map(Damage::Byte),
        2 => any::<u8>().prop_map(Damage::Byte),
        3 => line().prop_map(|line| Damage::Text(format!("\r\n{line}\r\n"))),
        1 => Just(Damage::End),
    ]
}

fn fixtures() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/sdp");
    let paths = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let fixtures: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "sdp"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(!fixtures.is_empty());
    fixtures
}

fn sdp(lines: &[String], end: &str) -> String {
    let mut sdp = format!("v=0{end}");
    for line in lines {
        sdp += line;
        sdp += end;
    }
    sdp
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// Whether a line is an attribute that cannot end the section.
fn is_attribute(line: &str) -> bool {
    line.starts_with("a=") && !line.contains(['\r', '\n'])
}

fn foreign_attribute() -> impl Strategy<Value = String> {
    "a=x-[a-z]{1,6}(:[ -~]{0,12}[!-~])?"
}

/// A line of an SDP, mostly right, sometimes broken.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => clean_line(),
        1 => ("[a-z]", "[ -~äß\t\r]{0,30}").prop_map(|(kind, value)| format!("{kind}={value}")),
        1 => ("a=(rtpmap|fmtp|rtcp-fb|rtcp|ptime|mid|candidate|crypto|extmap|setup|fingerprint|ice-pwd|group|label)", "[ -~]{0,30}")
            .prop_map(|(name, value)| format!("{name}:{value}")),
    ]
}

/// A line of an SDP as it should be.
fn clean_line() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "o=- 123456789012345678901234567 2 IN IP4 198.51.100.1",
        "s=call",
        "s= ",
        "i=info",
        "u=http://example.org/",
        "e=ops@example.org",
        "p=+44 20 7946 0000",
        "c=IN IP4 198.51.100.1",
        "c=IN IP4 0.0.0.0",
        "c=IN IP6 2001:db8::1",
        "b=AS:64",
        "b=TIAS:500000",
        "b=X-YZ:12",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "a=ice-lite",
        "a=ice-ufrag:8hhY",
        "a=ice-pwd:asd88fgpdd777uzjYhagZg",
        "a=ice-options:trickle",
        "a=candidate:1 1 UDP 2130706431 198.51.100.31 11798 typ host",
        "a=end-of-candidates",
        "a=sendonly",
        "a=recvonly",
        "a=inactive",
        "a=sendrecv",
        "a=rtcp:4001",
        "a=rtcp:4001 IN IP4 198.51.100.1",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=mid:0",
        "a=label:1",
        "a=ptime:20",
        "a=maxptime:40",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=extmap-allow-mixed",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        "a=setup:actpass",
        "a=fingerprint:sha-256 AB:CD",
        "a=bundle-only",
        "a=rtcp-fb:* nack pli",
        "a=T38FaxVersion:0",
        "m=image 4000 udptl t38",
        "m=message 2855 TCP/MSRP *",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "m=video 0 RTP/AVP 96",
        "m=audio 4000/2 RTP/AVP 0 8 101",
    ])
    .prop_map(str::to_owned);
    let media = (1_u16.., prop::collection::vec(0_u8..128, 1..6)).prop_map(|(port, types)| {
        let types: Vec<_> = types.iter().map(u8::to_string).collect();
        format!("m=audio {port} RTP/AVP {}", types.join(" "))
    });
    prop_oneof![
        8 => fixed,
        2 => media,
        1 => (0_u8..128, "[A-Za-z0-9-]{1,8}/(8000|16000|48000)(/[12])?").prop_map(|(pt, map)| format!("a=rtpmap:{pt} {map}")),
        1 => (0_u8..128).prop_map(|pt| format!("a=rtpmap:{pt} opus/48000/2")),
        1 => (0_u8..128, "[a-z]{1,6}=[0-9]{1,3}(; ?(minptime|stereo|ptime|x-y)=[0-9]){0,4}").prop_map(|(pt, value)| format!("a=fmtp:{pt} {value}")),
        1 => (0_u8..128).prop_map(|pt| format!("a=rtcp-fb:{pt} nack pli")),
        1 => foreign_attribute(),
    ]
}

/// Those lines that may stand where they do: one `o=`, one `c=` at each level, and below `m=` no line of the session.
fn allowed(mut lines: Vec<String>) -> Vec<String> {
    let (mut in_media, mut has_origin, mut has_address) = (false, false, false);
    lines.retain(|line| match line.split('=').next().unwrap_or_default() {
        "m" => {
            (in_media, has_address) = (true, false);
            true
        }
        "c" => !std::mem::replace(&mut has_address, true),
        "o" => !in_media && !std::mem::replace(&mut has_origin, true),
        "s" | "u" | "e" | "p" | "t" => !in_media,
        _ => true,
    });
    lines
}

/// What the crate `sdp-types` makes of an SDP.
fn seen_by_other(text: &str) -> String {
    let session =
        sdp_types::Session::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error} in {text}"));
    let mut seen = Vec::new();
    session.write(&mut seen).unwrap();
    String::from_utf8(seen).unwrap()
}

#[test]
fn many_payload_types_and_sections() {
    let types: Vec<_> = (0..128).map(|number| number.to_string()).collect();
    for (sections, types) in [(64, &*types), (MAX_MEDIA, &types[..1])] {
        let mut text = String::from("v=0\no=- 1 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\n");
        for index in 0..sections {
            text += &format!("m=audio {} RTP/AVP {}\n", 4000 + 2 * index, types.join(" "));
        }
        let description = Description::parse(&text).unwrap();
        assert_eq!(description.media.len(), sections);
        assert_eq!(description.media[sections - 1].codecs.len(), types.len());
        fuzz(text.as_bytes());
    }
}

#[test]
fn limits_are_errors() {
    let problem = |text: &str| Description::parse(text).unwrap_err().problem;
    assert_eq!(
        problem(&format!("v=0\r\ns={}", "x".repeat(MAX_BYTES))),
        Problem::TooLarge
    );
    assert_eq!(
        problem(&format!("v=0\r\n{}", "a=\r\n".repeat(MAX_LINES))),
        Problem::TooManyLines
    );
    let media = "m=audio 1 X *\r\n".repeat(MAX_MEDIA + 1);
    assert_eq!(
        problem(&format!("v=0\r\nc=IN IP4 198.51.100.1\r\n{media}")),
        Problem::TooManyMedia
    );
    let formats = " 0".repeat(MAX_FORMATS + 1);
    assert_eq!(
        problem(&format!("v=0\r\nm=audio 1 RTP/AVP{formats}\r\n")),
        Problem::TooManyFormats
    );
}
