//! Noise harms no call.

use std::net::{SocketAddr, UdpSocket};

use ng_client::Value;
use relay_tests::call::Call;
use relay_tests::daemon::server;
use relay_tests::flow::Traffic;
use relay_tests::lab::IpVersion;
use relay_tests::netns::requires_root;
use relay_tests::probe::Side;
use relay_tests::stream::Noise;

use super::bench::{Bench, Monitor, audio};

/// So many datagrams to each place.
const DATAGRAMS: usize = 3000;

/// How much memory the daemon may take for them: far less than they are.
const MOST_MEMORY: u64 = 8 << 20;

/// Beginnings that somebody may take for a message.
const REQUESTS: [&[u8]; 8] = [
    b"",
    b" ",
    b"cookie ",
    b"cookie d7:command4:ping",
    b"cookie d7:command5:offer7:call-id4:junk8:from-tag1:a3:sdp99999999999:",
    b"cookie llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll",
    b"cookie d7:command5:query7:call-idi-99999999999999999999ee",
    b"cookie {\"command\": \"ping\", \"command\": [[[[[[",
];

/// The same for media: STUN, DTLS, RTP of another kind, RTCP.
const MEDIA: [&[u8]; 8] = [
    b"",
    &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42],
    &[22, 254, 253, 0, 0],
    &[0x80],
    &[0x80, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1],
    &[0xbf, 0xff, 0xff, 0xff],
    &[0x80, 200, 0xff, 0xff],
    &[0x9f, 203, 0, 0],
];

/// Datagrams with these beginnings and noise behind them, some with noise alone.
fn send_noise(socket: &UdpSocket, beginnings: &[&[u8]], to: &[SocketAddr]) {
    let mut noise = Noise::new(u64::from(to[0].port()));
    let mut datagram = Vec::new();
    for number in 0..DATAGRAMS {
        datagram.clear();
        if let Some(beginning) = beginnings.get(number % (beginnings.len() + 1)) {
            datagram.extend(*beginning);
        }
        datagram.extend(noise.by_ref().take(number * 7 % 1400));
        // A host may say that nobody listens there; and a queue may be full.
        let _ = socket.send_to(&datagram, to[number % to.len()]);
    }
}

#[test]
fn noise_harms_no_call() {
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(&["--table=0", "--no-fallback"]);
    let call = Call::new("call").with("flags", vec![Value::from("strict-source")]);
    let flows = bench.talk(&call, IpVersion::V4, 4000);
    let [to_inner, to_outer] = [flows[0].to, flows[1].to];
    let traffic = flows.map(Traffic::start);
    call.wait_for_path(&mut bench.control, "kernel");
    let monitor = Monitor::start(&bench.lab, &call);
    let before = bench.daemon.resident();

    let requests = bench.lab.relay.run(|| UdpSocket::bind("127.0.0.1:0")).unwrap();
    send_noise(&requests, &REQUESTS, &[server()]);
    for (side, to) in [(Side::Caller, to_inner), (Side::Callee, to_outer)] {
        let stranger = bench.lab.bind(side, audio(side, IpVersion::V4, 5000).rtp);
        let rtcp = SocketAddr::new(to.ip(), to.port() + 1);
        let nobody = SocketAddr::new(to.ip(), to.port() ^ 64);
        send_noise(&stranger, &MEDIA, &[to, rtcp, nobody]);
    }

    traffic.iter().for_each(|flow| flow.wait(50));
    call.wait_for_path(&mut bench.control, "kernel");
    let grown = bench.daemon.resident().saturating_sub(before);
    assert!(grown < MOST_MEMORY, "{grown} bytes more");
    assert_eq!(bench.control.calls(), ["call"]);
    let counters = call.counters(&mut bench.control);
    for side in Side::ALL {
        let errors = counters.at(&format!(
            "/tags/{}/medias/0/streams/0/stats/errors",
            side.as_str()
        ));
        assert!(errors > 0, "the noise was heard");
    }
    for flow in traffic {
        flow.end();
    }
    monitor.end();
}
