//! Calls that end by themselves, and those that do not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use relay_common::slot::Counters;

use crate::call::command::{Command, CommandError};
use crate::report::Termination;

use super::world::{ANSWER, OFFER, World, answer, delete, offer};

fn ended(world: &mut World, seconds: u64) -> Option<Termination> {
    let ended = world.pass(seconds);
    let reason = ended.first()?.ended;
    assert_eq!(ended.len(), 1);
    assert_eq!((world.calls.session_count(), world.host.in_use()), (0, 0));
    reason
}

#[test]
fn an_answered_call_without_media() {
    let mut world = World::new();
    world.connect();
    assert_eq!(ended(&mut world, 59), None);
    assert_eq!(ended(&mut world, 1), Some(Termination::Timeout));
    assert_eq!(world.actions, "end 0\n");
}

#[test]
fn media_in_userspace_keeps_a_call_alive() {
    let mut world = World::new();
    world.connect();
    for _ in 0..10 {
        assert_eq!(ended(&mut world, 50), None);
        let now = world.now.0;
        world.stream(2).status.last_packet.store(now, Ordering::Relaxed);
    }
    assert_eq!(ended(&mut world, 59), None);
    assert_eq!(ended(&mut world, 1), Some(Termination::Timeout));
}

#[test]
fn media_that_only_the_kernel_sees_keeps_a_call_alive() {
    let mut world = World::new();
    world.connect();
    let port = world.stream(0).ports[0].id;
    for _ in 0..10 {
        assert_eq!(ended(&mut world, 59), None);
        let counters = Counters {
            last_seen: world.now.0,
            ..Counters::default()
        };
        world.host.kernel.insert(port, counters);
    }
    assert_eq!(ended(&mut world, 60), Some(Termination::Timeout));
}

#[test]
fn a_message_starts_the_clock_anew() {
    let mut world = World::new();
    world.connect();
    assert_eq!(ended(&mut world, 50), None);
    world.sdp(offer("b", Some("a"), ANSWER));
    assert_eq!(ended(&mut world, 59), None);
    assert_eq!(ended(&mut world, 1), Some(Termination::Timeout));
}

#[test]
fn a_held_call_is_given_more_time() {
    let mut world = World::new();
    world.connect();
    world.sdp(offer("a", Some("b"), &OFFER.replace("sendrecv", "sendonly")));
    world.sdp(answer("a", "b", &ANSWER.replace("sendrecv", "recvonly")));
    assert_eq!(ended(&mut world, 3599), None);
    assert_eq!(ended(&mut world, 1), Some(Termination::Timeout));
}

#[test]
fn a_call_in_which_nobody_sends() {
    let mut world = World::new();
    world.sdp(offer("a", None, &OFFER.replace("sendrecv", "inactive")));
    world.sdp(answer("a", "b", &ANSWER.replace("sendrecv", "inactive")));
    assert_eq!(ended(&mut world, 3599), None);
    assert_eq!(ended(&mut world, 1), Some(Termination::SilentTimeout));
}

#[test]
fn an_offer_that_nobody_answers() {
    let mut world = World::new();
    world.sdp(offer("a", None, OFFER));
    assert_eq!(ended(&mut world, 599), None);
    assert_eq!(ended(&mut world, 1), Some(Termination::OfferTimeout));
}

#[test]
fn an_empty_call() {
    let mut world = World::new();
    assert!(matches!(
        world.handle(offer("a", None, "nonsense")),
        Err(CommandError::BadSdp(_))
    ));
    assert_eq!(ended(&mut world, 60), Some(Termination::Timeout));
    assert_eq!(world.actions, "", "no worker ever heard of it");
}

#[test]
fn the_longest_life_of_a_call() {
    let mut world = World::with(|settings| settings.final_timeout = Some(Duration::from_secs(100)));
    world.connect();
    assert_eq!(ended(&mut world, 50), None);
    world.sdp(offer("a", Some("b"), OFFER));
    assert_eq!(ended(&mut world, 49), None);
    assert_eq!(ended(&mut world, 1), Some(Termination::FinalTimeout));
}

#[test]
fn a_delayed_deletion() {
    let mut world = World::new();
    world.connect();
    world.handle(delete(Some("b"), None)).unwrap();
    assert_eq!(ended(&mut world, 29), None);
    assert_eq!(world.query().deleted_in, Some(Duration::from_secs(1)));
    assert_eq!(ended(&mut world, 1), Some(Termination::Regular));
}

#[test]
fn a_revived_call() {
    let mut world = World::new();
    world.connect();
    world.handle(delete(None, Some(5))).unwrap();
    assert_eq!(ended(&mut world, 4), None);
    world.sdp(offer("a", Some("b"), OFFER));
    assert_eq!(ended(&mut world, 50), None);
    assert_eq!(world.query().deleted_in, None);
}

#[test]
fn the_daemon_ends() {
    let mut world = World::new();
    world.connect();
    world.calls.end_all(world.now, &mut world.host);
    assert_eq!(
        world.calls.poll_ended(&world.host).unwrap().ended,
        Some(Termination::Forced)
    );
    assert_eq!(world.calls.session_count(), 0);
}

#[test]
fn an_idle_engine_does_not_wake_up_often() {
    let mut world = World::new();
    world.connect();
    let mut looks = 0;
    while let Some(at) = world.calls.poll_timeout().filter(|at| at.0 < 3_600_000_000_000) {
        world.now = at;
        world
            .stream(0)
            .status
            .last_packet
            .store(at.0 - 1, Ordering::Relaxed);
        world.calls.handle_timeout(at, &mut world.host);
        assert!(world.calls.poll_ended(&world.host).is_none());
        looks += 1;
    }
    assert!(looks <= 61, "{looks} looks at one call within an hour");
}

#[test]
fn only_the_call_that_is_meant() {
    let mut world = World::new();
    let Ok(crate::call::command::Reply::Warning(text)) = world.handle(delete(Some("a"), Some(0))) else {
        panic!("a warning");
    };
    assert_eq!(text, "Call-ID not found or tags didn't match");
    assert!(matches!(
        world.handle(Command::Show("call".into())),
        Err(CommandError::UnknownCall)
    ));
}
