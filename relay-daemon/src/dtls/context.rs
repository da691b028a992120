//! What all our associations have in common.

use openssl::error::ErrorStack;
use openssl::ssl::{
    SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode,
    SslVersion,
};

use super::Identity;
use crate::config::{DtlsSettings, DtlsVersion};
use crate::security::DtlsRole;

/// What OpenSSL calls the SRTP protection profiles (RFC 5764 section 4.1.2, RFC 7714 section 14.2), the most wanted
/// first.
const PROFILES: &str =
    "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80:SRTP_AES128_CM_SHA1_32";

/// Makes associations: our certificate, the peer's wanted, and SRTP.
#[derive(Clone)]
pub struct Context {
    active: SslContext,
    passive: SslContext,
    /// Bytes that a datagram of ours may have: handshake messages are cut accordingly.
    pub(super) mtu: u32,
}

impl Context {
    /// For our certificate. Fails if there are no such ciphers.
    pub fn new(identity: &Identity, settings: &DtlsSettings) -> Result<Context, ErrorStack> {
        Ok(Context {
            active: build(identity, settings, DtlsRole::Active)?,
            passive: build(identity, settings, DtlsRole::Passive)?,
            mtu: settings.mtu,
        })
    }

    pub(super) fn of(&self, role: DtlsRole) -> &SslContext {
        match role {
            DtlsRole::Active => &self.active,
            DtlsRole::Passive => &self.passive,
        }
    }
}

fn build(identity: &Identity, settings: &DtlsSettings, role: DtlsRole) -> Result<SslContext, ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::dtls())?;
    // Certificates are known by their fingerprints, so weak ones do no harm; DTLS 1.0 signs with MD5 and SHA-1, which
    // OpenSSL does on its lowest level only.
    let (oldest, level) = match settings.oldest {
        DtlsVersion::V1_0 => (SslVersion::DTLS1, 0),
        DtlsVersion::V1_2 => (SslVersion::DTLS1_2, 1),
    };
    context.set_min_proto_version(Some(oldest))?;
    context.set_security_level(level);
    context.set_cipher_list(&settings.ciphers)?;
    context.set_tlsext_use_srtp(PROFILES)?;
    context.set_certificate(identity.certificate())?;
    context.set_private_key(identity.key())?;
    // Nobody vouches for the certificate but the SDP: see `Association`.
    let wanted = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
    context.set_verify_callback(wanted, |_, _| true);
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_RENEGOTIATION);
    if role == DtlsRole::Passive {
        // A resumed session would do without the certificate that the SDP names.
        context.set_options(SslOptions::NO_TICKET);
        // Whoever accepts a client after a HelloVerifyRequest has looked at the cookie.
        context.set_cookie_verify_cb(|_, _| true);
    }
    context.set_mode(SslMode::RELEASE_BUFFERS);
    Ok(context.build())
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}
