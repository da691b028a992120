//! `templates`: options of messages, kept in the configuration under a name.

use std::collections::BTreeMap;

use super::ini::Ini;

/// Option strings (ng key `rtpp-flags`) by name. One named `default` applies to every message, one named like a
/// command to the messages of that command, any other where a message names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates(BTreeMap<String, String>);

impl Templates {
    /// The entries of a section of a file. A later entry of a name takes the place of an earlier one.
    pub fn of_section(ini: &Ini, section: &str) -> Templates {
        let entries = ini.section(section);
        Templates(
            entries
                .map(|entry| (entry.key.clone(), entry.value.clone()))
                .collect(),
        )
    }

    /// The option string of a name.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
