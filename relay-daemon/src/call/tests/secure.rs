//! Calls with encryption and ICE: what comes back, and what may be relayed.

use crate::call::command::{Command, Fragment, IceMode, Reply, SignalOptions};
use crate::plan::Plan;
use crate::security::Suite;

use super::world::{ANSWER, OFFER, World, answer, offer, signal};

const KEY_A: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const KEY_B: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const ICE: &str = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";
const DTLS: &str = "a=setup:actpass\r\na=fingerprint:sha-256 \
    D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F\r\n";

fn with(sdp: &str, protocol: &str, lines: &str) -> String {
    format!("{}{lines}", sdp.replace("RTP/AVP", protocol))
}

fn savp(sdp: &str, key: &str) -> String {
    let line = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n");
    with(sdp, "RTP/SAVP", &line)
}

fn offer_with(sdp: &str, change: impl Fn(&mut SignalOptions)) -> Command {
    let mut signal = signal("a", None, sdp);
    change(&mut signal.options);
    Command::Offer(Box::new(signal))
}

/// The attribute lines of an SDP about encryption.
fn lines(sdp: &str) -> Vec<&str> {
    let of_interest = ["a=crypto:", "a=setup:", "a=fingerprint:", "a=tls-id:"];
    sdp.lines()
        .filter(|line| of_interest.iter().any(|start| line.starts_with(start)))
        .collect()
}

/// Whether media flows: the streams with receivers, those without for want of a cipher.
fn flows(plan: &Plan) -> (usize, usize) {
    let with_sinks = plan.streams.iter().filter(|stream| !stream.rtcp_sinks.is_empty());
    let (flowing, stuck): (Vec<_>, Vec<_>) = with_sinks.partition(|stream| {
        let sink = plan
            .streams
            .iter()
            .find(|sink| sink.id == stream.rtcp_sinks[0])
            .unwrap();
        stream.security.reaches(&sink.security)
    });
    (flowing.len(), stuck.len())
}

#[test]
fn srtp_passes_where_both_sides_have_the_same_keys() {
    let mut world = World::new();
    world.sdp(offer("a", None, &savp(OFFER, KEY_A)));
    assert_eq!(flows(world.plan()), (0, 4), "not before the answer");
    world.sdp(answer("a", "b", &savp(ANSWER, KEY_B)));
    assert_eq!(flows(world.plan()), (4, 0));
    let call = world.query();
    let suites: Vec<_> = call.parties.iter().map(|party| party.media[0].suite).collect();
    assert_eq!(suites, [Some(Suite::AesCm128HmacSha1_80); 2]);
    assert!(!world.actions.contains("warn"));
}

#[test]
fn plain_rtp_and_srtp_reach_each_other() {
    let mut world = World::new();
    let offer = offer_with(OFFER, |options| {
        options.transport_protocol = Some("rtp/savp".to_owned());
    });
    world.sdp(offer.clone());
    assert_eq!(flows(world.plan()), (0, 4), "the answer may be plain");
    world.sdp(answer("a", "b", &savp(ANSWER, KEY_B)));
    assert_eq!(flows(world.plan()), (4, 0));
    assert!(!world.actions.contains("warn"));
}

#[test]
fn nothing_passes_to_who_has_unknown_keys_and_the_operator_knows() {
    let mut world = World::new();
    let offer = offer_with(OFFER, |options| {
        options.transport_protocol = Some("rtp/savp".to_owned());
    });
    world.sdp(offer.clone());
    world.sdp(answer("a", "b", &with(ANSWER, "RTP/SAVP", "")));
    assert_eq!(flows(world.plan()), (0, 4));
    world.sdp(offer);
    world.sdp(answer("a", "b", &with(ANSWER, "RTP/SAVP", "")));
    assert_eq!(world.actions.matches("warn of encryption in call").count(), 1);
}

#[test]
fn plain_rtp_passes_where_srtp_was_refused() {
    let mut world = World::new();
    let line = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}\r\n");
    world.sdp(offer("a", None, &with(OFFER, "RTP/AVP", &line)));
    let told = world.sdp(answer("a", "b", ANSWER));
    assert_eq!(lines(&told), [""; 0]);
    assert_eq!(flows(world.plan()), (4, 0));
}

#[test]
fn with_ice_all_addresses_receive() {
    let mut world = World::new();
    let sdp = world.sdp(offer_with(OFFER, |options| options.ice.mode = IceMode::Force));
    assert_eq!(sdp.matches("a=candidate:").count(), 4);
    let addresses: Vec<usize> = world
        .plan()
        .streams
        .iter()
        .map(|stream| stream.ports.len())
        .collect();
    assert_eq!(addresses, [1, 1, 2, 2], "the caller does no ICE");
}

#[test]
fn a_fragment_is_taken_in_or_waits() {
    let candidate = "m=audio 9 RTP/AVP 8\r\na=candidate:1 1 UDP 2130706431 198.51.100.31 4000 typ host\r\n";
    let fragment = || {
        Command::Fragment(Fragment {
            call_id: "call".into(),
            from_tag: "a".into(),
            sdp: format!("{ICE}{candidate}"),
        })
    };
    let mut world = World::new();
    assert!(matches!(world.handle(fragment()), Ok(Reply::Done)));
    assert_eq!(world.calls.session_count(), 0);
    world.sdp(offer("a", None, &format!("{OFFER}{ICE}")));
    let revision = world.plan().revision;
    assert!(matches!(world.handle(fragment()), Ok(Reply::Done)));
    assert_eq!(world.plan().revision, revision + 1);
    let broken = Command::Fragment(Fragment {
        call_id: "call".into(),
        from_tag: "a".into(),
        sdp: "nonsense".to_owned(),
    });
    assert!(world.handle(broken).is_err());
}

#[test]
fn opportunistic_srtp_in_two_sections() {
    let mut world = World::new();
    let second =
        format!("m=audio 4000 RTP/SAVP 8 0 101\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}\r\n");
    let sdp = world.sdp(offer_with(&format!("{OFFER}{second}"), |options| {
        options.osrtp.accept_legacy = true;
        options.transport_protocol = Some("rtp/avp".to_owned());
    }));
    assert_eq!(sdp.matches("m=audio").count(), 1);
    let sdp = world.sdp(answer("a", "b", ANSWER));
    let media: Vec<&str> = sdp.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        media[0], "m=audio 0 RTP/AVP 8",
        "101 has no meaning where the keys are"
    );
    assert!(media[1].contains("RTP/SAVP"), "{}", media[1]);
    let back = world.sdp(offer("b", Some("a"), ANSWER));
    assert_eq!(back.matches("m=audio 0").count(), 1, "{back}");
}

#[test]
fn opportunistic_srtp_offered_in_two_sections() {
    let mut world = World::new();
    let sdp = world.sdp(offer_with(OFFER, |options| {
        options.osrtp.offer_legacy = true;
        options.transport_protocol = Some("rtp/savp".to_owned());
    }));
    let protocols: Vec<&str> = sdp
        .lines()
        .filter_map(|line| line.strip_prefix("m=")?.split(' ').nth(2))
        .collect();
    assert_eq!(protocols, ["RTP/AVP", "RTP/SAVP"]);
    let plain = format!("{ANSWER}m=audio 0 RTP/SAVP 8\r\n");
    let told = world.sdp(answer("a", "b", &plain));
    assert_eq!(told.matches("m=audio").count(), 1);
    assert_eq!(flows(world.plan()), (4, 0));
    let again = world.sdp(offer("a", Some("b"), OFFER));
    assert_eq!(again.matches("m=audio").count(), 2);
    let back = format!("{ANSWER}m=audio 0 RTP/SAVP 8\r\n");
    world.sdp(offer("b", Some("a"), &back));
    let told = world.sdp(answer("b", "a", OFFER));
    assert_eq!(told.matches("m=audio 0 RTP/SAVP").count(), 1, "{told}");
}

#[test]
fn a_browser_and_a_phone() {
    let mut world = World::new();
    let browser = with(
        OFFER,
        "UDP/TLS/RTP/SAVPF",
        &format!("a=rtcp-mux\r\na=rtcp:9 IN IP4 0.0.0.0\r\n{ICE}a=ice-options:trickle\r\n{DTLS}"),
    );
    let phone = world.sdp(offer_with(&browser, |options| {
        options.transport_protocol = Some("rtp/avp".to_owned());
        options.ice.mode = IceMode::Remove;
        options.rtcp_mux.demux = true;
    }));
    insta::assert_snapshot!("browser_to_phone", phone.replace("\r\n", "\n"));
    let told = world.sdp(answer("a", "b", ANSWER));
    insta::assert_snapshot!("phone_to_browser", told.replace("\r\n", "\n"));
    let held = ANSWER.replace("sendrecv", "sendonly");
    let mut hold = signal("b", Some("a"), &held);
    hold.options.sdes.off = true;
    let told = world.sdp(Command::Offer(Box::new(hold)));
    insta::assert_snapshot!("phone_holds_browser", told.replace("\r\n", "\n"));
}

#[test]
fn a_phone_and_one_with_keys_in_the_sdp() {
    let only = |options: &mut SignalOptions| {
        options.dtls.off = true;
        options
            .sdes
            .allowed
            .get_or_insert_default()
            .insert(Suite::AesCm128HmacSha1_80);
        options.transport_protocol = Some("rtp/savp".to_owned());
    };
    let mut world = World::new();
    let told = world.sdp(offer_with(OFFER, only));
    assert_eq!(lines(&told).len(), 1);
    assert!(told.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"));
    let told = world.sdp(answer("a", "b", &savp(ANSWER, KEY_B)));
    assert!(told.contains("RTP/AVP 8 101"));
    assert_eq!(lines(&told), [""; 0]);
}

#[test]
fn a_phone_with_keys_in_the_sdp_and_one_without() {
    let mut world = World::new();
    let lines_in = format!(
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_A}\r\n\
         a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:{KEY_B} UNENCRYPTED_SRTCP\r\n"
    );
    let told = world.sdp(offer_with(&with(OFFER, "RTP/SAVP", &lines_in), |options| {
        options
            .sdes
            .allowed
            .get_or_insert_default()
            .insert(Suite::AesCm128HmacSha1_32);
        options.transport_protocol = Some("rtp/avp".to_owned());
    }));
    assert_eq!(lines(&told), [""; 0]);
    let told = world.sdp(answer("a", "b", ANSWER));
    let [line] = lines(&told)[..] else {
        panic!("one line: {told}")
    };
    assert!(
        line.starts_with("a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:"),
        "{line}"
    );
    assert!(line.ends_with(" UNENCRYPTED_SRTCP"), "{line}");
    assert!(!line.contains(KEY_B), "a key of our own");
}

/// Two sections with DTLS.
fn dtls_twice(sdp: &str, lines: &str) -> String {
    let first = with(sdp, "UDP/TLS/RTP/SAVPF", lines);
    format!("{first}m=video 4002 UDP/TLS/RTP/SAVPF 34\r\n{lines}")
}

#[test]
fn a_section_that_is_not_spoken_of_keeps_its_part_in_dtls() {
    let mut world = World::new();
    world.sdp(offer("a", None, &dtls_twice(OFFER, DTLS)));
    world.sdp(answer(
        "a",
        "b",
        &dtls_twice(ANSWER, &DTLS.replace("actpass", "active")),
    ));
    let sdp = world.sdp(offer("a", Some("b"), &with(OFFER, "UDP/TLS/RTP/SAVPF", DTLS)));
    let [audio, video] = [0, 1].map(|index| sdp.split("m=").nth(index + 1).unwrap());
    assert!(audio.contains("a=setup:actpass"), "{audio}");
    assert!(video.contains("a=setup:passive"), "{video}");
}

#[test]
fn an_answerer_who_was_told_of_less_answers_for_all_sections() {
    let mut world = World::new();
    let held = dtls_twice(OFFER, DTLS) + "a=sendonly\r\n";
    world.sdp(offer("a", None, &held));
    let mut other = signal("a", None, &with(OFFER, "UDP/TLS/RTP/SAVPF", DTLS));
    other.via_branch = Some("2".into());
    world.sdp(Command::Offer(Box::new(other)));
    let mut other = signal(
        "a",
        Some("c"),
        &with(ANSWER, "UDP/TLS/RTP/SAVPF", &DTLS.replace("actpass", "active")),
    );
    other.via_branch = Some("2".into());
    let sdp = world.sdp(Command::Answer(Box::new(other)));
    let video = sdp.split("m=video").nth(1).unwrap();
    assert!(
        video.contains("a=recvonly") && video.contains("a=fingerprint:"),
        "{video}"
    );
}
