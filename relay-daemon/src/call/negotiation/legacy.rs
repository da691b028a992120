//! Opportunistic SRTP from before RFC 8643: a section for plain RTP and, behind it, one for SRTP at the same port. Both
//! are one section to the rest of us.

use std::borrow::Cow;

use crate::call::model::media::Media;
use crate::call::model::state::Party;
use crate::call::section::crypto::doubled::{Doubled, Half, Paired};
use crate::call::section::crypto::is_opportunistic;
use crate::call::section::kind::Kind;
use crate::sdp::{
    Description, Dtls, MediaRewrite, MediaSection, Protocol, RejectedMedia, RelayedMedia, RtpMap,
};

/// Which two sections are taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Accepts {
    /// Those that belong together, and those that we offered.
    Pairs,
    /// Those that we offered.
    Ours,
    /// Those that were one before.
    Known,
}

static RTP_AVP: Protocol = Protocol::RtpAvp;
static RTP_AVPF: Protocol = Protocol::RtpAvpf;
static RTP_SAVP: Protocol = Protocol::RtpSavp;

/// A party's SDP with one section in the place of each two, and which sections those are, by their position.
pub(in crate::call) fn merge(
    description: Description,
    party: &Party,
    accepts: Accepts,
) -> (Description, Vec<(usize, Paired)>) {
    let is_known = |position: usize| {
        let media = party.media.get(party.media_index(position));
        let doubled = media.map(|media| media.crypto.doubled);
        match accepts {
            Accepts::Known => doubled.is_some_and(|doubled| doubled != Doubled::No),
            Accepts::Ours | Accepts::Pairs => matches!(doubled, Some(Doubled::ByUs(_))),
        }
    };
    let accept = accepts == Accepts::Pairs;
    if !accept && !(0..description.media.len()).any(is_known) {
        return (description, Vec::new());
    }
    let mut merged: Vec<MediaSection> = Vec::new();
    let mut taken = Vec::new();
    let mut sections = description.media.into_iter().peekable();
    while let Some(first) = sections.next() {
        let position = merged.len();
        let second = sections.next_if(|second| {
            let both = first.protocol.is_rtp() && second.protocol.is_rtp();
            both && (is_known(position) || (accept && are_one(&first, second)))
        });
        let Some(second) = second else {
            merged.push(first);
            continue;
        };
        let srtp_first = is_srtp(&first) && !is_srtp(&second);
        let (plain, srtp) = match srtp_first {
            true => (second, first),
            false => (first, second),
        };
        let half = match srtp.is_rejected() && !plain.is_rejected() {
            true => Half::Plain,
            false => Half::Srtp,
        };
        taken.push((position, Paired { half, srtp_first }));
        merged.push(match half {
            Half::Plain => plain,
            Half::Srtp => on_its_own(srtp),
        });
    }
    let description = Description {
        media: merged,
        ..description
    };
    (description, taken)
}

/// Whether RTP is offered in one of two sections, and SRTP, for the same, in the other.
fn are_one(first: &MediaSection, second: &MediaSection) -> bool {
    first.kind == second.kind && is_srtp(first) != is_srtp(second)
}

fn is_srtp(section: &MediaSection) -> bool {
    section.protocol.is_srtp() || is_opportunistic(section)
}

/// The section for SRTP, as the reference takes it: what the other one says of codecs does not count, and a payload type
/// without a meaning is one of no name.
fn on_its_own(mut section: MediaSection) -> MediaSection {
    for codec in &mut section.codecs {
        codec.rtpmap.get_or_insert(RtpMap::from_static("", 0));
    }
    section
}

impl Media {
    /// The sections for the party that stand for one.
    pub(in crate::call) fn doubled<'a>(
        &self,
        kind: Kind,
        remote_section: &'a MediaSection,
        section: MediaRewrite<'a>,
    ) -> Vec<MediaRewrite<'a>> {
        match (self.crypto.doubled, kind) {
            (Doubled::No, _) => vec![section],
            (Doubled::ByUs(_), Kind::Offer) if self.is_encrypted() => {
                vec![plain(&section, remote_section), section]
            }
            (Doubled::ByUs(_), Kind::Offer) => vec![section, rejected(remote_section, &RTP_SAVP)],
            (Doubled::ByUs(Half::Srtp), _) => vec![rejected(remote_section, &RTP_AVP), section],
            (Doubled::ByUs(Half::Plain), _) => vec![section, rejected(remote_section, &RTP_SAVP)],
            (Doubled::ByParty(pair), _) => {
                let other = match pair.half {
                    Half::Srtp => unchosen(remote_section, &section),
                    Half::Plain => rejected(remote_section, &RTP_SAVP),
                };
                match pair.srtp_first == (pair.half == Half::Srtp) {
                    true => vec![section, other],
                    false => vec![other, section],
                }
            }
        }
    }
}

/// The profile for plain RTP that goes with one for SRTP.
fn plain_profile(protocol: &Protocol) -> &'static Protocol {
    match protocol.has_feedback() {
        true => &RTP_AVPF,
        false => &RTP_AVP,
    }
}

fn rejected<'a>(remote_section: &'a MediaSection, protocol: &'a Protocol) -> MediaRewrite<'a> {
    MediaRewrite::Rejected(RejectedMedia {
        protocol,
        ..RejectedMedia::absent(remote_section)
    })
}

/// The section for plain RTP of a party that gets SRTP, as the reference writes it: with the formats of the other one, and
/// without an address.
fn unchosen<'a>(remote_section: &'a MediaSection, chosen: &MediaRewrite<'a>) -> MediaRewrite<'a> {
    let formats = match chosen {
        MediaRewrite::Relayed(relayed) if !relayed.codecs.is_empty() => {
            let numbers = relayed.codecs.iter().map(|codec| codec.payload_type.to_string());
            Cow::Owned(numbers.collect::<Vec<_>>().join(" "))
        }
        MediaRewrite::Relayed(_) | MediaRewrite::Rejected(_) | MediaRewrite::Copied(_) => {
            Cow::Borrowed(remote_section.formats.as_str())
        }
    };
    let protocol = match chosen {
        MediaRewrite::Relayed(relayed) => plain_profile(&relayed.protocol),
        MediaRewrite::Rejected(_) | MediaRewrite::Copied(_) => &RTP_AVP,
    };
    MediaRewrite::Rejected(RejectedMedia {
        protocol,
        formats,
        address: None,
        ..RejectedMedia::absent(remote_section)
    })
}

/// The same section for plain RTP.
fn plain<'a>(section: &MediaRewrite<'a>, remote_section: &'a MediaSection) -> MediaRewrite<'a> {
    match section {
        MediaRewrite::Relayed(relayed) => MediaRewrite::Relayed(RelayedMedia {
            protocol: plain_profile(&relayed.protocol).clone(),
            crypto: Vec::new(),
            dtls: Dtls::default(),
            ..relayed.clone()
        }),
        MediaRewrite::Rejected(_) | MediaRewrite::Copied(_) => rejected(remote_section, &RTP_AVP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::model::media::{Role, StreamIds};
    use crate::call::model::state::Call;
    use crate::call::section::crypto::testing::own_credentials;
    use crate::clock::Time;
    use crate::plan::{CallKey, Learning};

    const CRYPTO: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    fn sdp(media: &[(&str, &str)]) -> Description {
        let mut text =
            "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n".to_owned();
        for (media, attribute) in media {
            text += &format!("m={media}\r\n{attribute}\r\n");
        }
        Description::parse(&text).unwrap()
    }

    /// A party that has not spoken yet.
    fn stranger() -> Party {
        let mut call = Call::new(CallKey(0), "call".into(), 0, own_credentials(), Time(0));
        let party = call.add_party(None, None, Time(0));
        call.party(party).clone()
    }

    fn merged(media: &[(&str, &str)], accepts: Accepts) -> (Vec<String>, Vec<(usize, Half)>) {
        let (description, taken) = merge(sdp(media), &stranger(), accepts);
        let protocols = description.media.iter();
        let protocols = protocols.map(|section| format!("{} {}", section.kind, section.protocol));
        let taken = taken.into_iter().map(|(position, pair)| (position, pair.half));
        (protocols.collect(), taken.collect())
    }

    #[test]
    fn two_sections_at_one_port_become_one() {
        let media = [
            ("audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000"),
            ("audio 4000 RTP/SAVP 0 101", CRYPTO),
            ("video 4002 RTP/AVP 96", "a=rtpmap:96 VP8/90000"),
        ];
        let (sections, taken) = merged(&media, Accepts::Pairs);
        assert_eq!(sections, ["audio RTP/SAVP", "video RTP/AVP"]);
        assert_eq!(taken, [(0, Half::Srtp)]);
        assert_eq!(merged(&media, Accepts::Ours).0.len(), 3);
        let (description, _) = merge(sdp(&media), &stranger(), Accepts::Pairs);
        let audio = &description.media[0];
        assert_eq!(audio.crypto.len(), 1);
        let encodings: Vec<_> = audio.codecs.iter().map(|codec| codec.rtpmap.as_ref()).collect();
        let [Some(known), Some(unknown)] = encodings[..] else {
            panic!("two: {encodings:?}")
        };
        assert_eq!(known.encoding.as_str(), "PCMU");
        assert_eq!(
            unknown.encoding.as_str(),
            "",
            "what the other one says of codecs does not count"
        );
    }

    #[test]
    fn either_may_come_first_at_any_port() {
        let (plain, srtp) = ("audio 4000 RTP/AVP 0", "audio 4002 RTP/SAVP 0");
        let (no_plain, no_srtp) = ("audio 0 RTP/AVP 0", "audio 0 RTP/SAVP 0");
        for (media, protocol, half) in [
            ([(srtp, CRYPTO), (plain, "a=x")], "audio RTP/SAVP", Half::Srtp),
            ([(plain, "a=x"), (plain, CRYPTO)], "audio RTP/AVP", Half::Srtp),
            ([(no_plain, "a=x"), (srtp, CRYPTO)], "audio RTP/SAVP", Half::Srtp),
            ([(plain, "a=x"), (no_srtp, CRYPTO)], "audio RTP/AVP", Half::Plain),
            (
                [(no_plain, "a=x"), (no_srtp, CRYPTO)],
                "audio RTP/SAVP",
                Half::Srtp,
            ),
        ] {
            let (sections, taken) = merged(&media, Accepts::Pairs);
            assert_eq!(
                (&*sections[0], &*taken),
                (protocol, &[(0, half)][..]),
                "{media:?}"
            );
        }
    }

    #[test]
    fn what_is_no_rtp_is_not_the_other_half_of_anything() {
        let mut party = stranger();
        let mut ids = StreamIds::default();
        let section = &sdp(&[("audio 4000 RTP/SAVP 0", CRYPTO)]).media[0];
        let mut media = Media::new(section, Role::Answerer, Learning::default(), &mut ids, Time(0));
        media.crypto.doubled = Doubled::ByUs(Half::Srtp);
        party.media.push(media);
        let answer = [("audio 4000 TCP/OTHER x", "a=x"), ("audio 4000 RTP/AVP 0", "a=x")];
        let (description, taken) = merge(sdp(&answer), &party, Accepts::Known);
        assert_eq!((description.media.len(), taken.len()), (2, 0));
        let answer = [("audio 0 RTP/AVP 0", "a=x"), ("audio 4000 RTP/SAVP 0", CRYPTO)];
        let (description, taken) = merge(sdp(&answer), &party, Accepts::Known);
        assert_eq!((description.media.len(), taken.len()), (1, 1));
    }

    #[test]
    fn sections_of_their_own_stay() {
        for media in [
            [("audio 4000 RTP/AVP 0", ""), ("audio 4002 RTP/AVP 0", "")],
            [("audio 4000 RTP/AVP 0", ""), ("video 4000 RTP/SAVP 96", CRYPTO)],
            [
                ("audio 4000 RTP/SAVP 0", CRYPTO),
                ("audio 4002 RTP/SAVP 0", CRYPTO),
            ],
        ] {
            let media = media.map(|(media, line)| (media, if line.is_empty() { "a=x" } else { line }));
            assert_eq!(merged(&media, Accepts::Pairs).1, [], "{media:?}");
        }
    }
}
