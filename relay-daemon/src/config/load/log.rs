//! What is logged, and how.

use super::super::LogSettings;
use super::super::error::ConfigError;
use super::super::given::Given;
use super::super::options;
use super::{choice, number};

/// Syslog facilities by code (RFC 5424 section 6.2.1); those without a name cannot be chosen.
const FACILITIES: &[(&str, u8)] = &[
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// The longest line that syslog daemons take for certain (RFC 5424 section 6.1), unless the operator knows better.
const SYSLOG_LINE: usize = 500;

pub(super) fn settings(given: &Given) -> Result<LogSettings, ConfigError> {
    // Lines have names for what they tell in both formats.
    choice(
        given,
        "log-format",
        &[("default", ()), ("parsable", ())],
        "default, parsable",
    )?;
    let stderr = given.has("log-stderr");
    let default = if stderr { 0 } else { SYSLOG_LINE };
    let longest: i64 = number(given, "max-log-line-length", -1..=1 << 30, -1)?;
    let longest = usize::try_from(longest).unwrap_or(default);
    let text = |option| given.value(option).unwrap_or_default().to_owned();
    Ok(LogSettings {
        level: number(given, "log-level", -1..=127, 6)?,
        subsystems: levels(given)?,
        stderr,
        facility: choice(
            given,
            "log-facility",
            FACILITIES,
            "the syslog facilities: daemon, user, local0 to local7 and so on",
        )?
        .unwrap_or(3),
        name: given.value("log-name").unwrap_or("relay").to_owned(),
        timestamps: !given.has("no-log-timestamps"),
        split: given.has("split-logs"),
        longest_line: Some(longest).filter(|longest| *longest > 0),
        marks: (text("log-mark-prefix"), text("log-mark-suffix")),
        keys: given.has("log-srtp-keys"),
    })
}

/// Levels of subsystems; -1 stands for nothing at all.
fn levels(given: &Given) -> Result<Vec<(&'static str, i8)>, ConfigError> {
    let mut levels = Vec::new();
    for (option, name) in options::log_levels() {
        if given.has(option) {
            levels.push((name, number(given, option, -1..=127, 0)?));
        }
    }
    Ok(levels)
}
