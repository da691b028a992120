//! Real sockets on the loopback interface: parties, workers between them, plans made by hand.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod many;
mod relay;

use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use relay_common::slot::{Clock, DropReason};
use relay_daemon::clock::Time;
use relay_daemon::datapath::kernel::FloodLimits;
use relay_daemon::host::{Host, PortCount};
use relay_daemon::plan::{
    BundlePlan, Learned, Marks, Path, PayloadTypes, StreamId, StreamPlan, UserspaceReason,
};
use smallvec::SmallVec;

use relay::{Endpoint, PATIENCE, Party, Relay, counts, loopback, sorted};

const RTP: [u8; 16] = [0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, b'a', b'b', b'c', b'd'];
const RTCP: [u8; 8] = [0x80, 201, 0, 1, 1, 2, 3, 4];

#[test]
fn rtp_and_rtcp_go_both_ways_over_ipv4() {
    converse(loopback(), 23_100);
}

#[test]
fn a_plan_counts_as_followed_when_its_ports_are_closed() {
    let mut relay = Relay::start(loopback(), 23_800);
    let alice = Party::new(&mut relay, 0);
    assert_eq!(relay.progress.revision(), 0);
    for revision in 1..20 {
        let port = relay.reserve(PortCount::One)[0];
        let mut extra = alice.rtp_plan(0);
        extra.ports.push(port);
        relay.apply(vec![extra, alice.rtcp_plan(1)]);
        relay.apply(vec![alice.rtp_plan(0), alice.rtcp_plan(1)]);
        let deadline = Instant::now() + PATIENCE;
        while relay.progress.revision() < 2 * revision {
            assert!(Instant::now() < deadline, "the plan is never carried out");
            thread::yield_now();
        }
        assert_eq!(relay.released.try_recv(), Ok(vec![port.id]));
    }
    relay.workers.stop();
}

#[test]
fn a_plan_holds_for_what_comes_after_it_though_nobody_woke_the_worker() {
    let mut relay = Relay::start(loopback(), 23_700);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    relay.apply(vec![alice.rtp_plan(2), bob.rtp_plan(0)]);
    alice.rtp.send(&RTP);
    assert_eq!(bob.rtp.receive().0, RTP);
    let mut receiver = &bob.rtp;
    let places = [(); 20].map(|()| Endpoint::new(loopback()));
    for place in &places {
        let mut moved = bob.rtp_plan(0);
        moved.remote = Some(place.address());
        moved.signalled_at = Time::read();
        let (plan, sockets) = relay.plan(relay::CALL, vec![alice.rtp_plan(2), moved]);
        relay.workers.apply(plan, sockets);
        alice.rtp.send(&RTP);
        assert_eq!(place.receive().0, RTP);
        assert!(relay.workers.is_done());
        receiver = place;
    }
    assert!(relay.workers.wake(), "there was something to wake it for");
    assert!(!relay.workers.wake());
    alice.rtp.send(&RTP);
    assert_eq!(receiver.receive().0, RTP);
    relay.workers.stop();
}

#[test]
fn rtp_and_rtcp_go_both_ways_over_ipv6() {
    converse(Ipv6Addr::LOCALHOST.into(), 23_600);
}

fn converse(address: IpAddr, port_min: u16) {
    let mut relay = Relay::start(address, port_min);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    relay.apply(vec![
        alice.rtp_plan(2),
        alice.rtcp_plan(3),
        bob.rtp_plan(0),
        bob.rtcp_plan(1),
    ]);

    for number in 0..100u8 {
        let mut packet = RTP;
        packet[3] = number;
        alice.rtp.send(&packet);
        assert_eq!(bob.rtp.receive(), (packet.to_vec(), bob.rtp_port.address));
        bob.rtp.send(&packet);
        assert_eq!(alice.rtp.receive(), (packet.to_vec(), alice.rtp_port.address));
    }
    alice.rtcp.send(&RTCP);
    assert_eq!(bob.rtcp.receive(), (RTCP.to_vec(), bob.rtcp_port.address));
    bob.rtp.send(&RTCP);
    assert_eq!(
        alice.rtcp.receive(),
        (RTCP.to_vec(), alice.rtcp_port.address),
        "RTCP on the RTP port"
    );

    relay.end();
    assert_eq!(counts(&alice.rtp_status), (100, 1600, 100, 1600));
    assert_eq!(counts(&bob.rtp_status), (101, 1608, 100, 1600));
    let ssrc = relay.host.kernel_counters(alice.rtp_port.id).ssrcs[0];
    assert_eq!((ssrc.ssrc, ssrc.packets, ssrc.bytes), (0x0102_0304, 100, 1600));
    assert_eq!((ssrc.lost(), ssrc.reordered, ssrc.duplicates), (0, 0, 0));
    assert_eq!(
        alice.rtp_status.path(),
        Path::Userspace(UserspaceReason::NoKernel)
    );
    let learned = Learned {
        source: alice.rtp.address(),
        settled: true,
    };
    assert_eq!(alice.rtp_status.learned(), Some(learned));

    relay.host.give_back(&relay.all_ports);
    assert_eq!(relay.host.usage().map(|usage| usage.used).sum::<usize>(), 0);
    let again = UdpSocket::bind(alice.rtp_port.address);
    assert!(again.is_ok(), "a released port is closed");
    relay.workers.stop();
}

/// As in the kernel: whatever it is, and without a loss of what is expected.
#[test]
fn strangers_get_as_much_through_as_they_may() {
    const LIMIT: u32 = 100;
    const ROUNDS: u64 = 300;
    const BURST: u64 = 10;
    let floods = FloodLimits {
        port: LIMIT,
        ..FloodLimits::default()
    };
    let mut relay = Relay::limited(loopback(), 24_100, &floods);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    let plans = vec![
        alice.rtp_plan(2),
        alice.rtcp_plan(3),
        bob.rtp_plan(0),
        bob.rtcp_plan(1),
    ];
    relay.apply(plans);
    alice.rtp.send(&RTP);
    assert_eq!(bob.rtp.receive().0, RTP);
    let stranger = Endpoint::new(loopback());
    let forged = [&RTP[..], b"forged"].concat();
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let begin = Instant::now();
    let (mut through, mut genuine) = (0, 0);
    for _ in 0..ROUNDS {
        for _ in 0..BURST / 2 {
            stranger.send_to(&forged, alice.rtp_port.address);
            stranger.send_to(&stun, alice.rtp_port.address);
        }
        // Behind them, so that they have been looked at when it comes.
        alice.rtp.send(&RTP);
        loop {
            match bob.rtp.receive().0.len() {
                length if length == RTP.len() => break,
                _ => through += 1,
            }
        }
        genuine += 1;
    }
    let seconds = begin.elapsed().as_secs() + 1;
    let allowed = u64::from(LIMIT) * (seconds + 1);
    let counters = relay.host.kernel_counters(alice.rtp_port.id);
    assert_eq!(genuine, ROUNDS);
    assert!((1..=allowed).contains(&through), "{through} in {seconds} s");
    assert!(counters.limited >= ROUNDS * BURST - allowed, "{counters:?}");
    let dropped = relay.kernel.drop_counters();
    assert_eq!(dropped.of(DropReason::PortLimit), counters.limited);
    relay.end();
    relay.workers.stop();
}

/// Packets that wait for their worker have the jitter with which they arrived: none.
#[test]
fn jitter_is_that_of_the_network_whenever_the_worker_looks() {
    const PACKETS: u8 = 20;
    const PACE: Duration = Duration::from_millis(10);
    let mut relay = Relay::start(loopback(), 23_900);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    let begin = Instant::now();
    for number in 1..=PACKETS {
        let mut packet = RTP;
        packet[3] = number;
        // Eight units a millisecond.
        let timestamp = u32::try_from(begin.elapsed().as_micros() / 125).unwrap();
        packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
        alice.rtp.send(&packet);
        thread::sleep(PACE);
    }
    let mut of_alice = alice.rtp_plan(2);
    of_alice.clocks.push(Clock::new(0, 8000));
    relay.apply(vec![
        of_alice,
        alice.rtcp_plan(3),
        bob.rtp_plan(0),
        bob.rtcp_plan(1),
    ]);
    for number in 1..=PACKETS {
        assert_eq!(bob.rtp.receive().0[3], number);
    }
    relay.end();
    let ssrc = relay.host.kernel_counters(alice.rtp_port.id).ssrcs[0];
    assert_eq!(ssrc.packets, u64::from(PACKETS));
    let jitter = Duration::from_nanos(u64::from(ssrc.jitter) * 64);
    assert!(jitter < PACE / 3, "{jitter:?}");
    relay.workers.stop();
}

#[test]
fn a_new_plan_moves_media_and_releases_ports_without_losing_packets() {
    let mut relay = Relay::start(loopback(), 23_300);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    relay.apply(vec![alice.rtp_plan(2), bob.rtp_plan(0)]);
    alice.rtp.send(&RTP);
    assert_eq!(bob.rtp.receive().0, RTP);

    // Bob moves: Alice is told a new port, the old one still receives.
    let moved = Endpoint::new(loopback());
    let new_port = relay.reserve(PortCount::One)[0];
    let old_port = alice.rtp_port;
    let mut to_alice = alice.rtp_plan(2);
    to_alice.ports = [new_port, old_port].into_iter().collect();
    let mut to_bob = bob.rtp_plan(0);
    to_bob.remote = Some(moved.address());
    to_bob.signalled_at = Time::read();
    relay.apply(vec![to_alice, to_bob.clone()]);
    for port in [old_port, new_port] {
        alice.rtp.send_to(&RTP, port.address);
        assert_eq!(moved.receive(), (RTP.to_vec(), bob.rtp_port.address));
    }
    moved.send_to(&RTP, bob.rtp_port.address);
    assert_eq!(
        alice.rtp.receive(),
        (RTP.to_vec(), new_port.address),
        "from the port that Alice was told last"
    );

    // The old port is no longer wanted.
    let mut to_alice = alice.rtp_plan(2);
    to_alice.ports = [new_port].into_iter().collect();
    relay.apply(vec![to_alice, to_bob]);
    assert_eq!(relay.released_ports(), [old_port.id]);
    alice.rtp.send_to(&RTP, new_port.address);
    assert_eq!(moved.receive().0, RTP);
    relay.workers.stop();
}

#[test]
fn sections_on_one_port_are_told_apart() {
    let mut relay = Relay::start(loopback(), 23_700);
    let alice = Party::new(&mut relay, 0);
    let (bob, bobs_video) = (Party::new(&mut relay, 2), Party::new(&mut relay, 4));
    // Alice has audio and video on one port; Bob has a port for each.
    let bundled = |stream: StreamPlan, payload_type: u8| {
        let mut payload_types = PayloadTypes::default();
        payload_types.insert(payload_type);
        let bundle = BundlePlan {
            lead: StreamId(0),
            joined: true,
            marks: Marks {
                payload_types,
                ..Marks::default()
            },
        };
        StreamPlan {
            bundle: Some(bundle),
            ..stream
        }
    };
    let video_of_alice = StreamPlan {
        id: StreamId(6),
        ports: SmallVec::new(),
        status: Arc::default(),
        ..alice.rtp_plan(4)
    };
    relay.apply(vec![
        bundled(alice.rtp_plan(2), 0),
        bob.rtp_plan(0),
        bobs_video.rtp_plan(6),
        bundled(video_of_alice, 96),
    ]);
    let mut video = RTP;
    (video[1], video[8]) = (96, 9);
    for _ in 0..10 {
        alice.rtp.send(&RTP);
        alice.rtp.send(&video);
        assert_eq!(bob.rtp.receive(), (RTP.to_vec(), bob.rtp_port.address));
        assert_eq!(
            bobs_video.rtp.receive(),
            (video.to_vec(), bobs_video.rtp_port.address)
        );
        bobs_video.rtp.send(&video);
        assert_eq!(alice.rtp.receive(), (video.to_vec(), alice.rtp_port.address));
    }
    relay.workers.stop();
}

#[test]
fn stopping_ends_all_calls() {
    let mut relay = Relay::start(loopback(), 23_400);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    relay.apply(vec![
        alice.rtp_plan(2),
        alice.rtcp_plan(3),
        bob.rtp_plan(0),
        bob.rtcp_plan(1),
    ]);
    let Relay {
        workers,
        released,
        all_ports,
        ..
    } = relay;
    workers.stop();
    assert_eq!(sorted(released.recv().unwrap()), all_ports);
}

#[test]
fn the_tos_of_a_plan_is_that_of_the_packets() {
    let mut relay = Relay::start(loopback(), 23_500);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    let mut to_bob = bob.rtp_plan(0);
    to_bob.tos = 184;
    relay.apply(vec![alice.rtp_plan(2), to_bob.clone()]);
    alice.rtp.send(&RTP);
    assert_eq!(bob.rtp.receive_with_tos(), (RTP.to_vec(), 184));
    to_bob.tos = 0;
    relay.apply(vec![alice.rtp_plan(2), to_bob]);
    alice.rtp.send(&RTP);
    assert_eq!(bob.rtp.receive_with_tos(), (RTP.to_vec(), 0));
    relay.workers.stop();
}

#[test]
fn a_receiver_that_is_gone_is_counted_and_stops_nobody() {
    let mut relay = Relay::start(loopback(), 23_600);
    let (alice, bob) = (Party::new(&mut relay, 0), Party::new(&mut relay, 2));
    let mut to_bob = bob.rtp_plan(0);
    // No socket of an IPv4 address can send there.
    to_bob.remote = Some("[2001:db8::1]:4000".parse().unwrap());
    relay.apply(vec![
        alice.rtp_plan(2),
        alice.rtcp_plan(3),
        to_bob,
        bob.rtcp_plan(1),
    ]);
    alice.rtp.send(&RTP);
    alice.rtp.send(&RTCP);
    assert_eq!(bob.rtcp.receive().0, RTCP);
    relay.end();
    assert_eq!(alice.rtp_status.errors_in.load(Ordering::Relaxed), 1);
    assert_eq!(bob.rtp_status.errors_out.load(Ordering::Relaxed), 1);
    assert_eq!(counts(&bob.rtp_status), (0, 0, 0, 0));
    relay.workers.stop();
}
