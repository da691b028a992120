//! What the kernel counts while signalling looks on: it does not stand still for anybody.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use relay_common::slot::Counters;
use relay_daemon::call::{Calls, Command, Query, Reply, Signal, SignalOptions};
use relay_daemon::clock::Time;
use relay_daemon::config::{Config, DtlsSettings, Start};
use relay_daemon::dtls::Credentials;
use relay_daemon::host::{AddressId, Host, OutOfPorts, PortCount};
use relay_daemon::plan::{LocalPort, PortId};
use relay_daemon::report::CallSnapshot;

/// A kernel that relays a packet at every port between any two looks at it.
#[derive(Default)]
struct BusyHost {
    ports: u16,
    counters: RefCell<BTreeMap<PortId, u64>>,
    stands_still: Cell<bool>,
}

impl Host for BusyHost {
    fn reserve(&mut self, _: AddressId, _: PortCount) -> Result<Vec<LocalPort>, OutOfPorts> {
        let next = |number: u16| LocalPort {
            id: PortId(number.into()),
            address: SocketAddr::from(([127, 0, 0, 1], 30000 + number)),
        };
        self.ports += 2;
        Ok(vec![next(self.ports), next(self.ports + 1)])
    }

    fn release(&mut self, _: PortId) {}

    fn kernel_counters(&self, port: PortId) -> Counters {
        let mut counters = self.counters.borrow_mut();
        let packets = counters.entry(port).or_default();
        // Only RTP is relayed there.
        if port.0.is_multiple_of(2) && !self.stands_still.get() {
            *packets += 1;
        }
        Counters {
            packets: *packets,
            bytes: *packets * 172,
            dropped: *packets * 2,
            ..Counters::default()
        }
    }

    fn random(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

#[test]
fn what_is_received_from_one_side_is_sent_to_the_other() {
    let mut host = BusyHost::default();
    let credentials = Credentials::generate(&DtlsSettings::default()).unwrap();
    let mut calls = Calls::new(settings(), Arc::new(credentials));
    for round in 0..5 {
        for (command, party) in [("offer", "a"), ("answer", "b")] {
            // The callee moves now and then, so the caller gets other ports.
            let port = 4000 + 2 * round * u16::from(party == "b");
            let command = signal(command, party, port);
            calls.handle(Time(1), command, &mut host).unwrap();
        }
    }
    host.stands_still.set(true);
    let query = Command::Query(Query {
        call_id: "call".into(),
        from_tag: None,
        to_tag: None,
    });
    let Ok(Reply::Statistics(call)) = calls.handle(Time(2), query, &mut host) else {
        panic!("no statistics");
    };
    let [caller, callee] = [0, 1].map(|party| rtp(&call, party));
    assert!(caller.0 > 5 && callee.0 > 5);
    assert_eq!((caller.0, callee.0), (callee.1, caller.1));
    let errors = |party: usize| call.parties[party].media[0].streams[0].sent.errors;
    assert_eq!((errors(0), errors(1)), (0, 0), "what was dropped was not sent");
}

/// Packets received from a party, and sent to it.
fn rtp(call: &CallSnapshot, party: usize) -> (u64, u64) {
    let stream = &call.parties[party].media[0].streams[0];
    (stream.received.total().packets, stream.sent.packets)
}

fn signal(command: &str, party: &str, port: u16) -> Command {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n"
    );
    let signal = Box::new(Signal {
        call_id: "call".into(),
        from_tag: "a".into(),
        to_tag: (party == "b").then(|| "b".into()),
        via_branch: None,
        sdp,
        options: SignalOptions::default(),
    });
    match command {
        "offer" => Command::Offer(signal),
        _ => Command::Answer(signal),
    }
}

fn settings() -> relay_daemon::config::CallSettings {
    let arguments = [
        "relay",
        "--config-file=none",
        "--interface=127.0.0.1",
        "--listen-ng=2223",
    ];
    match Config::load(arguments.map(Into::into)).unwrap() {
        Start::Run(config) => config.call,
        other @ (Start::Print(_) | Start::CleanUp | Start::Nothing) => panic!("{other:?}"),
    }
}
