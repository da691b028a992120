//! Requests without SDP.

use serde_json::{Map, Value, json};

use super::acts::named;
use super::options::{self, flag};
use super::{Role, Vocabulary};
use crate::random::Random;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    Query,
    List,
    Delete,
    Control,
    Unsubscribe,
    Connect,
    Mesh,
    Create,
    Transform,
    Wrong,
}

const CONTROL: [&str; 19] = [
    "block media",
    "unblock media",
    "silence media",
    "unsilence media",
    "block DTMF",
    "unblock DTMF",
    "start forwarding",
    "stop forwarding",
    "block media",
    "silence media",
    "start recording",
    "stop recording",
    "pause recording",
    "play media",
    "stop media",
    "play DTMF",
    "ping",
    "inject start",
    "inject stop",
];

/// A request about a call. Of `tags` the first `parties` are in it.
pub(crate) fn plain(
    random: &mut Random,
    vocabulary: &Vocabulary,
    what: Plain,
    call: usize,
    (tags, parties): (&[&str], usize),
) -> Value {
    let mut request = Map::new();
    let known = &tags[..parties.clamp(1, tags.len())];
    let tag = |random: &mut Random| match random.percent(6) {
        true => json!(random.pick(&["nobody", "", "fred"])),
        false => json!(random.pick(known)),
    };
    let mut set = |key: &str, value: Value| drop(request.insert(key.to_owned(), value));
    match what {
        Plain::Query => {
            named(&mut request, "query", call);
            if random.percent(30) {
                let key = random.pick(&["from-tag", "to-tag"]);
                request.insert(key.to_owned(), tag(random));
            }
        }
        Plain::List => {
            set("command", json!("list"));
            if random.percent(30) {
                set("limit", json!(random.pick(&[-1, 5000, 100_000])));
            } else {
                set("limit", json!(100_000));
            }
        }
        Plain::Delete => delete(random, &mut request, call, tag),
        Plain::Control => control(random, &mut request, call, tag),
        Plain::Unsubscribe => {
            named(&mut request, "unsubscribe", call);
            request.insert("to-tag".to_owned(), json!(random.pick(tags)));
            if random.percent(40) {
                request.insert("from-tag".to_owned(), tag(random));
                if random.percent(60) {
                    flag(&mut request, "directional");
                }
            }
        }
        Plain::Connect => connect(random, &mut request, call, tags),
        Plain::Mesh => mesh(random, &mut request, tags),
        Plain::Create => create(random, vocabulary, &mut request, call, tags),
        Plain::Transform => transform(random, &mut request),
        Plain::Wrong => wrong(random, &mut request, call, tag),
    }
    Value::Object(request)
}

fn delete(
    random: &mut Random,
    request: &mut Map<String, Value>,
    call: usize,
    tag: impl Fn(&mut Random) -> Value,
) {
    named(request, "delete", call);
    if random.percent(75) {
        request.insert("from-tag".to_owned(), tag(random));
    }
    if random.percent(35) {
        request.insert("to-tag".to_owned(), tag(random));
    }
    if random.percent(30) {
        request.insert(
            "via-branch".to_owned(),
            json!(format!("z9hG4bK-{}", random.below(3))),
        );
    }
    if random.percent(65) {
        request.insert(
            "delete-delay".to_owned(),
            json!(random.weighted(&[(8, 0), (1, 30), (1, -1)])),
        );
    }
    for name in ["fatal", "fast", "to-tag", "discard-recording"] {
        if random.percent(12) {
            flag(request, name);
        }
    }
}

fn control(
    random: &mut Random,
    request: &mut Map<String, Value>,
    call: usize,
    tag: impl Fn(&mut Random) -> Value,
) {
    named(request, random.pick(&CONTROL), call);
    let mut set = |key: &str, value: Value| drop(request.insert(key.to_owned(), value));
    match random.below(8) {
        0 => set("all", json!("all")),
        1 => set("label", json!(random.pick(&["one", "two", "none"]))),
        2 => set(
            "address",
            json!(random.pick(&["198.51.97.10", "198.51.98.20", "198.51.1.1", "nonsense"])),
        ),
        3 => {}
        _ => set("from-tag", tag(random)),
    }
    if random.percent(25) {
        set("to-tag", tag(random));
    }
    if random.percent(8) {
        set("to-label", json!(random.pick(&["one", "two", "none"])));
    }
    if random.percent(8) {
        set(
            "all",
            json!(random.pick(&["offer-answer", "except-offer-answer", "flows", "none"])),
        );
    }
    if random.percent(15) {
        set("code", json!(random.pick(&[1, 11, 15, 16])));
    }
    if random.percent(8) {
        set(
            "DTMF-security",
            json!(random.pick(&["drop", "silence", "tone", "random", "zero", "DTMF", "off"])),
        );
    }
    if random.percent(50) {
        flag(request, "directional");
    }
    if random.percent(8) {
        flag(request, random.pick(&["all", "block-egress", "SIPREC", "pause"]));
    }
}

/// Which parties a subscription is to.
pub(crate) fn sources(random: &mut Random, request: &mut Map<String, Value>, tags: &[&str]) {
    let mut set = |key: &str, value: Value| drop(request.insert(key.to_owned(), value));
    match random.below(20) {
        0..7 => set("from-tag", json!(random.pick(tags))),
        7..12 => set("from-tags", json!(random.some(tags, 3))),
        12..16 => set("all", json!("all")),
        16 => set("label", json!(random.pick(&["one", "two", "none"]))),
        17 => set("address", json!("198.51.97.10")),
        18 => set("from-tag", json!("nobody")),
        _ => {}
    }
    if random.percent(8) {
        set("set-label", json!("listener"));
    }
}

fn connect(random: &mut Random, request: &mut Map<String, Value>, call: usize, tags: &[&str]) {
    named(request, "connect", call);
    let mut set = |key: &str, value: Value| drop(request.insert(key.to_owned(), value));
    match random.below(10) {
        0 => set("from-tags", json!(random.some(&tags[..2], 2))),
        1 => set("all", json!("all")),
        _ => set("from-tag", json!(random.pick(&tags[..2]))),
    }
    let other = random.percent(80);
    set(
        "to-tag",
        json!(if other {
            random.pick(&tags[2..4])
        } else {
            random.pick(tags)
        }),
    );
    if other && random.percent(90) {
        set("to-call-id", json!("«CALL2»"));
    }
    if random.percent(35) {
        flag(request, random.pick(&["directional", "bidirectional"]));
    }
}

fn mesh(random: &mut Random, request: &mut Map<String, Value>, tags: &[&str]) {
    request.insert("command".to_owned(), json!("mesh"));
    let calls = random.weighted(&[
        (6, json!(["«CALL1»", "«CALL2»"])),
        (2, json!(["«CALL1»"])),
        (1, json!(["«CALL1»", "none"])),
        (1, json!("«CALL1»")),
    ]);
    request.insert("calls".to_owned(), calls);
    if random.percent(85) {
        let mut entries = Vec::new();
        for _ in 0..1 + random.below(3) {
            let to = random.some(&tags[..4], 3);
            entries.push(json!({"from": random.pick(&tags[..4]), "to": to}));
        }
        request.insert("tags".to_owned(), Value::Array(entries));
    }
    if random.percent(35) {
        flag(request, random.pick(&["unsubscribe", "bidirectional"]));
    }
}

fn create(
    random: &mut Random,
    vocabulary: &Vocabulary,
    request: &mut Map<String, Value>,
    call: usize,
    tags: &[&str],
) {
    named(request, "create", call);
    request.insert("from-tag".to_owned(), json!(tags[0]));
    if random.percent(50) {
        let mut medias = Vec::new();
        for _ in 0..1 + random.below(2) {
            let mut media = Map::new();
            media.insert(
                "type".to_owned(),
                json!(random.weighted(&[(8, "audio"), (4, "video"), (1, "image")])),
            );
            if random.percent(70) {
                let names = [
                    "PCMU",
                    "PCMA",
                    "opus",
                    "G722",
                    "telephone-event",
                    "VP8",
                    "opus/48000/2",
                ];
                media.insert("codec".to_owned(), json!(random.some(&names, 3)));
            }
            medias.push(Value::Object(media));
        }
        let key = random.pick(&["medias", "media"]);
        request.insert(key.to_owned(), Value::Array(medias));
    }
    if random.percent(50) {
        request.extend(options::draw(random, vocabulary, Role::Answer));
    }
}

fn transform(random: &mut Random, request: &mut Map<String, Value>) {
    request.insert("command".to_owned(), json!("transform"));
    if random.percent(70) {
        request.insert("call-id".to_owned(), json!("«CALL1»"));
    }
    if random.percent(50) {
        request.insert("from-tag".to_owned(), json!("anna"));
    }
    if random.percent(30) {
        request.insert("instance".to_owned(), json!("x-1"));
    }
    let mut medias = Vec::new();
    for index in 0..random.weighted(&[(8, 1), (3, 2), (1, 0)]) {
        let mut media = Map::new();
        media.insert("id".to_owned(), json!(format!("m{index}")));
        let codec = |random: &mut Random| {
            let (payload, codec) = random.pick(&[(0, "PCMU"), (8, "PCMA"), (9, "G722"), (96, "opus")]);
            json!([{"payload type": payload, "codec": codec, "clock rate": if codec == "opus" { 48000 } else { 8000 }, "channels": if codec == "opus" { 2 } else { 1 }}])
        };
        if random.percent(85) {
            media.insert(
                "codec".to_owned(),
                json!({"input": codec(random), "output": codec(random)}),
            );
        }
        if random.percent(85) {
            let port = 25_000 + 10 * index;
            media.insert(
                "destination".to_owned(),
                json!({"family": "IP4", "address": "198.51.97.10", "port": port}),
            );
        }
        if random.percent(60) {
            media.insert("type".to_owned(), json!("audio"));
        }
        medias.push(Value::Object(media));
    }
    request.insert("media".to_owned(), Value::Array(medias));
}

fn wrong(
    random: &mut Random,
    request: &mut Map<String, Value>,
    call: usize,
    tag: impl Fn(&mut Random) -> Value,
) {
    let commands = [
        "offer",
        "answer",
        "delete",
        "query",
        "subscribe request",
        "subscribe answer",
        "publish",
        "connect",
        "mesh",
        "create",
        "create answer",
        "unsubscribe",
        "nonsense",
        "Offer",
        "transform",
        "list",
    ];
    named(request, random.pick(&commands), call);
    let mut set = |key: &str, value: Value| drop(request.insert(key.to_owned(), value));
    if random.percent(20) {
        set("call-id", json!("no such call"));
    }
    if random.percent(50) {
        set("from-tag", tag(random));
    }
    if random.percent(50) {
        set("to-tag", tag(random));
    }
    if random.percent(40) {
        let texts = [
            "",
            "nonsense",
            "v=0\r\n",
            "v=0\r\no=x\r\ns=-\r\nt=0 0\r\n",
            "v=0\r\no=- 1 1 IN IP4 198.51.97.10\r\ns=-\r\nc=IN IP4 198.51.97.10\r\nt=0 0\r\nm=audio 21000 RTP/AVP 0\r\n",
            "v=0\r\no=- 1 1 IN IP4 198.51.97.10\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n",
        ];
        set("sdp", json!(random.pick(&texts)));
    }
    if random.percent(20) {
        let (key, value) = random.pick(&[
            ("sdp-attr", json!("text")),
            ("sdp-media-remove", json!(5)),
            ("flags", json!(7)),
            ("codec", json!(["strip"])),
            ("ICE", json!({"a": 1})),
            ("replace", json!(0)),
            ("direction", json!("pub")),
            ("bundle", json!([])),
            ("supports", json!("load limit")),
        ]);
        set(key, value);
    }
    if random.percent(10) {
        request.remove("call-id");
    }
}
