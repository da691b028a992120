//! How the media of a section is told from that of others on the same transport.

use std::sync::Arc;

use crate::call::model::grouping::Transport;
use crate::call::model::half::Half;
use crate::call::model::media::Media;
use crate::plan::{BundlePlan, Label, Marks, PayloadTypes};
use crate::sdp::MediaSection;

use super::extension::{listed_extension, offered_extension};

/// SSRCs of a section that are taken from its SDP.
const MAX_SSRCS: usize = 16;

impl Media {
    /// How the stream of a section in a group is told from the others. `media` are all sections of the party.
    pub(in crate::call) fn bundle_plan(&self, media: &[Media], half: Half) -> Option<BundlePlan> {
        let lead = self.bundle.lead()?;
        let lead = media.get(lead).filter(|lead| !lead.bound(half).is_empty())?;
        Some(BundlePlan {
            lead: lead.stream(half).id,
            joined: matches!(self.bundle.transport, Transport::Of(_)),
            marks: self.marks(),
        })
    }

    /// What marks packets for the party with the section, bundled or not: as it was told.
    pub(in crate::call) fn label(&self) -> Option<Label> {
        let mid = self.bundle.mid.as_ref()?;
        Some(Label {
            identifier: self.section().and_then(|_| listed_extension(&self.extmaps))?,
            mid: Arc::from(&**mid),
        })
    }

    fn marks(&self) -> Marks {
        let remote_section = self.section();
        let own_mid = remote_section.and_then(|section| section.mid.as_ref());
        let mut mids: Vec<Arc<str>> = Vec::with_capacity(2);
        for mid in [self.bundle.mid.as_ref(), own_mid].into_iter().flatten() {
            if !mids.iter().any(|known| **known == **mid) {
                mids.push(Arc::from(&**mid));
            }
        }
        let mut payload_types = PayloadTypes::default();
        let own_codecs = remote_section.into_iter().flat_map(|section| &section.codecs);
        for codec in self.local_codecs.list().iter().chain(own_codecs) {
            payload_types.insert(codec.payload_type);
        }
        Marks {
            mids,
            mid_extension: remote_section
                .and_then(offered_extension)
                .or(self.bundle.mid_extension),
            ssrcs: remote_section.map(announced_ssrcs).unwrap_or_default(),
            payload_types,
        }
    }
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
