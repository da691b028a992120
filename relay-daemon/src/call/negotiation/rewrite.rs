//! The SDP for the receiver, made of what the sender said and of what was negotiated.

mod passing;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::call::command::{BundleOffer, IceMode, RtcpAttribute};
use crate::call::model::dialogue::Dialogue;
use crate::call::model::media::{LocalCodecs, Media, Role, StreamIds, Visibility};
use crate::call::model::state::Call;
use crate::call::section::ice::has_no_address_yet;
use crate::call::section::kind::Kind;
use crate::call::section::mux::Agreed;
use crate::call::section::origin::{Heading, Told};
use crate::call::section::ports::{PortSet, Reservations, RtcpPort};
use crate::sdp::{
    Codec, CopiedMedia, Direction, Dtls, ExtMap, Ice, MediaKind, MediaRewrite, MediaSection, Origin,
    RejectedMedia, RelayedMedia, Rtcp, SessionRewrite, Text, write,
};

use super::bundle::{group_lines, with_mid_extension};
use super::extensions;
use super::negotiate::{Message, place};

/// No SDP can be made: no media section is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct NothingUsable;

impl Message<'_> {
    /// Writes the SDP for the receiver. All sections that the sender ever spoke of are in it.
    pub(in crate::call) fn rewrite(
        &self,
        call: &mut Call,
        reservations: &mut Reservations<'_>,
    ) -> Result<String, NothingUsable> {
        let Dialogue { sender, receiver } = self.dialogue;
        if call.party(receiver).media.iter().any(|media| media.bare) {
            return Err(NothingUsable);
        }
        let mut told = std::mem::take(&mut call.party_mut(receiver).told);
        let (sender, receiving) = (&call.party(sender).media, &call.party(receiver).media);
        // The receiver may have offered more to others.
        let further = receiving.iter().skip(sender.len());
        let lacking = further.map_while(|media| Some(self.unheard(media.section()?)));
        let sender: Vec<Cow<'_, Media>> = sender
            .iter()
            .map(Cow::Borrowed)
            .chain(lacking.map(Cow::Owned))
            .collect();
        let sender: Vec<&Media> = sender.iter().map(AsRef::as_ref).collect();
        let sdp = self.write(&mut told, &sender, receiving, reservations);
        call.party_mut(receiver).told = told;
        sdp
    }

    /// A section that the sender has never spoken of.
    fn unheard(&self, offered: &MediaSection) -> Media {
        let learning = self.environment.settings.learning;
        let ids = &mut StreamIds::default();
        Media {
            direction: offered.direction.reversed(),
            ..Media::new(offered, Role::Answerer, learning, ids, self.now)
        }
    }

    /// Writes the SDP for whoever has the receiving sections and was told something before.
    pub(in crate::call) fn write(
        &self,
        told: &mut Told,
        sender: &[&Media],
        receiver: &[Media],
        reservations: &mut Reservations<'_>,
    ) -> Result<String, NothingUsable> {
        let sections = Sections::new(self, told, sender, receiver);
        let own_address = sections.own_address().ok_or(NothingUsable)?;
        let origin = match (&self.description.origin, told.origin()) {
            (Some(origin), _) => origin.numbered(),
            (None, Some(origin)) => origin.clone(),
            (None, None) => made_origin(own_address, reservations),
        };
        let heading = Heading {
            origin,
            session_name: match (&self.description.session_name, told.session_name()) {
                (Some(name), _) | (None, Some(name)) => name.clone(),
                (None, None) => Text::from_static(""),
            },
        };
        let media = sections.rewritten();
        let sdp = told.write(heading, &self.options.replace, own_address, |heading| {
            let session = SessionRewrite {
                origin: heading.origin.clone(),
                session_name: heading.session_name.clone(),
                groups: sections.groups(),
                ice_lite: sections.have_lite_agent(),
                loop_id: self.loop_id.clone(),
                music: self.music.clone(),
            };
            self.options
                .attributes
                .apply(write(&self.description, &session, &media))
        });
        Ok(sdp)
    }
}

/// The sections of both sides, and what has to be made up for them.
struct Sections<'a> {
    message: &'a Message<'a>,
    receiver: &'a [Media],
    pairs: Vec<Section<'a>>,
}

/// A section on both sides.
struct Section<'a> {
    index: usize,
    sender: &'a Media,
    receiver: &'a Media,
    /// What the sender said of it, or what stands for that.
    remote_section: Cow<'a, MediaSection>,
    /// Whether the message says anything of it.
    is_spoken_of: bool,
    /// Whether the receiver has been told nothing yet.
    is_first: bool,
}

impl<'a> Sections<'a> {
    fn new(
        message: &'a Message<'a>,
        told: &Told,
        sender: &'a [&'a Media],
        receiver: &'a [Media],
    ) -> Sections<'a> {
        let is_first = told.origin().is_none();
        let pairs = sender.iter().copied().zip(receiver).enumerate();
        Sections {
            message,
            receiver,
            pairs: pairs
                .filter_map(|(index, (sender, receiver))| {
                    Some(Section {
                        is_first,
                        ..Section::new(message, index, sender, receiver)?
                    })
                })
                .collect(),
        }
    }

    /// What `o=` says in place of the sender's address: our address of the first usable section. None if none is
    /// usable.
    fn own_address(&self) -> Option<IpAddr> {
        let open = self
            .pairs
            .iter()
            .find_map(|section| section.receiver.ports.current());
        let without_ports = || {
            let mut pairs = self.pairs.iter();
            pairs.find(|section| section.is_copied_without_relay() || section.is_refused())
        };
        let place = match open {
            Some(set) => set.place,
            None => place(without_ports()?.receiver, &self.message.environment.settings)?,
        };
        Some(place.advertised)
    }

    /// Whether we have a lite agent towards the receiver: the first section tells.
    fn have_lite_agent(&self) -> bool {
        self.pairs.first().is_some_and(|first| {
            let ice = &first.receiver.ice;
            let asked_late = first.sender.ice.is_on() && !ice.passed_from_the_offer();
            let has_agent = ice.is_on() && (!ice.passes_through() || asked_late);
            first.receiver.is_open() && ice.lite && has_agent
        })
    }

    /// Which sections the receiver is told to bundle.
    fn groups(&self) -> Vec<Text> {
        if self.message.passes_groups() {
            return self.message.description.groups.to_vec();
        }
        let in_use = |index| {
            let section = self.pairs.iter().find(|section| section.index == index);
            section.is_some_and(|section| {
                section.sender.shown == Visibility::Listed && section.receiver.is_open()
            })
        };
        group_lines(self.receiver, in_use)
    }

    fn rewritten(&self) -> Vec<MediaRewrite<'_>> {
        let kind = self.message.kind;
        self.pairs
            .iter()
            .flat_map(|section| {
                let rewritten = section.rewritten(self.message);
                section.receiver.doubled(kind, &section.remote_section, rewritten)
            })
            .collect()
    }
}

impl<'a> Section<'a> {
    fn new(
        message: &Message<'_>,
        index: usize,
        sender: &'a Media,
        receiver: &'a Media,
    ) -> Option<Section<'a>> {
        let remote_section = match (sender.section(), receiver.section()) {
            _ if receiver.shown == Visibility::Removed => return None,
            (_, Some(offered)) if is_beyond(sender, message.kind) => Cow::Borrowed(offered),
            (Some(section), _) => Cow::Borrowed(section),
            // The answer has fewer sections than the offer.
            (None, Some(offered)) => Cow::Owned(unspoken(offered)),
            (None, None) => return None,
        };
        Some(Section {
            index,
            sender,
            receiver,
            remote_section,
            is_spoken_of: sender
                .remote_section
                .as_ref()
                .is_some_and(|remote_section| remote_section.is_of(&message.description)),
            is_first: false,
        })
    }

    /// Whether the media does not pass through us, though the section is in use.
    fn is_copied_without_relay(&self) -> bool {
        self.remote_section.protocol.is_msrp()
            && !self.remote_section.is_rejected()
            && self.sender.remote_section.is_some()
    }

    /// Whether it is we who reject the section: none of its codecs are left.
    fn is_refused(&self) -> bool {
        !self.remote_section.is_rejected() && matches!(self.receiver.local_codecs, LocalCodecs::Rejected)
    }

    fn rewritten(&self, message: &Message<'_>) -> MediaRewrite<'_> {
        if let (true, Some(address)) = (self.is_copied_without_relay(), self.remote_section.address) {
            return MediaRewrite::Copied(CopiedMedia::new(
                &self.remote_section,
                self.remote_section.port,
                address,
            ));
        }
        if is_beyond(self.sender, message.kind) {
            // It has a name where the sender never knew of it.
            let mid = self.receiver.bundle.mid.as_ref();
            return MediaRewrite::Rejected(RejectedMedia {
                mid: mid.filter(|_| self.sender.shown == Visibility::Removed),
                address: self.nowhere(message),
                ..RejectedMedia::absent(&self.remote_section)
            });
        }
        let Some(ports) = self.receiver.ports.current() else {
            return MediaRewrite::Rejected(self.rejected(message));
        };
        let ports = &match self.is_at_rtp_port(message.kind) {
            true => Cow::Owned(ports.clone().muxed()),
            false => Cow::Borrowed(ports),
        };
        if let Some(copied) = self.copied(message, ports) {
            return MediaRewrite::Copied(copied);
        }
        let port = ports.rtp.address.port();
        let address = self.address(message, ports);
        let options = message.options;
        let bundled = self.is_bundled(message);
        let port = match message.bundle_options().offer {
            BundleOffer::Strict if bundled => 0,
            BundleOffer::No | BundleOffer::Offered | BundleOffer::Required | BundleOffer::Strict => port,
        };
        MediaRewrite::Relayed(RelayedMedia {
            kind: self.kind(message),
            protocol: self.receiver.protocol.clone(),
            codecs: self.codecs(),
            extmaps: self.extmaps(message),
            extmap_allow_mixed: self.allows_mixed_extensions(message),
            direction: self.direction(message),
            rtcp: self.rtcp(message, ports),
            rtcp_mux: self.is_muxed(message.kind),
            mid: self.receiver.bundle.mid.as_ref(),
            bundle_only: bundled,
            ptime: self.ptime(),
            crypto: self.receiver.crypto.sdes_text(&options.sdes),
            dtls: self
                .receiver
                .crypto
                .dtls_text(options.dtls, self.is_repeated(message)),
            ice: self.ice(message, ports),
            ..RelayedMedia::new(&self.remote_section, port, address)
        })
    }

    /// Who offered is answered with the kind that it offered, whatever the answer says.
    fn kind(&self, message: &Message<'_>) -> &MediaKind {
        match message.kind {
            Kind::Answer if message.is_of_a_party() && self.receiver.remote_section.is_some() => {
                &self.receiver.kind
            }
            Kind::Offer | Kind::Answer => &self.remote_section.kind,
        }
    }

    /// The section with port 0. Of a transport that the receiver does not speak the formats mean nothing to it; if the message
    /// says nothing of the section, the receiver's own stand.
    fn rejected(&self, message: &Message<'_>) -> RejectedMedia<'_> {
        let protocol = &self.receiver.protocol;
        let formats = match self.receiver.section() {
            Some(known) if *protocol != self.remote_section.protocol || !self.is_spoken_of => &known.formats,
            Some(_) | None => &self.remote_section.formats,
        };
        let is_unknown = !protocol.is_rtp() && !self.remote_section.protocol.is_rtp();
        let passes = self.receiver.passes_through() || message.options.ice.mode == IceMode::ForceRelay;
        RejectedMedia {
            kind: self.kind(message),
            protocol,
            formats: Cow::Borrowed(formats),
            address: self.nowhere(message),
            mid: match self.remote_section.protocol.is_rtp() {
                true => self.receiver.bundle.mid.as_ref(),
                false => self.remote_section.mid.as_ref(),
            },
            copied: Some(&*self.remote_section)
                .filter(|section| (is_unknown || passes) && section.is_rejected()),
            ..RejectedMedia::new(&self.remote_section)
        }
    }

    /// The address that stands for none, of the family that the receiver is served from. Of a section that never had ports it is
    /// the one that was asked for.
    fn nowhere(&self, message: &Message<'_>) -> Option<IpAddr> {
        let asked = message.options.media_address;
        if let Some(address) = asked.filter(|_| self.receiver.ports.newest().is_none()) {
            return Some(address);
        }
        let place = place(self.receiver, &message.environment.settings);
        place.map(|place| unspecified(place.advertised))
    }

    /// The address of `c=`: ours, unless the sender holds by the zero address.
    fn address(&self, message: &Message<'_>, ports: &PortSet) -> IpAddr {
        // Of a section that the sender has not spoken of, somebody else may have before.
        let is_unknown = match self.sender.remote {
            Some(_) => self.sender.reachable().is_none(),
            None => !self.receiver.ports.newest().is_some_and(PortSet::has_endpoint),
        };
        // With ICE the address says nothing: it is found out by checks.
        let is_to_come = self.sender.section().is_some_and(has_no_address_yet);
        let held = is_unknown && !self.receiver.ice.is_on() && !is_to_come;
        // Who has an address of its own already, or was told one, is told of the hold all the same.
        let replaced = message.options.replace.zero_address && self.is_first;
        let replaced = replaced && self.receiver.remote.is_none();
        match held && !replaced {
            true => unspecified(own_address(message, ports)),
            false => own_address(message, ports),
        }
    }

    fn codecs(&self) -> Vec<&Codec> {
        match (self.is_spoken_of, &self.receiver.local_codecs) {
            (false, LocalCodecs::Listed(_)) => self.receiver.codecs.iter().collect(),
            (_, told) => told.list().iter().collect(),
        }
    }

    /// Whether the receiver is told again of a section what it knows, as a party's message says nothing of it.
    fn is_repeated(&self, message: &Message<'_>) -> bool {
        !self.is_spoken_of && message.is_of_a_party()
    }

    /// Of a section that is not spoken of the receiver is told those that hold.
    fn extmaps(&self, message: &Message<'_>) -> Vec<ExtMap> {
        if self.is_repeated(message) {
            let known = self.receiver.extmaps.clone();
            return match (message.kind, message.bundle_options().offer) {
                (Kind::Answer, _) | (Kind::Offer, BundleOffer::No) => known,
                (Kind::Offer, _) => with_mid_extension(known, self.sender, self.receiver, message.kind),
            };
        }
        let remote_section = Some(&*self.remote_section).filter(|_| self.is_spoken_of);
        let passed = extensions::passed(message, remote_section, self.sender, self.receiver);
        with_mid_extension(passed, self.sender, self.receiver, message.kind)
    }

    /// Whether the receiver takes one-byte and two-byte header extensions in one stream (RFC 8285 section 6): not so if it
    /// has extensions, and does not say it. What we offer of somebody else's media is as its sender has it.
    fn allows_mixed_extensions(&self, message: &Message<'_>) -> bool {
        if !message.is_of_a_party() {
            return self.remote_section.extmap_allow_mixed;
        }
        let remote_section = self.receiver.section().filter(|_| !self.receiver.unheeded);
        remote_section.is_none_or(|section| section.extmaps.is_empty() || section.extmap_allow_mixed)
    }

    /// Whether the receiver is offered the section on the transport of another one only.
    fn is_bundled(&self, message: &Message<'_>) -> bool {
        message.kind == Kind::Offer && self.receiver.bundle.carrier(self.index).is_some()
    }

    fn direction(&self, message: &Message<'_>) -> Option<Direction> {
        if self.is_repeated(message) {
            return Some(self.receiver.direction.reversed());
        }
        if !message.options.original_direction {
            return Some(self.sender.direction);
        }
        let mut of_session = message.description.attributes.iter();
        let of_session = of_session.find_map(|attribute| Direction::named(attribute.name()));
        self.remote_section.stated_direction.or(of_session)
    }

    /// That which was asked for, else the one stated last.
    fn ptime(&self) -> Option<u32> {
        self.receiver.told_ptime.or(self.receiver.ptime)
    }

    fn is_muxed(&self, kind: Kind) -> bool {
        match kind {
            Kind::Offer => self.receiver.mux.in_offer(),
            Kind::Answer => self.receiver.mux.agreed == Agreed::Muxed,
        }
    }

    /// Whether the receiver knows that RTCP is to come to the RTP port. Where there is no RTP there is none.
    fn is_at_rtp_port(&self, kind: Kind) -> bool {
        match kind {
            _ if !self.remote_section.protocol.is_rtp() => false,
            Kind::Offer => self.receiver.mux.is_required() || self.receiver.mux.is_done_at_once(),
            Kind::Answer => self.receiver.mux.agreed == Agreed::Muxed,
        }
    }

    fn rtcp(&self, message: &Message<'_>, ports: &PortSet) -> Option<Rtcp> {
        let port = match ports.rtcp {
            RtcpPort::Own(_) if message.kind == Kind::Offer && self.is_at_rtp_port(Kind::Offer) => {
                ports.rtp.address.port()
            }
            RtcpPort::Own(port) => port.address.port(),
            RtcpPort::Shared | RtcpPort::Retired(_) if self.is_at_rtp_port(message.kind) => {
                ports.rtp.address.port()
            }
            RtcpPort::Shared | RtcpPort::Retired(_) => 0,
        };
        match message.options.rtcp_attribute {
            RtcpAttribute::Omitted => None,
            RtcpAttribute::Port => Some(Rtcp { port, address: None }),
            RtcpAttribute::Full => Some(Rtcp {
                port,
                address: Some(own_address(message, ports)),
            }),
        }
    }
}

/// Our address, as the receiver is to know it.
fn own_address(message: &Message<'_>, ports: &PortSet) -> IpAddr {
    message.options.media_address.unwrap_or(ports.place.advertised)
}

/// The address of the same family that stands for none.
fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Whether the sender of a message cannot say anything of a section, as it was not told of it.
fn is_beyond(sender: &Media, kind: Kind) -> bool {
    match sender.shown {
        Visibility::Listed => false,
        Visibility::Removed => true,
        Visibility::Before => kind == Kind::Answer,
    }
}

/// What stands for a section that an answer lacks: what was offered, without the offerer's attributes.
fn unspoken(offered: &MediaSection) -> MediaSection {
    MediaSection {
        information: None,
        bandwidth: Default::default(),
        label: None,
        feedback: Default::default(),
        attributes: Vec::new(),
        dtls: Dtls::default(),
        ice: Ice::default(),
        ..offered.clone()
    }
}

/// `o=` in the place of one that the sender lacks.
fn made_origin(address: IpAddr, reservations: &mut Reservations<'_>) -> Origin {
    let mut random = [0; 8];
    reservations.random(&mut random);
    let number = Text::from((u64::from_ne_bytes(random) >> 2).to_string());
    Origin {
        username: Text::from_static("-"),
        session_id: number.clone(),
        version: number,
        address_type: Text::from_static("IP4"),
        address: Text::from_static(""),
    }
    .with_address(address)
}
