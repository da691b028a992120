//! What receivers report of the media that they get (RTCP), and how good that sounds.

use std::time::Duration;

use crate::clock::Time;

/// So many samples are kept of each SSRC: when there are more, every other one is given up, and from then on not taken.
const MOST_SAMPLES: usize = 256;

/// Of so many SSRCs of a stream are samples kept.
const MOST_REPORTERS: usize = 20;

/// How an opinion score follows from what was reported (option `mos`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MosModel {
    /// The older formula (`legacy`) in place of the simplified E-model.
    pub legacy: bool,
    /// Listening quality (`LQ`): the round trip does not count, and need not be known.
    pub listening: bool,
}

/// A report of one receiver on one sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When it came.
    pub at: Time,
    /// Mean opinion score, tenths; none if too little is known.
    pub mos: Option<u32>,
    /// From the sender to the receiver and back, through the relay.
    pub round_trip: Duration,
    /// From the relay to the receiver and back.
    pub leg: Duration,
    /// Interarrival jitter, ms.
    pub jitter: u32,
    /// Packets lost since the report before, percent.
    pub loss: u32,
}

/// The samples of one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quality {
    /// The SSRC that reported.
    pub ssrc: u32,
    /// The samples, the oldest first.
    pub samples: Vec<Sample>,
    /// Of so many samples one is kept, and how many there were.
    stride: u32,
    heard: u32,
    /// How many samples have a score, and their sums.
    pub count: u32,
    /// Sum of scores, of jitter and of loss.
    sums: [u64; 3],
    round_trips: [Duration; 2],
    /// The sample with the lowest score, and that with the highest.
    pub extremes: Option<(Sample, Sample)>,
}

impl Quality {
    fn new(ssrc: u32) -> Quality {
        Quality {
            ssrc,
            samples: Vec::new(),
            stride: 1,
            heard: 0,
            count: 0,
            sums: [0; 3],
            round_trips: [Duration::ZERO; 2],
            extremes: None,
        }
    }

    fn add(&mut self, sample: Sample) {
        if self.heard.is_multiple_of(self.stride) {
            self.samples.push(sample);
        }
        self.heard = self.heard.wrapping_add(1);
        if self.samples.len() >= MOST_SAMPLES {
            let mut number = 0;
            self.samples.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.stride = self.stride.saturating_mul(2);
        }
        let Some(mos) = sample.mos else {
            return;
        };
        self.count += 1;
        for (sum, value) in self.sums.iter_mut().zip([mos, sample.jitter, sample.loss]) {
            *sum += u64::from(value);
        }
        for (sum, value) in self.round_trips.iter_mut().zip([sample.round_trip, sample.leg]) {
            *sum = sum.saturating_add(value);
        }
        let (lowest, highest) = self.extremes.unwrap_or((sample, sample));
        self.extremes = Some((
            if sample.mos < lowest.mos { sample } else { lowest },
            if sample.mos > highest.mos { sample } else { highest },
        ));
    }

    /// The average of the samples with a score; none if there is none.
    pub fn average(&self) -> Option<Sample> {
        let count = u64::from(self.count);
        let mean = |sum: u64| u32::try_from(sum.checked_div(count)?).ok();
        let [mos, jitter, loss] = self.sums;
        let [round_trip, leg] = self.round_trips;
        Some(Sample {
            at: Time::default(),
            mos: Some(mean(mos)?),
            round_trip: round_trip / self.count,
            leg: leg / self.count,
            jitter: mean(jitter)?,
            loss: mean(loss)?,
        })
    }

    /// About ten samples, spread over the time that they were taken in, and how far they are apart.
    pub fn progression(&self) -> (Duration, Vec<Sample>) {
        let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) else {
            return (Duration::ZERO, Vec::new());
        };
        let interval = last.at.since(first.at) / 10;
        let mut next = first.at;
        let mut shown = Vec::new();
        for sample in &self.samples {
            if sample.at >= next {
                shown.push(*sample);
                while next <= sample.at && !interval.is_zero() {
                    next = next + interval;
                }
            }
        }
        (interval, shown)
    }
}

/// Adds a sample to those of its SSRC.
pub(super) fn add_sample(qualities: &mut Vec<Quality>, ssrc: u32, sample: Sample) {
    if let Some(known) = qualities.iter_mut().find(|quality| quality.ssrc == ssrc) {
        known.add(sample);
    } else if qualities.len() < MOST_REPORTERS {
        let mut quality = Quality::new(ssrc);
        quality.add(sample);
        qualities.push(quality);
    }
}

impl MosModel {
    /// The score, tenths. `round_trip` in ms, like `jitter`; `loss` in percent.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 10 and 45"
    )]
    pub fn score(self, round_trip: f64, jitter: f64, loss: f64) -> u32 {
        let round_trip = if self.listening { 0.0 } else { round_trip };
        let rating = match self.legacy {
            true => {
                let delay = round_trip + 2.0 * jitter + 10.0;
                let impaired = match delay < 160.0 {
                    true => 93.2 - delay / 40.0,
                    false => 93.2 - (delay - 120.0) / 10.0,
                };
                impaired - 2.5 * loss
            }
            // Beyond a fifth of the packets lost this means nothing any more, but it is what clients know.
            false => {
                let delay = round_trip / 2.0 + jitter;
                let late = if delay > 177.3 {
                    0.11 * (delay - 177.3)
                } else {
                    0.0
                };
                let rest = if loss > 93.0 { 0.0 } else { 93.2 - loss };
                0.18 * rest * rest - 27.9 * rest + 1126.62 - (0.024 * delay + late)
            }
        };
        let mos = match rating {
            rating if rating < 0.0 => 1.0,
            rating if rating > 100.0 => 4.5,
            rating => 1.0 + 0.035 * rating + 0.000_007 * rating * (rating - 60.0) * (100.0 - rating),
        };
        // Above 0 and below 10 the formula dips below the scale.
        (f64::max(mos, 1.0) * 10.0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores() {
        let standard = MosModel::default();
        assert_eq!(standard.score(0.0, 0.0, 0.0), 43);
        assert_eq!(standard.score(0.0, 20.0, 10.0), 26);
        assert_eq!(standard.score(0.0, 20.0, 19.0), 24);
        assert_eq!(standard.score(0.0, 0.0, 13.0), 24);
        assert_eq!(standard.score(0.0, 0.0, 97.0), 45);
        assert!(standard.score(800.0, 0.0, 0.0) < 43);
        let listening = MosModel {
            listening: true,
            ..standard
        };
        assert_eq!(listening.score(800.0, 0.0, 0.0), 43);
        let legacy = MosModel {
            legacy: true,
            ..standard
        };
        assert_eq!(legacy.score(0.0, 20.0, 10.0), 34);
        assert_eq!(legacy.score(0.0, 0.0, 60.0), 10);
    }

    fn sample(seconds: u64, mos: Option<u32>) -> Sample {
        Sample {
            at: Time(seconds * 1_000_000_000),
            mos,
            loss: 3,
            ..Sample::default()
        }
    }

    #[test]
    fn a_sample_without_a_score_is_shown_and_does_not_count() {
        let mut qualities = Vec::new();
        for (seconds, mos) in [(1, None), (2, Some(24)), (3, Some(37))] {
            add_sample(&mut qualities, 7, sample(seconds, mos));
        }
        let quality = &qualities[0];
        assert_eq!((quality.ssrc, quality.count), (7, 2));
        assert_eq!(quality.average().unwrap().mos, Some(30));
        let (lowest, highest) = quality.extremes.unwrap();
        assert_eq!((lowest.mos, highest.mos), (Some(24), Some(37)));
        assert_eq!(quality.progression().1.len(), 3);
    }

    #[test]
    fn a_long_call_has_few_samples_and_shows_about_ten() {
        let mut qualities = Vec::new();
        for seconds in 0..100_000 {
            add_sample(&mut qualities, 7, sample(seconds, Some(43)));
            add_sample(
                &mut qualities,
                u32::try_from(seconds).unwrap(),
                sample(seconds, None),
            );
        }
        assert_eq!(qualities.len(), MOST_REPORTERS);
        assert!(qualities[0].samples.len() <= MOST_SAMPLES);
        assert_eq!(qualities[0].count, 100_000);
        let (interval, shown) = qualities[0].progression();
        assert!((10..=11).contains(&shown.len()), "{}", shown.len());
        assert!(interval > Duration::from_secs(9000));
    }
}
