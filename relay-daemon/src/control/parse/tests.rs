//! What requests come to, key by key. Requests are written as JSON here; bencode says the same.

mod arbitrary;
mod edits;
mod media;
mod secure;
mod spellings;
mod templates;

use std::net::IpAddr;
use std::time::Duration;

use relay_common::ng::Request;

use crate::call::{
    AddressFamily, AddressTrust, AliasKey, Branch, BundleOffer, BundleOptions, CallId, CodecOptions, Command,
    IceMode, IceOptions, InterfaceChoice, PortLatching, Replace, RtcpAttribute, RtcpMuxOptions, Signal,
    SignalOptions, Tag, TosRule,
};
use crate::config::Templates;
use crate::control::notices::{Notice, Notices};
use crate::plan::{KernelUse, Learning, SourcePolicy};

use super::{Asked, RequestError, asked};

fn ask(body: &str) -> (Result<Asked, RequestError>, Notices) {
    let request = Request::parse(body.as_bytes()).unwrap();
    let mut notices = Notices::default();
    (asked(&request, &Templates::default(), &mut notices), notices)
}

fn command(body: &str) -> Command {
    match ask(body).0 {
        Ok(Asked::Command { command, .. }) => command,
        other => panic!("{body}: {other:?}"),
    }
}

/// An offer with the keys of `more` besides the ones it cannot do without.
fn offer(more: &str) -> (Signal, Notices) {
    let body = format!(r#"{{"command":"offer","sdp":"v=0","call-id":"c","from-tag":"f"{more}}}"#);
    match ask(&body) {
        (
            Ok(Asked::Command {
                command: Command::Offer(signal),
                ..
            }),
            notices,
        ) => (*signal, notices),
        (other, _) => panic!("{body}: {other:?}"),
    }
}

fn options(more: &str) -> SignalOptions {
    offer(more).0.options
}

/// The options of an offer with one flag.
fn flagged(flag: &str) -> SignalOptions {
    options(&format!(r#","flags":["{flag}"]"#))
}

#[test]
fn an_offer_without_options_has_the_defaults() {
    let (signal, _) = offer("");
    assert_eq!(signal.sdp, "v=0");
    assert_eq!(signal.call_id, CallId::from("c"));
    assert_eq!(signal.from_tag, Tag::from("f"));
    assert_eq!(signal.to_tag, None);
    assert_eq!(signal.via_branch, None);
    assert_eq!(signal.options, SignalOptions::default());
}

#[test]
fn keys_have_other_spellings() {
    let body =
        r#"{"command":"answer","SDP":"v=0","call ID":"c","from tag":"f","to_tag":"t","via-branch":"b"}"#;
    let Command::Answer(signal) = command(body) else {
        panic!()
    };
    assert_eq!(signal.call_id, CallId::from("c"));
    assert_eq!(signal.from_tag, Tag::from("f"));
    assert_eq!(signal.to_tag, Some(Tag::from("t")));
    assert_eq!(signal.via_branch, Some(Branch::from("b")));
}

#[test]
fn an_empty_to_tag_or_branch_is_none() {
    let (signal, _) = offer(r#","to-tag":"","via-branch":"""#);
    assert_eq!((signal.to_tag, signal.via_branch), (None, None));
}

#[test]
fn what_an_offer_lacks_is_missed_in_order() {
    let error = |body: &str| ask(body).0.unwrap_err().to_string();
    assert_eq!(error(r#"{"command":"offer"}"#), "No SDP body in message");
    assert_eq!(error(r#"{"command":"offer","sdp":""}"#), "No call-id in message");
    assert_eq!(
        error(r#"{"command":"offer","sdp":"","call-id":""}"#),
        "No from-tag in message"
    );
    assert_eq!(
        error(r#"{"command":"answer","sdp":"","call-id":"","from-tag":""}"#),
        "No to-tag in message"
    );
    assert_eq!(
        error(r#"{"command":"offer","sdp":["v=0"]}"#),
        "No SDP body in message"
    );
    assert_eq!(error(r#"{"command":"query"}"#), "No call-id in message");
    assert_eq!(error(r#"{"x":1}"#), "Dictionary contains no key \"command\"");
    assert_eq!(error(r#"{"command":"frobnicate"}"#), "Unrecognized command");
}

#[test]
fn replace_knows_its_words() {
    let replace = |words: &str| options(&format!(r#","replace":{words}"#)).replace;
    let all = r#"["origin","session connection","username","session-name","origin_full","zero-address"]"#;
    let expected = Replace {
        origin: true,
        username: true,
        session_name: true,
        origin_full: true,
        zero_address: true,
        version: false,
        force_version: false,
    };
    assert_eq!(replace(all), expected);
    assert_eq!(
        replace(r#""origin""#),
        Replace {
            origin: true,
            ..Replace::default()
        }
    );
    assert!(replace(r#""sdp version""#).version);
    let both = replace(r#""force-increment-sdp-ver,SDP-version""#);
    assert!(both.force_version && both.version);
    assert_eq!(
        flagged("replace-session name").replace,
        Replace {
            session_name: true,
            ..Replace::default()
        }
    );
}

#[test]
fn rtcp_mux_knows_its_words() {
    let all = RtcpMuxOptions {
        offer: true,
        require: true,
        demux: true,
        accept: true,
        reject: true,
    };
    assert_eq!(
        options(r#","rtcp-mux":["offer","require","demux","accept","reject"]"#).rtcp_mux,
        all
    );
    assert_eq!(
        options(r#","RTCP mux":"offer,require,demux,accept,reject""#).rtcp_mux,
        all
    );
    let require = RtcpMuxOptions {
        require: true,
        ..RtcpMuxOptions::default()
    };
    assert_eq!(flagged("rtcp-mux-require").rtcp_mux, require);
}

#[test]
fn bundles_are_asked_for_in_several_spellings() {
    let both = BundleOptions {
        accept: true,
        offer: BundleOffer::Required,
        reject: false,
    };
    for keys in [
        r#","bundle":["accept","offer","require"]"#,
        r#","BUNDLE":"require,accept""#,
        r#","flags":["BUNDLE-accept","bundle-require"]"#,
        r#","flags":["WebRTC"],"bundle":["accept"]"#,
    ] {
        assert_eq!(options(keys).bundle, both, "{keys}");
    }
    let (_, notices) = offer(r#","bundle":["sometimes"]"#);
    assert!(notices.has(Notice::BadValue, "bundle=sometimes"));
}

#[test]
fn a_final_response_is_told_by_code_and_type() {
    let is_final = |keys: &str| options(keys).strangers.is_final;
    for (keys, expected) in [
        (r#","SIP-code":200,"SIP-message-type":"SIP_response""#, true),
        (r#","SIP-code":200,"SIP-message-type":"response""#, false),
        (r#","sip-code":"486","SIP-message-type":"SIP reply""#, true),
        (r#","sip_code":183,"SIP-message-type":"sip-reply""#, false),
        (r#","SIP-code":200,"SIP-message-type":"sip-request""#, false),
        (r#","SIP-code":200"#, false),
    ] {
        assert_eq!(is_final(keys), expected, "{keys}");
    }
    assert_eq!(
        options(r#","alias-key":"endpoint""#).strangers.alias_key,
        AliasKey::Address
    );
    assert_eq!(
        options(r#","alias-key":"SDP""#).strangers.alias_key,
        AliasKey::Sdp
    );
    assert_eq!(options(r#","alias-key":"no""#).strangers.alias_key, AliasKey::Off);
}

#[test]
fn flags_have_their_places() {
    assert_eq!(flagged("trust-address").address_trust, AddressTrust::Sdp);
    assert_eq!(
        flagged("SIP source address").address_trust,
        AddressTrust::SipSource(None)
    );
    assert!(flagged("asymmetric").asymmetric);
    assert_eq!(flagged("strict source").other_source, SourcePolicy::Drop);
    assert_eq!(flagged("media-handover").other_source, SourcePolicy::Follow);
    assert_eq!(flagged("port-latching").port_latching, PortLatching::Always);
    assert_eq!(flagged("no-port-latching").port_latching, PortLatching::Never);
    assert!(flagged("reset").reset);
    assert_eq!(flagged("generate-RTCP").generate_rtcp, Some(true));
    let off = options(r#","flags":["generate-RTCP"],"generate-RTCP":"off""#);
    assert_eq!(off.generate_rtcp, Some(false));
    assert!(flagged("loop-protect").loop_protect);
    assert_eq!(flagged("full rtcp attribute").rtcp_attribute, RtcpAttribute::Full);
    assert_eq!(
        flagged("no-rtcp-attribute").rtcp_attribute,
        RtcpAttribute::Omitted
    );
    assert!(flagged("new-branch").strangers.new_branch);
    assert!(flagged("provisional").strangers.provisional);
    assert!(flagged("allow-asymmetric-codecs").codecs.asymmetric);
    assert!(flagged("generate-mid").generate_mid);
    assert!(flagged("original-sendrecv").original_direction);
    assert_eq!(flagged("endpoint-learning-off").learning, Some(Learning::Off));
    assert_eq!(
        options(r#","flags":"asymmetric,reset""#),
        SignalOptions {
            asymmetric: true,
            reset: true,
            ..SignalOptions::default()
        }
    );
}

#[test]
fn web_rtc_is_many_options_and_later_keys_win() {
    let web = flagged("WebRTC");
    assert_eq!(web.transport_protocol.as_deref(), Some("udp/tls/rtp/savpf"));
    assert_eq!(web.ice.mode, IceMode::Force);
    assert!(web.ice.trickle);
    assert!(web.rtcp_mux.offer && web.rtcp_mux.require && web.generate_mid);
    assert_eq!(web.rtcp_attribute, RtcpAttribute::Omitted);
    assert!(web.sdes.off);
    assert_eq!(
        options(r#","flags":["webrtc"],"ICE":"remove""#).ice.mode,
        IceMode::Remove
    );
    assert_eq!(
        options(r#","ICE":"remove","flags":["webrtc"]"#).ice.mode,
        IceMode::Force
    );
}

#[test]
fn addresses_are_parsed() {
    let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    let v4 = address("198.51.100.77");
    assert_eq!(options(r#","media-address":"198.51.100.77""#).media_address, v4);
    assert_eq!(
        options(r#","media address":"[2001:db8::1]""#).media_address,
        address("2001:db8::1")
    );
    assert_eq!(
        options(r#","received-from":["IP4","198.51.100.77"]"#).received_from,
        v4
    );
    assert_eq!(options(r#","received from":"198.51.100.77""#).received_from, v4);
    assert_eq!(
        options(r#","address-family":"IP6""#).address_family,
        Some(AddressFamily::Ip6)
    );

    // The order of flag and address does not matter.
    for keys in [
        r#","flags":["SIP-source-address"],"received-from":["IP4","198.51.100.77"]"#,
        r#","received-from":["IP4","198.51.100.77"],"flags":["SIP-source-address"]"#,
    ] {
        assert_eq!(options(keys).address_trust, AddressTrust::SipSource(v4));
    }
}

#[test]
fn interfaces_are_named_in_two_ways() {
    let both = InterfaceChoice {
        from: Some("priv".to_owned()),
        to: Some("pub".to_owned()),
        ..InterfaceChoice::default()
    };
    assert_eq!(options(r#","direction":["priv","pub"]"#).interfaces, both);
    assert_eq!(
        options(r#","from-interface":"priv","to interface":"pub""#).interfaces,
        both
    );
    let one = InterfaceChoice {
        from: Some("priv".to_owned()),
        ..InterfaceChoice::default()
    };
    assert_eq!(options(r#","direction":["priv"]"#).interfaces, one);
    let none = InterfaceChoice::default();
    assert_eq!(options(r#","direction":"priv,pub""#).interfaces, none);
}

#[test]
fn what_is_said_last_of_interfaces_counts() {
    let towards = |peer: IpAddr| (peer == IpAddr::from([192, 0, 2, 1])).then(|| "way".to_owned());
    for (keys, from, to) in [
        (r#","direction":["a","b"],"inbound-peer":"192.0.2.1""#, "way", "b"),
        (r#","inbound peer":"192.0.2.1","direction":["a","b"]"#, "a", "b"),
        (
            r#","direction":["a","b"],"outbound-peer":"192.0.2.1""#,
            "a",
            "way",
        ),
        (r#","outbound-peer":"192.0.2.1","to-interface":"b""#, "", "b"),
        // Nothing leads there, or it is no address.
        (r#","direction":["a","b"],"inbound-peer":"192.0.2.2""#, "a", "b"),
        (r#","direction":["a","b"],"inbound-peer":"a""#, "a", "b"),
        (r#","rtpp-flags":"inbound-peer=192.0.2.1""#, "way", ""),
    ] {
        let mut interfaces = options(keys).interfaces;
        interfaces.resolve(towards);
        let named = |name: Option<String>| name.unwrap_or_default();
        assert_eq!(
            (&*named(interfaces.from), &*named(interfaces.to)),
            (from, to),
            "{keys}"
        );
    }
}

#[test]
fn numbers_may_be_strings() {
    assert_eq!(options(r#","TOS":184"#).tos, TosRule::Set(184));
    assert_eq!(options(r#","tos":"184""#).tos, TosRule::Set(184));
    assert_eq!(options(r#","TOS":256"#).tos, TosRule::Configured);
    assert_eq!(options(r#","TOS":-1"#).tos, TosRule::Keep);
    assert_eq!(options(r#","tos":"184x""#).tos, TosRule::Set(184));
    assert_eq!(
        options(r#","label":7"#).label,
        None,
        "but not the other way round"
    );
    assert_eq!(options(r#","label":"7""#).label.as_deref(), Some("7"));
}

#[test]
fn other_values_are_kept_as_they_are() {
    let options = options(
        r#","transport protocol":"Rtp/AvpF","label":"A","metadata":"k:v","endpoint-learning":"delayed""#,
    );
    assert_eq!(options.transport_protocol.as_deref(), Some("rtp/avpf"));
    assert_eq!(options.label.as_deref(), Some("A"));
    assert_eq!(options.metadata.as_deref(), Some("k:v"));
    assert_eq!(options.learning, Some(Learning::Delayed));
}

#[test]
fn what_is_unknown_is_passed_over_with_a_notice() {
    let keys = r#","frob":"x","codec":{"set":["PCMA"],"transcode":"opus"},"supports":["load limit"],
        "flags":["no such flag","symmetric","inject-DTMF","replace-everything"],
        "replace":["origin","nothing"],"media-address":"garbage","address-family":"IP5","ICE":["remove","lite-sideways"],
        "endpoint-learning":"nonsense","transport-protocol":"RTP/NONE""#;
    let (signal, notices) = offer(keys);
    let expected = SignalOptions {
        replace: Replace {
            origin: true,
            ..Replace::default()
        },
        ice: IceOptions {
            mode: IceMode::Remove,
            ..IceOptions::default()
        },
        codecs: CodecOptions {
            transcode: vec!["opus".into()],
            events_to_come: true,
            ..CodecOptions::default()
        },
        ..SignalOptions::default()
    };
    assert_eq!(signal.options, expected);
    for (notice, name) in [
        (Notice::UnknownKey, "frob"),
        (Notice::NotSupportedYet, "codec-set"),
        (Notice::NotSupportedYet, "codec-transcode"),
        (Notice::UnknownFlag, "no-such-flag"),
        (Notice::UnknownFlag, "replace-everything"),
        (Notice::NotSupportedYet, "inject-DTMF"),
        (Notice::BadValue, "replace=nothing"),
        (Notice::BadValue, "media-address=garbage"),
        (Notice::BadValue, "address-family=IP5"),
        (Notice::BadValue, "ICE=lite-sideways"),
        (Notice::BadValue, "endpoint-learning=nonsense"),
        (Notice::BadValue, "transport-protocol=RTP/NONE"),
    ] {
        assert!(notices.has(notice, name), "{notice:?} {name}");
    }
    assert_eq!(notices.count(), 12);
}

#[test]
fn flag_strings_are_understood_as_far_as_possible() {
    let flags = |text: &str| options(&format!(r#","rtpp_flags":"{text}""#));
    let plain = flags("generate-mid ICE=force");
    for text in [
        "[ generate-mid ] ICE=force",
        "generate-mid= ICE=force",
        "] generate-mid ICE=[force",
        "ICE=[force] generate-mid ]",
        "  ICE=[  force ]   generate-mid",
        "sdp-attr=[audio=[x-one]] sdp-media-remove=bad generate-mid ICE=force sdp-attr=",
        "media=[ generate-mid] generate-mid ICE=force",
    ] {
        assert_eq!(flags(text), plain, "{text}");
    }
    let nothing = flags("");
    for text in [
        "[generate-mid",
        "[generate-mid]",
        "ICE=[force]x generate-mid",
        "ICE= force",
        "a\\tgenerate-mid",
    ] {
        assert_eq!(flags(text), nothing, "{text}");
    }
    let edits = |text: &str| flags(text).attributes;
    let substituted = edits("sdp-attr-substitute-audio-sendrecv>in..active");
    assert!(!substituted.0.is_empty());
    assert_eq!(
        edits("sdp-attr=[audio=[substitute=sendrecv>in..active]]"),
        substituted
    );
    assert_eq!(
        edits("sdp-attr=[audio=[substitute=[[sendrecv in..active more]]]]"),
        substituted
    );
    assert_eq!(edits("sdp-attr-add-audio-"), nothing.attributes);
}

#[test]
fn flag_strings_say_the_same_as_keys() {
    let flags = |text: &str| options(&format!(r#","rtpp_flags":"{text}""#));
    assert_eq!(
        flags(
            "replace-origin ICE=remove transport-protocol=RTP/AVPF rtcp-mux=[offer] full-rtcp-attribute label=one"
        ),
        options(
            r#","replace":["origin"],"ICE":"remove","transport-protocol":"RTP/AVPF","rtcp-mux":["offer"],
               "flags":["full-rtcp-attribute"],"label":"one""#
        )
    );
    assert_eq!(
        flags("replace=[origin session-name] ICE=remove codec=[strip=[all] offer=[PCMU]] SDES-off"),
        options(
            r#","replace":["origin","session-name"],"ICE":"remove","flags":["SDES-off"],
               "codec":{"strip":["all"],"offer":["PCMU"]}"#
        )
    );
    assert_eq!(
        flags("direction=priv direction=pub").interfaces,
        flags("direction=[priv pub]").interfaces
    );
    assert_eq!(
        flags("internal external").interfaces.to.as_deref(),
        Some("external")
    );
    assert_eq!(
        flags("UDP/TLS/RTP/SAVPF").transport_protocol.as_deref(),
        Some("udp/tls/rtp/savpf")
    );
    for (words, profile) in [
        ("RTP", "rtp/avp"),
        ("RTP AVPF", "rtp/avpf"),
        ("SRTP AVP", "rtp/savp"),
        ("SRTP AVPF", "rtp/savpf"),
        ("DTLS", "udp/tls/rtp/savp"),
        ("SRTP AVPF DTLS", "udp/tls/rtp/savpf"),
    ] {
        assert_eq!(
            flags(words).transport_protocol.as_deref(),
            Some(profile),
            "{words}"
        );
    }
    assert_eq!(
        flags("media-address=[2001:db8::1]").media_address,
        Some("2001:db8::1".parse().unwrap())
    );
    assert_eq!(flags("rtpp_flags=loop-protect"), SignalOptions::default());
}

#[test]
fn a_broken_flag_string_is_read_as_far_as_it_goes() {
    let flags = |text: &str| options(&format!(r#","rtpp_flags":"{text}""#));
    assert_eq!(
        flags("ICE=remove replace=[origin"),
        flags("ICE=remove replace=[origin]")
    );
    assert_eq!(flags("] = =x x= [ ] ICE=remove").ice.mode, IceMode::Remove);
    assert_eq!(flags(&"codec=[".repeat(100_000)), SignalOptions::default());
}

#[test]
fn a_delete_honours_its_flags() {
    let delete = |more: &str| {
        let body = format!(r#"{{"command":"delete","call-id":"c"{more}}}"#);
        let Command::Delete(delete) = command(&body) else {
            panic!("{body}")
        };
        delete
    };
    let plain = delete(r#","from-tag":"","to-tag":"t","delete-delay":-1"#);
    assert_eq!((plain.from_tag, plain.to_tag, plain.delay), (None, None, None));
    assert!(!plain.fatal && !plain.fast);

    let full = delete(
        r#","from-tag":"f","to-tag":"t","via-branch":"b","delete_delay":"0","flags":"fatal,fast,to tag""#,
    );
    assert_eq!(
        (full.from_tag, full.to_tag),
        (Some(Tag::from("f")), Some(Tag::from("t")))
    );
    assert_eq!(full.via_branch, Some(Branch::from("b")));
    assert_eq!(full.delay, Some(Duration::ZERO));
    assert!(full.fatal && full.fast);

    let by_string = delete(r#","rtpp-flags":"to-tag=t","delete-delay":5"#);
    assert_eq!(
        (by_string.to_tag, by_string.delay),
        (Some(Tag::from("t")), Some(Duration::from_secs(5)))
    );
}

#[test]
fn lists_have_limits() {
    let limit = |body: &str| {
        let (Command::List { limit } | Command::Calls { limit, .. }) = command(body) else {
            panic!("{body}");
        };
        limit
    };
    assert_eq!(limit(r#"{"command":"list"}"#), 32);
    assert_eq!(limit(r#"{"command":"list","limit":"7"}"#), 7);
    assert_eq!(limit(r#"{"command":"list","limit":"abc"}"#), 32);
    assert_eq!(limit(r#"{"command":"relay calls","offset":3}"#), 100);
    let negative = ask(r#"{"command":"list","limit":-1}"#).0.unwrap_err();
    assert_eq!(negative.to_string(), "invalid limit, must be >= 0");
}

#[test]
fn our_own_commands_are_parsed() {
    let calls = command(r#"{"command":"relay calls","offset":3,"limit":5}"#);
    assert!(matches!(calls, Command::Calls { offset: 3, limit: 5 }));
    let show = command(r#"{"command":"relay show","call-id":"c"}"#);
    assert!(matches!(show, Command::Show(id) if id == CallId::from("c")));
    let off = command(r#"{"command":"relay kernel","call-id":"c","state":"off"}"#);
    assert!(matches!(off, Command::Kernel(_, KernelUse::SwitchedOff)));
    let on = command(r#"{"command":"relay kernel","call-id":"c","state":"on"}"#);
    assert!(matches!(on, Command::Kernel(_, KernelUse::Allowed)));
    let error = ask(r#"{"command":"relay kernel","call-id":"c","state":"maybe"}"#)
        .0
        .unwrap_err();
    assert_eq!(error, RequestError::NoState);
}
