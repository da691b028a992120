//! All conversations of a run, by several pairs of daemons.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use relay_tests::recording;
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::generate::{BLOCK, Generator};
use crate::known::Known;
use crate::pair::Pair;
use crate::play::{Difference, Outcome, Played, Setting, Source, play};
use crate::replay;
use crate::report::{Report, Shrunk, Summary};
use crate::shrink::shrink;

/// Runs what was asked for, and prints what came of it.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Summary> {
    let known = Known::read(&arguments.known)?;
    let Some(reference) = &arguments.reference else {
        return replay::run(arguments);
    };
    let report = Mutex::new(Report::new(arguments));
    let tasks = Tasks::new(arguments);
    let worker = |number: usize| -> anyhow::Result<()> {
        let mut worker = Worker {
            arguments,
            known: &known,
            report: &report,
            pair: Pair::new(reference, &arguments.ours, number)?,
            played: 0,
            since_start: 0,
        };
        while let Some(block) = tasks.next() {
            for task in block {
                if let Err(error) = worker.play(task) {
                    // What one of them does not start with cannot be compared.
                    eprintln!("{error:#}");
                    worker.report().lost();
                }
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.jobs)
            .map(|number| scope.spawn(move || worker(number)))
            .collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.print(&known);
    if let Some(folder) = &arguments.save {
        fs::create_dir_all(folder)?;
        for (name, conversation) in report.conversations() {
            fs::write(folder.join(format!("{name}.json")), format!("{conversation:#}\n"))?;
        }
    }
    Ok(report.summary())
}

/// A conversation to be played.
enum Task {
    Seed(u64),
    Recorded(Value),
}

/// What is left to be played.
struct Tasks {
    recorded: Mutex<Vec<Value>>,
    is_recorded: bool,
    next: AtomicU64,
    end: u64,
    until: Option<Instant>,
}

impl Tasks {
    fn new(arguments: &Arguments) -> Tasks {
        let recorded = arguments.folder.as_ref().map(|folder| {
            let mut all = recording::load(folder);
            all.retain(|conversation| {
                conversation["name"]
                    .as_str()
                    .is_some_and(|name| name.contains(&arguments.only))
            });
            // Those with the same daemons follow each other.
            all.sort_by_key(|conversation| format!("{} {}", conversation["daemon"], conversation["config"]));
            all.reverse();
            all
        });
        Tasks {
            is_recorded: recorded.is_some(),
            recorded: Mutex::new(recorded.unwrap_or_default()),
            next: AtomicU64::new(arguments.first),
            end: arguments.end,
            until: arguments.time.map(|time| Instant::now() + time),
        }
    }

    /// Some that belong together.
    fn next(&self) -> Option<Vec<Task>> {
        if self.is_recorded {
            let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
            return recorded
                .pop()
                .map(|conversation| vec![Task::Recorded(conversation)]);
        }
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return None;
        }
        let up = |first: u64| Some(end_of_block(first).min(self.end)).filter(|_| first < self.end);
        let first = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, up)
            .ok()?;
        Some(
            (first..end_of_block(first).min(self.end))
                .map(Task::Seed)
                .collect(),
        )
    }
}

fn end_of_block(seed: u64) -> u64 {
    (seed / BLOCK + 1) * BLOCK
}

struct Worker<'a> {
    arguments: &'a Arguments,
    known: &'a Known,
    report: &'a Mutex<Report>,
    pair: Pair,
    played: u128,
    since_start: usize,
}

impl Worker<'_> {
    fn play(&mut self, task: Task) -> anyhow::Result<()> {
        let (setting, name, played) = match task {
            Task::Seed(seed) => {
                let vocabulary = &self.arguments.vocabulary;
                let setting = vocabulary.setting(seed);
                let mut generator = Generator::new(seed, vocabulary);
                let played = self.once(&setting, &mut generator)?;
                (setting, seed.to_string(), played)
            }
            Task::Recorded(conversation) => {
                let setting = setting_of(&conversation);
                let played = self.once(&setting, &mut recording::array(&conversation["steps"]))?;
                (
                    setting,
                    conversation["name"].as_str().unwrap_or_default().to_owned(),
                    played,
                )
            }
        };
        let conversation = conversation(&setting, &played.steps);
        if self.arguments.whole {
            println!("{conversation:#}");
        }
        let Outcome::Differs(difference) = &played.outcome else {
            self.report().count(&played);
            return Ok(());
        };
        // Two random numbers can be the same by chance.
        match self.differs(&conversation)? {
            Some((again, _)) if again.signature() == difference.signature() => {}
            _ => {
                self.report().unsteady(&name, difference);
                return Ok(());
            }
        }
        let is_wanted = self.report().differs(&played, &name, difference);
        if is_wanted {
            let shrunk = self.shrink(&conversation, difference)?;
            self.report().add(difference, &name, shrunk);
        }
        Ok(())
    }

    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn once(&mut self, setting: &Setting, source: &mut dyn Source) -> anyhow::Result<Played> {
        let anew = self.since_start >= self.arguments.anew;
        if anew {
            self.since_start = 0;
        }
        self.pair.start(setting, anew)?;
        self.since_start += 1;
        self.played += 1;
        let played = play(source, setting, &mut self.pair, self.known, self.played << 16);
        let ours_ended = match &played.outcome {
            Outcome::Differs(difference) => difference.findings[0].ours.as_deref() == Some("it has ended"),
            Outcome::Agrees => false,
            Outcome::Lost => true,
        };
        if ours_ended {
            if played.outcome != Outcome::Lost {
                eprintln!("our daemon has ended: {}", self.pair.log());
            }
            // The other one goes on with ports that nobody knows of.
            self.since_start = usize::MAX - 1;
        }
        Ok(played)
    }

    fn differs(&mut self, conversation: &Value) -> anyhow::Result<Option<(Difference, Vec<Value>)>> {
        let steps = recording::array(&conversation["steps"]);
        let played = self.once(&setting_of(conversation), &mut steps.into_iter())?;
        Ok(match played.outcome {
            Outcome::Differs(difference) => Some((difference, played.steps)),
            Outcome::Agrees | Outcome::Lost => None,
        })
    }

    fn shrink(&mut self, conversation: &Value, difference: &Difference) -> anyhow::Result<Shrunk> {
        let wanted = difference.signature();
        let mut last = (difference.clone(), Vec::new());
        let smallest = shrink(conversation, |smaller| match self.differs(smaller) {
            Ok(Some(differs)) if differs.0.signature() == wanted => {
                last = differs;
                true
            }
            // What cannot be started differs in something else.
            Ok(_) | Err(_) => false,
        });
        let mut smallest = smallest;
        if !last.1.is_empty() {
            smallest["steps"] = Value::Array(last.1);
        }
        Ok(Shrunk {
            conversation: smallest,
            difference: last.0,
        })
    }
}

/// The daemons that a conversation needs.
fn setting_of(conversation: &Value) -> Setting {
    let mut setting = json!({"daemon": []});
    for key in ["daemon", "config"] {
        if !conversation[key].is_null() {
            setting[key] = conversation[key].clone();
        }
    }
    Setting(setting)
}

fn conversation(setting: &Setting, steps: &[Value]) -> Value {
    let mut conversation = setting.0.clone();
    conversation["steps"] = steps.into();
    conversation
}
