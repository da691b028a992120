//! Groups of interfaces, whose members calls use in turn.

use super::world::{ANSWER, OFFER, World, answer, delete, offer};
use crate::call::Command;
use crate::config::{Alias, Group, Interface, Interfaces};
use crate::host::AddressId;

/// `pub` stands for `pub:a` (IPv4 alone) and `pub:b` (IPv6 alone), `out` for `pub`.
fn world() -> World {
    World::with(|settings| {
        let addresses = settings.interfaces.interfaces[0].addresses.clone();
        let interface = |name: &str, index: usize| Interface {
            name: name.to_owned(),
            addresses: vec![addresses[index]],
        };
        settings.interfaces = Interfaces {
            addresses: settings.interfaces.addresses.clone(),
            interfaces: vec![
                interface("pub", 0),
                interface("pub:a", 0),
                interface("pub:b", 1),
                interface("out", 0),
            ],
            groups: vec![Group {
                interface: 0,
                members: vec![1, 2],
            }],
            aliases: vec![Alias { interface: 3, of: 0 }],
        };
    })
}

/// The family in the SDP that goes to the answerer of a new call.
fn family(world: &mut World, number: u32, to: Option<&str>) -> &'static str {
    let mut command = offer("a", None, OFFER);
    if let Command::Offer(signal) = &mut command {
        signal.call_id = format!("call-{number}").as_str().into();
        signal.options.interfaces.to = to.map(str::to_owned);
    }
    match world.sdp(command).contains("c=IN IP6 ") {
        true => "b",
        false => "a",
    }
}

#[test]
fn calls_take_turns() {
    let mut world = world();
    let members: Vec<_> = (0..5).map(|number| family(&mut world, number, None)).collect();
    assert_eq!(members, ["a", "b", "a", "b", "a"]);
    assert_eq!(family(&mut world, 5, Some("pub")), "b");
    assert_eq!(family(&mut world, 6, Some("out")), "a");
    assert_eq!(
        family(&mut world, 7, Some("pub:a")),
        "a",
        "by its own name, whoever is next"
    );
    // Only the side of the offerer was the group's: that was a turn as well.
    assert_eq!(family(&mut world, 8, Some("pub")), "a");
    assert_eq!(family(&mut world, 9, Some("pub:round-robin-calls")), "b");
}

#[test]
fn only_calls_that_use_the_group_take_turns() {
    let mut world = world();
    for number in 0..4 {
        let mut command = offer("a", None, OFFER);
        if let Command::Offer(signal) = &mut command {
            signal.call_id = format!("other-{number}").as_str().into();
            signal.options.interfaces.from = Some("pub:b".to_owned());
            signal.options.interfaces.to = Some("pub:a".to_owned());
        }
        world.sdp(command);
        let expected = if number % 2 == 0 { "a" } else { "b" };
        assert_eq!(family(&mut world, number, None), expected);
    }
}

#[test]
fn a_call_keeps_its_member() {
    let mut world = world();
    family(&mut world, 0, None);
    world.connect();
    for _ in 0..3 {
        let sdp = world.sdp(offer("a", Some("b"), OFFER));
        assert!(sdp.contains("c=IN IP6 "), "{sdp}");
        let sdp = world.sdp(answer("a", "b", ANSWER));
        assert!(sdp.contains("c=IN IP6 "), "{sdp}");
    }
    world.handle(delete(None, Some(0))).unwrap();
    world.connect();
    assert!(world.sdp(offer("a", Some("b"), OFFER)).contains("c=IN IP4 "));
}

#[test]
fn a_member_without_ports_is_passed_over() {
    let mut world = world();
    world.host.exhausted.insert(AddressId(1));
    for number in 0..3 {
        assert_eq!(family(&mut world, number, None), "a");
    }
    world.host.exhausted.clear();
    assert_eq!(family(&mut world, 3, None), "b");
}
