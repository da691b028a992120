//! PCMU and PCMA (ITU-T G.711): mu-law and A-law.
//!
//! Encoding takes the level that is nearest to the sample, of two that are equally near the louder one.

use super::{Decoder, Encoder, Format, Malformed};

/// One of the two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// mu-law, PCMU.
    Mu,
    /// A-law, PCMA.
    A,
}

/// PCMU or PCMA, both ways.
#[derive(Clone, Copy, Debug)]
pub struct G711(pub Law);

impl Law {
    /// The sample of an octet.
    pub fn decode(self, octet: u8) -> i16 {
        self.levels()[usize::from(octet)]
    }

    /// The octet of a sample.
    pub fn encode(self, sample: i16) -> u8 {
        let magnitude = usize::from(sample.unsigned_abs().min(i16::MAX.unsigned_abs()));
        let octets = match self {
            Law::Mu => MU_OCTETS[magnitude >> 2],
            Law::A => A_OCTETS[magnitude >> 3],
        };
        // The first bit is the sign in both laws, set for what is not negative.
        if sample < 0 { octets & 0x7f } else { octets }
    }

    /// What silence is.
    pub fn silence(self) -> u8 {
        self.encode(0)
    }

    fn levels(self) -> &'static [i16; 256] {
        match self {
            Law::Mu => &MU_LEVELS,
            Law::A => &A_LEVELS,
        }
    }
}

impl Decoder for G711 {
    fn format(&self) -> Format {
        Format::mono(8000)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Malformed> {
        let levels = self.0.levels();
        samples.extend(payload.iter().map(|octet| levels[usize::from(*octet)]));
        Ok(())
    }
}

impl Encoder for G711 {
    fn format(&self) -> Format {
        Format::mono(8000)
    }

    fn frame(&self) -> usize {
        1
    }

    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) {
        payload.extend(samples.iter().map(|sample| self.0.encode(*sample)));
    }
}

static MU_LEVELS: [i16; 256] = levels(Law::Mu);
static A_LEVELS: [i16; 256] = levels(Law::A);

/// By magnitude, in steps of 4: mu-law has 14 bits.
static MU_OCTETS: [u8; 1 << 13] = octets(Law::Mu, 4);

/// By magnitude, in steps of 8: A-law has 13 bits.
static A_OCTETS: [u8; 1 << 12] = octets(Law::A, 8);

/// Of all octets the samples.
const fn levels(law: Law) -> [i16; 256] {
    let mut levels = [0; 256];
    let mut step = 0;
    while step < 128 {
        let octet = octet_of(law, step) as usize;
        let level = level_of(law, step);
        levels[octet] = level;
        levels[octet & 0x7f] = -level;
        step += 1;
    }
    levels
}

/// Of all magnitudes, in steps, the octets for positive samples.
#[expect(clippy::cast_possible_truncation, reason = "a magnitude has 15 bits")]
const fn octets<const N: usize>(law: Law, step: i16) -> [u8; N] {
    let mut octets = [0; N];
    let mut nearest = 0;
    let mut index = 0;
    while index < N {
        let magnitude = index as i16 * step;
        // Magnitudes grow, and so do levels: the nearest one is the same or a later one.
        while nearest < 127
            && level_of(law, nearest + 1) as i32 - magnitude as i32
                <= (magnitude - level_of(law, nearest)) as i32
        {
            nearest += 1;
        }
        octets[index] = octet_of(law, nearest);
        index += 1;
    }
    octets
}

/// The octet of the positive levels, from the lowest to the highest.
const fn octet_of(law: Law, number: u8) -> u8 {
    match law {
        Law::Mu => 0xff - number,
        Law::A => (0x80 | number) ^ 0x55,
    }
}

/// The positive levels, from the lowest to the highest: 8 segments of 16.
const fn level_of(law: Law, number: u8) -> i16 {
    let (segment, step) = (number >> 4, (number & 15) as i16);
    match (law, segment) {
        (Law::Mu, _) => (((step << 3) + 132) << segment) - 132,
        (Law::A, 0) => (step << 4) + 8,
        (Law::A, _) => ((step << 4) + 264) << (segment - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the tables of ITU-T G.711: of both laws the ends of segments.
    #[test]
    fn levels_are_those_of_the_recommendation() {
        for (octet, level) in [
            (0xff, 0),
            (0xf0, 120),
            (0xef, 132),
            (0x80, 32_124),
            (0x00, -32_124),
            (0x7e, -8),
        ] {
            assert_eq!(Law::Mu.decode(octet), level, "{octet:#x}");
        }
        for (octet, level) in [
            (0xd5, 8),
            (0x55, -8),
            (0xda, 248),
            (0xc5, 264),
            (0xaa, 32_256),
            (0x2a, -32_256),
        ] {
            assert_eq!(Law::A.decode(octet), level, "{octet:#x}");
        }
    }

    #[test]
    fn the_nearest_level_is_taken() {
        for law in [Law::Mu, Law::A] {
            // At borders of segments the nearest one is decided by as many bits as the law has.
            let bits = match law {
                Law::Mu => 4,
                Law::A => 8,
            };
            for sample in i16::MIN..=i16::MAX {
                let error = |level: i16| (i32::from(level) - i32::from(sample)).abs();
                let taken = error(law.decode(law.encode(sample)));
                let best = (0..=255).map(|octet| error(law.decode(octet))).min();
                assert!(best.is_some_and(|best| taken < best + bits), "{law:?} {sample}");
            }
        }
    }

    #[test]
    fn levels_come_back() {
        for law in [Law::Mu, Law::A] {
            for octet in (0..=255).filter(|octet| (law, *octet) != (Law::Mu, 0x7f)) {
                assert_eq!(law.encode(law.decode(octet)), octet, "{law:?}");
            }
        }
    }

    #[test]
    fn of_two_that_are_equally_near_the_louder_is_taken() {
        assert_eq!(Law::A.decode(Law::A.encode(16)), 24);
        assert_eq!(Law::A.decode(Law::A.encode(-16)), -24);
        assert_eq!(Law::Mu.decode(Law::Mu.encode(4)), 8);
    }

    #[test]
    fn silence_is_positive() {
        assert_eq!(Law::Mu.silence(), 0xff);
        assert_eq!(Law::A.silence(), 0xd5);
    }
}
