//! `publish`: a party sends its media to the relay, for whoever subscribes to it.

use crate::call::command::{CodecOptions, CommandError, Publish, SdesOptions, SignalOptions};
use crate::call::model::flow::PartyId;
use crate::call::model::media::{Media, Role};
use crate::call::model::state::Call;
use crate::call::negotiation::relay_side::{RelaySide, own_description, own_options, plain};
use crate::call::section::codecs::{clock_rate, is_known, is_supplemental};
use crate::call::section::environment::Environment;
use crate::call::section::kind::Kind;
use crate::call::section::ports::Reservations;
use crate::clock::Time;
use crate::sdp::{Codec, CodecPattern, Description, Direction, MediaSection};

impl Call {
    /// Takes what a party publishes. Gives back the answer to it. None if there is none, for want of codecs: the sections before
    /// the one that lacks them have been heard, and that one is remembered.
    pub(in crate::call) fn publish(
        &mut self,
        party: PartyId,
        mut offered: Description,
        request: &Publish,
        environment: &Environment,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) -> Result<Option<String>, CommandError> {
        let options = &request.options;
        let is_consumed = |pattern: &CodecPattern| options.codecs.mask.contains(pattern);
        let wanted = options
            .codecs
            .accept
            .iter()
            .filter(|pattern| !is_consumed(pattern));
        let wanted: Vec<CodecPattern> = wanted.cloned().collect();
        let media = &self.party(party).media;
        let known = media.iter().take_while(|media| !media.bare).count();
        let unsaid = media.iter().take(known).skip(offered.media.len());
        // What it does not speak of any more goes on.
        let unsaid: Vec<MediaSection> = unsaid.filter_map(Media::section).cloned().collect();
        offered.media.extend(unsaid);
        let is_taken = |(index, section): &(usize, &mut MediaSection)| {
            // Whoever has published something is not refused anything in its place.
            let codecs = accepted(&section.codecs, &wanted);
            !section.is_rejected() && (!codecs.is_empty() || *index < known)
        };
        let taken = offered.media.iter_mut().enumerate().take_while(is_taken);
        let mut count = 0;
        for (_, section) in taken {
            let codecs = accepted(&section.codecs, &wanted);
            if !codecs.is_empty() {
                section.codecs = codecs;
            }
            count += 1;
        }
        let refused = offered.media.drain(count..).next();
        let options = &SignalOptions {
            codecs: CodecOptions::default(),
            // The answer is the relay's own: nobody wants it otherwise than it was offered.
            transport_protocol: None,
            address_family: None,
            ice: options.ice.ending_here(),
            sdes: SdesOptions {
                preferred: Vec::new(),
                ..options.sdes.clone()
            },
            ..options.clone()
        };
        let answers = offered.media.iter();
        let answers = answers
            .map(|section| answer(section, request.bidirectional))
            .collect();
        let mut heard = options.clone();
        // Nobody else has to agree.
        heard.rtcp_mux.accept = true;
        let mut relay = RelaySide::new(party, Role::Offerer, environment, now);
        relay.hear(self, Kind::Offer, offered, &heard, reservations);
        if let Some(refused) = refused {
            for media in self.party_mut(party).media.iter_mut().take(count) {
                let receives = request.bidirectional && media.direction.receives();
                media.direction = Direction::new(media.direction.sends(), receives);
            }
            self.name_section(party, count, &refused, environment, now);
            return Ok(None);
        }
        let sdp = relay.say(
            self,
            Kind::Answer,
            own_description(answers),
            &own_options(options),
            reservations,
        )?;
        for media in &mut self.party_mut(party).media {
            // What it has offered is answered.
            media.offered_codecs.clear();
        }
        let is_bare = self.party(party).media.iter().any(|media| media.bare);
        Ok((!is_bare).then_some(sdp))
    }

    /// Remembers a section of which nothing is taken, unless there is one in its place.
    fn name_section(
        &mut self,
        party: PartyId,
        index: usize,
        section: &MediaSection,
        environment: &Environment,
        now: Time,
    ) {
        let Call { parties, streams, .. } = self;
        let media = &mut parties[party.0].media;
        if index < media.len() {
            return;
        }
        let mut named = Media::new(
            section,
            Role::Offerer,
            environment.settings.learning,
            streams,
            now,
        );
        named.bare = true;
        named.codecs.clone_from(&section.codecs);
        media.push(named);
    }
}

/// Of the codecs that a publisher offers: the most wanted one, else the first that the relay knows; and what goes with
/// it. With `any`, it need not know it; with `all`, all are taken that it knows. Events and comfort noise are codecs like
/// others. None if none is left.
fn accepted(offered: &[Codec], wanted: &[CodecPattern]) -> Vec<Codec> {
    let (any, all) = (names(wanted, "any"), names(wanted, "all"));
    let is_usable = |codec: &&Codec| any || is_known(codec);
    if all {
        return offered.iter().filter(is_usable).cloned().collect();
    }
    let preferred = wanted
        .iter()
        .filter(|pattern| **pattern != CodecPattern::All)
        .find_map(|pattern| offered.iter().find(|codec| pattern.matches(codec)));
    let Some(chosen) = preferred.or_else(|| offered.iter().find(is_usable)) else {
        return Vec::new();
    };
    let is_chosen = |codec: &&Codec| std::ptr::eq::<Codec>(*codec, chosen);
    let goes_with = |codec: &&Codec| is_supplemental(codec) && clock_rate(codec) == clock_rate(chosen);
    let kept = offered
        .iter()
        .filter(|codec| is_chosen(codec) || goes_with(codec));
    kept.cloned().collect()
}

/// Whether one of the special words is among the patterns.
fn names(patterns: &[CodecPattern], word: &str) -> bool {
    patterns.contains(&CodecPattern::from(word))
}

/// What the relay says to a section: it receives, and sends if that was asked for.
fn answer(offered: &MediaSection, bidirectional: bool) -> MediaSection {
    MediaSection {
        port: match offered.protocol.is_msrp() {
            true => 0,
            false => offered.port,
        },
        direction: Direction::new(
            bidirectional && offered.direction.receives(),
            offered.direction.sends(),
        ),
        ..plain(offered)
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
        assert_eq!(accept("103 96 102", &["opus", "PCMU"]), "103 96 102");
        assert_eq!(accept("97 8 0 101", &["any"]), "97 101");
        assert_eq!(accept("97 8 0 101", &["opus", "PCMU"]), "0 101");
        assert_eq!(accept("97 8 0 101", &["all"]), "8 0 101");
        assert_eq!(accept("97 8 0 101", &["all", "any"]), "97 8 0 101");
    }

    #[test]
    fn events_and_noise_are_codecs_too() {
        assert_eq!(accept("97 101", &[]), "101");
        assert_eq!(accept("101 0", &[]), "101");
        assert_eq!(accept("101 0", &["PCMU"]), "101 0");
        assert_eq!(accept("0 13 101", &["telephone-event"]), "13 101");
        assert_eq!(accept("103 96 102", &[]), "103 102");
    }

    #[test]
    fn what_is_not_known_has_to_be_wished_for() {
        assert_eq!(accept("97", &[]), "");
        assert_eq!(accept("97", &["all"]), "");
        assert_eq!(accept("97", &["any"]), "97");
        assert_eq!(accept("97", &["secret"]), "97");
    }
}
