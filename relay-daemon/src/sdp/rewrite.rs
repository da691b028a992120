//! What the writer is told: the outcome of the negotiation, line by line.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use super::{
    Bandwidth, Candidate, Codec, Crypto, Direction, Dtls, ExtMap, Ice, MediaKind, MediaSection, Origin,
    Protocol, Rtcp, Text,
};

/// The lines of the session that are not copied from the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRewrite {
    /// `o=`
    pub origin: Origin,
    /// `s=`
    pub session_name: Text,
    /// `a=group`, with their semantics: `BUNDLE 0 1`.
    pub groups: Vec<Text>,
    /// `a=ice-lite`
    pub ice_lite: bool,
    /// `a=rtpengine`: marks the SDP as handled by us.
    pub loop_id: Option<Text>,
    /// An attribute that says that we play music for whom the sender holds.
    pub music: Option<Text>,
}

/// What becomes of a media section.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a few at a time, and nearly all of them relayed"
)]
pub enum MediaRewrite<'a> {
    /// Nobody uses it.
    Rejected(RejectedMedia<'a>),
    /// RTP through the relay: the lines that concern the way of the media are made anew.
    Relayed(RelayedMedia<'a>),
    /// The attributes pass as they are: the relay takes no part in the media (MSRP, own candidates added to those of
    /// the sender), or does not know what it relays (T.38, data channels, unknown transports).
    Copied(CopiedMedia<'a>),
}

/// A section with port 0: little more than its `m=` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedMedia<'a> {
    /// Kind of the media.
    pub kind: &'a MediaKind,
    /// The transport.
    pub protocol: &'a Protocol,
    /// The formats, separated by spaces.
    pub formats: Cow<'a, str>,
    /// `i=`
    pub information: Option<&'a Text>,
    /// The address of `c=`, which stands for none.
    pub address: Option<IpAddr>,
    /// `b=`
    pub bandwidth: Option<&'a Bandwidth>,
    /// `a=mid`
    pub mid: Option<&'a Text>,
    /// `a=label`
    pub label: Option<&'a Text>,
    /// All attributes pass as they are: those of this section, of which the relay knows nothing.
    pub copied: Option<&'a MediaSection>,
}

impl<'a> RejectedMedia<'a> {
    /// A section that its sender rejects, or that is rejected in its sender's name.
    pub fn new(section: &'a MediaSection) -> RejectedMedia<'a> {
        RejectedMedia {
            information: section.information.as_ref(),
            bandwidth: Some(&section.bandwidth),
            mid: section.mid.as_ref(),
            label: section.label.as_ref(),
            ..RejectedMedia::absent(section)
        }
    }

    /// A section that the sender does not know, as the receiver once offered it.
    pub fn absent(offered: &'a MediaSection) -> RejectedMedia<'a> {
        RejectedMedia {
            kind: &offered.kind,
            protocol: &offered.protocol,
            formats: Cow::Borrowed(&offered.formats),
            information: None,
            address: Some(Ipv4Addr::UNSPECIFIED.into()),
            bandwidth: None,
            mid: None,
            label: None,
            copied: None,
        }
    }
}

/// An RTP section that the relay takes part in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayedMedia<'a> {
    /// The sender's section: `i=`, `b=`, `a=label` and the attributes that are not the relay's come from
    /// here.
    pub section: &'a MediaSection,
    /// Kind of the media, as the receiver knows it.
    pub kind: &'a MediaKind,
    /// The local port. 0 for a bundled section that must not be used by itself.
    pub port: u16,
    /// The address of `c=`; unspecified to pass on a hold by address.
    pub address: IpAddr,
    /// The transport.
    pub protocol: Protocol,
    /// The payload types, in order. With none the sender's list of formats is written, without a word on their
    /// meaning.
    pub codecs: Vec<&'a Codec>,
    /// `a=extmap`
    pub extmaps: Vec<ExtMap>,
    /// `a=extmap-allow-mixed`, if there are any extensions.
    pub extmap_allow_mixed: bool,
    /// The direction, as the receiver is to read it.
    pub direction: Option<Direction>,
    /// `a=rtcp`
    pub rtcp: Option<Rtcp>,
    /// `a=rtcp-mux`
    pub rtcp_mux: bool,
    /// `a=mid`
    pub mid: Option<&'a Text>,
    /// `a=bundle-only`
    pub bundle_only: bool,
    /// `a=ptime`, ms.
    pub ptime: Option<u32>,
    /// `a=maxptime`, ms.
    pub maxptime: Option<u32>,
    /// `a=crypto` lines.
    pub crypto: Vec<Crypto>,
    /// `a=setup`, `a=fingerprint`, `a=tls-id`.
    pub dtls: Dtls,
    /// `a=ice-ufrag` and its like, and the candidates.
    pub ice: Ice,
}

impl<'a> RelayedMedia<'a> {
    /// The sender's section at another port and address: codecs, direction, packet times and identification as the
    /// sender has them, no `a=rtcp`, no muxing, no encryption and no ICE.
    pub fn new(section: &'a MediaSection, port: u16, address: IpAddr) -> RelayedMedia<'a> {
        RelayedMedia {
            section,
            kind: &section.kind,
            port,
            address,
            protocol: section.protocol.clone(),
            codecs: section.codecs.iter().collect(),
            extmaps: section.extmaps.clone(),
            extmap_allow_mixed: true,
            direction: Some(section.direction),
            rtcp: None,
            rtcp_mux: false,
            mid: section.mid.as_ref(),
            bundle_only: false,
            ptime: section.ptime,
            maxptime: section.maxptime,
            crypto: Vec::new(),
            dtls: Dtls::default(),
            ice: Ice::default(),
        }
    }
}

/// A section whose attributes pass as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedMedia<'a> {
    /// The sender's section.
    pub section: &'a MediaSection,
    /// Kind of the media, as the receiver knows it.
    pub kind: &'a MediaKind,
    /// What `m=` says of the transport.
    pub protocol: &'a Protocol,
    /// The port: a local one, or the sender's if the relay takes no part in the media.
    pub port: u16,
    /// The address of `c=`, likewise.
    pub address: IpAddr,
    /// The payload types of an RTP section that stay in its list of formats. With none the sender's list is
    /// written.
    pub codecs: Vec<&'a Codec>,
    /// Candidates to add: to those of the sender, before it says that it has no more.
    pub candidates: Vec<Candidate>,
}

impl<'a> CopiedMedia<'a> {
    /// The sender's section at another port and address.
    pub fn new(section: &'a MediaSection, port: u16, address: IpAddr) -> CopiedMedia<'a> {
        CopiedMedia {
            section,
            kind: &section.kind,
            protocol: &section.protocol,
            port,
            address,
            codecs: section.codecs.iter().collect(),
            candidates: Vec::new(),
        }
    }
}
