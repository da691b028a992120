//! RTP header extensions by their identifiers (RFC 8285).

/// A set of identifiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identifiers([u64; 4]);

/// Which header extensions pass to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionFilter {
    /// Those that both sides have agreed on. All others go.
    pub passes: Identifiers,
    /// Whether they are sent in the form that has room for all identifiers (RFC 8285 section 4.3).
    pub two_bytes: bool,
    /// Whether the sender has said that it uses others.
    pub removes: bool,
}

impl Identifiers {
    /// Whether an identifier is among them.
    pub fn contains(&self, identifier: u8) -> bool {
        self.0[usize::from(identifier / 64)] >> (identifier % 64) & 1 == 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// The greatest one.
    pub fn greatest(&self) -> Option<u8> {
        (0..=u8::MAX).rev().find(|identifier| self.contains(*identifier))
    }

    /// All but one.
    #[must_use]
    pub fn without(mut self, identifier: Option<u8>) -> Identifiers {
        if let Some(identifier) = identifier {
            self.0[usize::from(identifier / 64)] &= !(1 << (identifier % 64));
        }
        self
    }

    /// Those that are in another set as well.
    #[must_use]
    pub fn and(&self, other: &Identifiers) -> Identifiers {
        let mut both = *self;
        for (word, other) in both.0.iter_mut().zip(other.0) {
            *word &= other;
        }
        both
    }
}

impl FromIterator<u8> for Identifiers {
    fn from_iter<I: IntoIterator<Item = u8>>(all: I) -> Identifiers {
        let mut identifiers = Identifiers::default();
        for identifier in all {
            identifiers.0[usize::from(identifier / 64)] |= 1 << (identifier % 64);
        }
        identifiers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_identifiers() {
        let one: Identifiers = [1, 14, 200].into_iter().collect();
        let other: Identifiers = [14, 63, 64, 255].into_iter().collect();
        assert_eq!(one.and(&other), [14].into_iter().collect());
        assert_eq!(one.without(Some(200)).greatest(), Some(14));
        assert_eq!(one.without(None), one);
        assert_eq!((one.greatest(), other.greatest()), (Some(200), Some(255)));
        assert_eq!(Identifiers::default().greatest(), None);
        assert!(Identifiers::default().is_empty() && !one.is_empty());
    }
}
