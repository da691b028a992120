//! Sections of the configuration file that prefer a codec to others: `[PREFIX-NAME]`, with the prefix that `transcode-config`
//! names.
//!
//! ```text
//! [transcode-1]
//! source = opus                 what is received: NAME[/CLOCK[/CHANNELS]]
//! destination = PCMA/8000       what it is made into
//! preference = 5                above those that nobody speaks of, or with a minus sign below
//! transform = 192.0.2.9:2223    another relay that is to do it, by its ng port; nobody is asked yet
//! ```
//!
//! A section has one of the last two, or both.

use std::net::SocketAddr;
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
    /// 0 where there is no preference.
    weight: i64,
    /// Whether another relay is to do it.
    has_peer: bool,
}

impl Preferences {
    /// How much one codec is wanted for another: 0 where nobody says anything.
    pub fn weight(&self, source: &Codec, destination: &Codec) -> i64 {
        let is_it = |preference: &&Preference| {
            preference.weight != 0
                && preference.source.matches(source)
                && preference.destination.matches(destination)
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

    /// Whether somebody else is to be asked for some of it.
    pub(super) fn names_others(&self) -> bool {
        self.0.iter().any(|preference| preference.has_peer)
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
        let (source, destination) = (
            codec("source", ValueProblem::NoSource)?,
            codec("destination", ValueProblem::NoDestination)?,
        );
        let transform = find("transform");
        if let Some(entry) = transform {
            let peer = entry.value.parse::<SocketAddr>();
            peer.map_err(|_| refuse(path, entry, "transform", ValueProblem::NotAPeer))?;
        }
        let weight = match find("preference") {
            Some(entry) => match entry.value.parse() {
                Ok(0) | Err(_) => {
                    return Err(refuse(path, entry, "preference", ValueProblem::NotAPreference));
                }
                Ok(weight) => weight,
            },
            None if transform.is_some() => 0,
            None => return Err(missing(ValueProblem::NoPreference)),
        };
        Ok(Preference {
            source,
            destination,
            weight,
            has_peer: transform.is_some(),
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
