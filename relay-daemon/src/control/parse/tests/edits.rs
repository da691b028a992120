//! Options that change lists in the SDP.

use crate::call::{
    CodecChoice, CodecOptions, CodecOrder, CodecPattern, Extensions, FaxOptions, Music, MusicSource,
};
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
        r#","codec":{"strip":"full","offer":"PCMU,opus/48000/2"}"#,
        r#","flags":["codec-strip-all","codec-offer-PCMU","codec-offer-opus/48000/2"]"#,
        r#","rtpp-flags":"codec-strip=all codec-offer=[PCMU opus/48000/2]""#,
    ] {
        assert_eq!(options(keys).codecs, stripped, "{keys}");
    }
    assert_eq!(flagged("single-codec").codecs.choice, CodecChoice::First);
    assert_eq!(flagged("reuse-codecs").codecs.order, CodecOrder::Known);
}

#[test]
fn transcoding_is_asked_for_in_several_spellings() {
    let transcoded = CodecOptions {
        transcode: vec!["opus/48000/2///useinbandfec=1".into()],
        mask: vec!["PCMA".into()],
        ..CodecOptions::default()
    };
    for keys in [
        r#","codec":{"transcode":["opus/48000/2///useinbandfec=1"],"mask":["PCMA"]}"#,
        r#","flags":["transcode-opus/48000/2///useinbandfec--1","codec-mask-PCMA"]"#,
        r#","flags":["codec-transcode-opus/48000/2///useinbandfec--1","codec-mask-PCMA"]"#,
        r#","rtpp-flags":"transcode=opus/48000/2///useinbandfec--1 codec-mask=PCMA""#,
    ] {
        assert_eq!(options(keys).codecs, transcoded, "{keys}");
    }
    let consumed = options(r#","codec":{"consume":["PCMA"]}"#).codecs;
    assert_eq!(
        (&consumed.mask, &consumed.accept),
        (&vec!["PCMA".into()], &vec!["PCMA".into()])
    );
    assert_eq!(flagged("always-transcode").codecs.accept, [CodecPattern::All]);
}

#[test]
fn music_is_looked_for() {
    for (keys, music) in [
        (
            r#","moh":{"file":"/nonexistent.wav","mode":"reflect"}"#,
            Some((MusicSource::File, false)),
        ),
        (
            concat!(
                r#","moh":{"file":""#,
                env!("CARGO_MANIFEST_DIR"),
                r#"/Cargo.toml"}"#
            ),
            Some((MusicSource::File, true)),
        ),
        (
            r#","MoH":{"mode":"sendrecv","db-id":7}"#,
            Some((MusicSource::Database, false)),
        ),
        (r#","MOH":{"blob64":"AA=="}"#, Some((MusicSource::Blob, true))),
        (r#","moh":{"mode":"sendrecv"}"#, None),
    ] {
        let music = music.map(|(source, is_there)| Music { source, is_there });
        assert_eq!(options(keys).music, music, "{keys}");
    }
    let (_, notices) = offer(r#","moh":{"blob":"x","mode":"reflect","connection":"none","tune":1}"#);
    assert!(notices.has(Notice::NotSupportedYet, "moh-mode"));
    assert!(notices.has(Notice::BadValue, "moh-connection"));
    assert!(notices.has(Notice::BadValue, "moh-tune"));
    assert!(!notices.has(Notice::BadValue, "moh-blob"));
}

#[test]
fn fax_gateways_are_asked_for_in_several_spellings() {
    let force = FaxOptions {
        force: true,
        ..FaxOptions::default()
    };
    for (keys, fax) in [
        (r#","t38":["force","no-ECM","no V.17"]"#, force.clone()),
        (r#","flags":["T38-force","t.38-no-ecm"]"#, force.clone()),
        (
            r#","T.38":"force,FEC","T.38 version":2"#,
            FaxOptions {
                error_correction: true,
                version: 2,
                ..force
            },
        ),
        (
            r#","T.38":["decode"]"#,
            FaxOptions {
                decode: true,
                ..FaxOptions::default()
            },
        ),
        (
            r#","T.38":["stop"]"#,
            FaxOptions {
                stop: true,
                ..FaxOptions::default()
            },
        ),
    ] {
        assert_eq!(options(keys).fax, fax, "{keys}");
    }
    let (_, notices) = offer(r#","T.38":["faster","force"]"#);
    assert!(notices.has(Notice::BadValue, "T.38=faster"));
    assert!(notices.has(Notice::NotSupportedYet, "T.38=force"));
}

#[test]
fn extensions_are_named() {
    assert_eq!(flagged("strip-extmap").stripped_extensions, Extensions::All);
    assert_eq!(
        options(r#","extmap":{"strip":["urn:a","urn:b"]}"#).stripped_extensions,
        Extensions::Named(vec!["urn:a".to_owned(), "urn:b".to_owned()])
    );
    let both = options(r#","extmap":{"strip":["urn:a"],"mask":["all"]}"#);
    assert_eq!(
        both.stripped_extensions,
        Extensions::Named(vec!["urn:a".to_owned()])
    );
    assert_eq!(both.masked_extensions, Extensions::All);
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
