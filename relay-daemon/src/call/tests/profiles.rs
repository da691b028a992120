//! Transports and ways of agreeing on keys, over offers and answers of both sides.

use crate::call::command::{Command, SignalOptions};

use super::world::{ANSWER, OFFER, World, answer, offer, signal};

const DTLS: &str = "a=fingerprint:sha-256 \
    D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F\r\n";

/// An SDP of which the text names the transport, and what else is offered or answered: `S` for SDES, `D` for DTLS.
fn sdp(like: &str, says: &str) -> String {
    let (protocol, kinds) = says.split_once(' ').unwrap_or((says, ""));
    let mut sdp = like.replace("RTP/AVP", protocol);
    for kind in kinds.chars() {
        sdp += &match kind {
            'S' => "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"
                .to_owned(),
            _ => format!("a=setup:actpass\r\n{DTLS}"),
        };
    }
    sdp
}

/// The transport that an SDP names, and what goes with it.
fn brief(sdp: &str) -> String {
    let protocol = sdp
        .lines()
        .find_map(|line| line.strip_prefix("m=")?.split(' ').nth(2));
    let sdes = match sdp.matches("a=crypto:").count() {
        0 => "",
        1 => "S",
        _ => "S*",
    };
    let dtls = if sdp.contains("a=fingerprint:") { "D" } else { "" };
    let kinds = format!("{sdes}{dtls}");
    [protocol.unwrap_or_default(), &kinds]
        .join(" ")
        .trim_end()
        .to_owned()
}

fn offer_with(from: &str, to: Option<&str>, sdp: &str, change: impl Fn(&mut SignalOptions)) -> Command {
    let mut signal = signal(from, to, sdp);
    change(&mut signal.options);
    Command::Offer(Box::new(signal))
}

/// What comes out of an offer of the caller, its answer, both again, and an offer of the callee. The first offer asks for a
/// transport.
fn conversation(offered: &str, wish: Option<&str>, answered: &str) -> String {
    let mut world = World::new();
    let (offered, answered) = (sdp(OFFER, offered), sdp(ANSWER, answered));
    let first = offer_with("a", None, &offered, |options| {
        options.transport_protocol = wish.map(str::to_owned);
    });
    let steps = [
        first,
        answer("a", "b", &answered),
        offer("a", Some("b"), &offered),
        answer("a", "b", &answered),
        offer("b", Some("a"), &answered),
    ];
    steps.map(|step| brief(&world.sdp(step))).join(", ")
}

#[test]
fn what_each_side_is_told() {
    let (avp, savp) = ("RTP/AVP", "RTP/SAVP");
    for (offered, wish, answered, told) in [
        (
            avp,
            None,
            "RTP/AVP S",
            "RTP/AVP, RTP/AVP, RTP/AVP, RTP/AVP, RTP/AVP S*D",
        ),
        (
            avp,
            None,
            "RTP/SAVP S",
            "RTP/AVP, RTP/AVP, RTP/SAVP S*, RTP/AVP, RTP/AVP",
        ),
        (
            avp,
            None,
            savp,
            "RTP/AVP, RTP/AVP, RTP/SAVP S*D, RTP/AVP, RTP/AVP",
        ),
        (
            avp,
            None,
            "RTP/SAVP D",
            "RTP/AVP, RTP/AVP, RTP/SAVP D, RTP/AVP, RTP/AVP",
        ),
        (
            avp,
            Some(savp),
            avp,
            "RTP/SAVP S*D, RTP/AVP, RTP/AVP, RTP/AVP, RTP/AVP",
        ),
        (
            avp,
            Some(savp),
            savp,
            "RTP/SAVP S*D, RTP/AVP, RTP/SAVP S*, RTP/AVP, RTP/AVP",
        ),
        (
            avp,
            Some(savp),
            "RTP/SAVP D",
            "RTP/SAVP S*D, RTP/AVP, RTP/SAVP S*D, RTP/AVP, RTP/AVP",
        ),
        (
            "RTP/AVP S",
            None,
            avp,
            "RTP/AVP S*D, RTP/AVP, RTP/AVP S*, RTP/AVP, RTP/AVP",
        ),
        (
            "RTP/AVP S",
            None,
            "RTP/AVP S",
            "RTP/AVP S*D, RTP/AVP S, RTP/AVP S*, RTP/AVP S, RTP/AVP S*",
        ),
        (
            "RTP/AVP S",
            None,
            "RTP/AVPF",
            "RTP/AVP S*D, RTP/AVPF, RTP/AVP S*, RTP/AVPF, RTP/AVPF",
        ),
        (
            "RTP/AVP S",
            Some(avp),
            avp,
            "RTP/AVP, RTP/AVP S, RTP/AVP, RTP/AVP S, RTP/AVP S*",
        ),
        (
            "RTP/AVP S",
            Some(avp),
            "RTP/AVPF",
            "RTP/AVP, RTP/AVPF, RTP/AVP S*D, RTP/AVPF, RTP/AVPF",
        ),
        (
            "RTP/AVP S",
            Some("RTP/AVPF"),
            avp,
            "RTP/AVPF, RTP/AVP, RTP/AVP S*D, RTP/AVP, RTP/AVP",
        ),
        (
            "RTP/AVP S",
            Some(savp),
            "RTP/SAVP S",
            "RTP/SAVP S*D, RTP/AVP S, RTP/SAVP S*, RTP/AVP S, RTP/AVP S*",
        ),
        (
            "RTP/SAVP S",
            None,
            avp,
            "RTP/SAVP S*D, RTP/SAVP S, RTP/AVP, RTP/SAVP S, RTP/SAVP S*",
        ),
        (
            "RTP/SAVP S",
            None,
            "RTP/AVP S",
            "RTP/SAVP S*D, RTP/SAVP S, RTP/SAVP S*, RTP/SAVP S, RTP/AVP S*",
        ),
        (
            "RTP/SAVP S",
            Some(avp),
            "RTP/SAVP D",
            "RTP/AVP, RTP/SAVP S, RTP/SAVP D, RTP/SAVP S, RTP/SAVP S*",
        ),
        (
            savp,
            None,
            "RTP/AVP S",
            "RTP/SAVP S*D, RTP/SAVP, RTP/SAVP S*, RTP/SAVP, RTP/AVP S*D",
        ),
        (
            "RTP/SAVP D",
            None,
            "RTP/SAVPF S",
            "RTP/SAVP S*D, RTP/SAVP D, RTP/SAVPF S*, RTP/SAVP D, RTP/SAVP D",
        ),
        (
            "RTP/SAVP D",
            None,
            "RTP/AVP S",
            "RTP/SAVP S*D, RTP/SAVP D, RTP/SAVP S*, RTP/SAVP D, RTP/AVP D",
        ),
    ] {
        assert_eq!(
            conversation(offered, wish, answered),
            told,
            "{offered}, {wish:?}, {answered}"
        );
    }
}

#[test]
fn opportunistic_srtp_is_offered_under_profiles_for_plain_rtp() {
    let osrtp = |options: &mut SignalOptions| options.osrtp.offer = true;
    for (offered, told) in [
        ("RTP/AVP", "RTP/AVP S*D"),
        ("RTP/AVPF", "RTP/AVPF S*D"),
        ("RTP/SAVP S", "RTP/SAVP S*D"),
    ] {
        let mut world = World::new();
        let sdp = world.sdp(offer_with("a", None, &sdp(OFFER, offered), osrtp));
        assert_eq!(brief(&sdp), told);
    }
}

#[test]
fn who_refuses_opportunistic_srtp_is_offered_it_again() {
    let osrtp = |options: &mut SignalOptions| options.osrtp.offer = true;
    let mut world = World::new();
    world.sdp(offer_with("a", None, OFFER, osrtp));
    assert_eq!(brief(&world.sdp(answer("a", "b", ANSWER))), "RTP/AVP");
    let again = world.sdp(offer_with("a", Some("b"), OFFER, osrtp));
    assert_eq!(brief(&again), "RTP/AVP S*", "DTLS is out of the question");
    let again = world.sdp(offer("a", Some("b"), OFFER));
    assert_eq!(brief(&again), "RTP/AVP S*");
}

#[test]
fn plain_rtp_in_between_makes_a_new_beginning() {
    let mut world = World::new();
    let secure = sdp(OFFER, "RTP/SAVP S");
    world.sdp(offer("a", None, &secure));
    world.sdp(answer("a", "b", &sdp(ANSWER, "RTP/SAVP S")));
    assert_eq!(brief(&world.sdp(offer("a", Some("b"), OFFER))), "RTP/AVP");
    let again = world.sdp(offer("a", Some("b"), &secure));
    assert_eq!(brief(&again), "RTP/SAVP S*D");
}

#[test]
fn an_answer_can_be_asked_for_in_a_transport() {
    for (offered, wish, told) in [
        ("RTP/SAVP S", "RTP/AVP", "RTP/AVP"),
        ("RTP/SAVP S", "RTP/SAVPF", "RTP/SAVPF S"),
        ("RTP/AVP S", "RTP/SAVP", "RTP/SAVP S"),
        ("RTP/AVP", "RTP/SAVP", "RTP/SAVP"),
    ] {
        let mut world = World::new();
        world.sdp(offer("a", None, &sdp(OFFER, offered)));
        let mut asked = answer_signal(&sdp(ANSWER, "RTP/SAVP S"));
        asked.options.transport_protocol = Some(wish.to_owned());
        assert_eq!(
            brief(&world.sdp(Command::Answer(Box::new(asked)))),
            told,
            "{offered}"
        );
    }
}

fn answer_signal(sdp: &str) -> crate::call::command::Signal {
    let mut signal = signal("a", None, sdp);
    signal.to_tag = Some("b".into());
    signal
}

#[test]
fn of_both_kinds_that_is_answered_which_the_options_leave() {
    let both = sdp(OFFER, "RTP/SAVP SD");
    for (off, prefer, told) in [(false, false, "D"), (true, false, "S"), (false, true, "S")] {
        let mut world = World::new();
        world.sdp(offer_with("a", None, &both, |options| {
            options.sdes.prefer = prefer
        }));
        let mut answer = answer_signal(&sdp(ANSWER, "RTP/SAVP S"));
        answer.options.dtls.off = off;
        let answer = world.sdp(Command::Answer(Box::new(answer)));
        assert_eq!(brief(&answer), format!("RTP/SAVP {told}"));
    }
    let mut world = World::new();
    world.sdp(offer("a", None, &sdp(OFFER, "RTP/SAVP D")));
    let mut only = answer_signal(&sdp(ANSWER, "RTP/SAVP S"));
    only.options.dtls.off = true;
    let told = world.sdp(Command::Answer(Box::new(only)));
    assert_eq!(brief(&told), "RTP/SAVP D", "there is nothing else");
}

#[test]
fn what_is_rejected_says_nothing_of_encryption() {
    let mut world = World::new();
    let video = "m=video 5000 RTP/SAVP 96\r\na=rtpmap:96 VP8/90000\r\n";
    let two = format!("{OFFER}{video}");
    let first = world.sdp(offer("a", None, &two));
    assert!(first.contains("a=crypto:") && first.contains("a=setup:"));
    let rejected = video.replace("5000", "0");
    world.sdp(answer("a", "b", &format!("{ANSWER}{rejected}")));
    let again = world.sdp(offer("a", Some("b"), &two));
    assert!(
        again.contains("a=crypto:") && again.contains("a=setup:"),
        "{again}"
    );
}

#[test]
fn what_passes_by_us_is_told_in_the_transport_that_was_asked_for() {
    let mut world = World::new();
    let ice = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n\
               a=candidate:1 1 UDP 2130706431 198.51.100.31 4000 typ host\r\n";
    let told = world.sdp(offer_with("a", None, &format!("{OFFER}{ice}"), |options| {
        options.ice.mode = crate::call::command::IceMode::Optional;
        options.transport_protocol = Some("RTP/AVPF".to_owned());
    }));
    assert_eq!(brief(&told), "RTP/AVPF");
    assert!(told.contains("m=audio 4000 "), "{told}");
}

#[test]
fn who_takes_opportunistic_srtp_is_offered_it_again() {
    let mut world = World::new();
    let secure = sdp(OFFER, "RTP/SAVP S");
    let told = world.sdp(offer_with("a", None, &secure, |options| {
        options.osrtp.offer = true;
        options.transport_protocol = Some("RTP/AVP".to_owned());
    }));
    assert_eq!(brief(&told), "RTP/AVP S*D");
    world.sdp(answer("a", "b", &sdp(ANSWER, "RTP/AVP S")));
    assert_eq!(brief(&world.sdp(offer("a", Some("b"), &secure))), "RTP/AVP S*");
}
