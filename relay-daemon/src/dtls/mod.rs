//! DTLS-SRTP (RFC 5763, 5764): who we are in it, and associations with parties.
//!
//! An [`Association`] knows no sockets and no clock. OpenSSL does the handshake; it has randomness of its own.

mod association;
mod context;
mod cookie;
mod credentials;
pub mod fuzz;
mod identity;
mod listen;
mod timer;

pub use association::{Association, DtlsState, is_client_hello};
pub use context::Context;
pub use cookie::{ClientHello, Cookies};
pub use credentials::{Credentials, CredentialsError};
pub use identity::{Identity, digest};

#[cfg(test)]
mod tests;
