//! What secure media costs: one packet alone, ours beside libsrtp's; DTLS handshakes; and CPU time a relayed packet, this
//! daemon beside rtpengine.
//!
//! `srtp-bench [ROUNDS [PACKETS [NAME]]]`, packets of each flow in each round, and which relaying alone: as root, with two processors, rtpengine and libsrtp2-1 installed. Compare the numbers of
//! one run with each other.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement has nobody to report an error to"
)]

mod alone;
mod handshakes;
mod load;
mod relays;

use std::env;

use relay_daemon::security::{MasterKey, Srtp, Suite};
use relay_tests::libsrtp::LibSrtp;
use relay_tests::rounds::Rounds;

use self::load::Scenario;

fn main() {
    let mut arguments = env::args().skip(1);
    let rounds = arguments.next().map_or(11, |text| text.parse().unwrap());
    let packets = arguments.next().map_or(25, |text| text.parse().unwrap());
    let only = arguments.next();
    println!("{rounds} rounds, in each of them everything in turn: median (least to most)\n");

    let mut ratios = Vec::new();
    if only.is_none() {
        if LibSrtp::is_installed() {
            heading("ns for a packet of G.711", "ours", "libsrtp");
            for suite in [Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm] {
                for (what, [ours, theirs]) in alone::measure(suite, rounds) {
                    ratios.push(compare(&format!("{what}, {suite}"), &ours, &theirs));
                }
            }
        }
        handshakes::print(rounds);
    }
    heading(
        &format!("ns of CPU a packet, {} flows x {}/s", load::FLOWS, load::PACE),
        "ours",
        "rtpengine",
    );
    let cm = Suite::AesCm128HmacSha1_80;
    let gcm = Suite::AeadAes128Gcm;
    for (name, caller, callee) in [
        ("RTP to RTP", None, None),
        ("RTP to CM-128/80", None, Some(cm)),
        ("RTP to GCM-128", None, Some(gcm)),
        // With the same suite on both sides nothing need be encrypted anew.
        (
            "CM-128/80 to CM-128/32",
            Some(cm),
            Some(Suite::AesCm128HmacSha1_32),
        ),
        ("GCM-128 to GCM-256", Some(gcm), Some(Suite::AeadAes256Gcm)),
    ] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let [ours, theirs, bare] = load::measure(&Scenario { caller, callee }, rounds, packets);
        ratios.push(compare(name, &ours, &theirs));
        if !bare.0.is_empty() {
            println!("{:<36} {bare:>26}", "  a loop of recvfrom and sendto");
        }
    }
    println!();
    for ratio in ratios {
        println!("{ratio}");
    }
}

fn heading(what: &str, ours: &str, theirs: &str) {
    println!("{what:<36} {ours:>26} {theirs:>26}");
}

/// Prints what was measured, and returns the line that says the ratio.
fn compare(name: &str, ours: &Rounds, theirs: &Rounds) -> String {
    println!("{name:<36} {ours:>26} {theirs:>26}");
    format!("ratio: {name}: {:.2}", ours.median() / theirs.median())
}

fn key(suite: Suite, fill: u8) -> Srtp {
    Srtp::new(MasterKey::cut(suite, [fill; MasterKey::MAX_LENGTH]))
}

/// RTP header and 20 ms of G.711.
const PACKET: usize = 172;

fn packet(sequence: u64) -> [u8; PACKET] {
    let mut packet = [0x55; PACKET];
    packet[..2].copy_from_slice(&[0x80, 8]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes()[6..]);
    packet[4..8].copy_from_slice(&(sequence * 160).to_be_bytes()[4..]);
    packet[8..12].copy_from_slice(&[0, 0, 0, 1]);
    packet
}
