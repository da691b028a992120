//! Parties with ICE and DTLS: whole calls in virtual time, and strangers who would like to take part.

mod attacks;
mod browser;

use self::browser::{BROWSER, Browser, World};
use super::secure::packet;
use super::*;
use std::sync::atomic::Ordering;

use crate::dtls::DtlsState;
use crate::plan::IceState;
use crate::plan::Marks;
use crate::security::{DtlsRole, IceRole};

/// A browser as Alice, a phone with plain RTP as Bob.
fn world() -> World {
    World::new(DtlsRole::Passive, IceRole::Controlled)
}

#[test]
fn a_browser_talks_to_a_phone() {
    for dtls in [DtlsRole::Active, DtlsRole::Passive] {
        for ice in [IceRole::Controlling, IceRole::Controlled] {
            let mut world = World::new(dtls, ice);
            world.run(1000);
            assert_eq!(
                world.states(),
                (Some(IceState::Completed), Some(DtlsState::Established))
            );
            world.assert_media_flows(1);
            assert_eq!(world.call.reason(TO_ALICE), Some(UserspaceReason::Encryption));
            let selected = world.call.status(TO_ALICE).selected().unwrap();
            assert_eq!(
                (selected.port, selected.remote),
                (id(TO_ALICE), BROWSER.parse().unwrap())
            );
            // The plan of a re-INVITE changes nothing, and much later all is well still.
            world.call.signal(&[TO_ALICE, TO_BOB]);
            world.assert_media_flows(2);
            world.run(120_000);
            assert_eq!(
                world.states(),
                (Some(IceState::Completed), Some(DtlsState::Established))
            );
            world.assert_media_flows(3);
        }
    }
}

#[test]
fn a_lite_agent_is_enough() {
    let mut world = world();
    world.change_ice(|plan| plan.lite = true);
    world.browser = Browser::new(IceRole::Controlling, DtlsRole::Active, true);
    world.call.apply();
    world.run(1000);
    assert_eq!(
        world.states(),
        (Some(IceState::Completed), Some(DtlsState::Established))
    );
    world.assert_media_flows(1);
}

#[test]
fn dtls_needs_no_ice() {
    for role in [DtlsRole::Active, DtlsRole::Passive] {
        for seen_as in [BROWSER, NAT] {
            let mut world = World::new(role, IceRole::Controlled);
            world.call.change(TO_ALICE, |stream| stream.ice = None);
            world.browser.has_ice = false;
            world.browser.seen_as = seen_as.parse().unwrap();
            world.call.apply();
            world.run(1000);
            if role == DtlsRole::Active && seen_as == NAT {
                assert_eq!(
                    world.states().1,
                    Some(DtlsState::Handshake),
                    "what we send is lost"
                );
                continue;
            }
            assert_eq!(
                world.states(),
                (None, Some(DtlsState::Established)),
                "{role:?} {seen_as}"
            );
            let sent = world.call.status(TO_ALICE).packets_out.load(Ordering::Relaxed);
            assert!(sent > 0, "handshakes count as sent");
            world.assert_media_flows(1);
        }
    }
}

#[test]
fn a_client_may_be_quicker_than_its_answer() {
    for has_ice in [true, false] {
        let mut world = world();
        world.browser.has_ice = has_ice;
        let answered = world.call.plan.clone();
        world.call.change(TO_ALICE, |stream| {
            stream.security = MediaSecurity::Offered { dtls: true };
            stream.remote = None;
            if let Some(ice) = &mut stream.ice {
                ice.agent.remote = None;
                ice.agent.candidates.clear();
            }
            stream.ice.take_if(|_| !has_ice);
        });
        world.call.apply();
        world.run(500);
        assert_ne!(world.states().1, Some(DtlsState::Established));
        assert_eq!(world.states().0, has_ice.then_some(IceState::New));
        world.call.plan = answered;
        world.call.change(TO_ALICE, |stream| {
            stream.ice.take_if(|_| !has_ice);
        });
        world.call.apply();
        world.run(3000);
        assert_eq!(world.states().1, Some(DtlsState::Established), "ICE: {has_ice}");
        world.assert_media_flows(1);
    }
}

#[test]
fn a_new_association_takes_the_place_of_the_old() {
    let mut world = world();
    world.run(1000);
    world.assert_media_flows(1);
    world.browser.renew_association(DtlsRole::Active);
    let security = world.browser.security("2");
    world
        .call
        .change(TO_ALICE, |stream| stream.security = security.clone());
    world.call.apply();
    assert_eq!(world.states().1, Some(DtlsState::New));
    world.run(1000);
    assert_eq!(world.states().1, Some(DtlsState::Established));
    world.assert_media_flows(1);
}

#[test]
fn the_old_keys_serve_until_there_are_new_ones() {
    let mut world = world();
    world.run(1000);
    world.assert_media_flows(1);
    let security = world.browser.security("2");
    world.call.change(TO_ALICE, |stream| stream.security = security);
    world.call.apply();
    world.run(500);
    assert_eq!(world.states().1, Some(DtlsState::New));
    world.assert_media_flows(2);
    world.browser.renew_association(DtlsRole::Active);
    world.run(1000);
    assert_eq!(world.states().1, Some(DtlsState::Established));
    world.assert_media_flows(3);
    let former = world.browser.former.as_ref().unwrap();
    assert_eq!(former.state(), DtlsState::Closed, "the party is told");
}

#[test]
fn who_takes_a_new_association_back_has_the_old_one_still() {
    let mut world = world();
    world.run(1000);
    let former = world.browser.security("1");
    for security in [world.browser.security("2"), former] {
        world.call.change(TO_ALICE, |stream| stream.security = security);
        world.call.apply();
        world.run(500);
    }
    assert_eq!(world.states().1, Some(DtlsState::Established));
    world.assert_media_flows(1);
    assert_eq!(world.browser.association.state(), DtlsState::Established);
}

#[test]
fn the_party_is_told_that_an_association_ends() {
    for at_the_end in [false, true] {
        let mut world = world();
        world.run(1000);
        if at_the_end {
            world.call.session.close();
        } else {
            world
                .call
                .change(TO_ALICE, |stream| stream.security = MediaSecurity::Plain);
            world.call.apply();
        }
        world.exchange();
        assert_eq!(world.browser.association.state(), DtlsState::Closed);
    }
}

#[test]
fn media_goes_on_while_ice_starts_over() {
    let mut world = world();
    world.run(1000);
    world.assert_media_flows(1);
    world.restart_ice(2);
    assert_eq!(world.states().0, Some(IceState::Checking));
    world.assert_media_flows(2);
    world.run(1000);
    assert_eq!(
        world.states(),
        (Some(IceState::Completed), Some(DtlsState::Established))
    );
    world.assert_media_flows(3);
}

#[test]
fn who_moves_and_restarts_ice_is_heard_from_there() {
    for lite in [false, true] {
        let mut world = world();
        if lite {
            world.change_ice(|plan| plan.lite = true);
            world.browser = Browser::new(IceRole::Controlling, DtlsRole::Active, true);
            world.call.apply();
        }
        world.run(1000);
        world.assert_media_flows(1);
        world.browser.seen_as = "198.51.100.77:50077".parse().unwrap();
        world.run(8000);
        world.restart_ice(2);
        if lite {
            world.change_ice(|plan| plan.lite = true);
            world.call.apply();
        }
        world.run(1000);
        assert_eq!(
            world.states(),
            (Some(IceState::Completed), Some(DtlsState::Established)),
            "lite: {lite}"
        );
        world.assert_media_flows(2);
    }
}

#[test]
fn without_consent_nothing_is_sent() {
    let mut world = world();
    world.run(1000);
    world.assert_media_flows(1);
    world.browser.is_gone = true;
    world.run(70_000);
    assert_eq!(world.states().0, Some(IceState::Disconnected));
    world.call.receive(BOB, TO_BOB, &packet(2));
    assert_eq!(world.call.take_sent(), []);
}

#[test]
fn with_ice_plain_media_is_for_the_kernel_once_a_pair_is_selected() {
    let mut world = world();
    world
        .call
        .change(TO_ALICE, |stream| stream.security = MediaSecurity::Plain);
    world.browser.has_dtls = false;
    world.call.apply();
    world.call.receive(STRANGER, TO_ALICE, RTP);
    assert_eq!(world.call.take_sent(), [], "no pair works yet");
    world.run(1000);
    assert_eq!(world.states(), (Some(IceState::Completed), None));
    world.call.take_transcript();
    world.call.receive(BROWSER, TO_ALICE, RTP);
    world.call.receive(BOB, TO_BOB, RTP);
    let transcript = world.call.take_transcript();
    let rule = format!("offload 30000: {BROWSER} (others: Pass) => 30002 -> {BOB}");
    assert!(transcript.contains(&rule), "{transcript}");
    let rule = format!("offload 30002: {BOB} (others: Forward) => 30000 -> {BROWSER}");
    assert!(transcript.contains(&rule), "{transcript}");
    world.call.take_sent();
    world.call.receive(STRANGER, TO_ALICE, RTP);
    assert_eq!(world.call.take_sent(), [], "nobody else's media");
}

#[test]
fn many_sections_share_one_transport() {
    const VIDEO: u32 = 30_010;
    const TO_BOB_VIDEO: u32 = 30_012;
    let mut world = world();
    let mut video = stream(VIDEO, Some(BROWSER), &[TO_BOB_VIDEO], &[]);
    video.ports.clear();
    video.security = world.browser.security("1");
    let mut to_bob = stream(TO_BOB_VIDEO, Some(BOB_RTCP), &[VIDEO], &[]);
    to_bob.ports = SmallVec::from([local(TO_BOB_VIDEO)]);
    let bundle = |payload_type: u8| {
        let mut marks = Marks::default();
        marks.payload_types.insert(payload_type);
        Some(BundlePlan {
            lead: StreamId(TO_ALICE),
            joined: true,
            marks,
        })
    };
    video.bundle = bundle(96);
    world.call.change(TO_ALICE, |audio| audio.bundle = bundle(0));
    world.call.plan.streams.extend([video, to_bob]);
    world.call.apply();
    world.run(1000);
    assert_eq!(world.states().1, Some(DtlsState::Established));
    world.assert_media_flows(1);
    let mut picture = packet(7);
    (picture[1], picture[11]) = (96, 9);
    let wire = world.browser.protect(&picture);
    world.call.receive(BROWSER, TO_ALICE, &wire);
    assert_eq!(world.call.only_sent(BOB_RTCP), picture);
    world.call.receive(BOB_RTCP, TO_BOB_VIDEO, &picture);
    let wire = world.call.only_sent(BROWSER);
    assert_eq!(world.browser.read(&wire), picture);
}
