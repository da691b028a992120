//! What came of a run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::known::{Known, Met};
use crate::play::{Difference, Outcome, Played};

#[derive(Debug, Default)]
pub(crate) struct Report {
    shrink: usize,
    show: usize,
    summary: Summary,
    met: Met,
    clusters: BTreeMap<String, Cluster>,
    unsteady: Vec<String>,
}

/// Conversations by what came of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) agree: u64,
    /// They differ in nothing but what is listed.
    pub(crate) known: u64,
    pub(crate) differ: u64,
    /// The reference ended or hung.
    pub(crate) lost: u64,
    /// They differed once, and not again.
    pub(crate) unsteady: u64,
}

/// Conversations that differ in the same.
#[derive(Debug, Default)]
struct Cluster {
    count: u64,
    /// Of the first ones.
    names: Vec<String>,
    shrunk: Vec<(String, Shrunk)>,
    /// How many are being shrunk, or have been.
    begun: usize,
}

/// The smallest conversation that was found to differ alike.
#[derive(Debug)]
pub(crate) struct Shrunk {
    /// With the replies of the reference.
    pub(crate) conversation: Value,
    pub(crate) difference: Difference,
}

impl Summary {
    /// All in one line.
    pub(crate) fn line(&self) -> String {
        let all = self.agree + self.known + self.differ + self.unsteady;
        #[expect(clippy::cast_precision_loss, reason = "a share is shown with two digits")]
        let share = 100.0 * self.differ as f64 / all.max(1) as f64;
        format!(
            "{all} conversations, {} agree, {} known, {} differ ({share:.2} %); {} only once, {} more ended the reference",
            self.agree, self.known, self.differ, self.unsteady, self.lost
        )
    }
}

impl Report {
    pub(crate) fn new(arguments: &Arguments) -> Report {
        Report {
            shrink: arguments.shrink,
            show: arguments.show,
            ..Report::default()
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        self.summary
    }

    /// Takes one in that does not differ.
    pub(crate) fn count(&mut self, played: &Played) {
        match played.outcome {
            Outcome::Lost => self.summary.lost += 1,
            Outcome::Agrees if played.met.is_empty() => self.summary.agree += 1,
            Outcome::Agrees => self.summary.known += 1,
            Outcome::Differs(_) => self.summary.differ += 1,
        }
        for (position, count) in &played.met {
            *self.met.entry(*position).or_default() += count;
        }
    }

    /// Takes one in that could not be played.
    pub(crate) fn lost(&mut self) {
        self.summary.lost += 1;
    }

    pub(crate) fn unsteady(&mut self, name: &str, difference: &Difference) {
        self.summary.unsteady += 1;
        self.unsteady.push(format!("{name}: {}", difference.signature()));
    }

    /// Takes one in that differs; says whether it is worth shrinking.
    pub(crate) fn differs(&mut self, played: &Played, name: &str, difference: &Difference) -> bool {
        self.count(played);
        let cluster = self.clusters.entry(difference.signature()).or_default();
        cluster.count += 1;
        if cluster.names.len() < 8 {
            cluster.names.push(name.to_owned());
        }
        cluster.begun += 1;
        cluster.begun <= self.shrink
    }

    pub(crate) fn add(&mut self, difference: &Difference, name: &str, shrunk: Shrunk) {
        let cluster = self.clusters.entry(difference.signature()).or_default();
        cluster.shrunk.push((name.to_owned(), shrunk));
    }

    /// The most frequent first.
    fn sorted(&self) -> Vec<(&String, &Cluster)> {
        let mut sorted: Vec<_> = self.clusters.iter().collect();
        sorted.sort_by_key(|(_, cluster)| std::cmp::Reverse(cluster.count));
        sorted
    }

    pub(crate) fn print(&self, known: &Known) {
        let sorted = self.sorted();
        for (signature, cluster) in sorted.iter().take(self.show) {
            println!(
                "== {} x {signature}   (seeds {})",
                cluster.count,
                cluster.names.join(" ")
            );
            for (name, shrunk) in &cluster.shrunk {
                println!("  -- from {name}:");
                print!("{}{}", described(&shrunk.conversation), shrunk.difference.text());
            }
        }
        println!("\ncount  kind, needs");
        for (signature, cluster) in &sorted {
            let needs: BTreeSet<String> = cluster
                .shrunk
                .iter()
                .map(|(_, shrunk)| needs(&shrunk.conversation))
                .collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            println!("{:5}  {signature}   [{}]", cluster.count, needs.join("] ["));
        }
        for line in &self.unsteady {
            println!("only once: {line}");
        }
        for (position, count) in &self.met {
            let (line, reason) = known.line(*position);
            println!("known, {count} times: {line} ({reason})");
        }
        println!("{}", self.summary.line());
    }

    /// The shrunk conversations with their names, as recordings.
    pub(crate) fn conversations(&self) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        for (signature, cluster) in self.sorted() {
            for (seed, shrunk) in &cluster.shrunk {
                let slug: String = signature
                    .chars()
                    .map(|c| {
                        if c.is_ascii_alphanumeric() {
                            c.to_ascii_lowercase()
                        } else {
                            '-'
                        }
                    })
                    .collect();
                let parts: Vec<&str> = slug.split('-').filter(|part| !part.is_empty()).collect();
                let name = format!("compare-{}-{seed}", parts.join("-"));
                let mut recording = json!({
                    "name": name,
                    "about": format!("{} conversations: {signature}; needs {}", cluster.count, needs(&shrunk.conversation)),
                    "area": "compare",
                    "daemon": shrunk.conversation["daemon"],
                });
                for (key, value) in shrunk.conversation.as_object().into_iter().flatten() {
                    recording[key] = value.clone();
                }
                recording["difference"] = shrunk.difference.text().lines().collect();
                all.push((name, recording));
            }
        }
        all
    }
}

/// A conversation to be read.
fn described(conversation: &Value) -> String {
    let mut text = String::new();
    if conversation["daemon"]
        .as_array()
        .is_some_and(|options| !options.is_empty())
    {
        text.push_str(&format!("    daemon {}\n", conversation["daemon"]));
    }
    if let Some(config) = conversation["config"].as_str() {
        text.push_str(&format!("    config {}\n", config.replace('\n', " | ")));
    }
    for step in conversation["steps"].as_array().into_iter().flatten() {
        if step["request"].is_null() {
            text.push_str(&packets(step));
            continue;
        }
        let mut request = step["request"].clone();
        let sdp = request
            .as_object_mut()
            .and_then(|fields| fields.shift_remove("sdp"));
        text.push_str(&format!("    {request}\n"));
        if let Some(sdp) = sdp.as_ref().and_then(Value::as_str) {
            text.push_str(&format!("        {}\n", sdp.replace("\r\n", " | ")));
        }
    }
    text
}

/// What was sent, and what arrived at the reference's clients.
fn packets(step: &Value) -> String {
    let mut text = String::new();
    for entry in step["send"].as_array().into_iter().flatten() {
        text.push_str(&format!("    send {entry}\n"));
    }
    for (socket, packets) in step["expect"].as_object().into_iter().flatten() {
        for packet in packets.as_array().into_iter().flatten() {
            text.push_str(&format!("    arrived at {socket}: {packet}\n"));
        }
    }
    if !step["expect"].is_null() {
        text.push_str("    no more\n");
    }
    if let Some(pause) = step["pause"].as_f64() {
        text.push_str(&format!("    pause of {pause} s\n"));
    }
    text
}

/// The keys and flags that a shrunk conversation needs to differ.
fn needs(conversation: &Value) -> String {
    let mut needs = Vec::new();
    if conversation["daemon"]
        .as_array()
        .is_some_and(|options| !options.is_empty())
    {
        needs.push("daemon".to_owned());
    }
    for step in conversation["steps"].as_array().into_iter().flatten() {
        let mut words = Vec::new();
        for (key, value) in step["request"].as_object().into_iter().flatten() {
            match key.as_str() {
                "command" => words.insert(0, value.as_str().unwrap_or_default().to_owned()),
                "call-id" | "from-tag" | "to-tag" | "sdp" => {}
                _ => words.push(format!("{key}={value}").replace('"', "")),
            }
        }
        needs.push(words.join(" "));
    }
    needs.join("; ")
}
