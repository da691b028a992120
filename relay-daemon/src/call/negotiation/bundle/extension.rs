//! The header extension that names the section of a packet.

use crate::call::model::grouping::OwnExtension;
use crate::call::model::media::Media;
use crate::call::section::kind::Kind;
use crate::sdp::{ExtMap, MediaSection, Text};

/// The header extension that holds the identification of a section (RFC 9143 section 15).
const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// The header extensions that the receiver of a message is told of, given those that the sender wants.
pub(in crate::call) fn with_mid_extension(
    mut extmaps: Vec<ExtMap>,
    sender: &Media,
    receiver: &Media,
    kind: Kind,
) -> Vec<ExtMap> {
    if let Some(OwnExtension { id, is_hidden: true }) = sender.bundle.own_extension {
        extmaps.retain(|extmap| !(is_mid_extension(extmap) && id == extmap.id));
    }
    let extension = |id| ExtMap {
        id,
        uri: Text::from_static(MID_EXTENSION),
    };
    if let Some(OwnExtension { id, .. }) = receiver.bundle.own_extension {
        extmaps.retain(|extmap| id != extmap.id);
        extmaps.insert(0, extension(id));
        return extmaps;
    }
    if !receiver.bundle.is_grouped() {
        return extmaps;
    }
    match kind {
        Kind::Offer if extmaps.iter().any(is_mid_extension) => {}
        Kind::Offer => {
            if let Some(ours) = receiver.bundle.mid_extension {
                extmaps.retain(|extmap| ours != extmap.id);
                let place = if receiver.bundle.extension_lasts {
                    0
                } else {
                    extmaps.len()
                };
                extmaps.insert(place, extension(ours));
            }
        }
        Kind::Answer => {
            if let Some(id) = receiver.section().and_then(offered_extension) {
                extmaps.retain(|extmap| !is_mid_extension(extmap));
                extmaps.insert(0, extension(id));
            }
        }
    }
    extmaps
}

impl Media {
    /// The party has spoken: it has taken the extension that we offered in addition, or it is granted its own one with its bundle.
    pub(in crate::call) fn agree_on_extension(&mut self, is_granted: bool) {
        let remote_section = self.section().and_then(offered_extension);
        let agreed = |is_hidden| remote_section.map(|id| OwnExtension { id, is_hidden });
        self.bundle.own_extension = match self.bundle.own_extension {
            _ if remote_section.is_some() && remote_section == self.bundle.added_extension => agreed(true),
            _ if is_granted => agreed(false),
            known => known.filter(|known| remote_section == Some(known.id)),
        };
    }
}

/// Which header extensions both sides use, by their names: that is known with the answer. The one with the mid, if we have offered
/// it, is between us and the party.
pub(in crate::call) fn accepted_extensions(
    kind: Kind,
    section: &MediaSection,
    sender: &Media,
) -> Option<Vec<Text>> {
    let ours = sender.bundle.added_extension;
    let passed = section.extmaps.iter().filter(|extmap| ours != Some(extmap.id));
    let names = || passed.map(|extmap| extmap.uri.clone()).collect();
    (kind == Kind::Answer).then(names)
}

/// An identifier for the header extension with the mid: that which one of the sections uses for it already, though it may mean
/// something else in another one, which is then not told of that; else the first one that is free in all of them. Counted
/// are extensions that are told.
pub(in crate::call) fn mid_extension<'a>(
    members: impl Iterator<Item = &'a Media>,
    told: impl Fn(&ExtMap) -> bool,
) -> Option<u8> {
    let extmaps: Vec<&ExtMap> = members
        .filter_map(Media::section)
        .flat_map(|section| &section.extmaps)
        .filter(|extmap| told(extmap))
        .collect();
    let mut used = extmaps.iter().filter(|extmap| is_mid_extension(extmap));
    let free = |id: &u8| extmaps.iter().all(|extmap| extmap.id != *id);
    match used.next() {
        Some(used) => Some(used.id),
        None => (1..=14).chain(16..=255).find(free),
    }
}

/// Identifier of the header extension with the mid in what a party says of a section, if it is told.
pub(in crate::call) fn uses_mid_extension(media: &Media, told: impl Fn(&ExtMap) -> bool) -> Option<u8> {
    let mut extmaps = media.section()?.extmaps.iter();
    extmaps
        .find(|extmap| is_mid_extension(extmap) && told(extmap))
        .map(|extmap| extmap.id)
}

fn is_mid_extension(extmap: &ExtMap) -> bool {
    *extmap.uri == *MID_EXTENSION
}

/// The identifier that a party has for the extension.
pub(in crate::call) fn offered_extension(section: &MediaSection) -> Option<u8> {
    listed_extension(&section.extmaps)
}

/// Which of these names the section.
pub(in crate::call) fn listed_extension(extmaps: &[ExtMap]) -> Option<u8> {
    extmaps
        .iter()
        .find(|extmap| is_mid_extension(extmap))
        .map(|extmap| extmap.id)
}
