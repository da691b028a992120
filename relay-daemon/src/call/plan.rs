//! What a call asks of its media: the whole of it, computed anew after each change.

use smallvec::SmallVec;

use crate::plan::{LocalPort, Payloads, Plan, StreamId, StreamKind, StreamPlan};

use super::media::{Media, Sending};
use super::mux::Agreed;
use super::ports::PortSet;
use super::state::{Call, Party};
use super::stream::Stream;

/// Which of the two transports of a media section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// RTP, or datagrams of unknown kind.
    Rtp,
    /// RTCP, or the second port for datagrams.
    Rtcp,
}

impl Call {
    /// All that is asked of the media at present.
    pub(super) fn plan(&self) -> Plan {
        let mut streams = Vec::new();
        for party in &self.parties {
            for (index, media) in party.media.iter().enumerate() {
                streams.extend(self.stream_plan(party, index, media, Half::Rtp));
                streams.extend(self.stream_plan(party, index, media, Half::Rtcp));
            }
        }
        streams.sort_by_key(|stream| stream.id);
        Plan {
            call: self.key,
            revision: self.revision,
            streams,
            kernel: self.kernel,
        }
    }

    /// None for a transport without ports.
    fn stream_plan(&self, party: &Party, index: usize, media: &Media, half: Half) -> Option<StreamPlan> {
        let ports = media.bound(half);
        if ports.is_empty() {
            return None;
        }
        let stream = media.stream(half);
        let remote = media.reachable().map(|remote| match half {
            Half::Rtp => remote.rtp,
            Half::Rtcp => remote.rtcp,
        });
        let (sinks, rtcp_sinks) = self.sinks(party, index, media, half);
        let mut peers = self.receivers(party, index, media);
        Some(StreamPlan {
            id: stream.id,
            kind: match (media.is_rtp(), half) {
                (true, Half::Rtp) => StreamKind::Rtp,
                (true, Half::Rtcp) => StreamKind::Rtcp,
                (false, Half::Rtp | Half::Rtcp) => StreamKind::Datagrams,
            },
            ports,
            remote: remote.filter(|remote| remote.port() != 0 && !remote.ip().is_unspecified()),
            learning: media.sources.learning,
            signalled_at: stream.signalled_at,
            other_source: media.sources.others,
            asymmetric: media.sources.sending == Sending::Asymmetric,
            sinks: sinks.into_iter().map(Into::into).collect(),
            rtcp_sinks,
            payloads: Payloads::default(),
            needs_cipher: peers.any(|peer| !media.passes_to(peer)),
            tos: self.tos,
            status: stream.status.clone(),
        })
    }

    /// Who gets what arrives: media, and RTCP.
    pub(super) fn sinks(&self, party: &Party, index: usize, media: &Media, half: Half) -> (Sinks, Sinks) {
        let (mut sinks, mut rtcp_sinks) = (Sinks::new(), Sinks::new());
        let peers = self.receivers(party, index, media);
        for peer in peers.filter(|peer| media.passes_to(peer)) {
            let flows = media.direction.sends() && peer.accepts_media();
            if flows && (half == Half::Rtp || !media.is_rtp()) {
                sinks.extend(peer.sink(half));
            }
            if media.is_rtp() {
                rtcp_sinks.extend(peer.rtcp_sink());
            }
        }
        (sinks, rtcp_sinks)
    }

    /// Whether both sides of some media have agreed on encryption, and it is not the same.
    pub(super) fn is_encrypted_differently(&self) -> bool {
        self.parties.iter().any(|party| {
            party.media.iter().enumerate().any(|(index, media)| {
                let mut peers = self.receivers(party, index, media);
                let settled = |peer: &Media| media.crypto.is_settled() && peer.crypto.is_settled();
                peers.any(|peer| settled(peer) && !media.passes_to(peer))
            })
        })
    }

    /// Sections of other parties that are to get something of what a party sends.
    fn receivers<'a>(
        &'a self,
        party: &'a Party,
        index: usize,
        media: &'a Media,
    ) -> impl Iterator<Item = &'a Media> {
        let peers = party.peers.iter();
        let peers = peers.filter_map(move |peer| self.party(*peer).media.get(index));
        peers.filter(|peer| media.is_open() && peer.is_open() && peer.is_rtp() == media.is_rtp())
    }
}

/// Streams that get something.
pub(super) type Sinks = SmallVec<[StreamId; 1]>;

impl Media {
    /// One of the two transports.
    pub(super) fn stream(&self, half: Half) -> &Stream {
        match half {
            Half::Rtp => &self.rtp,
            Half::Rtcp => &self.rtcp,
        }
    }

    /// One of the two transports.
    pub(super) fn stream_mut(&mut self, half: Half) -> &mut Stream {
        match half {
            Half::Rtp => &mut self.rtp,
            Half::Rtcp => &mut self.rtcp,
        }
    }

    /// The ports of one of the two transports, the current one first.
    pub(super) fn bound(&self, half: Half) -> SmallVec<[LocalPort; 1]> {
        self.ports
            .all()
            .flat_map(PortSet::transports)
            .filter_map(|ports| match half {
                Half::Rtp => Some(ports.rtp),
                Half::Rtcp => ports.rtcp.bound(),
            })
            .collect()
    }

    /// Whether what the party sends can go to another one as it is.
    fn passes_to(&self, other: &Media) -> bool {
        self.crypto.security().passes_to(other.crypto.security())
    }

    /// Whether the section carries RTP.
    pub(super) fn is_rtp(&self) -> bool {
        self.protocol.is_rtp()
    }

    fn sink(&self, half: Half) -> Option<StreamId> {
        let is_bound = self.ports.current().is_some_and(|set| match half {
            Half::Rtp => true,
            Half::Rtcp => set.rtcp.bound().is_some(),
        });
        is_bound.then_some(self.stream(half).id)
    }

    /// The stream through which the party gets RTCP.
    fn rtcp_sink(&self) -> Option<StreamId> {
        match self.mux.agreed {
            Agreed::Muxed => self.sink(Half::Rtp),
            Agreed::Separate => self.sink(Half::Rtcp),
        }
    }
}
