//! The keys of a request, applied one after the other.

use std::borrow::Cow;
use std::time::Duration;

use relay_common::ng::{Item, Request};

use crate::call::{AddressFamily, AddressTrust};
use crate::config::Templates;

use super::super::notices::{Notice, Notices};
use super::message::Message;
use super::options::{self, Applied, hyphenated};
use super::{edits, flag_string, flags, known, secure};

impl Message {
    /// Reads all keys of a request, after those of the templates that apply to it unasked.
    pub(super) fn read(request: &Request<'_>, templates: &Templates, notices: &mut Notices) -> Message {
        let mut message = Message::default();
        let command = request.command();
        for name in [Some("default"), command.as_deref()].into_iter().flatten() {
            if let Some(template) = templates.find(name) {
                message.apply_flag_string(template, templates, notices);
            }
        }
        for (key, item) in &request.entries {
            message.apply(key, item, templates, notices);
        }
        if let AddressTrust::SipSource(address) = &mut message.options.address_trust {
            *address = message.options.received_from;
        }
        let is_final = message.sip_code.is_some_and(|code| code >= 200);
        message.options.strangers.is_final = message.is_response && is_final;
        message
    }

    /// Applies one key. In keys a space may stand for `-`; other spellings are named one by one.
    fn apply(&mut self, key: &str, item: &Item<'_>, templates: &Templates, notices: &mut Notices) {
        let options = &mut self.options;
        match &*hyphenated(key) {
            "command" => {}
            "sdp" | "SDP" => self.sdp = owned(item),
            "call-id" | "call-ID" => self.call_id = owned(item),
            "from-tag" => self.from_tag = owned(item),
            "to-tag" | "to_tag" => self.to_tag = owned(item),
            "via-branch" => self.via_branch = owned(item),
            "limit" => self.limit = item.integer().or(self.limit),
            "offset" => self.offset = natural(item).unwrap_or(0),
            "state" => self.state = owned(item),
            "delete-delay" | "delete_delay" => self.delete_delay = natural(item).map(Duration::from_secs),
            "supports" => self.load_limit = item.strings().iter().any(|word| word == "load limit"),
            "flags" => {
                for flag in item.strings() {
                    flags::apply(self, &flag, notices);
                }
            }
            "rtpp-flags" | "rtpp_flags" => {
                if let Some(text) = item.text() {
                    self.has_flag_string = true;
                    self.apply_flag_string(&text, templates, notices);
                }
            }
            "template" => match item.text().as_deref().and_then(|name| templates.find(name)) {
                Some(template) => self.apply_flag_string(template, &Templates::default(), notices),
                None => bad_value(key, item, notices),
            },
            "received-from" => match options::address_of_pair(item) {
                Some(address) => options.received_from = Some(address),
                None => bad_value(key, item, notices),
            },
            "media-address" => match options::address(item) {
                Some(address) => options.media_address = Some(address),
                None => bad_value(key, item, notices),
            },
            "address-family" => match item.text().as_deref() {
                Some("IP4") => options.address_family = Some(AddressFamily::Ip4),
                Some("IP6") => options.address_family = Some(AddressFamily::Ip6),
                Some(_) | None => bad_value(key, item, notices),
            },
            "direction" => options::direction(&mut options.interfaces, item),
            "from-interface" => {
                (options.interfaces.from, options.interfaces.from_peer) = (owned(item), None);
            }
            "to-interface" => (options.interfaces.to, options.interfaces.to_peer) = (owned(item), None),
            "inbound-peer" => match options::address(item) {
                Some(peer) => options.interfaces.from_peer = Some(peer),
                None => bad_value(key, item, notices),
            },
            "outbound-peer" => match options::address(item) {
                Some(peer) => options.interfaces.to_peer = Some(peer),
                None => bad_value(key, item, notices),
            },
            "transport-protocol" => match item.text().as_deref().and_then(options::profile) {
                Some(profile) => options.transport_protocol = Some(profile),
                None => bad_value(key, item, notices),
            },
            "replace" => each(
                item,
                |word| options::replace(&mut options.replace, word),
                key,
                notices,
            ),
            "rtcp-mux" | "RTCP-mux" => {
                each(
                    item,
                    |word| options::rtcp_mux(&mut options.rtcp_mux, word),
                    key,
                    notices,
                );
            }
            "bundle" | "BUNDLE" => each(
                item,
                |word| options::bundle(&mut options.bundle, word),
                key,
                notices,
            ),
            "ICE" | "ice" => each(item, |word| secure::ice(&mut options.ice, word), key, notices),
            "ICE-lite" | "ice-lite" => {
                each(
                    item,
                    |word| secure::ice_lite(&mut options.ice, word),
                    key,
                    notices,
                );
            }
            "DTLS" | "dtls" | "DTLS-reverse" | "dtls-reverse" => {
                each(item, |word| secure::dtls(&mut options.dtls, word), key, notices);
            }
            "DTLS-fingerprint" | "dtls-fingerprint" => {
                each(
                    item,
                    |word| secure::fingerprint(&mut options.dtls, word),
                    key,
                    notices,
                );
            }
            "SDES" | "sdes" => each(item, |word| secure::sdes(&mut options.sdes, word), key, notices),
            "OSRTP" | "osrtp" => each(item, |word| secure::osrtp(&mut options.osrtp, word), key, notices),
            "endpoint-learning" => match item.text().as_deref().and_then(options::learning) {
                Some(learning) => options.learning = Some(learning),
                None => bad_value(key, item, notices),
            },
            "TOS" | "tos" => match item.integer() {
                Some(tos) => options.tos = options::tos(tos),
                None => bad_value(key, item, notices),
            },
            "ptime" => options.ptime = natural(item).filter(|ptime| *ptime > 0),
            "ptime-reverse" | "reverse-ptime" => {
                options.ptime_reverse = natural(item).filter(|ptime| *ptime > 0);
            }
            "codec" | "codecs" => {
                edits::codecs(&mut options.codecs, item, |heard, name| heard.give(name, notices));
            }
            "moh" | "MoH" | "MOH" => match edits::music(item, |heard, name| heard.give(name, notices)) {
                Some(music) => {
                    options.music = Some(music);
                    // Nobody hears it.
                    Applied::NotYet.give(key, notices);
                }
                None => bad_value(key, item, notices),
            },
            "T.38" | "T38" | "t38" | "t.38" => {
                each(item, |word| options::fax(&mut options.fax, word), key, notices)
            }
            "T.38-version" | "T38-version" | "t.38-version" | "t38-version" => match natural(item) {
                Some(version) => options.fax.version = version,
                None => bad_value(key, item, notices),
            },
            "extmap" => edits::extmap(options, item).give(key, notices),
            "sdp-attr" | "SDP-attr" => {
                let edited = edits::attributes(&mut options.attributes, item);
                self.error = self.error.or(edited.err());
            }
            "sdp-media-remove" | "SDP-media-remove" | "sdp_media_remove" => {
                match edits::removed_media(item) {
                    Ok(kinds) => options.removed_media = kinds,
                    Err(error) => self.error = self.error.or(Some(error)),
                }
            }
            "media-echo" => match item.text().as_deref().and_then(options::media_echo) {
                Some(echo) => options.media_echo = Some(echo),
                None => bad_value(key, item, notices),
            },
            "drop-traffic" => match item.text().as_deref() {
                Some("start") => options.drop_traffic = Some(true),
                Some("stop") => options.drop_traffic = options.drop_traffic.or(Some(false)),
                Some(_) | None => bad_value(key, item, notices),
            },
            "passthrough" | "passthru" => match item.text().as_deref() {
                Some(word) if options::is_on(word) => options.ice.passthrough = Some(true),
                Some(word) if options::is_off(word) => options.ice.passthrough = Some(false),
                Some(_) | None => bad_value(key, item, notices),
            },
            "generate-RTCP" | "generate-rtcp" => match item.text().as_deref() {
                Some(word) if options::is_on(word) => options.generate_rtcp = Some(true),
                Some(word) if options::is_off(word) => options.generate_rtcp = Some(false),
                Some(_) | None => bad_value(key, item, notices),
            },
            "alias-key" => match item.text().as_deref().and_then(options::alias_key) {
                Some(key) => options.strangers.alias_key = key,
                None => bad_value(key, item, notices),
            },
            "SIP-code" | "sip-code" | "SIP_code" | "sip_code" | "SIP-response-code" | "sip-response-code"
            | "SIP_response_code" | "sip_response_code" => {
                self.sip_code = item.integer();
            }
            "SIP-message-type" | "sip-message-type" | "SIP_message_type" | "sip_message_type" => {
                match item.text().as_deref().and_then(options::is_response) {
                    Some(response) => self.is_response = response,
                    None => bad_value(key, item, notices),
                }
            }
            "label" | "from-label" => {
                self.named_by_label = true;
                options.label = owned(item).filter(|label| !label.is_empty());
            }
            "metadata" => options.metadata = owned(item).filter(|metadata| !metadata.is_empty()),
            plain if self.media.key(plain, item) => {}
            "transcode" => each(
                item,
                |name| edits::codec(&mut options.codecs, "transcode", name),
                key,
                notices,
            ),
            plain => match plain.strip_prefix("codec-") {
                Some(list) => {
                    let heard = |name: &str| edits::codec(&mut options.codecs, list, name);
                    each(item, heard, key, notices);
                }
                None => known::key(plain, notices),
            },
        }
    }

    /// Applies the tokens of a flag string as the keys and flags that they stand for.
    fn apply_flag_string(&mut self, text: &str, templates: &Templates, notices: &mut Notices) {
        // What is malformed in a string of flags is passed over, not refused.
        let error = self.error;
        for (key, item) in flag_string::parse(text) {
            // A flag string within a flag string does not count, nor a template within a template: no recursion without
            // a bound.
            if !matches!(&*key, "rtpp-flags" | "rtpp_flags") {
                self.apply(&key, &item, templates, notices);
            }
        }
        self.error = error;
    }
}

/// Applies every string of a list. In them, too, a space may stand for `-`.
fn each(item: &Item<'_>, mut apply: impl FnMut(&str) -> Applied, key: &str, notices: &mut Notices) {
    for word in item.strings() {
        let notice = match apply(&hyphenated(&word)) {
            Applied::Yes => continue,
            Applied::NotYet => Notice::NotSupportedYet,
            Applied::No => Notice::BadValue,
        };
        notices.give(notice, &format!("{key}={word}"));
    }
}

fn bad_value(key: &str, item: &Item<'_>, notices: &mut Notices) {
    let value = item.text().unwrap_or(Cow::Borrowed("(no text)"));
    notices.give(Notice::BadValue, &format!("{key}={value}"));
}

/// A string; an integer is none here.
fn owned(item: &Item<'_>) -> Option<String> {
    match item {
        Item::Bytes(_) => item.text().map(Cow::into_owned),
        Item::Integer(_) | Item::List(_) | Item::Dictionary(_) => None,
    }
}

/// An integer that is not negative.
fn natural<T: TryFrom<i64>>(item: &Item<'_>) -> Option<T> {
    T::try_from(item.integer()?).ok()
}
