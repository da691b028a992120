//! The gateway between T.38 and audio, as far as the SDP goes (`T.38`): one side is offered fax in the place of audio, or
//! audio in the place of fax, and the answer is turned back. Media does not follow yet.

use crate::call::command::FaxOptions;
use crate::call::model::media::Media;
use crate::call::model::spoken::Speaks;
use crate::call::model::state::Party;
use crate::call::section::codecs::is_supplemental;
use crate::call::section::kind::Kind;
use crate::sdp::{Codec, Description, MediaKind, MediaSection};

/// A section of a message for which there is a gateway: by its position, with what its sender and its receiver speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::call) struct Gateway {
    pub(in crate::call) position: usize,
    pub(in crate::call) sender: Speaks,
    pub(in crate::call) receiver: Speaks,
}

/// A message as if its sender spoke what the receiver does.
pub(in crate::call) fn translate(
    mut description: Description,
    kind: Kind,
    sender: &Party,
    receiver: &Party,
    options: &FaxOptions,
) -> (Description, Vec<Gateway>) {
    let mut gateways = Vec::new();
    for (position, section) in description.media.iter_mut().enumerate() {
        let index = sender.media_index(position);
        let spoke = |party: &Party| {
            party
                .media
                .get(index)
                .and_then(|media: &Media| media.speaks.clone())
        };
        let spoken = match kind {
            Kind::Offer => offered(section, spoke(sender), options),
            Kind::Answer => spoke(sender).filter(|spoken| spoken.fits(section)),
        };
        let Some(spoken) = spoken else { continue };
        let theirs = match (&spoken, kind) {
            (Speaks::Audio(_), _) => Speaks::Fax,
            (Speaks::Fax, Kind::Offer) => Speaks::Audio(Vec::new()),
            (Speaks::Fax, Kind::Answer) => spoke(receiver).unwrap_or(Speaks::Audio(Vec::new())),
        };
        let translated = match &theirs {
            Speaks::Fax => fax(section, options),
            Speaks::Audio(codecs) => audio(section, codecs),
        };
        if let Some(translated) = translated {
            *section = translated;
            gateways.push(Gateway {
                position,
                sender: spoken,
                receiver: theirs,
            });
        }
    }
    (description, gateways)
}

/// What the sender of an offer speaks, if there is to be a gateway for it.
fn offered(section: &MediaSection, spoke: Option<Speaks>, options: &FaxOptions) -> Option<Speaks> {
    let goes_on = |spoke: Option<Speaks>| spoke.is_some_and(|spoke| spoke.fits(section));
    if options.stop || section.is_rejected() {
        return None;
    }
    match (is_fax(section), is_audio(section)) {
        (true, _) if options.decode || goes_on(spoke.clone()) => Some(Speaks::Fax),
        (_, true) if options.force || goes_on(spoke) => Some(Speaks::Audio(section.codecs.clone())),
        _ => None,
    }
}

impl Speaks {
    fn fits(&self, section: &MediaSection) -> bool {
        match self {
            Speaks::Fax => is_fax(section),
            Speaks::Audio(_) => is_audio(section),
        }
    }
}

fn is_fax(section: &MediaSection) -> bool {
    section.kind == MediaKind::Image && section.formats.trim().eq_ignore_ascii_case("t38")
}

fn is_audio(section: &MediaSection) -> bool {
    section.kind == MediaKind::Audio && section.protocol.is_rtp()
}

/// Fax in the place of a section of audio.
fn fax(audio: &MediaSection, options: &FaxOptions) -> Option<MediaSection> {
    let correction = match options.error_correction {
        true => "t38UDPFEC",
        false => "t38UDPRedundancy",
    };
    let lines = format!(
        "m=image 9 udptl t38\r\na=T38FaxVersion:{}\r\na=T38MaxBitRate:14400\r\n\
         a=T38FaxRateManagement:transferredTCF\r\na=T38FaxMaxBuffer:1800\r\na=T38FaxMaxDatagram:512\r\n\
         a=T38FaxUdpEC:{correction}\r\na={}\r\n",
        options.version, audio.direction,
    );
    Some(MediaSection {
        ptime: audio.ptime,
        ..in_place_of(audio, &lines)?
    })
}

/// Audio in the place of a section of fax: that which the other party prefers.
fn audio(fax: &MediaSection, codecs: &[Codec]) -> Option<MediaSection> {
    let section = in_place_of(fax, "m=audio 9 RTP/AVP 0 8\r\n")?;
    let preferred = codecs.iter().find(|codec| !is_supplemental(codec));
    Some(match preferred {
        Some(codec) => MediaSection {
            codecs: vec![codec.clone()],
            ..section
        },
        None => section,
    })
}

/// A section like this, at the port and address of another.
fn in_place_of(section: &MediaSection, lines: &str) -> Option<MediaSection> {
    let session = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
    let parsed = Description::parse(&format!("{session}{lines}")).ok()?;
    Some(MediaSection {
        port: section.port,
        address: section.address,
        mid: section.mid.clone(),
        ..parsed.media.into_iter().next()?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(lines: &str) -> MediaSection {
        let session = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n";
        Description::parse(&format!("{session}{lines}"))
            .unwrap()
            .media
            .remove(0)
    }

    #[test]
    fn the_gateway_is_asked_for_or_goes_on() {
        let fax = section("m=image 4000 udptl t38\r\n");
        let audio = section("m=audio 4000 RTP/AVP 8 0\r\n");
        let spoken = Speaks::Audio(audio.codecs.clone());
        let decode = FaxOptions {
            decode: true,
            ..FaxOptions::default()
        };
        let force = FaxOptions {
            force: true,
            ..FaxOptions::default()
        };
        assert_eq!(offered(&fax, None, &decode), Some(Speaks::Fax));
        assert_eq!(offered(&fax, None, &force), None, "it is fax already");
        assert_eq!(offered(&audio, None, &force), Some(spoken.clone()));
        assert_eq!(offered(&audio, None, &decode), None);
        let none = FaxOptions::default();
        assert_eq!(offered(&fax, None, &none), None);
        assert_eq!(offered(&fax, Some(Speaks::Fax), &none), Some(Speaks::Fax));
        assert_eq!(offered(&audio, Some(spoken.clone()), &none), Some(spoken.clone()));
        assert_eq!(offered(&audio, Some(Speaks::Fax), &none), None, "it has changed");
        let stop = FaxOptions { stop: true, ..force };
        assert_eq!(offered(&audio, Some(spoken), &stop), None);
        assert_eq!(
            offered(&section("m=video 4000 RTP/AVP 96\r\n"), None, &stop),
            None
        );
    }

    #[test]
    fn fax_and_audio_stand_for_each_other() {
        let audio =
            section("m=audio 4000 RTP/AVP 101 8 0\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n");
        let fax = fax(&audio, &FaxOptions::default()).unwrap();
        assert!(is_fax(&fax) && fax.port == 4000 && fax.address == audio.address);
        let back = super::audio(&fax, &audio.codecs).unwrap();
        assert_eq!(back.codecs, [Codec::new(8)], "no events alone");
        assert_eq!(
            super::audio(&fax, &[]).unwrap().codecs,
            [Codec::new(0), Codec::new(8)]
        );
    }
}
