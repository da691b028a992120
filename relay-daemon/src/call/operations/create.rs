//! `create` and `create answer`: the relay calls a party on its own.

use std::fmt::Write;

use crate::call::command::{CodecOptions, CodecSpec, CommandError, CreateMedia, MediaError, SignalOptions};
use crate::call::model::flow::PartyId;
use crate::call::model::media::{Media, Role};
use crate::call::model::state::Call;
use crate::call::negotiation::relay_side::{RelaySide, own_description, own_options};
use crate::call::section::codecs::{Draft, is_known};
use crate::call::section::environment::Environment;
use crate::call::section::kind::Kind;
use crate::call::section::ports::Reservations;
use crate::clock::Time;
use crate::sdp::{Codec, CodecPattern, Description, MediaKind, Protocol};

impl Call {
    /// Makes an offer to a party: of what it uses already, with what is asked for besides.
    pub(in crate::call) fn create_offer(
        &mut self,
        party: PartyId,
        media: &[CreateMedia],
        options: &SignalOptions,
        environment: &Environment,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) -> Result<String, CommandError> {
        if self.party(party).media.iter().any(|media| media.bare) {
            return Err(MediaError::OverAnswered.into());
        }
        let known = &self.party(party).media;
        let is_new = known.iter().all(|known| known.codecs.is_empty());
        let mut sections = Description::parse(&written(known, media, &options.codecs.offer))
            .map_err(CommandError::BadSdp)?
            .media;
        for (index, (section, known)) in sections.iter_mut().zip(known).enumerate() {
            if is_asked_for(index, media) {
                continue;
            }
            section.direction = known.direction.reversed();
            if known.rejected {
                // What was said of the formats does not hold any more.
                section.codecs.clear();
            }
        }
        let mut own = own_options(options);
        own.interfaces.to = options.interfaces.from.clone();
        // As the reference has it, which does not know what the party can do: it is offered both.
        own.dtls.off = false;
        own.sdes.off = false;
        own.sdes.parameters = Default::default();
        own.osrtp = Default::default();
        own.ice = own.ice.ending_here();
        let transport = own.transport_protocol.take();
        own.transport_protocol = transport.or_else(|| Some(Protocol::RtpAvp.as_str().to_owned()));
        own.codecs = match is_new {
            true => CodecOptions::default(),
            false => CodecOptions {
                offer: Vec::new(),
                ..own.codecs
            },
        };
        let mut relay = RelaySide::new(party, Role::Offerer, environment, now);
        relay.say(self, Kind::Offer, own_description(sections), &own, reservations)
    }

    /// Takes a party's answer to such an offer.
    pub(in crate::call) fn take_answer(
        &mut self,
        party: PartyId,
        answer: Description,
        options: &SignalOptions,
        environment: &Environment,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) {
        let options = SignalOptions {
            ice: options.ice.ending_here(),
            ..options.clone()
        };
        let known = &self.party(party).media;
        let (count, kinds) = (known.len(), known.iter().map(|media| media.kind.clone()));
        let kinds: Vec<MediaKind> = kinds.collect();
        let mut relay = RelaySide::new(party, Role::Offerer, environment, now);
        relay.hear(self, Kind::Answer, answer, &options, reservations);
        let media = &mut self.party_mut(party).media;
        for more in media.iter_mut().skip(count) {
            more.bare = true;
        }
        for (media, kind) in media.iter_mut().zip(kinds) {
            // It remains what was offered, and what is told of it next is no answer.
            media.kind = kind;
            media.offered_codecs.clear();
        }
    }
}

/// Sections as they stand in an SDP: those that the party has, and those that are asked for. Address and port are none of
/// anybody's: they are put in the place of later.
fn written(known: &[Media], asked: &[CreateMedia], named: &[CodecPattern]) -> String {
    let mut sdp = String::from("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n");
    let named: Vec<CodecSpec> = named.iter().filter_map(CodecPattern::spec).collect();
    for index in 0..known.len().max(asked.len()).max(1) {
        let (known, wanted) = (known.get(index), asked.get(index));
        let kind = match (known, wanted) {
            (Some(known), _) => known.kind.as_str(),
            (None, Some(wanted)) => &wanted.kind,
            (None, None) => MediaKind::Audio.as_str(),
        };
        if let Some(rejected) = known.filter(|known| !known.is_open()) {
            let _ = write!(sdp, "m={kind} 0 RTP/AVP {}\r\n", formats(rejected));
            continue;
        }
        if let Some(rejected) = known.filter(|known| known.rejected && !is_asked_for(index, asked)) {
            let _ = write!(sdp, "m={kind} 9 RTP/AVP {}\r\n", formats(rejected));
            continue;
        }
        let is_audio = kind == MediaKind::Audio.as_str();
        let specs: Vec<CodecSpec> = match wanted.filter(|wanted| !wanted.codecs.is_empty()) {
            Some(wanted) => wanted
                .codecs
                .iter()
                .map(|name| CodecSpec::from(name.as_str()))
                .collect(),
            None if is_audio => named.clone(),
            None => Vec::new(),
        };
        let maxptime = known
            .and_then(Media::section)
            .and_then(|section| section.maxptime);
        // Whoever has rejected a section says nothing of codecs.
        let known = known.filter(|known| !known.rejected);
        let known = known.map(|known| known.codecs.as_slice()).unwrap_or_default();
        let mut draft = Draft::new(known, known);
        for spec in &specs {
            // What is not known takes a number all the same.
            match is_audio && spec.is_known() {
                true => {
                    draft.transcode(std::slice::from_ref(spec), &[]);
                }
                false => draft.add_named(std::slice::from_ref(spec)),
            }
        }
        let mut codecs = draft.into_codecs();
        let is_usable = codecs.iter().any(is_known);
        match is_audio {
            true if is_usable || known.is_empty() => codecs.retain(is_known),
            // Their numbers stay, without a word on their meaning.
            true => codecs
                .iter_mut()
                .for_each(|codec| (codec.rtpmap, codec.fmtp) = (None, None)),
            false => {}
        }
        if is_audio && known.is_empty() && specs.is_empty() {
            codecs = DEFAULT.map(Codec::new).to_vec();
        }
        let _ = write!(sdp, "m={kind} 9 RTP/AVP");
        for codec in &codecs {
            let _ = write!(sdp, " {}", codec.payload_type);
        }
        sdp.push_str("\r\n");
        for codec in &codecs {
            let _ = write!(sdp, "{codec}");
        }
        if let Some(maxptime) = maxptime {
            let _ = write!(sdp, "a=maxptime:{maxptime}\r\n");
        }
    }
    sdp
}

/// Whether a section is asked for: without any, one is.
fn is_asked_for(index: usize, asked: &[CreateMedia]) -> bool {
    index < asked.len().max(1)
}

/// The formats of a section, of which nothing is said.
fn formats(known: &Media) -> String {
    let numbers = known.codecs.iter().map(|codec| codec.payload_type.to_string());
    match known.section() {
        Some(section) => section.formats.to_string(),
        None => numbers.collect::<Vec<_>>().join(" "),
    }
}

/// What everybody has.
const DEFAULT: [u8; 2] = [0, 8];
