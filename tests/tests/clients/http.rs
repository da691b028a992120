//! curl.

use std::fs;
use std::process::Command;

use ng_client::{Dictionary, Value, command};
use relay_common::ng::{Format, Frame, Request, encode};
use relay_tests::call::{Audio, Told};
use relay_tests::netns::requires_root;

use super::{Bench, HOST, HTTP, requires};

const NG: &str = "application/x-rtpengine-ng";
const JSON: &str = "application/json";

/// What curl got.
struct Got {
    status: u16,
    /// The reply's `Content-Type`.
    kind: String,
    body: Vec<u8>,
}

/// How requests are put.
#[derive(Clone, Copy, Debug)]
struct Manner {
    path: &'static str,
    kind: &'static str,
    format: Format,
}

impl Bench {
    /// Runs curl.
    fn curl(&self, arguments: &[&str]) -> Got {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "20", "--write-out"]);
        curl.arg("\n%{http_code} %{content_type}");
        let output = self.run(curl.args(arguments));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        let end = output.stdout.iter().rposition(|byte| *byte == b'\n').unwrap();
        let facts = String::from_utf8(output.stdout[end + 1..].to_vec()).unwrap();
        let (status, kind) = facts.split_once(' ').unwrap();
        Got {
            status: status.parse().unwrap(),
            kind: kind.to_owned(),
            body: output.stdout[..end].to_vec(),
        }
    }

    fn post(&self, path: &str, kind: &str, body: &[u8]) -> Got {
        // Not as an argument: a body may hold anything.
        let file = std::env::temp_dir().join(format!("relay-curl-{}", self.relay.name()));
        fs::write(&file, body).unwrap();
        let got = self.curl(&[
            "--header",
            &format!("Content-Type: {kind}"),
            "--data-binary",
            &format!("@{}", file.display()),
            &url(path),
        ]);
        fs::remove_file(&file).unwrap();
        got
    }

    /// A request and its reply.
    fn ask(&self, manner: Manner, cookie: u32, request: &Dictionary) -> Dictionary {
        let Manner { path, kind, format } = manner;
        let mut body = encode(request, format);
        let cookie = format!("cookie{cookie} ");
        if path == "/ng" {
            body.splice(..0, cookie.bytes());
        }
        let got = self.post(path, kind, &body);
        assert_eq!((got.status, got.kind.as_str()), (200, kind), "{manner:?}");
        let body = match path {
            "/ng" => {
                assert!(got.body.starts_with(cookie.as_bytes()));
                Frame::split(&got.body).unwrap().body
            }
            _ => &got.body,
        };
        let reply = Request::parse(body).unwrap();
        assert_eq!(reply.format, format);
        reply.entries.into()
    }
}

fn url(path: &str) -> String {
    format!("http://{HOST}:{HTTP}{path}")
}

fn sdp(port: u16) -> String {
    Audio::at((std::net::Ipv4Addr::LOCALHOST, port).into()).to_string()
}

fn text<'a>(reply: &'a Dictionary, key: &str) -> std::borrow::Cow<'a, str> {
    let value = reply.find(key).and_then(Value::text);
    value.unwrap_or_else(|| panic!("no {key} in {reply:?}"))
}

fn told(reply: &Dictionary) -> Told {
    Told::parse(&text(reply, "sdp")).unwrap()
}

#[test]
fn curl_has_a_call_in_every_format() {
    if !requires_root() || !requires("curl") {
        return;
    }
    let bench = Bench::start();
    for (path, kind, format) in [
        ("/ng", NG, Format::Bencode),
        ("/ng", NG, Format::Json),
        ("/ng-plain", NG, Format::Bencode),
        ("/ng-plain", JSON, Format::Json),
    ] {
        has_a_call(&bench, Manner { path, kind, format });
    }
    bench.end();
}

fn has_a_call(bench: &Bench, manner: Manner) {
    let id = format!("{}{}{:?}", manner.path, manner.kind, manner.format);
    let mut cookie = u32::from(manner.format == Format::Json) << 16;
    let mut ask = |request: &Dictionary| {
        cookie += 1;
        bench.ask(manner, cookie, request)
    };
    let is_refused = |reply: &Dictionary, reason: &str| {
        assert_eq!(text(reply, "result"), "error", "{reply:?}");
        assert_eq!(text(reply, "error-reason"), reason);
    };

    assert_eq!(text(&ask(&command::ping()), "result"), "pong");
    is_refused(&ask(&command::query(&id)), "Unknown call-id");
    let callee_is_told = told(&ask(&command::offer(&id, "caller", &sdp(40000))));
    let caller_is_told = told(&ask(&command::answer(&id, "caller", "callee", &sdp(40010))));
    assert_ne!(callee_is_told, caller_is_told);
    let tags = ask(&command::query(&id));
    let tags = tags.find("tags").and_then(Value::dictionary).unwrap();
    assert!(
        tags.find("caller").is_some() && tags.find("callee").is_some(),
        "{tags:?}"
    );

    let mut again = command::offer(&id, "callee", &sdp(40010));
    again.push("to-tag", "caller");
    assert_eq!(told(&ask(&again)), caller_is_told);
    let answer = command::answer(&id, "callee", "caller", &sdp(40000));
    assert_eq!(told(&ask(&answer)), callee_is_told);
    is_refused(
        &ask(&command::offer(&id, "caller", "nonsense")),
        "Failed to parse SDP",
    );

    let mut delete = command::delete(&id);
    delete.push("delete-delay", 0u32);
    assert!(ask(&delete).find("totals").is_some());
    is_refused(&ask(&command::query(&id)), "Unknown call-id");
}

#[test]
fn curl_is_told_what_is_wrong() {
    if !requires_root() || !requires("curl") {
        return;
    }
    let bench = Bench::start();
    let got = bench.curl(&[&url("/ping")]);
    assert_eq!((got.status, got.body.as_slice()), (200, &b"pong\n"[..]));

    let statuses = [
        bench.post("/ng", "text/plain", b"c d7:command4:pinge"),
        bench.post("/ng-plain", "text/plain", b"d7:command4:pinge"),
        bench.post("/nothing", NG, b"c d7:command4:pinge"),
        bench.curl(&[&url("/ng")]),
    ];
    assert_eq!(statuses.map(|got| got.status), [404; 4]);

    for (kind, body, reason) in [
        (JSON, "{\"command\":", "Failed to parse JSON document"),
        (JSON, "{\"command\":\"dance\"}", "Unrecognized command"),
        (NG, "d7:command", "Could not decode bencode dictionary"),
        (NG, "de", "Dictionary contains no key \"command\""),
    ] {
        let got = bench.post("/ng-plain", kind, body.as_bytes());
        let reply: Dictionary = Request::parse(&got.body).unwrap().entries.into();
        assert_eq!(
            (got.status, &*text(&reply, "error-reason")),
            (200, reason),
            "{body}"
        );
    }
    bench.end();
}

/// Several requests on one connection, one after the other.
#[test]
fn curl_keeps_its_connection() {
    if !requires_root() || !requires("curl") {
        return;
    }
    let bench = Bench::start();
    let header = format!("Content-Type: {JSON}");
    let request = [
        "--header",
        &header,
        "--data",
        "{\"command\":\"ping\"}",
        "--write-out",
        " %{num_connects}\n",
    ];
    let url = url("/ng-plain");
    let mut arguments = Vec::new();
    for _ in 0..5 {
        arguments.extend(request);
        arguments.extend([url.as_str(), "--next", "--silent"]);
    }
    arguments.truncate(arguments.len() - 2);
    let output = bench.run(Command::new("curl").arg("--silent").args(&arguments));
    let connects: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    let pong = |connects| format!("{{\"result\":\"pong\"}} {connects}");
    let expected: Vec<String> = [1, 0, 0, 0, 0].into_iter().map(pong).collect();
    assert_eq!(connects, expected);
    bench.end();
}
