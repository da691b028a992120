//! Music on hold (`moh`): who asked for it. There is no player yet: who is on hold hears nothing. Where the music does not
//! exist at all nobody can be put on hold, as if the player did not start.

use crate::call::command::{MediaError, Music};
use crate::call::model::dialogue::Dialogue;
use crate::call::model::state::Call;
use crate::call::section::environment::Environment;
use crate::call::section::kind::Kind;
use crate::sdp::{Description, Text};

impl Call {
    /// A party sends an SDP, and may ask for music with an offer. The result is what tells the receiver that music plays for
    /// it, if that is to be told. Refused if the sender holds with music that does not exist.
    pub(in crate::call) fn follow_music(
        &mut self,
        kind: Kind,
        dialogue: Dialogue,
        asked_for: Option<Music>,
        description: &Description,
        environment: &Environment,
    ) -> Result<Option<Text>, MediaError> {
        let settings = &environment.settings.music;
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
