//! Options that change lists in the SDP.

use crate::call::{CodecChoice, CodecOptions, CodecOrder, CodecPattern, StrippedExtensions};
use crate::sdp::{AttributeEdit, AttributeEdits, Place};

use super::{Notice, RequestError, ask, flagged, offer, options};

#[test]
fn codecs_are_listed_in_several_spellings() {
    let stripped = CodecOptions {
        strip: vec![CodecPattern::All],
        offer: vec!["PCMU".into(), "opus/48000/2".into()],
        ..CodecOptions::default()
    };
    for keys in [
        r#","codec":{"strip":["all"],"offer":["PCMU","opus/48000/2"]}"#,
        r#","codec":{"mask":"full","offer":"PCMU,opus/48000/2"}"#,
        r#","flags":["codec-strip-all","codec-offer-PCMU","codec-offer-opus/48000/2"]"#,
        r#","rtpp-flags":"codec-strip=all codec-offer=[PCMU opus/48000/2]""#,
    ] {
        assert_eq!(options(keys).codecs, stripped, "{keys}");
    }
    assert_eq!(flagged("single-codec").codecs.choice, CodecChoice::First);
    assert_eq!(flagged("reuse-codecs").codecs.order, CodecOrder::Known);
}

#[test]
fn extensions_are_named() {
    assert_eq!(
        flagged("strip-extmap").stripped_extensions,
        StrippedExtensions::All
    );
    assert_eq!(
        options(r#","extmap":{"strip":["urn:a","urn:b"]}"#).stripped_extensions,
        StrippedExtensions::Named(vec!["urn:a".to_owned(), "urn:b".to_owned()])
    );
}

#[test]
fn attributes_are_edited_one_line_at_a_time() {
    let edits = options(
        r#","sdp-attr":{"none":{"add":["a:1\r\nm=audio 9 RTP/AVP 0"]},"audio":{"substitute":[["b","c"],["d"]]}}"#,
    );
    assert_eq!(
        edits.attributes,
        AttributeEdits(vec![
            (Place::Session, AttributeEdit::Add("a:1".to_owned())),
            (
                Place::Media("audio"),
                AttributeEdit::Substitute("b".to_owned(), "c".to_owned())
            ),
        ])
    );
}

#[test]
fn values_of_a_wrong_type_are_errors() {
    let refused = |keys: &str| {
        let body = format!(r#"{{"command":"offer","call-id":"c","from-tag":"a","sdp":"v=0"{keys}}}"#);
        ask(&body).0.err()
    };
    for (keys, error) in [
        (r#","sdp-attr":"none""#, RequestError::WrongType),
        (
            r#","sdp-attr":{"bogus":{"add":["x"]}}"#,
            RequestError::UnknownSection,
        ),
        (r#","sdp-attr":{"audio":"x"}"#, RequestError::WrongContent),
        (
            r#","sdp-media-remove":["telepathy"]"#,
            RequestError::UnknownSection,
        ),
        (r#","sdp-media-remove":"video""#, RequestError::WrongType),
    ] {
        assert_eq!(refused(keys), Some(error), "{keys}");
    }
}

#[test]
fn attributes_are_edited_by_flags_too() {
    let edit = |flag: &str| flagged(flag).attributes.0;
    let audio = Place::Media("audio");
    assert_eq!(
        edit("sdp-attr-add-audio-fmtp:8 x--1"),
        [(audio, AttributeEdit::Add("fmtp:8 x=1".to_owned()))]
    );
    assert_eq!(
        edit("sdp-attr-remove-audio-ptime"),
        [(audio, AttributeEdit::Remove("ptime".to_owned()))]
    );
    assert_eq!(
        edit("sdp-attr-substitute-none-tool:x..y>tool:z"),
        [(
            Place::Session,
            AttributeEdit::Substitute("tool:x y".to_owned(), "tool:z".to_owned())
        )]
    );
    for broken in [
        "sdp-attr-",
        "sdp-attr-add-bogus-x",
        "sdp-attr-substitute-audio-x",
        "sdp-attr-frob-audio-x",
    ] {
        let (signal, notices) = offer(&format!(r#","flags":["{broken}"]"#));
        assert_eq!(signal.options.attributes, AttributeEdits::default());
        assert!(notices.has(Notice::UnknownFlag, broken));
    }
}
