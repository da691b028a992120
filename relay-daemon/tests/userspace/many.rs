//! Many receivers, and calls that become one while their media flows.

use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use relay_daemon::plan::{CallKey, PortId, SinkPlan, StreamId, StreamPlan, Treatment};

use crate::RTP;
use crate::relay::{CALL, Party, Relay, counts, loopback, sorted};

/// Packets of one sender under way at most: they must fit into the socket buffers between two system calls.
const WINDOW: usize = 64;

#[test]
fn one_sender_three_receivers() {
    let mut relay = Relay::start(loopback(), 24_000);
    let [alice, bob, carol, dave] = [0, 2, 4, 6].map(|first| Party::new(&mut relay, first));
    let mut to_alice = alice.rtp_plan(2);
    to_alice.payloads.silence.push((0, 0xff));
    to_alice.sinks.push(StreamId(4).into());
    to_alice.sinks.push(SinkPlan {
        media: Treatment::Silence,
        ..StreamId(6).into()
    });
    let streams = [&bob, &carol, &dave].map(|party| party.rtp_plan(0));
    relay.apply([to_alice].into_iter().chain(streams).collect());
    let mut silent = RTP;
    silent[12..].fill(0xff);
    for number in 0..100u8 {
        let mut packet = RTP;
        packet[3] = number;
        silent[3] = number;
        alice.rtp.send(&packet);
        assert_eq!(bob.rtp.receive(), (packet.to_vec(), bob.rtp_port.address));
        assert_eq!(carol.rtp.receive(), (packet.to_vec(), carol.rtp_port.address));
        assert_eq!(dave.rtp.receive(), (silent.to_vec(), dave.rtp_port.address));
    }
    relay.workers.end(CALL);
    relay.workers.wake();
    assert_eq!(relay.released_ports(), rtp_ports([&alice, &bob, &carol, &dave]));
    assert_eq!(counts(&alice.rtp_status), (100, 1600, 0, 0));
    for receiver in [&bob, &carol, &dave] {
        assert_eq!(counts(&receiver.rtp_status), (0, 0, 100, 1600));
    }
    relay.workers.stop();
}

/// Calls on both workers become one under traffic, one after the other: every packet arrives, once and in order.
#[test]
fn a_call_changes_hands_and_no_packet_is_lost() {
    const PACKETS: u16 = 4000;
    let keys = [6, 7, 8, 9, 10].map(CallKey);
    let mut relay = Relay::start(loopback(), 24_100);
    let pairs = keys.map(|key| {
        let [caller, callee] = [0, 2].map(|first| Party::new(&mut relay, first));
        relay.apply_to(key, vec![caller.rtp_plan(2), callee.rtp_plan(0)]);
        (caller, callee)
    });
    let mut flows: Vec<Flow> = pairs
        .iter()
        .map(|(caller, callee)| Flow::start(caller, callee, PACKETS))
        .collect();

    // All calls go into the first, while each of them is in full flow.
    let mut merged = streams(&pairs[0], 0);
    for (index, pair) in pairs.iter().enumerate().skip(1) {
        flows.iter_mut().for_each(Flow::await_progress);
        let offset = u32::try_from(10 * index).unwrap();
        merged.extend(streams(pair, offset));
        let (plan, sockets) = relay.plan(keys[0], merged.clone());
        relay.workers.merge(keys[index], offset, plan, sockets);
        relay.workers.wake();
    }
    // Later plans wait for those before.
    relay.apply_to(keys[0], merged.clone());
    for flow in flows {
        let expected: Vec<u16> = (0..PACKETS).collect();
        assert!(
            flow.finish() == expected,
            "a packet is missing, or came twice, or out of order"
        );
    }
    for (caller, _) in &pairs {
        let learned = caller.rtp_status.learned().unwrap();
        assert_eq!(learned.source, caller.rtp.address());
    }

    // What was learned and counted has come along, and the streams of one call reach those of the other.
    merged[0].sinks.push(StreamId(12).into());
    relay.apply_to(keys[0], merged);
    pairs[0].0.rtp.socket.send(&RTP).unwrap();
    assert_eq!(
        pairs[1].1.rtp.receive(),
        (RTP.to_vec(), pairs[1].1.rtp_port.address)
    );
    relay.workers.end(keys[0]);
    relay.workers.wake();
    assert_eq!(relay.released_ports(), rtp_ports(parties(&pairs)));
    assert_eq!(counts(&pairs[2].0.rtp_status).0, u64::from(PACKETS));
    relay.workers.stop();
}

#[test]
fn the_end_waits_for_a_call_that_is_still_to_come() {
    let mut relay = Relay::start(loopback(), 24_200);
    let pairs = [CallKey(1), CallKey(2)].map(|key| {
        let [caller, callee] = [0, 2].map(|first| Party::new(&mut relay, first));
        relay.apply_to(key, vec![caller.rtp_plan(2), callee.rtp_plan(0)]);
        (caller, callee)
    });
    let mut all = streams(&pairs[0], 0);
    all.extend(streams(&pairs[1], 10));
    let (plan, sockets) = relay.plan(CallKey(1), all);
    relay.workers.merge(CallKey(2), 10, plan, sockets);
    relay.workers.wake();
    relay.workers.end(CallKey(1));
    relay.workers.wake();
    assert_eq!(relay.released_ports(), rtp_ports(parties(&pairs)));
    relay.workers.stop();
}

/// A call that never had a plan has nothing to bring along.
#[test]
fn nothing_arrives_from_a_call_without_media() {
    let mut relay = Relay::start(loopback(), 24_300);
    let pair = [0, 2].map(|first| Party::new(&mut relay, first));
    let [alice, bob] = &pair;
    let (plan, sockets) = relay.plan(CallKey(1), vec![alice.rtp_plan(2), bob.rtp_plan(0)]);
    relay.workers.merge(CallKey(2), 0, plan, sockets);
    relay.workers.wake();
    alice.rtp.send(&RTP);
    assert_eq!(bob.rtp.receive().0, RTP);
    relay.workers.stop();
}

/// The plan of a call of two, with ids that are greater by `offset`.
fn streams((caller, callee): &(Party, Party), offset: u32) -> Vec<StreamPlan> {
    [caller.rtp_plan(2), callee.rtp_plan(0)]
        .map(|mut stream| {
            stream.id.0 += offset;
            stream.rtcp_sinks.clear();
            for sink in &mut stream.sinks {
                sink.stream.0 += offset;
            }
            stream
        })
        .into()
}

fn parties(pairs: &[(Party, Party)]) -> impl Iterator<Item = &Party> {
    pairs.iter().flat_map(|(caller, callee)| [caller, callee])
}

/// The ports that plans without RTCP name, sorted.
fn rtp_ports<'a>(parties: impl IntoIterator<Item = &'a Party>) -> Vec<PortId> {
    sorted(parties.into_iter().map(|party| party.rtp_port.id).collect())
}

/// Packets from one party to another, as fast as they are received.
struct Flow {
    sender: JoinHandle<()>,
    receiver: JoinHandle<Vec<u16>>,
    progress: Receiver<()>,
}

impl Flow {
    fn start(from: &Party, to: &Party, packets: u16) -> Flow {
        let (credit, credits) = channel();
        let (milestone, progress) = channel();
        let port = from.rtp_port.address;
        let [from, to] = [from, to].map(|party| party.rtp.socket.try_clone().unwrap());
        from.connect(port).unwrap();
        Flow {
            sender: thread::spawn(move || send(&from, packets, &credits)),
            receiver: thread::spawn(move || receive(&to, packets, &credit, &milestone)),
            progress,
        }
    }

    /// Waits until another part of the packets has come.
    fn await_progress(&mut self) {
        self.progress.recv().unwrap();
    }

    /// The sequence numbers that came.
    fn finish(self) -> Vec<u16> {
        self.sender.join().unwrap();
        self.receiver.join().unwrap()
    }
}

fn send(socket: &UdpSocket, packets: u16, credits: &Receiver<()>) {
    for number in 0..packets {
        if usize::from(number) >= WINDOW {
            credits.recv().unwrap();
        }
        let mut packet = RTP;
        packet[2..4].copy_from_slice(&number.to_be_bytes());
        socket.send(&packet).unwrap();
    }
}

/// Until the last packet has come, or none comes any more.
fn receive(socket: &UdpSocket, packets: u16, credit: &Sender<()>, milestone: &Sender<()>) -> Vec<u16> {
    let mut numbers = Vec::new();
    let mut buffer = [0; 2048];
    while numbers.len() < usize::from(packets) {
        let Ok(length) = socket.recv(&mut buffer) else {
            break;
        };
        assert_eq!(length, RTP.len());
        numbers.push(u16::from_be_bytes([buffer[2], buffer[3]]));
        let _ = credit.send(());
        if numbers.len().is_multiple_of(500) {
            let _ = milestone.send(());
        }
    }
    numbers
}
