//! The commands that there are, as a tree of words, and the help that is made of it.

use std::fmt::Write;

/// A word of a command.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) name: &'static str,
    /// What is to follow it.
    parameters: &'static str,
    about: &'static str,
    /// The words that may follow; none for the last one.
    then: &'static [Word],
}

/// How wide the names of commands are in `usage` and in the help of a level.
const USAGE_WIDTH: usize = 50;
const HELP_WIDTH: usize = 48;

const fn last(name: &'static str, parameters: &'static str, about: &'static str) -> Word {
    Word {
        name,
        parameters,
        about,
        then: &[],
    }
}

const fn inner(name: &'static str, parameters: &'static str, then: &'static [Word]) -> Word {
    Word {
        name,
        parameters,
        about: "",
        then,
    }
}

/// All commands.
pub(super) const COMMANDS: &[Word] = &[
    last("usage", "", "all commands"),
    inner("list", "", LIST),
    last(
        "terminate",
        "<callid> | all | own | foreign",
        "ends a call, or all of a kind",
    ),
    inner("set", "", SET),
    inner("get", "", LIST),
    inner("params", "", PARAMS),
    last("ksadd", "<uint>", "follows the calls of a database"),
    last("ksrm", "<uint>", "follows them no longer, and drops them"),
    last("kslist", "", "the databases that are followed"),
    last("active", "", "all calls are ours from now on"),
    last("standby", "", "all calls are another relay's from now on"),
    last(
        "debug",
        "<callid> on | off",
        "logs what is said about a call in full",
    ),
    inner("call", "<callid>", CALL),
    inner("media", "", MEDIA),
    last("ping", "", "a sign of life"),
];

pub(super) const LIST: &[Word] = &[
    last("numsessions", "", "number of calls"),
    last(
        "sessions",
        "<callid> | all | own | foreign",
        "one line a call, or a call in detail",
    ),
    last("totals", "", "the daemon in numbers"),
    last("counters", "", "what is relayed in a second"),
    last("maxopenfiles", "", "limit of open files"),
    last("maxsessions", "", "limit of calls"),
    last("maxcpu", "", "how busy processors may be for new calls"),
    last("maxload", "", "the load that new calls are taken with"),
    last("maxbw", "", "the bandwidth that new calls are taken with"),
    last("timeout", "", "timeout of calls without media"),
    last("silenttimeout", "", "the same on hold"),
    last("offertimeout", "", "the same without an answer"),
    last("finaltimeout", "", "how long a call lives at most"),
    last("loglevels", "", "the subsystems that have log levels"),
    last("loglevel", "[<system>]", "log levels, or the one of a subsystem"),
    last("redisallowederrors", "", "option redis-allowed-errors"),
    last("redisdisabletime", "", "option redis-disable-time"),
    last("redisconnecttimeout", "", "option redis-connect-timeout"),
    last("rediscmdtimeout", "", "option redis-cmd-timeout"),
    last("controltos", "", "TOS of replies to ng requests"),
    last("deletedelay", "", "how long a deleted call lives on"),
    last("interfaces", "", "interfaces with their ports and traffic"),
    last("jsonstats", "", "the daemon in numbers, as JSON"),
    last("transcoders", "", "what is transcoded"),
];

pub(super) const SET: &[Word] = &[
    last("maxopenfiles", "<uint>", "limits open files, to 65536 or more"),
    last("maxsessions", "<int>", "limits calls; -1: no limit"),
    last(
        "maxcpu",
        "<float>",
        "refuses calls while processors are so busy; 0: never",
    ),
    last(
        "maxload",
        "<float>",
        "refuses calls while the load is so high; 0: never",
    ),
    last(
        "maxbw",
        "<uint>",
        "refuses calls while so much is received; 0: never",
    ),
    last("timeout", "<uint>", "changes a timeout, in seconds"),
    last("silenttimeout", "<uint>", "the same on hold"),
    last("offertimeout", "<uint>", "the same without an answer"),
    last(
        "finaltimeout",
        "<uint>",
        "how long a call lives at most; 0: for ever",
    ),
    last(
        "loglevel",
        "<uint> | <sys> <uint>",
        "log level of all subsystems, or of one",
    ),
    last("redisallowederrors", "<int>", "nothing yet: there is no Redis"),
    last("redisdisabletime", "<uint>", "the same"),
    last("redisdisable", "0 | 1", "the same"),
    last("redisconnecttimeout", "<uint>", "the same"),
    last("rediscmdtimeout", "<uint>", "the same"),
    last("controltos", "<uint>", "TOS of replies to ng requests"),
    last(
        "deletedelay",
        "<uint>",
        "how long a deleted call lives on, in seconds",
    ),
];

pub(super) const PARAMS: &[Word] = &[
    last("start", "", "settings as they were at the start"),
    last("current", "", "settings as they are"),
    last("diff", "", "settings that differ from the start"),
    last("revert", "", "undoes changes of settings"),
];

pub(super) const CALL: &[Word] = &[
    last("info", "", "a call in detail"),
    last("terminate", "", "ends the call"),
    last("debug", "on | off", "logs what is said about it in full"),
    inner("tag", "<tag>", PARTY),
];

pub(super) const PARTY: &[Word] = &[
    last("info", "", "a party of the call in detail"),
    last("delay", "<uint>", "nothing yet: audio is not decoded"),
    last("detect-dtmf", "0 | 1", "the same"),
];

pub(super) const MEDIA: &[Word] = &[
    inner(
        "list",
        "",
        &[
            last("files", "", "media files in memory"),
            last("dbs", "", "media of the database in memory"),
            last("caches", "", "media of the database in files"),
            last("players", "", "encoded media in memory"),
        ],
    ),
    inner(
        "add",
        "",
        &[
            last("file", "<path>", "takes a media file into memory"),
            last("db", "<index>", "takes media of the database into memory"),
            last("cache", "<index>", "takes media of the database into a file"),
        ],
    ),
    inner(
        "reload",
        "",
        &[
            last("file", "<path>", "reads a file in memory anew"),
            last("files", "", "reads all of them anew"),
            last("db", "<index>", "the same for media of the database"),
            last("dbs", "", "the same for all of them"),
            last("cache", "<index>", "the same for such media in a file"),
            last("caches", "", "the same for all of them"),
        ],
    ),
    inner(
        "evict",
        "",
        &[
            last("file", "<path>", "drops a file from memory"),
            last("files", "", "drops all of them"),
            last("db", "<index> ...", "the same for media of the database"),
            last("dbs", "", "the same for all of them"),
            last("cache", "<index> ...", "the same for such media in files"),
            last("caches", "", "the same for all of them"),
            last("players", "", "the same for encoded media"),
        ],
    ),
];

impl Word {
    /// The word with what follows it.
    fn with_parameters(&self) -> String {
        let option = if self.then.is_empty() { "" } else { "<option>" };
        let parts = [self.name, self.parameters, option];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(" ")
    }

    /// The words that may follow one of a level; none for an unknown one.
    pub(super) fn after(level: &'static [Word], name: &str) -> Option<&'static [Word]> {
        let found = level.iter().find(|word| word.name == name)?;
        Some(found.then)
    }
}

/// All commands, level by level.
pub fn usage() -> String {
    let mut text = "    Supported commands are:\n\n".to_owned();
    for word in COMMANDS {
        write_usage(word, 4, &mut text);
        text.push('\n');
    }
    text
}

fn write_usage(word: &Word, indent: usize, text: &mut String) {
    let command = word.with_parameters();
    let width = USAGE_WIDTH.saturating_sub(indent);
    // Writing to a String does not fail.
    let _ = match word.then {
        [] => writeln!(text, "{:indent$}{command:<width$}: {}", "", word.about),
        _ => writeln!(text, "{:indent$}{command}", ""),
    };
    for word in word.then {
        write_usage(word, indent + 4, text);
    }
}

/// The words of a level.
pub(super) fn help(level: &[Word]) -> String {
    let mut text = "Available sub-commands at this level:\n".to_owned();
    for word in level {
        let command = word.with_parameters();
        let _ = match word.then {
            [] => writeln!(text, "\t{command:<HELP_WIDTH$} : {}", word.about),
            _ => writeln!(text, "\t{command}"),
        };
    }
    text
}

/// The commands of the tree, each with something in the place of its parameters.
#[cfg(test)]
pub(super) fn examples() -> Vec<String> {
    fn add(word: &Word, before: &str, examples: &mut Vec<String>) {
        let first = word.parameters.split(" | ").next().unwrap_or_default();
        let value = match first {
            "<callid>" | "<tag>" | "<path>" | "[<system>]" => "core",
            "<uint>" if matches!(word.name, "loglevel" | "controltos") => "5",
            "<uint>" | "<int>" | "<float>" | "<index>" | "<index> ..." => "70000",
            "<callid> on" => "x on",
            other => other,
        };
        let command = format!("{before}{} {value}", word.name);
        match word.then {
            [] => examples.push(command),
            _ => word
                .then
                .iter()
                .for_each(|word| add(word, &format!("{command} "), examples)),
        }
    }
    let mut examples = Vec::new();
    for word in COMMANDS {
        add(word, "", &mut examples);
    }
    examples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_has_every_level() {
        let text = usage();
        for line in [
            "    usage                                         : all commands\n",
            "    call <callid> <option>\n        info                                      : a call",
            "        tag <tag> <option>\n            info                                  : a party",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn help_is_of_a_level() {
        let text = help(PARAMS);
        assert_eq!(text.lines().count(), 1 + PARAMS.len());
        assert!(text.contains("\tdiff                                             : settings that differ"));
        assert!(help(COMMANDS).contains("\tlist <option>\n"));
    }
}
