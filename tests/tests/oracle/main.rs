//! The recorded conversations (`tests/fixtures/oracle`), and some of our own, replayed in this process: control and
//! signalling, no sockets.
//!
//! Those that fail must be the ones that `not-yet.txt` lists, each with its reason: the list can only shrink. A failed
//! conversation is shown with `ORACLE=NAME cargo test -p relay-tests --test oracle -- --nocapture`.

mod engine;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use engine::Engine;
use relay_tests::names::Names;
use relay_tests::recording::{self, array, load, options};
use serde_json::{Value, json};

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
    let mut names = Names::new(recording::local_addresses(conversation));
    for (index, step) in array(&conversation["steps"]).enumerate() {
        let (body, format, scope) = recording::request(step, &mut names);
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
