//! Which of the sender's codecs the receiver is told of (`codec`).

use std::str::FromStr;

use crate::sdp::Codec;

use super::CodecSpec;

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
    /// In which order they stand.
    pub order: CodecOrder,
    /// How many of them an answer may hold.
    pub choice: CodecChoice,
    /// What becomes of a section of which nothing is left.
    pub nothing_left: NothingLeft,
}

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

/// What is left of a list of codecs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection<'a> {
    /// These.
    Codecs(Vec<&'a Codec>),
    /// None: the formats stay, without a word on what they mean.
    Formats,
    /// None: the section is rejected.
    Rejected,
}

impl CodecOptions {
    /// Which of the codecs are left. `known` are those that the receiver was told before.
    pub(super) fn select<'a>(&self, codecs: Vec<&'a Codec>, known: &'a [Codec]) -> Selection<'a> {
        let codecs = self.ordered(codecs, known);
        if codecs.is_empty() || (self.strip.is_empty() && self.mask.is_empty()) {
            return Selection::Codecs(codecs);
        }
        let left = self.left(&codecs);
        let is_empty = codecs.iter().any(|codec| self.is_left_out(codec))
            && left.iter().all(|codec| is_supplemental(codec));
        let all_left_out = [&self.strip, &self.mask]
            .iter()
            .any(|list| list.contains(&CodecPattern::All));
        match self.nothing_left {
            _ if !is_empty => Selection::Codecs(left),
            NothingLeft::Rejected => Selection::Rejected,
            NothingLeft::Restored if all_left_out => Selection::Codecs(codecs),
            NothingLeft::Restored => Selection::Formats,
        }
    }

    /// Those of the codecs that are not left out, and those that come back.
    pub(super) fn left<'a>(&self, codecs: &[&'a Codec]) -> Vec<&'a Codec> {
        let (out, mut left): (Vec<&Codec>, Vec<&Codec>) =
            codecs.iter().partition(|codec| self.is_left_out(codec));
        for wanted in &self.offer {
            left.extend(out.iter().filter(|codec| wanted.matches(codec)));
        }
        left
    }

    /// Whether an answer may have to be translated for the sender of the offer.
    pub(super) fn may_transcode(&self) -> bool {
        let lists = [&self.mask, &self.accept, &self.ignore];
        !self.transcode.is_empty() || lists.iter().any(|list| !list.is_empty())
    }

    /// Whether the sender of an offer may be answered with one of its codecs.
    pub(super) fn is_usable(&self, codec: &Codec) -> bool {
        let ignored = self.ignore.iter().any(|pattern| pattern.matches(codec));
        !ignored && (!self.is_listed(&self.strip, codec) || self.is_listed(&self.mask, codec))
    }

    /// Whether the sender of an offer is answered with one of its codecs even if nobody else has it.
    pub(super) fn is_preferred(&self, codec: &Codec) -> bool {
        self.accept.iter().any(|pattern| pattern.matches(codec))
    }

    /// An answer's codecs, reduced to one if that is wanted.
    pub(super) fn choose<'a>(&self, codecs: Vec<&'a Codec>) -> Vec<&'a Codec> {
        let first = match self.choice {
            CodecChoice::All => None,
            CodecChoice::First => codecs.iter().copied().find(|codec| !is_supplemental(codec)),
        };
        let Some(first) = first else {
            return codecs;
        };
        let clock_rate = |codec: &Codec| codec.rtpmap.as_ref().map(|rtpmap| rtpmap.clock_rate);
        let event = |codec: &&Codec| codec.is("telephone-event") && clock_rate(codec) == clock_rate(first);
        let event = codecs.into_iter().find(event);
        std::iter::once(first).chain(event).collect()
    }

    fn ordered<'a>(&self, codecs: Vec<&'a Codec>, known: &'a [Codec]) -> Vec<&'a Codec> {
        match self.order {
            CodecOrder::Sender => codecs,
            CodecOrder::Static if known.is_empty() => codecs,
            CodecOrder::Static => known.iter().collect(),
            CodecOrder::Known => {
                let same = |codec: &Codec| codecs.iter().copied().find(|other| is_same(other, codec));
                let mut ordered: Vec<&Codec> = known.iter().filter_map(same).collect();
                for codec in &codecs {
                    if !ordered.contains(codec) {
                        ordered.push(codec);
                    }
                }
                ordered
            }
        }
    }

    fn is_left_out(&self, codec: &Codec) -> bool {
        self.is_listed(&self.strip, codec) || self.is_listed(&self.mask, codec)
    }

    /// Whether a list names a codec, or all of them but for the exceptions.
    fn is_listed(&self, list: &[CodecPattern], codec: &Codec) -> bool {
        let by_name = |pattern: &CodecPattern| *pattern != CodecPattern::All && pattern.matches(codec);
        let excepted = self.except.iter().any(|pattern| pattern.matches(codec));
        let all = list.contains(&CodecPattern::All) && !excepted;
        all || list.iter().any(by_name)
    }
}

impl CodecPattern {
    pub(super) fn matches(&self, codec: &Codec) -> bool {
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

/// Whether two payload types of one session are the same codec.
pub(super) fn is_same(one: &Codec, other: &Codec) -> bool {
    let same_encoding = match (&one.rtpmap, &other.rtpmap) {
        (Some(one), Some(other)) => one.matches(other),
        (None, _) | (_, None) => true,
    };
    one.payload_type == other.payload_type && same_encoding
}

/// Whether two payload types are the same codec, whatever their numbers.
pub(super) fn is_alike(one: &Codec, other: &Codec) -> bool {
    matches!((&one.rtpmap, &other.rtpmap), (Some(one), Some(other)) if one.matches(other))
}

/// Whether a codec only goes with others.
pub(super) fn is_supplemental(codec: &Codec) -> bool {
    ["telephone-event", "CN", "red"].iter().any(|name| codec.is(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Description;

    fn codecs(list: &str) -> Vec<Codec> {
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP {list}\r\n\
             a=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n"
        );
        Description::parse(&sdp).unwrap().media.remove(0).codecs
    }

    fn patterns(list: &[&str]) -> Vec<CodecPattern> {
        list.iter().map(|text| CodecPattern::from(*text)).collect()
    }

    /// The payload types that are left.
    fn select(options: &CodecOptions, list: &str, known: &str) -> String {
        let (codecs, known) = (codecs(list), self::codecs(known));
        match options.select(codecs.iter().collect(), &known) {
            Selection::Codecs(codecs) => numbers(&codecs),
            Selection::Formats => "formats".to_owned(),
            Selection::Rejected => "rejected".to_owned(),
        }
    }

    fn numbers(codecs: &[&Codec]) -> String {
        let numbers: Vec<String> = codecs
            .iter()
            .map(|codec| codec.payload_type.to_string())
            .collect();
        numbers.join(" ")
    }

    fn strip(list: &[&str]) -> CodecOptions {
        CodecOptions {
            strip: patterns(list),
            ..CodecOptions::default()
        }
    }

    #[test]
    fn codecs_are_left_out() {
        for (left_out, left) in [
            (&["PCMA"][..], "0 96 101 98"),
            (&["pcma/8000", "opus/48000/2"], "0 101 98"),
            (&["PCMA/16000", "opus/48000", "PCMA/8000///20"], "8 0 96 101 98"),
            (&["98", "8"], "8 0 96 101"),
            (&["all"], "8 0 96 101 98"),
        ] {
            assert_eq!(
                select(&strip(left_out), "8 0 96 101 98", "0"),
                left,
                "{left_out:?}"
            );
        }
    }

    #[test]
    fn some_come_back() {
        let mut options = strip(&["all"]);
        options.offer = patterns(&["telephone-event", "PCMU"]);
        assert_eq!(select(&options, "8 0 96 101", "0"), "101 0");
        options.offer.clear();
        options.except = patterns(&["opus", "PCMA", "telephone-event"]);
        assert_eq!(select(&options, "8 0 96 101", "0"), "8 96 101");
    }

    #[test]
    fn nothing_is_left() {
        let mut options = strip(&["PCMA", "PCMU"]);
        assert_eq!(select(&options, "8 0 101", "0"), "formats");
        options.nothing_left = NothingLeft::Rejected;
        assert_eq!(select(&options, "8 0 101", "0"), "rejected");
        assert_eq!(select(&options, "101", "0"), "101", "nothing was left out");
    }

    #[test]
    fn the_receivers_order() {
        let mut options = CodecOptions {
            order: CodecOrder::Known,
            ..CodecOptions::default()
        };
        assert_eq!(select(&options, "0 8 96 101", "101 8 0 3"), "101 8 0 96");
        options.order = CodecOrder::Static;
        assert_eq!(select(&options, "0 8 96 101", "101 8 3"), "101 8 3");
    }

    #[test]
    fn one_codec_is_chosen() {
        let mut options = CodecOptions::default();
        let codecs = codecs("101 96 8 0");
        let choose = |options: &CodecOptions| numbers(&options.choose(codecs.iter().collect()));
        assert_eq!(choose(&options), "101 96 8 0");
        options.choice = CodecChoice::First;
        assert_eq!(choose(&options), "96", "no telephone-event of its clock rate");
        let codecs = self::codecs("101 8 96");
        assert_eq!(numbers(&options.choose(codecs.iter().collect())), "8 101");
    }
}
