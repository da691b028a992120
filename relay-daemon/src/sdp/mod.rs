//! Session descriptions (RFC 8866): tolerant parsing, nothing lost, one writer.

/// Why an SDP was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {}
