//! Whether the codecs of two parties come together, and what it takes.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::call::section::codecs::{EVENT, clock_rate, coding, is_alike};
use crate::plan::{Conversion, EventConversion, Transcoding as Plan};
use crate::sdp::{Codec, MediaKind};

use super::flow::FlowKind;
use super::media::Media;
use super::subscription::Way;

/// What it takes to bring both sides of a section together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Transcoding {
    /// Nothing.
    #[default]
    None,
    /// The party may choose a codec that the other one does not have.
    Offered,
    /// One of both uses a codec that the other one does not have.
    Needed,
    /// The party has answered with a codec that was added to the offer.
    Answered,
}

impl Way {
    /// What of the sender's media is decoded and encoded anew for the receiver: what that does not have becomes the first codec that
    /// it has and that we can make; where packets are to have another length, or everything is to be decoded, what it has as well.
    pub(in crate::call) fn transcoding(&self, source: &Media, sink: &Media) -> Option<Arc<Plan>> {
        let is_by_offer = self.flows.iter().all(|flow| flow.kind == FlowKind::OfferAnswer);
        if !is_by_offer || source.kind != MediaKind::Audio || !sink.transcodes {
            return None;
        }
        let target = sink.codecs.iter().find(|codec| coding(codec).is_some())?;
        // Who takes something that was added, and puts it first, is sent nothing else.
        let is_added = !source.codecs.iter().any(|codec| is_alike(codec, target));
        let audio = source.codecs.iter().filter_map(|codec| {
            let alike = sink.codecs.iter().find(|other| is_alike(codec, other));
            let to = match alike {
                Some(_) if is_added => target,
                Some(_) if !sink.is_repacked && !sink.is_reencoded => return None,
                Some(alike) => alike,
                None => target,
            };
            Some(Conversion {
                from: coding(codec)?,
                to: coding(to)?,
                packet_time: sink.packet_time(to),
            })
        });
        let audio: SmallVec<[Conversion; 2]> = audio.collect();
        let events = || events(source, sink, clock_rate(target)?);
        (!audio.is_empty()).then(|| {
            Arc::new(Plan {
                audio,
                events: events().into_iter().collect(),
            })
        })
    }
}

/// The telephone events that both sides have with the clock of the receiver's media.
fn events(source: &Media, sink: &Media, clock: u32) -> Option<EventConversion> {
    let is_event = |codec: &&Codec| codec.is(EVENT);
    let has_clock = |codec: &&Codec| clock_rate(codec) == Some(clock);
    let to = sink.codecs.iter().filter(is_event).find(has_clock)?;
    let of_media = source.codecs.iter().find(|codec| coding(codec).is_some())?;
    let own = clock_rate(of_media)?;
    let from = source
        .codecs
        .iter()
        .filter(is_event)
        .find(|codec| clock_rate(codec) == Some(own))?;
    Some(EventConversion {
        from: (from.payload_type, own),
        to: (to.payload_type, clock),
    })
}
