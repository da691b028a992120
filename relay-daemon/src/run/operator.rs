//! What operators ask for, done.

use std::fmt::Write;

use crate::call::{CallId, Command as CallCommand, Reply, Tag};
use crate::cli::print;
use crate::cli::{
    self, CallCommand as Asked, Change, Command, Listed, MediaCommand, Params, PartyCommand, Sessions,
    Terminated,
};
use crate::clock::Time;
use crate::config::LoadLimits;
use crate::logging::{LogLevels, UnknownSubsystem};
use crate::report::{CallSnapshot, statistics_json};

use super::limits;
use super::node::Machine;

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
            Command::Help(text) => text,
            Command::Ping => "pong\n".to_owned(),
            Command::List(listed) => self.list(now, listed),
            Command::Set(change) => self.change(now, change),
            Command::Terminate(which) => self.terminate(now, which),
            Command::Show(id) => match self.snapshot(now, &id) {
                Some(call) => print::call(&call),
                None => format!("\nCall ID not found ({}).\n\n", print::text(&id.0)),
            },
            Command::Call(id, asked) => match self.snapshot(now, &id) {
                Some(call) => self.of_call(now, &id, &call, asked),
                None => format!("No such call '{}'\n", print::text(&id.0)),
            },
            Command::Params(params) => self.params(now, params),
            Command::Debug(id, on) => self.debug(&id, on),
            Command::Own(ours) => {
                self.calls.set_foreign(!ours, &self.host);
                let kind = if ours {
                    "owned (active)"
                } else {
                    "foreign (standby)"
                };
                format!("Ok, all calls set to '{kind}'\n")
            }
            Command::Keyspaces => "Keyspace notification feature has not been configured.\n".to_owned(),
            Command::DisableStore(true) => "No redis write to disable\n".to_owned(),
            Command::DisableStore(false) => "No redis write to re-enable\n".to_owned(),
            Command::Media(asked) => media(asked),
        }
    }

    fn of_call(
        &mut self,
        now: Time,
        id: &CallId,
        call: &CallSnapshot,
        asked: Result<Asked, cli::CliError>,
    ) -> String {
        match asked {
            Ok(Asked::Help(text)) => text,
            Ok(Asked::Info) => print::call(call),
            Ok(Asked::Terminate) => {
                self.calls.terminate(now, id, &mut self.host);
                self.act();
                format!("\nCall '{}' terminated.\n\n", print::text(&id.0))
            }
            Ok(Asked::Debug(on)) => self.debug(id, on),
            Ok(Asked::Party(Tag(tag), asked)) => match (print::party(call, &tag), asked) {
                (None, _) => format!("No such tag '{}'\n", print::text(&tag)),
                (Some(party), Ok(PartyCommand::Info)) => party,
                (Some(_), Ok(PartyCommand::Help(text))) => text,
                (Some(_), Ok(PartyCommand::Unbuilt(word))) => format!("Not supported yet: {word}\n"),
                (Some(_), Err(error)) => format!("{error}\n"),
            },
            Err(error) => format!("{error}\n"),
        }
    }

    fn list(&mut self, now: Time, listed: Listed) -> String {
        match listed {
            Listed::NumSessions => print::num_sessions(&self.calls.census()),
            Listed::Sessions(which) => self.sessions(which),
            Listed::Totals => print::totals(&self.statistics(now)),
            Listed::Counters => print::counters(&self.ledger.rates()),
            Listed::Interfaces => print::interfaces(&self.statistics(now).interfaces),
            Listed::JsonStats => statistics_json(&self.statistics(now)).to_string(),
            Listed::Transcoders => "No stats entries\n".to_owned(),
            Listed::Setting(name) => print::setting(name, self.calls.settings()),
            Listed::MaxLoad => {
                let load = self.load.limits().load.unwrap_or_default();
                format!("Maximum load average configured on rtpengine: {load:.2}\n")
            }
            Listed::MaxCpu => {
                let cpu = self.load.limits().cpu.unwrap_or_default();
                format!("Maximum CPU usage configured on rtpengine: {cpu:.1}\n")
            }
            Listed::MaxBandwidth => {
                let bandwidth = self.load.limits().bandwidth.unwrap_or_default();
                format!("Maximum bandwidth configured on rtpengine: {bandwidth}\n")
            }
            Listed::MaxOpenFiles => match limits::open_files() {
                Ok(files) => format!(
                    "Maximum open-files configured on rtpengine: {files}; cat /proc/{}/limits\n",
                    std::process::id()
                ),
                Err(error) => format!("Cannot read the limit of open files: {error}\n"),
            },
            Listed::LogLevels(subsystem) => self.log_levels(subsystem.as_deref()),
            Listed::Subsystems => {
                let lines = LogLevels::subsystems().map(|(name, about)| format!("{name} - {about}\n"));
                lines.collect()
            }
            Listed::ControlTos => format!("{}\n", self.controls.control_tos),
            Listed::Store(setting) => format!("{}\n", self.controls.store(setting)),
        }
    }

    fn sessions(&self, which: Sessions) -> String {
        let kind = match which {
            Sessions::All => "",
            Sessions::Own => "own ",
            Sessions::Foreign => "foreign ",
            Sessions::Recording => "recording ",
        };
        let lines = self.calls.lines().filter(|call| match which {
            Sessions::All => true,
            Sessions::Own => !call.is_foreign,
            Sessions::Foreign => call.is_foreign,
            Sessions::Recording => false,
        });
        let text: String = lines.map(|call| print::call_line(&call)).collect();
        if text.is_empty() {
            return format!("No {kind}sessions on this media relay.\n");
        }
        text
    }

    fn log_levels(&self, wanted: Option<&str>) -> String {
        let mut levels = self.controls.log.all();
        match wanted {
            None => levels
                .map(|(name, level)| format!("{name} = {level}\n"))
                .collect(),
            Some(wanted) => match levels.find(|(name, _)| *name == wanted) {
                Some((_, level)) => format!("{level}\n"),
                None => String::new(),
            },
        }
    }

    fn snapshot(&mut self, now: Time, id: &CallId) -> Option<Box<CallSnapshot>> {
        let shown = self
            .calls
            .handle(now, CallCommand::Show(id.clone()), &mut self.host);
        match shown {
            Ok(Reply::Show(call)) => Some(call),
            _ => None,
        }
    }

    fn change(&mut self, now: Time, change: Change) -> String {
        let limits = self.load.limits();
        let mut note = "";
        let (name, value) = match change {
            Change::Call(setting) => {
                self.calls.configure(setting, &self.host);
                let (name, value) = print::changed(setting);
                if value == -1 {
                    note = "; disable feature";
                }
                (name, value.to_string())
            }
            Change::MaxLoad(load) => {
                self.limit_load(now, LoadLimits { load, ..limits });
                ("maxload", format!("{:.2}", load.unwrap_or_default()))
            }
            Change::MaxCpu(cpu) => {
                self.limit_load(now, LoadLimits { cpu, ..limits });
                ("maxcpu", format!("{:.1}", cpu.unwrap_or_default()))
            }
            Change::MaxBandwidth(bandwidth) => {
                self.limit_load(now, LoadLimits { bandwidth, ..limits });
                ("maxbw", bandwidth.unwrap_or_default().to_string())
            }
            Change::MaxOpenFiles(files) => match limits::set_open_files(files) {
                Ok(()) => ("open_files", files.to_string()),
                Err(error) => return format!("Fail setting open_files to {files}; {error}\n"),
            },
            Change::LogLevel(subsystem, level) => {
                let subsystem = subsystem.as_deref();
                if let Err(UnknownSubsystem) = self.controls.log.set(subsystem, level) {
                    return unknown_subsystem(subsystem.unwrap_or_default());
                }
                ("loglevel", level.to_string())
            }
            Change::ControlTos(tos) => {
                self.controls.control_tos = tos;
                ("control-tos", tos.to_string())
            }
            Change::Store(changed, value) => {
                for (setting, known) in &mut self.controls.store {
                    if *setting == changed {
                        *known = value;
                    }
                }
                (changed.option(), value.to_string())
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
            Terminated::Own => {
                self.calls.end_all_of(now, false, &mut self.host);
                "All own calls terminated by operator.\n".to_owned()
            }
            Terminated::Foreign => {
                self.calls.end_all_of(now, true, &mut self.host);
                "All foreign calls terminated by operator.\n".to_owned()
            }
            Terminated::Call(id) => {
                let shown = print::text(&id.0);
                match self.calls.terminate(now, &id, &mut self.host) {
                    true => format!("\nCall Id ({shown}) successfully terminated by operator.\n\n"),
                    false => format!("\nCall Id not found ({shown}).\n\n"),
                }
            }
        };
        self.act();
        text
    }

    fn debug(&mut self, id: &CallId, on: bool) -> String {
        let word = if on { "Enabled" } else { "Disabled" };
        let shown = print::text(&id.0);
        match self.calls.set_debug(id, on) {
            true => format!("{word} debugging for call '{shown}'\n"),
            false => format!("Call ID '{shown}' not found\n"),
        }
    }

    fn params(&mut self, now: Time, params: Params) -> String {
        let current = self.controls.parameters(&self.calls, self.load.limits());
        let start = self.controls.start.clone();
        match params {
            Params::Start => start.text() + &self.controls.fixed,
            Params::Current => current.text() + &self.controls.fixed,
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
                self.controls.control_tos = start.control_tos;
                self.controls.store = start.store;
                String::new()
            }
        }
    }
}

/// As with the reference while nothing has been taken into memory.
fn media(asked: MediaCommand) -> String {
    match asked {
        MediaCommand::List => String::new(),
        MediaCommand::Load(what) => format!("Failed to reload '{}'\n", print::text(&what)),
        MediaCommand::LoadAll(kind) => format!("0 {kind} reloaded\n"),
        MediaCommand::DropAll(kind) => format!("0 {kind} evicted\n"),
        MediaCommand::Drop(all) => {
            let mut text = String::new();
            for what in all {
                // Writing to a String does not fail.
                let _ = writeln!(text, "Failed to evict {}", print::text(&what));
            }
            text
        }
    }
}

fn unknown_subsystem(name: &str) -> String {
    format!("Unknown log level subsystem: {name}\n")
}
