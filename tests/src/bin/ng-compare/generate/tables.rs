//! What clients say: names of codecs, suites, attributes.

use super::client::Codec;

/// Payload type, map, parameters.
pub(crate) const AUDIO: [(&str, &str, &str); 22] = [
    ("0", "PCMU/8000", ""),
    ("8", "PCMA/8000", ""),
    ("9", "G722/8000", ""),
    ("18", "G729/8000", "annexb=no"),
    ("18", "G729/8000", ""),
    ("3", "GSM/8000", ""),
    ("4", "G723/8000", ""),
    ("111", "opus/48000/2", "minptime=10;useinbandfec=1"),
    ("96", "opus/48000/2", ""),
    (
        "109",
        "opus/48000/2",
        "maxplaybackrate=48000;stereo=1;useinbandfec=1",
    ),
    ("97", "speex/16000", ""),
    ("98", "iLBC/8000", "mode=20"),
    ("102", "iLBC/8000", "mode=30"),
    ("104", "AMR/8000", "octet-align=1;mode-change-capability=2"),
    ("105", "AMR/8000", ""),
    ("106", "AMR-WB/16000", "octet-align=1"),
    ("13", "CN/8000", ""),
    ("11", "L16/44100", ""),
    ("10", "L16/44100/2", ""),
    ("63", "red/48000/2", "111/111"),
    ("120", "X-NEW/16000", "mode=a;b=c"),
    ("2", "G726-32/8000", ""),
];

pub(crate) const EVENTS: [(&str, &str, &str); 6] = [
    ("101", "telephone-event/8000", "0-15"),
    ("101", "telephone-event/8000", "0-16"),
    ("101", "telephone-event/8000", ""),
    ("126", "telephone-event/8000", ""),
    ("110", "telephone-event/48000", "0-15"),
    ("113", "telephone-event/16000", "0-15"),
];

pub(crate) const VIDEO: [(&str, &str, &str); 8] = [
    ("100", "VP8/90000", ""),
    ("96", "VP8/90000", ""),
    ("99", "H264/90000", "profile-level-id=42e01f;packetization-mode=1"),
    (
        "98",
        "H264/90000",
        "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f",
    ),
    ("107", "rtx/90000", "apt=100"),
    ("108", "VP9/90000", "profile-id=0"),
    ("34", "H263/90000", ""),
    ("116", "red/90000", ""),
];

pub(crate) const FEEDBACK: [&str; 7] = [
    "nack",
    "nack pli",
    "ccm fir",
    "goog-remb",
    "transport-cc",
    "ccm tmmbr",
    "trr-int 100",
];

pub(crate) const SUITES: [(&str, usize); 8] = [
    ("AES_CM_128_HMAC_SHA1_80", 30),
    ("AES_CM_128_HMAC_SHA1_32", 30),
    ("AES_256_CM_HMAC_SHA1_80", 46),
    ("AES_192_CM_HMAC_SHA1_32", 38),
    ("AEAD_AES_128_GCM", 28),
    ("AEAD_AES_256_GCM", 44),
    ("F8_128_HMAC_SHA1_80", 30),
    ("NULL_HMAC_SHA1_32", 30),
];

pub(crate) const EXTENSIONS: [&str; 6] = [
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "urn:3gpp:video-orientation",
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "urn:ietf:params:rtp-hdrext:toffset",
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
];

pub(crate) const EXTRA: [&str; 26] = [
    "ptime:20",
    "ptime:30",
    "ptime:0",
    "maxptime:40",
    "maxptime:150",
    "rtcp-rsize",
    "rtcp-fb:* nack",
    "rtcp-fb:* ccm fir",
    "x-own",
    "x-own:some value",
    "label:7",
    "content:main",
    "content:slides",
    "msid:stream track",
    "ssrc:305419896 cname:foo",
    "ssrc:305419896 msid:stream track",
    "ssrc-group:FID 305419896 305419897",
    "rid:hi send",
    "simulcast:send hi",
    "silenceSupp:off - - - -",
    "rtcp-xr:voip-metrics",
    "imageattr:100 send [x=640,y=480]",
    "framerate:30",
    "rtcp:PORT",
    "rtcp:PORT IN IP4 198.51.96.9",
    "remote-candidates:1 198.51.97.99 4000",
];

pub(crate) const SESSION_EXTRA: [&str; 8] = [
    "x-top",
    "tool:phone",
    "msid-semantic: WMS stream",
    "group:LS 0 1",
    "sendonly",
    "inactive",
    "ptime:20",
    "charset:UTF-8",
];

pub(crate) fn codec(pt: &str, map: &str, fmtp: &str) -> Codec {
    Codec {
        pt: pt.to_owned(),
        map: map.to_owned(),
        fmtp: fmtp.to_owned(),
        feedback: Vec::new(),
    }
}

/// Base64 that decodes to so many bytes, different for each number.
pub(crate) fn key(bytes: usize, number: usize) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes / 3 * 4;
    let digit = |index: usize| char::from(DIGITS[(index * 7 + number * 13 + index * index * number) % 64]);
    let mut key: String = (0..digits).map(digit).collect();
    key.push_str(match bytes % 3 {
        1 => "AA==",
        2 => "AAA=",
        _ => "",
    });
    key
}

/// A fingerprint of a client.
pub(crate) fn fingerprint(hash: &str, number: usize) -> String {
    let length = match hash {
        "sha-1" => 20,
        "sha-384" => 48,
        "sha-512" => 64,
        _ => 32,
    };
    let bytes: Vec<String> = (0..length)
        .map(|i| format!("{:02X}", (i * 37 + 11 + number * 18) % 256))
        .collect();
    format!("fingerprint:{hash} {}", bytes.join(":"))
}
