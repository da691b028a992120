//! Sections of the configuration file that describe an interface each: `[PREFIX-NAME]`, with the prefix that
//! `interfaces-config` names.
//!
//! ```text
//! [interface-pub]
//! address = 192.0.2.10          as in the option interface; one
//! advertised = 203.0.113.5
//! name = pub                    default: what follows the prefix
//! alias = other                 without an address: NAME is another name for `other`; with one: `other` for NAME
//! port-min = 20000
//! port-max = 29999
//! exclude-ports = 20010; 20100-20199
//! ```

use std::ops::RangeInclusive;
use std::path::Path;

use super::error::{ConfigError, Origin, ValueProblem};
use super::ini::{Entry, Ini};
use super::interfaces::SystemAddresses;
use super::{Interfaces, PortRange};

const KEYS: [&str; 7] = [
    "address",
    "advertised",
    "name",
    "alias",
    "port-min",
    "port-max",
    "exclude-ports",
];

/// A section, its values still as text.
#[derive(Clone, Debug)]
pub(super) struct InterfaceSection {
    /// What follows the prefix.
    name: String,
    /// The section's first line.
    origin: Origin,
    values: Vec<Value>,
}

#[derive(Clone, Debug)]
struct Value {
    key: &'static str,
    text: String,
    origin: Origin,
}

impl InterfaceSection {
    /// All sections of a file whose names begin with the prefix and a hyphen, in the order of the file.
    pub(super) fn read_all(
        path: &Path,
        ini: &Ini,
        prefix: &str,
    ) -> Result<Vec<InterfaceSection>, ConfigError> {
        let mut sections: Vec<InterfaceSection> = Vec::new();
        for section in &ini.sections {
            let name = section
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_prefix('-'));
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                continue;
            };
            if sections.iter().any(|known| known.name == name) {
                continue;
            }
            let entries: Vec<&Entry> = ini.section(section).collect();
            let line = entries.first().map_or(0, |entry| entry.line);
            let values = entries.into_iter().map(|entry| Value::read(path, entry));
            sections.push(InterfaceSection {
                name: name.to_owned(),
                origin: Origin::File(path.to_owned(), line),
                values: values.collect::<Result<_, _>>()?,
            });
        }
        Ok(sections)
    }

    /// Adds the interface. `default` are the ports of addresses that have none of their own.
    pub(super) fn add_to(
        &self,
        interfaces: &mut Interfaces,
        default: &RangeInclusive<u16>,
        system: &SystemAddresses,
    ) -> Result<(), ConfigError> {
        let name = self.find("name").map_or(&self.name[..], |value| &value.text);
        let alias = self.find("alias");
        let Some(address) = self.find("address") else {
            let alias = alias.ok_or_else(|| self.refuse(ValueProblem::NoAddressGiven))?;
            return interfaces
                .add_alias(name, &alias.text)
                .map_err(|problem| alias.refuse(problem));
        };
        let advertised = self.find("advertised").map(|value| &value.text[..]);
        let ports = self.ports(default)?;
        let added = interfaces.add_parts(name, &address.text, advertised, ports.as_ref(), system);
        added.map_err(|problem| address.refuse(problem))?;
        if let Some(alias) = alias {
            let made = interfaces.add_alias(&alias.text, name);
            made.map_err(|problem| alias.refuse(problem))?;
        }
        Ok(())
    }

    /// The ports that the section asks for; none if it leaves them to the general options.
    fn ports(&self, default: &RangeInclusive<u16>) -> Result<Option<PortRange>, ConfigError> {
        let [min, max, excluded] = ["port-min", "port-max", "exclude-ports"].map(|key| self.find(key));
        let Some(any) = min.or(max).or(excluded) else {
            return Ok(None);
        };
        let bound = |value: Option<&Value>, default: u16| match value {
            None => Ok(default),
            Some(value) => port(&value.text)
                .ok_or_else(|| value.refuse(ValueProblem::NotInRange(1, i64::from(u16::MAX)))),
        };
        let range = PortRange {
            ports: bound(min, *default.start())?..=bound(max, *default.end())?,
            excluded: match excluded {
                None => Vec::new(),
                Some(value) => ranges(&value.text).ok_or_else(|| value.refuse(ValueProblem::NotPorts))?,
            },
        };
        if range.ports.is_empty() {
            let (min, max) = range.ports.into_inner();
            return Err(ConfigError::EmptyPortRange(min, max));
        }
        let is_left = |port: u16| !range.excluded.iter().any(|excluded| excluded.contains(&port));
        if !range.ports.clone().any(is_left) {
            return Err(any.refuse(ValueProblem::NoPorts));
        }
        Ok(Some(range))
    }

    /// The last value of a key.
    fn find(&self, key: &str) -> Option<&Value> {
        self.values.iter().rev().find(|value| value.key == key)
    }

    fn refuse(&self, problem: ValueProblem) -> ConfigError {
        ConfigError::Value {
            origin: self.origin.clone(),
            option: "interfaces-config",
            value: self.name.clone(),
            problem,
        }
    }
}

impl Value {
    fn read(path: &Path, entry: &Entry) -> Result<Value, ConfigError> {
        let origin = Origin::File(path.to_owned(), entry.line);
        let key = KEYS.into_iter().find(|key| *key == entry.key);
        let key = key.ok_or_else(|| ConfigError::UnknownKey {
            origin: origin.clone(),
            key: entry.key.clone(),
        })?;
        Ok(Value {
            key,
            text: entry.value.clone(),
            origin,
        })
    }

    fn refuse(&self, problem: ValueProblem) -> ConfigError {
        ConfigError::Value {
            origin: self.origin.clone(),
            option: self.key,
            value: self.text.clone(),
            problem,
        }
    }
}

/// `PORT` or `PORT-PORT`, several separated by `;`.
fn ranges(text: &str) -> Option<Vec<RangeInclusive<u16>>> {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let range = port(first.trim())?..=port(last.trim())?;
            (!range.is_empty()).then_some(range)
        })
        .collect()
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}
