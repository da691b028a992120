//! Who gets whose media changes while it flows.

use ng_client::{Dictionary, Value, command};
use relay_common::packet::{Kind, classify};
use relay_tests::call::{Audio, Call, Told};
use relay_tests::capture::Capture;
use relay_tests::daemon::{PATIENCE, wait_for_value, wait_until};
use relay_tests::flow::{Flow, Traffic};
use relay_tests::lab::IpVersion;
use relay_tests::netns::requires_root;
use relay_tests::probe::Side;

use super::bench::{Bench, audio};

const PACKETS: u64 = 60;
const NATIVE: [&str; 3] = ["--table=0", "--no-fallback", "--xdp-mode=native"];

/// A request about the call.
fn request(name: &str, call: &str, more: &[(&'static str, &str)]) -> Dictionary {
    let mut request = Dictionary::new();
    request.push("command", name);
    request.push("call-id", call);
    for (key, value) in more {
        request.push(*key, *value);
    }
    request
}

fn told(reply: &Dictionary) -> Told {
    let sdp = reply.find("sdp").and_then(Value::text).unwrap();
    Told::parse(&sdp).unwrap()
}

/// A call whose media is in the kernel, both ways.
fn in_kernel(bench: &mut Bench, call: &Call) -> [Flow; 2] {
    let mut flows = bench.talk(call, IpVersion::V4, 4000);
    for flow in &mut flows {
        flow.pass(PACKETS);
    }
    call.wait_for_path(&mut bench.control, "kernel");
    flows
}

/// The sequence numbers of RTP that comes to a port, of what has come so far.
fn sequence_numbers(capture: &Capture, port: u16, wanted: usize) -> Vec<u16> {
    let mut numbers = Vec::new();
    while numbers.len() < wanted {
        let packet = capture.next(PATIENCE).expect("it comes");
        if packet.destination.port() == port && classify(&packet.payload) == Kind::Rtp {
            numbers.push(u16::from_be_bytes([packet.payload[2], packet.payload[3]]));
        }
    }
    numbers
}

#[test]
fn a_subscriber_gets_a_copy_and_the_kernel_gets_the_flow_back() {
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(&NATIVE);
    let call = Call::new("call");
    let [mut from_caller, mut from_callee] = in_kernel(&mut bench, &call);

    let keys = [
        ("from-tag", "caller"),
        ("to-tag", "listener"),
        ("interface", "outer"),
    ];
    let offered = bench
        .control
        .request(&request("subscribe request", call.id(), &keys));
    assert_ne!(told(&offered).rtp, from_callee.to);
    let listener = Audio {
        direction: "recvonly",
        ..audio(Side::Callee, IpVersion::V4, 4100)
    };
    let _socket = bench.lab.bind(Side::Callee, listener.rtp);
    let sdp = listener.to_string();
    let keys = [("to-tag", "listener"), ("sdp", sdp.as_str())];
    bench
        .control
        .request(&request("subscribe answer", call.id(), &keys));

    call.wait_for_path_from(&mut bench.control, Side::Caller, "several receivers");
    let capture = bench.lab.capture(Side::Callee);
    from_caller.pass(PACKETS);
    let numbers = sequence_numbers(&capture, 4100, usize::try_from(PACKETS).unwrap());
    let first = numbers[0];
    let expected: Vec<u16> = (0..).map(|number| first + number).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
    from_callee.pass(PACKETS);
    call.wait_for_path_from(&mut bench.control, Side::Callee, "kernel");

    bench
        .control
        .request(&request("unsubscribe", call.id(), &[("to-tag", "listener")]));
    wait_until("the flow is back", || {
        from_caller.pass(1);
        call.path(&mut bench.control, Side::Caller) == "kernel"
    });
    let capture = bench.lab.capture(Side::Callee);
    for flow in [&mut from_caller, &mut from_callee] {
        flow.pass(PACKETS);
        flow.check();
    }
    while let Some(packet) = capture.waiting() {
        assert_ne!(
            packet.destination.port(),
            4100,
            "nobody listens any more: {packet:?}"
        );
    }
    call.delete(&mut bench.control, 0);
    bench.wait_for_free_ports();
}

#[test]
fn reports_of_our_own_count_what_the_kernel_relayed() {
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(&[&NATIVE[..], &["--rtcp-interval=50"]].concat());
    let call = Call::new("call").with("generate-RTCP", "on");
    let [mut from_caller, _] = in_kernel(&mut bench, &call);
    from_caller.pass(PACKETS);
    let sent = u32::try_from(from_caller.sent()).unwrap();
    let capture = bench.lab.capture(Side::Callee);
    // A report that was on its way may come first. Whoever is silent is a sender for two rounds.
    let mut packets = std::iter::from_fn(|| capture.next(PATIENCE));
    let is_right = packets.any(|packet| {
        let is_report = packet.destination.port() == 4001 && packet.payload[1] == 200;
        is_report && packet.payload[20..24] == sent.to_be_bytes()
    });
    assert!(is_right);
    assert_eq!(call.path(&mut bench.control, Side::Caller), "kernel");
    call.delete(&mut bench.control, 0);
    bench.wait_for_free_ports();
}

#[test]
fn media_is_blocked_and_unblocked_by_either_path() {
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(&NATIVE);
    let call = Call::new("call");
    let [mut from_caller, mut from_callee] = in_kernel(&mut bench, &call);
    let keys = [("from-tag", "caller"), ("flags", "directional")];

    bench.control.request(&request("block media", call.id(), &keys));
    // The worker takes one order after the other: once it has left the kernel, the flow is blocked.
    leave_kernel(&mut bench, &call);
    from_caller.withhold(PACKETS);
    bench.control.request(&command::kernel(call.id(), true));
    wait_until("the flow is back, and blocked there", || {
        from_caller.withhold(1);
        call.path(&mut bench.control, Side::Caller) == "kernel"
    });
    let all = i64::try_from(from_caller.sent()).unwrap();
    let (mut kernel, mut userspace) = (0, 0);
    wait_until("all is counted", || {
        (kernel, userspace) = call.received(&mut bench.control, Side::Caller);
        kernel + userspace == all
    });
    from_caller.withhold(PACKETS);
    from_callee.pass(PACKETS);
    let more = i64::try_from(PACKETS).unwrap();
    wait_for_value(&(kernel + more, userspace), || {
        call.received(&mut bench.control, Side::Caller)
    });
    from_caller.expect_silence();

    bench.control.request(&request("unblock media", call.id(), &keys));
    leave_kernel(&mut bench, &call);
    from_caller.pass(PACKETS);
    bench.control.request(&command::kernel(call.id(), true));
    for flow in [&mut from_caller, &mut from_callee] {
        flow.pass(PACKETS);
        flow.check();
    }
    let [sent, arrived] =
        [from_caller.sent(), from_caller.arrived()].map(|count| i64::try_from(count).unwrap());
    wait_for_value(&(sent, arrived), || {
        let counters = call.counters(&mut bench.control);
        (counters.sent_by(Side::Caller), counters.sent_to(Side::Callee))
    });
}

/// Keeps a call out of the kernel, and waits until its worker knows.
fn leave_kernel(bench: &mut Bench, call: &Call) {
    bench.control.request(&command::kernel(call.id(), false));
    call.wait_for_path(&mut bench.control, "switched off by hand");
}

#[test]
fn two_calls_are_connected_under_traffic() {
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(&NATIVE);
    let first = Call::new("first");
    let [from_caller, _from_callee] = in_kernel(&mut bench, &first);
    // Another call between the same ends, by other names.
    let [x, y] = Side::ALL.map(|side| audio(side, IpVersion::V4, 4100));
    let mut offer = command::offer("second", "x", &x.to_string());
    offer.push("direction", ["inner", "outer"].map(Value::from).to_vec());
    let y_is_told = told(&bench.control.request(&offer));
    let answer = command::answer("second", "x", "y", &y.to_string());
    let x_is_told = told(&bench.control.request(&answer));
    let [_from_x, from_y] = super::bench::flows(&bench.lab, (x_is_told, y_is_told), x.rtp, y.rtp);
    let caller = audio(Side::Caller, IpVersion::V4, 4000).rtp;
    let caller_is_told = from_caller.to;

    let (from_caller, from_y) = (Traffic::start(from_caller), Traffic::start(from_y));
    from_caller.wait(PACKETS);
    from_y.wait(PACKETS);
    {
        // Both ends know what may come, before it does.
        let (mut from_caller, mut from_y) = (from_caller.flow(), from_y.flow());
        from_caller.add_receiver(y.rtp);
        from_caller.add_source(y_is_told.rtp);
        from_y.add_receiver(caller);
        from_y.add_source(caller_is_told);
    }
    let keys = [("from-tag", "caller"), ("to-tag", "y"), ("to-call-id", "second")];
    bench.control.request(&request("connect", "first", &keys));
    from_caller.wait(PACKETS);
    from_y.wait(PACKETS);
    first.wait_for_path_from(&mut bench.control, Side::Caller, "kernel");
    from_caller.wait(PACKETS);
    from_y.wait(PACKETS);
    let mut calls = bench.control.calls();
    calls.sort();
    assert_eq!(calls, ["first", "second"]);

    let sent = [from_caller.end(), from_y.end()].map(|ended| {
        assert_eq!(ended.sent, ended.arrived);
        i64::try_from(ended.sent).unwrap()
    });
    let counters = first.counters(&mut bench.control);
    let of = |tag: &str| counters.at(&format!("/tags/{tag}/medias/0/streams/0/stats/packets"));
    assert_eq!([of("caller"), of("y")], sent);
    Call::new("second").delete(&mut bench.control, 0);
    assert!(bench.control.calls().is_empty());
    bench.wait_for_free_ports();
}
