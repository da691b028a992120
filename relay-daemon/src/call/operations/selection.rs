//! Which parties a command is about.

use crate::call::command::{MediaError, PartyChoice, SourceChoice};
use crate::call::model::flow::PartyId;
use crate::call::model::state::Call;

impl Call {
    /// The party that is meant.
    pub(in crate::call) fn choose(&self, choice: &PartyChoice) -> Result<PartyId, MediaError> {
        match choice {
            PartyChoice::Label(label) => self
                .present()
                .find(|party| self.party(*party).label.as_ref() == Some(label))
                .ok_or(MediaError::NoLabel),
            PartyChoice::Address(address) => {
                let address = address.ok_or(MediaError::BadAddress)?;
                let is_there = |party: &PartyId| {
                    // Also where it has rejected the section since.
                    let media = self.party(*party).media.iter();
                    let mut stated = media.filter_map(|media| media.endpoints.stated);
                    stated.any(|stated| stated.rtp.ip() == address)
                };
                self.present().find(is_there).ok_or(MediaError::NoAddress)
            }
            PartyChoice::Tag(tag) => self.tagged(tag).ok_or(MediaError::NoFromTag),
        }
    }

    /// The parties that are meant, each once. None if nobody is.
    pub(in crate::call) fn choose_sources(&self, choice: &SourceChoice) -> Result<Vec<PartyId>, MediaError> {
        let mut parties: Vec<PartyId> = Vec::new();
        match choice {
            SourceChoice::Nobody => {}
            SourceChoice::One(choice) => parties.push(self.choose(choice)?),
            SourceChoice::Tags(tags) => {
                // Those that are not there are passed over.
                for party in tags.iter().filter_map(|tag| self.tagged(tag)) {
                    if !parties.contains(&party) {
                        parties.push(party);
                    }
                }
            }
            SourceChoice::All => {
                let in_dialogue = |party: &PartyId| {
                    let party = self.party(*party);
                    let talks = !party.peers.is_empty() || !party.known_parties.is_empty();
                    talks && party.remote_description.is_some()
                };
                parties.extend(self.present().filter(in_dialogue));
            }
        }
        Ok(parties)
    }
}
