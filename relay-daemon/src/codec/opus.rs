//! Opus (RFC 7587), at the rate of the audio: encoding and decoding at 8 or 16 kHz costs half as much as at 48 kHz.

use opus::{Application, Bitrate, Channels};

use super::{Decoder, Encoder, Format, Malformed};

/// Rates of samples that Opus is encoded from, and decoded to.
const RATES: [u32; 5] = [8000, 12_000, 16_000, 24_000, 48_000];

/// Packet times, ms, that one frame can have.
const PACKET_TIMES: [u32; 4] = [60, 40, 20, 10];

/// A packet is not longer (RFC 6716 section 3.2).
const MOST_MILLISECONDS: u32 = 120;

/// Bits a second, unless somebody asks for another rate.
const BIT_RATE: i32 = 32_000;

/// As good as more for speech, and cheaper.
const COMPLEXITY: i32 = 5;

/// Makes Opus of samples.
#[derive(Debug)]
pub(super) struct OpusEncoder {
    format: Format,
    encoder: opus::Encoder,
}

/// Makes samples of Opus.
#[derive(Debug)]
pub(super) struct OpusDecoder {
    format: Format,
    decoder: opus::Decoder,
}

/// What comes nearest to a format: no less, if that can be.
fn nearest(format: Format) -> Format {
    let rate = RATES.into_iter().find(|rate| *rate >= format.rate);
    Format {
        rate: rate.unwrap_or(48_000),
        channels: format.channels.clamp(1, 2),
    }
}

fn channels(format: Format) -> Channels {
    if format.channels == 2 {
        Channels::Stereo
    } else {
        Channels::Mono
    }
}

impl OpusEncoder {
    /// For audio of a format. None without memory.
    pub(super) fn new(source: Format) -> Option<OpusEncoder> {
        let format = nearest(source);
        let mut encoder = opus::Encoder::new(format.rate, channels(format), Application::Voip).ok()?;
        encoder.set_bitrate(Bitrate::Bits(BIT_RATE)).ok()?;
        encoder.set_complexity(COMPLEXITY).ok()?;
        encoder.set_inband_fec(true).ok()?;
        Some(OpusEncoder { format, encoder })
    }
}

impl OpusDecoder {
    /// To audio of a format, or what comes nearest. None without memory.
    pub(super) fn new(wanted: Format) -> Option<OpusDecoder> {
        let format = nearest(wanted);
        let decoder = opus::Decoder::new(format.rate, channels(format)).ok()?;
        Some(OpusDecoder { format, decoder })
    }

    fn decode_packet(
        &mut self,
        payload: &[u8],
        most: usize,
        samples: &mut Vec<i16>,
    ) -> Result<(), Malformed> {
        let begin = samples.len();
        samples.resize(begin + most, 0);
        let decoded = self.decoder.decode(payload, &mut samples[begin..], false);
        let values = decoded.map(|count| count * usize::from(self.format.channels));
        samples.truncate(begin + values.as_ref().copied().unwrap_or(0).min(most));
        values.map(|_| ()).map_err(|_| Malformed)
    }
}

impl Decoder for OpusDecoder {
    fn format(&self) -> Format {
        self.format
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Malformed> {
        if payload.is_empty() {
            return Err(Malformed);
        }
        self.decode_packet(payload, self.format.values(MOST_MILLISECONDS), samples)
    }

    fn conceal(&mut self, values: usize, samples: &mut Vec<i16>) -> bool {
        let step = self.format.values(10);
        let most = values.div_ceil(step).clamp(1, 12) * step;
        self.decode_packet(&[], most, samples).is_ok()
    }
}

impl Encoder for OpusEncoder {
    fn format(&self) -> Format {
        self.format
    }

    fn frame(&self) -> usize {
        self.format.values(10)
    }

    fn packet(&self, milliseconds: u32) -> usize {
        let fits = PACKET_TIMES.into_iter().find(|time| *time <= milliseconds);
        self.format.values(fits.unwrap_or(10))
    }

    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) {
        /// The largest frame (RFC 6716 section 3.4).
        const MOST_OCTETS: usize = 1275;
        let begin = payload.len();
        payload.resize(begin + MOST_OCTETS, 0);
        let encoded = self.encoder.encode(samples, &mut payload[begin..]);
        payload.truncate(begin + encoded.unwrap_or(0));
    }
}
