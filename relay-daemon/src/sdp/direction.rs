//! `a=sendrecv` and its like (RFC 8866 section 6.7).

use std::fmt;

/// Which way media flows, seen from whoever says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// The speaker sends.
    SendOnly,
    /// The speaker receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// A direction from its two halves.
    pub fn new(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether the speaker sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the speaker receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same flow seen from the other end.
    pub fn reversed(self) -> Direction {
        Direction::new(self.receives(), self.sends())
    }

    /// The name of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// The attribute of this name, if it is one.
    pub fn named(name: &str) -> Option<Direction> {
        match name {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        }
    }

    /// What counts if both are said, of the same media section or of the session and the section.
    pub(super) fn merged(self, other: Direction) -> Direction {
        [Direction::RecvOnly, Direction::SendOnly, Direction::Inactive]
            .into_iter()
            .find(|direction| *direction == self || *direction == other)
            .unwrap_or_default()
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Direction::{self, *};

    #[test]
    fn names_round_trip() {
        for direction in [SendRecv, SendOnly, RecvOnly, Inactive] {
            assert_eq!(Direction::named(direction.as_str()), Some(direction));
            assert_eq!(direction.reversed().reversed(), direction);
        }
        assert_eq!(Direction::named("SendOnly"), None);
        assert_eq!(SendOnly.reversed(), RecvOnly);
        assert_eq!(Inactive.reversed(), Inactive);
    }

    #[test]
    fn the_narrower_of_two_counts() {
        assert_eq!(SendRecv.merged(RecvOnly), RecvOnly);
        assert_eq!(SendOnly.merged(RecvOnly), RecvOnly);
        assert_eq!(Inactive.merged(SendOnly), SendOnly);
        assert_eq!(SendRecv.merged(Inactive), Inactive);
        assert_eq!(SendRecv.merged(SendRecv), SendRecv);
    }
}
