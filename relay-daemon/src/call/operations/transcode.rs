//! What the operator must know of codecs that do not come together.

use crate::call::model::flow::PartyId;
use crate::call::model::state::Call;

impl Call {
    /// What was asked for in a message and cannot be done yet.
    pub(in crate::call) fn warning(&self, receiver: PartyId) -> Option<&'static str> {
        let media = self.party(receiver).media.iter();
        media.filter_map(|media| media.transcoding.warning()).next()
    }
}
