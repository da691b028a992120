//! Decoders and encoders of audio: samples on one side, payloads of RTP packets on the other. Pure: packets and samples go in and
//! come out, there is no clock, thread or file.
//!
//! Samples are 16 bits, linear, interleaved where there are two channels. Whoever calls keeps the buffers, so nothing is allocated for
//! a packet once they have grown.

pub mod dtmf;
mod fuzz;
mod g711;
mod g722;
mod g729;
mod gsm;
mod kind;
mod l16;
mod library;
#[cfg(feature = "opus")]
mod opus;
mod resample;
mod speex;

pub use fuzz::fuzz;
pub use g711::{G711, Law};
pub use g722::{G722Decoder, G722Encoder};
pub use kind::Kind;
pub use l16::L16;
pub use resample::Resampler;

use std::fmt::{self, Debug, Display, Formatter};

/// What samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// Samples a second and channel.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u8,
}

impl Format {
    /// One channel.
    pub const fn mono(rate: u32) -> Format {
        Format { rate, channels: 1 }
    }

    /// How many values there are in so many milliseconds.
    pub fn values(self, milliseconds: u32) -> usize {
        (self.rate * milliseconds / 1000) as usize * usize::from(self.channels)
    }
}

/// Makes samples of the payloads of one SSRC, in the order of their sequence numbers.
pub trait Decoder: Debug + Send {
    /// What the samples are.
    fn format(&self) -> Format;

    /// Appends the samples of a payload. A payload that the codec does not allow is refused, and changes nothing.
    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Malformed>;

    /// Appends about so many values in place of a payload that is lost, if the codec has a method of its own for that. Says whether
    /// it has.
    fn conceal(&mut self, _values: usize, _samples: &mut Vec<i16>) -> bool {
        false
    }
}

/// Makes payloads of samples.
pub trait Encoder: Debug + Send {
    /// What the samples have to be.
    fn format(&self) -> Format;

    /// How many values [`Encoder::encode`] takes at a time, or a multiple of it.
    fn frame(&self) -> usize;

    /// How many values a packet of so many milliseconds has, or the nearest one that there can be.
    fn packet(&self, milliseconds: u32) -> usize {
        let frame = self.frame();
        (self.format().values(milliseconds) / frame).max(1) * frame
    }

    /// Appends the payload of a packet: what is in `samples`, but for values at the end that are less than a frame.
    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>);
}

/// A payload that its codec does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Display for Malformed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a payload that the codec does not allow")
    }
}

impl std::error::Error for Malformed {}
