//! STUN as ICE uses it (RFC 8489, 8445): binding requests and their answers.
//!
//! [`Message::parse`] reads a datagram without copying it, [`Writer`] appends a message to a buffer that is reused, and
//! [`Key`] is the password that messages are signed with. Nothing here allocates per message.

pub mod fuzz;
mod integrity;
mod message;
mod write;

pub use integrity::Key;
pub use message::{Claim, Class, Message, ParseError, TransactionId};
pub use write::Writer;

/// Bytes of a header.
const HEADER: usize = 20;
/// Tells STUN from its predecessor.
const MAGIC_COOKIE: u32 = 0x2112_A442;
/// The only method in use.
const BINDING: u16 = 1;
/// What the checksum of `FINGERPRINT` is combined with.
const FINGERPRINT_MASK: u32 = 0x5354_554e;

/// Types of attributes (RFC 8489 section 18.3, RFC 8445 section 20.1).
mod attribute {
    pub(super) const MAPPED_ADDRESS: u16 = 0x0001;
    pub(super) const USERNAME: u16 = 0x0006;
    pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(super) const ERROR_CODE: u16 = 0x0009;
    pub(super) const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
    pub(super) const REALM: u16 = 0x0014;
    pub(super) const NONCE: u16 = 0x0015;
    pub(super) const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
    pub(super) const PASSWORD_ALGORITHM: u16 = 0x001D;
    pub(super) const USERHASH: u16 = 0x001E;
    pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(super) const SOFTWARE: u16 = 0x8022;
    pub(super) const PRIORITY: u16 = 0x0024;
    pub(super) const USE_CANDIDATE: u16 = 0x0025;
    pub(super) const FINGERPRINT: u16 = 0x8028;
    pub(super) const ICE_CONTROLLED: u16 = 0x8029;
    pub(super) const ICE_CONTROLLING: u16 = 0x802A;
}

/// Error codes (RFC 8489 section 14.8, RFC 8445 section 7.3.1.1).
pub mod code {
    /// The request lacks something.
    pub const BAD_REQUEST: u16 = 400;
    /// Wrong user or password.
    pub const UNAUTHENTICATED: u16 = 401;
    /// The request has an attribute that must be understood and is not.
    pub const UNKNOWN_ATTRIBUTE: u16 = 420;
    /// Both agents think that they are controlling, or controlled.
    pub const ROLE_CONFLICT: u16 = 487;
}

#[cfg(test)]
mod tests;
