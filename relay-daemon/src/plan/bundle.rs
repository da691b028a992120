//! Streams that share one transport (BUNDLE, RFC 9143).

use std::sync::Arc;

use super::{PayloadTypes, StreamId};

/// A stream in a group whose packets may all arrive at the ports of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundlePlan {
    /// The stream at whose ports packets for the whole group arrive; this one, for the first of the group.
    pub lead: StreamId,
    /// Whether the party is known to be on the lead's transport: what is sent to it leaves by the lead's ports. Else the
    /// stream has ports of its own besides.
    pub joined: bool,
    /// What is known of the stream's packets.
    pub marks: Marks,
}

/// A header extension with the identification of a section (RFC 9143 section 15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The extension's identifier.
    pub identifier: u8,
    /// `a=mid`
    pub mid: Arc<str>,
}

/// How the packets of a stream are told from those of others that arrive at the same port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Its media identifications (`a=mid`): that which the party was told, and that which it says itself.
    pub mids: Vec<Arc<str>>,
    /// Identifier of the header extension that holds the identification (RFC 9143 section 15); none if it is not
    /// negotiated.
    pub mid_extension: Option<u8>,
    /// SSRCs that the party announces (`a=ssrc`).
    pub ssrcs: Vec<u32>,
    /// Payload types that the party may send.
    pub payload_types: PayloadTypes,
}
