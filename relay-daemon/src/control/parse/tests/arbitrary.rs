//! Whatever a request holds, it is understood or refused.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use relay_common::ng::{Dictionary, Request, Value, bencode};

use crate::config::Templates;
use crate::control::notices::Notices;
use crate::control::parse::asked;

/// Values of any type, as keys may get them.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::Integer),
        "([a-z-]{0,8}|origin|off|IP4|::1|load limit|to-tag|\\PC{0,4}|[a,=\\[\\] ]{0,9})"
            .prop_map(Value::from),
        vec(any::<u8>(), 0..6).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::List),
            vec((".{0,3}", inner), 0..4).prop_map(|entries| Dictionary(entries).into()),
        ]
    })
}

const KEYS: &[&str] = &[
    "sdp",
    "call-id",
    "from-tag",
    "to-tag",
    "via-branch",
    "limit",
    "offset",
    "state",
    "delete-delay",
    "supports",
    "flags",
    "rtpp-flags",
    "received-from",
    "media-address",
    "address-family",
    "direction",
    "from-interface",
    "transport-protocol",
    "replace",
    "rtcp-mux",
    "ICE",
    "DTLS",
    "SDES",
    "endpoint-learning",
    "TOS",
    "label",
    "metadata",
    "codec",
    "interface",
    "address",
    "from-tags",
    "all",
    "set-label",
    "to-label",
    "to-call-id",
    "source-tag",
    "source-call-id",
    "calls",
    "tags",
    "media",
    "medias",
    "media-echo",
    "drop-traffic",
    "DTMF-security",
    "code",
    "unknown",
];

const COMMANDS: &[&str] = &[
    "offer",
    "answer",
    "delete",
    "query",
    "list",
    "relay calls",
    "relay show",
    "relay kernel",
    "block media",
    "block DTMF",
    "play DTMF",
    "publish",
    "subscribe request",
    "subscribe answer",
    "unsubscribe",
    "connect",
    "inject start",
    "mesh",
    "create",
    "create answer",
    "transform",
];

proptest! {
    #[test]
    fn no_value_of_any_key_makes_it_panic(
        command in select(COMMANDS),
        entries in vec((select(KEYS), any_value()), 0..12),
    ) {
        let mut body = Dictionary::new();
        body.push("command", command);
        for (key, value) in entries {
            body.push(key, value);
        }
        let body = bencode::encode(&body);
        let request = Request::parse(&body).unwrap();
        // Everything is either understood or refused with a reason.
        if let Err(error) = asked(&request, &Templates::default(), &mut Notices::default()) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn no_flag_string_makes_it_panic(text in "([a-zA-Z=-]{0,6}|[\\[\\] =,]|direction|to-tag=|\\PC){0,40}") {
        let mut body = Dictionary::new();
        body.push("command", "delete");
        body.push("call-id", "c");
        body.push("rtpp-flags", text);
        let body = bencode::encode(&body);
        let request = Request::parse(&body).unwrap();
        prop_assert!(asked(&request, &Templates::default(), &mut Notices::default()).is_ok());
    }
}
