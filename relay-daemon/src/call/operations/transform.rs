//! `transform`: a port whose packets go on to an address, without any SDP.

use std::net::SocketAddr;

use crate::call::command::{CommandError, MediaError, TransformMedia, Transformed};
use crate::call::model::flow::{MediaId, PartyId, Subscribed, Subscription};
use crate::call::model::media::{Media, Passing, Remote, Role, Sending};
use crate::call::model::state::Call;
use crate::call::negotiation::negotiate::places;
use crate::call::section::environment::Environment;
use crate::call::section::interfaces::Wish;
use crate::call::section::ports::Reservations;
use crate::clock::Time;
use crate::host::PortCount;
use crate::plan::Learning;
use crate::sdp::{AddressFamily, Description, MediaKind};

impl Call {
    /// Opens a port for each section, besides those that there are. What arrives there goes to the section's destination,
    /// wherever it comes from.
    pub(in crate::call) fn transform(
        &mut self,
        party: PartyId,
        wanted: &[TransformMedia],
        interface_name: Option<&str>,
        environment: &Environment,
        now: Time,
        reservations: &mut Reservations<'_>,
    ) -> Result<Vec<Transformed>, CommandError> {
        let first = wanted.iter().find_map(|wanted| Some(wanted.destination?.ip()));
        let wish = Wish {
            name: interface_name,
            current: None,
            family: first.map_or(AddressFamily::Ip4, AddressFamily::of),
            strict: false,
        };
        let interface = environment.choose_interface(wish, reservations.host());
        self.party_mut(party).interface = Some(interface);
        let (mut opened, known) = (Vec::new(), self.party(party).media.len());
        for (index, wanted) in (known..).zip(wanted) {
            let destination = wanted.destination.ok_or(MediaError::NoTransform)?;
            let kind = wanted.kind.as_deref().unwrap_or(MediaKind::Audio.as_str());
            let sdp = format!("v=0\r\nc=IN IP4 127.0.0.1\r\nm={kind} 9 RTP/AVP 0\r\n");
            let like = Description::parse(&sdp).map_err(CommandError::BadSdp)?;
            let Call { parties, streams, .. } = &mut *self;
            let sections = &mut parties[party.0].media;
            let section = like.media.first().ok_or(CommandError::IncompleteSdp)?;
            sections.push(Media::new(section, Role::Offerer, Learning::Off, streams, now));
            let media = &mut sections[index];
            media.remote = Some(remote(destination));
            media.sources.learning = Learning::Off;
            media.sources.sending = Sending::Asymmetric;
            media.endpoints.hear(media.remote, false, media.reach());
            media.passing = Passing::On {
                has_kind: wanted.kind.is_some(),
            };
            media.interface = interface;
            media.family = AddressFamily::of(destination.ip());
            for stream in [&mut media.rtp, &mut media.rtcp] {
                stream.signalled_at = now;
            }
            let places = places(media, &environment.settings).ok_or(crate::host::OutOfPorts)?;
            // RTCP comes and goes by the same port.
            media.mux.is_given();
            media.ports.open(&places, PortCount::One, reservations)?;
            let port = media.ports.current().map(|set| set.rtp.address.port());
            opened.push(Transformed {
                id: wanted.id.clone(),
                address: SocketAddr::new(places.main.advertised, port.unwrap_or_default()),
            });
            let own = MediaId { party, index };
            self.subscribe(Subscription {
                source: own,
                sink: own,
                what: Subscribed::Media,
            });
        }
        Ok(opened)
    }
}

fn remote(destination: SocketAddr) -> Remote {
    Remote {
        rtp: destination,
        rtcp: destination,
    }
}
