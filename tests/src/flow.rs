//! Media in one direction through the relay: sent by one end, captured at the other, every packet accounted for.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use relay_common::packet::{Kind, classify};

use crate::capture::{Capture, Captured};
use crate::daemon::{PATIENCE, wait_until};
use crate::lab::Lab;
use crate::probe::Side;
use crate::stream::{Receiver, Report, Stream};

/// A stream from one end to the other.
#[derive(Debug)]
pub struct Flow {
    /// Sends.
    pub sender: UdpSocket,
    /// Where the sender was told to send.
    pub to: SocketAddr,
    /// Whether packets are to arrive.
    pub fate: Fate,
    /// How many packets are under way at a time. Only one alone cannot be overtaken: a packet that waits for a worker
    /// is overtaken by one that the kernel relays.
    pub burst: u64,
    /// TOS of what arrives.
    pub tos: u8,
    /// Where the receiver receives, as it said; all that holds or has held.
    receivers: BTreeSet<SocketAddr>,
    /// Where the receiver was told that it comes from; all that holds or has held.
    sources: BTreeSet<SocketAddr>,
    /// Where packets came from.
    seen: BTreeSet<SocketAddr>,
    stream: Stream,
    receiver: Receiver,
    capture: Capture,
    withheld: u64,
}

/// What is to become of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They arrive.
    Arrive,
    /// They do not arrive.
    Vanish,
    /// None are sent.
    Rest,
}

/// A flow that goes on while the test does something else.
#[derive(Debug)]
pub struct Traffic {
    flow: Arc<Mutex<Flow>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The packets of a flow that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Sent.
    pub sent: u64,
    /// Arrived, each counted once.
    pub arrived: u64,
}

/// Between two packets, at least.
const PACE: Duration = Duration::from_millis(2);

impl Flow {
    /// A flow from a socket of one end. `to` is what its owner was told, `receiver` and `source` what the other end
    /// said and was told.
    pub fn new(
        lab: &Lab,
        from: Side,
        sender: UdpSocket,
        to: SocketAddr,
        receiver: SocketAddr,
        source: SocketAddr,
    ) -> Flow {
        let port = sender.local_addr().expect("it is bound").port();
        let stream = Stream::new(u32::from(port) << 8 | from as u32, 8);
        Flow {
            sender,
            to,
            fate: Fate::Arrive,
            burst: 1,
            tos: 0,
            receivers: [receiver].into(),
            sources: [source].into(),
            seen: BTreeSet::new(),
            receiver: stream.receiver(),
            stream,
            capture: lab.capture(from.other()),
            withheld: 0,
        }
    }

    /// The receiver receives at another place as well.
    pub fn add_receiver(&mut self, receiver: SocketAddr) {
        self.receivers.insert(receiver);
    }

    /// The receiver was told another place that it comes from.
    pub fn add_source(&mut self, source: SocketAddr) {
        self.sources.insert(source);
    }

    /// Packets sent so far.
    pub fn sent(&self) -> u64 {
        self.stream.sent()
    }

    /// Packets that arrived so far.
    pub fn arrived(&self) -> u64 {
        self.receiver.received()
    }

    /// Sends packets, and waits for each to arrive. Gives them as they arrived.
    ///
    /// # Panics
    ///
    /// If one does not arrive, or something else does.
    pub fn pass(&mut self, packets: u64) -> Vec<Captured> {
        self.expect_silence();
        let mut captured = Vec::new();
        let mut left = packets;
        while left > 0 {
            let burst = left.min(self.burst);
            for _ in 0..burst {
                self.send();
            }
            left -= burst;
            while self.arrived() < self.expected() {
                let Some(packet) = self.next(Some(PATIENCE)) else {
                    panic!("{} lost: {:?}", self.to, self.report());
                };
                captured.push(packet);
            }
        }
        captured
    }

    /// Sends packets that must not arrive. Whether they do is looked for later on.
    pub fn withhold(&mut self, packets: u64) {
        for _ in 0..packets {
            self.withheld += 1;
            self.send();
        }
    }

    /// Lets what has come so far have been welcome.
    pub fn drain(&mut self) {
        while self.next(None).is_some() {}
    }

    /// Looks whether anything came that was not to come.
    ///
    /// # Panics
    ///
    /// If there is something.
    pub fn expect_silence(&mut self) {
        if let Some(captured) = self.next(None) {
            panic!("not awaited: {captured:?}, {:?}", self.report());
        }
    }

    /// All that must be true of a flow in the end: what was to arrive did, whole, once, and in order unless
    /// several were under way at a time.
    pub fn check(&mut self) {
        self.expect_silence();
        let report = self.report();
        let expected = Report {
            received: self.expected(),
            lost: self.withheld,
            reordered: if self.burst == 1 { 0 } else { report.reordered },
            ..Report::default()
        };
        assert_eq!(report, expected, "of {} sent to {}", self.sent(), self.to);
        assert!(
            self.seen.is_subset(&self.sources),
            "from a stranger: {:?}, not {:?}",
            self.seen,
            self.sources
        );
    }

    fn step(&mut self) {
        match self.fate {
            Fate::Arrive => drop(self.pass(self.burst)),
            Fate::Vanish => self.withhold(1),
            Fate::Rest => {}
        }
    }

    fn send(&mut self) {
        let packet = self.stream.next_packet();
        self.sender.send_to(&packet, self.to).expect("the network is up");
    }

    /// The next packet for the receiver's RTP; without patience, of those that have come already.
    fn next(&mut self, patience: Option<Duration>) -> Option<Captured> {
        loop {
            let captured = match patience {
                Some(patience) => self.capture.next(patience),
                None => self.capture.waiting(),
            }?;
            if !self.receivers.contains(&captured.destination) || classify(&captured.payload) != Kind::Rtp {
                continue;
            }
            // Judged in the end: media may come from a new place a moment before the receiver is told of it.
            self.seen.insert(captured.source);
            assert!(
                captured.udp_checksum_valid && captured.header_checksum_valid,
                "{captured:?}"
            );
            assert_eq!(captured.tos, self.tos, "{captured:?}");
            self.receiver.take(&captured.payload);
            return Some(captured);
        }
    }

    fn expected(&self) -> u64 {
        self.sent() - self.withheld
    }

    fn report(&self) -> Report {
        self.receiver.report(self.sent())
    }
}

impl Traffic {
    /// Has a flow go on from now on.
    pub fn start(flow: Flow) -> Traffic {
        let flow = Arc::new(Mutex::new(flow));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&flow), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                shared.lock().expect("the test goes on").step();
                thread::sleep(PACE);
            }
        });
        Traffic {
            flow,
            stop,
            thread: Some(thread),
        }
    }

    /// The flow, while no packet is under way.
    ///
    /// # Panics
    ///
    /// If a packet was lost, or something else arrived.
    pub fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().expect("the traffic goes on")
    }

    /// Waits until so many more packets were sent, and have become what they are to become.
    pub fn wait(&self, packets: u64) {
        let wanted = self.flow().sent() + packets;
        wait_until("traffic", || self.flow().sent() >= wanted);
    }

    /// Ends it, and checks what became of it.
    pub fn end(mut self) -> Ended {
        self.stop();
        let mut flow = self.flow();
        flow.check();
        Ended {
            sent: flow.sent(),
            arrived: flow.arrived(),
        }
    }

    fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has poisoned the lock.
            let _ = thread.join();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop();
    }
}
