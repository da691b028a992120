//! Where RTCP goes.

use super::world::{ANSWER, OFFER, World, answer, offer};

/// The streams that get the RTCP that arrives at a stream.
fn rtcp_sinks(world: &World, stream: usize) -> Vec<u32> {
    world.stream(stream).rtcp_sinks.iter().map(|id| id.0).collect()
}

#[test]
fn muxed_on_both_sides() {
    let mut world = World::new();
    world.sdp(offer("a", None, &format!("{OFFER}a=rtcp-mux\r\n")));
    world.sdp(answer("a", "b", &format!("{ANSWER}a=rtcp-mux\r\n")));
    // Whichever port RTCP arrives at, it goes to the other party's RTP port.
    assert_eq!(rtcp_sinks(&world, 0), [2]);
    assert_eq!(rtcp_sinks(&world, 1), [2]);
    assert_eq!(rtcp_sinks(&world, 2), [0]);
}

#[test]
fn muxed_on_no_side() {
    let mut world = World::new();
    world.connect();
    // Muxed all the same, or not: it goes to the other party's RTCP port.
    assert_eq!(rtcp_sinks(&world, 0), [3]);
    assert_eq!(rtcp_sinks(&world, 1), [3]);
    assert_eq!(rtcp_sinks(&world, 2), [1]);
}

#[test]
fn a_re_invite_in_work_does_not_change_where_rtcp_goes() {
    let mut world = World::new();
    let muxed = format!("{OFFER}a=rtcp-mux\r\n");
    world.sdp(offer("a", None, &muxed));
    world.sdp(answer("a", "b", &format!("{ANSWER}a=rtcp-mux\r\n")));
    world.sdp(offer("a", Some("b"), &muxed));
    assert_eq!(rtcp_sinks(&world, 0), [2]);
    assert_eq!(rtcp_sinks(&world, 2), [0]);
}
