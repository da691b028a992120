//! Clocks of the payload types that a party may send.

use relay_common::slot::Clock;
use smallvec::SmallVec;

use crate::call::model::flow::MediaId;
use crate::call::model::half::Half;
use crate::call::model::media::Media;
use crate::call::model::state::Call;
use crate::sdp::Codec;

/// Of further payload types no jitter is measured.
const MAX_CLOCKS: usize = 16;

impl Call {
    /// By what those who get the media say that they receive; then by what the party says itself.
    pub(in crate::call) fn clocks(&self, id: MediaId, media: &Media, half: Half) -> SmallVec<[Clock; 4]> {
        let mut clocks: SmallVec<[Clock; 4]> = SmallVec::new();
        if half == Half::Rtcp || !media.is_rtp() {
            return clocks;
        }
        let ways = self.ways_from(id);
        let others = ways.iter().filter_map(|way| self.media(way.sink));
        let sections = others.chain([media]).filter_map(Media::section);
        for codec in sections.flat_map(|section| &section.codecs).filter(is_media) {
            let is_known = clocks.iter().any(|clock| clock.is_of(codec.payload_type));
            let rate = codec.rtpmap.as_ref().map_or(0, |rtpmap| rtpmap.clock_rate);
            let clock = Clock::new(codec.payload_type, rate);
            if !is_known && clock.is_known() && clocks.len() < MAX_CLOCKS {
                clocks.push(clock);
            }
        }
        clocks
    }
}

/// Events and comfort noise come in between, at times of their own.
fn is_media(codec: &&Codec) -> bool {
    !codec.is("telephone-event") && !codec.is("CN")
}
