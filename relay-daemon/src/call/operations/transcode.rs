//! What the operator must know of codecs that do not come together.

use crate::call::model::flow::PartyId;
use crate::call::model::state::Call;
use crate::call::model::transcoding::Transcoding;
use crate::call::section::codecs::{coding, is_supplemental};
use crate::sdp::MediaKind;

impl Call {
    /// A codec of a party that would have to be translated, and cannot be on this machine.
    pub(in crate::call) fn unavailable_codec(&self, party: PartyId) -> Option<String> {
        let media = self.party(party).media.iter();
        let translated =
            media.filter(|media| media.transcoding != Transcoding::None && media.kind == MediaKind::Audio);
        let codecs = translated.flat_map(|media| &media.codecs);
        let unavailable = codecs.filter(|codec| !is_supplemental(codec) && coding(codec).is_none());
        unavailable
            .filter_map(|codec| Some(codec.rtpmap.as_ref()?.to_string()))
            .next()
    }
}
