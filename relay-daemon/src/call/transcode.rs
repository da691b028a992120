//! What it takes to bring the codecs of two parties together. The media does not follow yet: it passes as it is.

use super::state::{Call, PartyId};

/// What it takes to bring both sides of a section together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Transcoding {
    /// Nothing.
    #[default]
    None,
    /// The party may choose a codec that the other one does not have.
    Offered,
    /// One of both uses a codec that the other one does not have.
    Needed,
    /// The party has answered with a codec that was added to the offer.
    Answered,
}

impl Transcoding {
    /// What the operator must know.
    pub(super) fn warning(self) -> Option<&'static str> {
        match self {
            Transcoding::None => None,
            Transcoding::Offered => {
                Some("codecs were added to the offer, but there is no transcoding yet: media passes as it is")
            }
            Transcoding::Needed | Transcoding::Answered => {
                Some("the sides use different codecs, but there is no transcoding yet: media passes as it is")
            }
        }
    }
}

impl Call {
    /// What was asked for in a message and cannot be done yet.
    pub(super) fn warning(&self, receiver: PartyId) -> Option<&'static str> {
        let media = self.party(receiver).media.iter();
        media.filter_map(|media| media.transcoding.warning()).next()
    }
}
