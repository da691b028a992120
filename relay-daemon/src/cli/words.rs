//! The commands, for those who ask what there is.

use std::fmt::Write;

/// Words, parameters, and what the command does. `A|B` stands for one of several words.
pub(super) const COMMANDS: &[(&str, &str, &str)] = &[
    ("usage", "", "all commands"),
    ("help", "", "what there is; also after the words of a command"),
    ("ping", "", "a sign of life"),
    ("list|get numsessions", "", "number of calls"),
    (
        "list|get sessions all|own|foreign|recording",
        "",
        "one line for each call",
    ),
    ("list|get sessions", "CALLID", "a call in detail"),
    ("list|get totals", "", "the daemon in numbers"),
    ("list|get counters", "", "what is relayed in a second"),
    (
        "list|get interfaces",
        "",
        "interfaces with their ports and traffic",
    ),
    ("list|get jsonstats", "", "the daemon in numbers, as JSON"),
    ("list|get transcoders", "", "what is transcoded"),
    (
        "list|get timeout|silenttimeout|offertimeout|finaltimeout",
        "",
        "a timeout",
    ),
    ("list|get deletedelay", "", "how long a deleted call lives on"),
    ("list|get maxsessions", "", "limit of calls"),
    (
        "list|get maxload|maxcpu|maxbw",
        "",
        "how much load new calls are taken with",
    ),
    ("list|get maxopenfiles", "", "limit of open files"),
    ("list|get loglevel|loglevels", "[SUBSYSTEM]", "log levels"),
    (
        "set timeout|silenttimeout|offertimeout|finaltimeout",
        "SECONDS",
        "changes a timeout; a final timeout of 0 is none",
    ),
    (
        "set deletedelay",
        "SECONDS",
        "changes how long a deleted call lives on",
    ),
    ("set maxsessions", "N", "limits calls; -1: no limit"),
    (
        "set maxload|maxcpu|maxbw",
        "N",
        "limits the load that new calls are taken with; 0: no limit",
    ),
    ("set maxopenfiles", "N", "limits open files"),
    ("set loglevel", "[SUBSYSTEM] LEVEL", "changes log levels"),
    ("terminate all|own|foreign", "", "ends calls"),
    ("terminate", "CALLID", "ends a call"),
    ("call", "CALLID info", "a call in detail"),
    ("call", "CALLID terminate", "ends a call"),
    (
        "call",
        "CALLID debug on|off",
        "logs what is said about a call in full, or no longer",
    ),
    ("debug", "CALLID on|off", "the same"),
    ("call", "CALLID tag TAG info", "a party of a call in detail"),
    ("params start|current", "", "settings at the start, and now"),
    ("params diff", "", "settings that differ from the start"),
    ("params revert", "", "undoes changes of settings"),
    ("active", "", "all calls are ours from now on"),
];

/// All commands, one a line.
pub fn usage() -> String {
    help(&[]).unwrap_or_default()
}

/// The commands that begin with these words; none if there are none.
pub fn help(words: &[String]) -> Option<String> {
    let mut text = String::new();
    for (path, parameters, about) in COMMANDS {
        let alternatives = || path.split(' ').map(|word| word.split('|'));
        let mut pairs = alternatives().zip(words);
        let is_long_enough = alternatives().count() >= words.len();
        if is_long_enough && pairs.all(|(mut known, word)| known.any(|known| known == word)) {
            let command = format!("{path} {parameters}");
            // Writing to a String does not fail.
            let _ = writeln!(text, "    {:<60} {about}", command.trim_end());
        }
    }
    (!text.is_empty()).then_some(text)
}

/// A line for each of the alternatives of a command, with values for its parameters.
#[cfg(test)]
pub(super) fn examples(path: &str) -> Vec<String> {
    let (_, parameters, _) = COMMANDS.iter().find(|(known, _, _)| *known == path).unwrap();
    let parameters = parameters
        .replace("[SUBSYSTEM]", "core")
        .replace("CALLID", "x")
        .replace("TAG", "y")
        .replace("SECONDS", "5")
        .replace("LEVEL", "5")
        .replace('N', "70000");
    let mut lines = vec![String::new()];
    for word in path.split(' ') {
        lines = lines
            .iter()
            .flat_map(|line| word.split('|').map(move |word| format!("{line} {word}")))
            .collect();
    }
    // Of parameters the last one may be one of several.
    let (first, last) = parameters.rsplit_once(' ').unwrap_or(("", &parameters));
    let ends = || last.split('|').map(|last| format!("{first} {last}"));
    lines
        .iter()
        .flat_map(|line| ends().map(move |end| format!("{line} {end}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_narrows_down() {
        let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let all = usage();
        assert!(all.lines().count() == COMMANDS.len());
        let of_get = help(&words("get")).unwrap();
        assert!(of_get.contains("numsessions") && !of_get.contains("terminate"));
        let one = help(&words("set maxsessions")).unwrap();
        assert_eq!(one.lines().count(), 1);
        assert_eq!(help(&words("frob")), None);
        assert_eq!(help(&words("usage more")), None);
    }
}
