//! Whether a payload consists of frames that there are: the library complains of others on standard error, which whoever sends them
//! would fill.

/// The modes of the lower band, by their number: bits of a frame, with the five bits in front.
const NARROW: [usize; 9] = [5, 43, 119, 160, 220, 300, 364, 492, 79];

/// The same of the bands above it, with four bits in front.
const WIDE: [usize; 5] = [4, 36, 112, 192, 352];

/// What stands in place of a mode: something for the application, something for the decoder, the end.
const USER: usize = 13;
const SIGNAL: usize = 14;
const END: usize = 15;

/// Bits of a payload, and which one is next.
struct Bits<'a> {
    octets: &'a [u8],
    next: usize,
}

impl Bits<'_> {
    fn left(&self) -> usize {
        (8 * self.octets.len()).saturating_sub(self.next)
    }

    /// A number of some bits, which are not taken. None if there are not so many.
    fn peek(&self, count: usize) -> Option<usize> {
        let bit = |index: usize| usize::from(self.octets[index / 8] >> (7 - index % 8) & 1);
        (self.left() >= count)
            .then(|| (self.next..self.next + count).fold(0, |number, index| number << 1 | bit(index)))
    }

    fn take(&mut self, count: usize) -> Option<usize> {
        let number = self.peek(count);
        self.next += count;
        number
    }
}

/// Whether every frame of a payload at a rate, in Hz, is one that there is.
pub(super) fn are_valid(payload: &[u8], rate: u32) -> bool {
    let mut bits = Bits {
        octets: payload,
        next: 0,
    };
    // Of the bands above the lower one, which modes there are.
    let bands: &[usize] = match rate {
        8000 => &[],
        16_000 => &[WIDE.len()],
        _ => &[WIDE.len(), 2],
    };
    loop {
        // Bands that the decoder does not have may stand in front of the next frame: it skips two, but no empty ones.
        for band in 0..3 {
            let is_another = bits.peek(1) == Some(1);
            if is_another && band == 2 {
                return false;
            }
            if bits.left() < 5 {
                return true;
            }
            if !is_another {
                break;
            }
            match bits.peek(4).and_then(|head| WIDE.get(head & 7)) {
                Some(size) if *size > WIDE[0] => bits.next += size,
                _ => return false,
            }
        }
        let Some(mode) = bits.take(5) else { return true };
        match mode {
            END => return true,
            SIGNAL => {
                let Some(code) = bits.take(4) else { return true };
                bits.next += match code {
                    0 | 1 => 1,
                    2..8 => 4,
                    8 | 9 => 8,
                    10 | 11 => 16,
                    12 | 13 => 32,
                    _ => 64,
                };
            }
            USER => {
                let Some(octets) = bits.take(4) else { return true };
                bits.next += 5 + 8 * octets;
            }
            mode => {
                let Some(size) = NARROW.get(mode) else {
                    return false;
                };
                bits.next += size - 5;
                for modes in bands {
                    let Some(head) = bits.peek(4).filter(|head| head & 8 != 0) else {
                        break;
                    };
                    match WIDE[..*modes].get(head & 7) {
                        Some(size) => bits.next += size,
                        None => return false,
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_narrow_band() {
        // A frame of mode 1 with 43 bits, and the end.
        assert!(are_valid(&[0b0000_1000, 0, 0, 0, 0, 0b0000_1111], 8000));
        assert!(are_valid(&[], 8000));
        // Modes 9 to 12 are reserved.
        assert!(!are_valid(&[0b0100_1000], 8000));
        // A signal with four bits, then a frame without sound.
        assert!(are_valid(&[0b0111_0001, 0b0000_0000, 0b0001_1110], 8000));
    }

    #[test]
    fn bands_above_it() {
        // A frame without sound, and one of mode 1 above it.
        let wide = [0b0000_0100, 0b1000_0000, 0, 0, 0, 0, 0, 0];
        assert!(are_valid(&wide, 16_000) && are_valid(&wide, 8000));
        // Mode 5 is none.
        let unknown = [0b0000_0110, 0b1000_0000, 0, 0, 0, 0, 0, 0];
        assert!(!are_valid(&unknown, 16_000) && !are_valid(&unknown, 8000));
    }
}
