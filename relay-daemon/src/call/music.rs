//! Music on hold (`moh`): who asked for it. There is no player yet: who is on hold hears nothing. Where the music does not
//! exist at all nobody can be put on hold, as if the player did not start.

use std::fmt;

use crate::sdp::{Description, Text};

use super::MediaError;
use super::dialogue::Dialogue;
use super::negotiate::Kind;
use super::premises::Premises;
use super::state::Call;

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

impl Call {
    /// A party sends an SDP, and may ask for music with an offer. The result is what tells the receiver that music plays for
    /// it, if that is to be told. Refused if the sender holds with music that does not exist.
    pub(super) fn follow_music(
        &mut self,
        kind: Kind,
        dialogue: Dialogue,
        asked_for: Option<Music>,
        description: &Description,
        premises: &Premises,
    ) -> Result<Option<Text>, MediaError> {
        let settings = &premises.settings.music;
        let says = |name: &Text| {
            let mut attributes = description.attributes.iter();
            attributes.any(|attribute| attribute.name() == &**name)
        };
        let brings_music = settings.attribute.as_ref().is_some_and(says);
        let receiver_brings_music = self.party(dialogue.receiver).brings_music;
        let sender = self.party_mut(dialogue.sender);
        sender.brings_music = brings_music;
        if kind == Kind::Answer {
            return Ok(None);
        }
        sender.music = asked_for.or(sender.music);
        let mut sections = description.media.iter().filter(|section| !section.is_rejected());
        let holds = sections.any(|section| !section.direction.receives());
        let is_held_back = settings.prevent_double_hold && receiver_brings_music;
        match sender.music.filter(|_| holds && !is_held_back) {
            Some(music) if !music.is_there => Err(MediaError::NoMusic(music.source)),
            // What the sender says itself is passed on.
            Some(_) if !brings_music => Ok(settings.attribute.clone()),
            Some(_) | None => Ok(None),
        }
    }
}
