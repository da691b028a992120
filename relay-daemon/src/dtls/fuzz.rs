//! What a fuzzer or a property test does with bytes that may be DTLS.

use std::sync::{Arc, OnceLock};

use super::{Association, Credentials, DtlsState};
use crate::clock::Time;
use crate::config::DtlsSettings;
use crate::security::DtlsRole;

/// Hands datagrams to a client and a server in the middle of their handshake. The bytes are datagrams, each with its
/// length in front, in one byte.
pub fn fuzz(bytes: &[u8]) {
    let now = Time(1);
    for role in [DtlsRole::Active, DtlsRole::Passive] {
        let mut association =
            Association::new(credentials().context(), role, None).expect("OpenSSL has memory");
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

/// Those of all that is tried out.
pub(crate) fn credentials() -> Arc<Credentials> {
    static CREDENTIALS: OnceLock<Arc<Credentials>> = OnceLock::new();
    let generate = || Credentials::generate(&DtlsSettings::default()).expect("a certificate");
    Arc::clone(CREDENTIALS.get_or_init(|| Arc::new(generate())))
}
