//! Which codec an SDP means.

use super::{Decoder, Encoder, Format, G711, G722Decoder, G722Encoder, L16, Law, g729, gsm, speex};

/// A codec with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// PCMU, PCMA.
    G711(Law),
    /// G722.
    G722,
    /// L16.
    L16(Format),
    /// GSM.
    Gsm,
    /// G729 and G729a.
    G729,
    /// speex, at a rate in Hz.
    Speex(u32),
    /// opus.
    Opus,
}

impl Kind {
    /// Of `a=rtpmap`. None if there is no such codec here, or not with this clock rate (Hz) or number of channels.
    pub fn new(encoding: &str, clock_rate: u32, channels: u8) -> Option<Kind> {
        const LINEAR_RATES: std::ops::RangeInclusive<u32> = 8000..=48_000;
        let is = |name: &str| encoding.eq_ignore_ascii_case(name);
        match (clock_rate, channels) {
            (8000, 1) if is("PCMU") => Some(Kind::G711(Law::Mu)),
            (8000, 1) if is("PCMA") => Some(Kind::G711(Law::A)),
            (8000, 1) if is("G722") => Some(Kind::G722),
            (8000, 1) if is("GSM") => gsm::is_available().then_some(Kind::Gsm),
            (8000, 1) if is("G729") || is("G729a") => g729::is_available().then_some(Kind::G729),
            (rate @ (8000 | 16_000 | 32_000), 1) if is("speex") => {
                speex::is_available().then_some(Kind::Speex(rate))
            }
            (48_000, 1 | 2) if is("opus") => cfg!(feature = "opus").then_some(Kind::Opus),
            (rate, 1 | 2) if is("L16") && LINEAR_RATES.contains(&rate) => {
                Some(Kind::L16(Format { rate, channels }))
            }
            _ => None,
        }
    }

    /// What silence is decoded to.
    pub fn silence(self) -> i16 {
        match self {
            // A-law has no zero.
            Kind::G711(law) => law.decode(law.silence()),
            Kind::G722 | Kind::L16(_) | Kind::Gsm | Kind::G729 | Kind::Speex(_) | Kind::Opus => 0,
        }
    }

    /// The best that it can carry.
    pub fn format(self) -> Format {
        match self {
            Kind::G711(_) | Kind::Gsm | Kind::G729 => Format::mono(8000),
            Kind::G722 => Format::mono(16_000),
            Kind::L16(format) => format,
            Kind::Speex(rate) => Format::mono(rate),
            Kind::Opus => Format::mono(48_000),
        }
    }

    /// A decoder that has heard nothing yet, for somebody who wants samples of a format: it may give others. None without memory.
    pub fn decoder(self, wanted: Format) -> Option<Box<dyn Decoder>> {
        match self {
            Kind::G711(law) => Some(Box::new(G711(law))),
            Kind::G722 => Some(Box::new(G722Decoder::new())),
            Kind::L16(format) => Some(Box::new(L16(format))),
            Kind::Gsm => Some(Box::new(gsm::Gsm::new()?)),
            Kind::G729 => Some(Box::new(g729::G729Decoder::new()?)),
            Kind::Speex(rate) => Some(Box::new(speex::SpeexDecoder::new(rate)?)),
            Kind::Opus => opus_decoder(wanted),
        }
    }

    /// An encoder that has heard nothing yet, for samples of a format: it may take others. None without memory.
    pub fn encoder(self, source: Format) -> Option<Box<dyn Encoder>> {
        match self {
            Kind::G711(law) => Some(Box::new(G711(law))),
            Kind::G722 => Some(Box::new(G722Encoder::new())),
            Kind::L16(format) => Some(Box::new(L16(format))),
            Kind::Gsm => Some(Box::new(gsm::Gsm::new()?)),
            Kind::G729 => Some(Box::new(g729::G729Encoder::new()?)),
            Kind::Speex(rate) => Some(Box::new(speex::SpeexEncoder::new(rate, SPEEX_BIT_RATE)?)),
            Kind::Opus => opus_encoder(source),
        }
    }
}

/// Bits a second.
const SPEEX_BIT_RATE: i32 = 11_000;

#[cfg(feature = "opus")]
fn opus_decoder(wanted: Format) -> Option<Box<dyn Decoder>> {
    Some(Box::new(super::opus::OpusDecoder::new(wanted)?))
}

#[cfg(feature = "opus")]
fn opus_encoder(source: Format) -> Option<Box<dyn Encoder>> {
    Some(Box::new(super::opus::OpusEncoder::new(source)?))
}

#[cfg(not(feature = "opus"))]
fn opus_decoder(_: Format) -> Option<Box<dyn Decoder>> {
    None
}

#[cfg(not(feature = "opus"))]
fn opus_encoder(_: Format) -> Option<Box<dyn Encoder>> {
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::dtmf::Tone;
    use crate::codec::fuzz::CODECS;

    #[test]
    fn codecs_are_known_by_name_and_clock() {
        assert_eq!(Kind::new("pcma", 8000, 1), Some(Kind::G711(Law::A)));
        assert_eq!(
            Kind::new("L16", 44_100, 2),
            Some(Kind::L16(Format {
                rate: 44_100,
                channels: 2
            }))
        );
        for (encoding, clock_rate, channels) in [
            ("PCMA", 16_000, 1),
            ("PCMU", 8000, 2),
            ("L16", 0, 1),
            ("x", 8000, 1),
        ] {
            assert_eq!(Kind::new(encoding, clock_rate, channels), None, "{encoding}");
        }
    }

    /// All of those that are here: a tone comes back with its pitch and about its loudness.
    #[test]
    fn a_tone_comes_back() {
        for (encoding, clock_rate) in CODECS {
            let Some(kind) = Kind::new(encoding, clock_rate, 1) else {
                eprintln!("{encoding}: skipped, there is no library for it here");
                continue;
            };
            let (mut encoder, mut decoder) = (
                kind.encoder(kind.format()).unwrap(),
                kind.decoder(kind.format()).unwrap(),
            );
            let format = encoder.format();
            assert_eq!(format, decoder.format());
            let tone: Vec<i16> = Tone::single(500.0, format.rate, format.rate, -10.0).collect();
            let (mut payload, mut decoded) = (Vec::new(), Vec::new());
            for packet in tone.chunks_exact(encoder.packet(20)) {
                payload.clear();
                encoder.encode(packet, &mut payload);
                assert_eq!(decoder.decode(&payload, &mut decoded), Ok(()), "{encoding}");
            }
            assert_eq!(decoded.len(), tone.len(), "{encoding}");
            let settled = &decoded[decoded.len() / 2..];
            let rises = settled
                .windows(2)
                .filter(|pair| pair[0] < 0 && pair[1] >= 0)
                .count();
            assert!((245..=255).contains(&rises), "{encoding}/{clock_rate}: {rises}");
            let power = |samples: &[i16]| samples.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
            let ratio = power(settled) / power(&tone[tone.len() / 2..]);
            assert!((0.25..2.0).contains(&ratio), "{encoding}/{clock_rate}: {ratio}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_does_no_harm(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20),
        ) {
            for (encoding, clock_rate) in CODECS {
                let Some(kind) = Kind::new(encoding, clock_rate, 1) else { continue };
                let mut decoder = kind.decoder(kind.format()).unwrap();
                for payload in &payloads {
                    let mut samples = vec![7];
                    let result = decoder.decode(payload, &mut samples);
                    // Half a second, or nothing.
                    prop_assert!(samples.len() <= 1 + decoder.format().values(500), "{}", encoding);
                    prop_assert!(result.is_ok() || samples == [7], "{}", encoding);
                }
            }
        }
    }
}
