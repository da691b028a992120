//! Loss, reordering, wrapping, replay, and strangers.

use proptest::prelude::*;

use super::*;

const SUITES: [Suite; 2] = [Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm];

/// The wire packets of these indices.
fn stream(srtp: &Srtp, indices: impl Iterator<Item = u64>) -> Vec<Vec<u8>> {
    let mut outbound = Outbound::new(srtp);
    let wire = |index: u64| {
        let packet = rtp(7, u16::try_from(index & 0xffff).unwrap());
        let mut buffer = [packet.as_slice(), &[0; MAX_TRAILER]].concat();
        let length = outbound
            .protect_rtp(&mut buffer, packet.len(), Some(index))
            .unwrap();
        buffer.truncate(length);
        buffer
    };
    indices.map(wire).collect()
}

proptest! {
    /// Each packet may be lost, come late by up to 60 places, and come twice; the sequence number wraps in the middle.
    #[test]
    fn every_packet_comes_through_once(
        fates in prop::collection::vec((any::<bool>(), 0..60usize, any::<bool>()), 200),
        suite in prop::sample::select(Suite::ALL.to_vec()),
    ) {
        let srtp = key(suite, 3);
        let wire = stream(&srtp, 65_400..65_600);
        let mut order: Vec<(usize, usize)> = Vec::new();
        for (place, (lost, late, twice)) in fates.into_iter().enumerate() {
            if !lost {
                order.push((place + late, place));
                order.extend(twice.then_some((place + late + 10, place)));
            }
        }
        order.sort();
        let mut inbound = Inbound::new(&srtp);
        let mut seen = std::collections::BTreeSet::new();
        for (_, place) in order {
            let result = opened(&mut inbound, &wire[place]);
            // The first packet of all tells where the sequence starts.
            if seen.insert(place) {
                prop_assert!(result.is_ok(), "{place}: {result:?}");
            } else {
                prop_assert_eq!(result, Err(Error::Replayed));
            }
        }
    }
}

#[test]
fn a_replayed_packet_is_refused_however_late() {
    for suite in SUITES {
        let srtp = key(suite, 3);
        let wire = stream(&srtp, (0..200_000).step_by(100));
        let mut inbound = Inbound::new(&srtp);
        for packet in &wire {
            opened(&mut inbound, packet).unwrap();
        }
        assert_eq!(inbound.rtp_index(7), Some(199_900));
        for packet in &wire {
            assert!(opened(&mut inbound, packet).is_err());
        }
        let report = protected(&mut Outbound::new(&srtp), &rtcp(7)).unwrap();
        opened(&mut inbound, &report).unwrap();
        assert_eq!(opened(&mut inbound, &report), Err(Error::Replayed));
    }
}

#[test]
fn a_turn_that_was_missed_is_found_out() {
    for suite in SUITES {
        let srtp = key(suite, 3);
        let wire = stream(&srtp, [65_530, 65_536 + 40_000].into_iter());
        let mut inbound = Inbound::new(&srtp);
        // Of this one alone the next turn is a guess.
        opened(&mut inbound, &wire[1]).unwrap();
        assert_eq!(inbound.rtp_index(7), Some(65_536 + 40_000));
        let mut inbound = Inbound::new(&srtp);
        opened(&mut inbound, &wire[0]).unwrap();
        opened(&mut inbound, &wire[1]).unwrap();
        assert_eq!(inbound.rtp_index(7), Some(65_536 + 40_000));
    }
}

/// While the kernel relays, nobody keeps a window: what was captured then is not let in afterwards, and does not lead astray.
#[test]
fn what_was_captured_while_a_stream_went_elsewhere_is_refused() {
    for suite in SUITES {
        let srtp = key(suite, 3);
        let wire = |index| stream(&srtp, std::iter::once(index)).remove(0);
        let mut inbound = Inbound::new(&srtp);
        for index in 0..=10 {
            opened(&mut inbound, &wire(index)).unwrap();
        }
        inbound.seed(7, 0x3_0010, u128::MAX);
        for captured in [50, 51, 52, 0x1_0000] {
            assert!(opened(&mut inbound, &wire(captured)).is_err(), "{captured}");
        }
        opened(&mut inbound, &wire(0x3_0011)).unwrap();
        for captured in [50, 53, 54, 55, 56, 57, 58, 0x3_0005, 0x3_0011] {
            assert!(opened(&mut inbound, &wire(captured)).is_err(), "{captured}");
        }
        opened(&mut inbound, &wire(0x3_0012)).unwrap();
        assert_eq!(inbound.rtp_index(7), Some(0x3_0012));
    }
}

/// Packets that nobody authenticated in the kernel may have made the count grow by any number of turns.
#[test]
fn a_hint_that_is_wrong_keeps_the_true_stream_out_for_a_moment_only() {
    for suite in SUITES {
        let srtp = key(suite, 3);
        let wire = stream(&srtp, 0..40);
        for junk in [100_000, 1_000_000, 100_000_000] {
            let mut inbound = Inbound::new(&srtp);
            for packet in &wire[..10] {
                opened(&mut inbound, packet).unwrap();
            }
            inbound.seed(7, 10 + junk, u128::MAX);
            let lost = wire[10..]
                .iter()
                .filter(|packet| opened(&mut inbound, packet).is_err());
            assert_eq!(lost.count(), 4);
            assert_eq!(inbound.rtp_index(7), Some(39));
        }
    }
}

/// A phone that takes up a call anew does, with the same SSRC; and one packet of a stranger looks as if the stream had gone on.
#[test]
fn a_source_that_begins_anew_is_renumbered() {
    for suite in SUITES {
        let srtp = key(suite, 3);
        let (mut outbound, mut inbound) = (Outbound::new(&srtp), Inbound::new(&srtp));
        let anew = (100..120).chain(40_100..40_120).chain(200..220);
        let mut refused = Vec::new();
        let mut numbers = Vec::new();
        for sequence in (40_000..40_020).chain([4_464]).chain(40_020..40_040).chain(anew) {
            match protected(&mut outbound, &rtp(7, sequence)) {
                Ok(wire) => {
                    let plain = opened(&mut inbound, &wire).unwrap();
                    numbers.push(u16::from_be_bytes([plain[2], plain[3]]));
                    assert_eq!(plain[4..], rtp(7, sequence)[4..]);
                }
                Err(error) => refused.push((sequence, error)),
            }
        }
        assert!(refused.iter().all(|(_, error)| *error == Error::Replayed));
        let refused: Vec<u16> = refused.into_iter().map(|(sequence, _)| sequence).collect();
        assert_eq!(refused, [40_020, 40_100]);
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 5 * 20 + 1 - 2, "each number once");
    }
}

#[test]
fn a_stream_that_went_elsewhere_comes_back() {
    for suite in SUITES {
        let srtp = key(suite, 3);
        let wire = stream(&srtp, [100, 10_000_000, 10_000_001].into_iter());
        let mut inbound = Inbound::new(&srtp);
        opened(&mut inbound, &wire[0]).unwrap();
        assert_eq!(opened(&mut inbound, &wire[1]), Err(Error::Authentication));
        inbound.seed(7, 9_999_950, u128::MAX);
        opened(&mut inbound, &wire[1]).unwrap();
        opened(&mut inbound, &wire[2]).unwrap();
        assert!(opened(&mut inbound, &wire[0]).is_err(), "it was here before");
        // Who made the count grow cannot keep the true stream out for long.
        inbound.seed(7, 10_000_001 + 60_000, u128::MAX);
        let next = stream(&srtp, 10_000_002..10_000_007);
        let lost = next.iter().filter(|packet| opened(&mut inbound, packet).is_err());
        assert_eq!(lost.count(), 4);
        assert_eq!(inbound.rtp_index(7), Some(10_000_006));
    }
}

#[test]
fn a_new_key_goes_on_or_starts_anew() {
    for suite in SUITES {
        let (old, new) = (key(suite, 3), key(suite, 4));
        for after in [200_001, 200_001 & 0xffff] {
            let mut inbound = Inbound::new(&old);
            inbound.seed(7, 199_999, u128::MAX);
            opened(&mut inbound, &stream(&old, [200_000].into_iter())[0]).unwrap();
            inbound.rekey(&new);
            let wire = &stream(&new, [after].into_iter())[0];
            opened(&mut inbound, wire).unwrap();
            assert_eq!(inbound.rtp_index(7), Some(after));
            assert!(opened(&mut inbound, wire).is_err());
        }
        let mut outbound = Outbound::new(&old);
        let mut buffer = [rtp(7, 5), vec![0; MAX_TRAILER]].concat();
        outbound.protect_rtp(&mut buffer, 172, Some(0x3_0005)).unwrap();
        outbound.rekey(&new);
        let wire = protected(&mut outbound, &rtp(7, 6)).unwrap();
        assert_eq!(wire, stream(&new, [0x3_0006].into_iter())[0]);
    }
}

#[test]
fn no_key_stream_is_used_twice() {
    for suite in SUITES {
        let mut outbound = Outbound::new(&key(suite, 3));
        protected(&mut outbound, &rtp(7, 5)).unwrap();
        assert_eq!(protected(&mut outbound, &rtp(7, 5)), Err(Error::Replayed));
        protected(&mut outbound, &rtp(8, 5)).unwrap();
        let reports: Vec<_> = (0..3)
            .map(|_| protected(&mut outbound, &rtcp(7)).unwrap())
            .collect();
        assert_ne!(reports[0], reports[1]);
        let mut state = outbound.state();
        assert_eq!(state.rtcp_index, 3);
        state.rtcp_index = 1 << 31;
        assert_eq!(
            protected(&mut Outbound::restore(&state), &rtcp(7)),
            Err(Error::Exhausted)
        );
        let (mut packet, last) = ([rtp(9, 0), vec![0; MAX_TRAILER]].concat(), 1 << 48);
        assert_eq!(
            outbound.protect_rtp(&mut packet, 172, Some(last)),
            Err(Error::Exhausted)
        );
    }
}

#[test]
fn state_goes_from_one_process_to_another() {
    for suite in SUITES {
        let srtp = key(suite, 3);
        let wire = stream(&srtp, 65_500..65_600);
        let (mut inbound, mut outbound) = (Inbound::new(&srtp), Outbound::new(&srtp));
        for packet in &wire {
            let plain = opened(&mut inbound, packet).unwrap();
            assert_eq!(protected(&mut outbound, &plain).as_ref(), Ok(packet));
            inbound = Inbound::restore(&inbound.state());
            outbound = Outbound::restore(&outbound.state());
            assert_eq!(opened(&mut inbound, packet), Err(Error::Replayed));
        }
    }
}

#[test]
fn counters_live_as_long_as_the_key() {
    for suite in SUITES {
        let srtp = key(suite, 3);
        let (mut outbound, mut inbound) = (Outbound::new(&srtp), Inbound::new(&srtp));
        let mut pass = |ssrc, sequence| {
            let wire = protected(&mut outbound, &rtp(ssrc, sequence))?;
            opened(&mut inbound, &wire)
        };
        // Two turns, so that nobody could guess where the source is.
        for sequence in [0u16, 30_000, 60_000, 20_000, 50_000, 10_000] {
            pass(1, sequence).unwrap();
        }
        for ssrc in 2..100 {
            pass(ssrc, 1).unwrap();
        }
        assert_eq!(pass(1, 10_000), Err(Error::Replayed));
        pass(1, 10_001).unwrap();
        assert_eq!(pass(2, 1), Err(Error::Replayed));
    }
}

#[test]
fn only_authentic_sources_are_known_and_only_so_many() {
    let count = u32::try_from(MAX_SOURCES).unwrap();
    for suite in SUITES {
        let srtp = key(suite, 3);
        let (mut outbound, mut inbound) = (Outbound::new(&srtp), Inbound::new(&srtp));
        let mut forger = Outbound::new(&key(suite, 4));
        for ssrc in 0..count {
            let forged = protected(&mut forger, &rtp(ssrc, 1)).unwrap();
            assert_eq!(opened(&mut inbound, &forged), Err(Error::Authentication));
        }
        assert_eq!(inbound.source_count(), 0);
        for ssrc in 0..count {
            let wire = protected(&mut outbound, &rtp(ssrc, 1)).unwrap();
            opened(&mut inbound, &wire).unwrap();
        }
        assert_eq!(protected(&mut outbound, &rtp(count, 1)), Err(Error::Exhausted));
        let another = protected(&mut Outbound::new(&srtp), &rtp(count, 1)).unwrap();
        assert_eq!(opened(&mut inbound, &another), Err(Error::Exhausted));
        assert_eq!(
            (inbound.source_count(), outbound.state().sources.len()),
            (MAX_SOURCES, MAX_SOURCES)
        );
    }
}

#[test]
fn a_peers_last_srtcp_index_does_not_use_up_ours() {
    const LAST: u64 = (1 << 31) - 1;
    let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    let mut outbound = Outbound::new(&key(SUITES[0], 1));
    let mut protect = |index| {
        let mut buffer = [&report[..], &[0; MAX_TRAILER]].concat();
        let length = outbound.protect_rtcp(&mut buffer, report.len(), index)?;
        let mut inbound = Inbound::new(&key(SUITES[0], 1));
        Ok::<u64, Error>(inbound.unprotect_rtcp(&mut buffer[..length])?.index)
    };
    assert_eq!(protect(Some(5)), Ok(5));
    assert_eq!(protect(None), Ok(6), "none is used twice");
    assert_eq!(protect(Some(LAST)), Err(Error::Exhausted));
    assert_eq!(protect(None), Ok(7));
}

/// The newest packets that went elsewhere are known one by one.
#[test]
fn what_comes_late_is_told_from_what_went_elsewhere() {
    for suite in SUITES {
        let srtp = key(suite, 3);
        let wire = stream(&srtp, 0..20);
        let mut inbound = Inbound::new(&srtp);
        opened(&mut inbound, &wire[0]).unwrap();
        // All but 8 and 9.
        inbound.seed(7, 10, u128::MAX ^ 0b110);
        assert_eq!(opened(&mut inbound, &wire[10]), Err(Error::Replayed));
        for late in [9, 8, 11] {
            opened(&mut inbound, &wire[late]).unwrap();
        }
        for known in &wire[..12] {
            assert_eq!(opened(&mut inbound, known), Err(Error::Replayed));
        }
    }
}

/// A party that begins its turns anew with a key, while its packets go elsewhere.
#[test]
fn under_a_new_key_the_turn_is_not_known_from_elsewhere() {
    for suite in SUITES {
        let (old, new) = (key(suite, 3), key(suite, 4));
        let mut inbound = Inbound::new(&old);
        inbound.seed(7, 0x2_0000, u128::MAX);
        opened(&mut inbound, &stream(&old, [0x2_0001].into_iter())[0]).unwrap();
        inbound.rekey(&new);
        assert!(!inbound.has_opened());
        inbound.seed(7, 0x2_0005, u128::MAX);
        let wire = stream(&new, 2..8);
        assert_eq!(opened(&mut inbound, &wire[3]), Err(Error::Replayed));
        opened(&mut inbound, &wire[4]).unwrap();
        assert_eq!(inbound.rtp_index(7), Some(6));
    }
}

/// A packet that is encrypted anew under the key that it came with has the index that it came with.
#[test]
fn no_index_of_a_new_key_is_used() {
    let (old, new) = (key(SUITES[0], 3), key(SUITES[0], 4));
    let mut outbound = Outbound::new(&old);
    let protect = |outbound: &mut Outbound, sequence: u16, index| {
        let mut buffer = [rtp(7, sequence), vec![0; MAX_TRAILER]].concat();
        outbound.protect_rtp(&mut buffer, 172, index)
    };
    protect(&mut outbound, 5, Some(0x1_0005)).unwrap();
    outbound.rekey(&new);
    protect(&mut outbound, 5, Some(5)).unwrap();
    assert_eq!(protect(&mut outbound, 5, Some(5)), Err(Error::Replayed));
    let mut state = Outbound::new(&key(SUITES[0], 5)).state();
    state.succeed(&outbound.state());
    let mut next = Outbound::restore(&state);
    protect(&mut next, 5, Some(5)).unwrap();
}
