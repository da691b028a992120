//! Entries of `flags`.

use crate::call::{
    AddressTrust, BundleOffer, CodecChoice, CodecOrder, CodecPattern, IceMode, NothingLeft, PortLatching,
    RtcpAttribute,
};
use crate::plan::SourcePolicy;

use super::super::notices::{Notice, Notices};
use super::message::Message;
use super::options::{self, Applied, hyphenated};
use super::secure;
use super::{edits, known};

/// Applies one flag. A space may stand for `-`.
pub(super) fn apply(message: &mut Message, given: &str, notices: &mut Notices) {
    let flag = &*hyphenated(given);
    let options = &mut message.options;
    match flag {
        "trust-address" => options.address_trust = AddressTrust::Sdp,
        "SIP-source-address" | "sip-source-address" => options.address_trust = AddressTrust::SipSource(None),
        "asymmetric" => options.asymmetric = true,
        "NAT-wait" | "nat-wait" => options.nat_wait = true,
        "pierce-NAT" | "pierce-nat" => options.pierce_nat = true,
        "generate-RTCP" | "generate-rtcp" => options.generate_rtcp = Some(true),
        "debug" | "debugging" => options.debug = true,
        "block-short" | "block-shorts" | "block-short-packets" => options.block_short = true,
        "recrypt" => options.recrypt = true,
        "passthrough" => options.ice.passthrough = Some(true),
        "no-passthrough" => options.ice.passthrough = Some(false),
        "unidirectional" => options.unidirectional = true,
        "strict-source" => {
            options.strict_handover |= options.other_source == SourcePolicy::Follow;
            options.other_source = SourcePolicy::Drop;
        }
        "media-handover" => {
            options.strict_handover |= options.other_source == SourcePolicy::Drop;
            options.other_source = SourcePolicy::Follow;
        }
        "port-latching" => options.port_latching = PortLatching::Always,
        "no-port-latching" => options.port_latching = PortLatching::Never,
        "reset" => options.reset = true,
        "loop-protect" => options.loop_protect = true,
        "full-rtcp-attribute" if options.rtcp_attribute == RtcpAttribute::Omitted => {}
        "full-rtcp-attribute" => options.rtcp_attribute = RtcpAttribute::Full,
        "no-rtcp-attribute" => options.rtcp_attribute = RtcpAttribute::Omitted,
        "generate-mid" => options.generate_mid = true,
        "original-sendrecv" => options.original_direction = true,
        "strip-extmap" => edits::add_extension(&mut options.stripped_extensions, "all"),
        "single-codec" => options.codecs.choice = CodecChoice::First,
        "reuse-codecs" | "no-codec-renegotiation" => options.codecs.order = CodecOrder::Known,
        "static-codecs" | "static-codec" => options.codecs.order = CodecOrder::Static,
        "allow-no-codec-media"
        | "allow-empty-codec-media"
        | "allow-no-codec-medias"
        | "allow-empty-codec-medias" => {
            options.codecs.nothing_left = NothingLeft::Rejected;
        }
        "pad-crypto" => options.sdes.pad = true,
        "no-tls-id" => options.dtls.no_tls_id = true,
        "trickle-ICE" | "trickle-ice" => options.ice.trickle = true,
        "ICE-reject" | "reject-ICE" | "ice-reject" | "reject-ice" => options.ice.reject = true,
        "fragment" => message.fragment = true,
        "WebRTC" | "webrtc" | "webRTC" | "WebRtc" => web_rtc(message),
        "new-branch" => options.strangers.new_branch = true,
        "provisional" => options.strangers.provisional = true,
        "force-transcoding" => {
            options.codecs.force = true;
            known::flag(flag, notices);
        }
        "inject-DTMF" => {
            options.codecs.events_to_come = true;
            known::flag(flag, notices);
        }
        "always-transcode" => options.codecs.accept.push(CodecPattern::All),
        "allow-asymmetric-codecs" => options.codecs.asymmetric = true,
        "fatal" => message.fatal = true,
        "fast" => message.fast = true,
        "to-tag" | "to_tag" => message.to_tag_counts = true,
        "block-DTMF" | "block-dtmf" => options.block_events = true,
        _ if message.media.flag(flag) => {}
        _ if flag.starts_with("sdp-attr-") || flag.starts_with("SDP-attr-") => {
            // Spaces are part of what is added.
            if edits::attribute(&mut options.attributes, &given["sdp-attr-".len()..]) == Applied::No {
                notices.give(Notice::UnknownFlag, given);
            }
        }
        _ if prefixed(message, flag, notices) => {}
        _ => known::flag(flag, notices),
    }
}

/// Flags that spell an entry of another option, as in `rtcp-mux-offer`; tells whether this is one.
fn prefixed(message: &mut Message, flag: &str, notices: &mut Notices) -> bool {
    let options = &mut message.options;
    let heard = if let Some(word) = strip(flag, &["replace-"]) {
        options::replace(&mut options.replace, word)
    } else if let Some(word) = strip(flag, &["rtcp-mux-", "RTCP-mux-"]) {
        options::rtcp_mux(&mut options.rtcp_mux, word)
    } else if let Some(word) = strip(flag, &["BUNDLE-", "bundle-"]) {
        options::bundle(&mut options.bundle, word)
    } else if let Some(word) = strip(flag, &["SDES-", "sdes-"]) {
        secure::sdes(&mut options.sdes, word)
    } else if let Some(word) = strip(flag, &["OSRTP-", "osrtp-"]) {
        secure::osrtp(&mut options.osrtp, word)
    } else if let Some(word) = strip(flag, &["DTLS-", "dtls-"]) {
        secure::dtls(&mut options.dtls, word)
    } else if let Some(word) = strip(flag, &["endpoint-learning-"]) {
        let learning = options::learning(word);
        options.learning = learning.or(options.learning);
        if learning.is_some() {
            Applied::Yes
        } else {
            Applied::No
        }
    } else if let Some(word) = strip(flag, &["T38-", "T.38-", "t38-", "t.38-"]) {
        options::fax(&mut options.fax, word)
    } else if let Some(name) = strip(flag, &["transcode-"]) {
        edits::codec(&mut options.codecs, "transcode", name)
    } else if let Some((list, name)) = strip(flag, &["codec-"]).and_then(|rest| rest.split_once('-')) {
        edits::codec(&mut options.codecs, list, name)
    } else {
        return false;
    };
    let notice = match heard {
        Applied::Yes => return true,
        Applied::NotYet => Notice::NotSupportedYet,
        Applied::No => Notice::UnknownFlag,
    };
    notices.give(notice, flag);
    true
}

fn strip<'a>(flag: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    prefixes.iter().find_map(|prefix| flag.strip_prefix(prefix))
}

/// What a browser as the receiver needs.
fn web_rtc(message: &mut Message) {
    let options = &mut message.options;
    options.transport_protocol = Some("udp/tls/rtp/savpf".to_owned());
    options.ice.mode = IceMode::Force;
    options.ice.trickle = true;
    options.rtcp_mux.offer = true;
    options.rtcp_mux.require = true;
    options.bundle.offer = options.bundle.offer.max(BundleOffer::Required);
    options.rtcp_attribute = RtcpAttribute::Omitted;
    options.generate_mid = true;
    options.sdes.off = true;
}
