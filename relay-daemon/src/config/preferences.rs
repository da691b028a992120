//! Sections of the configuration file that prefer a codec to others: `[PREFIX-NAME]`, with the prefix that `transcode-config`
//! names.
//!
//! ```text
//! [transcode-1]
//! source = opus                 what is received: NAME[/CLOCK[/CHANNELS]]
//! destination = PCMA/8000       what it is made into
//! preference = 5                above those that nobody speaks of, or with a minus sign below
//! ```

use std::path::Path;

use super::error::{ConfigError, Origin, ValueProblem};
use super::ini::{Entry, Ini};
use crate::sdp::{Codec, CodecPattern};

/// Which codec is made of another one, where there is a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preferences(Vec<Preference>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Preference {
    source: CodecPattern,
    destination: CodecPattern,
    weight: i64,
}

impl Preferences {
    /// How much one codec is wanted for another: 0 where nobody says anything.
    pub fn weight(&self, source: &Codec, destination: &Codec) -> i64 {
        let is_it = |preference: &&Preference| {
            preference.source.matches(source) && preference.destination.matches(destination)
        };
        self.0
            .iter()
            .find(is_it)
            .map_or(0, |preference| preference.weight)
    }

    /// All sections of a file whose names begin with the prefix and a hyphen, in the order of the file.
    pub(super) fn read_all(path: &Path, ini: &Ini, prefix: &str) -> Result<Preferences, ConfigError> {
        let mut preferences = Vec::new();
        for section in &ini.sections {
            let name = section
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_prefix('-'));
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                preferences.push(Preference::read(path, ini, section, name)?);
            }
        }
        Ok(Preferences(preferences))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Preference {
    fn read(path: &Path, ini: &Ini, section: &str, name: &str) -> Result<Preference, ConfigError> {
        let first = ini.section(section).next().map_or(0, |entry| entry.line);
        let missing = |problem| ConfigError::Value {
            origin: Origin::File(path.to_owned(), first),
            option: "transcode-config",
            value: name.to_owned(),
            problem,
        };
        let find = |key: &str| ini.section(section).filter(|entry| entry.key == key).last();
        let codec = |key: &'static str, problem| {
            let entry = find(key).ok_or_else(|| missing(problem))?;
            match entry.value.is_empty() {
                true => Err(refuse(path, entry, key, ValueProblem::NotACodec)),
                false => Ok(CodecPattern::from(entry.value.as_str())),
            }
        };
        let weight = find("preference").ok_or_else(|| missing(ValueProblem::NoPreference))?;
        Ok(Preference {
            source: codec("source", ValueProblem::NoSource)?,
            destination: codec("destination", ValueProblem::NoDestination)?,
            weight: match weight.value.parse() {
                Ok(0) | Err(_) => {
                    return Err(refuse(path, weight, "preference", ValueProblem::NotAPreference));
                }
                Ok(weight) => weight,
            },
        })
    }
}

fn refuse(path: &Path, entry: &Entry, key: &'static str, problem: ValueProblem) -> ConfigError {
    ConfigError::Value {
        origin: Origin::File(path.to_owned(), entry.line),
        option: key,
        value: entry.value.clone(),
        problem,
    }
}
