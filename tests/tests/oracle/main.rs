//! The recorded conversations (`tests/fixtures/oracle`), and some of our own, replayed in this process: control and
//! signalling, no sockets.
//!
//! Those that fail must be the ones that `not-yet.txt` lists, each with its reason: the list can only shrink. A failed
//! conversation is shown with `ORACLE=NAME cargo test -p relay-tests --test oracle -- --nocapture`.

mod engine;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use engine::Engine;
use names::Names;
use relay_common::ng::Format;
use serde_json::{Value, json};

const DEFAULT_INTERFACES: [&str; 2] = ["--interface=203.0.113.1", "--interface=2001:db8:4321::1"];

#[test]
fn conversations() {
    let listed = not_yet();
    let wanted = std::env::var("ORACLE").ok();
    let mut failed = BTreeSet::new();
    let mut all = BTreeSet::new();
    for conversation in load(&fixtures().join("conversations")) {
        let name = conversation["name"].as_str().unwrap().to_owned();
        let shown = wanted
            .as_ref()
            .is_some_and(|wanted| name.starts_with(wanted.as_str()));
        if let Err(difference) = replay(&conversation) {
            if shown {
                println!("{name}: {difference}");
            }
            failed.insert(name.clone());
        }
        all.insert(name);
    }
    let listed: BTreeSet<String> = listed.into_keys().collect();
    let unknown: Vec<&String> = listed.difference(&all).collect();
    let broken: Vec<&String> = failed.difference(&listed).collect();
    let mended: Vec<&String> = listed
        .difference(&failed)
        .filter(|name| all.contains(*name))
        .collect();
    println!("{} of {} conversations pass", all.len() - failed.len(), all.len());
    assert!(
        unknown.is_empty(),
        "listed as not yet, but there is no such conversation: {unknown:#?}"
    );
    assert!(broken.is_empty(), "these fail: {broken:#?}");
    assert!(
        mended.is_empty(),
        "these pass, take them off the list: {mended:#?}"
    );
}

/// Those of our own (`tests/fixtures/conversations`): they all pass.
#[test]
fn our_own_conversations() {
    let mut failed = Vec::new();
    let conversations = load(&fixtures().join("../conversations"));
    assert!(conversations.len() > 35);
    for conversation in conversations {
        if let Err(difference) = replay(&conversation) {
            failed.push(format!("{}: {difference}", conversation["name"]));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// Plays a conversation up to the first reply that differs.
fn replay(conversation: &Value) -> Result<(), String> {
    let options = options(conversation);
    let file = conversation["config"].as_str().unwrap_or_default();
    let mut engine = Engine::new(&options, file);
    let mut names = Names::new(local_addresses(&options, file));
    for (index, step) in array(&conversation["steps"]).enumerate() {
        let (body, format, scope) = request(step, &mut names);
        let cookie = match step["cookie"].as_str() {
            Some(label) => format!("label-{label}"),
            None => format!("step-{index}"),
        };
        let reply = match engine.exchange(&cookie, &body) {
            Some((reply_format, reply)) => {
                if reply_format != format {
                    names.faults.push(format!("the reply is in {reply_format:?}"));
                }
                names.reply(&scope, &reply)
            }
            None => json!({"no reply": 1}),
        };
        let expected = &step["reply"];
        if reply != *expected || !names.faults.is_empty() {
            let step = index + 1;
            return Err(format!(
                "step {step}: {:?}\n{}",
                names.faults,
                difference(expected, &reply)
            ));
        }
    }
    Ok(())
}

/// The body of a request, the format in which it is answered, and the call that it is about.
fn request(step: &Value, names: &mut Names) -> (Vec<u8>, Format, String) {
    if let Some(raw) = step["raw"].as_str() {
        let body = names.fill_text(raw);
        names.sent_text(&body);
        let format = if body.starts_with('{') {
            Format::Json
        } else {
            Format::Bencode
        };
        return (body.into_bytes(), format, String::new());
    }
    let request = names.fill(&step["request"]);
    names.sent(&request);
    let format = match step["encoding"].as_str() {
        Some("json") => Format::Json,
        _ => Format::Bencode,
    };
    let scope = request["call-id"].as_str().unwrap_or_default().to_owned();
    (engine::encode(&request, format), format, scope)
}

/// Options of the daemon: with two interfaces, if none are given.
fn options(conversation: &Value) -> Vec<String> {
    let given = array(&conversation["daemon"]);
    let given: Vec<String> = given
        .filter_map(|option| option.as_str().map(str::to_owned))
        .collect();
    let default = DEFAULT_INTERFACES.map(str::to_owned);
    let file = conversation["config"].as_str().unwrap_or_default();
    match given.iter().any(|option| option.starts_with("--interface")) || file.contains("interfaces-config") {
        true => given,
        false => default.into_iter().chain(given).collect(),
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The addresses of the options, and of sections of the file.
fn local_addresses(options: &[String], file: &str) -> Vec<String> {
    let options = options.iter().filter_map(|option| {
        let interface = option.strip_prefix("--interface=")?;
        interface.rsplit('/').next()?.split('!').next()
    });
    let lines = file.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "address").then(|| value.trim())
    });
    options.chain(lines).map(str::to_owned).collect()
}

fn load(directory: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .expect("the conversations")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files.iter().map(|path| parse(path)).collect()
}

fn parse(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("a conversation")
}

/// Names of the conversations that need not pass, with the reasons. Those with media (`media/NAME`) are for another
/// test.
fn not_yet() -> BTreeMap<String, String> {
    let text = fs::read_to_string(fixtures().join("not-yet.txt")).expect("the list");
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("media/"));
    lines
        .map(|line| {
            let (name, reason) = line.split_once(char::is_whitespace).expect("a name and a reason");
            (name.to_owned(), reason.trim().to_owned())
        })
        .collect()
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/oracle")
}

/// The lines that differ.
fn difference(expected: &Value, actual: &Value) -> String {
    let (expected, actual) = (lines(expected), lines(actual));
    let mut shown = Vec::new();
    let both = expected.iter().filter(|line| actual.contains(line)).count();
    for line in &expected {
        if !actual.contains(line) {
            shown.push(format!("- {line}"));
        }
    }
    for line in &actual {
        let sign = if expected.contains(line) { ' ' } else { '+' };
        shown.push(format!("{sign} {line}"));
    }
    format!("{}\n({both} lines are equal)", shown.join("\n"))
}

fn lines(value: &Value) -> Vec<String> {
    let mut rest = value.clone();
    let sdp = rest.as_object_mut().and_then(|fields| fields.remove("sdp"));
    let text = format!("{rest:#}");
    let sdp = sdp
        .and_then(|sdp| sdp.as_str().map(str::to_owned))
        .unwrap_or_default();
    text.lines().chain(sdp.split("\r\n")).map(str::to_owned).collect()
}
