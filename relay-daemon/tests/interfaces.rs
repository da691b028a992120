//! Interfaces with ports of their own, and groups of them, as a proxy and an operator see them.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod common;

use common::{Daemon, media_port, phone};

const CONFIGURATION: &str = "[rtpengine]
interfaces-config = if
port-min = 40000
port-max = 40099

[if-first]
name = pub:first
address = IP
advertised = 203.0.113.1
port-min = 30000
port-max = 30009
exclude-ports = 30000-30005; 30007

[if-second]
name = pub:second
address = 127.0.0.1

[if-alias]
name = external
alias = pub
";

#[test]
fn members_take_turns_until_one_has_no_ports_left() {
    let mut daemon = Daemon::configured(CONFIGURATION);
    let (_phone, offer) = phone(&daemon.ip());
    let mut seen = Vec::new();
    for number in 0..4 {
        let call = format!("call-{number}");
        let fields = [
            ("call-id", &call[..]),
            ("from-tag", "a"),
            ("sdp", &offer),
            ("to-interface", "external"),
            ("from-interface", "pub:second"),
        ];
        let reply = daemon.ask("offer", &fields);
        let sdp = reply.find("sdp").unwrap().text().unwrap();
        let is_first = sdp.contains("c=IN IP4 203.0.113.1\r\n");
        assert_eq!(is_first, media_port(&reply) < 40000);
        seen.push((is_first, media_port(&reply)));
    }
    // The only pair of the first one is in use after the first call.
    assert_eq!(seen[0], (true, 30008));
    assert!(seen[1..].iter().all(|(is_first, _)| !is_first), "{seen:?}");

    let interfaces = daemon.cli("list interfaces");
    let first = format!(
        "Interface 'pub:first' address '{}' (IPv4)\n Port range: 30000 - 30009\n Ports used:     2 /     3 ",
        daemon.ip()
    );
    assert!(interfaces.starts_with(&first), "{interfaces}");
    let second = "Interface 'pub:second' address '127.0.0.1' (IPv4)\n Port range: 40000 - 40099\n";
    assert!(interfaces.contains(second), "{interfaces}");
    assert_eq!(interfaces.matches("Interface '").count(), 2);
}

#[test]
fn traffic_of_a_group_is_that_of_its_members() {
    let mut daemon = Daemon::configured(CONFIGURATION);
    let ip = daemon.ip();
    let ((alice, offer), (bob, answer)) = (phone(&ip), phone(&ip));
    let tags = [("call-id", "c"), ("from-tag", "a"), ("to-tag", "b")];
    daemon.ask(
        "offer",
        &[&tags[..2], &[("sdp", &offer), ("from-interface", "pub:second")]].concat(),
    );
    let reply = daemon.ask("answer", &[&tags[..], &[("sdp", &answer)]].concat());
    let packet = *b"\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\xbe\xefpayload";
    alice.send_to(&packet, ("127.0.0.1", media_port(&reply))).unwrap();
    bob.recv(&mut [0; 100]).unwrap();
    // Bob is served from the group's first member.
    let counts = |way: &str| format!("  {way:<10} {:>10} / {:>10} / {:>10}\n", 1, 19, 0);
    while !daemon.cli("list interfaces").contains(&counts("Egress:")) {}
    let interfaces = daemon.cli("list interfaces");
    let (first, second) = interfaces.split_once("pub:second").unwrap();
    assert!(first.contains(&counts("Egress:")) && second.contains(&counts("Ingress:")));
}
