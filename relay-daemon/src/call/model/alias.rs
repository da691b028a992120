//! What a party is known by besides its tag.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::call::command::AliasKey;
use crate::sdp::Description;

/// What a party can be recognised by when it comes with another tag (`alias-key`).
#[derive(Clone, Debug, PartialEq)]
pub(in crate::call) enum PartyIdentity {
    Sdp(Arc<Description>),
    Address(SocketAddr),
}

impl PartyIdentity {
    pub(in crate::call) fn of(description: &Description, key: AliasKey) -> Option<PartyIdentity> {
        match key {
            AliasKey::Off => None,
            AliasKey::Sdp => Some(PartyIdentity::Sdp(Arc::new(description.clone()))),
            AliasKey::Address => {
                let section = description.media.first()?;
                Some(PartyIdentity::Address(SocketAddr::new(
                    section.address?,
                    section.port,
                )))
            }
        }
    }
}
