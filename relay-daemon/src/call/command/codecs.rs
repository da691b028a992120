//! What a message asks of codecs.

use crate::sdp::CodecPattern;

/// `codec` and the flags about codecs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodecOptions {
    /// `strip`: left out.
    pub strip: Vec<CodecPattern>,
    /// `mask`, `consume`: left out, but the sender of the offer may be answered with them.
    pub mask: Vec<CodecPattern>,
    /// `offer`: back in, in this order, if they were left out.
    pub offer: Vec<CodecPattern>,
    /// `except`: left in although all are left out.
    pub except: Vec<CodecPattern>,
    /// `transcode`: offered besides.
    pub transcode: Vec<CodecSpec>,
    /// `ignore`: the sender of the offer is not answered with them.
    pub ignore: Vec<CodecPattern>,
    /// `allow-asymmetric-codecs`: an answer may number them in its own way.
    pub asymmetric: bool,
    /// `accept`, `consume`: what the sender of an offer is answered with even if nobody else has it. Of `publish`: what is
    /// wanted, the most wanted first; `any` and `all` are such words, too.
    pub accept: Vec<CodecPattern>,
    /// `force-transcoding`: media is decoded even if both sides have the same codec.
    pub force: bool,
    /// `inject-DTMF`: media is decoded if there are no telephone events to send digits with.
    pub events_to_come: bool,
    /// In which order they stand.
    pub order: CodecOrder,
    /// How many of them an answer may hold.
    pub choice: CodecChoice,
    /// What becomes of a section of which nothing is left.
    pub nothing_left: NothingLeft,
}

/// The order of codecs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CodecOrder {
    /// The sender's.
    #[default]
    Sender,
    /// Those that the receiver knows first, as it knows them (`reuse-codecs`).
    Known,
    /// Those that the receiver knows, and no others (`static-codecs`).
    Static,
}

/// How many codecs an answer may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CodecChoice {
    /// Any number.
    #[default]
    All,
    /// The first one, with its telephone-event (`single-codec`).
    First,
}

/// What becomes of a section without codecs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NothingLeft {
    /// Its formats stay.
    #[default]
    Restored,
    /// It is rejected (`allow-no-codec-media`).
    Rejected,
}

/// A codec as `transcode` names it: `NAME[/CLOCK[/CHANNELS[/BITRATE[/PTIME[/FMTP[/OPTIONS]]]]]]`.
///
/// Bit rate, packet time and options say nothing in an SDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecSpec {
    /// Name of the encoding, in any case.
    pub encoding: String,
    /// Clock rate, Hz.
    pub clock_rate: Option<u32>,
    /// Number of channels: 1 if a clock rate is given without.
    pub channels: Option<u8>,
    /// Format parameters in place of the usual ones.
    pub fmtp: Option<String>,
}

impl From<&str> for CodecSpec {
    fn from(text: &str) -> CodecSpec {
        let mut fields = text.splitn(7, '/').map(str::trim);
        let mut field = || fields.next().filter(|field| !field.is_empty());
        let encoding = field().unwrap_or_default().to_owned();
        let clock_rate = field().and_then(|field| field.parse().ok());
        let channels = field().and_then(|field| field.parse().ok());
        let (_bit_rate, _packet_time) = (field(), field());
        CodecSpec {
            encoding,
            clock_rate,
            channels: channels.or(clock_rate.map(|_| 1)),
            fmtp: field().map(str::to_owned),
        }
    }
}
