//! Whether the codecs of two parties come together. The media does not follow yet: it passes as it is.

/// What it takes to bring both sides of a section together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Transcoding {
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
    pub(in crate::call) fn warning(self) -> Option<&'static str> {
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
