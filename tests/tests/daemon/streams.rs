//! What a receiver sees is the same by whatever path it came.

use relay_tests::call::Call;
use relay_tests::capture::Captured;
use relay_tests::daemon::Control;
use relay_tests::flow::Flow;
use relay_tests::lab::{IpVersion, Lab, device};
use relay_tests::netns::{Offload, requires_root};
use relay_tests::probe::Side;

use super::bench::{audio, flows, start, talk};

const PACKETS: u64 = 300;

/// EF.
const TOS: u8 = 184;

/// One way through the relay.
#[derive(Clone, Copy, Debug)]
struct Way {
    options: &'static [&'static str],
    switched_off: bool,
    path: &'static str,
}

const USERSPACE: Way = Way {
    options: &["--table=-1"],
    switched_off: false,
    path: "no kernel datapath",
};

const GENERIC: Way = Way {
    options: &["--table=0", "--no-fallback", "--xdp-mode=generic"],
    switched_off: false,
    path: "kernel",
};

const NATIVE: Way = Way {
    options: &["--table=0", "--no-fallback", "--xdp-mode=native"],
    ..GENERIC
};

const SWITCHED_OFF: Way = Way {
    switched_off: true,
    path: "switched off by hand",
    ..NATIVE
};

/// Sends a stream each way, and checks what arrives, and that it came by this way.
fn looks_as_it_should(lab: &Lab, version: IpVersion, way: Way) {
    let mut options = vec!["--tos=184"];
    options.extend(way.options);
    let daemon = start(lab, &options);
    let mut control = Control::connect(&lab.relay);
    let call = Call::new("call");
    let flows = talk(lab, &mut control, &call, version, 4000);
    if way.switched_off {
        control.request(&ng_client::command::kernel(call.id(), false));
    }
    for (side, mut flow) in Side::ALL.into_iter().zip(flows) {
        flow.tos = TOS;
        // At its first packet a flow may enter the kernel.
        flow.pass(1);
        call.wait_for_path_from(&mut control, side, way.path);
        flow.burst = 32;
        let (kernel, userspace) = call.received(&mut control, side);
        for captured in flow.pass(PACKETS) {
            check(lab, side, &flow, &captured);
        }
        flow.check();
        let more = i64::try_from(PACKETS).unwrap();
        let expected = match way.path {
            "kernel" => (kernel + more, userspace),
            _ => (kernel, userspace + more),
        };
        assert_eq!(call.received(&mut control, side), expected, "{way:?}");
    }
    drop(daemon);
}

/// Addresses, TOS and checksums are checked by the flow.
fn check(lab: &Lab, from: Side, flow: &Flow, captured: &Captured) {
    assert_eq!((captured.ttl, captured.dont_fragment), (64, true));
    let (relay, receiver) = lab.last_hop(from.other());
    assert_eq!((captured.source_mac, captured.destination_mac), (relay, receiver));
    assert_eq!(
        captured.destination.port(),
        flow.sender.local_addr().unwrap().port()
    );
}

fn looks_the_same_by_every_way(version: IpVersion) {
    if !requires_root() {
        return;
    }
    let lab = Lab::new();
    for way in [USERSPACE, GENERIC, NATIVE, SWITCHED_OFF] {
        looks_as_it_should(&lab, version, way);
    }
    // Both ends are containers next door that leave their checksums to a device that does not exist.
    for side in Side::ALL {
        lab.end(side)
            .set_offload(device(side), Offload::TransmitChecksum, true);
    }
    let daemon = start(&lab, NATIVE.options);
    let mut control = Control::connect(&lab.relay);
    for mut flow in talk(&lab, &mut control, &Call::new("offload"), version, 4000) {
        flow.pass(PACKETS);
        flow.check();
    }
    drop(daemon);
}

#[test]
fn an_ipv4_stream_looks_the_same_by_every_way() {
    looks_the_same_by_every_way(IpVersion::V4);
}

#[test]
fn an_ipv6_stream_looks_the_same_by_every_way() {
    looks_the_same_by_every_way(IpVersion::V6);
}

#[test]
fn ipv4_talks_to_ipv6() {
    if !requires_root() {
        return;
    }
    let lab = Lab::new();
    let _daemon = start(&lab, NATIVE.options);
    let mut control = Control::connect(&lab.relay);
    let [offer, answer] = ["IP6", "IP4"].map(|family| Call::new("call").with("address-family", family));
    let caller = audio(Side::Caller, IpVersion::V4, 4000);
    let callee = audio(Side::Callee, IpVersion::V6, 4000);
    let callee_is_told = offer.offer(&mut control, caller);
    let caller_is_told = answer.answer(&mut control, Side::Callee, callee);
    for mut flow in flows(&lab, (caller_is_told, callee_is_told), caller.rtp, callee.rtp) {
        flow.pass(PACKETS);
        flow.check();
    }
}
