//! The header extension that names the section of a packet.

use crate::sdp::{ExtMap, MediaSection, Text};

use super::super::media::Media;
use super::super::negotiate::Kind;

/// The header extension that holds the identification of a section (RFC 9143 section 15).
const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// The header extensions that the receiver of a message is told of, given those that the sender wants.
pub(in crate::call) fn with_mid_extension(
    mut extmaps: Vec<ExtMap>,
    sender: &Media,
    receiver: &Media,
    kind: Kind,
) -> Vec<ExtMap> {
    let offered = receiver.section().and_then(offered_extension).is_some();
    if kind == Kind::Answer && !offered {
        // That which we offered in addition was not the receiver's wish.
        let ours = sender.bundle.mid_extension;
        extmaps.retain(|extmap| !(is_mid_extension(extmap) && ours == Some(extmap.id)));
    }
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

/// An identifier for the header extension with the mid that is free in all sections: that which one of them uses for it
/// already, else the first one.
pub(super) fn mid_extension<'a>(members: impl Iterator<Item = &'a Media>) -> Option<u8> {
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

fn is_mid_extension(extmap: &ExtMap) -> bool {
    *extmap.uri == *MID_EXTENSION
}

pub(super) fn offered_extension(section: &MediaSection) -> Option<u8> {
    let mut extmaps = section.extmaps.iter();
    extmaps
        .find(|extmap| is_mid_extension(extmap))
        .map(|extmap| extmap.id)
}
