//! From a line to a command.

use super::words::{self, CALL, COMMANDS, LIST, MEDIA, PARAMS, PARTY, SET, Word};
use super::{
    CallCommand, Change, CliError, Command, Listed, MediaCommand, Named, Params, PartyCommand, Sessions,
    StoreSetting, Terminated,
};
use crate::call::{CallId, Tag};

/// The fewest open files that the limit may be set to.
const FEWEST_FILES: u64 = 65_536;

/// What is wrong with a value that does not begin with a number.
const NO_DIGITS: &str = "no digits found";

/// The words of a line that are left.
#[derive(Clone, Copy)]
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    /// The next word, which has to be there.
    fn need(&mut self) -> Result<&'a str, CliError> {
        self.next().ok_or(CliError::MoreParameters)
    }

    /// All that is left, which has to be something.
    fn rest(self) -> Result<&'a str, CliError> {
        match self.0.trim() {
            "" => Err(CliError::MoreParameters),
            rest => Ok(rest),
        }
    }
}

/// What a line asks for. Words are separated by white space; those that nobody asked for do not matter.
pub fn parse(line: &str) -> Result<Command, CliError> {
    let mut words = Words(line);
    let Some(first) = words.next() else {
        return Err(CliError::Incomplete(String::new()));
    };
    match first {
        "help" => Ok(Command::Help(words::help(COMMANDS))),
        "usage" => Ok(Command::Usage),
        "ping" => Ok(Command::Ping),
        "active" => Ok(Command::Own(true)),
        "standby" => Ok(Command::Own(false)),
        "list" | "get" => list(words),
        "set" => set(words),
        "terminate" => terminate(words),
        "call" => {
            let id = CallId::from(words.need()?);
            Ok(Command::Call(id, call(words)))
        }
        "params" => params(words),
        "debug" => {
            let id = words.next().ok_or(CliError::NoCallId)?;
            Ok(Command::Debug(CallId::from(id), switch(words)?))
        }
        "ksadd" | "ksrm" | "kslist" => Ok(Command::Keyspaces),
        "media" => media(words),
        _ => Err(unknown(first)),
    }
}

/// The help of a level, if it is asked for.
fn help(words: Words<'_>, level: &[Word]) -> Option<Command> {
    let mut ahead = words;
    (ahead.next() == Some("help")).then(|| Command::Help(words::help(level)))
}

fn list(mut words: Words<'_>) -> Result<Command, CliError> {
    if let Some(help) = help(words, LIST) {
        return Ok(help);
    }
    let name = words.need()?;
    let listed = match name {
        "numsessions" => Listed::NumSessions,
        "sessions" => match words.rest()? {
            "all" => Listed::Sessions(Sessions::All),
            "own" => Listed::Sessions(Sessions::Own),
            "foreign" => Listed::Sessions(Sessions::Foreign),
            "recording" => Listed::Sessions(Sessions::Recording),
            id => return Ok(Command::Show(CallId::from(id))),
        },
        "totals" => Listed::Totals,
        "counters" => Listed::Counters,
        "interfaces" => Listed::Interfaces,
        "jsonstats" => Listed::JsonStats,
        "transcoders" => Listed::Transcoders,
        "maxload" => Listed::MaxLoad,
        "maxcpu" => Listed::MaxCpu,
        "maxbw" => Listed::MaxBandwidth,
        "maxopenfiles" => Listed::MaxOpenFiles,
        "loglevels" => Listed::Subsystems,
        "loglevel" => Listed::LogLevels(words.next().map(str::to_owned)),
        "controltos" => Listed::ControlTos,
        _ => match (Named::of(name), StoreSetting::of(name)) {
            (Some(setting), _) => Listed::Setting(setting),
            (None, Some(setting)) => Listed::Store(setting),
            (None, None) => return Err(unknown(name)),
        },
    };
    Ok(Command::List(listed))
}

fn set(mut words: Words<'_>) -> Result<Command, CliError> {
    if let Some(help) = help(words, SET) {
        return Ok(help);
    }
    let name = words.need()?;
    if Word::after(SET, name).is_none() {
        return Err(unknown(name));
    }
    let value = words.rest()?;
    let change = match name {
        "loglevel" => log_level(words)?,
        "maxload" => Change::MaxLoad(fraction(name, value)?),
        "maxcpu" => Change::MaxCpu(fraction(name, value)?),
        "maxbw" => {
            let bytes = number(name, value)?.cast_unsigned();
            Change::MaxBandwidth((bytes > 0).then_some(bytes))
        }
        "maxopenfiles" => {
            let files = number("open_files", value)?.cast_unsigned();
            match files >= FEWEST_FILES {
                true => Change::MaxOpenFiles(files),
                false => return Err(bad_value("open_files", value, "can't set it under 65536")),
            }
        }
        "controltos" => {
            let tos = leading_number(value).unwrap_or(0);
            Change::ControlTos(
                u8::try_from(tos).map_err(|_| invalid("control-tos", tos, "between 0 and 255"))?,
            )
        }
        "redisdisable" => return Ok(Command::DisableStore(leading_number(value).unwrap_or(0) != 0)),
        _ => match (Named::of(name), StoreSetting::of(name)) {
            (Some(setting), _) => Change::Call(setting.parse(value)?),
            (None, Some(setting)) => setting.parse(value)?,
            (None, None) => return Err(unknown(name)),
        },
    };
    Ok(Command::Set(change))
}

impl Named {
    fn parse(self, value: &str) -> Result<crate::call::Setting, CliError> {
        let (name, problem) = match self {
            Named::DeleteDelay => {
                let setting = leading_number(value).and_then(|number| self.with(number));
                return setting.ok_or(CliError::BadDelay);
            }
            Named::MaxSessions => ("maxsessions", "either positive or -1 values allowed"),
            Named::Timeout | Named::SilentTimeout | Named::OfferTimeout | Named::FinalTimeout => {
                ("timeout", "out of range")
            }
        };
        let number = number(name, value)?;
        self.with(number).ok_or_else(|| bad_value(name, value, problem))
    }
}

impl StoreSetting {
    fn parse(self, value: &str) -> Result<Change, CliError> {
        let value = leading_number(value).unwrap_or(0);
        let least = match self {
            StoreSetting::AllowedErrors => i64::MIN,
            StoreSetting::DisableTime | StoreSetting::CommandTimeout => 0,
            StoreSetting::ConnectTimeout => 1,
        };
        match i32::try_from(value) {
            Ok(number) if value >= least => Ok(Change::Store(self, number)),
            _ if least == 1 => Err(invalid(self.option(), value, "> 0")),
            _ => Err(invalid(self.option(), value, ">= 0")),
        }
    }
}

/// A number that is not below zero; zero stands for none.
fn fraction(name: &str, value: &str) -> Result<Option<f64>, CliError> {
    let end = value.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c));
    let number: Option<f64> = value[..end.unwrap_or(value.len())].parse().ok();
    let number = number.filter(|number| number.is_finite());
    let number = number.ok_or_else(|| bad_value(name, value, NO_DIGITS))?;
    Ok((number > 0.0).then_some(number))
}

fn log_level(mut words: Words<'_>) -> Result<Change, CliError> {
    let (subsystem, value) = match words.need()? {
        level if level.starts_with(|c: char| c.is_ascii_digit()) => (None, level),
        subsystem => (Some(subsystem), words.need()?),
    };
    let level = i8::try_from(number("loglevel", value)?).ok();
    let level = level.filter(|level| (-1..=8).contains(level));
    let level = level.ok_or_else(|| bad_value("loglevel", value, "out of range"))?;
    Ok(Change::LogLevel(subsystem.map(str::to_owned), level))
}

fn terminate(words: Words<'_>) -> Result<Command, CliError> {
    Ok(Command::Terminate(match words.rest()? {
        "all" => Terminated::All,
        "own" => Terminated::Own,
        "foreign" => Terminated::Foreign,
        id => Terminated::Call(CallId::from(id)),
    }))
}

/// What is asked of a call: looked at once the call is found.
fn call(mut words: Words<'_>) -> Result<CallCommand, CliError> {
    match words.next() {
        None => Err(CliError::Incomplete(String::new())),
        Some("help") => Ok(CallCommand::Help(words::help(CALL))),
        Some("info") => Ok(CallCommand::Info),
        Some("terminate") => Ok(CallCommand::Terminate),
        Some("debug") => switch(words).map(CallCommand::Debug),
        Some("tag") => {
            let tag = Tag::from(words.need()?);
            Ok(CallCommand::Party(tag, party(words)))
        }
        Some(word) => Err(unknown(word)),
    }
}

fn party(mut words: Words<'_>) -> Result<PartyCommand, CliError> {
    match words.next() {
        None => Err(CliError::Incomplete(String::new())),
        Some("help") => Ok(PartyCommand::Help(words::help(PARTY))),
        Some("info") => Ok(PartyCommand::Info),
        Some(word @ ("delay" | "detect-dtmf")) => {
            words.need()?;
            Ok(PartyCommand::Unbuilt(word.to_owned()))
        }
        Some(word) => Err(unknown(word)),
    }
}

/// On unless said otherwise.
fn switch(mut words: Words<'_>) -> Result<bool, CliError> {
    match words.next() {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(word) => Err(CliError::BadSwitch(word.to_owned())),
    }
}

fn params(mut words: Words<'_>) -> Result<Command, CliError> {
    if let Some(help) = help(words, PARAMS) {
        return Ok(help);
    }
    Ok(Command::Params(match words.need()? {
        "start" => Params::Start,
        "current" => Params::Current,
        "diff" => Params::Diff,
        "revert" => Params::Revert,
        word => return Err(unknown(word)),
    }))
}

fn media(mut words: Words<'_>) -> Result<Command, CliError> {
    if let Some(help) = help(words, MEDIA) {
        return Ok(help);
    }
    let verb = words.need()?;
    let level = Word::after(MEDIA, verb).ok_or_else(|| unknown(verb))?;
    if let Some(help) = help(words, level) {
        return Ok(help);
    }
    let kind = words.need()?;
    if Word::after(level, kind).is_none() {
        return Err(unknown(kind));
    }
    Ok(Command::Media(match (verb, kind) {
        ("list", _) => MediaCommand::List,
        ("add" | "reload", "db" | "cache") => MediaCommand::Load(index(words.need()?)?),
        ("add", _) => MediaCommand::Load(words.rest()?.to_owned()),
        ("reload", "file") => {
            words.rest()?;
            MediaCommand::List
        }
        ("reload", "files") => MediaCommand::LoadAll("media files"),
        ("reload", _) => MediaCommand::LoadAll("media entries"),
        (_, "file") => MediaCommand::Drop(vec![format!("'{}'", words.rest()?)]),
        (_, "db" | "cache") => {
            let mut ids = vec![index(words.need()?)?];
            while let Some(word) = words.next() {
                ids.push(index(word)?);
            }
            MediaCommand::Drop(ids)
        }
        (_, "files") => MediaCommand::DropAll("media files"),
        (_, "dbs") => MediaCommand::DropAll("DB media entries"),
        (_, _) => MediaCommand::DropAll("DB cache entries"),
    }))
}

fn index(word: &str) -> Result<String, CliError> {
    let is_number = word.parse::<u64>().is_ok();
    is_number
        .then(|| word.to_owned())
        .ok_or_else(|| CliError::BadIndex(word.to_owned()))
}

fn unknown(word: &str) -> CliError {
    CliError::Unknown(word.to_owned())
}

fn bad_value(name: &str, value: &str, problem: &'static str) -> CliError {
    CliError::BadValue {
        name: name.to_owned(),
        value: value.to_owned(),
        problem,
    }
}

fn invalid(option: &'static str, value: i64, wanted: &'static str) -> CliError {
    CliError::Invalid {
        option,
        value,
        wanted,
    }
}

fn number(name: &str, value: &str) -> Result<i64, CliError> {
    leading_number(value).ok_or_else(|| bad_value(name, value, NO_DIGITS))
}

/// The number that a text begins with; the largest ones stand for those that are larger.
fn leading_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let digits = &digits[..end];
    if digits.is_empty() {
        return None;
    }
    let number = digits.parse().unwrap_or(i64::MAX);
    Some(if text.starts_with('-') { -number } else { number })
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
        for line in [
            "list numsessions",
            "  get\tnumsessions\r\n",
            "list numsessions more",
        ] {
            assert_eq!(parse(line), Ok(expected.clone()));
        }
        assert_eq!(
            parse("list sessions 1-2@host"),
            Ok(Command::Show("1-2@host".into()))
        );
        // The rest of the line is the call-id.
        assert_eq!(
            parse("terminate a b"),
            Ok(Command::Terminate(Terminated::Call("a b".into())))
        );
    }

    #[test]
    fn settings() {
        let seconds = Duration::from_secs;
        for (line, setting) in [
            ("set timeout 61", Setting::Timeout(seconds(61))),
            ("set timeout 61s", Setting::Timeout(seconds(61))),
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
        assert_eq!(
            parse("set maxbw 5"),
            Ok(Command::Set(Change::MaxBandwidth(Some(5))))
        );
        assert_eq!(
            parse("set maxload 0.5x"),
            Ok(Command::Set(Change::MaxLoad(Some(0.5))))
        );
        assert_eq!(
            parse("set loglevel ice -1"),
            Ok(Command::Set(Change::LogLevel(Some("ice".to_owned()), -1)))
        );
        assert_eq!(
            parse("set redisallowederrors -1"),
            Ok(Command::Set(Change::Store(StoreSetting::AllowedErrors, -1)))
        );
    }

    #[test]
    fn refusals() {
        for (line, text) in [
            ("", "Incomplete command: "),
            ("list", "More parameters required."),
            ("list frob", "Unknown command: frob"),
            ("list sessions", "More parameters required."),
            ("frob x", "Unknown command: frob"),
            ("set timeout", "More parameters required."),
            ("set frob 1", "Unknown command: frob"),
            ("set timeout x", "Fail setting timeout to x; no digits found"),
            ("set silenttimeout -5", "Fail setting timeout to -5; out of range"),
            ("set deletedelay x", "Invalid delete-delay value"),
            (
                "set maxsessions -2",
                "Fail setting maxsessions to -2; either positive or -1 values allowed",
            ),
            (
                "set maxopenfiles 65535",
                "Fail setting open_files to 65535; can't set it under 65536",
            ),
            (
                "set controltos 256",
                "Invalid control-tos value 256, must be between 0 and 255",
            ),
            (
                "set redisconnecttimeout 0",
                "Invalid redis-connect-timeout value 0, must be > 0",
            ),
            ("set loglevel core", "More parameters required."),
            ("terminate", "More parameters required."),
            ("call", "More parameters required."),
            ("debug", "No call ID specified"),
            ("debug x frob", "Invalid on/off flag ('frob') specified"),
            ("params frob", "Unknown command: frob"),
            ("media", "More parameters required."),
            ("media add", "More parameters required."),
            ("media add db x", "Invalid ID 'x'"),
            ("media frob", "Unknown command: frob"),
        ] {
            assert_eq!(parse(line).unwrap_err().to_string(), text, "{line}");
        }
    }

    #[test]
    fn a_call_is_looked_for_before_what_is_asked_of_it() {
        let call = |line: &str| match parse(line) {
            Ok(Command::Call(id, asked)) => (id, asked),
            other => panic!("{other:?}"),
        };
        let id = CallId::from("x");
        assert_eq!(call("call x info"), (id.clone(), Ok(CallCommand::Info)));
        assert_eq!(call("call x").1, Err(CliError::Incomplete(String::new())));
        assert_eq!(call("call x frob").1, Err(unknown("frob")));
        assert_eq!(call("call x debug").1, Ok(CallCommand::Debug(true)));
        assert_eq!(
            call("call x tag t frob"),
            (id, Ok(CallCommand::Party("t".into(), Err(unknown("frob")))))
        );
    }

    #[test]
    fn every_command_of_the_usage_is_understood() {
        let examples = words::examples();
        assert!(examples.len() > 80);
        for line in examples {
            let is_understood = match parse(&line) {
                Ok(Command::Call(_, asked)) => match asked {
                    Ok(CallCommand::Party(_, asked)) => asked.is_ok(),
                    asked => asked.is_ok(),
                },
                other => other.is_ok(),
            };
            assert!(is_understood, "{line}: {:?}", parse(&line));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_answered(line in "\\PC{0,40}") {
            let _ = parse(&line);
        }

        #[test]
        fn whatever_follows_a_command_is_answered(
            head in "(list|set|get|call|media|debug|params|terminate)( [a-z]{2,12}){0,3}",
            tail in "( [-+0-9.eEx]{0,9}){0,2}",
        ) {
            let _ = parse(&(head + &tail));
        }
    }
}
