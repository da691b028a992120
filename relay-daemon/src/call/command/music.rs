//! Music on hold, as a message asks for it.

use std::fmt;

/// Music for whom a party holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Music {
    /// Where it comes from.
    pub source: MusicSource,
    /// Whether it exists.
    pub is_there: bool,
}

/// Where music comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MusicSource {
    /// `file`.
    File,
    /// `blob`: in the message.
    Blob,
    /// `db-id`: there is no database.
    Database,
}

impl fmt::Display for MusicSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MusicSource::File => "file",
            MusicSource::Blob => "blob",
            MusicSource::Database => "database",
        })
    }
}
