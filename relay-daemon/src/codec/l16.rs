//! L16: linear samples of 16 bits, big-endian (RFC 3551 section 4.5.11).

use super::{Decoder, Encoder, Format, Malformed};

/// L16 of some format, both ways.
#[derive(Clone, Copy, Debug)]
pub struct L16(pub Format);

impl Decoder for L16 {
    fn format(&self) -> Format {
        self.0
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Malformed> {
        let (values, rest) = payload.as_chunks::<2>();
        if !rest.is_empty() || values.len() % usize::from(self.0.channels) != 0 {
            return Err(Malformed);
        }
        samples.extend(values.iter().map(|value| i16::from_be_bytes(*value)));
        Ok(())
    }
}

impl Encoder for L16 {
    fn format(&self) -> Format {
        self.0
    }

    fn frame(&self) -> usize {
        self.0.channels.into()
    }

    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) {
        let whole = samples.len() - samples.len() % self.frame();
        payload.extend(samples[..whole].iter().flat_map(|sample| sample.to_be_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back() {
        let mut codec = L16(Format {
            rate: 44_100,
            channels: 2,
        });
        let (mut payload, mut samples) = (Vec::new(), Vec::new());
        codec.encode(&[1, -2, i16::MAX, i16::MIN], &mut payload);
        assert_eq!(payload, [0, 1, 0xff, 0xfe, 0x7f, 0xff, 0x80, 0]);
        assert_eq!(codec.decode(&payload, &mut samples), Ok(()));
        assert_eq!(samples, [1, -2, i16::MAX, i16::MIN]);
    }

    #[test]
    fn half_a_sample_is_refused() {
        let mut codec = L16(Format {
            rate: 44_100,
            channels: 2,
        });
        let mut samples = Vec::new();
        for payload in [&[0; 3][..], &[0; 2]] {
            assert_eq!(codec.decode(payload, &mut samples), Err(Malformed));
        }
        assert!(samples.is_empty());
    }
}
