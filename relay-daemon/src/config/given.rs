//! What was asked for, still as text: the command line, and the file behind it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Templates;
use super::error::{ConfigError, Origin, ValueProblem};
use super::ini::{Entry, Ini};
use super::options::{self, Kind, OPTIONS, OptionSpec, Support};
use super::preferences::Preferences;
use super::sections::InterfaceSection;

/// The options that were given, by long name.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    settings: BTreeMap<&'static str, Setting>,
    /// Of the file, from the section that the option of this name names.
    pub(super) templates: Templates,
    /// What the sections say that `transcode-config` names.
    pub(super) preferences: Preferences,
    /// What the sections say that `interfaces-config` names.
    pub(super) interfaces: Vec<InterfaceSection>,
    /// What to tell the operator, one line each.
    pub(super) warnings: Vec<String>,
}

/// One option that was given.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Long name.
    pub(super) option: &'static str,
    /// One value, several for a list, none for a flag.
    pub(super) values: Vec<String>,
    /// Where it was given; for a repeated one, the last place.
    pub(super) origin: Origin,
}

impl Given {
    /// Reads the command line; the first argument is the program's name.
    pub(super) fn from_command_line(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Given, ConfigError> {
        let matches = command()
            .try_get_matches_from(arguments)
            .map_err(|error| ConfigError::CommandLine(first_line(&error)))?;
        let mut given = Given::default();
        for option in OPTIONS {
            if let Some(values) = values_of(&matches, option) {
                given.insert(option, values, Origin::CommandLine);
            }
        }
        Ok(given)
    }

    /// Adds what a section of a file says, where the command line says nothing.
    pub(super) fn add_file(&mut self, path: &Path, ini: &Ini, section: &str) -> Result<(), ConfigError> {
        let mut from_file: BTreeMap<&'static str, &Entry> = BTreeMap::new();
        for entry in ini.section(section) {
            let origin = Origin::File(path.to_owned(), entry.line);
            let option = file_option(&entry.key).ok_or_else(|| ConfigError::UnknownKey {
                origin: origin.clone(),
                key: entry.key.clone(),
            })?;
            if let Some(earlier) = from_file.insert(option.name, entry) {
                self.warnings.push(format!(
                    "{origin}: `{}` takes the place of line {}",
                    option.name, earlier.line
                ));
            }
        }
        for (name, entry) in from_file {
            let origin = Origin::File(path.to_owned(), entry.line);
            let Some(option) = options::find(name) else {
                continue;
            };
            let values = file_values(option, entry).map_err(|problem| ConfigError::Value {
                origin: origin.clone(),
                option: name,
                value: entry.value.clone(),
                problem,
            })?;
            if let Some(values) = values
                && !self.settings.contains_key(name)
            {
                self.insert(option, values, origin);
            }
        }
        Ok(())
    }

    /// Adds the sections of a file that describe interfaces, if there are to be any.
    pub(super) fn add_interfaces(&mut self, path: &Path, ini: &Ini) -> Result<(), ConfigError> {
        let Some(prefix) = self.value("interfaces-config").map(str::to_owned) else {
            return Ok(());
        };
        self.interfaces = InterfaceSection::read_all(path, ini, &prefix)?;
        if self.interfaces.is_empty() {
            self.warnings.push(format!(
                "{}: there is no section [{prefix}-NAME] for `interfaces-config`",
                path.display()
            ));
        }
        Ok(())
    }

    /// Adds the sections of a file that prefer codecs, if there are to be any.
    pub(super) fn add_preferences(&mut self, path: &Path, ini: &Ini) -> Result<(), ConfigError> {
        let Some(prefix) = self.value("transcode-config").map(str::to_owned) else {
            return Ok(());
        };
        self.preferences = Preferences::read_all(path, ini, &prefix)?;
        if self.preferences.is_empty() {
            self.warnings.push(format!(
                "{}: there is no section [{prefix}-NAME] for `transcode-config`",
                path.display()
            ));
        }
        if self.preferences.names_others() {
            self.warnings.push(format!(
                "{}: `transform` of [{prefix}-NAME] is known but not built yet: nobody is asked",
                path.display()
            ));
        }
        Ok(())
    }

    /// Adds the templates of a file, if there are to be any.
    pub(super) fn add_templates(&mut self, path: &Path, ini: &Ini) {
        let Some(section) = self.value("templates").map(str::to_owned) else {
            return;
        };
        if !ini.sections.contains(&section) {
            self.warnings.push(format!(
                "{}: there is no section [{section}] for `templates`",
                path.display()
            ));
        }
        self.templates = Templates::of_section(ini, &section);
    }

    /// The setting of an option, if it was given.
    pub(super) fn find(&self, option: &str) -> Option<&Setting> {
        debug_assert!(
            options::find(option).is_some_and(|option| matches!(option.support, Support::Built(_))),
            "{option} is not in the table of built options"
        );
        self.settings.get(option)
    }

    /// Whether a flag was given.
    pub(super) fn has(&self, option: &str) -> bool {
        self.find(option).is_some()
    }

    /// The value of an option, if it was given.
    pub(super) fn value(&self, option: &str) -> Option<&str> {
        self.find(option)
            .and_then(|setting| setting.values.last())
            .map(String::as_str)
    }

    /// Whether an option was given that means nothing here, and would have ended the reference.
    pub(super) fn asks_for_no_action(&self) -> bool {
        OPTIONS.iter().any(|option| {
            option.kind == Kind::Act
                && option.support == Support::Meaningless
                && self.settings.contains_key(option.name)
        })
    }

    fn insert(&mut self, option: &'static OptionSpec, values: Vec<String>, origin: Origin) {
        if option.support == Support::NotBuilt {
            self.warnings.push(format!(
                "{origin}: option `{}` is known but not built yet: ignored",
                option.name
            ));
        }
        let setting = Setting {
            option: option.name,
            values,
            origin,
        };
        self.settings.insert(option.name, setting);
    }
}

/// The text of `--help`.
pub(super) fn help() -> String {
    command().render_help().to_string()
}

fn command() -> Command {
    let named = |support: Support| {
        let options = OPTIONS.iter().filter(|option| option.support == support);
        let names: Vec<_> = options.map(|option| option.name).collect();
        names.join(", ")
    };
    Command::new("relay-daemon")
        .about("A media relay for SIP")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(OPTIONS.iter().map(argument))
        .after_help(format!(
            "Every option but those that act and exit is also a key of the configuration file.\n\
             Accepted, and mean nothing here, as the relay works otherwise: {}.\n\
             Known, accepted with a warning, and not built yet: {}.",
            named(Support::Meaningless),
            named(Support::NotBuilt)
        ))
}

fn argument(option: &OptionSpec) -> Arg {
    let argument = Arg::new(option.name).long(option.name);
    let argument = match option.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    let argument = match option.kind {
        Kind::Flag | Kind::Act => argument.action(ArgAction::SetTrue).overrides_with(option.name),
        Kind::Value(shape) | Kind::List(shape) => argument
            .action(ArgAction::Append)
            .value_name(shape)
            .value_parser(ValueParser::string())
            .allow_negative_numbers(true),
    };
    match option.support {
        Support::Built(help) => argument.help(help),
        Support::Meaningless | Support::NotBuilt => argument.hide(true),
    }
}

fn values_of(matches: &ArgMatches, option: &OptionSpec) -> Option<Vec<String>> {
    match option.kind {
        Kind::Flag | Kind::Act => matches.get_flag(option.name).then(Vec::new),
        Kind::Value(_) | Kind::List(_) => matches
            .get_many::<String>(option.name)
            .map(|values| values.cloned().collect()),
    }
}

/// The option that a key of the file sets.
fn file_option(key: &str) -> Option<&'static OptionSpec> {
    options::find(key).filter(|option| {
        option.kind != Kind::Act && option.name != "config-file" && option.name != "config-section"
    })
}

/// The values of an entry; none if it leaves a flag off or a list empty.
fn file_values(option: &OptionSpec, entry: &Entry) -> Result<Option<Vec<String>>, ValueProblem> {
    match option.kind {
        Kind::Flag | Kind::Act => match entry.value.as_str() {
            "true" | "1" => Ok(Some(Vec::new())),
            "false" | "0" => Ok(None),
            _ => Err(ValueProblem::NotABoolean),
        },
        Kind::Value(_) => Ok(Some(vec![entry.value.clone()])),
        Kind::List(_) => {
            let values: Vec<_> = entry
                .value
                .split(';')
                .map(str::trim)
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
                .collect();
            Ok((!values.is_empty()).then_some(values))
        }
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or("bad command line");
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
