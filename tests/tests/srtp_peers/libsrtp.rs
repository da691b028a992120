//! libsrtp.

use proptest::prelude::*;
use relay_daemon::security::{Mki, SessionParameters};
use relay_tests::libsrtp::LibSrtp;

use super::*;

impl Peer for LibSrtp {
    fn protect(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        LibSrtp::protect(self, packet)
    }

    fn unprotect(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        LibSrtp::unprotect(self, packet)
    }
}

/// The suites that libsrtp has as the RFCs have them. Its session keys for AES-192 are not those that the vectors of RFC 6188
/// show, which ours are tested with.
const SUITES: [Suite; 6] = [
    Suite::AeadAes256Gcm,
    Suite::AeadAes128Gcm,
    Suite::Aes256CmHmacSha1_80,
    Suite::Aes256CmHmacSha1_32,
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
];

/// Keys and parameters in which it does as the RFCs say. In GCM it encrypts whatever the parameters are, and it looks for the
/// MKI of RTCP where the tag of RTP would have it.
fn any_key() -> impl Strategy<Value = Srtp> {
    let mki = prop::option::of((any::<u128>(), 1..=16u8).prop_map(|(value, length)| Mki { value, length }));
    let suite = prop::sample::select(SUITES.to_vec());
    (suite, any_bytes(), mki, any::<bool>(), any::<bool>()).prop_map(
        |(suite, bytes, mki, unencrypted_srtp, unencrypted_srtcp)| {
            let is_gcm = matches!(suite, Suite::AeadAes256Gcm | Suite::AeadAes128Gcm);
            let has_short_tag = suite.name().ends_with("_32");
            Srtp {
                mki: mki.filter(|_| !has_short_tag),
                parameters: SessionParameters {
                    unencrypted_srtp: unencrypted_srtp && !is_gcm,
                    unencrypted_srtcp: unencrypted_srtcp && !is_gcm,
                    ..SessionParameters::default()
                },
                ..key(suite, &bytes)
            }
        },
    )
}

#[test]
fn it_has_every_suite_that_it_is_compared_in() {
    if LibSrtp::is_installed() {
        for suite in SUITES {
            let srtp = key(suite, &[1; MasterKey::MAX_LENGTH]);
            assert!(LibSrtp::outbound(&srtp).is_some(), "{suite}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn we_read_what_it_sends(srtp in any_key(), fates in any_fates()) {
        if let Some(mut peer) = LibSrtp::outbound(&srtp) {
            check_receiving(&srtp, &mut peer, &fates);
        }
    }

    #[test]
    fn it_reads_what_we_send(srtp in any_key(), fates in any_fates()) {
        if let Some(mut peer) = LibSrtp::inbound(&srtp) {
            check_sending(&srtp, &mut peer, &fates);
        }
    }
}
