//! Options of messages: the keys and flags of the protocol, by area.

use serde_json::{Map, Value, json};

use super::tables::EXTENSIONS;
use super::{Role, Vocabulary, content};
use crate::random::Random;

pub(crate) type Options = Map<String, Value>;

const SUITES: [&str; 8] = [
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_192_CM_HMAC_SHA1_80",
    "AEAD_AES_128_GCM",
    "AEAD_AES_256_GCM",
    "F8_128_HMAC_SHA1_80",
    "NULL_HMAC_SHA1_80",
];

/// Draws the options of one message.
pub(crate) fn draw(random: &mut Random, vocabulary: &Vocabulary, role: Role) -> Options {
    let mut options = Options::new();
    let areas = vocabulary.option_areas();
    let count = match role {
        Role::Offer => random.weighted(&[(20, 0), (30, 1), (25, 2), (15, 3), (7, 4), (3, 6)]),
        Role::Answer => random.weighted(&[(50, 0), (28, 1), (15, 2), (7, 3)]),
        Role::Subscribe => random.weighted(&[(50, 0), (28, 1), (15, 2), (7, 3)]),
    };
    for _ in 0..count {
        let area = random.weighted(&areas);
        add(random, vocabulary, role, area, &mut options);
    }
    options
}

fn add(random: &mut Random, vocabulary: &Vocabulary, role: Role, area: &str, options: &mut Options) {
    match area {
        "ice" => ice(random, role, options),
        "rtcp" => rtcp(random, options),
        "replace" => replace(random, options),
        "crypto" => crypto(random, options),
        "mid" => mid(random, options),
        "codec" => content::codec(random, vocabulary, role, options),
        "ptime" => {
            let key = random.pick(&["ptime", "ptime", "ptime-reverse"]);
            options.insert(key.to_owned(), json!(random.pick(&[10, 20, 30, 40, 60])));
        }
        "attr" => content::attr(random, options),
        "interfaces" => interfaces(random, options),
        "ipv6" => {
            options.insert(
                "address-family".to_owned(),
                json!(random.pick(&["IP4", "IP6", "IP6"])),
            );
        }
        "flags" => flags(random, options),
        "latching" => {
            let all = [
                "strict-source",
                "media-handover",
                "asymmetric",
                "port-latching",
                "no-port-latching",
                "pierce-NAT",
                "NAT-wait",
                "unidirectional",
            ];
            flag(options, random.pick(&all));
        }
        "learning" => {
            let how = random.pick(&["off", "immediate", "delayed", "heuristic"]);
            set(options, "endpoint-learning", json!(how));
        }
        _ => keys(random, options),
    }
}

/// Adds to the flags.
pub(crate) fn flag(options: &mut Options, flag: &str) {
    let flags = options.entry("flags").or_insert_with(|| json!([]));
    if let Value::Array(flags) = flags
        && !flags.iter().any(|other| other == flag)
    {
        flags.push(json!(flag));
    }
}

/// Says an option, whatever it was before.
pub(crate) fn set(options: &mut Options, key: &str, value: Value) {
    options.insert(key.to_owned(), value);
}

/// One value as a text, or several as a list.
pub(crate) fn list(random: &mut Random, all: &[&str], most: usize) -> Value {
    let chosen = random.some(all, most);
    match chosen[..] {
        [one] if random.percent(40) => json!(one),
        _ => json!(chosen),
    }
}

fn ice(random: &mut Random, role: Role, options: &mut Options) {
    match random.below(20) {
        0 => flag(options, "trickle-ICE"),
        1 => flag(options, "ICE-reject"),
        2 => flag(options, "WebRTC"),
        3 if role == Role::Offer => {
            let how = random.pick(&["forward", "backward", "both", "off", "offer", "reverse"]);
            set(options, "ICE-lite", json!(how));
        }
        4 => set(
            options,
            "media-address",
            json!(random.pick(&["203.0.113.99", "2001:db8::99", "nonsense"])),
        ),
        5 => set(
            options,
            "ICE",
            json!([
                random.pick(&["force", "default", "remove"]),
                random.pick(&["trickle", "ice2", "lite", "lite-backward"])
            ]),
        ),
        _ => {
            let how = random.weighted(&[
                (30, "remove"),
                (30, "force"),
                (5, "default"),
                (12, "optional"),
                (6, "force-relay"),
            ]);
            set(options, "ICE", json!(how));
        }
    }
}

fn rtcp(random: &mut Random, options: &mut Options) {
    match random.below(8) {
        0 => flag(options, "full-rtcp-attribute"),
        1 => flag(options, "no-rtcp-attribute"),
        2 => match random.below(3) {
            0 => flag(options, "generate-RTCP"),
            1 => flag(options, "RTCP-mirror"),
            _ => set(options, "generate-RTCP", json!(random.pick(&["on", "off"]))),
        },
        _ => {
            let value = list(random, &["offer", "require", "demux", "accept", "reject"], 2);
            set(options, "rtcp-mux", value);
        }
    }
}

fn replace(random: &mut Random, options: &mut Options) {
    let all = [
        "origin",
        "origin",
        "session-connection",
        "SDP-version",
        "username",
        "session-name",
        "origin-full",
        "zero-address",
        "force-increment-sdp-ver",
    ];
    let mut chosen = random.some(&all, 3);
    chosen.dedup();
    set(options, "replace", json!(chosen));
}

fn crypto(random: &mut Random, options: &mut Options) {
    match random.below(12) {
        0..4 => {
            let all = [
                "RTP/AVP",
                "RTP/AVP",
                "RTP/AVPF",
                "RTP/SAVP",
                "RTP/SAVP",
                "RTP/SAVPF",
                "UDP/TLS/RTP/SAVP",
                "UDP/TLS/RTP/SAVPF",
                "accept",
            ];
            set(options, "transport-protocol", json!(random.pick(&all)));
        }
        4 | 5 => set(
            options,
            "DTLS",
            json!(random.weighted(&[(10, "off"), (4, "passive"), (4, "active"), (1, "no")])),
        ),
        6 => set(
            options,
            "DTLS-fingerprint",
            json!(random.pick(&["SHA-1", "sha-256", "SHA-384", "SHA-512", "SHA-224"])),
        ),
        7 => {
            let value = list(
                random,
                &[
                    "offer",
                    "offer-RFC",
                    "offer-legacy",
                    "accept-RFC",
                    "accept-legacy",
                    "accept",
                ],
                2,
            );
            set(options, "OSRTP", value);
        }
        8 => flag(
            options,
            random.pick(&["no-tls-id", "pad-crypto", "recrypt", "reset", "passthrough"]),
        ),
        _ => {
            let mut entries = Vec::new();
            for _ in 0..1 + random.below(2) {
                let (suite, other) = (random.pick(&SUITES), random.pick(&SUITES));
                entries.push(match random.below(10) {
                    0..2 => "off".to_owned(),
                    2 => format!("no-{suite}"),
                    3 | 4 => format!("only-{suite}"),
                    5 => "nonew".to_owned(),
                    6 => format!("order:{suite};{other}"),
                    7 => format!("offerer_pref:{suite};{other}"),
                    _ => random
                        .pick(&[
                            "unencrypted_srtp",
                            "unencrypted_srtcp",
                            "unauthenticated_srtp",
                            "encrypted_srtp",
                            "encrypted_srtcp",
                            "authenticated_srtp",
                            "pad",
                            "lifetime",
                            "static",
                            "prefer",
                        ])
                        .to_owned(),
                });
            }
            set(options, "SDES", json!(entries));
        }
    }
}

fn mid(random: &mut Random, options: &mut Options) {
    match random.below(8) {
        0 | 1 => flag(options, "generate-mid"),
        2 => {
            let key = random.pick(&["strip", "mask"]);
            let uris = match random.below(4) {
                0 => json!(["all"]),
                1 => json!(random.some(&EXTENSIONS, 3)),
                _ => json!([random.pick(&EXTENSIONS[..4])]),
            };
            set(options, "extmap", json!({key: uris}));
        }
        3 => flag(options, "strip-extmap"),
        4 => {
            let kinds = random.weighted(&[
                (5, "video"),
                (3, "audio"),
                (1, "image"),
                (1, "application"),
                (1, "other"),
            ]);
            set(options, "sdp-media-remove", json!([kinds]));
        }
        _ => {
            let value = list(random, &["accept", "offer", "require", "strict", "reject"], 2);
            set(options, "bundle", value);
        }
    }
}

fn interfaces(random: &mut Random, options: &mut Options) {
    let names = [
        "pub",
        "priv",
        "dmz",
        "default",
        "out",
        "inside",
        "internal",
        "external",
        "none such",
    ];
    match random.below(6) {
        0 => set(options, "from-interface", json!(random.pick(&names))),
        1 => set(options, "to-interface", json!(random.pick(&names))),
        2 => set(options, "interface", json!(random.pick(&names))),
        _ => set(
            options,
            "direction",
            json!([random.pick(&names), random.pick(&names)]),
        ),
    }
}

fn flags(random: &mut Random, options: &mut Options) {
    let all = [
        "trust-address",
        "SIP-source-address",
        "symmetric",
        "loop-protect",
        "original-sendrecv",
        "new-branch",
        "provisional",
        "debug",
        "no-redis-update",
        "no-jitter-buffer",
        "early-media",
        "audio-player",
        "no-player",
        "all",
        "directional",
        "bidirectional",
        "unknown flag",
        "mix",
        "egress",
        "reorder-codecs",
        "block-DTMF",
        "block-egress",
        "to-tag",
        "fast",
    ];
    for _ in 0..1 + random.below(2) {
        flag(options, random.pick(&all));
    }
}

fn keys(random: &mut Random, options: &mut Options) {
    match random.below(14) {
        0 => set(
            options,
            "received-from",
            random.pick(&[
                json!(["IP4", "198.51.96.5"]),
                json!("198.51.96.5"),
                json!(["IP6", "2001:db8::5"]),
            ]),
        ),
        1 => set(options, "label", json!(random.pick(&["one", "two"]))),
        2 => set(options, "TOS", json!(random.pick(&[-1, 0, 184, 300]))),
        3 => set(options, "metadata", json!("some:thing|other:thing")),
        4 => set(
            options,
            "endpoint-learning",
            json!(random.pick(&["off", "immediate", "delayed", "heuristic"])),
        ),
        5 => set(options, "supports", json!(["load limit"])),
        6 => set(
            options,
            "media-echo",
            json!(random.pick(&["blackhole", "forward", "backwards", "both"])),
        ),
        7 => set(options, "drop-traffic", json!(random.pick(&["start", "stop"]))),
        8 => set(
            options,
            "alias-key",
            json!(random.pick(&["off", "SDP", "address"])),
        ),
        9 => set(options, "delay-buffer", json!(random.pick(&[0, 20]))),
        10 => set(
            options,
            "SIP-message-type",
            json!(random.pick(&["request", "reply"])),
        ),
        11 => set(options, "SIP-code", json!(random.pick(&[100, 180, 183, 200]))),
        12 => set(options, "set-label", json!("three")),
        _ => set(options, "unknown key", json!({"a": [1, "b"]})),
    }
}
