//! The `webrtc-srtp` crate.

use proptest::prelude::*;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::*;

/// The suites that it has.
const SUITES: [(Suite, ProtectionProfile); 6] = [
    (Suite::AeadAes256Gcm, ProtectionProfile::AeadAes256Gcm),
    (Suite::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm),
    (Suite::Aes256CmHmacSha1_80, ProtectionProfile::Aes256CmHmacSha1_80),
    (Suite::Aes256CmHmacSha1_32, ProtectionProfile::Aes256CmHmacSha1_32),
    (Suite::AesCm128HmacSha1_80, ProtectionProfile::Aes128CmHmacSha1_80),
    (Suite::AesCm128HmacSha1_32, ProtectionProfile::Aes128CmHmacSha1_32),
];

impl Peer for Context {
    fn protect(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let protected = match is_rtcp(packet) {
            true => self.encrypt_rtcp(packet),
            false => self.encrypt_rtp(packet),
        };
        protected.ok().map(|packet| packet.to_vec())
    }

    fn unprotect(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let plain = match is_rtcp(packet) {
            true => self.decrypt_rtcp(packet),
            false => self.decrypt_rtp(packet),
        };
        plain.ok().map(|packet| packet.to_vec())
    }
}

fn peer(srtp: &Srtp, profile: ProtectionProfile) -> Context {
    let replay = (
        Some(srtp_replay_protection(128)),
        Some(srtcp_replay_protection(128)),
    );
    Context::new(srtp.key.key(), srtp.key.salt(), profile, replay.0, replay.1).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn we_read_what_it_sends(suite in prop::sample::select(SUITES.to_vec()), bytes in any_bytes(), fates in any_fates()) {
        let srtp = key(suite.0, &bytes);
        check_receiving(&srtp, &mut peer(&srtp, suite.1), &fates);
    }

    #[test]
    fn it_reads_what_we_send(suite in prop::sample::select(SUITES.to_vec()), bytes in any_bytes(), fates in any_fates()) {
        let srtp = key(suite.0, &bytes);
        check_sending(&srtp, &mut peer(&srtp, suite.1), &fates);
    }
}
