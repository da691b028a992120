//! The reader of configuration files: `[section]`, `key = value`, comments with `#` or `;` at the start
//! of a line. Nothing is interpreted here but the lines.

/// A parsed file: its entries in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ini {
    /// Names of the sections, in order; one that is opened twice is in here twice.
    pub sections: Vec<String>,
    /// All entries.
    pub entries: Vec<Entry>,
}

/// One `key = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The section it stands in.
    pub section: String,
    /// The key, without surrounding white space.
    pub key: String,
    /// The value, without surrounding white space; may be empty.
    pub value: String,
    /// Line number, from 1.
    pub line: usize,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct IniError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: IniProblem,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IniProblem {
    /// `[name` without `]`, or text after it.
    #[error("a section is opened by `[name]` alone on a line")]
    BadSection,
    /// No `=`, or nothing before it.
    #[error("expected `key = value`, `[section]` or a comment")]
    NotAnEntry,
    /// An entry before the first section.
    #[error("this entry belongs to no section: a `[section]` line must come first")]
    NoSection,
}

impl Ini {
    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<Ini, IniError> {
        let mut ini = Ini::default();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            ini.read_line(line.trim(), number).map_err(|problem| IniError {
                line: number,
                problem,
            })?;
        }
        Ok(ini)
    }

    /// The entries of a section, in order.
    pub fn section<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.section == name)
    }

    fn read_line(&mut self, line: &str, number: usize) -> Result<(), IniProblem> {
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.strip_suffix(']').ok_or(IniProblem::BadSection)?.trim();
            if name.is_empty() || name.contains(['[', ']']) {
                return Err(IniProblem::BadSection);
            }
            self.sections.push(name.to_owned());
            return Ok(());
        }
        let (key, value) = line.split_once('=').ok_or(IniProblem::NotAnEntry)?;
        let key = key.trim();
        if key.is_empty() {
            return Err(IniProblem::NotAnEntry);
        }
        let section = self.sections.last().ok_or(IniProblem::NoSection)?.clone();
        self.entries.push(Entry {
            section,
            key: key.to_owned(),
            value: value.trim().to_owned(),
            line: number,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(text: &str) -> (usize, IniProblem) {
        let error = Ini::parse(text).unwrap_err();
        (error.line, error.problem)
    }

    #[test]
    fn reads_sections_entries_and_comments() {
        let text = "# head\n\n[a]\nx = 1\n ; no\ny=two words # kept\n[ b ]\r\nx=\r\n[a]\nz = p=q\n";
        let ini = Ini::parse(text).unwrap();
        assert_eq!(ini.sections, ["a", "b", "a"]);
        let of_a: Vec<_> = ini
            .section("a")
            .map(|entry| (entry.key.as_str(), entry.value.as_str(), entry.line))
            .collect();
        assert_eq!(
            of_a,
            [("x", "1", 4), ("y", "two words # kept", 6), ("z", "p=q", 10)]
        );
        assert_eq!(ini.section("b").next().unwrap().value, "");
        assert_eq!(ini.section("c").count(), 0);
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        assert_eq!(problem("x = 1"), (1, IniProblem::NoSection));
        assert_eq!(problem("[a]\nx"), (2, IniProblem::NotAnEntry));
        assert_eq!(problem("[a]\n= 1"), (2, IniProblem::NotAnEntry));
        assert_eq!(problem("\n[a"), (2, IniProblem::BadSection));
        assert_eq!(problem("[]"), (1, IniProblem::BadSection));
        assert_eq!(problem("[a] # why"), (1, IniProblem::BadSection));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]=;# \\na-z\\PC]{0,200}") {
            if let Ok(ini) = Ini::parse(&text) {
                prop_assert!(ini.entries.len() + ini.sections.len() <= text.lines().count());
            }
        }

        #[test]
        fn reads_what_was_written(
            section in "[a-z-]{1,10}",
            entries in prop::collection::vec(("[a-z-]{1,10}", "([!-~]([ -~]{0,20}[!-~])?)?"), 0..8),
        ) {
            let mut text = format!("[{section}]\n");
            for (key, value) in &entries {
                text.push_str(&format!("{key} = {value}\n"));
            }
            let read: Vec<_> = Ini::parse(&text)
                .unwrap()
                .section(&section)
                .map(|entry| (entry.key.clone(), entry.value.clone()))
                .collect();
            prop_assert_eq!(read, entries);
        }
    }
}
