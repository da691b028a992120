//! What an operator types: one line, answered with text.
//!
//! It comes over the CLI port, over HTTP (`/cli`), WebSocket, or as the ng command `cli`. Parsing and writing are pure; the
//! control thread does what is asked for.

mod parse;
pub(crate) mod print;
mod words;

use std::time::Duration;

use crate::call::{CallId, Setting, Tag};
use crate::config::CallSettings;

pub use parse::parse;
pub use words::usage;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// All commands.
    Usage,
    /// The words that may stand somewhere, already in words.
    Help(String),
    /// A sign of life.
    Ping,
    /// Something is to be shown.
    List(Listed),
    /// A setting is to be changed.
    Set(Change),
    /// Calls are to end.
    Terminate(Terminated),
    /// One call, in detail.
    Show(CallId),
    /// Something of one call: looked at once the call is there.
    Call(CallId, Result<CallCommand, CliError>),
    /// The settings that can change.
    Params(Params),
    /// Whether what is said about a call is logged in full.
    Debug(CallId, bool),
    /// All calls are ours from now on, or another relay's.
    Own(bool),
    /// The databases whose calls are followed: that needs stores.
    Keyspaces,
    /// Whether calls are written to a store: there is none.
    DisableStore(bool),
    /// Media files in memory: there are none.
    Media(MediaCommand),
}

/// What is asked of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallCommand {
    /// What may be asked.
    Help(String),
    /// The call in detail.
    Info,
    /// It is to end.
    Terminate,
    /// Whether what is said about it is logged in full.
    Debug(bool),
    /// Something of a party: looked at once the party is there.
    Party(Tag, Result<PartyCommand, CliError>),
}

/// What is asked of a party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartyCommand {
    /// What may be asked.
    Help(String),
    /// The party in detail.
    Info,
    /// Known to the reference, and not built yet.
    Unbuilt(String),
}

/// What is asked of media files in memory. Nothing can be taken there, so there is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaCommand {
    /// What there is.
    List,
    /// Something is to be read.
    Load(String),
    /// All of a kind is to be read anew.
    LoadAll(&'static str),
    /// Something is to be dropped.
    Drop(Vec<String>),
    /// All of a kind is to be dropped.
    DropAll(&'static str),
}

/// What can be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// How many calls there are.
    NumSessions,
    /// A line for each call.
    Sessions(Sessions),
    /// The daemon in numbers.
    Totals,
    /// What is relayed in a second.
    Counters,
    /// Interfaces with their ports and traffic.
    Interfaces,
    /// The daemon in numbers, as JSON.
    JsonStats,
    /// What is transcoded: nothing.
    Transcoders,
    /// A setting that can change.
    Setting(Named),
    /// `max-load`.
    MaxLoad,
    /// `max-cpu`.
    MaxCpu,
    /// `max-bandwidth`.
    MaxBandwidth,
    /// The limit of open files.
    MaxOpenFiles,
    /// The log levels, of all subsystems or of one.
    LogLevels(Option<String>),
    /// The subsystems that have log levels.
    Subsystems,
    /// TOS of the ng sockets.
    ControlTos,
    /// A setting of stores.
    Store(StoreSetting),
}

/// Which calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// All.
    All,
    /// Those of this daemon.
    Own,
    /// Those of another one.
    Foreign,
    /// Those that are recorded: none.
    Recording,
}

/// Which calls are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminated {
    /// All of them.
    All,
    /// Those of this daemon.
    Own,
    /// Those of another one.
    Foreign,
    /// One.
    Call(CallId),
}

/// What is to be shown of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Params {
    /// As they were at the start.
    Start,
    /// As they are.
    Current,
    /// What differs.
    Diff,
    /// They become what they were at the start.
    Revert,
}

/// A change of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Of signalling.
    Call(Setting),
    /// `max-load`; none for no limit, as for the next two.
    MaxLoad(Option<f64>),
    /// `max-cpu`, percent.
    MaxCpu(Option<f64>),
    /// `max-bandwidth`, bytes a second.
    MaxBandwidth(Option<u64>),
    /// The limit of open files.
    MaxOpenFiles(u64),
    /// The log level of a subsystem, or of all; below zero for nothing at all.
    LogLevel(Option<String>, i8),
    /// TOS of the ng sockets.
    ControlTos(u8),
    /// A setting of stores.
    Store(StoreSetting, i32),
}

/// A setting of signalling, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// [`Setting::Timeout`].
    Timeout,
    /// [`Setting::SilentTimeout`].
    SilentTimeout,
    /// [`Setting::OfferTimeout`].
    OfferTimeout,
    /// [`Setting::FinalTimeout`].
    FinalTimeout,
    /// [`Setting::DeleteDelay`].
    DeleteDelay,
    /// [`Setting::MaxSessions`].
    MaxSessions,
}

/// A setting of stores, as far as it can be changed. There are no stores yet: it is kept, and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreSetting {
    /// `redis-allowed-errors`.
    AllowedErrors,
    /// `redis-disable-time`, seconds.
    DisableTime,
    /// `redis-connect-timeout`, ms.
    ConnectTimeout,
    /// `redis-cmd-timeout`, ms.
    CommandTimeout,
}

impl StoreSetting {
    /// All of them, with the names of the commands and options, and what they are unless given.
    pub(crate) const ALL: [(StoreSetting, &'static str, &'static str, i32); 4] = [
        (
            StoreSetting::AllowedErrors,
            "redisallowederrors",
            "redis-allowed-errors",
            -1,
        ),
        (
            StoreSetting::DisableTime,
            "redisdisabletime",
            "redis-disable-time",
            10,
        ),
        (
            StoreSetting::ConnectTimeout,
            "redisconnecttimeout",
            "redis-connect-timeout",
            1000,
        ),
        (
            StoreSetting::CommandTimeout,
            "rediscmdtimeout",
            "redis-cmd-timeout",
            0,
        ),
    ];

    fn of(word: &str) -> Option<StoreSetting> {
        let found = StoreSetting::ALL.iter().find(|(_, name, _, _)| *name == word)?;
        Some(found.0)
    }

    /// The name of the option.
    pub(crate) fn option(self) -> &'static str {
        StoreSetting::ALL[self as usize].2
    }
}

/// Why a line is refused. The texts are those that scripts know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CliError {
    /// Nobody knows a word of it.
    #[error("Unknown command: {0}")]
    Unknown(String),
    /// It ends too early.
    #[error("Incomplete command: {0}")]
    Incomplete(String),
    /// A value is missing.
    #[error("More parameters required.")]
    MoreParameters,
    /// A value that the setting does not take.
    #[error("Fail setting {name} to {value}; {problem}")]
    BadValue {
        /// The setting.
        name: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The same for other settings.
    #[error("Invalid {option} value {value}, must be {wanted}")]
    Invalid {
        /// The option.
        option: &'static str,
        /// The value.
        value: i64,
        /// What it takes.
        wanted: &'static str,
    },
    /// The same for `deletedelay`.
    #[error("Invalid delete-delay value")]
    BadDelay,
    /// The call to debug is missing.
    #[error("No call ID specified")]
    NoCallId,
    /// Something is to be neither on nor off.
    #[error("Invalid on/off flag ('{0}') specified")]
    BadSwitch(String),
    /// Media of the database have numbers.
    #[error("Invalid ID '{0}'")]
    BadIndex(String),
}

impl Named {
    /// All of them, with the names of the commands.
    const ALL: [(Named, &'static str); 6] = [
        (Named::Timeout, "timeout"),
        (Named::SilentTimeout, "silenttimeout"),
        (Named::OfferTimeout, "offertimeout"),
        (Named::FinalTimeout, "finaltimeout"),
        (Named::DeleteDelay, "deletedelay"),
        (Named::MaxSessions, "maxsessions"),
    ];

    fn of(word: &str) -> Option<Named> {
        let found = Named::ALL.iter().find(|(_, name)| *name == word)?;
        Some(found.0)
    }

    /// The setting as it is.
    fn read(self, settings: &CallSettings) -> Setting {
        match self {
            Named::Timeout => Setting::Timeout(settings.timeout),
            Named::SilentTimeout => Setting::SilentTimeout(settings.silent_timeout),
            Named::OfferTimeout => Setting::OfferTimeout(settings.offer_timeout),
            Named::FinalTimeout => Setting::FinalTimeout(settings.final_timeout),
            Named::DeleteDelay => Setting::DeleteDelay(settings.delete_delay),
            Named::MaxSessions => Setting::MaxSessions(settings.max_sessions),
        }
    }

    /// The setting with a value; none if the value is out of range.
    fn with(self, value: i64) -> Option<Setting> {
        let seconds = || {
            let seconds = u32::try_from(value).ok()?;
            Some(Duration::from_secs(u64::from(seconds)))
        };
        Some(match self {
            Named::Timeout => Setting::Timeout(seconds()?),
            Named::SilentTimeout => Setting::SilentTimeout(seconds()?),
            Named::OfferTimeout => Setting::OfferTimeout(seconds()?),
            Named::FinalTimeout => {
                let seconds = seconds()?;
                Setting::FinalTimeout((!seconds.is_zero()).then_some(seconds))
            }
            Named::DeleteDelay => Setting::DeleteDelay(seconds()?),
            Named::MaxSessions => match value {
                -1 => Setting::MaxSessions(None),
                _ => Setting::MaxSessions(Some(usize::try_from(value).ok()?)),
            },
        })
    }
}
