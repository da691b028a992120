//! Our SRTP beside that of others: both ways, with loss, reordering, wrapping and replay.

#![expect(clippy::unwrap_used, reason = "what cannot be converted fails the test")]

mod libsrtp;
mod webrtc;

use std::collections::BTreeSet;

use proptest::prelude::*;
use relay_daemon::security::{MasterKey, Srtp, Suite};
use relay_daemon::srtp::{Error, Inbound, MAX_TRAILER, Outbound};

fn key(suite: Suite, bytes: &[u8; MasterKey::MAX_LENGTH]) -> Srtp {
    Srtp::new(MasterKey::cut(suite, *bytes))
}

fn any_bytes() -> impl Strategy<Value = [u8; MasterKey::MAX_LENGTH]> {
    prop::collection::vec(any::<u8>(), MasterKey::MAX_LENGTH).prop_map(|bytes| bytes.try_into().unwrap())
}

/// Packets of one source, in order, with the sequence number about to wrap; RTCP in between.
fn packets() -> Vec<Vec<u8>> {
    let packet = |index: u32| {
        if index % 10 == 9 {
            let mut report = vec![0x80, 201, 0, 7];
            report.extend([1, 2, 3, 4]);
            report.extend((0..24).map(|byte: u8| byte.wrapping_mul(7)));
            return report;
        }
        let sequence = u16::try_from((65_500 + index) & 0xffff).unwrap();
        let mut packet = vec![0x90, 8];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0, 0, 0, 160, 1, 2, 3, 4]);
        // A header extension of one word, which stays in the clear.
        packet.extend([0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0]);
        packet.resize(20 + usize::try_from(index % 50).unwrap() * 7, 0x5a);
        packet
    };
    (0..120).map(packet).collect()
}

/// Of each packet: whether it is lost, how many places late it comes, whether it comes twice.
type Fates = Vec<(bool, usize, bool)>;

fn any_fates() -> impl Strategy<Value = Fates> {
    prop::collection::vec(
        (prop::bool::weighted(0.2), 0..40usize, prop::bool::weighted(0.2)),
        120,
    )
}

/// The places of packets in the order in which they come. The first one comes first: it says where the sequence starts.
fn order(fates: &Fates) -> Vec<usize> {
    let mut arrivals = Vec::new();
    for (place, (lost, late, twice)) in fates.iter().enumerate() {
        if place > 0 && !lost {
            arrivals.push((place + late, place));
            arrivals.extend(twice.then_some((place + late + 20, place)));
        }
    }
    arrivals.sort();
    std::iter::once(0)
        .chain(arrivals.into_iter().map(|(_, place)| place))
        .collect()
}

/// Another implementation's side of one direction.
trait Peer {
    fn protect(&mut self, packet: &[u8]) -> Option<Vec<u8>>;
    fn unprotect(&mut self, packet: &[u8]) -> Option<Vec<u8>>;
}

/// The peer sends, we receive: each packet that comes is read, and once only.
fn check_receiving(srtp: &Srtp, peer: &mut dyn Peer, fates: &Fates) {
    let plain = packets();
    let wire: Vec<Vec<u8>> = plain.iter().map(|packet| peer.protect(packet).unwrap()).collect();
    let (mut inbound, mut seen) = (Inbound::new(srtp), BTreeSet::new());
    for place in order(fates) {
        let mut buffer = wire[place].clone();
        let opened = match is_rtcp(&buffer) {
            true => inbound.unprotect_rtcp(&mut buffer),
            false => inbound.unprotect_rtp(&mut buffer),
        };
        if seen.insert(place) {
            let length = opened
                .unwrap_or_else(|error| panic!("{} {srtp:?}, packet {place}: {error}", srtp.suite()))
                .length;
            assert_eq!(buffer[..length], plain[place]);
        } else {
            assert_eq!(opened, Err(Error::Replayed), "{srtp:?}");
        }
    }
}

/// We send, the peer receives.
fn check_sending(srtp: &Srtp, peer: &mut dyn Peer, fates: &Fates) {
    let plain = packets();
    let mut outbound = Outbound::new(srtp);
    let wire: Vec<Vec<u8>> = plain
        .iter()
        .map(|packet| protect(&mut outbound, packet))
        .collect();
    let mut seen = BTreeSet::new();
    for place in order(fates) {
        let read = peer.unprotect(&wire[place]);
        let expected = seen.insert(place).then(|| plain[place].clone());
        assert_eq!(read, expected, "{} {srtp:?}, packet {place}", srtp.suite());
    }
}

fn protect(outbound: &mut Outbound, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [packet, &[0; MAX_TRAILER]].concat();
    let length = match is_rtcp(packet) {
        true => outbound.protect_rtcp(&mut buffer, packet.len(), None),
        false => outbound.protect_rtp(&mut buffer, packet.len(), None),
    };
    buffer.truncate(length.unwrap());
    buffer
}

fn is_rtcp(packet: &[u8]) -> bool {
    (194..=223).contains(&packet[1])
}
