//! What real clients send, as recorded in `tests/fixtures/ng`: the commands that it comes to.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use relay_common::ng::{self, Frame, Request};
use relay_daemon::call::{Command, CommandError, Reply, Signal, SignalOptions};
use relay_daemon::clock::Time;
use relay_daemon::control::Control;

#[test]
fn recorded_requests_come_to_commands() {
    let mut out = String::new();
    for path in recordings() {
        let datagram = std::fs::read(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        writeln!(out, "{name}: {}", commands(&datagram)).unwrap();
    }
    insta::assert_snapshot!(out);
}

/// Encoding what was decoded gives back the bytes: nothing of a request is lost.
#[test]
fn recorded_requests_survive_a_round_trip() {
    for path in recordings() {
        let datagram = std::fs::read(&path).unwrap();
        let body = Frame::split(&datagram).unwrap().body;
        let request = Request::parse(body).unwrap();
        let again = ng::encode(&request.entries.clone().into(), request.format);
        assert_eq!(Request::parse(&again).unwrap(), request, "{path:?}");
        // These name a key twice: the first one goes.
        if !path.to_string_lossy().contains("kamailio-options") {
            assert_eq!(again, body, "{path:?}");
        }
    }
}

/// The commands that the engine gets for a datagram, or the reply if it gets none.
fn commands(datagram: &[u8]) -> String {
    let mut seen = String::new();
    let mut engine = |command: Command| {
        seen.push_str(&describe(&command));
        // Whatever asks whether a call exists is told that it does.
        match command {
            Command::Query(_) => Ok(Reply::Statistics(Box::default())),
            Command::Offer(_) | Command::Answer(_) | Command::Delete(_) | Command::List { .. } => {
                Ok(Reply::Done)
            }
            Command::Control(_)
            | Command::Fragment(_)
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
            | Command::Transform(_) => Ok(Reply::Done),
            Command::Calls { .. } | Command::Show(_) | Command::Kernel(..) => Err(CommandError::UnknownCall),
        }
    };
    let mut control = Control::default();
    let reply = control.handle(Time(1), datagram, &mut engine).unwrap();
    let (cookie, body) = (
        Frame::split(datagram).unwrap().cookie,
        Frame::split(&reply).unwrap().body,
    );
    assert!(reply.starts_with(cookie));
    if seen.is_empty() || body.starts_with(b"d6:result5:error") {
        write!(seen, " -> {}", String::from_utf8_lossy(body)).unwrap();
    }
    seen
}

fn describe(command: &Command) -> String {
    match command {
        Command::Offer(signal) => format!("offer {}", describe_signal(signal)),
        Command::Answer(signal) => format!("answer {}", describe_signal(signal)),
        Command::Publish(request) => described(command, &request.options),
        Command::SubscribeRequest(request) => described(command, &request.options),
        Command::SubscribeAnswer(answer) => described(command, &answer.options),
        Command::Create(request) => described(command, &request.options),
        Command::CreateAnswer(answer) => described(command, &answer.options),
        Command::Fragment(_)
        | Command::Delete(_)
        | Command::Query(_)
        | Command::Control(_)
        | Command::Play(_)
        | Command::Unsubscribe(_)
        | Command::Connect(_)
        | Command::Mesh(_)
        | Command::Inject(_)
        | Command::Transform(_)
        | Command::List { .. }
        | Command::Calls { .. }
        | Command::Show(_)
        | Command::Kernel(..) => format!("{command:?}"),
    }
}

/// A command, and every option that is not at its default.
fn described(command: &Command, options: &SignalOptions) -> String {
    let text = format!("{command:?}").replace(&format!("{options:?}"), "..");
    format!("{text}{}", changed(options))
}

/// Whose signal it is, and every option that is not at its default.
fn describe_signal(signal: &Signal) -> String {
    let mut out = format!(
        "{} from {} to {:?} branch {:?}, {} bytes of SDP",
        signal.call_id,
        signal.from_tag,
        signal.to_tag,
        signal.via_branch,
        signal.sdp.len()
    );
    out += &changed(&signal.options);
    out
}

fn changed(options: &SignalOptions) -> String {
    let defaults = fields(&SignalOptions::default());
    let fields = fields(options)
        .into_iter()
        .filter(|field| !defaults.contains(field));
    fields.map(|field| format!("\n    {field}")).collect()
}

/// The fields of the options, one string each.
fn fields(options: &SignalOptions) -> Vec<String> {
    let text = format!("{options:#?}");
    let mut fields: Vec<String> = Vec::new();
    for line in text.lines() {
        let begins = line.starts_with("    ") && line[4..].starts_with(char::is_alphabetic);
        match fields.last_mut() {
            Some(field) if !begins => field.push_str(line.trim()),
            _ if begins => fields.push(line.trim().to_owned()),
            Some(_) | None => {}
        }
    }
    fields
}

fn recordings() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/ng");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|kind| kind == "bin"))
        .collect();
    files.sort();
    assert!(files.len() > 30, "the recordings are missing");
    files
}
