//! Somebody who knows all keys and sees all packets.

use std::collections::HashMap;

use crate::security::{MasterKey, Srtp};
use crate::srtp::{Hint, Inbound, SourceState, State};

/// What marks the payload of a packet that is not encrypted.
pub(super) const MARK: &[u8] = b"in clear";

/// The greatest rollover counter that packets are looked for with.
const MAX_ROLLOVER: u64 = 3;

/// The packets that were protected so far.
#[derive(Default)]
pub(super) struct Observer {
    /// All keys, the newest last.
    keys: Vec<Srtp>,
    used: HashMap<Use, Vec<u8>>,
}

/// What may be used for one packet only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Use {
    key: Vec<u8>,
    is_rtcp: bool,
    ssrc: u32,
    index: u64,
}

impl Observer {
    pub(super) fn learn(&mut self, srtp: &Srtp) {
        self.keys.retain(|known| known.key != srtp.key);
        self.keys.push(srtp.clone());
    }

    /// A packet is on its way: under its key nothing else has its index.
    pub(super) fn see(&mut self, packet: &[u8]) {
        let is_rtcp = is_rtcp(packet);
        let opened = self
            .keys
            .iter()
            .rev()
            .find_map(|srtp| open(srtp, packet, is_rtcp));
        let Some((key, index, plain)) = opened else {
            let is_plain = match is_rtcp {
                true => is_compound(packet),
                false => packet.get(12..).is_some_and(|payload| payload.starts_with(MARK)),
            };
            assert!(
                is_plain,
                "it is protected with a key that nobody has: {packet:02x?}"
            );
            return;
        };
        let ssrc = if is_rtcp { &packet[4..8] } else { &packet[8..12] };
        let place = Use {
            key: key.key_and_salt().to_vec(),
            is_rtcp,
            ssrc: u32::from_be_bytes(ssrc.try_into().unwrap()),
            index,
        };
        let before = self.used.entry(place.clone()).or_insert_with(|| plain.clone());
        assert_eq!(
            *before, plain,
            "two packets of one key, SSRC and index: {place:02x?}"
        );
    }
}

pub(super) fn is_rtcp(packet: &[u8]) -> bool {
    (192..=223).contains(&packet[1])
}

/// Whether it is RTCP in clear: one message after the other.
fn is_compound(packet: &[u8]) -> bool {
    let mut rest = packet;
    while let Some(&[first, kind, high, low]) = rest.first_chunk() {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        if first >> 6 != 2 || !(192..=223).contains(&kind) || length > rest.len() {
            return false;
        }
        rest = &rest[length..];
    }
    rest.is_empty()
}

/// The key, the index and the whole packet without its protection, if the key is right.
fn open<'a>(srtp: &'a Srtp, packet: &[u8], is_rtcp: bool) -> Option<(&'a MasterKey, u64, Vec<u8>)> {
    let mut copy = packet.to_vec();
    let opened = match is_rtcp {
        true => Inbound::new(srtp).unprotect_rtcp(&mut copy),
        false => receiver(srtp, packet).unprotect_rtp(&mut copy),
    };
    let opened = opened.ok()?;
    copy.truncate(opened.length);
    Some((&srtp.key, opened.index, copy))
}

/// Who is told that the packet has the greatest rollover counter, and tries those below as well.
fn receiver(srtp: &Srtp, packet: &[u8]) -> Inbound {
    let sequence = u64::from(u16::from_be_bytes([packet[2], packet[3]]));
    let hint = Hint {
        index: MAX_ROLLOVER << 16 | sequence,
        elsewhere: None,
    };
    let source = SourceState {
        ssrc: u32::from_be_bytes(packet[8..12].try_into().unwrap()),
        rtp: None,
        rtcp: None,
        hint: Some(hint),
        behind_hint: 0,
        offset: 0,
        restart: None,
    };
    Inbound::restore(&State {
        srtp: srtp.clone(),
        sources: vec![source],
        rtcp_index: 0,
    })
}
