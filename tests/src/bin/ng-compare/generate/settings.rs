//! Options and configuration of the daemons that a conversation is played to.

use serde_json::json;

use super::Vocabulary;
use crate::play::Setting;
use crate::random::Random;

const INTERFACES: [&[&str]; 9] = [
    &[
        "pub/203.0.113.1",
        "pub/2001:db8:4321::1",
        "priv/203.0.113.2",
        "priv/2001:db8:4321::2",
    ],
    &[
        "pub/203.0.113.1",
        "priv/203.0.113.2",
        "dmz/203.0.113.3",
        "pub/2001:db8:4321::1",
        "priv/2001:db8:4321::2",
    ],
    &["pub/203.0.113.1", "priv/203.0.113.2"],
    &["pub/203.0.113.1!192.0.2.50", "priv/203.0.113.2"],
    &[
        "203.0.113.1",
        "2001:db8:4321::1",
        "203.0.113.2",
        "2001:db8:4321::2",
    ],
    &[
        "pub/203.0.113.1",
        "pub/203.0.113.3",
        "pub/2001:db8:4321::1",
        "priv/203.0.113.2",
    ],
    &[
        "internal/203.0.113.1",
        "external/203.0.113.2",
        "internal/2001:db8:4321::1",
        "external/2001:db8:4321::2",
    ],
    &[
        "pub/203.0.113.1",
        "priv/203.0.113.2",
        "outside=pub",
        "inside=priv",
    ],
    &["2001:db8:4321::1", "203.0.113.1", "203.0.113.3"],
];

const TEMPLATES: [&str; 6] = [
    "default = replace-origin\noffer = generate-mid\nanswer = no-rtcp-attribute\n",
    "default = ICE=force rtcp-mux=[offer require]\n",
    "default = bundle=[offer]\n",
    "offer = transport-protocol=RTP/SAVP SDES-only-AES_CM_128_HMAC_SHA1_80 DTLS=off\nanswer = ICE=remove\n",
    "default = replace=[origin sdp-version]\nx = ICE=remove\nsubscribe request = ICE=force\n",
    "default = codec-strip-PCMA\n",
];

const OPTIONS: [&[&str]; 4] = [
    &["--sip-source"],
    &["--dtls-passive"],
    &["--reject-invalid-sdp"],
    &["--software-id=somebody"],
];

/// Mostly plain daemons.
pub(crate) fn draw(random: &mut Random, vocabulary: &Vocabulary) -> Setting {
    let only = |area: &str| vocabulary.areas.iter().any(|other| other == area);
    let mut daemon: Vec<String> = Vec::new();
    let mut config = String::new();
    if random.percent(if only("interfaces") {
        90
    } else if vocabulary.areas.is_empty() {
        15
    } else {
        2
    }) {
        let interfaces = random.pick(&INTERFACES);
        daemon.extend(
            interfaces
                .iter()
                .map(|interface| format!("--interface={interface}")),
        );
    }
    if random.percent(if only("templates") {
        90
    } else if vocabulary.areas.is_empty() {
        5
    } else {
        0
    }) {
        config = format!(
            "[rtpengine]\ntemplates = tpl\n\n[tpl]\n{}",
            random.pick(&TEMPLATES)
        );
    }
    if random.percent(if vocabulary.areas.is_empty() { 8 } else { 0 }) {
        daemon.extend(random.pick(&OPTIONS).iter().map(|option| (*option).to_owned()));
    }
    let mut setting = json!({"daemon": daemon});
    if !config.is_empty() {
        setting["config"] = json!(config);
    }
    Setting(setting)
}
