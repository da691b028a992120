//! Keys and flags that only commands about media have.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relay_common::ng::Item;

use crate::call::{CallId, FlowChoice, MeshLink, MusicSource, SubscriptionFlags, Tag};

use super::entries::{MediaEntry, event_code, media_entries, mesh_links, names};
use super::options::{self, hyphenated};

/// What a message says that only commands about media ask for.
#[derive(Debug, Default)]
pub(super) struct MediaKeys {
    pub(super) interface: Option<String>,
    pub(super) peer: Option<IpAddr>,
    /// None within: it is no address.
    pub(super) address: Option<Option<IpAddr>>,
    pub(super) from_tags: Vec<Tag>,
    pub(super) flows: FlowChoice,
    pub(super) set_label: Option<String>,
    pub(super) to_label: Option<String>,
    pub(super) to_call_id: Option<CallId>,
    pub(super) source_tag: Option<Tag>,
    pub(super) source_call_id: Option<CallId>,
    pub(super) calls: Vec<CallId>,
    pub(super) links: Vec<MeshLink>,
    pub(super) media: Vec<MediaEntry>,
    pub(super) directional: bool,
    pub(super) bidirectional: bool,
    pub(super) unsubscribe: bool,
    pub(super) may_refuse_codecs: bool,
    pub(super) subscription: SubscriptionFlags,
    pub(super) event_blocking: EventBlocking,
    pub(super) has_trigger: bool,
    pub(super) file: Option<MusicSource>,
    pub(super) code: Option<u8>,
}

/// `DTMF-security`: how telephone events are blocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum EventBlocking {
    /// They are dropped.
    #[default]
    Drop,
    /// They are replaced by something else.
    Replace,
    /// Not at all.
    Off,
}

impl MediaKeys {
    /// Applies a key; tells whether it is one of these. Spaces in it are `-` already.
    pub(super) fn key(&mut self, key: &str, item: &Item<'_>) -> bool {
        let text = || item.text().filter(|text| !text.is_empty());
        match key {
            "interface" => (self.interface, self.peer) = (text().map(Into::into), None),
            "peer" => self.peer = options::address(item).or(self.peer),
            "address" => self.address = Some(options::address(item)),
            "from-tags" => self.from_tags.extend(names(item).map(|tag| Tag::from(&*tag))),
            "all" => self.flows = item.text().map_or(self.flows, |word| flow_choice(&word)),
            "set-label" => self.set_label = text().map(Into::into),
            "to-label" => self.to_label = text().map(Into::into),
            "to-call-id" => self.to_call_id = text().map(|id| CallId::from(&*id)),
            "source-tag" => self.source_tag = text().map(|tag| Tag::from(&*tag)),
            "source-call-id" => self.source_call_id = text().map(|id| CallId::from(&*id)),
            "calls" => self.calls = names(item).map(|id| CallId::from(&*id)).collect(),
            "tags" => self.links = mesh_links(item),
            "media" | "medias" => self.media = media_entries(item),
            "DTMF-security" | "dtmf-security" => {
                self.event_blocking = item
                    .text()
                    .map_or_else(Default::default, |word| event_blocking(&word));
            }
            "trigger" | "DTMF-security-trigger" | "dtmf-security-trigger" => self.has_trigger = true,
            "file" => self.file = text().map(|_| MusicSource::File),
            "blob" => self.file = text().map(|_| MusicSource::Blob),
            "blob64" => {
                let decoded = text().and_then(|text| STANDARD.decode(&*text).ok());
                self.file = decoded
                    .filter(|bytes| !bytes.is_empty())
                    .map(|_| MusicSource::Blob);
            }
            "db-id" => self.file = Some(MusicSource::Database),
            "code" | "digit" => self.code = event_code(item),
            _ => return false,
        }
        true
    }

    /// Applies a flag; tells whether it is one of these. Spaces in it are `-` already.
    pub(super) fn flag(&mut self, flag: &str) -> bool {
        match flag {
            "all" => self.flows = FlowChoice::All,
            "directional" => self.directional = true,
            "bidirectional" => {
                self.bidirectional = true;
                self.subscription.bidirectional = true;
            }
            "unsubscribe" => self.unsubscribe = true,
            "allow-transcoding" => self.may_refuse_codecs = true,
            "inactive" => self.subscription.inactive = true,
            "egress" => self.subscription.egress = true,
            "mix" | "mixed" => self.subscription.mix = true,
            "SIPREC" | "siprec" => self.subscription.siprec = true,
            "RTCP-mirror" | "mirror-RTCP" | "rtcp-mirror" | "mirror-rtcp" => {
                self.subscription.rtcp_mirror = true;
            }
            _ => match flag.strip_prefix("from-tags-") {
                Some(tag) => self.from_tags.push(Tag::from(tag)),
                None => return false,
            },
        }
        true
    }
}

fn flow_choice(word: &str) -> FlowChoice {
    match &*hyphenated(word) {
        "all" => FlowChoice::All,
        "offer-answer" => FlowChoice::OfferAnswer,
        "except-offer-answer" | "not-offer-answer" | "non-offer-answer" => FlowChoice::PubSub,
        "flows" => FlowChoice::Every,
        _ => FlowChoice::Unsaid,
    }
}

fn event_blocking(word: &str) -> EventBlocking {
    match word {
        "drop" | "" => EventBlocking::Drop,
        "off" => EventBlocking::Off,
        _ => EventBlocking::Replace,
    }
}
