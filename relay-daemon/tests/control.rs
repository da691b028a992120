//! Datagrams in, datagrams out, with a table in the place of the signalling engine.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use relay_common::ng::{self, Dictionary, Format, Frame, MAX_DATAGRAM};
use relay_daemon::call::{CallId, Command, CommandError, Limit, Reply};
use relay_daemon::clock::Time;
use relay_daemon::control::Control;
use serde_json::Value as Json;

const NOW: Time = Time(1_000_000_000_000);

/// Knows which calls exist, and nothing else of them.
#[derive(Default)]
struct Table {
    calls: BTreeSet<CallId>,
    commands: usize,
}

impl Table {
    fn run(&mut self, command: Command) -> Result<Reply, CommandError> {
        self.commands += 1;
        match command {
            Command::Offer(signal) if signal.sdp.is_empty() => Err(CommandError::Rewriting),
            Command::Offer(signal) => {
                self.calls.insert(signal.call_id);
                Ok(Reply::Sdp(signal.sdp))
            }
            Command::Answer(signal) if self.calls.contains(&signal.call_id) => Ok(Reply::Sdp(signal.sdp)),
            Command::Query(query) if self.calls.contains(&query.call_id) => {
                Ok(Reply::Statistics(Box::default()))
            }
            Command::List { limit } => Ok(Reply::CallIds(self.calls.iter().take(limit).cloned().collect())),
            Command::Answer(_) | Command::Query(_) | Command::Show(_) | Command::Kernel(..) => {
                Err(CommandError::UnknownCall)
            }
            Command::Fragment(_) => Ok(Reply::Done),
            Command::Control(_)
            | Command::Play(_)
            | Command::Publish(_)
            | Command::SubscribeRequest(_)
            | Command::SubscribeAnswer(_)
            | Command::Unsubscribe(_)
            | Command::Connect(_)
            | Command::Mesh(_)
            | Command::Inject(_)
            | Command::Create(_)
            | Command::CreateAnswer(_)
            | Command::Transform(_) => Err(CommandError::UnknownCall),
            Command::Delete(_) => Ok(Reply::Warning("Call-ID not found or tags didn't match")),
            Command::Calls { .. } => Ok(Reply::Calls(Vec::new(), 0)),
        }
    }
}

fn send(control: &mut Control, table: &mut Table, datagram: &[u8]) -> Option<Vec<u8>> {
    let reply = control.handle(NOW, datagram, &mut |command| table.run(command));
    reply.map(Cow::into_owned)
}

/// The decoded reply to a body.
fn ask(control: &mut Control, table: &mut Table, cookie: &str, body: &[u8]) -> (Format, Dictionary) {
    let cookie = cookie.as_bytes();
    let reply = send(control, table, &Frame { cookie, body }.join()).unwrap();
    let frame = Frame::split(&reply).unwrap();
    assert_eq!(frame.cookie, cookie);
    let (format, entries) = ng::decode(frame.body).unwrap();
    (format, entries.into())
}

#[test]
fn a_retransmission_gets_the_same_bytes_and_runs_nothing() {
    let (mut control, mut table) = (Control::default(), Table::default());
    let offer = b"c1 d7:command5:offer7:call-id1:x8:from-tag1:f3:sdp3:v=0e";
    let first = send(&mut control, &mut table, offer).unwrap();
    assert_eq!(first, b"c1 d3:sdp3:v=06:result2:oke");
    let again = send(&mut control, &mut table, b"c1 d7:command4:pinge").unwrap();
    assert_eq!(again, first);
    assert_eq!(table.commands, 1);
}

#[test]
fn errors_are_repeated_as_well() {
    let (mut control, mut table) = (Control::default(), Table::default());
    let first = send(&mut control, &mut table, b"c1 xyz").unwrap();
    assert_eq!(
        send(&mut control, &mut table, b"c1 d7:command4:pinge").unwrap(),
        first
    );
}

#[test]
fn without_a_cookie_there_is_no_reply() {
    let (mut control, mut table) = (Control::default(), Table::default());
    for datagram in ["", "d7:command4:pinge", " d7:command4:pinge", "nonsense"] {
        assert_eq!(
            send(&mut control, &mut table, datagram.as_bytes()),
            None,
            "{datagram}"
        );
    }
}

#[test]
fn a_reply_that_does_not_fit_says_so() {
    let (mut control, mut table) = (Control::default(), Table::default());
    table.calls = (0..1000).map(|n| CallId::from(&*format!("{n:0100}"))).collect();
    let body = b"d7:command4:list5:limiti10000ee";
    let (_, reply) = ask(&mut control, &mut table, "c1", body);
    let reason = reply.find("error-reason").unwrap().text().unwrap();
    assert!(reason.ends_with("is too large for a datagram"), "{reason}");

    let (_, reply) = ask(&mut control, &mut table, "c2", b"d7:command4:list5:limiti600ee");
    assert_eq!(reply.find("calls").unwrap().list().unwrap().len(), 600);
    let largest = Frame {
        cookie: b"c2",
        body: &ng::encode(&reply, Format::Bencode),
    }
    .join();
    assert!(largest.len() < MAX_DATAGRAM);
}

#[test]
fn a_json_request_gets_a_json_reply() {
    let (mut control, mut table) = (Control::default(), Table::default());
    let reply = send(&mut control, &mut table, br#"c1 {"command":"list"}"#).unwrap();
    assert_eq!(reply, br#"c1 {"calls":[],"result":"ok"}"#);
    let reply = send(&mut control, &mut table, br#"c2 {"command":"#).unwrap();
    assert_eq!(
        reply,
        br#"c2 {"result":"error","error-reason":"Failed to parse JSON document"}"#
    );
}

#[test]
fn each_limit_has_a_message_for_those_who_know_load_limits() {
    for (limit, message) in [
        (Limit::Sessions, "Parallel session limit reached"),
        (Limit::Cpu, "CPU usage limit exceeded"),
        (Limit::Load, "Load limit exceeded"),
        (Limit::Bandwidth, "Bandwidth limit exceeded"),
    ] {
        refuse_for(limit, message);
    }
}

fn refuse_for(limit: Limit, message: &str) {
    let mut control = Control::default();
    let mut full = |_: Command| Err(CommandError::Limit(limit));
    let offer = r#"{"command":"offer","call-id":"x","from-tag":"f","sdp":"v=0""#;
    let reply = control
        .handle(NOW, format!("c1 {offer}}}").as_bytes(), &mut full)
        .unwrap();
    let expected = r#"c1 {"result":"error","error-reason":"Parallel session limit reached"}"#;
    assert_eq!(String::from_utf8_lossy(&reply), expected);
    let knows = format!("c2 {offer},\"supports\":[\"load limit\"]}}");
    let reply = control.handle(NOW, knows.as_bytes(), &mut full).unwrap();
    let expected = format!(r#"c2 {{"result":"load limit","message":"{message}"}}"#);
    assert_eq!(String::from_utf8_lossy(&reply), expected);
}

#[test]
fn recording_commands_need_a_call_to_be_answered() {
    let (mut control, mut table) = (Control::default(), Table::default());
    table.calls.insert(CallId::from("x"));
    for command in ["start recording", "stop recording", "pause recording"] {
        let mut about = |call: &str| {
            let body = format!(r#"{{"command":"{command}","call-id":"{call}"}}"#);
            let cookie = format!("{}-{call}", command.replace(' ', "-"));
            ask(&mut control, &mut table, &cookie, body.as_bytes()).1
        };
        let refusal = about("y");
        assert_eq!(
            refusal.find("error-reason").unwrap().text().unwrap(),
            "Unknown call-id"
        );
        assert_eq!(about("x").find("result").unwrap().text().unwrap(), "ok");
    }
}

/// The recorded conversations about errors that no media is needed for.
#[test]
fn the_reference_refuses_the_same() {
    let steps = [
        ("errors-command", 0..),
        ("errors-framing", 0..),
        ("errors-list", 0..),
        ("errors-offer", 0..),
        ("errors-answer", 0..),
        ("errors-recording-unconfigured", 0..),
        ("control-missing-call", 2..),
        ("query-ping", 0..),
        ("query-list", 0..),
    ];
    for (name, range) in steps {
        let conversation = conversation(name);
        let steps = conversation["steps"].as_array().unwrap();
        let (mut control, mut table) = (Control::default(), Table::default());
        for (number, step) in steps.iter().enumerate().skip(range.start) {
            let request = &step["request"];
            let body = match step["raw"].as_str() {
                Some(raw) => raw.as_bytes().to_vec(),
                None if step["encoding"] == "json" => request.to_string().into_bytes(),
                None => ng::encode(&dictionary(request), Format::Bencode),
            };
            let (format, reply) = ask(&mut control, &mut table, &number.to_string(), &body);
            assert_eq!(
                format,
                Format::of(&body).unwrap_or_default(),
                "{name} step {number}"
            );
            let (mut got, mut expected) = (reply.to_json(), step["reply"].clone());
            if expected["sdp"].as_str().is_some_and(|sdp| !sdp.is_empty()) {
                got["sdp"] = Json::Null;
                expected["sdp"] = Json::Null;
            }
            assert_eq!(got, expected, "{name} step {number}: {request}");
        }
    }
}

fn conversation(name: &str) -> Json {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/oracle/conversations");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn dictionary(json: &Json) -> Dictionary {
    let body = json.to_string();
    let (_, entries) = ng::decode(body.as_bytes()).unwrap();
    entries.into()
}

#[test]
fn ids_and_descriptions_are_bytes() {
    let (mut control, mut table) = (Control::default(), Table::default());
    for (cookie, call_id) in [(b"c1", 0xe9), (b"c2", 0xe8)] {
        let offer = [
            &cookie[..],
            b" d7:command5:offer7:call-id3:id",
            &[call_id],
            b"8:from-tag1:f3:sdp6:s=caf\xffe",
        ]
        .concat();
        let reply = send(&mut control, &mut table, &offer).unwrap();
        assert_eq!(reply, [&cookie[..], b" d3:sdp6:s=caf\xff6:result2:oke"].concat());
    }
    let reply = send(&mut control, &mut table, b"c3 d7:command4:liste").unwrap();
    assert_eq!(reply, b"c3 d5:callsl3:id\xe83:id\xe9e6:result2:oke");
    let reply = send(&mut control, &mut table, br#"c4 {"command":"list"}"#).unwrap();
    let legible = "c4 {\"calls\":[\"id\u{10ffe8}\",\"id\u{10ffe9}\"],\"result\":\"ok\"}";
    assert_eq!(std::str::from_utf8(&reply), Ok(legible));
}
