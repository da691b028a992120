//! G722 (ITU-T G.722, 64 kbit/s): two bands of 8 kHz each, with adaptive differences of 6 bits in the lower and 2 bits in the higher
//! one. The names of blocks are those of the recommendation's section 6.
//!
//! The RTP clock is 8000 although there are 16,000 samples a second (RFC 3551 section 4.5.2): an octet holds two samples.

use super::{Decoder, Encoder, Format, Malformed};

const FORMAT: Format = Format::mono(16_000);

/// Makes G722 of samples.
#[derive(Clone, Debug, Default)]
pub struct G722Encoder {
    low: Band,
    high: Band,
    filter: Filter,
}

/// Makes samples of G722.
#[derive(Clone, Debug, Default)]
pub struct G722Decoder {
    low: Band,
    high: Band,
    filter: Filter,
}

impl G722Encoder {
    /// An encoder that has heard nothing yet.
    pub fn new() -> G722Encoder {
        G722Encoder {
            low: Band::new(Low::FIRST_SCALE),
            high: Band::new(High::FIRST_SCALE),
            filter: Filter::default(),
        }
    }
}

impl G722Decoder {
    /// A decoder that has heard nothing yet.
    pub fn new() -> G722Decoder {
        G722Decoder {
            low: Band::new(Low::FIRST_SCALE),
            high: Band::new(High::FIRST_SCALE),
            filter: Filter::default(),
        }
    }
}

impl Encoder for G722Encoder {
    fn format(&self) -> Format {
        FORMAT
    }

    fn frame(&self) -> usize {
        2
    }

    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) {
        let (pairs, _) = samples.as_chunks::<2>();
        payload.extend(pairs.iter().map(|[first, second]| {
            let (odd, even) = self.filter.run((*first).into(), (*second).into());
            let low = Low::encode(&mut self.low, (even + odd) >> 14);
            let high = High::encode(&mut self.high, (even - odd) >> 14);
            high << 6 | low
        }));
    }
}

impl Decoder for G722Decoder {
    fn format(&self) -> Format {
        FORMAT
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Malformed> {
        samples.extend(payload.iter().flat_map(|octet| {
            let low = Low::decode(&mut self.low, octet & 0x3f);
            let high = High::decode(&mut self.high, octet >> 6);
            let (second, first) = self.filter.run(low + high, low - high);
            [saturate(first >> 11), saturate(second >> 11)]
        }));
        Ok(())
    }
}

/// The lower band.
struct Low;

impl Low {
    const FIRST_SCALE: i32 = 32;

    fn encode(band: &mut Band, sample: i32) -> u8 {
        let (distance, is_negative) = band.distance(sample);
        // QUANTL
        let reached = LOW_DECISIONS
            .iter()
            .take_while(|decision| distance >= (*decision * band.scale) >> 12);
        let step = reached.count();
        let code = if is_negative {
            LOW_NEGATIVE[step]
        } else {
            LOW_POSITIVE[step]
        };
        Low::follow(band, code);
        code
    }

    fn decode(band: &mut Band, code: u8) -> i32 {
        let difference = (band.scale * LOW_LEVELS_64[usize::from(code)]) >> 15;
        let sample = (band.prediction + difference).clamp(-16_384, 16_383);
        Low::follow(band, code);
        sample
    }

    /// Predicts by the four bits that decoders of all rates have.
    fn follow(band: &mut Band, code: u8) {
        let code = usize::from(code >> 2);
        // INVQAL, LOGSCL, SCALEL
        let difference = (band.scale * LOW_LEVELS_48[code]) >> 15;
        band.rescale(LOW_LOGARITHMS[LOW_STEPS[code]], 18_432, 8);
        band.adapt(difference);
    }
}

/// The higher band.
struct High;

impl High {
    const FIRST_SCALE: i32 = 8;

    fn encode(band: &mut Band, sample: i32) -> u8 {
        let (distance, is_negative) = band.distance(sample);
        // QUANTH
        let code = match (distance >= (564 * band.scale) >> 12, is_negative) {
            (true, true) => 0,
            (false, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
        };
        High::follow(band, code);
        code
    }

    fn decode(band: &mut Band, code: u8) -> i32 {
        let prediction = band.prediction;
        let difference = High::follow(band, code);
        (prediction + difference).clamp(-16_384, 16_383)
    }

    fn follow(band: &mut Band, code: u8) -> i32 {
        // INVQAH, LOGSCH, SCALEH
        let code = usize::from(code);
        let difference = (band.scale * HIGH_LEVELS[code]) >> 15;
        band.rescale(HIGH_LOGARITHMS[code & 1], 22_528, 10);
        band.adapt(difference);
        difference
    }
}

/// What predicts the next sample of a band.
#[derive(Clone, Debug, Default)]
struct Band {
    /// Of the next sample.
    prediction: i32,
    /// What the zeros of the filter have to do with that.
    from_zeros: i32,
    /// The two last samples, and what the zeros left of them.
    reconstructed: [i32; 2],
    partly: [i32; 2],
    /// The coefficients of the poles, and of the zeros.
    poles: [i32; 2],
    zeros: [i32; 6],
    /// The last six differences.
    differences: [i32; 6],
    logarithm: i32,
    /// How large a step is.
    scale: i32,
}

impl Band {
    fn new(scale: i32) -> Band {
        Band {
            scale,
            ..Band::default()
        }
    }

    /// How far a sample is from what was predicted, and whether it is less. SUBTRA.
    fn distance(&self, sample: i32) -> (i32, bool) {
        let difference: i32 = saturate(sample - self.prediction).into();
        // In ones' complement, as the recommendation has it.
        if difference < 0 {
            (!difference, true)
        } else {
            (difference, false)
        }
    }

    fn rescale(&mut self, step: i32, most: i32, shift: i32) {
        self.logarithm = (((self.logarithm * 127) >> 7) + step).clamp(0, most);
        let [fraction, exponent] = [(self.logarithm >> 6) & 31, shift - (self.logarithm >> 11)];
        let mantissa = MANTISSAS[fraction as usize & 31];
        let scale = if exponent < 0 {
            mantissa << -exponent
        } else {
            mantissa >> exponent
        };
        self.scale = scale << 2;
    }

    fn adapt(&mut self, difference: i32) {
        // RECONS, PARREC
        let reconstructed = saturated(self.prediction + difference);
        let partly = saturated(self.from_zeros + difference);
        let [same_as_last, same_as_former] = self.partly.map(|before| (before < 0) == (partly < 0));

        // UPPOL2
        let [first, second] = self.poles;
        let weight = saturated(first << 2);
        let weight = if same_as_last { -weight } else { weight }.min(i16::MAX.into());
        let step = if same_as_former { 128 } else { -128 };
        let next_second = (step + (weight >> 7) + ((second * 32_512) >> 15)).clamp(-12_288, 12_288);

        // UPPOL1
        let step = if same_as_last { 192 } else { -192 };
        let bound = saturated(15_360 - next_second);
        let next_first = saturated(step + ((first * 32_640) >> 15)).clamp(-bound, bound);

        // UPZERO
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(&self.differences) {
            let step = if (*before < 0) == (difference < 0) {
                step
            } else {
                -step
            };
            *zero = saturated(step + ((*zero * 32_640) >> 15));
        }

        // DELAYA
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        self.partly = [partly, self.partly[0]];
        self.poles = [next_first, next_second];

        // FILTEP, FILTEZ, PREDIC
        let product = |(coefficient, value): (&i32, &i32)| (coefficient * saturated(2 * value)) >> 15;
        let from_poles: i32 = self.poles.iter().zip(&self.reconstructed).map(product).sum();
        let from_zeros: i32 = self.zeros.iter().zip(&self.differences).map(product).sum();
        self.from_zeros = saturated(from_zeros);
        self.prediction = saturated(saturated(from_poles) + self.from_zeros);
    }
}

/// The quadrature mirror filter, which splits what is heard into two bands, or puts them together again.
#[derive(Clone, Debug, Default)]
struct Filter {
    first: [i32; 12],
    second: [i32; 12],
}

impl Filter {
    /// Takes a pair of values; gives the sums over the twelve last first ones, and the twelve last second ones.
    fn run(&mut self, first: i32, second: i32) -> (i32, i32) {
        self.first.copy_within(1.., 0);
        self.first[11] = first;
        self.second.copy_within(1.., 0);
        self.second[11] = second;
        let forwards = self.first.iter().zip(&COEFFICIENTS);
        let backwards = self.second.iter().zip(COEFFICIENTS.iter().rev());
        (
            forwards.map(|(value, coefficient)| value * coefficient).sum(),
            backwards.map(|(value, coefficient)| value * coefficient).sum(),
        )
    }
}

fn saturated(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}

#[expect(clippy::cast_possible_truncation, reason = "it was brought into range")]
fn saturate(value: i32) -> i16 {
    saturated(value) as i16
}

const COEFFICIENTS: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Where the steps of the lower band begin, from the second on, and which codes they have, by sign.
const LOW_DECISIONS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219,
    1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
const LOW_NEGATIVE: [u8; 30] = [
    63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7,
    6, 5, 4,
];
const LOW_POSITIVE: [u8; 30] = [
    61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36,
    35, 34, 33, 32,
];

/// The differences of all codes, as decoders for 64 kbit/s have them.
const LOW_LEVELS_64: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360,
    -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688,
    -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856,
    7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136,
    -432, -136,
];

/// The same of codes without their two last bits.
const LOW_LEVELS_48: [i32; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0,
];

/// By how much the logarithm of the scale changes: of codes which step, of steps how much.
const LOW_STEPS: [usize; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
const LOW_LOGARITHMS: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];

/// The same of the higher band: of codes that end in 0, and in 1.
const HIGH_LEVELS: [i32; 4] = [-7408, -1616, 7408, 1616];
const HIGH_LOGARITHMS: [i32; 2] = [798, -214];

/// 2048 times two to the power of n/32.
const MANTISSAS: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896,
    2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::dtmf::Tone;

    /// What another implementation (SpanDSP's) makes of 4,000 samples of noise: the last 24 octets, and of those the last 24 samples.
    /// Whatever was not done alike before would have changed them.
    #[test]
    fn another_implementation_does_the_same() {
        const OCTETS: [u8; 24] = [
            89, 244, 209, 22, 207, 127, 110, 250, 27, 49, 209, 237, 89, 208, 93, 154, 182, 221, 127, 184,
            107, 190, 176, 247,
        ];
        const SAMPLES: [i16; 24] = [
            2377, 1972, -1053, -3461, 1618, 791, 1939, -2961, -3507, 3274, 4083, -251, -3636, -3741, -3024,
            -876, 298, -238, -2409, 2826, 651, 69, -1107, -1064,
        ];
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u16::try_from(state >> 16).unwrap_or_default().cast_signed() >> 3
        });
        let noise: Vec<i16> = noise.take(4000).collect();
        let (mut payload, mut samples) = (Vec::new(), Vec::new());
        G722Encoder::new().encode(&noise, &mut payload);
        assert_eq!(payload[2000 - 24..], OCTETS);
        assert_eq!(G722Decoder::new().decode(&payload, &mut samples), Ok(()));
        assert_eq!(samples[4000 - 24..], SAMPLES);
    }

    #[test]
    fn a_tone_comes_back() {
        let tone: Vec<i16> = Tone::single(1000.0, 16_000, 3200, -10.0).collect();
        let (mut payload, mut samples) = (Vec::new(), Vec::new());
        G722Encoder::new().encode(&tone, &mut payload);
        assert_eq!(payload.len(), 1600);
        assert_eq!(G722Decoder::new().decode(&payload, &mut samples), Ok(()));
        // The two filters delay by 22 samples.
        let (heard, said) = (&samples[1000 + 22..3000 + 22], &tone[1000..3000]);
        let energy =
            |values: &mut dyn Iterator<Item = i32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
        let noise = energy(&mut heard.iter().zip(said).map(|(a, b)| i32::from(*a) - i32::from(*b)));
        let signal = energy(&mut said.iter().map(|value| i32::from(*value)));
        assert!(noise < signal / 100.0, "{noise} of {signal}");
    }
}
