//! Music on hold (`moh`): who asked for it. There is no player yet: who is on hold hears nothing. Where the music does not
//! exist at all nobody can be put on hold, as if the player did not start.

use std::fmt;

use crate::sdp::Description;

use super::MediaError;
use super::state::Party;

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

impl Party {
    /// The party makes an offer, and perhaps asks for music. Refused if it holds without any.
    pub(super) fn play_music(
        &mut self,
        asked_for: Option<Music>,
        offer: &Description,
    ) -> Result<(), MediaError> {
        self.music = asked_for.or(self.music);
        let mut sections = offer.media.iter().filter(|section| !section.is_rejected());
        match self.music {
            Some(music) if !music.is_there && sections.any(|section| !section.direction.receives()) => {
                Err(MediaError::NoMusic(music.source))
            }
            Some(_) | None => Ok(()),
        }
    }
}
