//! Why an SDP was refused.

/// Why an SDP was refused, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct SdpError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

impl SdpError {
    /// Whether the SDP is well-formed but lacks something: the difference between the replies
    /// `Incomplete SDP specification` (true) and `Failed to parse SDP` (false).
    pub fn is_incomplete(&self) -> bool {
        match self.problem {
            Problem::NoConnection | Problem::PayloadType(_) => true,
            Problem::TooLarge
            | Problem::TooManyLines
            | Problem::TooManyMedia
            | Problem::TooManyFormats
            | Problem::NotVersion0
            | Problem::NotALine
            | Problem::UnknownLine
            | Problem::BlankLine
            | Problem::Origin
            | Problem::Connection
            | Problem::Media => false,
        }
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Longer than [`super::MAX_BYTES`].
    #[error("the SDP is too large")]
    TooLarge,
    /// More than [`super::MAX_LINES`].
    #[error("too many lines")]
    TooManyLines,
    /// More than [`super::MAX_MEDIA`].
    #[error("too many media sections")]
    TooManyMedia,
    /// More than [`super::MAX_FORMATS`] in one media section.
    #[error("too many formats")]
    TooManyFormats,
    /// The first line is not `v=0`, or there is another version.
    #[error("not v=0")]
    NotVersion0,
    /// Not of the form `x=...`.
    #[error("neither a letter nor an equals sign")]
    NotALine,
    /// Of a letter that means nothing, or means nothing below `m=`.
    #[error("no such line here")]
    UnknownLine,
    /// A blank line, where these are refused.
    #[error("a blank line")]
    BlankLine,
    /// `o=` lacks a field, or there is another one.
    #[error("bad o= line")]
    Origin,
    /// `c=` holds no IPv4 or IPv6 address, or there is another one at the same level.
    #[error("bad c= line")]
    Connection,
    /// `m=` lacks a field, or its port is no port.
    #[error("bad m= line")]
    Media,
    /// No `c=` for a media section.
    #[error("no c= line for this media section")]
    NoConnection,
    /// A format of an RTP section that is no payload type.
    #[error("{0:?} is no payload type")]
    PayloadType(String),
}
