//! DTMF as sound (ITU-T Q.23, Q.24): the two tones of a digit, and finding digits in what is heard.

use std::f64::consts::TAU;

/// The rate at which digits are looked for, in Hz.
pub const DETECTION_RATE: u32 = 8000;

/// By bits 2 and 3 of a digit's place on the keypad, and by bits 0 and 1.
const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

/// The keypad, by rows.
const KEYPAD: [u8; 16] = *b"123A456B789C*0#D";

/// The events of RFC 4733 section 3.2, by number.
const EVENTS: [u8; 16] = *b"0123456789*#ABCD";

/// A digit of the keypad: 0 to 9, `*`, `#`, A to D.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digit(u8);

impl Digit {
    /// By its character. None if it is none of the sixteen.
    pub fn from_character(character: char) -> Option<Digit> {
        let character = u8::try_from(character.to_ascii_uppercase()).ok()?;
        EVENTS.contains(&character).then_some(Digit(character))
    }

    /// By the number of its event (RFC 4733 section 3.2). None above 15.
    pub fn from_event(event: u8) -> Option<Digit> {
        EVENTS.get(usize::from(event)).copied().map(Digit)
    }

    /// Its character.
    pub fn character(self) -> char {
        self.0.into()
    }

    /// The number of its event.
    pub fn event(self) -> u8 {
        let place = EVENTS.iter().position(|character| *character == self.0);
        place
            .and_then(|place| u8::try_from(place).ok())
            .unwrap_or_default()
    }

    /// Its two tones, in Hz.
    pub fn frequencies(self) -> [f64; 2] {
        let place = KEYPAD
            .iter()
            .position(|character| *character == self.0)
            .unwrap_or_default();
        [ROWS[place / 4], COLUMNS[place % 4]]
    }
}

/// A sound of up to two tones and a given length, with ramps of a millisecond, so that it does not click.
#[derive(Clone, Debug)]
pub struct Tone {
    /// In turns a sample.
    steps: [f64; 2],
    phases: [f64; 2],
    /// Of each tone.
    amplitude: f64,
    ramp: u32,
    /// In samples.
    done: u32,
    length: u32,
}

impl Tone {
    /// A digit, of so many samples of a rate, each tone at a level in dBm0 (RFC 4733 section 2.3.2), 0 or less.
    pub fn of_digit(digit: Digit, rate: u32, length: u32, level: f64) -> Tone {
        Tone::new(digit.frequencies(), rate, length, level)
    }

    /// One tone.
    pub fn single(hertz: f64, rate: u32, length: u32, level: f64) -> Tone {
        Tone::new([hertz, 0.0], rate, length, level)
    }

    fn new(frequencies: [f64; 2], rate: u32, length: u32, level: f64) -> Tone {
        let amplitude = amplitude(level);
        Tone {
            steps: frequencies.map(|hertz| hertz / f64::from(rate.max(1))),
            phases: [0.0; 2],
            amplitude,
            ramp: (rate / 1000).max(1),
            done: 0,
            length,
        }
    }

    /// Whether there is no more of it.
    pub fn is_over(&self) -> bool {
        self.done >= self.length
    }

    /// Lets it go on for so many samples.
    pub fn extend(&mut self, samples: u32) {
        self.length = self.length.saturating_add(samples);
    }
}

impl Iterator for Tone {
    type Item = i16;

    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    fn next(&mut self) -> Option<i16> {
        let left = self.length.checked_sub(self.done).filter(|left| *left > 0)?;
        let ramp = f64::from((self.done + 1).min(left).min(self.ramp)) / f64::from(self.ramp);
        let sum: f64 = self.phases.iter().map(|phase| (TAU * phase).sin()).sum();
        for (phase, step) in self.phases.iter_mut().zip(self.steps) {
            *phase = (*phase + step).fract();
        }
        self.done += 1;
        Some((self.amplitude * ramp * sum).round() as i16)
    }
}

/// The amplitude of a tone at a level in dBm0. The loudest one that samples can have is at 3.14 dBm0 in both laws of ITU-T G.711, or
/// nearly so.
fn amplitude(level: f64) -> f64 {
    const LOUDEST: f64 = 314.0 / 100.0;
    f64::from(i16::MAX) * 10_f64.powf((level - LOUDEST) / 20.0)
}

/// So many samples are looked at together: 12.75 ms.
const BLOCK: usize = 102;

/// The power of each tone must be more than that of one at -36 dBm0.
const LEAST_LEVEL: f64 = -36.0;

/// How much louder than the tone of the row that of the column may be, and the other way round: 4 and 8 dB, as powers.
const REVERSE_TWIST: f32 = 2.51;
const TWIST: f32 = 6.31;

/// How much louder than each other tone of its group one must be: 8 dB.
const PEAK: f32 = 6.31;

/// The part that the two tones must have in all that is heard.
const SHARE: f32 = 0.72;

/// Finds digits in what is heard.
#[derive(Clone, Debug)]
pub struct Detector {
    /// Of each tone, rows first, what the filter of Goertzel goes on with.
    filters: [[f32; 2]; 8],
    coefficients: [f32; 8],
    energy: f32,
    /// Of the block that has begun.
    samples: usize,
    /// What the last block had.
    last: Option<Digit>,
    /// Which digit is being heard, and since how many samples.
    heard: Option<(Digit, u32)>,
    least: f32,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A digit has begun, so many samples ago.
    Begins(Digit, u32),
    /// It is over, and was so many samples long.
    Ends(Digit, u32),
}

impl Detector {
    /// A detector that has heard nothing yet.
    pub fn new() -> Detector {
        let mut coefficients = [0.0; 8];
        for (coefficient, hertz) in coefficients.iter_mut().zip(ROWS.iter().chain(&COLUMNS)) {
            *coefficient = narrow(2.0 * (TAU * hertz / f64::from(DETECTION_RATE)).cos());
        }
        let amplitude = amplitude(LEAST_LEVEL);
        Detector {
            filters: [[0.0; 2]; 8],
            coefficients,
            energy: 0.0,
            samples: 0,
            last: None,
            heard: None,
            least: narrow((amplitude * BLOCK as f64 / 2.0).powi(2)),
        }
    }

    /// Listens to the next samples, one channel at [`DETECTION_RATE`].
    pub fn listen(&mut self, mut samples: &[i16], mut found: impl FnMut(Heard)) {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(BLOCK - self.samples));
            for sample in now {
                let sample = f32::from(*sample);
                self.energy += sample * sample;
                for (filter, coefficient) in self.filters.iter_mut().zip(self.coefficients) {
                    *filter = [coefficient * filter[0] - filter[1] + sample, filter[0]];
                }
            }
            self.samples += now.len();
            samples = later;
            if self.samples == BLOCK {
                let digit = self.judge();
                self.follow(digit, &mut found);
                self.filters = [[0.0; 2]; 8];
                (self.energy, self.samples) = (0.0, 0);
            }
        }
    }

    /// Two blocks of the same digit begin it, two without it end it.
    fn follow(&mut self, digit: Option<Digit>, found: &mut impl FnMut(Heard)) {
        #[expect(clippy::cast_possible_truncation, reason = "it is 102")]
        const LENGTH: u32 = BLOCK as u32;
        if let Some((heard, samples)) = &mut self.heard {
            if digit == Some(*heard) {
                *samples += LENGTH;
            } else if self.last == Some(*heard) {
                // It may be a gap in the line.
                *samples += LENGTH;
            } else {
                found(Heard::Ends(*heard, *samples - LENGTH));
                self.heard = None;
            }
        }
        if let (None, Some(digit)) = (self.heard, digit.filter(|_| digit == self.last)) {
            self.heard = Some((digit, 2 * LENGTH));
            found(Heard::Begins(digit, 2 * LENGTH));
        }
        self.last = digit;
    }

    /// The digit of the block.
    fn judge(&self) -> Option<Digit> {
        let mut powers = [0.0; 8];
        for ((power, [last, former]), coefficient) in
            powers.iter_mut().zip(self.filters).zip(self.coefficients)
        {
            *power = last * last + former * former - coefficient * last * former;
        }
        let (rows, columns) = powers.split_at(4);
        let (row, column) = (loudest(rows)?, loudest(columns)?);
        let [low, high] = [rows[row], columns[column]];
        let is_loud = low > self.least && high > self.least;
        let is_balanced = high < low * REVERSE_TWIST && low < high * TWIST;
        let is_alone = low + high > SHARE * self.energy * (BLOCK as f32 / 2.0);
        (is_loud && is_balanced && is_alone).then(|| Digit(KEYPAD[4 * row + column]))
    }
}

impl Default for Detector {
    fn default() -> Detector {
        Detector::new()
    }
}

/// Which one stands out.
fn loudest(powers: &[f32]) -> Option<usize> {
    let (place, most) = powers.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    let mut others = powers.iter().enumerate().filter(|(other, _)| *other != place);
    others.all(|(_, power)| power * PEAK < *most).then_some(place)
}

#[expect(clippy::cast_possible_truncation, reason = "needs no more")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(samples: &[i16]) -> Vec<Heard> {
        let mut found = Vec::new();
        let mut detector = Detector::new();
        // In packets of 20 ms.
        for samples in samples.chunks(160) {
            detector.listen(samples, |what| found.push(what));
        }
        found
    }

    fn digits() -> impl Iterator<Item = Digit> {
        (0..16).filter_map(Digit::from_event)
    }

    #[test]
    fn digits_have_numbers_and_characters() {
        for (event, character) in (0..).zip("0123456789*#ABCD".chars()) {
            let digit = Digit::from_event(event);
            assert_eq!(digit, Digit::from_character(character));
            assert_eq!(digit.map(Digit::event), Some(event));
        }
        assert_eq!(Digit::from_character('d'), Digit::from_event(15));
        assert_eq!(Digit::from_character('E'), None);
        assert_eq!(Digit::from_event(16), None);
        assert_eq!(
            Digit::from_character('#').map(Digit::frequencies),
            Some([941.0, 1477.0])
        );
    }

    #[test]
    fn each_digit_is_found_once_with_its_length() {
        for level in [-3.0, -10.0, -30.0] {
            for digit in digits() {
                let mut samples = vec![0; 777];
                samples.extend(Tone::of_digit(digit, DETECTION_RATE, 800, level));
                samples.extend([0; 800]);
                let [Heard::Begins(begun, _), Heard::Ends(ended, length)] = heard(&samples)[..] else {
                    panic!("{digit:?} at {level}: {:?}", heard(&samples));
                };
                assert_eq!((begun, ended), (digit, digit));
                assert!((600..=900).contains(&length), "{digit:?}: {length}");
            }
        }
    }

    #[test]
    fn tones_that_are_a_little_off_are_found() {
        for digit in digits() {
            for off in [0.985, 1.015] {
                let [low, high] = digit.frequencies().map(|hertz| hertz * off);
                let [low, high] = [low, high].map(|hertz| Tone::single(hertz, DETECTION_RATE, 800, -10.0));
                let samples: Vec<i16> = low
                    .zip(high)
                    .map(|(low, high)| low + high)
                    .chain([0; 400])
                    .collect();
                assert_eq!(heard(&samples).len(), 2, "{digit:?} {off}");
            }
        }
    }

    #[test]
    fn a_short_gap_does_not_make_two_of_one() {
        let digit = Digit::from_character('5').unwrap();
        let tone = || Tone::of_digit(digit, DETECTION_RATE, 500, -10.0);
        let samples: Vec<i16> = tone().chain([0; 40]).chain(tone()).chain([0; 400]).collect();
        assert_eq!(heard(&samples).len(), 2);
    }

    #[test]
    fn what_is_no_digit_is_not_found() {
        let single = Tone::single(697.0, DETECTION_RATE, 8000, -10.0);
        assert_eq!(heard(&single.collect::<Vec<_>>()), []);
        let quiet = Tone::of_digit(Digit(b'1'), DETECTION_RATE, 8000, -45.0);
        assert_eq!(heard(&quiet.collect::<Vec<_>>()), []);
        let short = Tone::of_digit(Digit(b'1'), DETECTION_RATE, 120, -10.0).chain([0; 400]);
        assert_eq!(heard(&short.collect::<Vec<_>>()), []);
        // A linear congruential generator's noise, a minute of it.
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u16::try_from(state >> 16).unwrap_or_default().cast_signed()
        });
        assert_eq!(heard(&noise.take(480_000).collect::<Vec<_>>()), []);
    }

    #[test]
    fn a_tone_is_as_loud_as_it_should_be() {
        let samples: Vec<i16> = Tone::single(1000.0, 8000, 8000, -10.0).collect();
        assert_eq!(samples.len(), 8000);
        let power: f64 = samples.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / 8000.0;
        let full = f64::from(i16::MAX).powi(2) / 2.0;
        let below_full = 10.0 * (power / full).log10();
        assert!((below_full + 13.14).abs() < 0.1, "{below_full}");
        assert!(samples[0].abs() < 100 && samples[7999].abs() < 1500);
    }
}
