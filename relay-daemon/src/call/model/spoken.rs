//! What a party speaks where there is a gateway for T.38.

use crate::sdp::Codec;

/// What a party speaks in a section for which there is a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::call) enum Speaks {
    /// T.38, and the other party audio.
    Fax,
    /// Audio, with these codecs, and the other party T.38.
    Audio(Vec<Codec>),
}
