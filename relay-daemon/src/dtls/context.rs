//! What all our associations have in common.

use openssl::error::ErrorStack;
use openssl::ssl::{
    SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode,
    SslVersion,
};

use super::{Identity, IdentityError};
use crate::config::CertificateSettings;

/// What OpenSSL calls the SRTP protection profiles (RFC 5764 section 4.1.2, RFC 7714 section 14.2), the most wanted
/// first.
const PROFILES: &str =
    "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80:SRTP_AES128_CM_SHA1_32";

/// Forward secrecy, AES, and either kind of key. Level 0 lets peers have whatever certificate they like: it is known by
/// its fingerprint.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:DHE+AESGCM:!aNULL:@SECLEVEL=0";

/// Makes associations: DTLS 1.2, our certificate, the peer's wanted, and SRTP.
#[derive(Clone)]
pub struct Context(pub(super) SslContext);

impl Context {
    /// With a new certificate.
    pub fn generate(settings: CertificateSettings) -> Result<Context, IdentityError> {
        Ok(Context::new(&Identity::generate(settings)?)?)
    }

    /// For our certificate.
    pub fn new(identity: &Identity) -> Result<Context, ErrorStack> {
        let mut context = SslContextBuilder::new(SslMethod::dtls())?;
        context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        context.set_cipher_list(CIPHERS)?;
        context.set_tlsext_use_srtp(PROFILES)?;
        context.set_certificate(identity.certificate())?;
        context.set_private_key(identity.key())?;
        // Nobody vouches for the certificate but the SDP: see `Association`.
        let wanted = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        context.set_verify_callback(wanted, |_, _| true);
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET | SslOptions::NO_RENEGOTIATION);
        context.set_mode(SslMode::RELEASE_BUFFERS);
        Ok(Context(context.build()))
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}
