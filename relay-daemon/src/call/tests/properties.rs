//! Whatever is signalled: no panic, no lost port, no plan that contradicts itself.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::call::CodecPattern;
use crate::call::command::{
    AliasKey, Branch, BundleOffer, BundleOptions, CodecSpec, Command, IceMode, PortLatching, Reply,
    SignalOptions, Strangers,
};
use crate::plan::{Plan, StreamId};
use crate::sdp::AddressFamily;

use super::world::{World, delete, is_refused, signal};

/// A section of a made-up SDP.
#[derive(Clone, Debug)]
struct Section {
    kind: &'static str,
    port: u16,
    address: &'static str,
    attributes: Vec<&'static str>,
}

fn section() -> impl Strategy<Value = Section> {
    let kind = prop::sample::select(vec![
        "audio PORT RTP/AVP 8 101",
        "video PORT RTP/AVPF 96",
        "audio PORT RTP/SAVP 8",
        "audio PORT UDP/TLS/RTP/SAVPF 8",
        "application PORT UDP/DTLS/SCTP webrtc-datachannel",
        "image PORT udptl t38",
        "message PORT TCP/MSRP *",
    ]);
    let port = prop::sample::select(vec![0, 9, 4000, 4002, 4004, 65535]);
    let address = prop::sample::select(vec![
        "IP4 198.51.100.31",
        "IP4 198.51.100.32",
        "IP4 0.0.0.0",
        "IP6 ::",
        "IP6 2001:db8::7",
    ]);
    let attribute = prop::sample::select(vec![
        "sendonly",
        "recvonly",
        "inactive",
        "rtcp-mux",
        "rtcp:9",
        "rtcp:4000",
        "mid:x",
        "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        "crypto:7 AES_CM_128_HMAC_SHA1_32 inline:PS1uQCVeeCFCanVmcjkpPCxcIXVzZXJzZGF0YTEy",
        "fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
        "setup:active",
        "ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg",
        "ice-ufrag:7ggX\r\na=ice-pwd:zzz88fgpdd777uzjYhagZg\r\na=ice-options:trickle",
        "candidate:1 1 UDP 2130706431 198.51.100.31 4000 typ host",
        "mid:y",
        "bundle-only",
        "extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
        "ssrc:1 cname:x",
    ]);
    (kind, port, address, prop::collection::vec(attribute, 0..3)).prop_map(
        |(kind, port, address, attributes)| Section {
            kind,
            port,
            address,
            attributes,
        },
    )
}

fn sdp(sections: &[Section]) -> String {
    let mut sdp = "v=0\r\no=- 1 1 IN IP4 198.51.100.31\r\ns=-\r\nt=0 0\r\na=group:BUNDLE x y\r\n".to_owned();
    for section in sections {
        let media = section.kind.replace("PORT", &section.port.to_string());
        sdp += &format!("m={media}\r\nc=IN {}\r\n", section.address);
        for attribute in &section.attributes {
            sdp += &format!("a={attribute}\r\n");
        }
    }
    sdp
}

#[derive(Clone, Debug)]
enum Step {
    Command(Command),
    Pass(u64),
    Limit(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => message().prop_map(Step::Command),
        2 => (tag(), prop::option::of(0..40u64)).prop_map(|(from, delay)| Step::Command(delete(from, delay))),
        2 => (0..100u64).prop_map(Step::Pass),
        1 => (0..40usize).prop_map(Step::Limit),
    ]
}

fn tag() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(vec!["a", "b", "c"]))
}

pub(super) fn message() -> impl Strategy<Value = Command> {
    let latching = prop::sample::select(vec![
        PortLatching::Automatic,
        PortLatching::Always,
        PortLatching::Never,
    ]);
    let family = prop::option::of(prop::sample::select(vec![AddressFamily::Ip4, AddressFamily::Ip6]));
    let branch = prop::option::of(prop::sample::select(vec!["1", "2"]));
    let parties = (any::<bool>(), tag(), tag(), branch);
    let removed = prop::collection::vec(prop::sample::select(vec!["audio", "video", "image"]), 0..2);
    let list = || prop::collection::vec(prop::sample::select(vec!["PCMA", "VP8", "all", "96"]), 0..2);
    let transcode = prop::collection::vec(prop::sample::select(vec!["PCMU", "opus", "nope"]), 0..2);
    let codecs = ([list(), list(), list()], transcode);
    let bundle = (
        any::<[bool; 2]>(),
        prop::sample::select(vec![
            BundleOffer::No,
            BundleOffer::Offered,
            BundleOffer::Required,
            BundleOffer::Strict,
        ]),
    );
    let strangers = (
        any::<[bool; 3]>(),
        prop::sample::select(vec![AliasKey::Off, AliasKey::Sdp, AliasKey::Address]),
    );
    let strangers = strangers.prop_map(|([new_branch, provisional, is_final], alias_key)| Strangers {
        alias_key,
        new_branch,
        provisional,
        is_final,
    });
    let options = (
        latching,
        family,
        any::<[bool; 5]>(),
        removed,
        codecs,
        bundle,
        strangers,
        prop::option::weighted(0.4, any::<bool>()),
    );
    let sections = prop::collection::vec(section(), 0..4);
    (parties, sections, options, secure()).prop_map(|(parties, sections, options, secure)| {
        let (is_offer, from, to, branch) = parties;
        let mut signal = signal(from.unwrap_or("a"), to, &sdp(&sections));
        signal.via_branch = branch.map(Branch::from);
        let (latching, family, mux, removed, codecs, bundle, strangers, generate_rtcp) = options;
        let ((lists, transcode), ([accept, reject], offer)) = (codecs, bundle);
        signal.options.strangers = strangers;
        signal.options.generate_rtcp = generate_rtcp;
        signal.options.bundle = BundleOptions {
            accept,
            offer,
            reject,
        };
        signal.options.removed_media = removed;
        let [stripped, masked, accepted] =
            lists.map(|list| list.into_iter().map(CodecPattern::from).collect());
        signal.options.codecs.strip = stripped;
        signal.options.codecs.mask = masked;
        signal.options.codecs.accept = accepted;
        signal.options.codecs.transcode = transcode.into_iter().map(CodecSpec::from).collect();
        signal.options.port_latching = latching;
        signal.options.address_family = family;
        secure.apply(&mut signal.options);
        let rtcp_mux = &mut signal.options.rtcp_mux;
        [
            rtcp_mux.offer,
            rtcp_mux.require,
            rtcp_mux.demux,
            rtcp_mux.accept,
            rtcp_mux.reject,
        ] = mux;
        match is_offer {
            true => Command::Offer(Box::new(signal)),
            false => Command::Answer(Box::new(signal)),
        }
    })
}

/// Options about encryption and ICE.
#[derive(Clone, Debug)]
struct Secure {
    ice: IceMode,
    profile: Option<&'static str>,
    /// Flags: SDES off, DTLS off, OSRTP accepted, legacy OSRTP accepted, reset.
    flags: [bool; 6],
}

fn secure() -> impl Strategy<Value = Secure> {
    let ice = prop::sample::select(vec![
        IceMode::Default,
        IceMode::Remove,
        IceMode::Force,
        IceMode::Optional,
        IceMode::ForceRelay,
    ]);
    let profiles = vec!["rtp/avp", "rtp/savp", "udp/tls/rtp/savpf"];
    let profile = prop::option::weighted(0.3, prop::sample::select(profiles));
    (ice, profile, any::<[bool; 6]>()).prop_map(|(ice, profile, flags)| Secure { ice, profile, flags })
}

impl Secure {
    fn apply(self, options: &mut SignalOptions) {
        options.ice.mode = self.ice;
        options.transport_protocol = self.profile.map(str::to_owned);
        [
            options.sdes.off,
            options.dtls.off,
            options.osrtp.offer,
            options.osrtp.offer_legacy,
            options.osrtp.accept_legacy,
            options.reset,
        ] = self.flags;
    }
}

/// Streams send only to streams of other parties that exist, media of one kind to its like.
fn check(plan: &Plan) {
    let streams: BTreeMap<StreamId, _> = plan.streams.iter().map(|stream| (stream.id, stream)).collect();
    assert_eq!(streams.len(), plan.streams.len());
    for stream in &plan.streams {
        let lead = stream.bundle.as_ref().map(|bundle| streams[&bundle.lead]);
        assert!(!stream.ports.is_empty() || lead.is_some());
        assert!(lead.is_none_or(|lead| lead.kind == stream.kind && !lead.ports.is_empty()));
        let sinks = stream.sinks.iter().map(|sink| &sink.stream);
        for sink in sinks.chain(&stream.rtcp_sinks) {
            assert!(
                *sink != stream.id && streams.contains_key(sink),
                "{sink:?} in {plan:#?}"
            );
        }
        for sink in &stream.sinks {
            assert_eq!(streams[&sink.stream].kind, stream.kind);
        }
    }
}

/// Whether a message is for somebody who is not known by that tag: each time it comes, it is for somebody else.
fn makes_somebody_up(world: &mut World, message: &Command) -> bool {
    let tag = if let Command::Offer(signal) = message {
        signal.to_tag.clone()
    } else if let Command::Answer(signal) = message {
        Some(signal.from_tag.clone())
    } else {
        None
    };
    let show = world
        .calls
        .handle(world.now, Command::Show("call".into()), &mut world.host);
    let Ok(Reply::Show(call)) = show else {
        return tag.is_some();
    };
    let is_known = |tag: &str| {
        let mut names = call
            .parties
            .iter()
            .flat_map(|party| party.tag.iter().chain(&party.aliases));
        names.any(|known| known == tag)
    };
    tag.is_some_and(|tag| !is_known(&tag.0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_repeated_message_changes_nothing(messages in prop::collection::vec(message(), 1..8)) {
        let mut world = World::new();
        for message in messages {
            if makes_somebody_up(&mut world, &message) || world.handle(message.clone()).is_err() {
                continue;
            }
            // Who was offered mux with a port to fall back to needs none from the second time on.
            prop_assert!(world.handle(message.clone()).is_ok());
            let before = world.plan().clone();
            prop_assert!(world.handle(message).is_ok());
            let after = world.plan();
            prop_assert_eq!(after.revision, before.revision + 1);
            prop_assert_eq!(format!("{:?}", after.streams), format!("{:?}", before.streams));
        }
    }

    #[test]
    fn anything_goes(steps in prop::collection::vec(step(), 1..30)) {
        let mut world = World::new();
        for step in steps {
            match step {
                // World::handle checks that the ports that are reserved are those that stand in plans.
                Step::Command(command) => {
                    let before = world.plans.values().next().map(|plan| plan.revision);
                    let refused = is_refused(&world.handle(command));
                    let after = world.plans.values().next().map(|plan| plan.revision);
                    prop_assert!(!refused || before == after, "a refused command changes nothing");
                }
                Step::Pass(seconds) => {
                    world.pass(seconds);
                }
                Step::Limit(limit) => world.host.limit = limit,
            }
            world.plans.values().for_each(check);
            let reports = world.calls.handle(world.now, Command::Calls { offset: 0, limit: 10 }, &mut world.host);
            prop_assert!(reports.is_ok());
        }
        world.pass(Duration::from_secs(20_000).as_secs());
        prop_assert_eq!(world.calls.session_count(), 0);
        prop_assert_eq!(world.host.in_use(), 0);
    }
}
