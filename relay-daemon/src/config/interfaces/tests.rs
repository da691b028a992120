//! Interfaces as they are given, and what becomes of them.

use proptest::prelude::*;

use super::*;
use crate::sdp::AddressFamily;

fn system() -> SystemAddresses {
    let entries = [
        ("lo", "127.0.0.1"),
        ("lo", "::1"),
        ("eth0", "192.0.2.1"),
        ("eth0", "fe80::1"),
        ("eth0", "2001:db8::1"),
        ("eth1", "198.51.100.1"),
        ("tun0", "fe80::2"),
    ];
    let entries = entries
        .iter()
        .map(|(name, ip)| ((*name).to_owned(), ip.parse().unwrap()));
    SystemAddresses {
        entries: entries.collect(),
        resolves: true,
    }
}

fn all(specs: &[&str]) -> Result<Interfaces, ValueProblem> {
    let mut interfaces = Interfaces::default();
    for spec in specs {
        interfaces.add(spec, &system())?;
    }
    Ok(interfaces)
}

/// `name: local>advertised local>advertised`, for each interface.
fn shown(specs: &[&str]) -> Vec<String> {
    let interfaces = all(specs).unwrap();
    interfaces
        .interfaces
        .iter()
        .map(|interface| {
            let addresses: Vec<_> = interface
                .addresses
                .iter()
                .map(|address| {
                    let local = interfaces.addresses[usize::from(address.local.0)];
                    match local == address.advertised {
                        true => local.to_string(),
                        false => format!("{local}>{}", address.advertised),
                    }
                })
                .collect();
            format!("{}: {}", interface.name, addresses.join(" "))
        })
        .collect()
}

#[test]
fn addresses_of_both_families_with_and_without_name() {
    assert_eq!(shown(&["192.0.2.1"]), ["default: 192.0.2.1"]);
    assert_eq!(
        shown(&[
            "pub/192.0.2.1!203.0.113.9",
            "pub/[2001:db8::1]",
            "priv/2001:db8::1!2001:db8::2"
        ]),
        [
            "pub: 192.0.2.1>203.0.113.9 2001:db8::1",
            "priv: 2001:db8::1>2001:db8::2"
        ]
    );
}

#[test]
fn an_address_in_several_interfaces_is_one_address() {
    let interfaces = all(&["a/192.0.2.1", "b/192.0.2.1!203.0.113.9", "b/2001:db8::1"]).unwrap();
    assert_eq!(interfaces.addresses.len(), 2);
    assert_eq!(interfaces.interfaces[1].addresses[0].local, AddressId(0));
    assert_eq!(interfaces.interfaces[1].addresses[1].local, AddressId(1));
}

#[test]
fn system_interfaces_any_and_host_names() {
    assert_eq!(shown(&["eth0"]), ["default: 192.0.2.1 2001:db8::1"]);
    assert_eq!(
        shown(&["x/eth0!203.0.113.9"]),
        ["x: 192.0.2.1>203.0.113.9 2001:db8::1"]
    );
    assert_eq!(shown(&["any"]), ["default: 192.0.2.1 2001:db8::1 198.51.100.1"]);
    assert!(shown(&["localhost"])[0].contains('1'));
    assert_eq!(
        all(&["tun0"]).unwrap_err(),
        ValueProblem::NoAddress("tun0".to_owned())
    );
    let unknown = "no-such-host.invalid";
    assert_eq!(
        all(&[unknown]).unwrap_err(),
        ValueProblem::NoSuchHost(unknown.to_owned())
    );
}

#[test]
fn aliases() {
    assert_eq!(
        shown(&["pub/192.0.2.1", "external=pub"]),
        ["pub: 192.0.2.1", "external: 192.0.2.1"]
    );
    assert_eq!(
        all(&["external=pub", "pub/192.0.2.1"]).unwrap_err(),
        ValueProblem::NoSuchInterface("pub".to_owned())
    );
    assert_eq!(
        all(&["a/192.0.2.1", "b/192.0.2.1", "a=b"]).unwrap_err(),
        ValueProblem::NameTaken("a".to_owned())
    );
}

#[test]
fn names_with_a_colon_make_a_group() {
    let interfaces = all(&[
        "pub:a/192.0.2.1",
        "pub:b/198.51.100.1",
        "out=pub",
        "pub:b/2001:db8::1",
    ])
    .unwrap();
    let names: Vec<&str> = interfaces.interfaces.iter().map(|one| &one.name[..]).collect();
    assert_eq!(names, ["pub", "pub:a", "pub:b", "out"]);
    let local = |interfaces: &Interfaces, name: &str| -> Vec<u16> {
        let addresses = &interfaces.named(name).unwrap().addresses;
        addresses.iter().map(|address| address.local.0).collect()
    };
    assert_eq!(
        (local(&interfaces, "pub"), local(&interfaces, "out")),
        (vec![0], vec![0])
    );
    let meaning = |name: &str| interfaces.meaning(name).map(|meaning| meaning.members);
    assert_eq!(meaning("pub"), Some(vec![1, 2]));
    assert_eq!(meaning("out"), meaning("pub"));
    assert_eq!(meaning("pub:round-robin-calls"), meaning("pub"));
    assert_eq!(meaning("round-robin-calls"), Some(vec![1, 2]));
    assert_eq!(meaning("pub:b"), Some(vec![2]));
    assert_eq!(meaning("pub:c"), None);
    assert!(interfaces.has_family(2, AddressFamily::Ip6) && !interfaces.has_family(1, AddressFamily::Ip6));
    let real: Vec<usize> = interfaces.real().map(|(index, _)| index).collect();
    assert_eq!(real, [1, 2]);
}

#[test]
fn a_group_and_an_interface_cannot_share_a_name() {
    let taken = |name: &str| ValueProblem::NameTaken(name.to_owned());
    for specs in [
        ["pub/192.0.2.1", "pub:a/192.0.2.1"],
        ["pub:a/192.0.2.1", "pub/192.0.2.1"],
    ] {
        assert_eq!(all(&specs).unwrap_err(), taken("pub"));
    }
    assert_eq!(
        all(&["a/192.0.2.1", "b=a", "b/192.0.2.1"]).unwrap_err(),
        taken("b")
    );
}

#[test]
fn mistakes() {
    for spec in [
        "",
        "a/",
        "/192.0.2.1",
        "192.0.2.1!",
        "192.0.2.1!any",
        "0.0.0.0",
        "::",
        "ff02::1",
        "a=",
        "a b/::1",
        "a:/192.0.2.1",
        ":b/192.0.2.1",
    ] {
        assert_eq!(all(&[spec]).unwrap_err(), ValueProblem::NotAnInterface, "{spec}");
    }
    assert_eq!(
        all(&["192.0.2.1!2001:db8::9"]).unwrap_err(),
        ValueProblem::AdvertisedFamily("2001:db8::9".parse().unwrap())
    );
    assert_eq!(
        all(&["192.0.2.1", "192.0.2.1"]).unwrap_err(),
        ValueProblem::AddressTwice("default".to_owned())
    );
}

proptest! {
    #[test]
    fn never_panics(text in "[a-z0-9:.!/=\\[\\]]{0,30}") {
        let _ = Spec::parse(&text);
    }
}
