//! Changing the sampling rate: a polyphase low-pass filter (windowed sinc) for any two rates.
//!
//! It takes any number of samples at a time. What comes out is as old as what went in; the last 16 samples of the lower of the two
//! rates (2 ms where that is 8000 Hz) come out when more is known.

/// The filter reaches so many samples of the lower rate.
const REACH: usize = 32;

/// The part of the lower rate's band that passes undiminished.
const PASS: f64 = 0.92;

/// The window's shape (Kaiser): stops 80 dB.
const BETA: f64 = 7.9;

/// Values of one accumulator, which a processor adds at once.
const LANES: usize = 8;

/// Changes the rate of one stream.
#[derive(Clone, Debug)]
pub struct Resampler {
    channels: usize,
    /// So many samples come out for every `step` that go in.
    phases: usize,
    step: usize,
    /// Of each phase its coefficients.
    taps: Vec<f32>,
    /// How many those are.
    length: usize,
    /// For each channel what the next samples have to do with.
    history: Vec<Vec<f32>>,
    /// Where between the samples of the input the next sample of the output is, in parts of `phases`.
    position: usize,
}

impl Resampler {
    /// From one rate to another, in Hz; `channels` values of different channels take turns. None if a rate is 0, or if the two have
    /// so little in common that the filter would be very large.
    pub fn new(from: u32, to: u32, channels: usize) -> Option<Resampler> {
        const MOST_PHASES: usize = 2000;
        let common = greatest_common_divisor(from, to);
        if from == 0 || to == 0 || channels == 0 {
            return None;
        }
        let [step, phases] = [from / common, to / common].map(|rate| rate as usize);
        if phases > MOST_PHASES || step > 8 * phases {
            return None;
        }
        // More than one input sample for each of the output: the filter reaches as many more.
        let length = (REACH * step.max(phases))
            .div_ceil(phases)
            .next_multiple_of(LANES);
        Some(Resampler {
            channels,
            phases,
            step,
            taps: taps(phases, step, length),
            length,
            // The first sample is in the middle of the filter.
            history: vec![vec![0.0; length / 2 - 1]; channels],
            position: 0,
        })
    }

    /// Appends what comes of the next samples. What does not fill a sample of all channels is left out.
    pub fn run(&mut self, input: &[i16], output: &mut Vec<i16>) {
        let count = input.len() / self.channels;
        for (channel, history) in self.history.iter_mut().enumerate() {
            history.extend(
                input
                    .iter()
                    .skip(channel)
                    .step_by(self.channels)
                    .take(count)
                    .map(|value| f32::from(*value)),
            );
        }
        let begin = output.len();
        let known = self.history[0].len();
        // The filter must not reach beyond what is known.
        let places = (known + 1).saturating_sub(self.length) * self.phases;
        let outputs = places.saturating_sub(self.position).div_ceil(self.step);
        output.resize(begin + outputs * self.channels, 0);
        for (channel, history) in self.history.iter().enumerate() {
            let mut position = self.position;
            for value in output[begin..].iter_mut().skip(channel).step_by(self.channels) {
                let (index, phase) = (position / self.phases, position % self.phases);
                let taps = &self.taps[phase * self.length..][..self.length];
                *value = round(dot(taps, &history[index..][..self.length]));
                position += self.step;
            }
        }
        let position = self.position + outputs * self.step;
        let done = (position / self.phases).min(known);
        self.position = position - done * self.phases;
        for history in &mut self.history {
            history.drain(..done);
        }
    }
}

/// Of each phase the coefficients: what is between two samples of the input is a sum over those around.
fn taps(phases: usize, step: usize, length: usize) -> Vec<f32> {
    let cutoff = PASS * (phases as f64 / step as f64).min(1.0);
    let half = length as f64 / 2.0;
    let mut taps = Vec::with_capacity(phases * length);
    for phase in 0..phases {
        let offset = phase as f64 / phases as f64;
        let coefficients = (0..length).map(|tap| {
            let distance = tap as f64 + 1.0 - half - offset;
            sinc(cutoff * distance) * kaiser(distance / half)
        });
        let coefficients: Vec<f64> = coefficients.collect();
        // What is constant stays what it is.
        let sum: f64 = coefficients.iter().sum();
        taps.extend(coefficients.iter().map(|coefficient| narrow(coefficient / sum)));
    }
    taps
}

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x.abs() < 1e-9 { 1.0 } else { x.sin() / x }
}

/// The window at a place from -1 to 1.
fn kaiser(x: f64) -> f64 {
    let inside = (1.0 - x * x).max(0.0);
    bessel(BETA * inside.sqrt()) / bessel(BETA)
}

/// The modified Bessel function of order 0.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..40 {
        term *= (x / (2.0 * f64::from(n))).powi(2);
        sum += term;
    }
    sum
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn round(value: f32) -> i16 {
    value.round_ties_even() as i16
}

#[expect(clippy::cast_possible_truncation, reason = "a coefficient needs no more")]
fn narrow(value: f64) -> f32 {
    value as f32
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a.max(1)
    } else {
        greatest_common_divisor(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATES: [u32; 7] = [8000, 11_025, 12_000, 16_000, 32_000, 44_100, 48_000];

    #[expect(clippy::cast_possible_truncation, reason = "they are small")]
    fn tone(rate: u32, hertz: f64, seconds: f64) -> Vec<i16> {
        let samples = (f64::from(rate) * seconds) as u32;
        let value = |n: u32| (std::f64::consts::TAU * hertz * f64::from(n) / f64::from(rate)).sin();
        (0..samples)
            .map(|n| (10_000.0 * value(n)).round() as i16)
            .collect()
    }

    /// The power of a tone, and of all else, relative to what 10,000 is.
    fn purity(samples: &[i16], rate: u32, hertz: f64) -> (f64, f64) {
        let (mut real, mut imaginary, mut all) = (0.0, 0.0, 0.0);
        for (n, value) in samples.iter().enumerate() {
            let (value, angle) = (
                f64::from(*value),
                std::f64::consts::TAU * hertz * n as f64 / f64::from(rate),
            );
            real += value * angle.cos();
            imaginary += value * angle.sin();
            all += value * value;
        }
        let count = samples.len() as f64;
        let (full, tone) = (
            10_000.0 * 10_000.0 / 2.0,
            2.0 * (real * real + imaginary * imaginary) / (count * count),
        );
        (tone / full, (all / count - tone) / full)
    }

    #[test]
    fn tones_keep_their_pitch_and_loudness() {
        for from in RATES {
            for to in RATES {
                let mut output = Vec::new();
                Resampler::new(from, to, 1)
                    .unwrap()
                    .run(&tone(from, 1000.0, 1.1), &mut output);
                let settled = &output[to as usize / 20..][..to as usize];
                let (tone, noise) = purity(settled, to, 1000.0);
                assert!(
                    (tone - 1.0).abs() < 0.001 && noise < 1e-6,
                    "{from} to {to}: {tone} {noise}"
                );
            }
        }
    }

    /// What comes out belongs to the same moment as what went in.
    #[test]
    fn nothing_is_put_in_front() {
        for (from, to) in [(8000, 16_000), (48_000, 8000), (44_100, 8000)] {
            let mut output = Vec::new();
            Resampler::new(from, to, 1)
                .unwrap()
                .run(&tone(from, 300.0, 1.0), &mut output);
            let expected = tone(to, 300.0, 1.0);
            let settled = to as usize / 20;
            for (out, expected) in output.iter().zip(&expected).skip(settled) {
                assert!(
                    (out - expected).abs() < 20,
                    "{from} to {to}: {out} for {expected}"
                );
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_have_is_gone() {
        for (from, to, hertz) in [
            (16_000, 8000, 5000.0),
            (48_000, 8000, 4700.0),
            (48_000, 16_000, 9500.0),
            (44_100, 8000, 5000.0),
        ] {
            let mut output = Vec::new();
            Resampler::new(from, to, 1)
                .unwrap()
                .run(&tone(from, hertz, 1.0), &mut output);
            let power: f64 = output[to as usize / 20..]
                .iter()
                .map(|value| f64::from(*value).powi(2))
                .sum();
            assert!(
                power / f64::from(to) < 5e7 * 1e-5,
                "{from} to {to}: {}",
                power / f64::from(to) / 5e7
            );
        }
    }

    #[test]
    fn rates_that_have_nothing_in_common_are_refused() {
        for (from, to) in [(0, 8000), (8000, 0), (8000, 7919), (96_000, 8000)] {
            assert!(Resampler::new(from, to, 1).is_none(), "{from} to {to}");
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_samples_are_cut(
            from in proptest::sample::select(&RATES[..]),
            to in proptest::sample::select(&RATES[..]),
            channels in 1..=2_usize,
            samples in proptest::collection::vec(any::<i16>(), 0..800),
            cut in 1..200_usize,
        ) {
            let samples = &samples[..samples.len() / channels * channels];
            let mut resampler = Resampler::new(from, to, channels).unwrap();
            let mut whole = Vec::new();
            resampler.clone().run(samples, &mut whole);
            let mut cuts = Vec::new();
            for part in samples.chunks(cut * channels) {
                resampler.run(part, &mut cuts);
            }
            prop_assert_eq!(&whole, &cuts);
            let expected = (samples.len() / channels * to as usize).div_ceil(from as usize);
            let late = expected - whole.len() / channels;
            prop_assert!(late <= expected.min((REACH * to as usize).div_ceil(2 * from.min(to) as usize) + 8), "{late} of {expected}");
        }
    }
}
