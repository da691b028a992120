//! RTCP of our own.
#![expect(
    clippy::cast_possible_truncation,
    reason = "small numbers, and fields of packets"
)]

use relay_common::slot::SsrcCounters;

use super::secure::{Peer, srtp};
use super::*;
use crate::plan::{BundlePlan, Marks, ReportPlan, Treatment};
use crate::security::Suite;
use crate::srtp::Inbound;

const INTERVAL: Duration = Duration::from_secs(5);
/// 2026-11-20 12:00:00 UTC, when the clock of the tests stood at zero.
const EPOCH: Duration = Duration::from_secs(1_795_176_000);
/// The same at [`START`], as NTP has it.
const NTP_START: u64 = 1_795_176_000 + 1000 + 2_208_988_800;
const NAME: &str = "0123456789ab";

const ALICES: u32 = 0xa11c_e000;
const BOBS: u32 = 0xb0b0_0000;

/// Plain PCMA.
const PCMA: u8 = 8;

pub(super) fn plan(ways: Vec<(StreamId, StreamId)>) -> ReportPlan {
    ReportPlan {
        interval: INTERVAL,
        epoch: EPOCH,
        name: NAME.into(),
        seed: 7,
        ways,
    }
}

/// What the kernel may have counted of one SSRC.
pub(super) fn counters(ssrc: u32, highest: u16, packets: u64, arrival: u64) -> Counters {
    let mut counters = Counters::default();
    counters.ssrcs[0] = SsrcCounters {
        ssrc,
        counted_by: 1,
        packets,
        bytes: packets * 172,
        last_arrival: arrival,
        timed_at: arrival,
        base_sequence: 1,
        highest_sequence: highest.into(),
        payload_type: PCMA,
        last_timestamp: 160,
        ..SsrcCounters::default()
    };
    counters
}

/// Alice and Bob, RTCP on ports of their own, ours instead of theirs.
fn call() -> Call {
    let mut call = Call::new();
    call.plan.reports = Some(plan(vec![
        (StreamId(TO_ALICE), StreamId(TO_ALICE_RTCP)),
        (StreamId(TO_BOB), StreamId(TO_BOB_RTCP)),
    ]));
    call.plan.kernel = KernelUse::SwitchedOff;
    for port in [TO_ALICE, TO_BOB] {
        call.change(port, |stream| stream.clocks.push(Clock::new(PCMA, 8000)));
    }
    for (rtcp, rtp) in [(TO_ALICE_RTCP, TO_ALICE), (TO_BOB_RTCP, TO_BOB)] {
        call.change(rtcp, |stream| stream.rtp = Some(StreamId(rtp)));
    }
    call
}

/// 20 ms of audio.
fn audio(ssrc: u32, number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, PCMA];
    packet.extend(number.to_be_bytes());
    packet.extend((u32::from(number) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.resize(12 + 160, 0xd5);
    packet
}

/// A sender report of a party, taken at an NTP time.
fn sender_report(ssrc: u32, ntp: u64) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend(ssrc.to_be_bytes());
    packet.extend(ntp.to_be_bytes());
    packet.resize(28, 0);
    packet
}

/// A report as it was sent.
#[derive(Debug, PartialEq)]
struct Found {
    kind: u8,
    ssrc: u32,
    /// NTP, timestamp, packets, octets.
    sender: Option<(u64, u32, u32, u32)>,
    /// SSRC, fraction lost, lost, highest, jitter, last report, delay.
    blocks: Vec<(u32, u8, i32, u32, u32, u32, u32)>,
    items: Vec<(u8, String)>,
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.chunks_exact(4);
    words
        .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
        .collect()
}

/// Takes a compound packet apart that is a report and a description of its source, and nothing else.
fn parse(packet: &[u8]) -> Found {
    let length = |message: &[u8]| 4 + 4 * usize::from(u16::from_be_bytes([message[2], message[3]]));
    let (report, description) = packet.split_at(length(packet));
    assert_eq!(description.len(), length(description));
    assert_eq!(description[..2], [0x81, 202]);
    let found = words(report);
    assert_eq!(report[0] >> 5, 4, "version 2, no padding");
    let sender = (report[1] == 200).then(|| {
        let ntp = u64::from(found[2]) << 32 | u64::from(found[3]);
        (ntp, found[4], found[5], found[6])
    });
    let start = if sender.is_some() { 7 } else { 2 };
    let blocks: Vec<_> = found[start..]
        .chunks_exact(6)
        .map(|block| {
            let lost = (block[1] << 8).cast_signed() >> 8;
            (
                block[0],
                (block[1] >> 24) as u8,
                lost,
                block[2],
                block[3],
                block[4],
                block[5],
            )
        })
        .collect();
    assert_eq!(blocks.len(), usize::from(report[0] & 0x1f));
    assert_eq!(words(description)[1], found[1], "the same source");
    let mut items = Vec::new();
    let mut rest = &description[8..];
    while rest[0] != 0 {
        let length = usize::from(rest[1]);
        items.push((rest[0], String::from_utf8(rest[2..2 + length].to_vec()).unwrap()));
        rest = &rest[2 + length..];
    }
    assert!(rest.len() <= 4 && rest.iter().all(|byte| *byte == 0));
    Found {
        kind: report[1],
        ssrc: found[1],
        sender,
        blocks,
        items,
    }
}

impl Call {
    /// Everything that was sent to an address since the last time.
    pub(super) fn sent_to(&mut self, to: &str) -> Vec<Vec<u8>> {
        let to = to.parse().unwrap();
        let (taken, kept) = std::mem::take(&mut self.sent)
            .into_iter()
            .partition(|(address, _)| *address == to);
        self.sent = kept;
        let taken: Vec<(SocketAddr, Vec<u8>)> = taken;
        taken.into_iter().map(|(_, packet)| packet).collect()
    }

    /// Goes on to the next round, in which nothing else is due.
    fn round(&mut self) {
        self.now = self.session.poll_timeout().unwrap();
        self.session.handle_timeout(self.now);
        self.drain(&[]);
    }
}

fn cname() -> (u8, String) {
    (1, NAME.to_owned())
}

#[test]
fn each_party_gets_an_account_of_both_directions() {
    let mut call = call();
    call.apply();
    // Alice: 100 packets of 20 ms, every tenth lost. Bob: one.
    for number in (0..100).filter(|number| number % 10 != 5) {
        call.at(20 * u64::from(number));
        call.receive(ALICE, TO_ALICE, &audio(ALICES, number));
    }
    call.receive(BOB, TO_BOB, &audio(BOBS, 7));
    call.receive(
        ALICE_RTCP,
        TO_ALICE_RTCP,
        &sender_report(ALICES, 0x1111_2222_3333_4444),
    );
    call.sent.clear();
    let arrived = call.now;
    call.round();
    let elapsed = call.now.since(arrived);
    let [to_alice] = &call.sent_to(ALICE_RTCP)[..] else {
        panic!("one report for each sender");
    };
    let [to_bob] = &call.sent_to(BOB_RTCP)[..] else {
        panic!("one report for each sender");
    };
    assert_eq!(call.sent, [], "nobody else gets any");

    // The two times are those of the newest packet.
    let ntp = (NTP_START << 32) + ((arrived.since(START).as_nanos() << 32) / 1_000_000_000) as u64;
    let near = |found: u64| assert!(found.abs_diff(ntp) < 1 << 10, "{found:x} {ntp:x}");

    let found = parse(to_bob);
    let (time, timestamp, packets, octets) = found.sender.unwrap();
    near(time);
    assert_eq!(timestamp, 99 * 160);
    assert_eq!(
        (found.kind, found.ssrc, packets, octets),
        (200, ALICES, 90, 90 * 172)
    );
    assert_eq!(found.blocks, [(BOBS, 0, 0, 7, 0, 0, 0)], "Bob has sent no report");
    assert_eq!(found.items, [cname()]);

    let found = parse(to_alice);
    let (time, timestamp, packets, octets) = found.sender.unwrap();
    near(time);
    assert_eq!(timestamp, 7 * 160);
    assert_eq!((found.ssrc, packets, octets), (BOBS, 1, 172));
    let delay = ((elapsed.as_nanos() << 16) / 1_000_000_000) as u32;
    let lost = (10 * 256 / 100) as u8;
    assert_eq!(found.blocks, [(ALICES, lost, 10, 99, 0, 0x2222_3333, delay)]);

    let status = call.status(TO_BOB_RTCP);
    let sent = status.packets_out.load(std::sync::atomic::Ordering::Relaxed);
    let bytes = status.bytes_out.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((sent, bytes), (0, 0), "what is ours is not counted");
}

#[test]
fn fractions_are_those_since_the_last_round() {
    let mut call = call();
    call.apply();
    call.receive(BOB, TO_BOB, &audio(BOBS, 0));
    for number in [0, 2, 4, 6] {
        call.receive(ALICE, TO_ALICE, &audio(ALICES, number));
    }
    call.round();
    call.sent.clear();
    // All at once: twice a sixteenth of the way to a jitter of 20 ms.
    for number in 7..10 {
        call.receive(ALICE, TO_ALICE, &audio(ALICES, number));
    }
    // What comes twice makes up for a loss (RFC 3550 appendix A.3).
    call.receive(ALICE, TO_ALICE, &audio(ALICES, 9));
    call.round();
    let blocks = |packets: &[Vec<u8>]| {
        packets
            .iter()
            .flat_map(|packet| parse(packet).blocks)
            .collect::<Vec<_>>()
    };
    assert_eq!(blocks(&call.sent_to(ALICE_RTCP)), [(ALICES, 0, 2, 9, 19, 0, 0)]);
    call.round();
    // There is no news: the same again.
    assert_eq!(blocks(&call.sent_to(ALICE_RTCP)), [(ALICES, 0, 2, 9, 19, 0, 0)]);
}

#[test]
fn rounds_are_five_to_six_seconds_apart() {
    let mut call = call();
    call.apply();
    call.receive(ALICE, TO_ALICE, &audio(ALICES, 0));
    let mut gaps = Vec::new();
    for _ in 0..20 {
        let before = call.now;
        let due = call.session.poll_timeout().unwrap();
        call.round();
        gaps.push(due.since(before));
    }
    assert!(
        gaps.iter().all(|gap| (4..=6).contains(&gap.as_secs())),
        "{gaps:?}"
    );
    let mean = gaps.iter().map(Duration::as_secs_f64).sum::<f64>() / 20.0;
    assert!((5.2..5.8).contains(&mean), "{mean}");
    assert!(gaps.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_plan_goes_on_with_the_rounds() {
    let mut call = call();
    call.apply();
    let due = call.session.poll_timeout();
    call.at(3000);
    call.signal(&[TO_ALICE]);
    assert_eq!(call.session.poll_timeout(), due);
    call.plan.reports = None;
    call.apply();
    assert_eq!(call.session.poll_timeout(), None);
}

#[test]
fn rtcp_of_the_parties_stays_here_only_while_ours_takes_its_place() {
    let mut call = call();
    let reports = call.plan.reports.take();
    call.apply();
    call.receive(ALICE_RTCP, TO_ALICE_RTCP, RTCP);
    call.receive(BOB, TO_BOB, RTCP);
    assert_eq!(
        (call.sent_to(BOB_RTCP).len(), call.sent_to(ALICE_RTCP).len()),
        (1, 1)
    );
    call.plan.reports = reports;
    call.apply();
    call.receive(ALICE_RTCP, TO_ALICE_RTCP, RTCP);
    // On the port of RTP too.
    call.receive(BOB, TO_BOB, RTCP);
    assert_eq!(call.sent, []);
    let received = call
        .status(TO_ALICE_RTCP)
        .packets_in
        .load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(received, 2, "it is counted");
    call.plan.reports = None;
    call.apply();
    call.receive(ALICE_RTCP, TO_ALICE_RTCP, RTCP);
    assert_eq!(call.sent_to(BOB_RTCP), [RTCP.to_vec()]);
}

#[test]
fn who_falls_silent_is_reported_on_and_who_is_sent_nothing_gets_no_report() {
    let mut call = call();
    call.apply();
    call.receive(ALICE, TO_ALICE, &audio(ALICES, 0));
    let mut rounds = Vec::new();
    for _ in 0..4 {
        call.round();
        rounds.push((call.sent_to(BOB_RTCP).len(), call.sent_to(ALICE_RTCP).len()));
    }
    assert_eq!(rounds, [(1, 0); 4]);
}

#[test]
fn blocked_media_is_reported_as_it_was_before() {
    let mut call = call();
    call.apply();
    let block = |call: &mut Call, media| call.change(TO_ALICE, |stream| stream.sinks[0].media = media);
    block(&mut call, Treatment::Drop);
    call.apply();
    let mut number = 0;
    let mut counted = |call: &mut Call| {
        call.receive(ALICE, TO_ALICE, &audio(ALICES, number));
        number += 1;
        call.sent.clear();
        call.round();
        let (_, timestamp, packets, octets) = parse(&call.sent_to(BOB_RTCP)[0]).sender.unwrap();
        (timestamp, packets, octets)
    };
    assert_eq!(counted(&mut call), (0, 0, 0));
    block(&mut call, Treatment::Pass);
    call.apply();
    assert_eq!(counted(&mut call), (160, 2, 344));
    block(&mut call, Treatment::Drop);
    call.apply();
    assert_eq!(counted(&mut call), (160, 2, 344));
}

#[test]
fn who_is_not_meant_keeps_what_it_sends_and_gets_nothing() {
    let mut call = call();
    if let Some(reports) = &mut call.plan.reports {
        reports.ways.retain(|(to, _)| *to == StreamId(TO_ALICE));
    }
    call.apply();
    call.receive(ALICE, TO_ALICE, &audio(ALICES, 0));
    call.receive(BOB, TO_BOB, &audio(BOBS, 0));
    call.sent.clear();
    call.receive(BOB_RTCP, TO_BOB_RTCP, RTCP);
    assert_eq!(call.sent_to(ALICE_RTCP), [RTCP.to_vec()]);
    call.receive(ALICE_RTCP, TO_ALICE_RTCP, RTCP);
    assert_eq!(call.sent, []);
    call.round();
    let rounds = (call.sent_to(ALICE_RTCP).len(), call.sent_to(BOB_RTCP).len());
    assert_eq!(rounds, (1, 0));
}

#[test]
fn muxed_rtcp_leaves_by_the_port_of_rtp() {
    let mut call = call();
    call.plan.reports = Some(plan(vec![(StreamId(TO_BOB), StreamId(TO_BOB))]));
    call.apply();
    call.receive(ALICE, TO_ALICE, &audio(ALICES, 0));
    call.sent.clear();
    call.take_transcript();
    call.round();
    assert!(
        call.take_transcript()
            .contains("send 30002 -> 198.51.100.20:6000")
    );
    assert_eq!(parse(&call.sent_to(BOB)[0]).ssrc, ALICES);
}

#[test]
fn what_the_kernel_relays_is_reported_as_the_kernel_counts_it() {
    let mut call = call();
    call.plan.kernel = KernelUse::Allowed;
    call.apply();
    call.receive(BOB, TO_BOB, &audio(BOBS, 1));
    call.receive(ALICE, TO_ALICE, &audio(ALICES, 1));
    call.report(TO_ALICE, Path::Kernel);
    assert_eq!(call.reason(TO_ALICE), None);
    call.sent.clear();
    // 220 should have come; the last one a second before the round.
    let arrival = call.session.poll_timeout().unwrap().0 - 1_000_000_000;
    call.counters
        .insert(id(TO_ALICE), counters(ALICES, 220, 200, arrival));
    call.round();
    let found = parse(&call.sent_to(BOB_RTCP)[0]);
    let (_, timestamp, packets, octets) = found.sender.unwrap();
    assert_eq!((packets, octets), (200, 200 * 172));
    assert_eq!(timestamp, 160);
    let found = parse(&call.sent_to(ALICE_RTCP)[0]);
    assert_eq!(found.blocks, [(ALICES, (20 * 256 / 220) as u8, 20, 220, 0, 0, 0)]);
    assert_eq!(call.reason(TO_ALICE), None, "it stays there");
}

#[test]
fn an_echo_is_reported_to_its_sender() {
    let mut call = call();
    call.change(TO_ALICE, |stream| {
        stream.sinks = SmallVec::from([StreamId(TO_ALICE).into()]);
    });
    call.apply();
    call.receive(ALICE, TO_ALICE, &audio(ALICES, 0));
    call.round();
    let found = parse(&call.sent_to(ALICE_RTCP)[0]);
    assert_eq!((found.kind, found.ssrc), (200, ALICES));
    assert_eq!(found.blocks[0].0, ALICES);
}

/// Alice bundles two sections on one port, with media identifications.
#[test]
fn sections_of_a_bundle_are_reported_one_by_one() {
    const TO_ALICE_VIDEO: u32 = 30_004;
    const TO_BOB_VIDEO: u32 = 30_006;
    const BOB_VIDEO: &str = "198.51.100.20:6002";
    let bundled = |mut stream: StreamPlan, mid: &str, payload_type: u8| {
        let mut payload_types = PayloadTypes::default();
        payload_types.insert(payload_type);
        stream.bundle = Some(BundlePlan {
            lead: StreamId(TO_ALICE),
            joined: true,
            marks: Marks {
                mids: vec![mid.into()],
                payload_types,
                ..Marks::default()
            },
        });
        stream
    };
    let mut video = stream(TO_ALICE_VIDEO, Some(ALICE), &[TO_BOB_VIDEO], &[TO_BOB_VIDEO]);
    video.ports.clear();
    let mut call = Call::with(vec![
        bundled(stream(TO_ALICE, Some(ALICE), &[TO_BOB], &[TO_BOB]), "a", PCMA),
        bundled(video, "v", 96),
        stream(TO_BOB, Some(BOB), &[TO_ALICE], &[TO_ALICE]),
        stream(
            TO_BOB_VIDEO,
            Some(BOB_VIDEO),
            &[TO_ALICE_VIDEO],
            &[TO_ALICE_VIDEO],
        ),
    ]);
    let ways = [TO_ALICE, TO_ALICE_VIDEO, TO_BOB, TO_BOB_VIDEO];
    call.plan.reports = Some(plan(ways.map(|port| (StreamId(port), StreamId(port))).into()));
    call.plan.kernel = KernelUse::SwitchedOff;
    call.apply();
    let picture = |number| {
        let mut packet = audio(ALICES + 1, number);
        packet[1] = 96;
        packet
    };
    for number in [1, 2, 4] {
        call.receive(ALICE, TO_ALICE, &audio(ALICES, number));
        call.receive(ALICE, TO_ALICE, &picture(number));
        call.receive(ALICE, TO_ALICE, &picture(number + 10));
    }
    call.receive(BOB, TO_BOB, &audio(BOBS, 1));
    call.receive(BOB_VIDEO, TO_BOB_VIDEO, &audio(BOBS + 1, 1));
    call.receive(ALICE, TO_ALICE, &sender_report(ALICES + 1, 5 << 16));
    call.sent.clear();
    call.round();
    let to_alice: Vec<Found> = call.sent_to(ALICE).iter().map(|packet| parse(packet)).collect();
    let mid = |mid: &str| vec![cname(), (15, mid.to_owned())];
    assert_eq!((to_alice[0].ssrc, &to_alice[0].items), (BOBS, &mid("a")));
    assert_eq!((to_alice[1].ssrc, &to_alice[1].items), (BOBS + 1, &mid("v")));
    assert_eq!(to_alice.len(), 2);
    let (ssrc, _, lost, highest, ..) = to_alice[0].blocks[0];
    assert_eq!((ssrc, lost, highest), (ALICES, 1, 4));
    let (ssrc, _, lost, highest, _, last_report, _) = to_alice[1].blocks[0];
    assert_eq!((ssrc, lost, highest, last_report), (ALICES + 1, 8, 14, 5));
    assert_eq!(to_alice[1].blocks.len(), 1);
    let found = parse(&call.sent_to(BOB_VIDEO)[0]);
    let (_, _, packets, _) = found.sender.unwrap();
    assert_eq!((found.ssrc, packets, found.items), (ALICES + 1, 6, vec![cname()]));
}

const SUITE: Suite = Suite::AesCm128HmacSha1_80;

#[test]
fn reports_are_encrypted_for_who_speaks_srtp_and_read_from_them() {
    for suite in [SUITE, Suite::AeadAes256Gcm] {
        let mut bob = Peer::sdes(suite, 3, 4);
        let mut call = call();
        for port in [TO_BOB, TO_BOB_RTCP] {
            call.change(port, |stream| stream.security = bob.security());
        }
        call.apply();
        call.receive(ALICE, TO_ALICE, &audio(ALICES, 0));
        call.receive(BOB, TO_BOB, &bob.protect(&audio(BOBS, 0)));
        let report = bob.protect(&sender_report(BOBS, 5 << 16));
        call.receive(BOB_RTCP, TO_BOB_RTCP, &report);
        call.sent.clear();
        call.round();
        assert_eq!(call.sent.len(), 2);
        let to_bob = call.sent_to(BOB_RTCP).remove(0);
        let found = parse(&bob.read(&to_bob).unwrap());
        assert_eq!(found.ssrc, ALICES);
        let found = parse(&call.sent_to(ALICE_RTCP)[0]);
        let (_, _, packets, octets) = found.sender.unwrap();
        assert_eq!((packets, octets), (1, 172), "without what protects it");
        assert_eq!(found.blocks[0].5, 0, "Alice has sent no report");
    }
}

#[test]
fn under_a_key_that_both_parties_have_no_index_is_used_twice() {
    let (mut alice, bob) = (Peer::sdes(SUITE, 1, 2), Peer::sdes(SUITE, 2, 1));
    let mut call = call();
    for (ports, peer) in [([TO_ALICE, TO_ALICE_RTCP], &alice), ([TO_BOB, TO_BOB_RTCP], &bob)] {
        for port in ports {
            call.change(port, |stream| stream.security = peer.security());
        }
    }
    call.apply();
    let mut bob = bob;
    call.receive(ALICE, TO_ALICE, &alice.protect(&audio(ALICES, 0)));
    call.receive(BOB, TO_BOB, &bob.protect(&audio(BOBS, 0)));
    assert_eq!(call.sent_to(BOB).len(), 1, "media passes as it is");
    call.sent.clear();
    call.receive(
        ALICE_RTCP,
        TO_ALICE_RTCP,
        &alice.protect(&sender_report(ALICES, 5 << 16)),
    );
    assert_eq!(call.sent, [], "RTCP does not");
    call.round();
    let mut to_bob = call.sent_to(BOB_RTCP).remove(0);
    let mut inbound = Inbound::new(&srtp(SUITE, 1));
    let opened = inbound.unprotect_rtcp(&mut to_bob).unwrap();
    assert_eq!(opened.index, 1 << 30);
    assert_eq!(parse(&to_bob[..opened.length]).ssrc, ALICES);
    let found = parse(&alice.read(&call.sent_to(ALICE_RTCP)[0]).unwrap());
    assert_eq!((found.kind, found.blocks[0].5), (200, 5));
}

#[test]
fn encryption_that_is_not_ours_leaves_rtcp_alone() {
    let mut call = call();
    for port in [TO_ALICE, TO_ALICE_RTCP, TO_BOB, TO_BOB_RTCP] {
        call.change(port, |stream| stream.security = MediaSecurity::Opaque);
    }
    call.apply();
    call.receive(ALICE, TO_ALICE, &audio(ALICES, 0));
    call.receive(ALICE_RTCP, TO_ALICE_RTCP, RTCP);
    assert_eq!(call.sent_to(BOB_RTCP), [RTCP.to_vec()]);
    call.round();
    assert_eq!(call.sent_to(BOB_RTCP).len(), 0);
}
