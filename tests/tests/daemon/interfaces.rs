//! Groups of interfaces, and devices that are kept from XDP.

use std::net::IpAddr;

use relay_tests::call::Call;
use relay_tests::daemon::{Control, Daemon};
use relay_tests::lab::{IpVersion, Lab};
use relay_tests::netns::requires_root;
use relay_tests::probe::Side;

use super::bench::{Bench, audio, flows};

const PACKETS: u64 = 60;

/// Both are groups: of two towards the caller, of three towards the callee.
const GROUPS: [&str; 5] = [
    "--interface=inner:1/10.9.1.1",
    "--interface=inner:2/10.9.1.3",
    "--interface=outer:1/10.9.2.1",
    "--interface=outer:2/10.9.2.3",
    "--interface=outer:3/10.9.2.4",
];

const KERNEL: [&str; 3] = ["--table=0", "--no-fallback", "--xdp-mode=native"];

#[test]
fn calls_take_turns_on_both_sides_and_in_the_kernel() {
    if !requires_root() {
        return;
    }
    let lab = Lab::new();
    for (address, device) in [("1.3", "r0"), ("2.3", "r1"), ("2.4", "r1")] {
        lab.relay.ip(&format!("addr add 10.9.{address}/24 dev {device}"));
    }
    let _daemon = Daemon::start(&lab.relay, &[&GROUPS[..], &KERNEL].concat());
    let mut control = Control::connect(&lab.relay);

    let mut seen: Vec<[IpAddr; 2]> = Vec::new();
    for number in 0..6_u16 {
        let call = Call::new(&format!("call-{number}"));
        let [caller, callee] = Side::ALL.map(|side| audio(side, IpVersion::V4, 4000 + 2 * number));
        let callee_is_told = call.offer(&mut control, caller);
        // The answer belongs to the same two, whatever it says and whoever has called since.
        let caller_is_told = call.answer(&mut control, Side::Callee, callee);
        seen.push([caller_is_told.rtp.ip(), callee_is_told.rtp.ip()]);
        for mut flow in flows(&lab, (caller_is_told, callee_is_told), caller.rtp, callee.rtp) {
            flow.pass(PACKETS);
            flow.check();
        }
        call.wait_for_path(&mut control, "kernel");
    }
    let expected = ["1.1 2.1", "1.3 2.3", "1.1 2.4", "1.3 2.1", "1.1 2.3", "1.3 2.4"];
    let seen = seen
        .iter()
        .map(|told| told.map(|ip| ip.to_string().replace("10.9.", "")).join(" "));
    assert_eq!(seen.collect::<Vec<_>>(), expected);
}

#[test]
fn only_allowed_devices_serve_the_kernel() {
    if !requires_root() {
        return;
    }
    let not_allowed = "device kept from XDP by configuration";
    for (devices, path) in [
        (&["--xdp-interface=r0"][..], not_allowed),
        (&["--xdp-interface=r1"], not_allowed),
        (&["--xdp-interface=r0", "--xdp-interface=r1"], "kernel"),
    ] {
        let mut bench = Bench::start(&[&KERNEL[..], devices].concat());
        let call = Call::new("call");
        for mut flow in bench.talk(&call, IpVersion::V4, 4000) {
            flow.pass(PACKETS);
            flow.check();
        }
        call.wait_for_path(&mut bench.control, path);
    }
}
