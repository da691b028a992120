//! The program: what it sends, what it prints, and the status it ends with.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::io::Write;
use std::net::UdpSocket;
use std::process::{Command, Output, Stdio};
use std::thread;

use insta::assert_snapshot;
use relay_common::ng::{self, Dictionary, Format, Frame, Response};
use serde_json::{Value as Json, json};

/// Runs the program against a server that gives one reply; the request that came, and what the program did.
fn run(arguments: &[&str], input: &str, reply: Response) -> (Json, Output) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = socket.local_addr().unwrap().to_string();
    let serve = thread::spawn(move || {
        let mut buf = vec![0; 65536];
        let (length, client) = socket.recv_from(&mut buf).unwrap();
        let frame = Frame::split(&buf[..length]).unwrap();
        let (_, request) = ng::decode(frame.body).unwrap();
        let body = reply.encode(Format::Bencode);
        let cookie = frame.cookie;
        socket
            .send_to(&Frame { cookie, body: &body }.join(), client)
            .unwrap();
        Dictionary::from(request).to_json()
    });
    let output = program(&[&["--server", &server], arguments].concat(), input);
    (serve.join().unwrap(), output)
}

fn program(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ng-client"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A reply with these fields.
fn fields(json: &Json) -> Response {
    let body = json.to_string();
    let (_, entries) = ng::decode(body.as_bytes()).unwrap();
    Response {
        fields: entries.into(),
        ..Response::ok()
    }
}

#[test]
fn ping() {
    let (request, output) = run(&["ping"], "", Response::pong());
    assert_eq!(request, json!({"command": "ping"}));
    assert_eq!(stdout(&output), "pong\n");
}

#[test]
fn an_offer_says_what_the_command_line_says() {
    let arguments = [
        "offer",
        "--call-id",
        "c",
        "--from-tag",
        "f",
        "--via-branch",
        "b",
        "--flag",
        "trust-address",
        "--flag",
        "strict-source",
        "--replace",
        "origin",
        "--set",
        "ICE=remove",
        "--set",
        "direction=priv,pub",
        "--rtpp-flags",
        "loop-protect SDES-off",
    ];
    let (request, output) = run(
        &arguments,
        "v=0\r\n",
        Response::ok().with("sdp", "v=0\r\ns=-\r\n"),
    );
    let expected = json!({
        "command": "offer", "call-id": "c", "from-tag": "f", "sdp": "v=0\r\n", "via-branch": "b",
        "flags": ["trust-address", "strict-source"], "replace": ["origin"], "ICE": "remove",
        "direction": "priv,pub", "rtpp-flags": "loop-protect SDES-off",
    });
    assert_eq!(request, expected);
    assert_eq!(stdout(&output), "v=0\r\ns=-\r\n");
}

#[test]
fn an_answer_reads_its_sdp_from_a_file() {
    let file = std::env::temp_dir().join(format!("ng-client-{}.sdp", std::process::id()));
    std::fs::write(&file, "v=0\r\n").unwrap();
    let path = file.to_str().unwrap();
    let arguments = [
        "answer",
        "--call-id",
        "c",
        "--from-tag",
        "f",
        "--to-tag",
        "t",
        "--sdp",
        path,
    ];
    let (request, output) = run(&arguments, "", Response::ok().with("sdp", "x"));
    std::fs::remove_file(&file).unwrap();
    let expected =
        json!({"command": "answer", "call-id": "c", "from-tag": "f", "to-tag": "t", "sdp": "v=0\r\n"});
    assert_eq!(request, expected);
    assert_eq!(stdout(&output), "x");
}

#[test]
fn delete_and_query_select_and_print_a_tree() {
    let reply = fields(&json!({
        "created": 5,
        "tags": {"f": {"medias": [{"index": 1, "flags": ["send", "recv"], "streams": [{"local port": 30000}]}]}},
    }));
    let arguments = [
        "delete",
        "c",
        "--from-tag",
        "f",
        "--to-tag",
        "t",
        "--delay",
        "0",
        "--flag",
        "to-tag",
    ];
    let (request, output) = run(&arguments, "", reply.clone());
    let expected = json!({
        "command": "delete", "call-id": "c", "from-tag": "f", "to-tag": "t", "delete-delay": 0, "flags": ["to-tag"],
    });
    assert_eq!(request, expected);
    assert_snapshot!(stdout(&output));

    let (request, output) = run(&["query", "c"], "", reply);
    assert_eq!(request, json!({"command": "query", "call-id": "c"}));
    assert!(stdout(&output).starts_with("created: 5\n"));
}

#[test]
fn a_warning_is_told_and_is_no_error() {
    let warning = "Call-ID not found or tags didn't match";
    let (_, output) = run(&["delete", "c"], "", Response::ok().warning(warning));
    assert_eq!(stdout(&output), "");
    assert_eq!(stderr(&output), format!("ng-client: warning: {warning}\n"));
}

#[test]
fn list_prints_a_line_for_each_call() {
    let reply = fields(&json!({"calls": ["one", "two\u{1b}[2J"]}));
    let (request, output) = run(&["list", "--limit", "5"], "", reply);
    assert_eq!(request, json!({"command": "list", "limit": 5}));
    assert_eq!(stdout(&output), "one\ntwo\u{fffd}[2J\n");
}

#[test]
fn calls_are_a_table() {
    let reply = fields(&json!({
        "calls": [
            {
                "call-id": "a84b4c76e66710@pc33", "created": 1_700_000_000, "age": 83,
                "parties": [
                    {"tag": "1928301774", "address": "198.51.100.31:11798"},
                    {"tag": "a6c85cf", "label": "desk 7", "address": "198.51.100.81:12820"},
                ],
                "codecs": ["PCMA/8000", "telephone-event/8000"],
                "packets": {"kernel": 8231, "userspace": 12},
                "path": "kernel",
            },
            {
                "call-id": "b2", "age": 3600, "parties": [{"tag": "x", "address": "[2001:db8::1]:4000"}, {"tag": ""}],
                "codecs": ["opus/48000/2", "G722/8000", "PCMA/8000", "PCMU/8000"], "packets": {"kernel": 0, "userspace": 0},
                "path": "userspace", "reason": "no packet yet",
            },
        ],
        "total": 7,
    }));
    let (request, output) = run(&["calls", "--offset", "1", "--limit", "2"], "", reply);
    assert_eq!(
        request,
        json!({"command": "relay calls", "offset": 1, "limit": 2})
    );
    assert_snapshot!(stdout(&output));

    let (_, output) = run(&["calls"], "", fields(&json!({"calls": [], "total": 0})));
    assert_eq!(stdout(&output), "no calls\n");
}

#[test]
fn show_is_a_tree() {
    let counters = json!({"packets": 12, "bytes": 2064, "errors": 0});
    let ssrc = json!({
        "ssrc": 0xdead_beef_u32, "packets": 8243, "bytes": 1_417_796, "sequence": 70_000, "lost": 7, "reordered": 2,
        "duplicates": 0, "jitter": 1042,
    });
    let reply = fields(&json!({
        "call-id": "c", "created": 1_700_000_000, "age": 83, "kernel": "off", "pending": 1, "deleted-in": 20,
        "controls": ["traffic dropped"],
        "parties": [
            {
                "tag": "f", "label": "A", "via-branch": "z9",
                "medias": [{
                    "index": 1, "type": "audio", "protocol": "RTP/AVP", "codec": "PCMA/8000", "direction": "sendrecv",
                    "streams": [
                        {
                            "kind": "RTP", "local": "203.0.113.1:30000", "advertised": "192.0.2.9:30000",
                            "signalled": "198.51.100.31:11798", "learned": "198.51.100.32:11798", "settled": 1,
                            "path": "kernel",
                            "received": {"kernel": {"packets": 8231, "bytes": 1_415_732}, "userspace": counters},
                            "sent": {"packets": 9, "bytes": 1548, "errors": 2}, "silent": 0, "ssrc": 0xdead_beef_u32,
                            "passed": {"packets": 1234, "reason": "payload type"},
                            "refused": {"authentication failed": 1200, "replayed": 3},
                            "ssrcs": [ssrc],
                        },
                        {
                            "kind": "RTCP", "local": "203.0.113.1:30001", "advertised": "203.0.113.1:30001",
                            "signalled": "198.51.100.31:11799", "path": "userspace", "reason": "not RTP",
                            "received": {"kernel": {"packets": 0, "bytes": 0}, "userspace": counters}, "sent": counters,
                        },
                    ],
                }],
            },
            {
                "tag": "", "controls": ["media blocked", "DTMF blocked"], "subscribed-to": ["f", "g"],
                "medias": [{
                    "index": 1, "type": "audio",
                    "streams": [
                        {
                            "kind": "RTP", "local": "[2001:db8::1]:30002", "path": "userspace", "ICE": "completed",
                            "DTLS": "failed: no SRTP profile in common",
                        },
                        {"kind": "RTCP"},
                    ],
                }],
            },
        ],
    }));
    let (request, output) = run(&["show", "c"], "", reply);
    assert_eq!(request, json!({"command": "relay show", "call-id": "c"}));
    assert_snapshot!(stdout(&output));
}

#[test]
fn kernel_is_switched_on_and_off() {
    let (request, output) = run(&["kernel", "off", "c"], "", Response::ok());
    assert_eq!(
        request,
        json!({"command": "relay kernel", "call-id": "c", "state": "off"})
    );
    assert_eq!(stdout(&output), "");
    let (request, _) = run(&["kernel", "on", "c"], "", Response::ok());
    assert_eq!(request["state"], "on");
}

#[test]
fn json_is_the_whole_reply() {
    let (_, output) = run(&["--json", "ping"], "", Response::pong());
    assert_eq!(
        serde_json::from_str::<Json>(&stdout(&output)).unwrap(),
        json!({"result": "pong"})
    );
    let (_, output) = run(&["list", "--json"], "", fields(&json!({"calls": ["x"]})));
    let expected = json!({"calls": ["x"], "result": "ok"});
    assert_eq!(serde_json::from_str::<Json>(&stdout(&output)).unwrap(), expected);
}

#[test]
fn a_refusal_ends_with_status_1() {
    let (_, output) = run(&["show", "c"], "", Response::error("Unknown call-id"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "ng-client: Unknown call-id\n");
    assert!(output.stdout.is_empty());

    let (_, output) = run(&["show", "c", "--json"], "", Response::error("Unknown call-id"));
    assert_eq!(output.status.code(), Some(1));
    let expected = json!({"result": "error", "error-reason": "Unknown call-id"});
    assert_eq!(serde_json::from_slice::<Json>(&output.stdout).unwrap(), expected);
}

#[test]
fn wrong_usage_ends_with_status_2() {
    for arguments in [
        &["frobnicate"][..],
        &["show"],
        &["kernel", "maybe", "c"],
        &["ping", "--timeout", "0"],
        &["offer", "--call-id", "c", "--from-tag", "f", "--set", "no value"],
        &[
            "offer",
            "--call-id",
            "c",
            "--from-tag",
            "f",
            "--sdp",
            "/no/such/file",
        ],
        &["answer", "--call-id", "c", "--from-tag", "f"],
    ] {
        let output = program(arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn nobody_there_ends_with_status_3() {
    let socket = UdpSocket::bind("127.0.0.78:0").unwrap();
    let server = socket.local_addr().unwrap().to_string();
    let output = program(&["ping", "--server", &server, "--timeout", "0.05"], "");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        stderr(&output),
        format!("ng-client: no answer from {server} within 0.05 s\n")
    );

    drop(socket);
    let output = program(&["ping", "--server", &server, "--timeout", "3600"], "");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        stderr(&output),
        format!("ng-client: nobody listens at {server}\n")
    );
}

#[test]
fn the_help_tells_the_statuses() {
    let help = stdout(&program(&["--help"], ""));
    assert!(help.contains("Exit status:"), "{help}");
}
