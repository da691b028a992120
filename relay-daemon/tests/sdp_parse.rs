//! How an SDP is read.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use relay_daemon::sdp::{
    BlankLine, Description, Direction, MediaSection, Problem, Rtcp, SdpError, Setup, Text,
};

const SESSION: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n";

fn section(lines: &str) -> MediaSection {
    let mut description = Description::parse(&format!("{SESSION}{lines}")).unwrap();
    description.media.remove(0)
}

fn error(text: &str) -> SdpError {
    Description::parse(text).unwrap_err()
}

#[test]
fn what_the_session_says_counts_for_its_media() {
    let sdp = format!(
        "{SESSION}a=sendonly\r\na=setup:active\r\na=fingerprint:sha-1 AB\r\na=ice-ufrag:u\r\na=extmap:1 urn:a\r\n\
         m=audio 4000 RTP/AVP 0\r\n\
         m=video 4002 RTP/AVP 96\r\nc=IN IP6 ::1\r\na=setup:passive\r\na=ice-ufrag:v\r\na=extmap:2 urn:b\r\n"
    );
    let media = Description::parse(&sdp).unwrap().media;
    let [audio, video] = &media[..] else {
        panic!("{media:?}")
    };
    assert_eq!(audio.address, Some("198.51.100.1".parse().unwrap()));
    assert_eq!(
        (audio.direction, audio.stated_direction),
        (Direction::SendOnly, None)
    );
    assert_eq!(audio.dtls.setup, Some(Setup::Active));
    assert_eq!(audio.ice.ufrag.as_deref(), Some("u"));
    assert_eq!(audio.extmaps[0].id, 1);
    assert_eq!(video.address, Some("::1".parse().unwrap()));
    assert_eq!(video.dtls.setup, Some(Setup::Passive));
    assert_eq!(video.dtls.fingerprints, audio.dtls.fingerprints);
    assert_eq!(video.ice.ufrag.as_deref(), Some("v"));
    assert_eq!(video.extmaps.len(), 1);
}

#[test]
fn attributes_find_their_payload_type_in_any_order() {
    let section = section(
        "m=audio 4000 RTP/AVP 0 96 8\r\na=fmtp:96 mode=20\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:* ccm fir\r\n\
         a=rtpmap:8 PCMU/8000\r\na=rtpmap:96 iLBC/8000\r\na=rtpmap:97 unlisted/8000\r\n",
    );
    let [zero, dynamic, renumbered] = &section.codecs[..] else {
        panic!("{section:?}")
    };
    assert!(zero.is("PCMU") && renumbered.is("pcmu") && dynamic.is("iLBC"));
    assert_eq!(dynamic.fmtp.as_deref(), Some("mode=20"));
    assert_eq!(dynamic.feedback.len(), 1);
    assert_eq!(section.feedback[..], [Text::from("* ccm fir")]);
    assert_eq!(section.other_attributes().count(), 0);
}

#[test]
fn the_first_of_two_lines_counts_but_for_codecs() {
    let section = section(
        "m=audio 4000 RTP/AVP 96 96\r\na=rtpmap:96 a/8000\r\na=rtpmap:96 b/8000\r\na=mid:1\r\na=mid:2\r\n\
         a=ptime:20\r\na=ptime:30\r\na=rtcp:1\r\na=rtcp:2\r\n",
    );
    assert!(section.codecs.iter().all(|codec| codec.is("b")));
    assert_eq!(section.mid.as_deref(), Some("1"));
    assert_eq!(section.ptime, Some(20));
    assert_eq!(
        section.rtcp,
        Some(Rtcp {
            port: 1,
            address: None
        })
    );
}

#[test]
fn line_ends_and_missing_lines() {
    let sdp = "v=0\no=- 1 1 IN IP4 198.51.100.1\nm=audio 4000 RTP/AVP 0\nc=IN IP4 198.51.100.1 \na=sendonly \na=ptime:20";
    let description = Description::parse(sdp).unwrap();
    assert_eq!(description.session_name, None);
    assert_eq!(description.media[0].direction, Direction::SendOnly);
    assert_eq!(description.media[0].ptime, Some(20));
}

#[test]
fn a_blank_line_ends_the_sdp_or_is_refused() {
    let sdp = format!("{SESSION}m=audio 4000 RTP/AVP 0\r\n\r\njunk");
    assert_eq!(Description::parse(&sdp).unwrap().media.len(), 1);
    let refused = Description::parse_with(&sdp, BlankLine::Refused).unwrap_err();
    assert_eq!(
        refused,
        SdpError {
            line: 7,
            problem: Problem::BlankLine
        }
    );
    assert!(!refused.is_incomplete());
    let harmless = format!("{SESSION}m=audio 4000 RTP/AVP 0\r\n\r\n");
    assert!(Description::parse_with(&harmless, BlankLine::Refused).is_ok());
}

#[test]
fn nothing_is_an_sdp_without_media() {
    assert_eq!(Description::parse("").unwrap(), Description::default());
}

#[test]
fn errors_say_where_and_what() {
    let media = "m=audio 4000 RTP/AVP 0";
    for (text, line, problem) in [
        ("hello".into(), 1, Problem::NotALine),
        ("o=- 1 1 IN IP4 198.51.100.1".into(), 1, Problem::NotVersion0),
        ("v=1".into(), 1, Problem::NotVersion0),
        ("v=0\r\nv=1".into(), 2, Problem::NotVersion0),
        ("v=0\r\no=-".into(), 2, Problem::Origin),
        (
            format!("v=0\r\nc=IN IP4 phone.example.org\r\n{media}"),
            2,
            Problem::Connection,
        ),
        (format!("{SESSION}m=audio RTP/AVP 0"), 6, Problem::Media),
        (format!("{SESSION}{media}\r\nwhat"), 7, Problem::NotALine),
        (format!("{SESSION}{media}\r\nt=0 0"), 7, Problem::UnknownLine),
        (format!("{SESSION}x=1\r\n{media}"), 6, Problem::UnknownLine),
        (
            format!("{SESSION}o=- 1 1 IN IP4 198.51.100.2\r\n{media}"),
            6,
            Problem::Origin,
        ),
        (
            format!("{SESSION}c=IN IP4 198.51.100.2\r\n{media}"),
            6,
            Problem::Connection,
        ),
        ("v=0 \r\no=-".into(), 1, Problem::NotVersion0),
    ] {
        let error = error(&text);
        assert_eq!((error.line, &error.problem), (line, &problem), "{text}");
        assert!(!error.is_incomplete());
    }
    assert_eq!(error("v=1").to_string(), "line 1: not v=0");
}

#[test]
fn incomplete_is_said_only_if_all_can_be_parsed() {
    let missing = error("v=0\r\nm=audio 4000 RTP/AVP 0\r\n");
    assert_eq!(
        missing,
        SdpError {
            line: 2,
            problem: Problem::NoConnection
        }
    );
    assert!(missing.is_incomplete());
    let number = error(&format!("{SESSION}m=audio 4000 RTP/AVP 0 200\r\n"));
    assert_eq!(
        number,
        SdpError {
            line: 6,
            problem: Problem::PayloadType("200".into())
        }
    );
    assert!(number.is_incomplete());
    assert!(!error("v=0\r\nm=audio 4000 RTP/AVP 0\r\nm=broken\r\n").is_incomplete());
}

#[test]
fn a_rejected_section_needs_no_formats_that_mean_anything() {
    let rejected = Description::parse("v=0\r\nc=IN IP4 198.51.100.1\r\nm=audio 0 RTP/AVP 0 200\r\n").unwrap();
    assert!(rejected.media[0].is_rejected());
    assert_eq!(rejected.media[0].formats, "0 200");
}

#[test]
fn formats_of_other_transports_are_text() {
    let section = section("m=image 4000 UDPTL t38\r\na=rtpmap:0 x/1\r\na=sendonly\r\n");
    assert!(section.codecs.is_empty());
    assert_eq!(section.formats, "t38");
    assert_eq!(section.attributes.len(), 2);
}

#[test]
fn candidates_that_cannot_be_read_are_dropped() {
    let section = section(
        "m=audio 4000 RTP/AVP 0\r\na=candidate:broken\r\n\
         a=candidate:1 1 UDP 2130706431 198.51.100.31 11798 typ host\r\n",
    );
    assert_eq!(section.ice.candidates.len(), 1);
    assert_eq!(section.attributes.len(), 1);
}

#[test]
fn another_session_takes_back_what_was_said_of_the_one_before() {
    let sdp = "v=0\r\no=one 1 1 IN IP4 192.0.2.1\r\ns=first\r\ni=info\r\nc=IN IP4 192.0.2.1\r\nb=AS:1\r\nt=1 1\r\na=x-one\r\n\
               a=sendonly\r\nm=audio 4000 RTP/AVP 0\r\nv=0\r\no=two 2 2 IN IP4 192.0.2.2\r\ns=second\r\nc=IN IP4 192.0.2.2\r\n\
               a=x-two\r\nm=audio 4010 RTP/AVP 0\r\n";
    let description = Description::parse(sdp).unwrap();
    let attributes: Vec<&str> = description
        .attributes
        .iter()
        .filter(|attribute| !attribute.is_owned())
        .map(|attribute| attribute.name())
        .collect();
    assert_eq!(attributes, ["x-one", "x-two"]);
    assert_eq!(
        description.origin.as_ref().unwrap().to_string(),
        "one 1 1 IN IP4 192.0.2.1"
    );
    assert_eq!(description.session_name.as_deref(), Some("second"));
    assert_eq!(description.information, None);
    assert!(description.timing.is_empty());
    let sections = description.media.iter();
    let sections: Vec<_> = sections
        .map(|section| (section.address.unwrap().to_string(), section.direction))
        .collect();
    assert_eq!(
        sections,
        [
            ("192.0.2.1".to_owned(), Direction::SendOnly),
            ("192.0.2.2".to_owned(), Direction::SendRecv)
        ]
    );
    // One session has one origin.
    let twice = sdp.replace("a=x-two", "o=two 2 2 IN IP4 192.0.2.2");
    assert!(Description::parse(&twice).is_err());
}

#[test]
fn the_last_meaning_of_a_payload_type_counts() {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 96\r\n";
    let sdp = format!(
        "{head}a=rtpmap:96 PCMU/8000\r\na=rtpmap:96 PCMA/8000\r\na=rtpmap:96 ?\r\na=fmtp:96 one\r\na=fmtp:96 two\r\na=mid\r\na=mid:b\r\n"
    );
    let section = Description::parse(&sdp).unwrap().media.remove(0);
    let codec = &section.codecs[0];
    assert_eq!(codec.rtpmap.as_ref().unwrap().to_string(), "PCMA/8000");
    assert_eq!(codec.fmtp.as_deref(), Some("two"));
    assert_eq!(section.mid.as_deref(), Some("b"));
}
