//! Keys and flags of the reference that change nothing here: some never do, the others not yet.

use super::super::notices::{Notice, Notices};

/// Gives notice of a key that nothing here reacts to.
pub(super) fn key(key: &str, notices: &mut Notices) {
    if HARMLESS_KEYS.contains(&key) {
        return;
    }
    let later = LATER_KEYS.contains(&key) || has_prefix(key, LATER_PREFIXES);
    let notice = if later {
        Notice::NotSupportedYet
    } else {
        Notice::UnknownKey
    };
    notices.give(notice, key);
}

/// Gives notice of a flag that nothing here reacts to.
pub(super) fn flag(flag: &str, notices: &mut Notices) {
    if HARMLESS_FLAGS.contains(&flag) {
        return;
    }
    let later = LATER_FLAGS.contains(&flag) || has_prefix(flag, LATER_PREFIXES);
    let notice = if later {
        Notice::NotSupportedYet
    } else {
        Notice::UnknownFlag
    };
    notices.give(notice, flag);
}

fn has_prefix(name: &str, prefixes: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    prefixes.iter().any(|prefix| lower.starts_with(prefix))
}

/// Keys for commands, or for what the reference does besides media.
const HARMLESS_KEYS: &[&str] = &["xmlrpc-callback", "XMLRPC-callback"];

/// Flags that the reference accepts and passes over, or that describe the default.
const HARMLESS_FLAGS: &[&str] = &[
    "symmetric",
    "asymmetric-codecs",
    "symmetric-codecs",
    "reorder-codecs",
    "no-redis-update",
    "no-player",
    "no-audio-player",
    "no-jitter-buffer",
];

const LATER_KEYS: &[&str] = &[
    "record-call",
    "audio-player",
    "player",
    "delay-buffer",
    "trigger-end",
    "end-trigger",
    "trigger-end-time",
    "trigger-end-digits",
    "frequency",
    "frequencies",
    "volume",
    "duration",
    "pause",
    "repeat-times",
    "repeat-duration",
    "start-pos",
    "instance",
];

const LATER_FLAGS: &[&str] = &[
    "record-call",
    "force-transcoding",
    "inject-DTMF",
    "detect-DTMF",
    "block-egress",
    "early-media",
    "audio-player",
    "player",
    "discard-recording",
    "exclude-recording",
    "skip-recording-db",
    "skip-recording-database",
    "recording-announcement",
    "recording-vsc",
];

/// Of keys and of flags, lower case.
const LATER_PREFIXES: &[&str] = &["dtmf-", "recording-", "output-", "vsc-", "delay-buffer-"];
