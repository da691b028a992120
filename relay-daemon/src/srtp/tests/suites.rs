//! What holds for every suite, with every parameter.

use proptest::prelude::*;

use super::*;
use crate::security::{Mki, SessionParameters};

/// Every suite with parameters of any kind.
fn any_key() -> impl Strategy<Value = Srtp> {
    let mki = prop::option::of((any::<u128>(), 1..=255u8).prop_map(|(value, length)| Mki { value, length }));
    let parameters = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop::option::of(0..=24u8),
    )
        .prop_map(
            |(unencrypted_srtp, unencrypted_srtcp, unauthenticated_srtp, key_derivation_rate)| {
                SessionParameters {
                    unencrypted_srtp,
                    unencrypted_srtcp,
                    unauthenticated_srtp,
                    key_derivation_rate,
                }
            },
        );
    let suite = prop::sample::select(Suite::ALL.to_vec());
    (suite, any::<u8>(), mki, parameters).prop_map(|(suite, fill, mki, parameters)| Srtp {
        mki,
        parameters,
        ..key(suite, fill)
    })
}

proptest! {
    #[test]
    fn what_is_protected_comes_out_again(srtp in any_key(), start: u16, steps in prop::collection::vec(0..2000u16, 1..60)) {
        let (mut outbound, mut inbound) = (Outbound::new(&srtp), Inbound::new(&srtp));
        let mut sequence = start;
        for step in steps {
            let packet = rtp(7, sequence);
            let wire = protected(&mut outbound, &packet).unwrap();
            prop_assert_eq!(wire[12..172] == packet[12..], srtp.parameters.unencrypted_srtp
                || matches!(srtp.suite(), Suite::NullHmacSha1_80 | Suite::NullHmacSha1_32));
            let mut unchanged = wire.clone();
            let authentic = Inbound::restore(&inbound.state()).authenticate_rtp(&mut unchanged).unwrap();
            prop_assert_eq!(authentic.length, 172);
            prop_assert_eq!(&unchanged, &wire);
            prop_assert_eq!(opened(&mut inbound, &wire).unwrap(), packet);
            let report = rtcp(7);
            let wire = protected(&mut outbound, &report).unwrap();
            let mut unchanged = wire.clone();
            Inbound::restore(&inbound.state()).authenticate_rtcp(&mut unchanged).unwrap();
            prop_assert_eq!(&unchanged, &wire);
            prop_assert_eq!(opened(&mut inbound, &wire).unwrap(), report);
            sequence = sequence.wrapping_add(step).wrapping_add(1);
        }
        prop_assert_eq!(inbound.source_count(), 1);
    }

    #[test]
    fn any_bytes_do_no_harm(data in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_rtp(&data);
        fuzz_rtcp(&data);
    }
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    for suite in Suite::ALL {
        let srtp = Srtp {
            mki: Some(Mki { value: 9, length: 2 }),
            ..key(suite, 1)
        };
        for packet in [rtp(7, 1), rtcp(7)] {
            let wire = protected(&mut Outbound::new(&srtp), &packet).unwrap();
            for place in 2..wire.len() {
                let mut wrong = wire.clone();
                wrong[place] ^= 0x10;
                let mut inbound = Inbound::new(&srtp);
                assert!(opened(&mut inbound, &wrong).is_err(), "{suite} {place}");
                assert_eq!(inbound.source_count(), 0, "{suite}");
            }
        }
    }
}

#[test]
fn packets_have_the_lengths_of_their_suites() {
    let sizes = |suite| {
        let mut outbound = Outbound::new(&key(suite, 1));
        let rtp = protected(&mut outbound, &rtp(1, 1)).unwrap().len() - 172;
        (rtp, protected(&mut outbound, &rtcp(1)).unwrap().len() - 28)
    };
    assert_eq!(sizes(Suite::AesCm128HmacSha1_80), (10, 14));
    assert_eq!(sizes(Suite::AesCm128HmacSha1_32), (4, 14));
    assert_eq!(sizes(Suite::NullHmacSha1_32), (4, 14));
    assert_eq!(sizes(Suite::AeadAes128Gcm), (16, 20));
}

#[test]
fn there_must_be_room_for_the_trailer() {
    let mut outbound = Outbound::new(&key(Suite::AesCm128HmacSha1_80, 1));
    let mut packet = rtp(1, 1);
    let length = packet.len();
    packet.resize(length + MAX_TRAILER - 1, 0);
    assert_eq!(
        outbound.protect_rtp(&mut packet, length, None),
        Err(Error::TooLong)
    );
    assert_eq!(outbound.state().sources, []);
}
