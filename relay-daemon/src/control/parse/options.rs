//! Options whose values are words, one function each.

use std::borrow::Cow;
use std::net::IpAddr;

use relay_common::ng::Item;

use crate::call::{
    AliasKey, BundleOffer, BundleOptions, FaxOptions, InterfaceChoice, MediaEcho, Replace, RtcpMuxOptions,
    TosRule,
};
use crate::plan::Learning;

use super::super::notices::{Notice, Notices};

/// What a word means to an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It was applied, or is known to change nothing.
    Yes,
    /// The reference knows it, we do not have it yet.
    NotYet,
    /// Nothing.
    No,
}

impl Applied {
    /// Gives notice of what was not applied.
    pub(super) fn give(self, name: &str, notices: &mut Notices) {
        match self {
            Applied::Yes => {}
            Applied::NotYet => {
                notices.give(Notice::NotSupportedYet, name);
            }
            Applied::No => {
                notices.give(Notice::BadValue, name);
            }
        }
    }
}

/// `replace`.
pub(super) fn replace(replace: &mut Replace, word: &str) -> Applied {
    match word {
        "origin" => replace.origin = true,
        // Still sent by many proxies: there is no session-level connection to replace.
        "session-connection" => {}
        "username" => replace.username = true,
        "session-name" => replace.session_name = true,
        "origin-full" | "origin_full" => replace.origin_full = true,
        "zero-address" => replace.zero_address = true,
        "force-increment-sdp-ver" | "force-increment-SDP-ver" => replace.force_version = true,
        "SDP-version" | "sdp-version" => replace.version = true,
        _ => return Applied::No,
    }
    Applied::Yes
}

/// `rtcp-mux`.
pub(super) fn rtcp_mux(mux: &mut RtcpMuxOptions, word: &str) -> Applied {
    match word {
        "offer" => mux.offer = true,
        "require" => mux.require = true,
        "demux" => mux.demux = true,
        "accept" => mux.accept = true,
        "reject" => mux.reject = true,
        _ => return Applied::No,
    }
    Applied::Yes
}

/// `bundle`.
pub(super) fn bundle(bundle: &mut BundleOptions, word: &str) -> Applied {
    let offer = match word {
        "accept" => {
            bundle.accept = true;
            return Applied::Yes;
        }
        "reject" => {
            bundle.reject = true;
            return Applied::Yes;
        }
        "offer" => BundleOffer::Offered,
        "require" => BundleOffer::Required,
        "strict" => BundleOffer::Strict,
        _ => return Applied::No,
    };
    bundle.offer = bundle.offer.max(offer);
    Applied::Yes
}

/// `transport-protocol`, in any case: a profile of RTP, or `accept`.
pub(super) fn profile(word: &str) -> Option<String> {
    const PROFILES: [&str; 7] = [
        "rtp/avp",
        "rtp/avpf",
        "rtp/savp",
        "rtp/savpf",
        "udp/tls/rtp/savp",
        "udp/tls/rtp/savpf",
        "accept",
    ];
    let word = word.to_ascii_lowercase();
    PROFILES.contains(&word.as_str()).then_some(word)
}

/// `endpoint-learning`.
pub(super) fn learning(word: &str) -> Option<Learning> {
    match word {
        "off" => Some(Learning::Off),
        "immediate" => Some(Learning::Immediate),
        "delayed" => Some(Learning::Delayed),
        "heuristic" => Some(Learning::Heuristic),
        _ => None,
    }
}

/// `media-echo`.
pub(super) fn media_echo(word: &str) -> Option<MediaEcho> {
    match word {
        "blackhole" | "sinkhole" => Some(MediaEcho::Blackhole),
        "forward" | "fwd" | "fw" => Some(MediaEcho::Forward),
        "backwards" | "backward" | "reverse" | "back" | "bkw" | "bk" => Some(MediaEcho::Backwards),
        "both" => Some(MediaEcho::Both),
        _ => None,
    }
}

/// `alias-key`.
pub(super) fn alias_key(word: &str) -> Option<AliasKey> {
    match word {
        "off" | "none" | "no" => Some(AliasKey::Off),
        "SDP" | "sdp" => Some(AliasKey::Sdp),
        "address" | "endpoint" => Some(AliasKey::Address),
        _ => None,
    }
}

/// `SIP-message-type`: whether it is that of a response.
pub(super) fn is_response(word: &str) -> Option<bool> {
    let word = word.replace([' ', '_'], "-");
    let of_sip = word.strip_prefix("sip-").or_else(|| word.strip_prefix("SIP-"));
    match of_sip.unwrap_or(&word) {
        "request" => Some(false),
        "reply" => Some(true),
        // As the reference has it.
        "response" => of_sip.map(|_| true),
        _ => None,
    }
}

/// `T.38`. The gateway does not pass media yet.
pub(super) fn fax(fax: &mut FaxOptions, word: &str) -> Applied {
    match word {
        "decode" => fax.decode = true,
        "force" => fax.force = true,
        "stop" => {
            fax.stop = true;
            return Applied::Yes;
        }
        "FEC" | "fec" => {
            fax.error_correction = true;
            return Applied::Yes;
        }
        detail if detail.starts_with("no-") => {}
        _ => return Applied::No,
    }
    Applied::NotYet
}

/// `TOS`.
pub(super) fn tos(number: i64) -> TosRule {
    if number < 0 {
        return TosRule::Keep;
    }
    u8::try_from(number).map_or(TosRule::Configured, TosRule::Set)
}

/// `direction`: the interface towards the sender, then the one towards the receiver. A string that is no list says nothing.
pub(super) fn direction(choice: &mut InterfaceChoice, item: &Item<'_>) {
    if !matches!(item, Item::List(_)) {
        return;
    }
    let mut names = item.strings().into_iter().map(|name| name.into_owned());
    if let Some(from) = names.next() {
        (choice.from, choice.from_peer) = (Some(from), None);
    }
    if let Some(to) = names.next() {
        (choice.to, choice.to_peer) = (Some(to), None);
    }
}

/// An IP address, with or without the brackets of IPv6.
pub(super) fn address(item: &Item<'_>) -> Option<IpAddr> {
    let words = item.strings();
    let [word] = words.as_slice() else { return None };
    let bare = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(word).parse().ok()
}

/// `received-from`: a family (`IP4` or `IP6`) and an address, or the address alone.
pub(super) fn address_of_pair(item: &Item<'_>) -> Option<IpAddr> {
    let words = item.strings();
    let (Some(address), 1..=2) = (words.last(), words.len()) else {
        return None;
    };
    address.parse().ok()
}

/// Whether a word switches something on.
pub(super) fn is_on(word: &str) -> bool {
    matches!(word, "on" | "yes" | "enable" | "enabled")
}

/// Whether a word switches something off.
pub(super) fn is_off(word: &str) -> bool {
    matches!(word, "off" | "no" | "disable" | "disabled")
}

/// A key with `-` in the place of spaces.
pub(super) fn hyphenated(name: &str) -> Cow<'_, str> {
    if name.contains(' ') {
        return Cow::Owned(name.replace(' ', "-"));
    }
    Cow::Borrowed(name)
}
