//! `create` and `create answer`: the relay calls a party on its own.

use std::fmt::Write;

use crate::clock::Time;
use crate::sdp::{Codec, Description, Protocol, RtpMap};

use super::media::Role;
use super::negotiate::Kind;
use super::ports::Reservations;
use super::premises::Premises;
use super::stand_in::{StandIn, own_description, own_options};
use super::state::{Call, PartyId};
use super::{CommandError, CreateMedia, SignalOptions};

/// The first payload type that has no meaning of its own.
const FIRST_DYNAMIC: u8 = 96;

impl Call {
    /// Makes an offer to a party.
    pub(super) fn create_offer(
        &mut self,
        party: PartyId,
        media: &[CreateMedia],
        options: &SignalOptions,
        premises: &Premises,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) -> Result<String, CommandError> {
        let sections = Description::parse(&written(media))
            .map_err(CommandError::BadSdp)?
            .media;
        let mut own = own_options(options);
        own.interfaces.to = options.interfaces.from.clone();
        // As the reference has it, which does not know what the party can do: it is offered both.
        own.dtls.off = false;
        own.sdes.off = false;
        own.sdes.parameters = Default::default();
        own.osrtp = Default::default();
        let transport = own.transport_protocol.take();
        own.transport_protocol = transport.or_else(|| Some(Protocol::RtpAvp.as_str().to_owned()));
        let mut relay = StandIn::new(party, Role::Offerer, premises, now);
        relay.say(self, Kind::Offer, own_description(sections), &own, reservations)
    }

    /// Takes a party's answer to such an offer.
    pub(super) fn take_answer(
        &mut self,
        party: PartyId,
        answer: Description,
        options: &SignalOptions,
        premises: &Premises,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) {
        let mut relay = StandIn::new(party, Role::Offerer, premises, now);
        relay.hear(self, Kind::Answer, answer, options, reservations);
    }
}

/// Sections as they stand in an SDP. Address and port are none of anybody's: they are put in the place of later.
fn written(media: &[CreateMedia]) -> String {
    let mut sdp = String::from("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n");
    for media in media {
        let mut next = FIRST_DYNAMIC;
        let names = media.codecs.iter().filter(|name| is_word(name));
        let codecs: Vec<Codec> = names.map(|name| codec(name, &mut next)).collect();
        let _ = write!(sdp, "m={} 9 RTP/AVP", media.kind);
        for codec in &codecs {
            let _ = write!(sdp, " {}", codec.payload_type);
        }
        sdp.push_str("\r\n");
        for codec in &codecs {
            let _ = write!(sdp, "{codec}");
        }
    }
    sdp
}

/// Whether a text may stand in a line of an SDP without ending it.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A codec by its payload type, or by `NAME[/CLOCK[/CHANNELS]]`: of the first number that is free if it has none of its
/// own.
fn codec(name: &str, next: &mut u8) -> Codec {
    if let Ok(number) = name.parse() {
        return Codec::new(number);
    }
    let mut fields = name.split('/');
    let encoding = fields.next().unwrap_or_default();
    let rtpmap = RtpMap {
        encoding: encoding.into(),
        clock_rate: fields.next().and_then(|rate| rate.parse().ok()).unwrap_or(8000),
        channels: fields.next().and_then(|count| count.parse().ok()).unwrap_or(1),
    };
    let own = (0..FIRST_DYNAMIC)
        .map(Codec::new)
        .find(|codec| codec.rtpmap.as_ref().is_some_and(|known| known.matches(&rtpmap)));
    own.unwrap_or_else(|| {
        let number = *next;
        *next = next.saturating_add(1).min(127);
        Codec {
            rtpmap: Some(rtpmap),
            ..Codec::new(number)
        }
    })
}
