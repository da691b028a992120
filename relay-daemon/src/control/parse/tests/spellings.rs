//! Every name that proxies may use: those that mean the same, and those that are known at least.

use crate::call::SignalOptions;

use super::{Notice, flagged, offer, options};

/// Keys of the same meaning, with a value.
const KEYS: &[(&str, &[&str])] = &[
    (r#"["pub","priv"]"#, &["direction"]),
    (r#""pub""#, &["from-interface", "from interface"]),
    (r#""pub""#, &["to-interface", "to interface"]),
    (r#""203.0.113.9""#, &["media-address", "media address"]),
    (r#""IP6""#, &["address-family", "address family"]),
    (r#""RTP/SAVP""#, &["transport-protocol", "transport protocol"]),
    (r#"["force"]"#, &["ICE", "ice"]),
    (
        r#""on""#,
        &["generate-RTCP", "generate RTCP", "generate-rtcp", "generate rtcp"],
    ),
    (r#""forward""#, &["ICE-lite", "ice-lite", "ICE lite", "ice lite"]),
    (r#"["demux"]"#, &["rtcp-mux", "RTCP-mux", "rtcp mux", "RTCP mux"]),
    (r#""off""#, &["DTLS", "dtls", "DTLS-reverse", "dtls-reverse"]),
    (
        r#""sha-512""#,
        &[
            "DTLS-fingerprint",
            "DTLS fingerprint",
            "dtls-fingerprint",
            "dtls fingerprint",
        ],
    ),
    (r#"["pad"]"#, &["SDES", "sdes"]),
    (r#"["offer"]"#, &["OSRTP", "osrtp"]),
    (r#"{"strip":["PCMA"]}"#, &["codec", "codecs"]),
    ("40", &["ptime"]),
    (
        "40",
        &["ptime-reverse", "ptime reverse", "reverse ptime", "reverse-ptime"],
    ),
    (r#""x""#, &["label", "from-label", "from label"]),
    ("184", &["TOS", "tos"]),
    (r#""off""#, &["endpoint-learning", "endpoint learning"]),
    (r#""both""#, &["media-echo", "media echo"]),
    (r#""start""#, &["drop-traffic", "drop traffic"]),
    (r#"["accept"]"#, &["bundle", "BUNDLE"]),
    (r#"{"strip":["all"]}"#, &["extmap"]),
    (
        r#"{"audio":{"add":["x"]}}"#,
        &["sdp-attr", "SDP-attr", "sdp attr", "SDP attr"],
    ),
    (
        r#"["audio"]"#,
        &[
            "sdp-media-remove",
            "SDP-media-remove",
            "sdp_media_remove",
            "sdp media remove",
            "SDP media remove",
        ],
    ),
    (r#"{"file":"/nonexistent"}"#, &["moh", "MoH", "MOH"]),
    (r#""SDP""#, &["alias-key", "alias key"]),
    (r#"["force"]"#, &["T.38", "T38", "t38", "t.38"]),
    (
        "1",
        &[
            "T.38-version",
            "T.38 version",
            "T38-version",
            "t38-version",
            "t.38 version",
        ],
    ),
    (
        r#""original-sendrecv""#,
        &["rtpp-flags", "rtpp_flags", "rtpp flags", "flags"],
    ),
];

/// Flags of the same meaning.
const FLAGS: &[&[&str]] = &[
    &["trust-address", "trust address"],
    &["SIP-source-address", "sip-source-address", "SIP source address"],
    &["asymmetric"],
    &["NAT-wait", "NAT wait"],
    &["strict-source", "strict source"],
    &["media-handover", "media handover"],
    &["port-latching", "port latching"],
    &["no-port-latching", "no port latching"],
    &["reset"],
    &["generate-RTCP", "generate RTCP", "generate-rtcp"],
    &["debug", "debugging"],
    &["loop-protect", "loop protect"],
    &["full-rtcp-attribute", "full rtcp attribute"],
    &["no-rtcp-attribute", "no rtcp attribute"],
    &["generate-mid", "generate mid"],
    &["trickle-ICE", "trickle ICE", "trickle-ice"],
    &[
        "ICE-reject",
        "reject-ICE",
        "ice-reject",
        "reject-ice",
        "reject ICE",
    ],
    &["WebRTC", "webrtc", "webRTC", "WebRtc"],
    &["original-sendrecv", "original sendrecv"],
    &["pad-crypto", "SDES-pad"],
    &["single-codec", "single codec"],
    &["reuse-codecs", "no-codec-renegotiation", "reuse codecs"],
    &["static-codecs", "static-codec"],
    &["allow-asymmetric-codecs"],
    &[
        "allow-no-codec-media",
        "allow-no-codec-medias",
        "allow-empty-codec-media",
        "allow-empty-codec-medias",
    ],
    &["always-transcode", "codec-accept-all"],
    &["force-transcoding", "force transcoding"],
    &["inject-DTMF", "inject DTMF"],
    &["block-DTMF", "block DTMF"],
    &["no-tls-id"],
    &["strip-extmap", "strip extmap"],
    &["new-branch"],
    &["provisional"],
    &["SDES-no-AES_CM_128_HMAC_SHA1_80"],
    &["OSRTP-accept"],
    &["rtcp-mux-require"],
    &["replace-origin"],
    &["BUNDLE-accept", "bundle-accept"],
    &["endpoint-learning-off"],
    &["codec-strip-PCMA"],
    &["codec-offer-PCMA"],
    &["codec-except-PCMA"],
    &["codec-ignore-PCMA"],
    &["codec-accept-PCMA"],
    &["codec-consume-PCMA"],
    &["codec-mask-PCMA"],
    &["codec-transcode-PCMA", "transcode-PCMA"],
    &["T38-force", "T.38-force"],
    &["sdp-attr-add-none-x"],
    &["sdp-attr-remove-none-x"],
    &["sdp-attr-substitute-none-x>y"],
];

/// Flags that change nothing in an offer, or nothing yet, but are no strangers.
const KNOWN_FLAGS: &[&str] = &[
    "symmetric",
    "record-call",
    "codec-set-AMR/8000/1/7400",
    "allow-transcoding",
    "detect-DTMF",
    "block-egress",
    "block-short",
    "block-shorts",
    "block-short-packets",
    "pierce-NAT",
    "recrypt",
    "unidirectional",
    "early-media",
    "audio-player",
    "player",
    "no-player",
    "no-audio-player",
    "no-jitter-buffer",
    "passthrough",
    "no-passthrough",
    "no-redis-update",
    "fatal",
    "fast",
    "to-tag",
    "to_tag",
    "to tag",
    "discard-recording",
    "exclude-recording",
    "skip-recording-db",
    "skip-recording-database",
    "recording-announcement",
    "recording-vsc",
    "all",
    "directional",
    "bidirectional",
    "inactive",
    "mix",
    "mixed",
    "egress",
    "unsubscribe",
    "SIPREC",
    "RTCP-mirror",
    "mirror-RTCP",
    "rtcp-mirror",
    "mirror-rtcp",
    "asymmetric-codecs",
    "symmetric-codecs",
    "reorder-codecs",
    "from-tags-a",
];

/// Keys that change nothing in the options of an offer, or nothing yet.
const KNOWN_KEYS: &[&str] = &[
    "interface",
    "inbound-peer",
    "outbound-peer",
    "peer",
    "inbound peer",
    "set-label",
    "to-label",
    "delete-delay",
    "delete delay",
    "delete_delay",
    "record-call",
    "record call",
    "metadata",
    "output-destination",
    "output dest",
    "output-file",
    "recording-destination",
    "recording-file",
    "recording-path",
    "recording-dir",
    "recording-directory",
    "recording-folder",
    "output-path",
    "recording-pattern",
    "output pattern",
    "recording-media-slot-offer",
    "recording-media-slot-answer",
    "recording-media-slots",
    "vsc-start-rec",
    "VSC-stop-recording",
    "vsc-start-pause-resume-rec",
    "xmlrpc-callback",
    "XMLRPC-callback",
    "supports",
    "all",
    "from-tags",
    "from tags",
    "address",
    "audio-player",
    "audio player",
    "player",
    "passthrough",
    "passthru",
    "delay-buffer",
    "delay buffer",
    "DTMF-security",
    "dtmf-security",
    "DTMF-security-trigger",
    "DTMF-security-trigger-end",
    "DTMF-delay",
    "DTMF-log-dest",
    "DTMF-log-destination",
    "dtmf log dest",
    "trigger",
    "trigger-end",
    "end-trigger",
    "trigger end",
    "trigger-end-time",
    "trigger-end-digits",
    "frequency",
    "frequencies",
    "volume",
    "digit",
    "code",
    "duration",
    "pause",
    "file",
    "blob",
    "blob64",
    "db-id",
    "repeat-times",
    "repeat-duration",
    "start-pos",
    "SIP-code",
    "SIP_code",
    "SIP_response_code",
    "sip_response_code",
    "SIP_message_type",
    "sip-code",
    "sip_code",
    "SIP-response-code",
    "to-call-id",
    "to call id",
    "source-tag",
    "source-call-id",
    "calls",
    "tags",
    "media",
    "medias",
    "instance",
    "limit",
    "via-branch",
];

#[test]
fn keys_of_the_same_meaning() {
    for (value, keys) in KEYS {
        let meaning = |key: &str| options(&format!(r#","{key}":{value}"#));
        let first = meaning(keys[0]);
        assert_ne!(first, SignalOptions::default(), "{}", keys[0]);
        for key in *keys {
            assert_eq!(meaning(key), first, "{key}");
        }
    }
}

#[test]
fn flags_of_the_same_meaning() {
    let default = ["trust-address", "SIP-source-address"];
    for flags in FLAGS {
        let first = flagged(flags[0]);
        let is_new = first != SignalOptions::default();
        assert!(is_new || default.contains(&flags[0]), "{}", flags[0]);
        for flag in *flags {
            assert_eq!(flagged(flag), first, "{flag}");
        }
    }
}

#[test]
fn no_name_is_strange() {
    let flags = FLAGS.iter().copied().flatten().chain(KNOWN_FLAGS);
    for flag in flags {
        let (_, notices) = offer(&format!(r#","flags":["{flag}"]"#));
        let name = flag.replace(' ', "-");
        assert!(!notices.has(Notice::UnknownFlag, &name), "{flag}");
    }
    let known = KNOWN_KEYS.iter().map(|key| (r#""1""#, *key));
    let keys = KEYS
        .iter()
        .flat_map(|(value, keys)| keys.iter().map(|key| (*value, *key)));
    for (value, key) in keys.chain(known) {
        let (_, notices) = offer(&format!(r#","{key}":{value}"#));
        let name = key.replace(' ', "-");
        assert!(!notices.has(Notice::UnknownKey, &name), "{key}");
        assert!(!notices.has(Notice::UnknownKey, key), "{key}");
    }
    let (_, notices) = offer(r#","strange":1,"flags":["stranger"]"#);
    assert!(notices.has(Notice::UnknownKey, "strange"));
    assert!(notices.has(Notice::UnknownFlag, "stranger"));
}
