//! BUNDLE (RFC 9143): media sections of a party that share one transport.

use std::sync::Arc;

use crate::plan::{BundlePlan, Label, Marks, PayloadTypes};
use crate::sdp::{Codec, ExtMap, MediaSection, Text};

use super::crypto::Crypto;
use super::ice::Ice;
use super::media::{Media, Remote, Shown, ToldCodecs};
use super::negotiate::{Kind, Message};
use super::plan::Half;
use super::state::{Call, Party};

/// `bundle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BundleOptions {
    /// `accept`: the sender may bundle.
    pub accept: bool,
    /// How it is offered to the receiver.
    pub offer: BundleOffer,
    /// `reject`: the sender may not bundle.
    pub reject: bool,
}

/// How bundling is offered to the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BundleOffer {
    /// Not at all.
    #[default]
    No,
    /// `offer`: with ports of its own for each section, in case that the receiver does not bundle.
    Offered,
    /// `require`: with one port for all.
    Required,
    /// `strict`: with one port, in the first section, and none in the others.
    Strict,
}

/// The header extension that holds the identification of a section (RFC 9143 section 15).
const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// SSRCs of a section that are taken from its SDP.
const MAX_SSRCS: usize = 16;

/// A section and the others of its party.
#[derive(Clone, Debug, Default)]
pub(super) struct Bundle {
    /// The group that was offered to the party, or that it offered and was granted.
    group: Option<Group>,
    /// Whose transport the section is on.
    transport: Transport,
    /// `a=mid` as the party knows it: what it offered last, else what it was offered first.
    pub(super) mid: Option<Text>,
    /// Identifier of the header extension with the mid in an offer to the party.
    mid_extension: Option<u8>,
    /// What the newest offer negotiated for the section alone, while it has encryption and ICE of another one.
    own: Option<Box<(Crypto, Ice)>>,
}

/// A group that a section belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    /// Index of the section whose transport is for all.
    lead: usize,
    /// Whether the section has no other.
    only: bool,
}

/// Whose transport a section is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Transport {
    /// Its own.
    #[default]
    Own,
    /// Its own or that of a section of its group: the party has not said.
    Either(usize),
    /// That of a section of its group, perhaps itself.
    Of(usize),
}

impl Bundle {
    /// Index of the section whose ports serve the one at `index`, if they are not its own.
    pub(super) fn carrier(&self, index: usize) -> Option<usize> {
        let only = self.group.is_some_and(|group| group.only);
        let lead = match self.transport {
            Transport::Of(lead) => Some(lead),
            Transport::Either(lead) if only => Some(lead),
            Transport::Own | Transport::Either(_) => None,
        };
        lead.filter(|lead| *lead != index)
    }

    /// Whether the section is in a group that the party knows of.
    pub(super) fn is_grouped(&self) -> bool {
        self.group.is_some()
    }

    fn lead(&self) -> Option<usize> {
        match self.transport {
            Transport::Own => None,
            Transport::Either(lead) | Transport::Of(lead) => Some(lead),
        }
    }

    fn leave(&mut self) {
        self.group = None;
        self.transport = Transport::Own;
    }
}

impl Media {
    /// Encryption and ICE are those of another section, on whose transport it is.
    fn share(&mut self, crypto: Crypto, ice: Ice) {
        let own = || Box::new((self.crypto.clone(), self.ice.clone()));
        self.bundle.own.get_or_insert_with(own);
        self.crypto.share(crypto);
        // What passes from end to end is none of our agents'.
        if !self.ice.passes_through() {
            self.ice = ice;
        }
    }

    /// An offer goes on from what was negotiated for the section alone: it may come to be on another transport, and the same
    /// offer again must lead to the same.
    pub(super) fn stand_alone(&mut self) {
        if let Some(own) = self.bundle.own.take() {
            let (crypto, ice) = *own;
            self.crypto.share(crypto);
            self.ice = ice;
        }
    }
}

impl Message<'_> {
    /// Where a section of the sender receives. With `a=bundle-only` that is where the first of its group does.
    pub(super) fn remote_of(&self, section: &MediaSection) -> Option<Remote> {
        let address = |section| Remote::of(section, self.source_address());
        if !(section.bundle_only && section.is_rejected() && self.accepts_bundles()) {
            return address(section);
        }
        let media = &self.description.media;
        let mid = section.mid.as_deref()?;
        let group = self.groups().find(|group| group.contains(&mid))?;
        let mut members = media.iter().filter(|other| in_group(other, &group));
        members.find_map(address)
    }

    /// Decides which sections share a transport: after all of them were heard, before ports are opened. `indices` are
    /// those of the message's sections.
    pub(super) fn bundle(&self, call: &mut Call, indices: &[usize]) {
        let Some((sender, receiver)) = self.parties(call) else {
            return;
        };
        let used = used(sender, receiver, indices);
        self.identify(&sender.media, &mut receiver.media, indices);
        match self.kind {
            Kind::Offer => {
                self.grant(sender, indices, &used);
                self.offer_bundle(sender, receiver, indices, &used);
            }
            Kind::Answer => {
                self.hear_answer(sender, indices, &used);
                follow(receiver, &used);
            }
        }
        for party in [sender, receiver] {
            break_up(party);
        }
    }

    /// Hands the ports of each leading section to those that it carries, with the encryption and ICE on them: after
    /// these were negotiated. Sections that may come to be carried have the same credentials.
    pub(super) fn share_transports(&self, call: &mut Call, indices: &[usize]) {
        let Some((sender, receiver)) = self.parties(call) else {
            return;
        };
        for index in used(sender, receiver, indices) {
            for media in [&mut sender.media, &mut receiver.media] {
                let bundle = &media[index].bundle;
                let carrier = bundle.carrier(index);
                if let Some(lead) = carrier.and_then(|lead| media.get(lead)) {
                    let ports = lead.ports.newest().cloned();
                    let (crypto, ice) = (lead.crypto.clone(), lead.ice.clone());
                    let media = &mut media[index];
                    media.ports.borrow(ports);
                    media.share(crypto, ice);
                } else if let Some(lead) = bundle.lead().filter(|lead| *lead != index)
                    && let Some(ice) = media.get(lead).map(|lead| lead.ice.clone())
                {
                    media[index].ice.share_credentials(&ice);
                }
            }
        }
    }

    /// The sections' identifications, as the receiver is to know them. Between parties the first one stays, unless the party
    /// itself offers another.
    pub(super) fn identify(&self, sender: &[Media], receiver: &mut [Media], indices: &[usize]) {
        if self.kind == Kind::Answer {
            return;
        }
        let options = self.options;
        for &index in indices {
            let said = |media: &Media| media.section().and_then(|section| section.mid.clone());
            let of = |media: &Media| media.bundle.mid.clone();
            let known = match self.is_of_a_party() {
                true => of(&receiver[index]).or_else(|| of(&sender[index])),
                false => said(&sender[index]).or_else(|| said(&receiver[index])),
            };
            let generated = options.generate_mid || options.bundle.offer != BundleOffer::No;
            receiver[index].bundle.mid =
                known.or_else(|| generated.then(|| unused_mid(sender, receiver, index)));
        }
    }

    /// The sender of an offer bundles, if that is accepted.
    fn grant(&self, sender: &mut Party, indices: &[usize], used: &[usize]) {
        for &index in indices {
            sender.media[index].bundle.leave();
        }
        if !self.accepts_bundles() {
            return;
        }
        for group in self.groups() {
            let mut members = self.members(&group, indices, used);
            members.retain(|index| sender.media[*index].is_rtp());
            let Some(&lead) = members.first() else { continue };
            for index in members {
                let bundle = &mut sender.media[index].bundle;
                bundle.group = Some(Group { lead, only: true });
                bundle.transport = Transport::Of(lead);
            }
        }
    }

    /// Everything that can be bundled is offered to the receiver as a group, if anything is.
    fn offer_bundle(&self, sender: &Party, receiver: &mut Party, indices: &[usize], used: &[usize]) {
        let former: Vec<Transport> = used
            .iter()
            .map(|index| receiver.media[*index].bundle.transport)
            .collect();
        for &index in indices {
            receiver.media[index].bundle.leave();
        }
        let offer = self.options.bundle.offer;
        let members = match offer {
            BundleOffer::No => Vec::new(),
            BundleOffer::Offered | BundleOffer::Required | BundleOffer::Strict => compatible(receiver, used),
        };
        let Some(&lead) = members.first() else { return };
        let extension = mid_extension(members.iter().map(|index| &sender.media[*index]));
        for (index, former) in used.iter().zip(former) {
            if !members.contains(index) {
                continue;
            }
            let agreed = former == Transport::Of(lead);
            let only = agreed || offer >= BundleOffer::Required;
            let bundle = &mut receiver.media[*index].bundle;
            bundle.group = Some(Group { lead, only });
            bundle.transport = match agreed {
                true => former,
                false => Transport::Either(lead),
            };
            bundle.mid_extension = extension;
        }
    }

    /// Who was offered a group has decided.
    fn hear_answer(&self, sender: &mut Party, indices: &[usize], used: &[usize]) {
        for &index in indices {
            let bundle = &mut sender.media[index].bundle;
            bundle.transport = match bundle.group {
                // It was told no other.
                Some(Group { lead, only: true }) => Transport::Either(lead),
                Some(Group { only: false, .. }) | None => Transport::Own,
            };
        }
        for group in self.groups() {
            let mut members = self.members(&group, indices, used);
            members.retain(|index| sender.media[*index].bundle.is_grouped());
            let Some(&first) = members.first() else { continue };
            for index in members {
                let bundle = &mut sender.media[index].bundle;
                bundle.transport = match bundle.group {
                    Some(Group { lead, only: true }) => Transport::Of(lead),
                    Some(Group { only: false, .. }) | None => Transport::Of(first),
                };
            }
        }
    }

    /// Those sections of a group that are in use.
    fn members(&self, group: &[&str], indices: &[usize], used: &[usize]) -> Vec<usize> {
        let sections = &self.description.media;
        let member = |mid: &&str| {
            let position = sections
                .iter()
                .position(|section| section.mid.as_deref() == Some(*mid))?;
            indices
                .get(position)
                .copied()
                .filter(|index| used.contains(index))
        };
        let mut members: Vec<usize> = group.iter().filter_map(member).collect();
        let mut seen = Vec::new();
        members.retain(|index| {
            !seen.contains(index) && {
                seen.push(*index);
                true
            }
        });
        members
    }

    fn accepts_bundles(&self) -> bool {
        self.kind == Kind::Offer && self.options.bundle.accept && !self.options.bundle.reject
    }

    /// The mids of each BUNDLE group of the message.
    fn groups(&self) -> impl Iterator<Item = Vec<&str>> {
        self.description.groups.iter().filter_map(|group| {
            let mut words = group.split_ascii_whitespace();
            (words.next() == Some("BUNDLE")).then(|| words.collect())
        })
    }
}

impl Media {
    /// How the stream of a section in a group is told from the others. `media` are all sections of the party.
    pub(super) fn bundle_plan(&self, media: &[Media], half: Half) -> Option<BundlePlan> {
        let lead = self.bundle.lead()?;
        let lead = media.get(lead).filter(|lead| !lead.bound(half).is_empty())?;
        Some(BundlePlan {
            lead: lead.stream(half).id,
            joined: matches!(self.bundle.transport, Transport::Of(_)),
            marks: self.marks(),
            label: self.label(),
        })
    }

    /// What marks packets for the party.
    fn label(&self) -> Option<Label> {
        let said = self.section()?;
        let mid = said.mid.as_ref().or(self.bundle.mid.as_ref())?;
        Some(Label {
            identifier: offered_extension(said)?,
            mid: Arc::from(&**mid),
        })
    }

    fn marks(&self) -> Marks {
        let said = self.section();
        let own_mid = said.and_then(|section| section.mid.as_ref());
        let mut mids: Vec<Arc<str>> = Vec::with_capacity(2);
        for mid in [self.bundle.mid.as_ref(), own_mid].into_iter().flatten() {
            if !mids.iter().any(|known| **known == **mid) {
                mids.push(Arc::from(&**mid));
            }
        }
        let mut payload_types = PayloadTypes::default();
        let own_codecs = said.into_iter().flat_map(|section| &section.codecs);
        for codec in self.told_codecs.list().iter().chain(own_codecs) {
            payload_types.insert(codec.payload_type);
        }
        Marks {
            mids,
            mid_extension: said.and_then(offered_extension).or(self.bundle.mid_extension),
            ssrcs: said.map(announced_ssrcs).unwrap_or_default(),
            payload_types,
        }
    }
}

/// The header extensions that the receiver of a message is told of, given those that the sender wants.
pub(super) fn with_mid_extension(mut extmaps: Vec<ExtMap>, receiver: &Media, kind: Kind) -> Vec<ExtMap> {
    if !receiver.bundle.is_grouped() {
        return extmaps;
    }
    let extension = |id| ExtMap {
        id,
        uri: Text::from_static(MID_EXTENSION),
    };
    match kind {
        Kind::Offer if extmaps.iter().any(is_mid_extension) => {}
        Kind::Offer => extmaps.extend(receiver.bundle.mid_extension.map(extension)),
        Kind::Answer => {
            if let Some(id) = receiver.section().and_then(offered_extension) {
                extmaps.retain(|extmap| !is_mid_extension(extmap));
                extmaps.insert(0, extension(id));
            }
        }
    }
    extmaps
}

/// `a=group` for a party: those of its sections that are in use, the leading one first.
pub(super) fn group_line(party: &[Media], in_use: impl Fn(usize) -> bool) -> Option<Text> {
    let members = party.iter().enumerate();
    let mut members: Vec<(bool, &Text)> = members
        .filter(|(index, media)| media.bundle.is_grouped() && in_use(*index))
        .filter_map(|(index, media)| Some((media.bundle.lead() != Some(index), media.bundle.mid.as_ref()?)))
        .collect();
    members.sort_by_key(|(follows, _)| *follows);
    let line = members
        .iter()
        .fold(String::from("BUNDLE"), |line, (_, mid)| line + " " + mid);
    (!members.is_empty()).then(|| Text::from(line))
}

/// The sections that pass media through us.
fn used(sender: &Party, receiver: &Party, indices: &[usize]) -> Vec<usize> {
    let is_used = |index: &usize| {
        let (sender, receiver) = (&sender.media[*index], &receiver.media[*index]);
        passes(sender, receiver)
    };
    indices.iter().copied().filter(is_used).collect()
}

/// Whether media of a section passes through us.
pub(super) fn passes(sender: &Media, receiver: &Media) -> bool {
    sender.remote.is_some()
        && !sender.protocol.is_msrp()
        && receiver.shown == Shown::Yes
        && !matches!(receiver.told_codecs, ToldCodecs::Rejected)
}

/// The group of an offer that is answered is on the transport of its first section, if that is still in use, else of the
/// next that is.
fn follow(offerer: &mut Party, used: &[usize]) {
    let groups: Vec<(usize, usize)> = used
        .iter()
        .filter_map(|index| Some((*index, offerer.media[*index].bundle.group?.lead)))
        .collect();
    for (index, lead) in &groups {
        let next = groups.iter().find(|(_, group)| group == lead);
        let lead = match next {
            Some((next, _)) if !used.contains(lead) => *next,
            Some(_) | None => *lead,
        };
        offerer.media[*index].bundle.transport = Transport::Of(lead);
    }
}

/// Sections of which the message says nothing lose their place when their group has lost its lead.
fn break_up(party: &mut Party) {
    let media = &party.media;
    let leads = |index: usize| media[index].bundle.lead() == Some(index) && media[index].is_rtp();
    let is_lost = |index: &usize| {
        let lead = media[*index].bundle.lead();
        lead.is_some_and(|lead| !leads(lead) || !media[*index].is_rtp())
    };
    let lost: Vec<usize> = (0..media.len()).filter(is_lost).collect();
    for index in lost {
        let media = &mut party.media[index];
        if media.bundle.carrier(index).is_some() {
            media.ports.close();
        }
        media.bundle.leave();
    }
}

/// The RTP sections of a party whose payload types do not contradict each other (RFC 9143 section 9.1).
fn compatible(party: &Party, used: &[usize]) -> Vec<usize> {
    let mut members: Vec<usize> = Vec::new();
    for &index in used {
        let media = &party.media[index];
        let clashes = |other: &usize| clash(media, &party.media[*other]);
        if media.is_rtp() && !members.iter().any(clashes) {
            members.push(index);
        }
    }
    members
}

/// Whether a payload type means different things to two sections.
fn clash(one: &Media, other: &Media) -> bool {
    let differ = |one: &Codec, other: &Codec| {
        one.payload_type == other.payload_type && (one.rtpmap != other.rtpmap || one.fmtp != other.fmtp)
    };
    let (ones, others) = (one.told_codecs.list(), other.told_codecs.list());
    ones.iter()
        .any(|one| others.iter().any(|other| differ(one, other)))
}

/// An identifier for the header extension with the mid that is free in all sections: that which one of them uses for it
/// already, else the first one.
fn mid_extension<'a>(members: impl Iterator<Item = &'a Media>) -> Option<u8> {
    let extmaps: Vec<&ExtMap> = members
        .filter_map(Media::section)
        .flat_map(|section| &section.extmaps)
        .collect();
    let used = extmaps
        .iter()
        .filter(|extmap| is_mid_extension(extmap))
        .map(|extmap| extmap.id);
    let free = |id: &u8| {
        let mut others = extmaps.iter().filter(|extmap| !is_mid_extension(extmap));
        others.all(|extmap| extmap.id != *id)
    };
    used.chain((1..=14).chain(16..=255)).find(free)
}

/// The lowest number that is no mid yet, from that of the section up: that among those that the receiver knows of.
fn unused_mid(sender: &[Media], receiver: &[Media], index: usize) -> Text {
    let taken = |mid: &str| {
        let mut mids = sender
            .iter()
            .chain(receiver)
            .filter_map(|media| media.bundle.mid.as_deref());
        mids.any(|known| known == mid)
    };
    let shown = |media: &&Media| media.shown == Shown::Yes;
    let mut number = receiver[..index].iter().filter(shown).count() + 1;
    while taken(&number.to_string()) {
        number += sender.len();
    }
    Text::from(number.to_string())
}

fn in_group(section: &MediaSection, group: &[&str]) -> bool {
    section.mid.as_deref().is_some_and(|mid| group.contains(&mid))
}

fn is_mid_extension(extmap: &ExtMap) -> bool {
    *extmap.uri == *MID_EXTENSION
}

fn offered_extension(section: &MediaSection) -> Option<u8> {
    let mut extmaps = section.extmaps.iter();
    extmaps
        .find(|extmap| is_mid_extension(extmap))
        .map(|extmap| extmap.id)
}

/// `a=ssrc:<ssrc> ...`
fn announced_ssrcs(section: &MediaSection) -> Vec<u32> {
    let lines = section
        .attributes
        .iter()
        .filter(|attribute| attribute.name() == "ssrc");
    let mut ssrcs = Vec::new();
    for ssrc in lines.filter_map(|line| line.value()?.split(' ').next()?.parse().ok()) {
        if !ssrcs.contains(&ssrc) && ssrcs.len() < MAX_SSRCS {
            ssrcs.push(ssrc);
        }
    }
    ssrcs
}
