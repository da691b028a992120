//! Music on hold: what is said of it.

use crate::call::command::{Command, CommandError, Music, MusicSource, Reply};

use super::world::{ANSWER, OFFER, World, answer, signal};

const MUSIC: Music = Music {
    source: MusicSource::Blob,
    is_there: true,
};

fn world(prevent_double_hold: bool) -> World {
    let mut world = World::with(|settings| {
        settings.music.attribute = Some("relay-music".into());
        settings.music.prevent_double_hold = prevent_double_hold;
    });
    world.connect();
    world
}

/// An offer within the call, in which the sender may hold.
fn offer_again(
    world: &mut World,
    from: &str,
    to: &str,
    sdp: &str,
    music: Option<Music>,
) -> Result<Reply, CommandError> {
    let mut offer = signal(from, Some(to), sdp);
    offer.options.music = music;
    world.handle(Command::Offer(Box::new(offer)))
}

fn sdp(reply: Result<Reply, CommandError>) -> String {
    let reply = reply.unwrap();
    let Reply::Sdp(sdp) = reply else {
        panic!("{reply:?}")
    };
    sdp
}

fn holding(sdp: &str) -> String {
    format!("{sdp}a=sendonly\r\n")
}

const MARK: &str = "\r\na=relay-music\r\n";

#[test]
fn who_is_held_with_music_is_told_so_until_the_hold_ends() {
    let mut world = world(false);
    let told = sdp(offer_again(&mut world, "a", "b", OFFER, Some(MUSIC)));
    assert!(!told.contains(MARK), "nobody holds: {told}");
    let told = sdp(offer_again(&mut world, "a", "b", &holding(OFFER), None));
    let (session, _) = told.split_once("\r\nm=").unwrap();
    assert!(format!("{session}\r\n").contains(MARK), "{told}");
    let answered = world.sdp(answer("a", "b", &format!("{ANSWER}a=recvonly\r\n")));
    assert!(!answered.contains(MARK));
    let told = sdp(offer_again(&mut world, "a", "b", OFFER, None));
    assert!(!told.contains(MARK));
    let told = sdp(offer_again(&mut world, "b", "a", &holding(ANSWER), None));
    assert!(!told.contains(MARK), "who asked for none plays none");
}

#[test]
fn nothing_is_said_unless_it_is_configured() {
    let mut world = World::new();
    world.connect();
    let told = sdp(offer_again(&mut world, "a", "b", &holding(OFFER), Some(MUSIC)));
    assert!(!told.contains("music"), "{told}");
}

#[test]
fn a_mark_of_somebody_else_passes_once() {
    let mut world = world(false);
    let marked = holding(OFFER).replace("t=0 0\r\n", "t=0 0\r\na=relay-music\r\n");
    let told = sdp(offer_again(&mut world, "a", "b", &marked, Some(MUSIC)));
    assert_eq!(told.matches(MARK).count(), 1, "{told}");
}

#[test]
fn two_who_hold_each_other_do_not_play_to_each_other() {
    let marked = holding(ANSWER).replace("t=0 0\r\n", "t=0 0\r\na=relay-music\r\n");
    for prevent in [false, true] {
        let mut world = world(prevent);
        sdp(offer_again(&mut world, "b", "a", &marked, None));
        let told = sdp(offer_again(&mut world, "a", "b", &holding(OFFER), Some(MUSIC)));
        assert_eq!(told.contains(MARK), !prevent);
        // The other one holds no longer.
        sdp(offer_again(&mut world, "b", "a", ANSWER, None));
        let told = sdp(offer_again(&mut world, "a", "b", &holding(OFFER), None));
        assert!(told.contains(MARK));
    }
}

#[test]
fn without_the_music_there_is_no_hold() {
    let mut world = world(false);
    let missing = Music {
        source: MusicSource::File,
        is_there: false,
    };
    let refused = offer_again(&mut world, "a", "b", &holding(OFFER), Some(missing));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "Failed to start media playback from file"
    );
}
