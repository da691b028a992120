//! From a line to a command.

use super::{Change, CliError, Command, Listed, Named, Params, Sessions, Terminated};
use crate::call::{CallId, Tag};

/// The fewest open files that the limit may be set to.
const FEWEST_FILES: u64 = 65_536;

/// What a line asks for. Words are separated by white space.
pub fn parse(line: &str) -> Result<Command, CliError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [] => Err(CliError::Incomplete(String::new())),
        ["usage"] => Ok(Command::Usage),
        ["help", ref words @ ..] | [ref words @ .., "help"] => {
            Ok(Command::Help(words.iter().map(ToString::to_string).collect()))
        }
        ["ping"] => Ok(Command::Ping),
        ["active"] => Ok(Command::Active),
        ["list" | "get", ref what @ ..] => list(line, what),
        ["set", ref what @ ..] => set(line, what),
        ["terminate", ref what @ ..] => terminate(what),
        ["call", ref what @ ..] => call(line, what),
        ["params", ref what @ ..] => params(line, what),
        ["debug", ref what @ ..] => debug(line, what),
        ["standby" | "ksadd" | "ksrm" | "kslist" | "media", ..] => unbuilt(line),
        _ => Err(unknown(line)),
    }
}

fn list(line: &str, what: &[&str]) -> Result<Command, CliError> {
    let listed = match *what {
        [] => return Err(CliError::Incomplete(line.trim().to_owned())),
        ["numsessions"] => Listed::NumSessions,
        ["sessions"] => return Err(CliError::MoreParameters),
        ["sessions", "all"] => Listed::Sessions(Sessions::All),
        ["sessions", "own"] => Listed::Sessions(Sessions::Own),
        ["sessions", "foreign"] => Listed::Sessions(Sessions::Foreign),
        ["sessions", "recording"] => Listed::Sessions(Sessions::Recording),
        ["sessions", id] => return Ok(Command::Show(CallId::from(id))),
        ["totals"] => Listed::Totals,
        ["counters"] => Listed::Counters,
        ["interfaces"] => Listed::Interfaces,
        ["jsonstats"] => Listed::JsonStats,
        ["transcoders"] => Listed::Transcoders,
        ["maxload"] => Listed::MaxLoad,
        ["maxcpu"] => Listed::MaxCpu,
        ["maxbw"] => Listed::MaxBandwidth,
        ["maxopenfiles"] => Listed::MaxOpenFiles,
        ["loglevel" | "loglevels"] => Listed::LogLevels(None),
        ["loglevel" | "loglevels", subsystem] => Listed::LogLevels(Some(subsystem.to_owned())),
        [name, ..] if is_unbuilt(name) => return unbuilt(line),
        [name] => match Named::of(name) {
            Some(setting) => Listed::Setting(setting),
            None => return Err(unknown(line)),
        },
        _ => return Err(unknown(line)),
    };
    Ok(Command::List(listed))
}

fn set(line: &str, what: &[&str]) -> Result<Command, CliError> {
    let change = match *what {
        [] => return Err(CliError::Incomplete(line.trim().to_owned())),
        ["loglevel", level] => log_level(None, level)?,
        ["loglevel", subsystem, level] => log_level(Some(subsystem), level)?,
        ["maxload", value] => Change::MaxLoad(fraction("maxload", value)?),
        ["maxcpu", value] => Change::MaxCpu(fraction("maxcpu", value)?),
        ["maxbw", value] => {
            let bytes: Result<u64, _> = value.parse();
            let bytes = bytes.map_err(|_| bad_value("maxbw", value, "not an unsigned integer"))?;
            Change::MaxBandwidth((bytes > 0).then_some(bytes))
        }
        ["maxopenfiles", value] => Change::MaxOpenFiles(
            number(value)
                .and_then(|files| u64::try_from(files).ok())
                .filter(|files| *files >= FEWEST_FILES)
                .ok_or_else(|| bad_value("maxopenfiles", value, "can't set it below 65536"))?,
        ),
        [name, ..] if is_unbuilt(name) => return unbuilt(line),
        [name, value] => {
            let setting = Named::of(name).ok_or_else(|| unknown(line))?;
            let problem = "not an unsigned integer";
            let change = number(value).and_then(|value| setting.with(value));
            Change::Call(change.ok_or_else(|| bad_value(name, value, problem))?)
        }
        [name]
            if Named::of(name).is_some()
                || matches!(name, "loglevel" | "maxopenfiles" | "maxload" | "maxcpu" | "maxbw") =>
        {
            return Err(CliError::MoreParameters);
        }
        _ => return Err(unknown(line)),
    };
    Ok(Command::Set(change))
}

/// A number that is not below zero; zero stands for none.
fn fraction(name: &str, value: &str) -> Result<Option<f64>, CliError> {
    let number = value.parse().ok();
    let number = number.filter(|number: &f64| number.is_finite() && *number >= 0.0);
    let number = number.ok_or_else(|| bad_value(name, value, "not a positive number"))?;
    Ok((number > 0.0).then_some(number))
}

fn log_level(subsystem: Option<&str>, level: &str) -> Result<Change, CliError> {
    let value = number(level).filter(|level| (0..=7).contains(level));
    let value = value.and_then(|value| u8::try_from(value).ok());
    let value = value.ok_or_else(|| bad_value("loglevel", level, "expected a level from 0 to 7"))?;
    Ok(Change::LogLevel(subsystem.map(str::to_owned), value))
}

fn terminate(what: &[&str]) -> Result<Command, CliError> {
    match *what {
        [] => Err(CliError::MoreParameters),
        ["all" | "own"] => Ok(Command::Terminate(Terminated::All)),
        ["foreign"] => Ok(Command::Terminate(Terminated::Foreign)),
        [id, ..] => Ok(Command::Terminate(Terminated::Call(CallId::from(id)))),
    }
}

fn call(line: &str, what: &[&str]) -> Result<Command, CliError> {
    match *what {
        [] | [_] | [_, "tag"] | [_, "tag", _] => Err(CliError::MoreParameters),
        [id, "info"] => Ok(Command::Show(CallId::from(id))),
        [id, "terminate"] => Ok(Command::Terminate(Terminated::Call(CallId::from(id)))),
        [id, "tag", tag, "info"] => Ok(Command::ShowParty(CallId::from(id), Tag::from(tag))),
        [id, "debug", ref switch @ ..] => debug(line, &[&[id], switch].concat()),
        [_, "tag", _, "delay" | "detect-dtmf", ..] => unbuilt(line),
        _ => Err(unknown(line)),
    }
}

fn debug(line: &str, what: &[&str]) -> Result<Command, CliError> {
    match *what {
        [] | [_] => Err(CliError::MoreParameters),
        [id, "on"] => Ok(Command::Debug(CallId::from(id), true)),
        [id, "off"] => Ok(Command::Debug(CallId::from(id), false)),
        _ => Err(unknown(line)),
    }
}

fn params(line: &str, what: &[&str]) -> Result<Command, CliError> {
    let params = match *what {
        [] => return Err(CliError::Incomplete(line.trim().to_owned())),
        ["start"] => Params::Start,
        ["current"] => Params::Current,
        ["diff"] => Params::Diff,
        ["revert"] => Params::Revert,
        _ => return Err(unknown(line)),
    };
    Ok(Command::Params(params))
}

/// Settings and lists of what is not built yet.
fn is_unbuilt(name: &str) -> bool {
    name == "controltos" || name.starts_with("redis")
}

fn unbuilt(line: &str) -> Result<Command, CliError> {
    Ok(Command::Unbuilt(line.trim().to_owned()))
}

fn unknown(line: &str) -> CliError {
    CliError::Unknown(line.trim().to_owned())
}

fn bad_value(name: &str, value: &str, problem: &'static str) -> CliError {
    CliError::BadValue {
        name: name.to_owned(),
        value: value.to_owned(),
        problem,
    }
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::words;
    use super::*;
    use crate::call::Setting;

    #[test]
    fn words_may_be_spaced_as_one_likes() {
        let expected = Command::List(Listed::NumSessions);
        for line in ["list numsessions", "  get\tnumsessions\r\n"] {
            assert_eq!(parse(line), Ok(expected.clone()));
        }
        assert_eq!(
            parse("list sessions 1-2@host"),
            Ok(Command::Show("1-2@host".into()))
        );
    }

    #[test]
    fn settings() {
        let seconds = Duration::from_secs;
        for (line, setting) in [
            ("set timeout 61", Setting::Timeout(seconds(61))),
            ("set silenttimeout 0", Setting::SilentTimeout(seconds(0))),
            ("set finaltimeout 0", Setting::FinalTimeout(None)),
            ("set finaltimeout 9", Setting::FinalTimeout(Some(seconds(9)))),
            ("set offertimeout 5", Setting::OfferTimeout(seconds(5))),
            ("set deletedelay 1", Setting::DeleteDelay(seconds(1))),
            ("set maxsessions -1", Setting::MaxSessions(None)),
            ("set maxsessions 0", Setting::MaxSessions(Some(0))),
        ] {
            assert_eq!(parse(line), Ok(Command::Set(Change::Call(setting))), "{line}");
        }
        for (line, change) in [
            ("set maxload 2.5", Change::MaxLoad(Some(2.5))),
            ("set maxcpu 0", Change::MaxCpu(None)),
            ("set maxbw 1000", Change::MaxBandwidth(Some(1000))),
        ] {
            assert_eq!(parse(line), Ok(Command::Set(change)), "{line}");
        }
        assert_eq!(
            parse("set loglevel control 7"),
            Ok(Command::Set(Change::LogLevel(Some("control".to_owned()), 7)))
        );
    }

    #[test]
    fn mistakes() {
        for (line, text) in [
            ("", "Incomplete command: "),
            ("list", "Incomplete command: list"),
            ("frob", "Unknown command: frob"),
            ("list frob", "Unknown command: list frob"),
            ("list sessions", "More parameters required."),
            ("set timeout", "More parameters required."),
            ("terminate", "More parameters required."),
            ("call x", "More parameters required."),
            ("call x frob", "Unknown command: call x frob"),
            ("call x debug", "More parameters required."),
            ("debug x loud", "Unknown command: debug x loud"),
            (
                "set timeout abc",
                "Fail setting timeout to abc; not an unsigned integer",
            ),
            (
                "set timeout -2",
                "Fail setting timeout to -2; not an unsigned integer",
            ),
            ("set maxcpu", "More parameters required."),
            (
                "set maxcpu -1",
                "Fail setting maxcpu to -1; not a positive number",
            ),
            (
                "set maxbw 1.5",
                "Fail setting maxbw to 1.5; not an unsigned integer",
            ),
            (
                "set loglevel 8",
                "Fail setting loglevel to 8; expected a level from 0 to 7",
            ),
            (
                "set maxopenfiles 5",
                "Fail setting maxopenfiles to 5; can't set it below 65536",
            ),
        ] {
            assert_eq!(parse(line).unwrap_err().to_string(), text, "{line:?}");
        }
    }

    #[test]
    fn what_is_not_built_says_so() {
        for line in [
            "standby",
            "set controltos 5",
            "list redisallowederrors",
            "media list files",
            "call x tag y delay 5",
        ] {
            assert_eq!(parse(line), Ok(Command::Unbuilt(line.to_owned())));
        }
    }

    /// Every command that the help names is understood.
    #[test]
    fn help_and_parser_agree() {
        for (line, _, _) in words::COMMANDS {
            for line in words::examples(line) {
                assert!(parse(&line).is_ok(), "{line}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_line(words in prop::collection::vec(
            prop_oneof![
                "(list|get|set|terminate|call|params|help|usage|sessions|all|own|timeout|maxsessions|tag|info|loglevel)",
                "-?[0-9]{1,20}",
                "\\PC{0,12}",
            ],
            0..6,
        )) {
            let line = words.join(" ");
            if let Err(error) = parse(&line) {
                prop_assert!(error.to_string().len() < line.len() + 80);
            }
        }
    }
}
