//! Where packets come from and where they go: RTCP, strangers, parties behind NAT.

use std::net::{SocketAddr, UdpSocket};

use ng_client::{Dictionary, Value};
use relay_common::packet::{Kind, classify};
use relay_tests::call::{Audio, Call, Rtcp, receiver_report};
use relay_tests::daemon::{PATIENCE, wait_until};
use relay_tests::flow::Flow;
use relay_tests::lab::IpVersion;
use relay_tests::netns::requires_root;
use relay_tests::probe::Side;

use super::bench::{Bench, audio, flows};

const KERNEL: &[&str] = &["--table=0", "--no-fallback"];

fn texts(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| Value::from(*text)).collect()
}

/// Sends some packets each way, the caller's first, until both flows are in the kernel; then some more.
fn converse(bench: &mut Bench, call: &Call, flows: &mut [Flow; 2]) {
    for flow in &mut *flows {
        flow.pass(5);
    }
    for (side, flow) in Side::ALL.into_iter().zip(&mut *flows) {
        // A flow may have to wait for its next packet to enter the kernel.
        wait_until("the flow is in the kernel", || {
            flow.pass(1);
            call.path(&mut bench.control, side) == "kernel"
        });
        let before = call.received(&mut bench.control, side);
        flow.pass(20);
        assert_eq!(call.received(&mut bench.control, side), (before.0 + 20, before.1));
    }
}

/// Where an end sends and receives RTCP.
fn rtcp_socket(bench: &Bench, side: Side, audio: Audio, flow: &Flow) -> UdpSocket {
    match audio.rtcp {
        Rtcp::Muxed => flow.sender.try_clone().unwrap(),
        Rtcp::NextPort => bench.lab.bind(side, next_port(audio.rtp)),
    }
}

fn next_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port() + 1)
}

/// The next RTCP packet that comes to a socket, and where it comes from.
fn receive_rtcp(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 2048];
    loop {
        let (length, source) = socket.recv_from(&mut buffer).expect("RTCP comes");
        if classify(&buffer[..length]) == Kind::Rtcp {
            return (buffer[..length].to_vec(), source);
        }
    }
}

#[test]
fn rtcp_goes_to_the_right_port_while_rtp_is_in_the_kernel() {
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(KERNEL);
    let cases = [
        ("muxed", Rtcp::Muxed, Rtcp::Muxed, None),
        ("separate", Rtcp::NextPort, Rtcp::NextPort, None),
        ("demuxed", Rtcp::Muxed, Rtcp::NextPort, Some("demux")),
    ];
    for ((name, caller_rtcp, callee_rtcp, option), port) in cases.into_iter().zip([4000, 4010, 4020]) {
        let mut call = Call::new(name);
        if let Some(option) = option {
            call = call.with("rtcp-mux", texts(&[option]));
        }
        let with = |audio, rtcp| Audio { rtcp, ..audio };
        let caller = with(audio(Side::Caller, IpVersion::V4, port), caller_rtcp);
        let callee = with(audio(Side::Callee, IpVersion::V4, port), callee_rtcp);
        let told = call.set_up(&mut bench.control, caller, callee);
        for (told, rtcp) in [(told.0, caller_rtcp), (told.1, callee_rtcp)] {
            let expected = match rtcp {
                Rtcp::Muxed => told.rtp,
                Rtcp::NextPort => next_port(told.rtp),
            };
            assert_eq!(told.rtcp, expected, "{name}");
        }
        let mut flows = flows(&bench.lab, told, caller.rtp, callee.rtp);
        converse(&mut bench, &call, &mut flows);

        let at_caller = rtcp_socket(&bench, Side::Caller, caller, &flows[0]);
        let at_callee = rtcp_socket(&bench, Side::Callee, callee, &flows[1]);
        for number in 0..3 {
            for (from, to, at, source) in [
                (&at_caller, told.0.rtcp, &at_callee, told.1.rtcp),
                (&at_callee, told.1.rtcp, &at_caller, told.0.rtcp),
            ] {
                let report = receiver_report(number);
                from.send_to(&report, to).unwrap();
                assert_eq!(receive_rtcp(at), (report, source), "{name}");
            }
        }
        converse(&mut bench, &call, &mut flows);
        flows.iter_mut().for_each(Flow::check);
    }
}

#[test]
fn strangers_are_heard_only_where_nobody_is_strict() {
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(KERNEL);
    let strict = Call::new("strict").with("flags", texts(&["strict-source"]));
    let lenient = Call::new("lenient");
    for (call, port) in [(&strict, 4000), (&lenient, 4010)] {
        let mut flows = bench.talk(call, IpVersion::V4, port);
        converse(&mut bench, call, &mut flows);
        flows.iter_mut().for_each(Flow::check);
        let [from_caller, from_callee] = &mut flows;

        // Another port of the same host speaks up.
        let stranger = audio(Side::Caller, IpVersion::V4, port + 2).rtp;
        let stranger = bench.lab.bind(Side::Caller, stranger);
        let callee = from_callee.sender.local_addr().unwrap();
        let (to, source) = (from_caller.to, from_callee.to);
        let mut strange = Flow::new(&bench.lab, Side::Caller, stranger, to, callee, source);
        if call.id() == lenient.id() {
            strange.pass(20);
            strange.check();
            continue;
        }
        strange.withhold(20);
        // What comes behind it has overtaken nothing.
        from_caller.pass(20);
        from_caller.check();
        let stream = call.stream(&mut bench.control, Side::Caller);
        let errors = number(&stream, &["received", "kernel", "errors"]);
        assert_eq!(errors, 20, "{stream:?}");
    }
}

#[test]
fn a_party_behind_nat_is_found() {
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(KERNEL);
    // Not what they are seen with.
    let private = |address: &str| Audio::at(address.parse().unwrap());
    let [caller, callee] = [Side::Caller, Side::Callee].map(|side| audio(side, IpVersion::V4, 4000));

    // The caller is found by its media.
    let call = Call::new("caller");
    let told = call.set_up(&mut bench.control, private("192.0.2.5:6000"), callee);
    let mut both = flows(&bench.lab, told, caller.rtp, callee.rtp);
    converse(&mut bench, &call, &mut both);
    wait_until("the source is settled", || {
        let stream = call.stream(&mut bench.control, Side::Caller);
        number(&stream, &["settled"]) == 1
    });
    let stream = call.stream(&mut bench.control, Side::Caller);
    let learned = stream.find("learned").and_then(Value::text);
    assert_eq!(learned.as_deref(), Some(caller.rtp.to_string().as_str()));
    converse(&mut bench, &call, &mut both);
    both.iter_mut().for_each(Flow::check);
    drop(both);

    // The callee is found by its SIP messages, before it has sent anything.
    let call = Call::new("callee");
    let callee_is_told = call.offer(&mut bench.control, caller);
    let private = private(&format!("192.168.7.7:{}", callee.rtp.port()));
    let seen = [
        ("flags", Value::from(texts(&["SIP-source-address"]))),
        (
            "received-from",
            Value::from(texts(&["IP4", &callee.rtp.ip().to_string()])),
        ),
    ];
    let caller_is_told = call.answer_with(&mut bench.control, Side::Callee, private, &seen);
    let told = (caller_is_told, callee_is_told);
    let mut both = flows(&bench.lab, told, caller.rtp, callee.rtp);
    converse(&mut bench, &call, &mut both);
    both.iter_mut().for_each(Flow::check);
}

/// A number in dictionaries within each other.
fn number(fields: &Dictionary, path: &[&str]) -> i64 {
    let (last, outer) = path.split_last().unwrap();
    let inner = outer.iter().fold(fields, |fields, key| {
        fields.find(key).and_then(Value::dictionary).unwrap()
    });
    inner.find(last).and_then(Value::integer).unwrap()
}
