//! Options about what is in a description: codecs and attributes.

use serde_json::{Map, Value, json};

use super::options::{Options, flag, list, set};
use super::{Role, Vocabulary};
use crate::random::Random;

const CODECS: [&str; 14] = [
    "PCMU",
    "PCMA",
    "G722",
    "opus",
    "telephone-event",
    "G729",
    "GSM",
    "VP8",
    "H264",
    "PCMU/8000",
    "opus/48000/2",
    "telephone-event/8000",
    "X-NEW",
    "AMR",
];

pub(crate) fn codec(random: &mut Random, vocabulary: &Vocabulary, role: Role, options: &mut Options) {
    let plain = [
        "static-codecs",
        "single-codec",
        "reuse-codecs",
        "no-codec-renegotiation",
        "allow-asymmetric-codecs",
        "allow-no-codec-media",
    ];
    if random.percent(22) {
        return flag(options, random.pick(&plain));
    }
    let mut dictionary = Map::new();
    let names = |random: &mut Random| json!(random.some(&CODECS[..9], 3));
    match random.below(if vocabulary.no_codecs { 5 } else { 12 }) {
        0 | 1 => {
            dictionary.insert("strip".to_owned(), names(random));
        }
        2 => {
            dictionary.insert("strip".to_owned(), json!([random.pick(&["all", "all", "full"])]));
            let key = random.pick(&["offer", "except"]);
            dictionary.insert(key.to_owned(), names(random));
        }
        3 => {
            dictionary.insert("offer".to_owned(), names(random));
        }
        4 => {
            dictionary.insert("strip".to_owned(), json!([random.pick(&CODECS)]));
            if random.percent(30) {
                dictionary.insert("except".to_owned(), names(random));
            }
        }
        5 => {
            dictionary.insert("ignore".to_owned(), names(random));
        }
        6 | 7 => {
            dictionary.insert("transcode".to_owned(), names(random));
            if random.percent(50) {
                let key = random.pick(&["strip", "mask"]);
                dictionary.insert(
                    key.to_owned(),
                    json!([random.pick(&["all", "full", "PCMU", "PCMA", "opus"])]),
                );
            }
        }
        8 => {
            dictionary.insert("mask".to_owned(), names(random));
        }
        9 => {
            dictionary.insert("accept".to_owned(), names(random));
        }
        10 => {
            dictionary.insert("consume".to_owned(), names(random));
        }
        _ => {
            let others = [
                "always-transcode",
                "force-transcoding",
                "allow-transcoding",
                "inject-DTMF",
            ];
            return match random.percent(50) {
                true => flag(options, random.pick(&others)),
                false => {
                    set(
                        options,
                        "T.38",
                        list(
                            random,
                            &["decode", "force", "stop", "no-ECM", "FEC", "no-V.17"],
                            2,
                        ),
                    );
                }
            };
        }
    }
    if role == Role::Answer && vocabulary.no_codecs {
        dictionary.remove("except");
    }
    set(options, "codec", Value::Object(dictionary));
}

pub(crate) fn attr(random: &mut Random, options: &mut Options) {
    let names = [
        "x-own",
        "x-top",
        "ptime",
        "rtpmap:0",
        "fmtp:101",
        "sendrecv",
        "mid",
        "rtcp",
        "rtcp-mux",
        "candidate",
        "x-own:some value",
        "ptime:20",
        "crypto",
        "fingerprint",
        "rtcp-fb",
    ];
    let mut section = Map::new();
    for _ in 0..1 + random.below(2) {
        match random.below(3) {
            0 => section.insert(
                "add".to_owned(),
                json!(random.some(
                    &["x-added:1", "x-added", "ptime:40", "rtpmap:50 X/1", "sendonly"],
                    2
                )),
            ),
            1 => section.insert("remove".to_owned(), json!(random.some(&names, 2))),
            _ => section.insert(
                "substitute".to_owned(),
                json!([[random.pick(&names), random.pick(&["x-other:5", "ptime:30", "y"])]]),
            ),
        };
    }
    let kind = random.weighted(&[
        (6, "audio"),
        (4, "none"),
        (3, "video"),
        (1, "global"),
        (1, "other"),
    ]);
    if let Value::Object(sections) = options.entry("sdp-attr").or_insert_with(|| json!({})) {
        sections.insert(kind.to_owned(), Value::Object(section));
    }
}
