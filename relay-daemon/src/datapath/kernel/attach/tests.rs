//! The attacher with a program that is none, on devices that are none.

use std::sync::{Arc, Mutex};

use super::super::LocalPorts;
use super::super::netlink::links::{ethernet, vlan};
use super::*;

const OWN: u32 = 77;

/// What the kernel would do: which modes each device takes, and what is attached.
#[derive(Clone, Debug, Default)]
struct Kernel(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Devices whose driver refuses.
    refusing: BTreeSet<u32>,
    attached: BTreeMap<u32, AttachedMode>,
    attempts: usize,
    admitted: Vec<Ingress>,
}

#[derive(Debug)]
struct Grip(Kernel, u32);

impl Program for Kernel {
    fn id(&self) -> u32 {
        OWN
    }

    fn attach(&mut self, ifindex: u32, mode: AttachedMode) -> Result<Box<dyn Held>, Refusal> {
        let mut state = self.0.lock().unwrap();
        state.attempts += 1;
        if mode == AttachedMode::Native && state.refusing.contains(&ifindex) {
            return Err(Refusal::Other("not this driver".to_owned()));
        }
        assert_eq!(
            state.attached.insert(ifindex, mode),
            None,
            "attached twice to {ifindex}"
        );
        Ok(Box::new(Grip(self.clone(), ifindex)))
    }

    fn admit(&mut self, ingress: &[Ingress]) {
        self.0.lock().unwrap().admitted = ingress.to_vec();
    }
}

impl Held for Grip {}

impl Drop for Grip {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().attached.remove(&self.1);
    }
}

impl Kernel {
    fn attached(&self) -> Vec<(u32, AttachedMode)> {
        let state = self.0.lock().unwrap();
        state
            .attached
            .iter()
            .map(|(ifindex, mode)| (*ifindex, *mode))
            .collect()
    }

    fn attempts(&self) -> usize {
        self.0.lock().unwrap().attempts
    }

    fn refuse(&self, ifindex: u32) {
        self.0.lock().unwrap().refusing.insert(ifindex);
    }
}

struct Bench {
    kernel: Kernel,
    attacher: Attacher,
    snapshot: Snapshot,
}

fn local(address: &str) -> LocalPorts {
    LocalPorts {
        address: address.parse().unwrap(),
        port_min: 30000,
        port_max: 39999,
    }
}

/// Two devices with a local address each.
fn bench(change: impl FnOnce(&mut KernelConfig)) -> Bench {
    let mut config = KernelConfig {
        locals: vec![local("10.0.0.1"), local("10.0.0.2")],
        ..KernelConfig::default()
    };
    change(&mut config);
    let kernel = Kernel::default();
    Bench {
        attacher: Attacher::new(config, Box::new(kernel.clone())),
        kernel,
        snapshot: Snapshot {
            links: vec![ethernet(2, "eth0"), ethernet(3, "eth1"), ethernet(4, "eth2")],
            addresses: vec![("10.0.0.1".parse().unwrap(), 2), ("10.0.0.2".parse().unwrap(), 3)],
            egress: BTreeSet::new(),
            tells_features: true,
            takes_tags_off: BTreeSet::new(),
        },
    }
}

impl Bench {
    /// Shows the devices with what is attached to them.
    fn follow(&mut self) -> Vec<String> {
        let attached = self.kernel.attached();
        for link in &mut self.snapshot.links {
            let is_own = attached.iter().any(|(ifindex, _)| *ifindex == link.ifindex);
            if is_own || link.xdp_program == Some(OWN) {
                link.xdp_program = is_own.then_some(OWN);
            }
        }
        let errors = self.attacher.follow(&self.snapshot);
        errors.iter().map(ToString::to_string).collect()
    }

    fn link(&mut self, ifindex: u32) -> &mut Link {
        let mut links = self.snapshot.links.iter_mut();
        links.find(|link| link.ifindex == ifindex).unwrap()
    }

    fn seen(&self) -> Vec<String> {
        let attached = self.attacher.attached(&self.snapshot);
        let mut seen: Vec<String> = attached.addresses.iter().map(ToString::to_string).collect();
        seen.sort();
        seen
    }
}

use AttachedMode::{Generic, Native};

#[test]
fn devices_with_local_addresses_have_it() {
    let mut bench = bench(|_| {});
    bench.kernel.refuse(3);
    assert_eq!(bench.follow(), [""; 0]);
    assert_eq!(bench.kernel.attached(), [(2, Native), (3, Generic)]);
    assert!(bench.attacher.is_native() && !bench.attacher.is_incomplete());
    assert_eq!(bench.seen(), ["10.0.0.1", "10.0.0.2"]);
    let attempts = bench.kernel.attempts();
    assert!(!bench.attacher.may_become_native(&bench.snapshot));
    assert_eq!(bench.follow(), [""; 0]);
    assert_eq!(bench.kernel.attempts(), attempts);
    drop(bench.attacher);
    assert_eq!(bench.kernel.attached(), []);
}

#[test]
fn a_device_that_is_made_anew_has_it_again() {
    let mut bench = bench(|_| {});
    bench.follow();
    let (mut old, addresses) = (bench.snapshot.links.remove(0), bench.snapshot.addresses.clone());
    bench.snapshot.addresses.remove(0);
    bench.follow();
    assert_eq!(
        (bench.kernel.attached(), bench.seen()),
        (vec![(3, Native)], vec!["10.0.0.2".to_owned()])
    );
    (old.ifindex, old.xdp_program) = (9, None);
    bench.snapshot.links.push(old);
    bench.follow();
    assert_eq!(bench.kernel.attached(), [(3, Native)], "it has no address yet");
    bench.snapshot.addresses = vec![(addresses[0].0, 9), addresses[1]];
    assert!(bench.attacher.may_become_native(&bench.snapshot));
    bench.follow();
    assert_eq!(bench.kernel.attached(), [(3, Native), (9, Native)]);
    assert_eq!(bench.seen(), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn what_somebody_else_detached_is_attached_again() {
    let mut bench = bench(|_| {});
    bench.follow();
    bench.kernel.0.lock().unwrap().attached.remove(&2);
    bench.follow();
    assert_eq!(bench.kernel.attached(), [(2, Native), (3, Native)]);
}

#[test]
fn the_program_of_somebody_else_is_left_alone() {
    let mut bench = bench(|_| {});
    bench.link(2).xdp_program = Some(5);
    assert_eq!(
        bench.follow(),
        ["interface eth0: another XDP program is attached to it (id 5)"]
    );
    assert_eq!(bench.kernel.attached(), [(3, Native)], "the others have it");
    assert_eq!(bench.seen(), ["10.0.0.2"]);
    assert_eq!(bench.follow(), [""; 0], "said once");
    assert!(bench.attacher.is_incomplete());
    bench.link(2).xdp_program = None;
    assert_eq!(bench.follow(), [""; 0]);
    assert_eq!(bench.kernel.attached(), [(2, Native), (3, Native)]);
}

#[test]
fn a_refusal_is_not_tried_again_before_something_changes() {
    let mut bench = bench(|config| config.mode = XdpMode::Native);
    bench.kernel.refuse(2);
    assert_eq!(
        bench.follow(),
        ["interface eth0 does not take the XDP program (native): not this driver"]
    );
    let attempts = bench.kernel.attempts();
    assert!(!bench.attacher.may_become_native(&bench.snapshot));
    assert_eq!(bench.follow(), [""; 0]);
    assert_eq!(bench.kernel.attempts(), attempts);
    bench.link(2).mtu = 9000;
    assert_eq!(bench.follow().len(), 1);
    bench.attacher.forget_refusals();
    assert_eq!(bench.follow().len(), 1);
}

#[test]
fn a_strict_start_fails_where_another_one_waits() {
    for strict in [false, true] {
        let mut bench = bench(|config| config.strict = strict);
        bench.link(2).xdp_program = Some(5);
        assert_eq!(bench.attacher.begin(&bench.snapshot).is_err(), strict);
    }
    let begin = |addresses: Vec<(IpAddr, u32)>, strict| {
        let mut bench = bench(|config| config.strict = strict);
        bench.snapshot.links.push(Link {
            flags: libc::IFF_LOOPBACK.cast_unsigned(),
            ..ethernet(1, "lo")
        });
        bench.snapshot.addresses = addresses;
        bench
            .attacher
            .begin(&bench.snapshot)
            .map_err(|error| error.to_string())
    };
    let nowhere = |reason: &str| Err(format!("no interface for the XDP program: {reason}"));
    // They may come yet.
    assert_eq!(begin(Vec::new(), false), Ok(()));
    assert_eq!(begin(Vec::new(), true), nowhere("no local address is on any"));
    let on_loopback = ["10.0.0.1", "10.0.0.2"].map(|address| (address.parse().unwrap(), 1));
    assert_eq!(
        begin(on_loopback.to_vec(), false),
        nowhere("lo: a loopback device")
    );
}

#[test]
fn devices_have_modes_of_their_own() {
    let named = |interfaces: &[(&str, XdpMode)]| {
        let interfaces = interfaces.iter().map(|(name, mode)| ((*name).to_owned(), *mode));
        let mut bench = bench(|config| config.interfaces = interfaces.collect());
        assert_eq!(bench.follow(), [""; 0]);
        bench.kernel.attached()
    };
    assert_eq!(
        named(&[("eth1", XdpMode::Generic)]),
        [(3, Generic)],
        "and no other"
    );
    assert_eq!(named(&[("eth1", XdpMode::Off)]), [(2, Native)], "all others");
    // Without an address, too.
    assert_eq!(
        named(&[("eth0", XdpMode::Auto), ("eth2", XdpMode::Auto)]),
        [(2, Native), (4, Native)]
    );
}

/// Before Linux 6.3 the operator has to know.
#[test]
fn a_kernel_that_tells_no_features_attaches_natively_by_request_only() {
    let attached = |mode| {
        let mut bench = bench(|config| config.mode = mode);
        bench.snapshot.tells_features = false;
        assert_eq!(bench.follow(), [""; 0]);
        bench.kernel.attached()
    };
    assert_eq!(attached(XdpMode::Auto), [(2, Generic), (3, Generic)]);
    assert_eq!(attached(XdpMode::Native), [(2, Native), (3, Native)]);
}

#[test]
fn an_address_on_loopback_comes_by_the_named_devices() {
    let at_loopback = |interfaces: Vec<(String, XdpMode)>| {
        let mut bench = bench(|config| {
            config.interfaces = interfaces;
            config.locals.push(local("127.0.0.1"));
        });
        bench.snapshot.links.push(Link {
            flags: libc::IFF_LOOPBACK.cast_unsigned(),
            ..ethernet(1, "lo")
        });
        bench.snapshot.addresses = vec![
            ("10.0.0.1".parse().unwrap(), 1),
            ("127.0.0.1".parse().unwrap(), 1),
            ("10.0.0.2".parse().unwrap(), 3),
        ];
        bench.follow();
        bench.seen()
    };
    assert_eq!(at_loopback(Vec::new()), ["10.0.0.2"]);
    assert_eq!(
        at_loopback(vec![("eth2".to_owned(), XdpMode::Auto)]),
        ["10.0.0.1"]
    );
}

#[test]
fn a_device_that_packets_only_leave_by_has_it_natively_or_not_at_all() {
    let veth = |mut bench: Bench| {
        bench.link(4).kind = Some("veth".to_owned());
        bench
    };
    let mut bench = veth(bench(|_| {}));
    bench.follow();
    bench.snapshot.egress.insert(4);
    assert!(bench.attacher.may_become_native(&bench.snapshot));
    assert_eq!(bench.follow(), [""; 0]);
    assert_eq!(bench.kernel.attached(), [(2, Native), (3, Native), (4, Native)]);

    let mut other = veth(self::bench(|config| {
        config.interfaces.push(("eth2".to_owned(), XdpMode::Off));
    }));
    other.snapshot.egress.insert(4);
    other.follow();
    assert_eq!(other.kernel.attached().len(), 2, "left out by configuration");

    let mut refusing = veth(self::bench(|_| {}));
    refusing.kernel.refuse(4);
    refusing.snapshot.egress.insert(4);
    assert_eq!(refusing.follow().len(), 1);
    assert_eq!(refusing.kernel.attached().len(), 2);
}

#[test]
fn a_device_that_calls_already_leave_by_is_not_disturbed() {
    let mut bench = bench(|_| {});
    bench.follow();
    bench.snapshot.egress.insert(4);
    assert!(!bench.attacher.may_become_native(&bench.snapshot));
    let errors = bench.follow();
    assert!(
        errors.len() == 1 && errors[0].contains("eth2") && errors[0].contains("--xdp-interface"),
        "{errors:?}"
    );
    assert_eq!(bench.kernel.attached(), [(2, Native), (3, Native)]);
    assert_eq!(bench.follow(), [""; 0], "once is enough");

    // At the start no call goes by it.
    let all = ["eth0", "eth1", "eth2"].map(|name| (name.to_owned(), XdpMode::Native));
    let mut named = self::bench(|config| config.interfaces.extend(all));
    named.follow();
    assert_eq!(named.kernel.attached(), [(2, Native), (3, Native), (4, Native)]);
}

/// `eth0.100` on `eth0` has an address; `eth0` has none.
fn tagged(change: impl FnOnce(&mut KernelConfig)) -> Bench {
    let mut bench = bench(change);
    bench.snapshot.links.push(vlan(9, "eth0.100", 2, 100));
    bench.snapshot.addresses[0].1 = 9;
    bench
}

#[test]
fn tagged_frames_are_taken_by_the_driver_below() {
    let mut bench = tagged(|_| {});
    assert_eq!(bench.follow(), [""; 0]);
    assert_eq!(bench.kernel.attached(), [(2, Native), (3, Native)]);
    assert_eq!(bench.seen(), ["10.0.0.1", "10.0.0.2"]);
    assert!(!bench.attacher.may_become_native(&bench.snapshot));
}

#[test]
fn tagged_frames_are_taken_at_the_vlan_device_otherwise() {
    let mut refusing = tagged(|_| {});
    refusing.kernel.refuse(2);
    refusing.kernel.refuse(9);
    assert_eq!(refusing.follow(), [""; 0]);
    assert_eq!(refusing.kernel.attached(), [(3, Native), (9, Generic)]);
    let mut generic = tagged(|config| config.mode = XdpMode::Generic);
    assert_eq!(generic.follow(), [""; 0]);
    assert_eq!(generic.kernel.attached(), [(3, Generic), (9, Generic)]);
    assert_eq!(generic.seen(), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn tagged_frames_are_left_alone_below_a_device_in_generic_mode() {
    let mut bench = tagged(|config| {
        config.mode = XdpMode::Generic;
        config.locals.push(local("10.0.0.3"));
    });
    bench.snapshot.addresses.push(("10.0.0.3".parse().unwrap(), 2));
    assert_eq!(bench.follow().len(), 1);
    assert_eq!(bench.kernel.attached(), [(2, Generic), (3, Generic)]);
    assert_eq!(bench.seen(), ["10.0.0.2", "10.0.0.3"]);
}

impl Kernel {
    /// Where packets of local addresses are taken: address, device, tags.
    fn admitted(&self) -> Vec<(String, u32, [u16; 2])> {
        let state = self.0.lock().unwrap();
        let places = state.admitted.iter();
        places
            .map(|place| (place.address.to_string(), place.ifindex, place.vlans))
            .collect()
    }
}

fn place(address: &str, ifindex: u32, vlans: [u16; 2]) -> (String, u32, [u16; 2]) {
    (address.to_owned(), ifindex, vlans)
}

#[test]
fn packets_are_taken_where_their_address_is() {
    let mut bench = bench(|_| {});
    bench.follow();
    let (first, second) = (place("10.0.0.1", 2, [0; 2]), place("10.0.0.2", 3, [0; 2]));
    assert_eq!(bench.kernel.admitted(), [first, second.clone()]);
    let macs: Vec<[u8; 6]> = bench
        .kernel
        .0
        .lock()
        .unwrap()
        .admitted
        .iter()
        .map(|place| place.mac)
        .collect();
    assert_eq!(macs, [[2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 3]]);
    // Not where it was.
    bench.snapshot.addresses.remove(0);
    bench.follow();
    assert_eq!(bench.kernel.admitted(), [second]);
}

#[test]
fn packets_of_a_vlan_are_taken_with_its_tags() {
    let mut bench =
        bench(|config| config.locals = vec![local("10.0.0.1"), local("10.0.0.7"), local("10.0.0.8")]);
    bench.snapshot.links.push(vlan(7, "eth0.100", 2, 100));
    let mut inner = vlan(8, "eth0.100.5", 7, 5);
    inner.mac = Some([4, 0, 0, 0, 0, 8]);
    bench.snapshot.links.push(inner);
    bench.snapshot.addresses = vec![("10.0.0.7".parse().unwrap(), 7), ("10.0.0.8".parse().unwrap(), 8)];
    bench.follow();
    assert_eq!(bench.kernel.attached(), [(2, Native)]);
    let (outer, both) = (place("10.0.0.7", 2, [100, 0]), place("10.0.0.8", 2, [100, 5]));
    assert_eq!(bench.kernel.admitted(), [outer.clone(), both.clone()]);
    assert_eq!(bench.kernel.0.lock().unwrap().admitted[1].mac, [4, 0, 0, 0, 0, 8]);
    // A driver that takes the outer tag off.
    bench.snapshot.takes_tags_off.insert(2);
    bench.follow();
    let without = [place("10.0.0.7", 2, [0, 0]), place("10.0.0.8", 2, [5, 0])];
    let [first, second] = without;
    assert_eq!(bench.kernel.admitted(), [outer, first, both, second]);
}

#[test]
fn packets_of_a_vlan_device_that_has_it_itself_come_without_a_tag() {
    let mut bench = bench(|config| {
        config.locals = vec![local("10.0.0.7")];
        config.mode = XdpMode::Generic;
    });
    bench.snapshot.links.push(vlan(7, "eth0.100", 2, 100));
    bench.snapshot.addresses = vec![("10.0.0.7".parse().unwrap(), 7)];
    bench.follow();
    assert_eq!(bench.kernel.attached(), [(7, Generic)]);
    assert_eq!(bench.kernel.admitted(), [place("10.0.0.7", 7, [0; 2])]);
}

#[test]
fn packets_of_the_whole_host_are_taken_where_the_operator_says() {
    let mut bench = bench(|config| {
        config.locals = vec![local("10.0.0.9")];
        config.interfaces = ["eth0", "eth1"]
            .map(|name| (name.to_owned(), XdpMode::Auto))
            .to_vec();
    });
    bench.snapshot.links.push(Link {
        kind: Some("dummy".to_owned()),
        ..ethernet(9, "dummy0")
    });
    bench.snapshot.addresses = vec![("10.0.0.9".parse().unwrap(), 9)];
    bench.follow();
    let places = [place("10.0.0.9", 2, [0; 2]), place("10.0.0.9", 3, [0; 2])];
    assert_eq!(bench.kernel.admitted(), places);
}

#[test]
fn packets_of_a_bond_come_by_its_members() {
    let mut bench = bench(|config| config.locals = vec![local("10.0.0.1")]);
    bench.link(2).kind = Some("bond".to_owned());
    bench.link(4).master = Some(2);
    bench.follow();
    let places = [place("10.0.0.1", 2, [0; 2]), place("10.0.0.1", 4, [0; 2])];
    assert_eq!(bench.kernel.admitted(), places);
}
