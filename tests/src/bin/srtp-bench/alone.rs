//! Packets of one source, protected and unprotected by nobody else's leave: no sockets, no session.

use std::hint::black_box;

use relay_daemon::security::Suite;
use relay_daemon::srtp::{Inbound, MAX_TRAILER, Outbound};
use relay_tests::libsrtp::LibSrtp;
use relay_tests::rounds::{Rounds, thread_time};

use crate::{PACKET, key};

/// Of each round.
const PACKETS: u64 = 20_000;

/// Words, as libsrtp wants packets aligned; ours gets the same.
const WORDS: usize = (PACKET + MAX_TRAILER).div_ceil(4);

/// Protecting and unprotecting: nanoseconds a packet, ours and libsrtp's.
pub(crate) fn measure(suite: Suite, rounds: usize) -> [(&'static str, [Rounds; 2]); 2] {
    let srtp = key(suite, 1);
    let (mut outbound, mut inbound) = (Outbound::new(&srtp), Inbound::new(&srtp));
    let mut lib_outbound = LibSrtp::outbound(&srtp).unwrap();
    let mut lib_inbound = LibSrtp::inbound(&srtp).unwrap();
    let mut protect = [Rounds::default(), Rounds::default()];
    let mut unprotect = protect.clone();
    // The first one only warms up.
    for round in 0..=rounds as u64 {
        let sequences = round * PACKETS..(round + 1) * PACKETS;
        let plain: Vec<Packet> = sequences.map(Packet::new).collect();
        let mut sealed = [plain.clone(), plain];
        let times = [
            time(&mut sealed[0], |packet| {
                let length = packet.length;
                outbound.protect_rtp(packet.bytes(), length, None).unwrap()
            }),
            time(&mut sealed[1], |packet| {
                lib_outbound
                    .protect_in_place(&mut packet.words, packet.length)
                    .unwrap()
            }),
        ];
        assert!(sealed[0] == sealed[1], "{suite}: libsrtp protects otherwise");
        let opened = [
            time(&mut sealed[0], |packet| {
                let length = packet.length;
                inbound
                    .unprotect_rtp(&mut packet.bytes()[..length])
                    .unwrap()
                    .length
            }),
            time(&mut sealed[1], |packet| {
                lib_inbound
                    .unprotect_in_place(&mut packet.words, packet.length)
                    .unwrap()
            }),
        ];
        if round > 0 {
            for side in [0, 1] {
                protect[side].0.push(times[side]);
                unprotect[side].0.push(opened[side]);
            }
        }
    }
    [("protect", protect), ("unprotect", unprotect)]
}

/// Nanoseconds for one packet.
fn time(packets: &mut [Packet], mut action: impl FnMut(&mut Packet) -> usize) -> f64 {
    let start = thread_time();
    for packet in packets {
        packet.length = black_box(action(packet));
    }
    (thread_time() - start).as_secs_f64() * 1e9 / PACKETS as f64
}

#[derive(Clone)]
struct Packet {
    words: [u32; WORDS],
    length: usize,
}

impl Packet {
    fn new(sequence: u64) -> Packet {
        let mut packet = Packet {
            words: [0; WORDS],
            length: PACKET,
        };
        packet.bytes()[..PACKET].copy_from_slice(&crate::packet(sequence));
        packet
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: any bytes are words and the other way round; the slice is as long as the words, and borrows them.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), WORDS * 4) }
    }
}

impl PartialEq for Packet {
    fn eq(&self, other: &Packet) -> bool {
        let bytes = |packet: &Packet| packet.clone().bytes()[..packet.length].to_vec();
        bytes(self) == bytes(other)
    }
}
