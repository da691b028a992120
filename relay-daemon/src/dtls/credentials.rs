//! Who we are to the parties of a call.

use openssl::error::ErrorStack;

use super::{Context, Identity};
use crate::config::DtlsSettings;
use crate::security::OwnFingerprints;

/// What SDPs say of our certificate, and what makes associations with it. A call keeps those that it began with: its
/// parties know the certificate by its fingerprint. Whoever is the last to let go of them takes the key along.
#[derive(Debug)]
pub struct Credentials {
    fingerprints: OwnFingerprints,
    context: Context,
}

/// No certificate can be made, or none be used as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There is no certificate.
    #[error("cannot make a certificate for DTLS: {0}")]
    Certificate(ErrorStack),
    /// OpenSSL does not take the settings.
    #[error("cannot use OpenSSL for DTLS (see dtls-ciphers): {0}")]
    Context(ErrorStack),
}

impl Credentials {
    /// With a new key and certificate. With RSA that takes a second or more.
    pub fn generate(settings: &DtlsSettings) -> Result<Credentials, CredentialsError> {
        let identity = Identity::generate(settings.certificate).map_err(CredentialsError::Certificate)?;
        Credentials::of(&identity, settings).map_err(CredentialsError::Context)
    }

    /// For a certificate.
    pub fn of(identity: &Identity, settings: &DtlsSettings) -> Result<Credentials, ErrorStack> {
        let context = Context::new(identity, settings)?;
        Ok(Credentials::new(identity.fingerprints().clone(), context))
    }

    /// Says that those are the fingerprints.
    pub fn new(fingerprints: OwnFingerprints, context: Context) -> Credentials {
        Credentials {
            fingerprints,
            context,
        }
    }

    /// Of the certificate, as SDPs have them.
    pub fn fingerprints(&self) -> &OwnFingerprints {
        &self.fingerprints
    }

    /// Makes associations with the certificate.
    pub fn context(&self) -> &Context {
        &self.context
    }
}
