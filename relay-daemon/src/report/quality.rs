//! How good the media sounds to those who report on it.

use std::time::Duration;

use relay_common::ng::{Dictionary, Value};

use crate::plan::{Quality, Sample};

/// What one receiver has reported.
#[derive(Clone, Debug)]
pub struct QualitySnapshot {
    /// The samples.
    pub quality: Quality,
    /// Time of day, since the Unix epoch, when [`crate::clock::Time`] was zero.
    pub epoch: Duration,
}

impl QualitySnapshot {
    /// Adds what clients know of it, if anything could be rated.
    pub(super) fn describe(&self, fields: &mut Dictionary) {
        let (Some(average), Some((lowest, highest))) = (self.quality.average(), self.quality.extremes) else {
            return;
        };
        fields.push("cumulative loss", 0u32);
        let mut average = values(&average);
        average.push("samples", self.quality.count);
        fields.push("average MOS", average);
        fields.push("lowest MOS", self.reported(&lowest));
        fields.push("highest MOS", self.reported(&highest));
        let (interval, samples) = self.quality.progression();
        let mut progression = Dictionary::new();
        progression.push("interval", interval.as_secs());
        let entries = samples.iter().map(|sample| self.reported(sample).into());
        progression.push("entries", entries.collect::<Vec<Value>>());
        fields.push("MOS progression", progression);
    }

    fn reported(&self, sample: &Sample) -> Dictionary {
        let mut fields = values(sample);
        let at = self.epoch + Duration::from_nanos(sample.at.0);
        fields.push("reported at", at.as_secs());
        fields
    }
}

fn values(sample: &Sample) -> Dictionary {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mut fields = Dictionary::new();
    fields.push("MOS", sample.mos.unwrap_or(0));
    fields.push("round-trip time", micros(sample.round_trip));
    fields.push("round-trip time leg", micros(sample.leg));
    fields.push("jitter", sample.jitter);
    fields.push("packet loss", sample.loss);
    fields
}
