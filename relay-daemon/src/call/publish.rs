//! `publish`: a party sends its media to the relay, for whoever subscribes to it.

use crate::clock::Time;
use crate::sdp::{Codec, Description, Direction, Dtls, Ice, MediaSection};

use super::codecs::{CodecOptions, CodecPattern, clock_rate, is_known, is_supplemental};
use super::media::Role;
use super::negotiate::Kind;
use super::ports::Reservations;
use super::premises::Premises;
use super::stand_in::{StandIn, own_description, own_options};
use super::state::{Call, PartyId};
use super::{CommandError, SdesOptions, SignalOptions};

impl Call {
    /// Takes what a party publishes. Gives back the answer to it.
    pub(super) fn publish(
        &mut self,
        party: PartyId,
        mut offered: Description,
        options: &SignalOptions,
        premises: &Premises,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) -> Result<String, CommandError> {
        let is_consumed = |pattern: &CodecPattern| options.codecs.mask.contains(pattern);
        let wanted = options
            .codecs
            .accept
            .iter()
            .filter(|pattern| !is_consumed(pattern));
        let wanted: Vec<CodecPattern> = wanted.cloned().collect();
        for section in &mut offered.media {
            section.codecs = accepted(&section.codecs, &wanted);
        }
        let options = &SignalOptions {
            codecs: CodecOptions::default(),
            // The answer is the relay's own: nobody wants it otherwise than it was offered.
            transport_protocol: None,
            sdes: SdesOptions {
                preferred: Vec::new(),
                ..options.sdes.clone()
            },
            ..options.clone()
        };
        let answers = offered.media.iter().map(answer).collect();
        let mut heard = options.clone();
        // Nobody else has to agree.
        heard.rtcp_mux.accept = !heard.rtcp_mux.reject;
        let mut relay = StandIn::new(party, Role::Offerer, premises, now);
        relay.hear(self, Kind::Offer, offered, &heard, reservations);
        relay.say(
            self,
            Kind::Answer,
            own_description(answers),
            &own_options(options),
            reservations,
        )
    }
}

/// Of the codecs that a publisher offers: the most wanted one, else the first that the relay knows, else the first; and
/// what goes with it. Events and comfort noise count as well: whoever puts them first may send nothing else.
fn accepted(offered: &[Codec], wanted: &[CodecPattern]) -> Vec<Codec> {
    let (any, all) = (names(wanted, "any"), names(wanted, "all"));
    if all {
        let known = offered.iter().filter(|codec| any || is_known(codec));
        let known: Vec<Codec> = known.cloned().collect();
        if !known.is_empty() {
            return known;
        }
    }
    let preferred = wanted
        .iter()
        .filter(|pattern| **pattern != CodecPattern::All)
        .find_map(|pattern| offered.iter().find(|codec| pattern.matches(codec)));
    let known = || offered.iter().find(|codec| any || is_known(codec));
    let Some(chosen) = preferred.or_else(known).or(offered.first()) else {
        return Vec::new();
    };
    let goes_with = |codec: &&Codec| is_supplemental(codec) && clock_rate(codec) == clock_rate(chosen);
    let left = offered
        .iter()
        .filter(|codec| *codec == chosen || goes_with(codec));
    left.cloned().collect()
}

/// Whether one of the special words is among the patterns.
fn names(patterns: &[CodecPattern], word: &str) -> bool {
    patterns.contains(&CodecPattern::from(word))
}

/// What the relay says to a section: it receives, unless the media would not come through it.
fn answer(offered: &MediaSection) -> MediaSection {
    MediaSection {
        port: match offered.protocol.is_msrp() {
            true => 0,
            false => offered.port,
        },
        direction: Direction::new(false, offered.direction.sends()),
        stated_direction: None,
        information: None,
        bandwidth: Default::default(),
        label: None,
        attributes: Vec::new(),
        // What the publisher says of these is not the relay's to repeat.
        crypto: Vec::new(),
        dtls: Dtls::default(),
        ice: Ice::default(),
        ..offered.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(list: &str, wanted: &[&str]) -> String {
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP {list}\r\n\
             a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 secret/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
             a=rtpmap:102 telephone-event/48000\r\na=rtpmap:103 red/48000/2\r\n"
        );
        let offered = Description::parse(&sdp).unwrap().media.remove(0).codecs;
        let wanted: Vec<CodecPattern> = wanted.iter().map(|text| CodecPattern::from(*text)).collect();
        let accepted = accepted(&offered, &wanted);
        let numbers: Vec<String> = accepted
            .iter()
            .map(|codec| codec.payload_type.to_string())
            .collect();
        numbers.join(" ")
    }

    #[test]
    fn one_codec_and_what_goes_with_it() {
        assert_eq!(accept("97 8 0 101 102", &[]), "8 101");
        assert_eq!(accept("96 103 0 101 102 13", &[]), "96 103 102");
        assert_eq!(accept("101 0 102", &[]), "101");
        assert_eq!(accept("101 0 102", &["PCMU"]), "101 0");
        assert_eq!(accept("97 8 0 101", &["any"]), "97 101");
        assert_eq!(accept("97 8 0 101", &["opus", "PCMU"]), "0 101");
        assert_eq!(accept("97 8 0 101", &["all"]), "8 0 101");
        assert_eq!(accept("97 8 0 101", &["all", "any"]), "97 8 0 101");
        assert_eq!(
            accept("97 101", &[]),
            "101",
            "rather a known one that goes with others"
        );
        assert_eq!(accept("97", &[]), "97", "rather an unknown one than none");
        assert_eq!(accept("101", &[]), "101");
    }
}
