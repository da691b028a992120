//! What comes back, and what the media is asked for, step by step.

use crate::call::command::{Command, CommandError, IceMode, Limit, PortLatching, Replace, TosRule};
use crate::plan::KernelUse;

use super::world::{ANSWER, OFFER, World, answer, delete, offer, signal, step};

fn two_sections(sdp: &str, video: &str) -> String {
    format!("{sdp}m=video {video} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n")
}

#[test]
fn offer_answer_delete() {
    let mut world = World::new();
    insta::assert_snapshot!("offer", step(&mut world, offer("a", None, OFFER)));
    world.pass(2);
    insta::assert_snapshot!("answer", step(&mut world, answer("a", "b", ANSWER)));
    world.pass(10);
    insta::assert_snapshot!("delete", step(&mut world, delete(Some("a"), Some(0))));
    assert_eq!((world.calls.session_count(), world.host.in_use()), (0, 0));
}

#[test]
fn hold_and_resume() {
    let mut world = World::new();
    world.connect();
    let hold = OFFER.replace("sendrecv", "sendonly");
    insta::assert_snapshot!("hold_offer", step(&mut world, offer("a", Some("b"), &hold)));
    let held = ANSWER.replace("sendrecv", "recvonly");
    insta::assert_snapshot!("hold_answer", step(&mut world, answer("a", "b", &held)));
    let zero = OFFER.replace("c=IN IP4 198.51.100.31", "c=IN IP4 0.0.0.0");
    insta::assert_snapshot!(
        "hold_by_zero_address",
        step(&mut world, offer("a", Some("b"), &zero))
    );
    insta::assert_snapshot!("resumed", step(&mut world, offer("a", Some("b"), OFFER)));
}

#[test]
fn a_moved_caller_is_announced_at_another_port() {
    let mut world = World::new();
    world.connect();
    let moved = OFFER.replace("audio 4000", "audio 4010");
    insta::assert_snapshot!("moved", step(&mut world, offer("a", Some("b"), &moved)));
    insta::assert_snapshot!("moved_back", step(&mut world, offer("a", Some("b"), OFFER)));
}

#[test]
fn video_is_added_and_rejected() {
    let mut world = World::new();
    world.connect();
    let with_video = two_sections(OFFER, "4002");
    insta::assert_snapshot!(
        "video_offered",
        step(&mut world, offer("a", Some("b"), &with_video))
    );
    let without = two_sections(ANSWER, "0");
    insta::assert_snapshot!("video_rejected", step(&mut world, answer("a", "b", &without)));
}

#[test]
fn a_re_invite_from_the_callee_after_a_late_offer() {
    let mut world = World::new();
    insta::assert_snapshot!("late_offer", step(&mut world, offer("b", Some("a"), ANSWER)));
    insta::assert_snapshot!("late_answer", step(&mut world, answer("b", "a", OFFER)));
    insta::assert_snapshot!("after_late_offer", step(&mut world, offer("a", Some("b"), OFFER)));
}

#[test]
fn rtcp_finds_its_way_where_one_side_muxes() {
    let mut world = World::new();
    let muxed = format!("{OFFER}a=rtcp-mux\r\n");
    let mut demux = signal("a", None, &muxed);
    demux.options.rtcp_mux.demux = true;
    step(&mut world, Command::Offer(Box::new(demux)));
    insta::assert_snapshot!("demuxed", step(&mut world, answer("a", "b", ANSWER)));
}

#[test]
fn fax_is_relayed_as_datagrams() {
    let mut world = World::new();
    let fax = OFFER.replace("m=audio 4000 RTP/AVP 8 0 101", "m=image 4000 udptl t38");
    insta::assert_snapshot!("fax", step(&mut world, offer("a", None, &fax)));
}

#[test]
fn the_kernel_is_switched_off_by_hand() {
    let mut world = World::new();
    world.connect();
    world
        .handle(Command::Kernel("call".into(), KernelUse::SwitchedOff))
        .unwrap();
    assert_eq!(world.plan().kernel, KernelUse::SwitchedOff);
    assert_eq!(
        world
            .handle(Command::Kernel("other".into(), KernelUse::Allowed))
            .unwrap_err(),
        CommandError::UnknownCall
    );
}

#[test]
fn a_refused_offer_changes_nothing() {
    let mut world = World::new();
    world.connect();
    let before = format!("{:?}", world.plan());
    world.host.limit = world.host.in_use() + 1;
    let moved = two_sections(&OFFER.replace("audio 4000", "audio 4010"), "4002");
    assert_eq!(
        step(&mut world, offer("a", Some("b"), &moved)),
        "Ran out of ports\n"
    );
    assert_eq!(format!("{:?}", world.plan()), before);
    // The ports that the offer got before it ran out are free again.
    world.host.limit = usize::MAX;
    assert!(step(&mut world, offer("a", Some("b"), &moved)).contains("m=video 3"));
}

/// There is no SDP to tell the other party of it, but neither gets media any more.
#[test]
fn an_offer_that_rejects_everything_is_heard() {
    let mut world = World::new();
    world.connect();
    let rejected = OFFER.replace("audio 4000", "audio 0");
    let reply = step(&mut world, offer("a", Some("b"), &rejected));
    assert!(reply.starts_with("Error rewriting SDP\n"), "{reply}");
    assert!(world.plan().streams.iter().all(|stream| stream.sinks.is_empty()));
    assert!(step(&mut world, offer("a", Some("b"), OFFER)).contains("m=audio 30002"));
}

#[test]
fn running_out_of_ports_leaves_no_new_call() {
    let mut world = World::new();
    world.host.limit = 3;
    assert_eq!(step(&mut world, offer("a", None, OFFER)), "Ran out of ports\n");
    assert_eq!((world.calls.session_count(), world.host.in_use()), (0, 0));
}

#[test]
fn a_broken_offer_leaves_an_empty_call() {
    let mut world = World::new();
    assert_eq!(
        step(&mut world, offer("a", None, "nonsense")),
        "Failed to parse SDP\n"
    );
    assert_eq!(world.calls.session_count(), 1);
    assert!(world.query().parties.is_empty());
}

#[test]
fn a_limit_of_sessions_spares_known_calls() {
    let mut world = World::with(|settings| settings.max_sessions = Some(1));
    world.connect();
    let mut second = signal("a", None, OFFER);
    second.call_id = "second".into();
    let refused = world.handle(Command::Offer(Box::new(second))).unwrap_err();
    assert_eq!(refused, CommandError::Limit(Limit::Sessions));
    world.sdp(offer("a", Some("b"), OFFER));
}

#[test]
fn while_the_machine_is_busy_calls_go_on_but_none_begins() {
    let mut world = World::new();
    world.connect();
    world.calls.set_overload(Some(Limit::Cpu));
    let mut second = signal("a", None, OFFER);
    second.call_id = "second".into();
    let second = Command::Offer(Box::new(second));
    let refused = world.handle(second.clone()).unwrap_err();
    assert_eq!(refused, CommandError::Limit(Limit::Cpu));
    assert_eq!(refused.to_string(), "Parallel session limit reached");
    world.sdp(offer("a", Some("b"), OFFER));
    world.calls.set_overload(None);
    assert!(world.handle(second).is_ok());
}

#[test]
fn options_reach_the_plan() {
    let mut world = World::new();
    let mut first = signal("a", None, OFFER);
    first.options.tos = TosRule::Set(0);
    first.options.asymmetric = true;
    first.options.other_source = crate::plan::SourcePolicy::Drop;
    first.options.learning = Some(crate::plan::Learning::Off);
    first.options.port_latching = PortLatching::Always;
    first.options.replace = Replace {
        origin: true,
        ..Replace::default()
    };
    first.options.address_family = Some(crate::call::AddressFamily::Ip6);
    insta::assert_snapshot!("options", step(&mut world, Command::Offer(Box::new(first))));
}

#[test]
fn a_zero_address_is_no_hold_where_candidates_come_later() {
    let held = OFFER.replace("c=IN IP4 198.51.100.31", "c=IN IP4 0.0.0.0");
    let ours = "c=IN IP4 203.0.113.1\r\n";
    for (attributes, address, direction) in [
        ("", "c=IN IP4 0.0.0.0\r\n", "a=sendonly\r\n"),
        ("a=ice-ufrag:abcd\r\n", ours, "a=sendonly\r\n"),
        (
            "a=ice-ufrag:abcd\r\na=ice-options:trickle\r\n",
            ours,
            "a=sendrecv\r\n",
        ),
    ] {
        let mut world = World::new();
        let sdp = world.sdp(offer("a", None, &format!("{held}{attributes}")));
        assert!(sdp.contains(address) && sdp.contains(direction), "{attributes}");
    }
    // A placeholder is none without ICE here, too.
    let mut world = World::new();
    let blank = held.replace("m=audio 4000 ", "m=audio 9 ");
    let mut first = signal("a", None, &format!("{blank}a=ice-ufrag:abcd\r\n"));
    first.options.ice.mode = IceMode::Remove;
    let sdp = world.sdp(Command::Offer(Box::new(first)));
    assert!(sdp.contains(ours) && sdp.contains("a=sendrecv\r\n"));
    assert_eq!(world.stream(2).sinks.len(), 1);
}

#[test]
fn whoever_waits_for_nat_must_speak_first() {
    let mut world = World::new();
    let mut first = signal("a", None, OFFER);
    first.options.nat_wait = true;
    world.sdp(Command::Offer(Box::new(first)));
    world.sdp(answer("a", "b", ANSWER));
    let waits: Vec<bool> = world.plan().streams.iter().map(|stream| stream.waits).collect();
    assert_eq!(waits, [true, true, false, false]);
}

#[test]
fn flags_on_nat_and_keys_concern_who_sent_them() {
    let mut world = World::new();
    let mut first = signal("a", None, OFFER);
    first.options.pierce_nat = true;
    first.options.recrypt = true;
    world.sdp(Command::Offer(Box::new(first)));
    world.sdp(answer("a", "b", ANSWER));
    let streams = world.plan().streams.iter();
    let flags: Vec<_> = streams.map(|stream| (stream.pierces, stream.recrypts)).collect();
    assert_eq!(
        flags,
        [(true, true), (true, true), (false, false), (false, false)]
    );
}
