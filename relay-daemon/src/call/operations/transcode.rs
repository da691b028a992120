//! What it takes to bring the codecs of two parties together. The media does not follow yet: it passes as it is.

use crate::call::model::flow::PartyId;
use crate::call::model::state::Call;

impl Call {
    /// What was asked for in a message and cannot be done yet.
    pub(in crate::call) fn warning(&self, receiver: PartyId) -> Option<&'static str> {
        let media = self.party(receiver).media.iter();
        media.filter_map(|media| media.transcoding.warning()).next()
    }
}
