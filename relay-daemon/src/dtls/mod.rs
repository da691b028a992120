//! DTLS-SRTP (RFC 5763, 5764): who we are in it, and associations with parties.
//!
//! An [`Association`] knows no sockets and no clock. OpenSSL does the handshake; it has randomness of its own.

mod association;
mod context;
pub mod fuzz;
mod identity;
mod timer;

pub use association::{Association, DtlsState};
pub use context::Context;
pub use identity::{Identity, IdentityError, digest};

#[cfg(test)]
mod tests;
