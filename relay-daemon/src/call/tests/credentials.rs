//! Which certificate a call shows, when there is a new one.

use std::sync::{Arc, Weak};

use crate::call::command::{Command, Connect, ConnectMode, PartyChoice, SourceChoice};
use crate::dtls::{Credentials, fuzz};
use crate::plan::{CallKey, Plan};
use crate::security::OwnFingerprints;

use super::world::{ANSWER, OFFER, World, delete, signal};

const DTLS: &str = "a=setup:actpass\r\na=fingerprint:sha-256 \
    D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F\r\n";

/// Credentials with digests of one byte only, and whether anybody has them.
fn renew(world: &mut World, digit: u8) -> Weak<Credentials> {
    let fingerprints = OwnFingerprints::compute(|hash| vec![digit; hash.length()]);
    let context = fuzz::credentials().context().clone();
    let credentials = Arc::new(Credentials::new(fingerprints, context));
    let watched = Arc::downgrade(&credentials);
    world.calls.renew_credentials(credentials);
    watched
}

fn dtls(sdp: &str) -> String {
    format!("{}{DTLS}", sdp.replace("RTP/AVP", "UDP/TLS/RTP/SAVP"))
}

fn offer(call_id: &str, from: &str, to: Option<&str>, sdp: &str) -> Command {
    let mut signal = signal(from, to, &dtls(sdp));
    signal.call_id = call_id.into();
    Command::Offer(Box::new(signal))
}

fn answer(call_id: &str, from: &str, to: &str) -> Command {
    let mut signal = signal(from, Some(to), &dtls(ANSWER));
    signal.call_id = call_id.into();
    Command::Answer(Box::new(signal))
}

/// The first byte of each fingerprint.
fn shown(sdp: &str) -> Vec<&str> {
    let lines = sdp
        .lines()
        .filter_map(|line| line.strip_prefix("a=fingerprint:sha-256 "));
    lines.map(|digest| &digest[..2]).collect()
}

/// The first byte of each fingerprint that handshakes are to show.
fn planned(plan: &Plan) -> Vec<u8> {
    let credentials = plan.streams.iter().map(|stream| stream.credentials.as_ref());
    let digests = credentials.map(|own| own.map(|own| own.fingerprints().by(Default::default()).digest()[0]));
    digests.flatten().collect()
}

/// Ends the first call.
fn end(world: &mut World) {
    world.handle(delete(None, Some(0))).unwrap();
    assert!(world.calls.poll_ended(&world.host).is_some());
}

#[test]
fn a_call_keeps_the_certificate_that_it_began_with() {
    let mut world = World::new();
    let old = renew(&mut world, 0x11);
    assert_eq!(shown(&world.sdp(offer("call", "a", None, OFFER))), ["11"]);
    let new = renew(&mut world, 0x22);
    assert_eq!(shown(&world.sdp(answer("call", "a", "b"))), ["11"]);
    assert_eq!(shown(&world.sdp(offer("call", "a", Some("b"), OFFER))), ["11"]);
    // A section that comes later, and another branch, too.
    let video = format!("{OFFER}{DTLS}m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n");
    let told = world.sdp(offer("call", "a", Some("b"), &video));
    assert_eq!(shown(&told), ["11", "11"]);
    assert_eq!(
        planned(world.plan()),
        [0x11; 6],
        "all but the caller's video, which is not answered yet"
    );
    assert_eq!(shown(&world.sdp(offer("other", "c", None, OFFER))), ["22"]);
    assert!(old.upgrade().is_some());
    end(&mut world);
    assert!(old.upgrade().is_none(), "the last call that showed it has ended");
    assert!(new.upgrade().is_some());
}

#[test]
fn calls_that_become_one_keep_theirs() {
    let mut world = World::new();
    let first = renew(&mut world, 0x11);
    world.sdp(offer("call", "a", None, OFFER));
    world.sdp(answer("call", "a", "b"));
    let second = renew(&mut world, 0x22);
    world.sdp(offer("other", "c", None, OFFER));
    world.sdp(answer("other", "c", "d"));
    renew(&mut world, 0x33);
    let connect = Command::Connect(Connect {
        call_id: "call".into(),
        sources: SourceChoice::One(PartyChoice::Tag("a".into())),
        to_tag: Some("d".into()),
        to_call_id: Some("other".into()),
        mode: ConnectMode::Dialogue,
    });
    world.handle(connect).unwrap();
    let key = *world.plans.keys().next().unwrap();
    assert_eq!(world.plans.len(), 1);
    let mut bytes = planned(&world.plans[&key]);
    bytes.dedup();
    assert_eq!((key, bytes), (CallKey(0), vec![0x11, 0x22]));
    assert!(first.upgrade().is_some() && second.upgrade().is_some());
    end(&mut world);
    assert!(first.upgrade().is_none() && second.upgrade().is_none());
}

#[test]
fn who_has_no_call_goes_with_the_next() {
    let mut world = World::new();
    let first = renew(&mut world, 0x11);
    renew(&mut world, 0x22);
    assert!(first.upgrade().is_none());
}
