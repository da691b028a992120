//! DTLS-SRTP: so far, who we are in it.

mod identity;

pub use identity::{Identity, IdentityError};
