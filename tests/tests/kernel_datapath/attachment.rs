//! Where the program is attached, and where not.

use relay_daemon::datapath::kernel::{
    AttachedMode, Attachment, Kernel, KernelConfig, KernelError, LocalPorts, XdpMode,
};
use relay_daemon::plan::{Path, UserspaceReason};
use relay_tests::netns::requires_root;

use super::bench::{Net, ipv4};

fn addresses(addresses: &[&str]) -> Vec<String> {
    addresses.iter().map(|address| (*address).to_owned()).collect()
}

#[test]
fn it_is_attached_as_asked_and_detached_when_dropped() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    for (mode, attached, shown) in [
        (XdpMode::Auto, AttachedMode::Native, "xdp"),
        (XdpMode::Native, AttachedMode::Native, "xdp"),
        (XdpMode::Generic, AttachedMode::Generic, "xdpgeneric"),
    ] {
        let relay = net.start(mode);
        let attachment = |interface: &str| Attachment {
            interface: interface.to_owned(),
            mode: attached,
        };
        assert_eq!(relay.kernel.attachments(), [attachment("r0"), attachment("r1")]);
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
fn two_do_not_share_a_device() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let _first = net.start(XdpMode::Generic);
    for mode in [XdpMode::Auto, XdpMode::Native, XdpMode::Generic] {
        let second = net.start_with(mode, &addresses(&["10.9.2.1"]), None);
        match second.map(|_| "started") {
            Err(KernelError::Occupied { interface, .. }) => assert_eq!(interface, "r1"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_missing_permission_is_named() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let config = KernelConfig {
        locals: vec![LocalPorts {
            address: "10.9.1.1".parse().unwrap(),
            port_min: 30000,
            port_max: 30001,
        }],
        mode: XdpMode::Auto,
        only: None,
    };
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
fn loopback_is_no_interface_for_it() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let error = |addresses: &[String], only| match net.start_with(XdpMode::Auto, addresses, only) {
        Err(error @ KernelError::NoInterface(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it started"),
    };
    assert_eq!(
        error(&addresses(&["127.0.0.1"]), None),
        "no interface for the XDP program: lo: a loopback device"
    );
    assert_eq!(
        error(&addresses(&["192.0.2.1"]), None),
        "no interface for the XDP program: no local address is on any"
    );
    assert_eq!(
        error(&addresses(&["10.9.1.1"]), Some(addresses(&["r1"]))),
        "no interface for the XDP program: r0: left out by configuration"
    );
}

#[test]
fn flows_of_other_interfaces_stay_in_userspace() {
    if !requires_root() {
        return;
    }
    let net = Net::new();
    let locals = addresses(&["10.9.1.1", "10.9.2.1"]);
    let mut relay = net
        .start_with(XdpMode::Auto, &locals, Some(addresses(&["r1"])))
        .unwrap();
    assert_eq!(relay.kernel.attachments().len(), 1);
    let rule = relay.rule(ipv4());
    relay.slots.claim(rule.port);
    assert_eq!(
        relay.offloader.offload(&rule),
        Path::Userspace(UserspaceReason::NotAttached)
    );
}
