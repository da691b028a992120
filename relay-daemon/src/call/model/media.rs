//! A media section of a party: what the party said of it, and what the relay does for it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::call::command::Extensions;
use crate::call::section::codecs::{Terms, is_same};
use crate::call::section::crypto::{Crypto, Profile, Side, Transport};
use crate::call::section::ice::{Ice, IceSide};
use crate::call::section::mux::Mux;
use crate::call::section::ports::Ports;
use crate::clock::Time;
use crate::host::Host;
use crate::plan::{Identifiers, Learning, SourcePolicy, StreamId};
use crate::report::Local;
use crate::sdp::{
    AddressFamily, Codec, Description, Direction, ExtMap, MediaKind, MediaSection, Protocol, Text,
};

use super::grouping::Bundle;
use super::half::Half;
use super::spoken::Speaks;
use super::stream::Stream;
use super::transcoding::Transcoding;

/// One media section of one party.
#[derive(Clone, Debug)]
pub(in crate::call) struct Media {
    /// What the party said last. None if it never spoke of this section.
    pub(in crate::call) remote_section: Option<RemoteSection>,
    /// Kind of the media.
    pub(in crate::call) kind: MediaKind,
    /// The transport that the party speaks, or is offered.
    pub(in crate::call) protocol: Protocol,
    /// Whether it was only named, by a publisher that was refused or in an answer that was too long: nobody can be told of it
    /// until somebody speaks of it again.
    pub(in crate::call) bare: bool,
    /// Whether the newest message about the section rejects it, whoever sent that.
    pub(in crate::call) rejected: bool,
    /// The transport that is shown instead, of a party which answers with SRTP under a transport for plain RTP: that of the other side.
    pub(in crate::call) shown_protocol: Option<Protocol>,
    /// Whether nobody has ever spoken of it but to reject it.
    pub(in crate::call) is_unused: bool,
    /// Whether the relay called the party on its own.
    pub(in crate::call) is_called: bool,
    /// Where the party receives. None while that is not known, or if the party rejected the section.
    pub(in crate::call) remote: Option<Remote>,
    /// Whether the party takes RTCP feedback, as it said when it last accepted the section.
    pub(in crate::call) takes_feedback: bool,
    /// What is shown of where the party receives.
    pub(in crate::call) endpoints: Endpoints,
    /// What the party does, as the newest message of either side has it.
    pub(in crate::call) direction: Direction,
    /// Who spoke first of this section.
    pub(in crate::call) role: Role,
    /// rtcp-mux with the party.
    pub(in crate::call) mux: Mux,
    /// Bundling with other sections of the party.
    pub(in crate::call) bundle: Bundle,
    /// Index of the logical interface that the party is served from.
    pub(in crate::call) interface: usize,
    /// Family of the local address.
    pub(in crate::call) family: AddressFamily,
    /// Local ports.
    pub(in crate::call) ports: Ports,
    /// How the party's sources are treated.
    pub(in crate::call) sources: Sources,
    /// The packet time that the party goes by: what it or the other side has stated last, ms.
    pub(in crate::call) ptime: Option<u32>,
    /// `a=label` of what the party was told last: for the reference, the name of the party's own section.
    pub(in crate::call) told_label: Option<Text>,
    /// The packet time that the party is told whatever the other side states, ms.
    pub(in crate::call) told_ptime: Option<u32>,
    /// The codecs of the party for which `told_ptime` does not count.
    pub(in crate::call) unpaced_codecs: Vec<Codec>,
    /// Whether this party or the one that it talks to is told another packet time.
    pub(in crate::call) is_repacked: bool,
    /// Whether what the party is sent is decoded and encoded even into the same codec (flag `force-transcoding`).
    pub(in crate::call) is_reencoded: bool,
    /// Whether what the party is sent counts as decoded, even if both sides have the same codec.
    pub(in crate::call) forced_transcoding: bool,
    /// Whether digits may be put into what the party is sent (`inject-DTMF`).
    pub(in crate::call) gets_digits: bool,
    /// Whether what the party is sent is to be decoded, for whatever reason.
    pub(in crate::call) transcodes: bool,
    /// The codecs that the party was told last.
    pub(in crate::call) local_codecs: LocalCodecs,
    /// What the party offered, or was offered: answers by either side are reduced to them.
    pub(in crate::call) offered_codecs: Vec<Codec>,
    /// The codecs that the party uses, as the newest message of either side has it: those that it offered or was told, or
    /// of an answer what was accepted.
    pub(in crate::call) codecs: Vec<Codec>,
    /// All that these ever were, by payload type: what was agreed on once may still come.
    pub(in crate::call) ever: Vec<Codec>,
    /// What the options of the party's offer say about the answer.
    pub(in crate::call) terms: Option<Box<Terms>>,
    /// What it takes to bring the codecs of both sides together.
    pub(in crate::call) transcoding: Transcoding,
    /// What the party speaks, if there is a gateway between T.38 and audio.
    pub(in crate::call) speaks: Option<Speaks>,
    /// Whether the party is told of the section.
    pub(in crate::call) shown: Visibility,
    /// Which header extensions are used with it, by their names: those of the answer. None before there is one.
    pub(in crate::call) accepted_extensions: Option<Vec<Text>>,
    /// Header extensions that it has, as the newest message of either side says: their identifiers, and all that is said of them.
    pub(in crate::call) extensions: Identifiers,
    pub(in crate::call) extmaps: Vec<ExtMap>,
    /// Whether what the party said last of this section concerned nobody, as the other one was not told of it.
    pub(in crate::call) unheeded: bool,
    /// Header extensions that it was not told of in an offer.
    pub(in crate::call) masked_extensions: Extensions,
    /// Encryption.
    pub(in crate::call) crypto: Crypto,
    /// ICE.
    pub(in crate::call) ice: Ice,
    /// Whether the party's media may flow one way only. Here any may, also through the kernel.
    pub(in crate::call) unidirectional: bool,
    /// Whether the party hears itself.
    pub(in crate::call) echo: Echo,
    /// Whether packets that arrive here only go on.
    pub(in crate::call) passing: Passing,
    /// RTP, or datagrams of unknown kind.
    pub(in crate::call) rtp: Stream,
    /// RTCP, or what arrives at the second port of a section that is not RTP.
    pub(in crate::call) rtcp: Stream,
}

/// A section of an SDP.
#[derive(Clone, Debug)]
pub(in crate::call) struct RemoteSection {
    description: Arc<Description>,
    index: usize,
}

/// Where a party receives, as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct Remote {
    /// RTP.
    pub(in crate::call) rtp: SocketAddr,
    /// RTCP, unless it is muxed.
    pub(in crate::call) rtcp: SocketAddr,
}

/// Whether packets that arrive at a section only go on to an address, whatever they are (`transform`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Passing {
    /// The section is one of an SDP.
    #[default]
    No,
    /// They do.
    On {
        /// Whether it was said of which kind they are.
        has_kind: bool,
    },
}

/// Where a party receives, as it is shown. A section that is rejected keeps what it had.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::call) struct Endpoints {
    /// What the party has said last.
    pub(in crate::call) stated: Option<Remote>,
    /// Where media would be sent without anything else. Who does ICE is not found by what it says in a later message, nor
    /// is an address that no port reaches.
    pub(in crate::call) used: Option<Remote>,
}

/// From where a party is sent to: addresses of the ports for RTP and RTCP, as far as there are any.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::call) struct Reach {
    pub(in crate::call) rtp: Option<IpAddr>,
    pub(in crate::call) rtcp: Option<IpAddr>,
}

impl Endpoints {
    /// The party speaks; `does_ice` tells whether it has ICE. None where it rejects the section.
    pub(in crate::call) fn hear(&mut self, remote: Option<Remote>, does_ice: bool, reach: Reach) {
        let Some(remote) = remote else { return };
        self.stated = Some(remote);
        let Some(used) = self.used.as_mut() else {
            self.used = Some(remote);
            return;
        };
        let reaches = |from: Option<IpAddr>, to: SocketAddr| {
            !does_ice && from.is_some_and(|from| from.is_ipv4() == to.is_ipv4())
        };
        if reaches(reach.rtp, remote.rtp) {
            used.rtp = remote.rtp;
        }
        if reaches(reach.rtcp, remote.rtcp) {
            used.rtcp = remote.rtcp;
        }
    }
}

/// Which side of the first offer a party was on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Role {
    /// It offered.
    Offerer,
    /// It was offered to.
    Answerer,
}

/// The codecs that a party was told.
#[derive(Clone, Debug)]
pub(in crate::call) enum LocalCodecs {
    /// These.
    Listed(Vec<Codec>),
    /// The list of formats only.
    Formats,
    /// None: the section was rejected for want of codecs.
    Rejected,
}

impl LocalCodecs {
    /// The codecs, as far as anything was said of them.
    pub(in crate::call) fn list(&self) -> &[Codec] {
        match self {
            LocalCodecs::Listed(codecs) => codecs,
            LocalCodecs::Formats | LocalCodecs::Rejected => &[],
        }
    }
}

impl Default for LocalCodecs {
    fn default() -> LocalCodecs {
        LocalCodecs::Listed(Vec::new())
    }
}

/// Whether a party is told of a section that the other side speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Visibility {
    #[default]
    Listed,
    /// `sdp-media-remove`
    Removed,
    /// It was told of it before, but not by the last offer. What it answers says nothing of it.
    Before,
}

/// Where a party's media goes instead of to others (`media-echo`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Echo {
    /// To others.
    #[default]
    Off,
    /// Back to the party, as it came.
    Back,
    /// Nowhere.
    Blackhole,
}

/// How the sources of a party's media are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct Sources {
    /// How the first one is learned.
    pub(in crate::call) learning: Learning,
    /// What happens to others.
    pub(in crate::call) others: SourcePolicy,
    /// Whether it was said both to drop them and to follow them.
    pub(in crate::call) strict_handover: bool,
    /// Whether media for the party goes to the signalled address all the same.
    pub(in crate::call) sending: Sending,
    /// Whether the party is sent nothing until it has sent something (flag `NAT-wait`).
    pub(in crate::call) wait: bool,
    /// Whether the party is sent empty packets after each message until it has sent something (flag `pierce-NAT` of its first
    /// message).
    pub(in crate::call) pierce: bool,
    /// Whether it is decrypted and encrypted anew in any case (flag `recrypt`).
    pub(in crate::call) recrypt: bool,
    /// Whether packets that are shorter than the first one are dropped (flag `block-short`). It stays.
    pub(in crate::call) block_short: bool,
}

/// Where media for a party goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Sending {
    /// To where the party's media comes from.
    #[default]
    Symmetric,
    /// To where the party said (flag `asymmetric`).
    Asymmetric,
}

impl Media {
    /// A section that nobody has said anything about yet.
    pub(in crate::call) fn new(
        like: &MediaSection,
        role: Role,
        learning: Learning,
        ids: &mut StreamIds,
        now: Time,
    ) -> Media {
        Media {
            remote_section: None,
            kind: like.kind.clone(),
            protocol: like.protocol.clone(),
            bare: false,
            rejected: false,
            shown_protocol: None,
            is_unused: false,
            is_called: false,
            remote: None,
            passing: Passing::default(),
            endpoints: Endpoints::default(),
            takes_feedback: false,
            direction: Direction::default(),
            role,
            mux: Mux::default(),
            bundle: Bundle::default(),
            interface: 0,
            family: AddressFamily::Ip4,
            ports: Ports::default(),
            sources: Sources {
                learning,
                others: SourcePolicy::default(),
                strict_handover: false,
                sending: Sending::default(),
                wait: false,
                pierce: false,
                recrypt: false,
                block_short: false,
            },
            ptime: None,
            told_label: None,
            told_ptime: None,
            unpaced_codecs: Vec::new(),
            is_repacked: false,
            is_reencoded: false,
            forced_transcoding: false,
            gets_digits: false,
            transcodes: false,
            local_codecs: LocalCodecs::default(),
            offered_codecs: Vec::new(),
            codecs: Vec::new(),
            ever: Vec::new(),
            terms: None,
            transcoding: Transcoding::default(),
            speaks: None,
            shown: Visibility::default(),
            accepted_extensions: None,
            extensions: Identifiers::default(),
            extmaps: Vec::new(),
            unheeded: false,
            masked_extensions: Extensions::default(),
            crypto: Crypto::default(),
            ice: Ice::default(),
            unidirectional: false,
            echo: Echo::default(),
            rtp: Stream::new(ids.next(), now),
            rtcp: Stream::new(ids.next(), now),
        }
    }

    /// The packet time of a codec with the party, ms, as far as somebody asked for one.
    pub(in crate::call) fn pace(&self, codec: &Codec) -> u32 {
        self.asked_packet_time(codec)
            .or(self.ptime)
            .unwrap_or(USUAL_PTIME)
    }

    /// The packet time of what is encoded for the party, ms: what somebody asked for, else what it has stated itself.
    pub(in crate::call) fn packet_time(&self, codec: &Codec) -> u32 {
        let stated = || {
            self.section()
                .and_then(|section| section.ptime)
                .filter(|_| !codec.is("G722"))
        };
        let asked = self.asked_packet_time(codec).or_else(stated);
        asked.unwrap_or(USUAL_PTIME).clamp(10, 120)
    }

    /// What the party is told whatever the other side states, ms, if that counts for a codec.
    fn asked_packet_time(&self, codec: &Codec) -> Option<u32> {
        let is_paced = !self.unpaced_codecs.iter().any(|other| is_same(other, codec));
        self.told_ptime.filter(|_| is_paced)
    }

    /// What the party said last of this section.
    pub(in crate::call) fn section(&self) -> Option<&MediaSection> {
        self.remote_section.as_ref().map(RemoteSection::section)
    }

    /// Which of the call's sections it is, in the order in which they came up. Each has two streams.
    pub(in crate::call) fn ordinal(&self) -> u32 {
        self.rtp.id.0 / 2
    }

    /// Whether the party offers or answers with ICE.
    pub(in crate::call) fn uses_ice(&self) -> bool {
        self.section().is_some_and(|section| section.ice.ufrag.is_some())
    }

    /// Whether our ports are no more than candidates beside those of the other end: whatever else is said of the media
    /// passes as it is.
    pub(in crate::call) fn passes_through(&self) -> bool {
        matches!(self.ice.side, IceSide::Through)
    }

    /// Whether media with the party is encrypted, if it wants that.
    pub(in crate::call) fn is_encrypted(&self) -> bool {
        self.protocol.is_srtp() || self.crypto.opportunistic
    }

    /// The transport, and what is done in it.
    pub(in crate::call) fn profile(&self) -> Profile {
        Profile {
            protocol: self.protocol.clone(),
            opportunistic: self.crypto.opportunistic,
        }
    }

    /// The party speaks like this, or is to.
    pub(in crate::call) fn take_profile(&mut self, profile: Profile) {
        self.protocol = profile.protocol;
        self.shown_protocol = None;
        self.crypto.opportunistic = profile.opportunistic;
        self.crypto.profile_open = false;
    }

    /// Remembers the codecs that the party uses now.
    pub(in crate::call) fn remember_codecs(&mut self) {
        for codec in &self.codecs {
            match self
                .ever
                .iter_mut()
                .find(|known| known.payload_type == codec.payload_type)
            {
                Some(known) => known.clone_from(codec),
                None => self.ever.push(codec.clone()),
            }
        }
    }

    /// What negotiates encryption.
    pub(in crate::call) fn crypto_side(&mut self) -> Side<'_> {
        Side {
            protocol: &self.protocol,
            transport: Transport {
                port: self.ports.current().map(|set| set.rtp.id),
                ice: self.ice.agent().is_some(),
            },
            crypto: &mut self.crypto,
        }
    }

    /// The address that the party wants media at, if it can be sent to.
    pub(in crate::call) fn reachable(&self) -> Option<Remote> {
        self.remote.filter(|remote| !remote.rtp.ip().is_unspecified())
    }

    /// Whether media may be sent to the party. While its address is not known, it may: it could be learned.
    pub(in crate::call) fn accepts_media(&self) -> bool {
        let held = self.remote.is_some() && self.reachable().is_none() && !self.uses_ice();
        self.direction.receives() && !held
    }

    /// Gives up all ports. What the kernel counted for them stays.
    pub(in crate::call) fn give_up_ports(&mut self, host: &dyn Host) {
        for half in [Half::Rtp, Half::Rtcp] {
            for port in self.bound(half) {
                self.stream_mut(half).give_up(port.id, host);
            }
        }
        self.ports.clear();
    }

    /// Keeps what the kernel counted for ports that stood here before and do no longer.
    pub(in crate::call) fn keep_counts_of(&mut self, former: &Media, host: &dyn Host) {
        for half in [Half::Rtp, Half::Rtcp] {
            let bound = self.bound(half);
            for port in former
                .bound(half)
                .into_iter()
                .filter(|port| !bound.contains(port))
            {
                self.stream_mut(half).give_up(port.id, host);
            }
        }
    }

    /// Whether the relay keeps ports open for the party.
    pub(in crate::call) fn is_open(&self) -> bool {
        self.ports.current().is_some()
    }

    /// From where the party is sent to.
    pub(in crate::call) fn reach(&self) -> Reach {
        if !self.is_open() {
            // It may be opened again.
            let last = self.ports.newest().map(|set| set.rtp.address.ip());
            return Reach {
                rtp: last,
                rtcp: last,
            };
        }
        let [rtp, rtcp] = self.ports.shown().map(|local| match local {
            Local::Open(local) => Some(local.ip()),
            Local::WithoutPort(local) => Some(local),
            Local::Closed => None,
        });
        Reach { rtp, rtcp }
    }
}

impl RemoteSection {
    pub(in crate::call) fn new(description: &Arc<Description>, index: usize) -> RemoteSection {
        RemoteSection {
            description: Arc::clone(description),
            index,
        }
    }

    /// The section.
    pub(in crate::call) fn section(&self) -> &MediaSection {
        &self.description.media[self.index]
    }

    /// Whether it was said in this SDP.
    pub(in crate::call) fn is_of(&self, description: &Arc<Description>) -> bool {
        Arc::ptr_eq(&self.description, description)
    }
}

impl Remote {
    /// The address for RTP, or that for RTCP.
    pub(in crate::call) fn of_half(self, half: Half) -> SocketAddr {
        match half {
            Half::Rtp => self.rtp,
            Half::Rtcp => self.rtcp,
        }
    }

    /// Where the sender of a section receives. `source` is the address to use in place of that of the SDP. None for a
    /// rejected section.
    pub(in crate::call) fn of(section: &MediaSection, source: Option<IpAddr>) -> Option<Remote> {
        if section.is_rejected() {
            return None;
        }
        let address = source.or(section.address)?;
        let explicit = section.rtcp.and_then(|rtcp| rtcp.address);
        let rtcp_address = match source {
            Some(source) => source,
            None => explicit
                .filter(|address| !address.is_unspecified())
                .unwrap_or(address),
        };
        let rtcp_port = match section.rtcp {
            Some(rtcp) => rtcp.port,
            None => section.port.saturating_add(1),
        };
        Some(Remote {
            rtp: SocketAddr::new(address, section.port),
            rtcp: SocketAddr::new(rtcp_address, rtcp_port),
        })
    }
}

/// ms (RFC 3551 section 4.2).
const USUAL_PTIME: u32 = 20;

/// Hands out the stream ids of a call.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct StreamIds(u32);

impl StreamIds {
    pub(in crate::call) fn next(&mut self) -> StreamId {
        let id = StreamId(self.0);
        self.0 += 1;
        id
    }

    /// Makes room for the ids of another call, each of which grows by what is given back.
    pub(in crate::call) fn reserve(&mut self, other: &StreamIds) -> u32 {
        let offset = self.0;
        self.0 += other.0;
        offset
    }
}
