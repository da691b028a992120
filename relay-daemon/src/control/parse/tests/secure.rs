//! Options about encryption and ICE.

use crate::call::{IceLite, IceMode, ParameterChanges, SdesOptions, SignalOptions};
use crate::control::notices::Notice;
use crate::security::{HashFunction, Suite};

use super::{Asked, Command, ask, flagged, offer, options};

fn suites(of: &[Suite]) -> crate::security::SuiteSet {
    of.iter().copied().collect()
}

#[test]
fn ice_has_modes_and_extras() {
    for (word, mode) in [
        ("default", IceMode::Default),
        ("remove", IceMode::Remove),
        ("force", IceMode::Force),
        ("optional", IceMode::Optional),
        ("force relay", IceMode::ForceRelay),
        ("force_relay", IceMode::ForceRelay),
    ] {
        let ice = options(&format!(r#","ICE":"{word}""#)).ice;
        assert_eq!(ice.mode, mode, "{word}");
    }
    let ice = options(r#","ICE":["force","trickle","ice2"]"#).ice;
    assert!(ice.mode == IceMode::Force && ice.trickle && ice.ice2);
    assert!(flagged("trickle ICE").ice.trickle);
    assert!(flagged("reject-ICE").ice.reject);
}

#[test]
fn lite_has_many_names() {
    let lite = |forward, backward| Some(IceLite { forward, backward });
    for (key, word, expected) in [
        ("ICE-lite", "forward", lite(true, false)),
        ("ice lite", "offer", lite(true, false)),
        ("ICE", "lite", lite(true, false)),
        ("ICE", "lite-fwd", lite(true, false)),
        ("ICE", "lite-backwards", lite(false, true)),
        ("ICE lite", "bk", lite(false, true)),
        ("ICE", "lite-both", lite(true, true)),
        ("ICE", "no-lite", lite(false, false)),
        ("ICE-lite", "none", lite(false, false)),
        ("ICE", "force", None),
    ] {
        let options = options(&format!(r#","{key}":"{word}""#));
        assert_eq!(options.ice.lite, expected, "{key} {word}");
    }
}

#[test]
fn dtls_can_be_off_or_take_a_role() {
    for word in ["off", "no", "disable", "disabled"] {
        assert!(options(&format!(r#","DTLS":["{word}"]"#)).dtls.off, "{word}");
        assert!(flagged(&format!("DTLS-{word}")).dtls.off, "{word}");
    }
    assert_eq!(options(r#","dtls":"passive""#).dtls.passive, Some(true));
    assert_eq!(options(r#","DTLS-reverse":"active""#).dtls.passive, Some(false));
    let fingerprint = |key: &str| options(&format!(r#","{key}":"Sha-512""#)).dtls.fingerprint;
    assert_eq!(fingerprint("DTLS-fingerprint"), Some(HashFunction::Sha512));
    assert_eq!(fingerprint("dtls fingerprint"), Some(HashFunction::Sha512));
    assert!(flagged("no-tls-id").dtls.no_tls_id);
}

#[test]
fn sdes_names_suites_in_several_ways() {
    let expected = SdesOptions {
        allowed: Some(suites(&[Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32])),
        excluded: suites(&[Suite::AeadAes256Gcm]),
        order: vec![Suite::AesCm128HmacSha1_32, Suite::AesCm128HmacSha1_80],
        preferred: vec![Suite::NullHmacSha1_80],
        ..SdesOptions::default()
    };
    for keys in [
        r#","SDES":["only-AES_CM_128_HMAC_SHA1_80","only-AES_CM_128_HMAC_SHA1_32","no-AEAD_AES_256_GCM",
           "order:AES_CM_128_HMAC_SHA1_32;AES_CM_128_HMAC_SHA1_80","offerer_pref:NULL_HMAC_SHA1_80"]"#,
        r#","flags":["SDES-only-AES_CM_128_HMAC_SHA1_80","SDES-only-AES_CM_128_HMAC_SHA1_32",
           "SDES-no-AEAD_AES_256_GCM","SDES-order:AES_CM_128_HMAC_SHA1_32;AES_CM_128_HMAC_SHA1_80",
           "SDES-offerer_pref:NULL_HMAC_SHA1_80"]"#,
        r#","rtpp_flags":"SDES=[only-AES_CM_128_HMAC_SHA1_80 only-AES_CM_128_HMAC_SHA1_32] SDES-no-AEAD_AES_256_GCM SDES=[order:AES_CM_128_HMAC_SHA1_32;AES_CM_128_HMAC_SHA1_80] SDES-offerer_pref:NULL_HMAC_SHA1_80""#,
    ] {
        assert_eq!(options(keys).sdes, expected, "{keys}");
    }
}

#[test]
fn sdes_has_switches() {
    let sdes = options(
        r#","SDES":["nonew","pad","lifetime","static","priority","off","UNENCRYPTED_SRTP","encrypted_srtcp"]"#,
    )
    .sdes;
    assert_eq!(
        sdes,
        SdesOptions {
            off: true,
            no_new: true,
            pad: true,
            lifetime: true,
            keep_suite: true,
            prefer: true,
            parameters: ParameterChanges {
                unencrypted_srtp: Some(true),
                unencrypted_srtcp: Some(false),
                unauthenticated_srtp: None,
            },
            ..SdesOptions::default()
        }
    );
    assert!(flagged("pad-crypto").sdes.pad);
}

#[test]
fn osrtp_is_offered_and_accepted() {
    for (word, expected) in [
        ("offer", (true, false)),
        ("offer-RFC", (true, false)),
        ("offer-legacy", (false, true)),
        ("accept", (false, false)),
    ] {
        let offers = |options: SignalOptions| (options.osrtp.offer, options.osrtp.offer_legacy);
        assert_eq!(offers(options(&format!(r#","OSRTP":"{word}""#))), expected);
        assert_eq!(offers(flagged(&format!("OSRTP-{word}"))), expected);
    }
    let accepts = |word: &str| options(&format!(r#","osrtp":["{word}"]"#)).osrtp.accept_legacy;
    assert_eq!(
        ["accept", "accept-rfc", "accept-legacy"].map(accepts),
        [true, false, true]
    );
}

#[test]
fn unknown_words_are_told() {
    let (_, notices) = offer(
        r#","SDES":["on","only-FOO","order:FOO"],"DTLS":"sideways","OSRTP":"x","ICE-lite":"x",
           "DTLS-fingerprint":"md5""#,
    );
    for name in [
        "SDES=on",
        "SDES=only-FOO",
        "SDES=order:FOO",
        "DTLS=sideways",
        "OSRTP=x",
        "ICE-lite=x",
        "DTLS-fingerprint=md5",
    ] {
        assert!(notices.has(Notice::BadValue, name), "{name}");
    }
}

#[test]
fn a_fragment_is_a_command_of_its_own() {
    let body =
        r#"{"command":"offer","sdp":"a=x","call-id":"c","from-tag":"f","to-tag":"t","flags":["fragment"]}"#;
    match ask(body).0 {
        Ok(Asked::Command {
            command: Command::Fragment(fragment),
            ..
        }) => assert_eq!((&*fragment.call_id.0, &*fragment.sdp), ("c", "a=x")),
        other => panic!("{other:?}"),
    }
}
