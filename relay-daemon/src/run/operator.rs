//! What operators ask for, done.

use std::fmt::{Display, Write};

use crate::call::{CallId, Calls, Command as CallCommand, Reply, Tag};
use crate::cli::print::{self, Parameters};
use crate::cli::{self, Change, Command, Listed, Params, Sessions, Terminated};
use crate::clock::Time;
use crate::config::LoadLimits;
use crate::logging::{LogLevels, UnknownSubsystem};
use crate::report::{CallSnapshot, statistics_json};

use super::limits;
use super::node::Machine;

/// What can be changed at run time, and how it was at the start.
pub(super) struct Controls {
    pub(super) log: LogLevels,
    start: Parameters,
}

impl Controls {
    pub(super) fn new(log: LogLevels, calls: &Calls, load: LoadLimits) -> Controls {
        let start = Parameters::read(calls.settings(), load, &log);
        Controls { log, start }
    }
}

impl Machine {
    /// Does what a line asks for, and answers it.
    pub(super) fn operate(&mut self, now: Time, line: &str) -> String {
        match cli::parse(line) {
            Ok(command) => self.carry_out(now, command),
            Err(error) => format!("{error}\n"),
        }
    }

    fn carry_out(&mut self, now: Time, command: Command) -> String {
        match command {
            Command::Usage => cli::usage(),
            Command::Help(words) => {
                cli::help(&words).unwrap_or_else(|| format!("Unknown command: {}\n", words.join(" ")))
            }
            Command::Ping => "pong\n".to_owned(),
            Command::List(listed) => self.list(now, listed),
            Command::Set(change) => self.change(now, change),
            Command::Terminate(which) => self.terminate(now, which),
            Command::Show(id) => self.show(now, &id, |call| Some(print::call(call))),
            Command::ShowParty(id, Tag(tag)) => self.show(now, &id, |call| print::party(call, &tag)),
            Command::Params(params) => self.params(now, params),
            Command::Debug(id, on) => self.debug(&id, on),
            Command::Active => "Ok\n".to_owned(),
            Command::Unbuilt(line) => format!("Not supported yet: {line}\n"),
        }
    }

    fn list(&mut self, now: Time, listed: Listed) -> String {
        match listed {
            Listed::NumSessions => print::num_sessions(&self.calls.census()),
            Listed::Sessions(which) => self.sessions(which),
            Listed::Totals => print::totals(&self.statistics(now)),
            Listed::Counters => print::counters(&self.ledger.rates()),
            Listed::Interfaces => print::interfaces(&self.statistics(now).interfaces),
            Listed::JsonStats => format!("{:#}\n", statistics_json(&self.statistics(now))),
            Listed::Transcoders => String::new(),
            Listed::Setting(name) => print::setting(name, self.calls.settings()),
            Listed::MaxLoad => limit_of("load average", self.load.limits().load),
            Listed::MaxCpu => limit_of("CPU usage", self.load.limits().cpu),
            Listed::MaxBandwidth => limit_of("bandwidth", self.load.limits().bandwidth),
            Listed::MaxOpenFiles => match limits::open_files() {
                Ok(files) => format!("Maximum open files configured on rtpengine: {files}\n"),
                Err(error) => format!("Cannot read the limit of open files: {error}\n"),
            },
            Listed::LogLevels(subsystem) => self.log_levels(subsystem.as_deref()),
        }
    }

    fn sessions(&self, which: Sessions) -> String {
        let (is_wanted, kind) = match which {
            Sessions::All => (true, ""),
            Sessions::Own => (true, "own "),
            Sessions::Foreign => (false, "foreign "),
            Sessions::Recording => (false, "recording "),
        };
        let lines = self.calls.lines().filter(|_| is_wanted);
        let text: String = lines.map(|call| print::call_line(&call)).collect();
        if text.is_empty() {
            return format!("No {kind}sessions on this media relay.\n");
        }
        text
    }

    fn log_levels(&self, wanted: Option<&str>) -> String {
        let mut text = String::new();
        for (name, level) in self.controls.log.all() {
            if wanted.is_none_or(|wanted| wanted == name) {
                // Writing to a String does not fail.
                let _ = writeln!(text, "{name} = {level}");
            }
        }
        match wanted {
            Some(wanted) if text.is_empty() => unknown_subsystem(wanted),
            Some(_) | None => text,
        }
    }

    fn show(&mut self, now: Time, id: &CallId, text: impl FnOnce(&CallSnapshot) -> Option<String>) -> String {
        let shown = self
            .calls
            .handle(now, CallCommand::Show(id.clone()), &mut self.host);
        let Ok(Reply::Show(call)) = shown else {
            return format!("Call ID not found ({id}).\n");
        };
        text(&call).unwrap_or_else(|| "Tag not found.\n".to_owned())
    }

    fn change(&mut self, now: Time, change: Change) -> String {
        let limits = self.load.limits();
        let (name, value, note) = match change {
            Change::Call(setting) => {
                self.calls.configure(setting, &self.host);
                let (name, value) = print::changed(setting);
                let note = if value == -1 { "; disable feature" } else { "" };
                (name, value.to_string(), note)
            }
            Change::MaxLoad(load) => {
                self.limit_load(now, LoadLimits { load, ..limits });
                limit_set("maxload", load)
            }
            Change::MaxCpu(cpu) => {
                self.limit_load(now, LoadLimits { cpu, ..limits });
                limit_set("maxcpu", cpu)
            }
            Change::MaxBandwidth(bandwidth) => {
                self.limit_load(now, LoadLimits { bandwidth, ..limits });
                limit_set("maxbw", bandwidth)
            }
            Change::MaxOpenFiles(files) => match limits::set_open_files(files) {
                Ok(()) => ("maxopenfiles".to_owned(), files.to_string(), ""),
                Err(error) => return format!("Fail setting maxopenfiles to {files}; {error}\n"),
            },
            Change::LogLevel(subsystem, level) => {
                let subsystem = subsystem.as_deref();
                if let Err(UnknownSubsystem) = self.controls.log.set(subsystem, level) {
                    return unknown_subsystem(subsystem.unwrap_or_default());
                }
                let name = subsystem.map_or_else(
                    || "loglevel".to_owned(),
                    |subsystem| format!("loglevel {subsystem}"),
                );
                (name, level.to_string(), "")
            }
        };
        tracing::info!(name, value, "setting changed");
        format!("Success setting {name} to {value}{note}\n")
    }

    fn terminate(&mut self, now: Time, which: Terminated) -> String {
        let text = match which {
            Terminated::All => {
                self.calls.end_all(now, &mut self.host);
                "All calls terminated by operator.\n".to_owned()
            }
            Terminated::Foreign => "There are no foreign calls.\n".to_owned(),
            Terminated::Call(id) => match self.calls.terminate(now, &id, &mut self.host) {
                true => format!("Call Id ({id}) successfully terminated by operator.\n"),
                false => format!("Call Id not found ({id}).\n"),
            },
        };
        self.act();
        text
    }

    fn debug(&mut self, id: &CallId, on: bool) -> String {
        let word = if on { "enabled" } else { "disabled" };
        match self.calls.set_debug(id, on) {
            true => format!("Debugging {word} for call {id}.\n"),
            false => format!("Call ID not found ({id}).\n"),
        }
    }

    fn params(&mut self, now: Time, params: Params) -> String {
        let current = Parameters::read(self.calls.settings(), self.load.limits(), &self.controls.log);
        let start = self.controls.start.clone();
        match params {
            Params::Start => start.text(),
            Params::Current => current.text(),
            Params::Diff => current.difference(&start),
            Params::Revert => {
                for setting in &start.call {
                    self.calls.configure(*setting, &self.host);
                }
                if start.load != current.load {
                    self.limit_load(now, start.load);
                }
                for (subsystem, level) in &start.log {
                    // They were all there at the start.
                    let _ = self.controls.log.set(Some(subsystem), *level);
                }
                start.difference(&current)
            }
        }
    }
}

fn limit_of<T: Display + Default>(what: &str, limit: Option<T>) -> String {
    format!(
        "Maximum {what} configured on rtpengine: {}\n",
        limit.unwrap_or_default()
    )
}

/// Name, value and note of a limit that was set.
fn limit_set<T: Display + Default>(name: &str, limit: Option<T>) -> (String, String, &'static str) {
    let note = if limit.is_none() { "; disable feature" } else { "" };
    (name.to_owned(), limit.unwrap_or_default().to_string(), note)
}

fn unknown_subsystem(name: &str) -> String {
    format!("Unknown log level subsystem: {name}\n")
}
