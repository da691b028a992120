//! Which interface serves a party, and whose turn it is in a group.

use crate::call::command::Command;
use crate::config::{Alias, Group, Interface, Interfaces};

use super::world::{ANSWER, OFFER, World, answer, delete, offer};

/// `pub` stands for `pub:a` and `pub:b`, which have one IPv4 address each; `out` for `pub`; `six` has IPv6 alone.
fn world() -> World {
    World::with(|settings| {
        let known = settings.interfaces.interfaces[0].addresses.clone();
        let interface = |name: &str, index: usize| Interface {
            name: name.to_owned(),
            addresses: vec![known[index]],
        };
        let mut interfaces = vec![
            interface("pub", 0),
            interface("pub:a", 0),
            interface("pub:b", 0),
            interface("six", 1),
            interface("out", 0),
            interface("sixth", 1),
        ];
        interfaces[2].addresses[0].advertised = "203.0.113.9".parse().unwrap();
        settings.interfaces = Interfaces {
            own_ports: Vec::new(),
            addresses: settings.interfaces.addresses.clone(),
            interfaces,
            groups: vec![Group {
                interface: 0,
                members: vec![1, 2],
            }],
            aliases: vec![Alias { interface: 4, of: 0 }, Alias { interface: 5, of: 3 }],
        };
    })
}

/// The member or family in `c=`.
fn at(sdp: &str) -> &'static str {
    match (sdp.contains("c=IN IP6 "), sdp.contains("c=IN IP4 203.0.113.9")) {
        (true, _) => "six",
        (false, true) => "b",
        (false, false) => "a",
    }
}

/// Where the answerer and the offerer of a new call are served.
fn call(world: &mut World, number: u32, names: [Option<&str>; 2]) -> [&'static str; 2] {
    let [mut offer, mut answer] = [offer("a", None, OFFER), answer("a", "b", ANSWER)];
    if let (Command::Offer(offer), Command::Answer(answer)) = (&mut offer, &mut answer) {
        offer.call_id = format!("call-{number}").as_str().into();
        answer.call_id = offer.call_id.clone();
        let [from, to] = names.map(|name| name.map(str::to_owned));
        (offer.options.interfaces.from, offer.options.interfaces.to) = (from, to);
    }
    let offered = world.sdp(offer);
    [at(&offered), at(&world.sdp(answer))]
}

#[test]
fn parties_take_turns() {
    let mut world = world();
    let mut number = 0;
    let mut next = |world: &mut World, from, to| {
        number += 1;
        call(world, number, [from, to])
    };
    assert_eq!(next(&mut world, None, None), ["a", "b"]);
    assert_eq!(next(&mut world, Some("pub:b"), Some("pub")), ["a", "b"]);
    assert_eq!(next(&mut world, Some("pub:b"), Some("out")), ["b", "b"]);
    assert_eq!(
        next(&mut world, Some("pub:b"), Some("pub:a")),
        ["a", "b"],
        "by name"
    );
    assert_eq!(
        next(&mut world, Some("pub:round-robin-calls"), Some("pub:a")),
        ["a", "a"]
    );
    assert_eq!(next(&mut world, Some("nowhere"), Some("elsewhere")), ["b", "a"]);
    let everywhere = Some("round-robin-calls");
    assert_eq!(next(&mut world, Some("pub:a"), everywhere), ["a", "a"]);
    assert_eq!(next(&mut world, Some("pub:a"), everywhere), ["b", "a"]);
}

#[test]
fn a_party_keeps_its_member() {
    let mut world = world();
    world.connect();
    for name in [None, Some("pub"), Some("out"), Some("pub:a")] {
        let mut again = offer("a", Some("b"), OFFER);
        if let Command::Offer(signal) = &mut again {
            signal.options.interfaces.to = name.map(str::to_owned);
        }
        assert_eq!(at(&world.sdp(again)), "a", "{name:?}");
        assert_eq!(at(&world.sdp(answer("a", "b", ANSWER))), "b");
    }
    world.handle(delete(None, Some(0))).unwrap();
    world.sdp(offer("a", None, OFFER));
    assert_eq!(at(&world.sdp(answer("a", "b", ANSWER))), "b");
}

#[test]
fn sections_that_come_later_are_served_from_the_same_interface() {
    let mut world = world();
    assert_eq!(call(&mut world, 0, [Some("pub:a"), Some("pub:b")]), ["b", "a"]);
    let more = format!("{OFFER}m=video 4002 RTP/AVP 96\r\n");
    let mut again = offer("a", Some("b"), &more);
    if let Command::Offer(signal) = &mut again {
        signal.call_id = "call-0".into();
    }
    assert_eq!(world.sdp(again).matches("c=IN IP4 203.0.113.9").count(), 2);
}

#[test]
fn where_a_family_is_missing() {
    let mut world = world();
    assert_eq!(
        call(&mut world, 0, [Some("six"), Some("six")]),
        ["six", "a"],
        "who speaks has to be reached, who does not is not known yet"
    );
    // The answerer of that call has spoken since, and taken a turn.
    assert_eq!(
        call(&mut world, 1, [Some("pub:b"), Some("sixth")]),
        ["a", "b"],
        "an alias"
    );
}

#[test]
fn names_that_stand_for_a_family() {
    for (names, expected) in [
        ([None, Some("external")], ["six", "a"]),
        ([Some("external"), Some("internal")], ["a", "six"]),
        ([Some("internal"), Some("elsewhere")], ["a", "a"]),
    ] {
        let mut world = World::new();
        assert_eq!(call(&mut world, 0, names), expected, "{names:?}");
    }
    // Where there is an interface of that name, it is that one.
    let mut world = World::with(|settings| settings.interfaces.interfaces[0].name = "external".to_owned());
    assert_eq!(call(&mut world, 0, [None, Some("external")]), ["a", "a"]);
}

#[test]
fn a_rejected_section_has_the_family_of_the_receiver() {
    let mut world = World::new();
    let mut first = offer("a", None, &format!("{OFFER}m=video 0 RTP/AVP 96\r\n"));
    if let Command::Offer(signal) = &mut first {
        signal.options.address_family = Some(crate::call::AddressFamily::Ip6);
    }
    assert!(
        world
            .sdp(first)
            .contains("m=video 0 RTP/AVP 96\r\nc=IN IP6 ::\r\n")
    );
    let answered = format!("{ANSWER}m=video 0 RTP/AVP 96\r\n");
    let sdp = world.sdp(answer("a", "b", &answered));
    assert!(sdp.contains("m=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\n"));
}
