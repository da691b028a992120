//! BUNDLE (RFC 9143): media sections of a party that share one transport.

mod extension;
mod marks;

use crate::call::command::{BundleOffer, BundleOptions, IceMode};
use crate::call::model::grouping::{Bundle, Group, Transport};
use crate::call::model::media::{LocalCodecs, Media, Remote, Visibility};
use crate::call::model::state::{Call, Party};
use crate::call::section::ice::Ice;
use crate::call::section::kind::Kind;
use crate::sdp::{Codec, ExtMap, MediaSection, Text};

use self::extension::{mid_extension, uses_mid_extension};
use super::negotiate::Message;

pub(in crate::call) use self::extension::{accepted_extensions, offered_extension, with_mid_extension};

impl Media {
    /// Whether the party itself has named all payload types that it is told, if it has spoken.
    fn is_told_known_formats(&self) -> bool {
        let Some(own) = self.section() else { return true };
        let is_known = |told: &Codec| own.codecs.iter().any(|own| own.payload_type == told.payload_type);
        self.local_codecs.list().iter().all(is_known)
    }

    /// The same, as far as it is known what they mean.
    fn is_offered_known_formats(&self) -> bool {
        let Some(own) = self.section() else { return true };
        let is_named = |codec: &&Codec| codec.rtpmap.is_some();
        let is_known = |told: &Codec| own.codecs.iter().any(|own| own.payload_type == told.payload_type);
        let mut told = self.local_codecs.list().iter().filter(is_named);
        !own.codecs.iter().any(|codec| codec.rtpmap.is_some()) || told.all(is_known)
    }

    /// ICE is that of another section, on whose transport it is.
    fn share(&mut self, ice: Ice) {
        let own = || Box::new(self.ice.clone());
        self.bundle.own_ice.get_or_insert_with(own);
        // What passes from end to end is none of our agents'.
        if self.is_rtp() && !self.ice.passes_through() {
            self.ice = ice;
        }
    }

    /// An offer goes on from what was negotiated for the section alone: it may come to be on another transport, and the same
    /// offer again must lead to the same.
    pub(in crate::call) fn stand_alone(&mut self) {
        self.crypto.stand_alone();
        if let Some(own) = self.bundle.own_ice.take() {
            self.ice = *own;
        }
    }
}

impl Message<'_> {
    /// Where a section of the sender receives. With `a=bundle-only` that is where the first of its group does.
    pub(in crate::call) fn remote_of(&self, section: &MediaSection) -> Option<Remote> {
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
    pub(in crate::call) fn bundle(&self, call: &mut Call, indices: &[usize]) {
        let Some((sender, receiver)) = self.parties(call) else {
            return;
        };
        let used = used(sender, receiver, indices);
        for &index in indices {
            let bundle = &mut sender.media[index].bundle;
            bundle.was_grouped = bundle.is_pending() || bundle.is_at_lead();
        }
        let all = self.bundled_indices(sender, receiver, indices);
        self.identify(&sender.media, &mut receiver.media, &all);
        for &index in indices {
            sender.media[index].agree_on_extension(self.accepts_bundles());
        }
        match self.kind {
            Kind::Offer => {
                self.grant(sender, indices, &used);
                let is_silent = |index: &usize| !indices.contains(index) && !used.is_empty();
                let silent = all.iter().copied().filter(is_silent);
                let used: Vec<usize> = used.iter().copied().chain(silent).collect();
                self.offer_bundle(sender, receiver, &all, &used);
            }
            Kind::Answer => {
                self.hear_answer(sender, indices, &used);
                follow(receiver, indices, &used);
                for index in indices {
                    for media in [&mut sender.media[*index], &mut receiver.media[*index]] {
                        media.bundle.was_refused = !used.contains(index);
                    }
                }
            }
        }
        for party in [sender, receiver] {
            for media in &mut party.media {
                media.bundle.was_granted |= media.bundle.group.is_some();
            }
            break_up(party);
        }
    }

    /// Those sections that the message speaks of, and where the receiver is offered a group, all others that are open.
    fn bundled_indices(&self, sender: &Party, receiver: &Party, indices: &[usize]) -> Vec<usize> {
        let is_offered = self.kind == Kind::Offer && self.bundle_options().offer != BundleOffer::No;
        let joins = |index: &usize| {
            let media = &receiver.media[*index];
            let is_open = media.shown == Visibility::Listed && media.is_open() && media.is_rtp();
            let is_open =
                is_open && sender.media[*index].remote_section.is_some() && media.bundle.mid.is_some();
            is_offered && self.is_of_a_party() && is_open && !indices.contains(index)
        };
        let count = sender.media.len().min(receiver.media.len());
        let silent = (0..count).filter(joins);
        indices.iter().copied().chain(silent).collect()
    }

    /// Hands the ports of each leading section to those that it carries, with the encryption and ICE on them: after
    /// these were negotiated. Sections that may come to be carried have the same credentials.
    pub(in crate::call) fn share_transports(&self, call: &mut Call, indices: &[usize]) {
        let Some((sender, receiver)) = self.parties(call) else {
            return;
        };
        let spoken = used(sender, receiver, indices);
        let is_carried = |index: &usize| receiver.media[*index].bundle.carrier(*index).is_some();
        // What the message says nothing of shares what holds there.
        let silent: Vec<usize> = (0..receiver.media.len())
            .filter(|index| !indices.contains(index) && is_carried(index) && receiver.media[*index].is_open())
            .collect();
        for index in spoken.iter().copied().chain(silent) {
            let of_sender = Some(&mut sender.media).filter(|_| spoken.contains(&index));
            for media in of_sender.into_iter().chain([&mut receiver.media]) {
                let bundle = &media[index].bundle;
                let carrier = bundle.carrier(index);
                if let Some(lead) = carrier.and_then(|lead| media.get(lead)) {
                    let ports = lead.ports.newest().cloned();
                    let (crypto, ice) = (lead.crypto.clone(), lead.ice.clone());
                    let media = &mut media[index];
                    media.ports.borrow(ports);
                    media.crypto.share(&crypto);
                    media.share(ice);
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
    pub(in crate::call) fn identify(&self, sender: &[Media], receiver: &mut [Media], indices: &[usize]) {
        if self.kind == Kind::Answer {
            return;
        }
        let options = self.options;
        for &index in indices {
            if receiver[index].shown == Visibility::Removed {
                continue;
            }
            let remote_section = |media: &Media| media.section().and_then(|section| section.mid.clone());
            let of = |media: &Media| media.bundle.mid.clone();
            let known = match self.is_of_a_party() {
                true => of(&receiver[index]).or_else(|| of(&sender[index])),
                false => remote_section(&sender[index]).or_else(|| of(&receiver[index])),
            };
            let generated = options.generate_mid || self.bundle_options().offer != BundleOffer::No;
            receiver[index].bundle.mid =
                known.or_else(|| generated.then(|| self.new_mid(sender, receiver, index)));
        }
    }

    /// The number of the section among those that the receiver knows of. Where it is to be bundled it must be unlike
    /// others.
    fn new_mid(&self, sender: &[Media], receiver: &[Media], index: usize) -> Text {
        let shown = |media: &&Media| media.shown != Visibility::Removed;
        let number = receiver[..index].iter().filter(shown).count() + 1;
        match self.bundle_options().offer {
            BundleOffer::No => Text::from(number.to_string()),
            BundleOffer::Offered | BundleOffer::Required | BundleOffer::Strict => {
                unused_mid(sender, receiver, number)
            }
        }
    }

    /// The sender of an offer bundles, if that is accepted, or if it ever was in a group: but not what was rejected last.
    fn grant(&self, sender: &mut Party, indices: &[usize], used: &[usize]) {
        let accepts = self.accepts_bundles();
        let is_its_own = |index: &usize| {
            let group = sender.media[*index].bundle.group;
            indices.contains(index) || group.is_some_and(|group| group.by_party)
        };
        let all: Vec<usize> = (0..sender.media.len()).filter(is_its_own).collect();
        // It may name sections that it does not speak of.
        let is_silent = |index: &usize| {
            let media = &sender.media[*index];
            !indices.contains(index) && media.remote.is_some() && media.shown == Visibility::Listed
        };
        let silent: Vec<usize> = (0..sender.media.len()).filter(is_silent).collect();
        let [known, usable] = [indices, used].map(|spoken| [spoken, &silent].concat());
        for index in all {
            sender.media[index].bundle.leave();
        }
        for group in self.groups() {
            let lead = self.members(group.get(..1).unwrap_or_default(), &sender.media, &known, &usable);
            let mut members = self.members(&group, &sender.media, &known, &usable);
            members.retain(|index| sender.media[*index].is_rtp());
            members.retain(|index| !sender.media[*index].bundle.was_refused);
            let members = distinct(&sender.media, members);
            let Some(&lead) = lead.first().filter(|lead| members.contains(lead)) else {
                continue;
            };
            let may = sender.media[lead].bundle.was_granted && !self.bundle_options().reject;
            if !accepts && !may {
                continue;
            }
            for index in members {
                let bundle = &mut sender.media[index].bundle;
                bundle.group = Some(Group {
                    lead,
                    only: true,
                    by_party: true,
                });
                bundle.transport = Transport::Of(lead);
            }
        }
    }

    /// Everything that can be bundled is offered to the receiver as a group, if anything is. What it bundles already stays
    /// so, and what was offered to it stands until it answers.
    fn offer_bundle(&self, sender: &Party, receiver: &mut Party, indices: &[usize], used: &[usize]) {
        let former = |wanted: &dyn Fn(&Bundle) -> bool| -> Vec<usize> {
            let wanted = |index: &usize| wanted(&receiver.media[*index].bundle);
            used.iter().copied().filter(wanted).collect()
        };
        let joined = former(&Bundle::is_joined);
        let settled = former(&|bundle| matches!(bundle.transport, Transport::Of(_)));
        let pending = former(&Bundle::is_pending);
        let agreed =
            former(&|bundle| matches!(bundle.transport, Transport::Of(lead) if used.contains(&lead)));
        for &index in indices {
            receiver.media[index].bundle.leave();
        }
        let BundleOptions { offer, .. } = self.bundle_options();
        let is_rtp = |index: &usize| receiver.media[*index].is_rtp();
        let stays = |index: &usize| {
            let is_known = agreed.contains(index) && receiver.media[*index].is_offered_known_formats();
            is_rtp(index) && (is_known || pending.contains(index))
        };
        let mut members: Vec<usize> = match offer {
            BundleOffer::No => used.iter().copied().filter(stays).collect(),
            BundleOffer::Offered | BundleOffer::Required | BundleOffer::Strict => {
                used.iter().copied().filter(is_rtp).collect()
            }
        };
        let mut lasts = false;
        let extension = match offer {
            BundleOffer::No if pending.is_empty() => None,
            BundleOffer::No | BundleOffer::Offered | BundleOffer::Required | BundleOffer::Strict => {
                let told = |extmap: &ExtMap| !self.hides_extension(extmap);
                let theirs = |index: &usize| uses_mid_extension(&sender.media[*index], told);
                let ours = pending
                    .iter()
                    .find_map(|index| receiver.media[*index].bundle.mid_extension);
                // What was offered already stands.
                let lasting = ours.filter(|_| members.iter().find_map(theirs).is_none());
                let of_sender = members.iter().map(|index| &sender.media[*index]);
                let extension = lasting.or_else(|| mid_extension(of_sender, told));
                lasts = lasting.is_some();
                // In one bundle an identifier means one extension.
                members.retain(|index| {
                    uses_mid_extension(&sender.media[*index], told).is_none_or(|id| Some(id) == extension)
                });
                extension
            }
        };
        let Some(&lead) = members.first() else { return };
        for index in &members {
            let both = |known: &[usize]| known.contains(index) && known.contains(&lead);
            let bundle = &mut receiver.media[*index].bundle;
            bundle.group = Some(Group {
                lead,
                only: both(&joined) || offer >= BundleOffer::Required,
                by_party: false,
            });
            bundle.transport = match both(&settled) {
                true => Transport::Of(lead),
                false => Transport::Either(lead),
            };
            bundle.answered = offer == BundleOffer::No && !pending.contains(index);
            bundle.mid_extension = extension;
            bundle.extension_lasts = lasts;
            if extension.is_some() {
                let told = |extmap: &ExtMap| !self.hides_extension(extmap);
                let theirs = uses_mid_extension(&sender.media[*index], told);
                bundle.added_extension = extension.filter(|_| theirs.is_none());
            }
        }
    }

    /// Who was offered a group has decided.
    fn hear_answer(&self, sender: &mut Party, indices: &[usize], used: &[usize]) {
        for &index in indices {
            let bundle = &mut sender.media[index].bundle;
            bundle.answered = true;
            bundle.transport = match bundle.group {
                // It was told no other.
                Some(Group {
                    lead,
                    only: true,
                    by_party: false,
                }) => Transport::Either(lead),
                Some(_) | None => Transport::Own,
            };
        }
        for (index, media) in sender.media.iter_mut().enumerate() {
            let bundle = &mut media.bundle;
            if !indices.contains(&index) && bundle.is_pending() {
                // It has not taken up that one.
                bundle.answered = true;
                bundle.leave();
            }
        }
        for group in self.groups() {
            let is_named = |media: &Media| media.bundle.mid.as_deref() == group.first().copied();
            if !sender.media.iter().any(is_named) {
                // Nobody knows whose transport that would be.
                continue;
            }
            let mut members = self.members(&group, &sender.media, indices, used);
            let accepts = self.bundle_options().accept;
            members.retain(|index| {
                let media = &sender.media[*index];
                media.bundle.group.is_some() || (accepts && media.is_rtp())
            });
            let Some(&first) = members.first() else { continue };
            for index in members {
                let bundle = &mut sender.media[index].bundle;
                // It may bundle, though it was not offered to it.
                bundle.group.get_or_insert(Group {
                    lead: first,
                    only: true,
                    by_party: false,
                });
                bundle.transport = match bundle.group {
                    Some(Group { lead, only: true, .. }) => Transport::Of(lead),
                    Some(Group { only: false, .. }) | None => Transport::Of(first),
                };
            }
        }
        for &index in indices {
            let bundle = &mut sender.media[index].bundle;
            if bundle.transport == Transport::Own && bundle.group.is_some_and(|group| group.by_party) {
                // It has offered it before, and does without it now.
                bundle.leave();
            }
        }
    }

    /// Those sections of a group that are in use.
    fn members(&self, group: &[&str], party: &[Media], indices: &[usize], used: &[usize]) -> Vec<usize> {
        let member = |mid: &&str| {
            let index = indices.iter().find(|index| {
                let media = &party[**index];
                // What it was told counts, whatever it calls it itself.
                let own = || media.section().and_then(|section| section.mid.as_ref());
                let known = media.bundle.mid.as_ref().or_else(own);
                known.is_some_and(|known| known == *mid)
            })?;
            used.contains(index).then_some(*index)
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
        self.kind == Kind::Offer && self.bundle_options().accept
    }

    /// What is said of bundles. Groups of which the receiver learns as the sender has them are none of ours.
    pub(in crate::call) fn bundle_options(&self) -> BundleOptions {
        match self.passes_groups() {
            true => BundleOptions::default(),
            false => self.options.bundle,
        }
    }

    /// Whether groups pass from end to end.
    pub(in crate::call) fn passes_groups(&self) -> bool {
        self.options.ice.mode == IceMode::ForceRelay
    }

    /// Whether the receiver is not told of a header extension.
    pub(in crate::call) fn hides_extension(&self, extmap: &ExtMap) -> bool {
        let options = self.options;
        let masked = self.kind == Kind::Offer && options.masked_extensions.names(&extmap.uri);
        masked || options.stripped_extensions.names(&extmap.uri)
    }

    /// The mids of each BUNDLE group of the message.
    fn groups(&self) -> impl Iterator<Item = Vec<&str>> {
        self.description.groups.iter().filter_map(|group| {
            let mut words = group.split_ascii_whitespace();
            (words.next() == Some("BUNDLE")).then(|| words.collect())
        })
    }
}

/// `a=group` for a party: for each group those of its sections that are in use, the leading one first.
pub(in crate::call) fn group_lines(party: &[Media], in_use: impl Fn(usize) -> bool) -> Vec<Text> {
    let members = party.iter().enumerate();
    let members: Vec<(usize, usize, &Text)> = members
        .filter(|(index, media)| media.bundle.is_grouped() && in_use(*index))
        .filter_map(|(index, media)| {
            let lead = media.bundle.lead().unwrap_or(index);
            Some((lead, index, media.bundle.mid.as_ref()?))
        })
        .collect();
    let mut leads: Vec<usize> = members.iter().map(|(lead, ..)| *lead).collect();
    leads.sort_unstable();
    leads.dedup();
    let line = |lead: usize| {
        let mut group: Vec<_> = members.iter().filter(|(other, ..)| *other == lead).collect();
        group.sort_by_key(|(lead, index, _)| lead != index);
        let line = group
            .iter()
            .fold(String::from("BUNDLE"), |line, (.., mid)| line + " " + mid);
        Text::from(line)
    };
    leads.into_iter().map(line).collect()
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
pub(in crate::call) fn passes(sender: &Media, receiver: &Media) -> bool {
    sender.remote.is_some()
        && !sender.protocol.is_msrp()
        && receiver.shown != Visibility::Removed
        && !matches!(receiver.local_codecs, LocalCodecs::Rejected)
}

/// The group of an offer that is answered is on the transport of its first section, if that is still in it: sections leave that
/// are rejected, or answered with formats that were not offered, by which their packets could not be told apart. Of a group
/// that was offered to the party it has decided itself.
fn follow(offerer: &mut Party, indices: &[usize], used: &[usize]) {
    let stays = |index: &usize| {
        let media = &offerer.media[*index];
        used.contains(index) && media.bundle.group.is_some() && media.is_told_known_formats()
    };
    let (staying, leaving): (Vec<usize>, Vec<usize>) = indices.iter().copied().partition(stays);
    for index in leaving {
        let bundle = &mut offerer.media[index].bundle;
        match bundle.group {
            Some(Group { by_party: false, .. }) => {}
            Some(_) | None => bundle.leave(),
        }
    }
    for index in &staying {
        let bundle = &mut offerer.media[*index].bundle;
        match bundle.group {
            Some(Group { by_party: false, .. }) => {}
            Some(Group { lead, .. }) if staying.contains(&lead) => bundle.transport = Transport::Of(lead),
            Some(_) | None => bundle.leave(),
        }
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

/// Those members of a group that have no payload type in common with others, by which they could not be told apart.
fn distinct(party: &[Media], members: Vec<usize>) -> Vec<usize> {
    let numbers = |index: &usize| -> Vec<u8> {
        let codecs = party[*index]
            .section()
            .into_iter()
            .flat_map(|section| &section.codecs);
        let mut numbers: Vec<u8> = codecs.map(|codec| codec.payload_type).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    let mut sections = [0_usize; 256];
    for number in members.iter().flat_map(numbers) {
        sections[usize::from(number)] += 1;
    }
    let is_distinct = |index: &usize| {
        numbers(index)
            .iter()
            .all(|number| sections[usize::from(*number)] == 1)
    };
    members.into_iter().filter(is_distinct).collect()
}

/// A number that is no mid yet, from that of the section up.
fn unused_mid(sender: &[Media], receiver: &[Media], mut number: usize) -> Text {
    let taken = |mid: &str| {
        let mut mids = sender
            .iter()
            .chain(receiver)
            .filter_map(|media| media.bundle.mid.as_deref());
        mids.any(|known| known == mid)
    };
    while taken(&number.to_string()) {
        number += sender.len();
    }
    Text::from(number.to_string())
}

fn in_group(section: &MediaSection, group: &[&str]) -> bool {
    section.mid.as_deref().is_some_and(|mid| group.contains(&mid))
}
