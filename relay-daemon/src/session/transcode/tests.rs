use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::codec::Law;
use crate::plan::Coding;

const START: Time = Time(1_000_000_000);
const SSRC: u32 = 0x0102_0304;
const EVENT: u8 = 101;

fn coding(payload_type: u8) -> Coding {
    let kind = match payload_type {
        0 => Kind::G711(Law::Mu),
        8 => Kind::G711(Law::A),
        9 => Kind::G722,
        _ => panic!("{payload_type}"),
    };
    Coding {
        payload_type,
        kind,
        clock_rate: 8000,
    }
}

/// A receiver of one payload type as another one.
fn target(sink: u32, from: u8, to: u8, packet_time: u32) -> Target {
    Target {
        sink: StreamId(sink),
        transcoding: Arc::new(Transcoding {
            audio: SmallVec::from_elem(
                Conversion {
                    from: coding(from),
                    to: coding(to),
                    packet_time,
                },
                1,
            ),
            events: SmallVec::from_elem(
                EventConversion {
                    from: (EVENT, 8000),
                    to: (96, 8000),
                },
                1,
            ),
        }),
        media: Treatment::Pass,
    }
}

fn transcoder(targets: impl IntoIterator<Item = Target>) -> Transcoder {
    let mut events = PayloadTypes::default();
    events.insert(EVENT);
    Transcoder::new(targets.into_iter().collect(), events)
}

fn packet(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(SSRC.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

/// What was sent: receiver, payload type, sequence number, timestamp, octets of payload.
type Line = (u32, u8, u16, u32, usize);

/// What packets come to that arrive 20 ms after one another.
fn sent(transcoder: &mut Transcoder, packets: impl IntoIterator<Item = Vec<u8>>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut send = |sink: StreamId, sent: Sent| {
        let mut bytes = Vec::new();
        sent.write(&mut bytes);
        let header = RtpHeader::parse(&bytes).unwrap();
        assert_eq!(header, sent.header);
        lines.push((
            sink.0,
            header.payload_type,
            header.sequence,
            header.timestamp,
            payload_range(&bytes).len(),
        ));
    };
    let mut now = START;
    for packet in packets {
        now = now + Duration::from_millis(20);
        transcoder.handle_timeout(now, &mut send);
        let header = RtpHeader::parse(&packet).unwrap();
        transcoder.take(now, &header, &packet, &mut send);
    }
    transcoder.handle_timeout(now + Duration::from_secs(1), &mut send);
    lines
}

/// Audio of payload type 0 and 20 ms, with these sequence numbers.
fn audio(numbers: impl IntoIterator<Item = u16>) -> impl Iterator<Item = Vec<u8>> {
    let audio = |number: u16| packet(0, number, 160 * u32::from(number), &[0xff; 160]);
    numbers.into_iter().map(audio)
}

#[test]
fn numbers_and_times_are_those_of_the_sender() {
    let lines = sent(&mut transcoder([target(1, 0, 8, 20)]), audio([1000, 1001, 1002]));
    assert_eq!(
        lines,
        [
            (1, 8, 1000, 160_000, 160),
            (1, 8, 1001, 160_160, 160),
            (1, 8, 1002, 160_320, 160)
        ]
    );
}

#[test]
fn what_is_lost_leaves_a_gap_in_the_numbers_only() {
    let lines = sent(
        &mut transcoder([target(1, 0, 8, 20)]),
        audio([1000, 1002, 1001, 1004, 1005]),
    );
    let numbers: Vec<_> = lines.iter().map(|line| (line.2, line.3 - 160_000)).collect();
    assert_eq!(
        numbers,
        [(1000, 0), (1001, 160), (1002, 320), (1004, 480), (1005, 640)]
    );
}

#[test]
fn who_counts_anew_is_numbered_on() {
    let lines = sent(&mut transcoder([target(1, 0, 8, 20)]), audio([1000, 5000, 5001]));
    let numbers: Vec<_> = lines.iter().map(|line| (line.2, line.3 - 160_000)).collect();
    assert_eq!(numbers, [(1000, 0), (1001, 160), (1002, 320)]);
}

#[test]
fn packets_get_the_length_that_the_receiver_wants() {
    let numbers = |packet_time| {
        let lines = sent(&mut transcoder([target(1, 0, 8, packet_time)]), audio(0..6));
        let numbers = lines.iter().map(|line| (line.2, line.3, line.4));
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(numbers(60), [(0, 0, 480), (1, 480, 480)]);
    assert_eq!(
        numbers(30),
        [(0, 0, 240), (1, 240, 240), (2, 480, 240), (3, 720, 240)]
    );
    assert_eq!(numbers(10).len(), 12);
    assert_eq!(numbers(10)[11], (11, 880, 80));
}

#[test]
fn each_receiver_has_numbers_of_its_own() {
    let targets = [target(1, 0, 8, 20), target(2, 0, 9, 40), target(3, 8, 0, 20)];
    let lines = sent(&mut transcoder(targets), audio(0..4));
    let of = |sink| {
        lines
            .iter()
            .filter(move |line| line.0 == sink)
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(of(1).len(), 4);
    // It takes 2 ms more to know the last samples at another rate.
    assert_eq!(of(2), [(2, 9, 0, 0, 320)]);
    // What it can read passes.
    assert_eq!(
        of(3).iter().map(|line| (line.1, line.2)).collect::<Vec<_>>(),
        [(0, 0), (0, 1), (0, 2), (0, 3)]
    );
}

#[test]
fn blocked_media_is_not_sent_and_silence_is() {
    let silenced = |media| {
        let mut transcoder = transcoder([Target {
            media,
            ..target(1, 0, 8, 20)
        }]);
        let mut payloads = Vec::new();
        for packet in audio(0..2) {
            let header = RtpHeader::parse(&packet).unwrap();
            let packet = [&packet[..12], &[0x23; 160]].concat();
            transcoder.take(START, &header, &packet, &mut |_, sent| {
                payloads.push(sent.payload.unwrap().to_vec());
            });
        }
        payloads
    };
    assert_eq!(silenced(Treatment::Drop), Vec::<Vec<u8>>::new());
    assert_eq!(silenced(Treatment::Silence), [[0xd5; 160], [0xd5; 160]]);
    assert_ne!(silenced(Treatment::Pass), silenced(Treatment::Silence));
}

#[test]
fn an_event_takes_the_place_of_audio() {
    let event = |number: u16, flags: u8, duration: u16| {
        let [high, low] = duration.to_be_bytes();
        packet(EVENT, number, 320, &[5, flags, high, low])
    };
    let before = audio([0, 1]);
    let during = [
        event(2, 10, 160),
        audio([3]).next().unwrap(),
        event(4, 10, 320),
        event(5, 0x8a, 480),
        event(6, 0x8a, 480),
    ];
    let after = audio([7]);
    let lines = sent(
        &mut transcoder([target(1, 0, 8, 20)]),
        before.chain(during).chain(after),
    );
    let lines: Vec<_> = lines.iter().map(|line| (line.1, line.2, line.3)).collect();
    assert_eq!(
        lines,
        [
            (8, 0, 0),
            (8, 1, 160),
            (96, 2, 320),
            (96, 3, 320),
            (96, 4, 320),
            (96, 5, 320),
            // Behind the 480 of the event.
            (8, 6, 800),
        ]
    );
}

#[test]
fn audio_goes_on_if_the_end_of_an_event_is_lost() {
    let event = packet(EVENT, 1, 160, &[5, 10, 0, 160]);
    let lines = sent(
        &mut transcoder([target(1, 0, 8, 20)]),
        audio([0]).chain([event]).chain(audio(2..10)),
    );
    assert!(lines.iter().filter(|line| line.1 == 8).count() >= 5, "{lines:?}");
}

#[test]
fn payloads_that_no_decoder_takes_are_left_out() {
    let lines = sent(
        &mut transcoder([target(1, 0, 8, 20)]),
        audio([0]).chain([packet(0, 1, 160, &[])]).chain(audio([2])),
    );
    assert_eq!(lines.iter().map(|line| line.2).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn so_many_sources_are_remembered_and_no_more() {
    let mut transcoder = transcoder([target(1, 0, 8, 20)]);
    for ssrc in 0..100_u32 {
        let mut packet = audio([1]).next().unwrap();
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let header = RtpHeader::parse(&packet).unwrap();
        transcoder.take(START, &header, &packet, &mut |_, _| {});
    }
    assert_eq!(transcoder.sources.len(), MAX_SOURCES);
}

#[test]
fn it_is_known_what_was_sent() {
    let mut transcoder = transcoder([target(1, 0, 8, 40)]);
    sent(&mut transcoder, audio(100..105));
    let output = transcoder.output(SSRC, StreamId(1)).unwrap();
    let account = output.account().unwrap();
    assert_eq!(
        (account.timestamp, account.packets, account.octets),
        (16_320, 2, 2 * 332)
    );
    // Of five packets two were made: number 104 is the receiver's 102 when it comes to that.
    assert_eq!(output.shift(), -3);
    assert!(transcoder.output(SSRC, StreamId(2)).is_none());
    // What passes counts, too.
    sent(&mut transcoder, [packet(13, 105, 16_800, &[0x20])]);
    let account = transcoder.output(SSRC, StreamId(1)).unwrap().account().unwrap();
    assert_eq!(
        (account.timestamp, account.packets, account.octets),
        (16_800, 3, 2 * 332 + 13)
    );
    let transcoder = transcoder.go_on(SmallVec::new(), PayloadTypes::default());
    assert!(transcoder.output(SSRC, StreamId(1)).is_none());
}

proptest! {
    /// Numbers go up, whatever arrives in whatever order, and what is sent is no more than what came.
    #[test]
    fn a_receiver_sees_one_stream(
        arrivals in proptest::collection::vec((0..40_u16, prop::sample::select(vec![0_u8, 8, 13, EVENT]), 0..400_usize), 0..80),
        packet_time in 10..60_u32,
    ) {
        let mut transcoder = transcoder([target(1, 0, 8, packet_time)]);
        let packets: Vec<_> = arrivals
            .iter()
            .map(|(number, kind, size)| packet(*kind, 3 * number, 160 * u32::from(*number), &vec![0xff; *size]))
            .collect();
        let lines = sent(&mut transcoder, packets);
        for pair in lines.windows(2) {
            prop_assert!(pair[0].2.wrapping_sub(pair[1].2).cast_signed() < 0, "{:?}", pair);
        }
        let octets = |lines: &mut dyn Iterator<Item = usize>| lines.sum::<usize>();
        let came = octets(&mut arrivals.iter().filter(|arrival| arrival.1 == 0).map(|arrival| arrival.2));
        let went = octets(&mut lines.iter().filter(|line| line.1 == 8).map(|line| line.4));
        let passed = octets(&mut arrivals.iter().filter(|arrival| arrival.1 == 8).map(|arrival| arrival.2));
        prop_assert!(went <= came + passed, "{} of {}", went, came + passed);
    }
}
