//! What is wrong with requests without being an error: said once per process, then passed over in silence.

use std::collections::HashSet;

/// How many different notices are given: the names in them come from outside.
const MOST: usize = 1000;

/// Longer names are cut.
const LONGEST: usize = 100;

/// The notices given so far.
#[derive(Debug, Default)]
pub(super) struct Notices {
    given: HashSet<(Notice, String)>,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Notice {
    /// Nobody knows this key.
    UnknownKey,
    /// Nobody knows this flag.
    UnknownFlag,
    /// The reference has this key or flag, we do not have it yet.
    NotSupportedYet,
    /// The value means nothing to this key; given as `KEY=VALUE`.
    BadValue,
}

impl Notices {
    /// Gives a notice, unless it has been given before; tells whether it was new.
    pub(super) fn give(&mut self, notice: Notice, name: &str) -> bool {
        let name: String = name.chars().take(LONGEST).collect();
        if self.given.len() >= MOST || !self.given.insert((notice, name.clone())) {
            return false;
        }
        let what = match notice {
            Notice::UnknownKey => "unknown key ignored",
            Notice::UnknownFlag => "unknown flag ignored",
            Notice::NotSupportedYet => "option ignored: not supported yet",
            Notice::BadValue => "bad value ignored",
        };
        tracing::warn!(name, "{what} (said once)");
        true
    }

    /// Whether a notice has been given.
    #[cfg(test)]
    pub(super) fn has(&self, notice: Notice, name: &str) -> bool {
        self.given.contains(&(notice, name.to_owned()))
    }

    /// How many notices have been given.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.given.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_given_once() {
        let mut notices = Notices::default();
        assert!(notices.give(Notice::UnknownKey, "frob"));
        assert!(!notices.give(Notice::UnknownKey, "frob"));
        assert!(notices.give(Notice::UnknownFlag, "frob"));
    }

    #[test]
    fn the_memory_of_notices_is_bounded() {
        let mut notices = Notices::default();
        let given = (0..5000).filter(|number| notices.give(Notice::UnknownKey, &number.to_string()));
        assert_eq!(given.count(), MOST);
        assert!(!Notices::default().has(Notice::UnknownKey, "x"));

        let mut notices = Notices::default();
        notices.give(Notice::UnknownKey, &"é".repeat(5000));
        assert!(notices.has(Notice::UnknownKey, &"é".repeat(LONGEST)));
    }
}
