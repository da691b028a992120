//! RTP header extensions that two parties have in common.

use crate::call::model::media::Media;
use crate::call::section::kind::Kind;
use crate::plan::{ExtensionFilter, Identifiers};
use crate::sdp::{ExtMap, MediaSection};

use super::bundle::{offered_extension, with_mid_extension};
use super::negotiate::{Message, Pair};

/// The greatest identifier of the short form (RFC 8285 section 4.2).
const ONE_BYTE_LIMIT: u8 = 14;

/// The header extensions of a section that the receiver is told of, but for that which names the section in a bundle.
pub(in crate::call) fn passed(
    message: &Message<'_>,
    remote_section: Option<&MediaSection>,
    sender: &Media,
    receiver: &Media,
) -> Vec<ExtMap> {
    let mut passed: Vec<ExtMap> = Vec::new();
    let mut add = |extmap: &ExtMap| {
        // The first extension of each identifier counts.
        if passed.iter().all(|known| known.id != extmap.id) {
            passed.push(extmap.clone());
        }
    };
    if message.kind == Kind::Answer {
        // Those that the receiver offered and that the sender was not told of.
        let offered = receiver
            .section()
            .into_iter()
            .flat_map(|section| &section.extmaps);
        let masked = offered.filter(|extmap| sender.masked_extensions.names(&extmap.uri));
        masked.for_each(&mut add);
    }
    let remote_section = remote_section
        .into_iter()
        .flat_map(|remote_section| &remote_section.extmaps);
    remote_section
        .filter(|extmap| !message.hides_extension(extmap))
        .for_each(add);
    passed
}

/// Their identifiers.
fn identifiers(extmaps: &[ExtMap]) -> Identifiers {
    extmaps.iter().map(|extmap| extmap.id).collect()
}

impl Pair<'_> {
    /// Takes note of which header extensions either side has, when it is known what is bundled.
    pub(in crate::call) fn hear_extensions(&mut self) {
        let told = passed(self.message, Some(self.section), self.sender, self.receiver);
        let told = with_mid_extension(told, self.sender, self.receiver, self.message.kind);
        self.sender.extensions = identifiers(&self.section.extmaps);
        self.receiver.extensions = identifiers(&told);
        self.sender.extmaps.clone_from(&self.section.extmaps);
        self.receiver.extmaps = told;
    }
}

impl Media {
    /// What of the party's header extensions a sink gets: what both have said or were told. All, where neither of them has any.
    pub(in crate::call) fn extension_filter(&self, sink: &Media) -> Option<ExtensionFilter> {
        let both = self.extensions.and(&sink.extensions);
        // What names the section does so for the sender.
        let names_section = sink.section().and_then(offered_extension);
        let passes = both.without(names_section);
        let have_any = !self.extensions.is_empty() || !sink.extensions.is_empty();
        have_any.then(|| ExtensionFilter {
            passes,
            two_bytes: both.greatest().is_some_and(|greatest| greatest > ONE_BYTE_LIMIT),
            removes: self.extensions != passes,
        })
    }
}
