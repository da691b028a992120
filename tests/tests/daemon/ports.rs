//! More calls than ports.

use std::net::UdpSocket;

use ng_client::ClientError;
use relay_tests::call::Call;
use relay_tests::daemon::wait_until;
use relay_tests::flow::Traffic;
use relay_tests::lab::IpVersion;
use relay_tests::netns::requires_root;
use relay_tests::probe::Side;

use super::bench::{Bench, audio};

#[test]
fn a_call_without_ports_harms_no_other() {
    if !requires_root() {
        return;
    }
    // Four ports towards the caller; towards the callee two, and two with one that somebody else has.
    let range = ["--port-min=30010", "--port-max=30013"];
    let mut bench = Bench::start(&[&["--table=0", "--no-fallback"][..], &range].concat());
    let somebody = bench.lab.relay.run(|| UdpSocket::bind("10.9.2.1:30013")).unwrap();
    let [first, second] = ["first", "second"].map(Call::new);
    let traffic = bench.talk(&first, IpVersion::V4, 4000).map(Traffic::start);
    first.wait_for_path(&mut bench.control, "kernel");

    for _ in 0..3 {
        match second.try_offer(&mut bench.control, audio(Side::Caller, IpVersion::V4, 4002)) {
            Err(ClientError::Rejected { reason, .. }) => assert_eq!(reason, "Ran out of ports"),
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.control.calls(), ["first"]);
        assert_eq!(bench.media_ports(), 4 + 1);
        traffic.iter().for_each(|flow| flow.wait(20));
    }
    first.wait_for_path(&mut bench.control, "kernel");
    for flow in traffic {
        flow.end();
    }

    first.delete(&mut bench.control, 0);
    // A port can be had again a moment after it was closed.
    wait_until("its ports can be had", || {
        let offer = audio(Side::Caller, IpVersion::V4, 4002);
        second.try_offer(&mut bench.control, offer).is_ok()
    });
    for mut flow in bench.talk(&second, IpVersion::V4, 4002) {
        flow.pass(20);
        flow.check();
    }
    second.delete(&mut bench.control, 0);
    drop(somebody);
    bench.wait_for_free_ports();
}
