//! Without a reference: recorded conversations to our daemon.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use relay_common::ng;
use relay_tests::names::Names;
use relay_tests::recording;
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::difference::findings;
use crate::pair::Server;
use crate::play::{Heard, Setting};
use crate::report::Summary;

/// Plays all, and prints which differ. Those that `not-yet.txt` beside the folder lists count as known.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Summary> {
    let folder = arguments
        .folder
        .clone()
        .unwrap_or_else(|| recording::folder().join("conversations"));
    let listed = not_yet(&folder.with_file_name("not-yet.txt"));
    let mut all = recording::load(&folder);
    let name = |conversation: &Value| conversation["name"].as_str().unwrap_or_default().to_owned();
    all.retain(|conversation| name(conversation).contains(&arguments.only));
    anyhow::ensure!(!all.is_empty(), "no such recordings in {}", folder.display());
    all.sort_by_key(|conversation| format!("{} {}", conversation["daemon"], conversation["config"]));
    let files = std::env::temp_dir().join(format!("ng-compare-{}", std::process::id()));
    fs::create_dir_all(&files)?;
    let mut server = Server::new(&arguments.ours, false);
    let mut summary = Summary::default();
    for (number, conversation) in all.iter().enumerate() {
        let setting = json!({"daemon": conversation["daemon"], "config": conversation["config"]});
        let anew = number % arguments.anew == 0;
        server.start(&Setting(setting), anew, &files)?;
        let mut difference = replay(&mut server, conversation, number);
        if difference.is_some() {
            // Two random numbers can be the same by chance.
            server.start(&Setting(conversation.clone()), true, &files)?;
            difference = replay(&mut server, conversation, number);
        }
        let name = name(conversation);
        match difference {
            None => summary.agree += 1,
            Some(_) if listed.contains(&name) => summary.known += 1,
            Some(difference) => {
                summary.differ += 1;
                println!("{name}: {difference}");
            }
        }
    }
    // What is left of a run is in nobody's way.
    let _ = fs::remove_dir_all(&files);
    println!("{}", summary.line());
    Ok(summary)
}

/// The first difference.
fn replay(server: &mut Server, conversation: &Value, number: usize) -> Option<String> {
    let id = (number as u128) << 16;
    let mut names = Names::counting_from(recording::local_addresses(conversation), id);
    for (index, step) in recording::array(&conversation["steps"]).enumerate() {
        let (body, format, scope) = recording::request(step, &mut names);
        let cookie = match step["cookie"].as_str() {
            Some(label) => format!("{id:x}-label-{label}"),
            None => format!("{id:x}-{index}"),
        };
        server.send(&cookie, &body);
        let reply = match server.receive(&cookie) {
            Heard::Reply(body) => match ng::decode(&body) {
                Ok((its_format, entries)) if its_format == format => {
                    let reply = recording::object(&entries);
                    let scope = if scope.is_empty() {
                        reply["call-id"].as_str().unwrap_or_default()
                    } else {
                        &scope
                    };
                    names.reply(scope, &reply)
                }
                _ => json!({"result": "undecodable reply"}),
            },
            Heard::Silence => json!({"no reply": 1}),
            Heard::Gone => json!({"result": "it has ended"}),
        };
        let mut kinds: Vec<String> = findings(&step["reply"], &reply)
            .into_iter()
            .map(|finding| finding.kind)
            .collect();
        kinds.append(&mut names.faults);
        if !kinds.is_empty() {
            return Some(format!("step {}: {}", index + 1, kinds.join(", ")));
        }
    }
    None
}

fn not_yet(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}
