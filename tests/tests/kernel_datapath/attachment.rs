//! Where the program is attached, and where not.

use std::thread;

use relay_daemon::datapath::kernel::{AttachedMode, Attachment, Kernel, KernelConfig, KernelError, XdpMode};
use relay_daemon::plan::{Path, UserspaceReason};
use relay_tests::daemon::wait_until;
use relay_tests::netns::{Namespace, Offload, connect, requires_root};
use relay_tests::packets::rtp;
use relay_tests::stream::Report;

use super::bench::{Ends, Net, PATIENCE, Relay, config, ipv4};

const NOT_ATTACHED: Path = Path::Userspace(UserspaceReason::NotAttached);

/// Of the devices that are named, each with a mode.
fn only(interfaces: &[(&str, XdpMode)], config: KernelConfig) -> KernelConfig {
    let interfaces = interfaces.iter().map(|(name, mode)| ((*name).to_owned(), *mode));
    KernelConfig {
        interfaces: interfaces.collect(),
        ..config
    }
}

fn attached(interfaces: &[(&str, AttachedMode)]) -> Vec<Attachment> {
    let attachment = |(interface, mode): &(&str, AttachedMode)| Attachment {
        interface: (*interface).to_owned(),
        mode: *mode,
    };
    interfaces.iter().map(attachment).collect()
}

#[test]
fn it_is_attached_as_asked_and_detached_when_dropped() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    for (mode, found, shown) in [
        (XdpMode::Auto, AttachedMode::Native, "xdp"),
        (XdpMode::Native, AttachedMode::Native, "xdp"),
        (XdpMode::Generic, AttachedMode::Generic, "xdpgeneric"),
    ] {
        let relay = net.start(mode);
        assert_eq!(
            relay.kernel.attachments(),
            attached(&[("r0", found), ("r1", found)])
        );
        assert_eq!(relay.kernel.disabled_reason(), None);
        for device in ["r0", "r1"] {
            let link = net.relay.ip(&format!("link show {device}"));
            assert!(link.contains(&format!(" {shown} ")), "{link}");
        }
        drop(relay);
        let links = net.relay.ip("link show");
        assert!(!links.contains("xdp"), "{links}");
    }
}

#[test]
fn the_program_of_somebody_else_is_left_alone() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let _other = net
        .start_with(only(
            &[("r1", XdpMode::Generic)],
            config(XdpMode::Auto, &["10.9.2.1"]),
        ))
        .unwrap();
    let before = net.relay.ip("link show r1");
    for mode in [XdpMode::Auto, XdpMode::Native, XdpMode::Generic] {
        let ours = config(mode, &["10.9.1.1", "10.9.2.1"]);
        let strict = KernelConfig {
            strict: true,
            ..ours.clone()
        };
        match net.start_with(strict).map(|_| "started") {
            Err(KernelError::Occupied { interface, .. }) => assert_eq!(interface, "r1"),
            other => panic!("{other:?}"),
        }
        // Otherwise it is no reason to leave the other device alone as well.
        let mut relay = net.start_with(ours).unwrap();
        let attachments = relay.kernel.attachments();
        let devices: Vec<&str> = attachments.iter().map(|device| &device.interface[..]).collect();
        assert_eq!(devices, ["r0"]);
        relay.offload(ends, Path::Kernel);
        let mut back = relay.rule(ends);
        (back.local, back.port) = (ends.outer, relay.port(ends.outer));
        relay.slots.claim(back.port);
        assert_eq!(relay.offloader.offload(&back), NOT_ATTACHED);
        drop(relay);
        assert_eq!(net.relay.ip("link show r1"), before);
    }
}

#[test]
fn a_missing_permission_is_named() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let config = config(XdpMode::Auto, &["10.9.1.1"]);
    let result = net.relay.run(|| {
        // The system call itself, since the C library would change all threads of the process.
        // SAFETY: it takes three numbers and touches no memory of ours.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
        assert_eq!(changed, 0);
        Kernel::start(&config)
    });
    assert!(matches!(result, Err(KernelError::NotPermitted)), "{result:?}");
}

#[test]
fn a_start_that_is_of_no_use_says_why() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let error = |config| match net.start_with(config) {
        Err(error @ KernelError::NoInterface(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it started"),
    };
    assert_eq!(
        error(config(XdpMode::Auto, &["127.0.0.1"])),
        "no interface for the XDP program: lo: a loopback device"
    );
    let inner = config(XdpMode::Auto, &["10.9.1.1"]);
    assert_eq!(
        error(only(&[("nowhere", XdpMode::Auto)], inner)),
        "no interface for the XDP program: r0: left out by configuration"
    );
    let strict = KernelConfig {
        strict: true,
        ..config(XdpMode::Auto, &["192.0.2.1"])
    };
    assert_eq!(
        error(strict),
        "no interface for the XDP program: no local address is on any"
    );
}

#[test]
fn an_address_may_come_later() {
    if !requires_root() {
        return;
    }
    let (net, mut ends) = (Net::new(), ipv4());
    ends.inner.set_ip("10.9.1.9".parse().unwrap());
    let mut relay = net
        .start_with(config(XdpMode::Auto, &["10.9.1.9", "10.9.2.1"]))
        .unwrap();
    let port = relay.offload(ends, NOT_ATTACHED);
    net.relay.ip("addr add 10.9.1.9/24 dev r0");
    relay.wait(port, Path::Kernel);
    net.relay.ip("addr del 10.9.1.9/24 dev r0");
    relay.wait(port, NOT_ATTACHED);
}

#[test]
fn flows_of_other_interfaces_stay_in_userspace() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let locals = config(XdpMode::Auto, &["10.9.1.1", "10.9.2.1"]);
    for (interfaces, expected) in [
        (
            &[("r1", XdpMode::Generic)][..],
            &[("r1", AttachedMode::Generic)][..],
        ),
        (&[("r0", XdpMode::Off)], &[("r1", AttachedMode::Native)]),
    ] {
        let mut relay = net.start_with(only(interfaces, locals.clone())).unwrap();
        assert_eq!(relay.kernel.attachments(), attached(expected));
        relay.offload(ipv4(), NOT_ATTACHED);
    }
}

#[test]
fn a_device_that_packets_only_leave_by_may_need_it_too() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let mut relay = net
        .start_with(config(XdpMode::Native, &["10.9.1.1", "10.9.9.1"]))
        .unwrap();
    let native = AttachedMode::Native;
    assert_eq!(relay.kernel.attachments(), attached(&[("r0", native)]));
    let port = relay.offload(ends, Path::Kernel);
    assert_eq!(relay.kernel.attachments(), attached(&[("r0", native)]));
    // Some drivers take redirected frames only with a program of their own. This one does not, but who knows?
    net.callee.set_offload("d0", Offload::GenericReceive, false);
    relay.wait(port, Path::Userspace(UserspaceReason::DeviceUnsuitable));
    wait_until("it is attached to r1 as well", || {
        relay.kernel.attachments() == attached(&[("r0", native), ("r1", native)])
    });
    net.callee.set_offload("d0", Offload::GenericReceive, true);
    relay.wait(port, Path::Kernel);
}

/// The two ends of the caller's cable, made anew.
fn plug_in(caller: &Namespace, relay: &Namespace) {
    connect((caller, "c0"), (relay, "r0"));
    caller.set_offload("c0", Offload::TransmitChecksum, false);
    caller.set_offload("c0", Offload::GenericReceive, true);
    for (namespace, device, address) in [(caller, "c0", "10.9.1.2"), (relay, "r0", "10.9.1.1")] {
        namespace.ip(&format!("addr add {address}/24 dev {device}"));
    }
}

#[test]
fn a_device_that_is_made_anew_has_it_again() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let sockets = net.relay_in_userspace(ends);
    let mut relay = net.start(XdpMode::Native);
    let port = relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);
    traffic.send(50);
    for _ in 0..3 {
        net.relay.ip("link del r0");
        relay.wait(port, NOT_ATTACHED);
        plug_in(&net.caller, &net.relay);
        // Whichever way it takes by now.
        traffic.send(50);
        relay.wait(port, Path::Kernel);
        traffic.send(50);
    }
    assert_eq!(traffic.receiver.report(350), Report::all_of(350));
    assert_eq!(relay.counters(ends).packets + sockets.relayed(), 350);
    assert!(relay.counters(ends).packets >= 200);
}

#[test]
fn a_link_that_flaps_keeps_it() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let sockets = net.relay_in_userspace(ends);
    let mut relay = net.start(XdpMode::Native);
    relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);
    for side in [(&net.relay, "r0"), (&net.caller, "c0"), (&net.relay, "r0")] {
        traffic.send(50);
        side.0.ip(&format!("link set {} down", side.1));
        side.0.ip(&format!("link set {} up", side.1));
    }
    traffic.send(50);
    assert_eq!(traffic.receiver.report(200), Report::all_of(200));
    assert_eq!((relay.counters(ends).packets, sockets.relayed()), (200, 0));
}

#[test]
fn the_mode_changes_under_traffic() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    let sockets = net.relay_in_userspace(ends);
    let mut traffic = net.traffic(ends);
    let through_kernel = |relay: &mut Relay, ends: Ends| {
        let before = relay.counters(ends).packets;
        move |relay: &Relay| relay.counters(ends).packets > before
    };
    let mut in_kernel = 0;
    thread::scope(|scope| {
        let changing = scope.spawn(|| {
            for mode in [XdpMode::Generic, XdpMode::Native, XdpMode::Generic] {
                let mut relay = net.start(mode);
                let is_used = through_kernel(&mut relay, ends);
                relay.offload(ends, Path::Kernel);
                wait_until("packets take the way through the kernel", || is_used(&relay));
                // Userspace takes over before the program is gone.
                relay.offloader.withdraw(relay.port(ends.inner));
                in_kernel += relay.counters(ends).packets;
            }
        });
        while !changing.is_finished() {
            traffic.send(16);
        }
    });
    let sent = traffic.stream.sent();
    let report = traffic.receiver.report(sent);
    // A packet that waits for the relay's thread is overtaken by one that does not.
    assert_eq!((report.lost, report.duplicated, report.corrupted), (0, 0, 0));
    assert_eq!(in_kernel + sockets.relayed(), sent);
}

/// Above a page, drivers take only programs that say that they can do with packets of several buffers.
#[test]
fn jumbo_frames_do_not_keep_it_from_drivers() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    for (namespace, device) in [
        (&net.caller, "c0"),
        (&net.relay, "r0"),
        (&net.relay, "r1"),
        (&net.callee, "d0"),
    ] {
        namespace.ip(&format!("link set {device} mtu 9000"));
    }
    let mut relay = net.start(XdpMode::Native);
    let native = AttachedMode::Native;
    assert_eq!(
        relay.kernel.attachments(),
        attached(&[("r0", native), ("r1", native)])
    );
    relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);
    traffic.send(50);
    assert_eq!(traffic.receiver.report(50), Report::all_of(50));
    traffic.send_datagram(&rtp(8, 50, 0, 7, 3000));
    let large = traffic.next(PATIENCE).unwrap();
    assert!(large.payload.len() == 3012 && large.udp_checksum_valid);
    assert_eq!(relay.counters(ends).packets, 51);
}

#[test]
fn bridges_have_it_generically() {
    if !requires_root() {
        return;
    }
    let (net, ends) = (Net::new(), ipv4());
    for (number, device) in [(1, "r0"), (2, "r1")] {
        let bridge = format!("b{number}");
        net.relay.ip(&format!("link add {bridge} type bridge"));
        net.relay.ip(&format!("link set {device} master {bridge}"));
        net.relay.ip(&format!("addr flush dev {device}"));
        net.relay.ip(&format!("addr add 10.9.{number}.1/24 dev {bridge}"));
        net.relay.ip(&format!("link set {bridge} up"));
    }
    let mut relay = net.start(XdpMode::Auto);
    let generic = AttachedMode::Generic;
    assert_eq!(
        relay.kernel.attachments(),
        attached(&[("b1", generic), ("b2", generic)])
    );
    relay.offload(ends, Path::Kernel);
    let mut traffic = net.traffic(ends);
    traffic.send(50);
    assert_eq!(traffic.receiver.report(50), Report::all_of(50));
    assert_eq!(relay.counters(ends).packets, 50);
}
