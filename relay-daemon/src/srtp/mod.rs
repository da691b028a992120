//! SRTP and SRTCP (RFC 3711; suites of RFC 4568, 6188 and 7714): packets are protected and unprotected in place.
//!
//! An [`Inbound`] holds what one party protects its media with, an [`Outbound`] what media for it is protected with. Both
//! keep the position of each SSRC (rollover counter, highest sequence number, replay window) as long as the key: of
//! [`MAX_SOURCES`] at most, others are refused. An [`Inbound`] knows an SSRC only once a packet of it was authentic. Nothing
//! here allocates per packet.

mod derive;
mod fuzz;
mod header;
mod inbound;
mod keys;
mod outbound;
mod position;
mod sources;
mod transform;

pub use fuzz::{fuzz_rtcp, fuzz_rtp};
pub use inbound::{Inbound, Opened};
pub use outbound::Outbound;
pub use position::Position;
pub use sources::{Hint, MAX_SOURCES, SourceState, State};

/// No packet grows by more bytes than these: a tag, an SRTCP index and the longest MKI.
pub const MAX_TRAILER: usize = 16 + 4 + 255;

/// SRTCP indices below are those of a peer that has the same key as we, ours begin here: two packets with the same one would
/// have the same key stream. A peer never gets that far, unless it means harm.
pub const PEER_RTCP_INDICES: u32 = 1 << 30;

/// Why a packet cannot be protected or unprotected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum Error {
    /// Its tag is wrong.
    Authentication,
    /// It came before, or is so old that nobody knows.
    Replayed,
    /// It has no room for what it must contain.
    TooShort,
    /// It is protected with a master key that was not agreed on (its MKI is another one).
    UnknownKey,
    /// There is no room for the trailer behind it, or none to check it in.
    TooLong,
    /// So many packets were protected with the key that it must not be used any more (RFC 3711 section 9.2), or so many SSRCs
    /// that no more are kept apart.
    Exhausted,
    /// The DTLS handshake that yields the keys is not over.
    NoKeys,
}

impl Error {
    /// All of them, in order.
    pub const ALL: [Error; 7] = [
        Error::Authentication,
        Error::Replayed,
        Error::TooShort,
        Error::UnknownKey,
        Error::TooLong,
        Error::Exhausted,
        Error::NoKeys,
    ];

    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Error::Authentication => "authentication failed",
            Error::Replayed => "replayed",
            Error::TooShort => "too short",
            Error::UnknownKey => "unknown master key",
            Error::TooLong => "too long",
            Error::Exhausted => "key exhausted",
            Error::NoKeys => "no keys yet",
        }
    }
}

#[cfg(test)]
mod tests;
