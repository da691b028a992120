//! What a fuzzer or a property test does with bytes that may be DTLS.

use std::sync::OnceLock;

use super::{Association, Context, DtlsState};
use crate::clock::Time;
use crate::config::CertificateSettings;
use crate::security::DtlsRole;

/// Hands datagrams to a client and a server in the middle of their handshake. The bytes are datagrams, each with its
/// length in front, in one byte.
pub fn fuzz(bytes: &[u8]) {
    let now = Time(1);
    for role in [DtlsRole::Active, DtlsRole::Passive] {
        let mut association = Association::new(context(), role, None).expect("OpenSSL has memory");
        association.open(now, |_| {});
        let mut bytes = bytes;
        while let Some((&length, rest)) = bytes.split_first() {
            let (datagram, rest) = rest.split_at(usize::from(length).min(rest.len()));
            association.handle(now, datagram, |sent| assert!(sent.len() <= 1200));
            bytes = rest;
        }
        assert!(association.keys().is_none());
        assert_ne!(association.state(), DtlsState::Established);
    }
}

/// That of all that is tried out.
pub(crate) fn context() -> &'static Context {
    static CONTEXT: OnceLock<Context> = OnceLock::new();
    CONTEXT.get_or_init(|| Context::generate(CertificateSettings::default()).expect("a certificate"))
}
