//! RTP and SRTP, from each kind to each.

use std::sync::atomic::Ordering;

use relay_common::packet::header_extension;
use relay_common::slot::{Counters, SsrcCounters};

use super::*;
use crate::codec::{Kind, Law};
use crate::plan::{BundlePlan, Coding, Conversion, Label, Marks, Transcoding, Treatment};
use crate::security::{DtlsPeer, DtlsRole, Fingerprint, HashFunction, MasterKey, Srtp, SrtpKeys, Suite};
use crate::srtp::{Error, Inbound, Outbound};

const CAROL: &str = "198.51.100.30:7000";
const TO_CAROL: u32 = 30_004;
const S80: Suite = Suite::AesCm128HmacSha1_80;
const REPORT: &[u8] = &[0x80, 201, 0, 1, 0xa, 0xb, 0xc, 0xd];

/// A party that speaks SRTP, or does not.
pub(super) struct Peer {
    sends: Option<Outbound>,
    receives: Option<Inbound>,
    keys: Option<SrtpKeys>,
    /// Whether the keys come from a DTLS association.
    by_dtls: bool,
}

pub(super) fn srtp(suite: Suite, fill: u8) -> Srtp {
    Srtp::new(MasterKey::cut(suite, [fill; MasterKey::MAX_LENGTH]))
}

impl Peer {
    pub(super) fn plain() -> Peer {
        Peer {
            sends: None,
            receives: None,
            keys: None,
            by_dtls: false,
        }
    }

    /// Sends with one key and receives with another one.
    pub(super) fn sdes(suite: Suite, sends: u8, receives: u8) -> Peer {
        let keys = SrtpKeys {
            is_copied: false,
            inbound: srtp(suite, sends),
            outbound: srtp(suite, receives),
        };
        Peer {
            sends: Some(Outbound::new(&keys.inbound)),
            receives: Some(Inbound::new(&keys.outbound)),
            keys: Some(keys),
            by_dtls: false,
        }
    }

    pub(super) fn dtls(suite: Suite, sends: u8, receives: u8) -> Peer {
        Peer {
            by_dtls: true,
            ..Peer::sdes(suite, sends, receives)
        }
    }

    pub(super) fn security(&self) -> MediaSecurity {
        match &self.keys {
            None => MediaSecurity::Plain,
            Some(keys) if !self.by_dtls => MediaSecurity::Sdes(keys.clone()),
            Some(_) => MediaSecurity::Dtls(DtlsPeer {
                role: DtlsRole::Active,
                fingerprint: Fingerprint::new(HashFunction::Sha1, &[1; 20]).unwrap(),
                association: "1".into(),
            }),
        }
    }

    /// What it sends of a packet.
    pub(super) fn protect(&mut self, packet: &[u8]) -> Vec<u8> {
        let Some(sends) = &mut self.sends else {
            return packet.to_vec();
        };
        let mut buffer = [packet, &[0; MAX_TRAILER]].concat();
        let length = match packet[1] {
            194..=223 => sends.protect_rtcp(&mut buffer, packet.len(), None),
            _ => sends.protect_rtp(&mut buffer, packet.len(), None),
        };
        buffer.truncate(length.unwrap());
        buffer
    }

    /// What it makes of what it is sent.
    pub(super) fn read(&mut self, packet: &[u8]) -> Result<Vec<u8>, Error> {
        let mut packet = packet.to_vec();
        let Some(receives) = &mut self.receives else {
            return Ok(packet);
        };
        let opened = match packet[1] {
            194..=223 => receives.unprotect_rtcp(&mut packet),
            _ => receives.unprotect_rtp(&mut packet),
        }?;
        packet.truncate(opened.length);
        Ok(packet)
    }
}

pub(super) fn packet(sequence: u16) -> Vec<u8> {
    let mut packet = RTP.to_vec();
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet
}

impl Call {
    /// Alice and Bob, with RTCP on ports of its own or on those of the RTP.
    pub(super) fn between(alice: &Peer, bob: &Peer, muxed: bool) -> Call {
        let rtcp_of = |rtp, rtcp| if muxed { rtp } else { rtcp };
        let (alice_rtcp, bob_rtcp) = (rtcp_of(TO_ALICE, TO_ALICE_RTCP), rtcp_of(TO_BOB, TO_BOB_RTCP));
        let mut call = Call::with(vec![
            stream(TO_ALICE, Some(ALICE), &[TO_BOB], &[bob_rtcp]),
            rtcp(stream(TO_ALICE_RTCP, Some(ALICE_RTCP), &[], &[bob_rtcp])),
            stream(TO_BOB, Some(BOB), &[TO_ALICE], &[alice_rtcp]),
            rtcp(stream(TO_BOB_RTCP, Some(BOB_RTCP), &[], &[alice_rtcp])),
        ]);
        for (rtp, rtcp, peer) in [(TO_ALICE, TO_ALICE_RTCP, alice), (TO_BOB, TO_BOB_RTCP, bob)] {
            call.change(rtp, |stream| stream.security = peer.security());
            call.change(rtcp, |stream| {
                stream.security = peer.security();
                stream.rtp = Some(StreamId(rtp));
            });
        }
        call.apply();
        for (streams, peer) in [([TO_ALICE, TO_ALICE_RTCP], alice), ([TO_BOB, TO_BOB_RTCP], bob)] {
            if peer.by_dtls {
                for stream in streams {
                    let keys = peer.keys.as_ref().unwrap();
                    call.session.handle_srtp_keys(call.now, StreamId(stream), keys);
                }
            }
        }
        call.take_transcript();
        call
    }

    /// What was sent since the last time, and where to.
    pub(super) fn take_sent(&mut self) -> Vec<(String, Vec<u8>)> {
        let sent = self.sent.drain(..);
        sent.map(|(to, packet)| (to.to_string(), packet)).collect()
    }

    /// The only packet sent since the last time, sent there.
    pub(super) fn only_sent(&mut self, to: &str) -> Vec<u8> {
        let mut sent = self.take_sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(sent[0].0, to);
        sent.remove(0).1
    }

    pub(super) fn errors(&self, port: u32, error: Error) -> u64 {
        self.status(port).srtp_errors(error)
    }
}

fn kinds(sends: u8, receives: u8) -> Vec<Peer> {
    vec![
        Peer::plain(),
        Peer::sdes(S80, sends, receives),
        Peer::sdes(Suite::AeadAes256Gcm, sends, receives),
        Peer::sdes(Suite::F8_128HmacSha1_32, sends, receives),
        Peer::dtls(Suite::AeadAes128Gcm, sends, receives),
        Peer::dtls(Suite::AesCm128HmacSha1_32, sends, receives),
    ]
}

#[test]
fn every_kind_reaches_every_other() {
    for muxed in [false, true] {
        for from in 0..kinds(1, 2).len() {
            for to in 0..kinds(3, 4).len() {
                relays(kinds(1, 2).swap_remove(from), kinds(3, 4).swap_remove(to), muxed);
            }
        }
    }
}

fn relays(mut alice: Peer, mut bob: Peer, muxed: bool) {
    let mut call = Call::between(&alice, &bob, muxed);
    let (alice_rtcp, bob_rtcp) = if muxed {
        (ALICE, BOB)
    } else {
        (ALICE_RTCP, BOB_RTCP)
    };
    for sequence in [65_534, 65_535, 1, 0, 2] {
        let rtp = packet(sequence);
        call.receive(ALICE, TO_ALICE, &alice.protect(&rtp));
        assert_eq!(bob.read(&call.only_sent(BOB)), Ok(rtp.clone()));
        call.receive(BOB, TO_BOB, &bob.protect(&rtp));
        assert_eq!(alice.read(&call.only_sent(ALICE)), Ok(rtp));
        call.receive(ALICE, TO_ALICE, &alice.protect(REPORT));
        assert_eq!(bob.read(&call.only_sent(bob_rtcp)), Ok(REPORT.to_vec()));
        call.receive(BOB_RTCP, TO_BOB_RTCP, &bob.protect(REPORT));
        assert_eq!(alice.read(&call.only_sent(alice_rtcp)), Ok(REPORT.to_vec()));
    }
    assert_eq!(call.status(TO_ALICE).errors_in.load(Ordering::Relaxed), 0);
    let is_plain = alice.keys.is_none() && bob.keys.is_none();
    let expected = (!is_plain).then_some(UserspaceReason::Encryption);
    assert_eq!(call.reason(TO_ALICE).filter(|_| !is_plain), expected);
}

#[test]
fn what_has_the_same_keys_on_both_sides_passes_as_it_is_and_in_the_kernel() {
    for suite in [S80, Suite::AeadAes128Gcm] {
        let (mut alice, bob) = (Peer::sdes(suite, 1, 2), Peer::sdes(suite, 2, 1));
        let mut call = Call::between(&alice, &bob, false);
        for (plain, to) in [(packet(1), BOB), (REPORT.to_vec(), BOB_RTCP), (packet(2), BOB)] {
            let wire = alice.protect(&plain);
            call.receive(ALICE, TO_ALICE, &wire);
            assert_eq!(call.only_sent(to), wire);
        }
        assert!(call.take_transcript().contains("offload 30000"));
        let mut forged = alice.protect(&packet(3));
        forged[20] ^= 1;
        call.receive(ALICE, TO_ALICE, &forged);
        assert_eq!(call.take_sent(), []);
        assert_eq!(call.errors(TO_ALICE, Error::Authentication), 1);
    }
}

#[test]
fn what_is_encrypted_anew_is_checked_whatever_the_keys() {
    let (mut alice, mut bob) = (Peer::sdes(S80, 1, 2), Peer::sdes(S80, 2, 1));
    let mut call = Call::between(&alice, &bob, true);
    call.change(TO_ALICE, |alice| alice.recrypts = true);
    call.apply();
    let mut forged = alice.protect(&packet(1));
    forged[20] ^= 1;
    call.receive(ALICE, TO_ALICE, &forged);
    assert_eq!(call.take_sent(), []);
    assert_eq!(call.errors(TO_ALICE, Error::Authentication), 1);
    let wire = alice.protect(&packet(2));
    call.receive(ALICE, TO_ALICE, &wire);
    assert_eq!(bob.read(&call.only_sent(BOB)), Ok(packet(2)));
    assert_eq!(call.reason(TO_ALICE), Some(UserspaceReason::Encryption));
}

#[test]
fn each_sink_gets_its_own_protection() {
    let (mut alice, mut bob) = (Peer::sdes(S80, 1, 2), Peer::sdes(S80, 2, 1));
    let mut carol = Peer::sdes(Suite::AeadAes128Gcm, 5, 6);
    let mut call = Call::between(&alice, &bob, true);
    let mut to_carol = stream(TO_CAROL, Some(CAROL), &[], &[]);
    to_carol.security = carol.security();
    let to_dave = stream(30_006, Some("198.51.100.40:7000"), &[], &[]);
    call.plan.streams.extend([to_carol, to_dave]);
    call.change(TO_ALICE, |alice| {
        alice
            .sinks
            .extend([StreamId(TO_CAROL).into(), StreamId(30_006).into()]);
        alice.rtcp_sinks.push(StreamId(TO_CAROL));
    });
    call.apply();
    for sequence in [65_535, 0, 1] {
        let wire = alice.protect(&packet(sequence));
        call.receive(ALICE, TO_ALICE, &wire);
        let sent = call.take_sent();
        assert_eq!(sent[0], (BOB.to_owned(), wire), "made anew, but the same");
        assert_eq!(bob.read(&sent[0].1), Ok(packet(sequence)));
        assert_eq!(carol.read(&sent[1].1), Ok(packet(sequence)));
        assert_eq!(sent[2].1, packet(sequence));
        let wire = alice.protect(REPORT);
        call.receive(ALICE, TO_ALICE, &wire);
        let sent = call.take_sent();
        assert_eq!(sent[0].1, wire);
        assert_eq!(carol.read(&sent[1].1), Ok(REPORT.to_vec()));
    }
}

#[test]
fn silence_is_encrypted_and_so_is_an_echo() {
    let mut alice = Peer::sdes(S80, 1, 2);
    let mut bob = Peer::dtls(Suite::AeadAes128Gcm, 3, 4);
    let mut call = Call::between(&alice, &bob, true);
    call.change(TO_ALICE, |stream| {
        stream.payloads.silence.push((0, 0xd5));
        stream.sinks[0].media = Treatment::Silence;
        stream.sinks.push(StreamId(TO_ALICE).into());
    });
    call.apply();
    for sequence in 0..3 {
        call.receive(ALICE, TO_ALICE, &alice.protect(&packet(sequence)));
        let sent = call.take_sent();
        let mut silent = packet(sequence);
        silent[12..].fill(0xd5);
        assert_eq!(bob.read(&sent[0].1), Ok(silent));
        assert_eq!(alice.read(&sent[1].1), Ok(packet(sequence)));
    }
}

#[test]
fn nothing_passes_before_dtls_has_keys() {
    let mut alice = Peer::dtls(S80, 1, 2);
    let mut bob = Peer::plain();
    let mut call = Call::between(&Peer::plain(), &bob, true);
    call.change(TO_ALICE, |stream| stream.security = alice.security());
    call.apply();
    call.receive(NAT, TO_ALICE, &alice.protect(&packet(1)));
    call.receive(BOB, TO_BOB, &packet(1));
    assert_eq!(call.take_sent(), []);
    assert_eq!(call.errors(TO_ALICE, Error::NoKeys), 2, "one each way");
    assert_eq!(call.status(TO_ALICE).learned(), None);
    let keys = alice.keys.clone().unwrap();
    call.session.handle_srtp_keys(call.now, StreamId(TO_ALICE), &keys);
    call.receive(NAT, TO_ALICE, &alice.protect(&packet(2)));
    assert_eq!(bob.read(&call.only_sent(BOB)), Ok(packet(2)));
    call.receive(BOB, TO_BOB, &bob.protect(&packet(2)));
    assert_eq!(alice.read(&call.only_sent(NAT)), Ok(packet(2)));
    // The same plan keeps them, and so does another association until it has some.
    call.apply();
    call.receive(NAT, TO_ALICE, &alice.protect(&packet(3)));
    call.only_sent(BOB);
    call.change(TO_ALICE, |stream| {
        let MediaSecurity::Dtls(peer) = &mut stream.security else {
            panic!("it is DTLS");
        };
        peer.association = "2".into();
    });
    call.apply();
    call.receive(NAT, TO_ALICE, &alice.protect(&packet(4)));
    call.only_sent(BOB);
    let keys = Peer::dtls(S80, 3, 4).keys.unwrap();
    call.session.handle_srtp_keys(call.now, StreamId(TO_ALICE), &keys);
    call.receive(NAT, TO_ALICE, &alice.protect(&packet(5)));
    assert_eq!(call.take_sent(), []);
}

#[test]
fn a_plan_with_the_same_keys_goes_on_and_one_with_new_keys_as_well() {
    let (mut alice, mut bob) = (Peer::sdes(S80, 1, 2), Peer::plain());
    let mut call = Call::between(&alice, &bob, false);
    let wire = alice.protect(&packet(65_535));
    call.receive(ALICE, TO_ALICE, &wire);
    call.receive(BOB, TO_BOB, &packet(65_535));
    assert_eq!(alice.read(&call.take_sent()[1].1), Ok(packet(65_535)));
    call.receive(ALICE, TO_ALICE, &alice.protect(&packet(0)));
    call.receive(BOB, TO_BOB, &packet(0));
    assert_eq!(alice.read(&call.take_sent()[1].1), Ok(packet(0)));
    call.apply();
    call.receive(ALICE, TO_ALICE, &wire);
    assert_eq!(call.take_sent(), [], "it was here before");
    alice.sends.as_mut().unwrap().rekey(&srtp(S80, 8));
    alice.receives.as_mut().unwrap().rekey(&srtp(S80, 9));
    alice.keys = Some(SrtpKeys {
        is_copied: false,
        inbound: srtp(S80, 8),
        outbound: srtp(S80, 9),
    });
    let security = alice.security();
    for port in [TO_ALICE, TO_ALICE_RTCP] {
        call.change(port, |stream| stream.security = security.clone());
    }
    call.apply();
    call.receive(ALICE, TO_ALICE, &alice.protect(&packet(1)));
    assert_eq!(bob.read(&call.only_sent(BOB)), Ok(packet(1)));
    call.receive(BOB, TO_BOB, &packet(1));
    assert_eq!(alice.read(&call.only_sent(ALICE)), Ok(packet(1)));
}

#[test]
fn srtcp_of_both_ports_counts_together() {
    let (mut alice, mut bob) = (Peer::sdes(S80, 1, 2), Peer::plain());
    let mut call = Call::between(&alice, &bob, false);
    let report = alice.protect(REPORT);
    call.receive(ALICE_RTCP, TO_ALICE_RTCP, &report);
    assert_eq!(bob.read(&call.only_sent(BOB_RTCP)), Ok(REPORT.to_vec()));
    call.receive(ALICE, TO_ALICE, &report);
    assert_eq!(call.take_sent(), [], "replayed at the other port");
    call.receive(BOB_RTCP, TO_BOB_RTCP, REPORT);
    let first = call.only_sent(ALICE_RTCP);
    call.change(TO_BOB, |stream| {
        stream.rtcp_sinks = SmallVec::from([StreamId(TO_ALICE)])
    });
    call.change(TO_BOB_RTCP, |stream| {
        stream.rtcp_sinks = SmallVec::from([StreamId(TO_ALICE)])
    });
    call.apply();
    call.receive(BOB_RTCP, TO_BOB_RTCP, REPORT);
    let second = call.only_sent(ALICE);
    assert_ne!(first, second, "no key stream is used twice");
    assert_eq!(alice.read(&first), alice.read(&second));
}

#[test]
fn a_flow_comes_back_from_the_kernel_after_many_turns() {
    for suite in [S80, Suite::AeadAes128Gcm] {
        let (mut alice, bob) = (Peer::sdes(suite, 1, 2), Peer::sdes(suite, 2, 1));
        let mut call = Call::between(&alice, &bob, true);
        call.receive(ALICE, TO_ALICE, &alice.protect(&packet(1000)));
        assert!(call.session.uncounted(id(TO_ALICE)).is_empty());
        call.report(TO_ALICE, Path::Kernel);
        assert_eq!(*call.session.uncounted(id(TO_ALICE)), [id(TO_ALICE)]);
        // Ten turns later.
        let mut sequence = 1000u16;
        for _ in 0..40 {
            sequence = sequence.wrapping_add(16_384);
            alice.protect(&packet(sequence));
        }
        let mut counters = Counters::default();
        counters.ssrcs[0] = SsrcCounters {
            ssrc: 0x0102_0304,
            counted_by: 1,
            packets: 40,
            base_sequence: 1001,
            highest_sequence: 10 * 65_536 + 1000,
            ..SsrcCounters::default()
        };
        // Carol is to hear it as well, in the clear.
        call.plan.streams.push(stream(TO_CAROL, Some(CAROL), &[], &[]));
        call.change(TO_ALICE, |alice| alice.sinks.push(StreamId(TO_CAROL).into()));
        call.apply();
        call.take_sent();
        assert_eq!(*call.session.uncounted(id(TO_ALICE)), [id(TO_ALICE)]);
        call.session.handle_counts(id(TO_ALICE), &counters);
        assert!(call.session.uncounted(id(TO_ALICE)).is_empty());
        let wire = alice.protect(&packet(1001));
        call.receive(ALICE, TO_ALICE, &wire);
        let sent = call.take_sent();
        assert_eq!(sent[0], (BOB.to_owned(), wire));
        assert_eq!(sent[1], (CAROL.to_owned(), packet(1001)));
    }
}

#[test]
fn feedback_is_for_those_who_know_it() {
    let feedback = [REPORT, &[0x81, 206, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
    for mut bob in [Peer::plain(), Peer::sdes(S80, 3, 4)] {
        let mut alice = Peer::sdes(S80, 1, 2);
        let mut call = Call::between(&alice, &bob, true);
        call.change(TO_ALICE, |stream| stream.feedback = true);
        call.apply();
        call.receive(ALICE, TO_ALICE, &alice.protect(&feedback));
        assert_eq!(bob.read(&call.only_sent(BOB)), Ok(REPORT.to_vec()));
        call.receive(ALICE, TO_ALICE, &alice.protect(&feedback[8..]));
        assert_eq!(call.take_sent(), [], "nothing is left");
        call.receive(BOB, TO_BOB, &bob.protect(&feedback));
        assert_eq!(alice.read(&call.only_sent(ALICE)), Ok(feedback.clone()));
        call.change(TO_BOB, |stream| stream.feedback = true);
        call.apply();
        call.receive(ALICE, TO_ALICE, &alice.protect(&feedback));
        assert_eq!(bob.read(&call.only_sent(BOB)), Ok(feedback.clone()));
        assert_eq!(call.status(TO_ALICE).errors_in.load(Ordering::Relaxed), 0);
    }
}

/// Alice has the video of Carol besides the audio of Bob, on one transport.
fn bundle(alice: &Peer, bob: &Peer, label: Option<Label>) -> Call {
    let mut call = Call::between(alice, bob, true);
    let bundled = |stream: &mut StreamPlan, payload_type| {
        let mut payload_types = PayloadTypes::default();
        payload_types.insert(payload_type);
        stream.bundle = Some(BundlePlan {
            lead: StreamId(TO_ALICE),
            joined: true,
            marks: Marks {
                payload_types,
                ..Marks::default()
            },
        });
        stream.label = label.clone();
    };
    call.change(TO_ALICE, |audio| bundled(audio, 0));
    let mut video = stream(30_006, None, &[TO_CAROL], &[TO_CAROL]);
    video.ports.clear();
    video.security = alice.security();
    bundled(&mut video, 96);
    let to_carol = stream(TO_CAROL, Some(CAROL), &[30_006], &[30_006]);
    call.plan.streams.extend([video, to_carol]);
    call.apply();
    call
}

#[test]
fn a_bundle_has_one_key_for_all_its_streams() {
    let (mut alice, bob) = (Peer::sdes(S80, 1, 2), Peer::plain());
    let mut call = bundle(&alice, &bob, None);
    let mut frame = packet(7);
    (frame[1], frame[11]) = (96, 9);
    for _ in 0..2 {
        call.receive(ALICE, TO_ALICE, &alice.protect(&frame));
        assert_eq!(call.only_sent(CAROL), frame);
        call.receive(ALICE, TO_ALICE, &alice.protect(&packet(frame[3].into())));
        assert_eq!(call.only_sent(BOB), packet(frame[3].into()));
        call.receive(CAROL, TO_CAROL, &frame);
        assert_eq!(alice.read(&call.only_sent(ALICE)), Ok(frame.clone()));
        call.receive(CAROL, TO_CAROL, REPORT);
        assert_eq!(alice.read(&call.only_sent(ALICE)), Ok(REPORT.to_vec()));
        frame[3] += 1;
    }
    let mut report = REPORT.to_vec();
    report[4..8].copy_from_slice(&[1, 2, 3, 9]);
    call.receive(ALICE, TO_ALICE, &alice.protect(&report));
    assert_eq!(call.only_sent(CAROL), report, "by its sender, who sent the video");
}

/// As a browser wants it, which drops what is not marked.
#[test]
fn media_for_a_bundle_says_which_section_it_is_for() {
    let (mut alice, bob) = (Peer::sdes(S80, 1, 2), Peer::plain());
    let label = Label {
        identifier: 4,
        mid: Arc::from("v"),
    };
    let mut call = bundle(&alice, &bob, Some(label));
    call.receive(CAROL, TO_CAROL, &packet(7));
    let mut read = alice.read(&call.only_sent(ALICE)).unwrap();
    assert_eq!(header_extension(&read, 4), Some(&b"v"[..]));
    assert_eq!(read[20..], packet(7)[12..]);
    // What is marked already is sent as it is, and so are reports.
    read[3] += 1;
    call.receive(CAROL, TO_CAROL, &read);
    assert_eq!(alice.read(&call.only_sent(ALICE)), Ok(read));
    call.receive(CAROL, TO_CAROL, REPORT);
    assert_eq!(alice.read(&call.only_sent(ALICE)), Ok(REPORT.to_vec()));
}

/// Whoever sees both sides must not see two packets that are encrypted with the same key stream.
#[test]
fn what_is_encoded_anew_under_a_shared_key_has_another_ssrc() {
    let (mut alice, mut bob) = (Peer::sdes(S80, 1, 2), Peer::sdes(S80, 2, 1));
    let mut call = Call::between(&alice, &bob, false);
    let coding = |payload_type, law| Coding {
        payload_type,
        kind: Kind::G711(law),
        clock_rate: 8000,
    };
    let transcoding = Transcoding {
        audio: SmallVec::from_elem(
            Conversion {
                from: coding(0, Law::Mu),
                to: coding(8, Law::A),
                packet_time: 20,
            },
            1,
        ),
        events: SmallVec::new(),
    };
    call.change(TO_ALICE, |stream| {
        stream.sinks[0].transcoding = Some(Arc::new(transcoding));
    });
    call.apply();
    let mut packet = packet(7);
    packet.truncate(12);
    packet.extend([0xff; 160]);
    call.receive(ALICE, TO_ALICE, &alice.protect(&packet));
    let encoded = call
        .session
        .poll_datagram()
        .map(|datagram| datagram.bytes.to_vec());
    let heard = bob.read(&encoded.unwrap()).unwrap();
    assert_eq!(
        (heard[1], &heard[2..4], &heard[12..]),
        (8, &packet[2..4], &[0xd5; 160][..])
    );
    assert_ne!(heard[8..12], packet[8..12]);
    // Alice is sent nothing of it, and hears Bob as he speaks.
    call.receive(BOB, TO_BOB, &bob.protect(&packet));
    let [heard] = &call.sent_to(ALICE)[..] else {
        panic!("one packet");
    };
    assert_eq!(alice.read(heard).unwrap(), packet);
}
