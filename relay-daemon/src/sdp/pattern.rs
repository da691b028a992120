//! Codecs as options name them.

use std::str::FromStr;

use super::Codec;

/// Codecs as an option names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecPattern {
    /// `all`, `full`.
    All,
    /// `NAME[/CLOCK[/CHANNELS]]`
    Named {
        /// Name of the encoding, in any case; or the number of a payload type without one.
        encoding: String,
        /// Clock rate, Hz.
        clock_rate: Option<u32>,
        /// Number of channels: 1 if a clock rate is given without.
        channels: Option<u8>,
    },
    /// With more than that: bit rate, packet time, format parameters. Matches nothing.
    Detailed,
}

impl CodecPattern {
    /// Whether a codec is one of those.
    pub fn matches(&self, codec: &Codec) -> bool {
        let CodecPattern::Named {
            encoding,
            clock_rate,
            channels,
        } = self
        else {
            return *self == CodecPattern::All;
        };
        match &codec.rtpmap {
            Some(rtpmap) => {
                rtpmap.encoding.eq_ignore_ascii_case(encoding)
                    && clock_rate.is_none_or(|wanted| wanted == rtpmap.clock_rate)
                    && channels.is_none_or(|wanted| wanted == rtpmap.channels)
            }
            None => encoding.parse() == Ok(codec.payload_type),
        }
    }
}

impl From<&str> for CodecPattern {
    fn from(text: &str) -> CodecPattern {
        if matches!(text, "all" | "full") {
            return CodecPattern::All;
        }
        let mut fields = text.split('/').map(str::trim);
        let encoding = fields.next().unwrap_or_default().to_owned();
        let (clock_rate, channels) = (number(fields.next()), number(fields.next()));
        if fields.any(|field| !field.is_empty()) {
            return CodecPattern::Detailed;
        }
        CodecPattern::Named {
            encoding,
            clock_rate,
            channels: channels.or(clock_rate.map(|_| 1)),
        }
    }
}

fn number<T: FromStr>(field: Option<&str>) -> Option<T> {
    field?.parse().ok()
}
