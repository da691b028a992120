//! The vocabulary between signalling and media: what [`crate::call::Calls`] wants
//! ([`Plan`]), and the counters through which the media answers ([`StreamStatus`]).

mod bundle;
mod extensions;
mod path;
mod progress;
mod quality;
mod reports;
mod sinks;
mod ssrcs;
mod status;
mod transport;

pub use bundle::{BundlePlan, Label, Marks};
pub use extensions::{ExtensionFilter, Identifiers};
pub use path::{OffloadRule, Path, UserspaceReason};
pub use progress::Progress;
pub use quality::{MosModel, Quality, Sample};
pub use reports::ReportPlan;
pub use sinks::{
    Coding, Conversion, EventConversion, PayloadTypes, Payloads, Renumbering, SinkPlan, Transcoding,
    Treatment,
};
pub use ssrcs::{Position, SsrcLog, SsrcUse};
pub use status::{Learned, StreamStatus};
pub use transport::{Host, IcePlan, IceState, SelectedPair};

use std::net::SocketAddr;
use std::sync::Arc;

use relay_common::slot::Clock;
use smallvec::SmallVec;

use crate::clock::Time;
use crate::dtls::Credentials;
use crate::security::MediaSecurity;

/// Names a call within this process; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(pub u64);

/// Names a stream within its call; never used twice there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// Names a local port: the index of its slot in the table shared with the XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u32);

/// A bound local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalPort {
    /// Its name.
    pub id: PortId,
    /// The local address that its socket is bound to (not the advertised one).
    pub address: SocketAddr,
}

/// All that signalling wants of the media of one call. A later plan replaces an earlier one as a
/// whole: streams and ports that it no longer names are closed and given back.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose plan.
    pub call: CallKey,
    /// Counts the plans of this call, from 1.
    pub revision: u32,
    /// Where the worker publishes the revision once it is carried out.
    pub progress: Progress,
    /// The streams, in order of their ids.
    pub streams: Vec<StreamPlan>,
    /// Whether flows of this call may enter the kernel.
    pub kernel: KernelUse,
    /// RTCP of our own in place of the parties'.
    pub reports: Option<ReportPlan>,
    /// How good what the parties report sounds.
    pub mos: MosModel,
}

/// Whether a call's flows may be relayed by the XDP program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelUse {
    /// Whenever a flow qualifies.
    #[default]
    Allowed,
    /// Not now: the operator switched it off (`ng-client kernel off CALL-ID`).
    SwitchedOff,
}

/// One transport of one party: where its RTP or its RTCP is received, and where media for that party
/// is sent from and to.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    /// Which stream.
    pub id: StreamId,
    /// RTP, RTCP or datagrams of unknown kind.
    pub kind: StreamKind,
    /// Local ports. The first is the one announced to the party: media for it is sent from there, unless the party is
    /// on the transport of another stream. The others were announced earlier and still receive. None if the stream has
    /// always been on that of another.
    pub ports: SmallVec<[LocalPort; 1]>,
    /// The party's address as signalled; none before its first SDP.
    pub remote: Option<SocketAddr>,
    /// How the source of received media is learned.
    pub learning: Learning,
    /// When the newest signalling message mentioned this stream: the learning window starts there, and
    /// learning starts over when this changes.
    pub signalled_at: Time,
    /// What happens to other sources once the source is settled.
    pub other_source: SourcePolicy,
    /// Send to the signalled address even when another one was learned (flag `asymmetric`).
    pub asymmetric: bool,
    /// Send nothing until something was received (flag `NAT-wait`).
    pub waits: bool,
    /// Send empty packets until something was received, so that NAT on the way lets it in (flag `pierce-NAT`).
    pub pierces: bool,
    /// Decrypt and encrypt anew also where both sides have the same keys (flag `recrypt`).
    pub recrypts: bool,
    /// Whether the section was rejected: the ports stay bound, and what arrives there is nobody's.
    pub is_closed: bool,
    /// Of these payload types, packets are dropped that carry less than the first one since the newest signalling message (flag
    /// `block-short`).
    pub even: PayloadTypes,
    /// Streams of the other parties that receive the RTP (or the datagrams) that arrive here. Empty while
    /// nobody may receive: such packets are counted and go nowhere.
    pub sinks: SmallVec<[SinkPlan; 1]>,
    /// Streams that receive the RTCP that arrives here: RTCP streams, or muxed RTP streams.
    pub rtcp_sinks: SmallVec<[StreamId; 1]>,
    /// Streams that receive the STUN and DTLS that arrives here, if ICE passes from party to party. Empty where it ends here,
    /// or where there is none.
    pub check_sinks: SmallVec<[StreamId; 1]>,
    /// Payload types that were ever agreed on, or offered, for what arrives here. Others are errors, although they are relayed. Empty
    /// where that is not known.
    pub known: PayloadTypes,
    /// What is known of the payload types that arrive here. Only needed where a sink does not get everything.
    pub payloads: Payloads,
    /// How what arrives here is protected, and how what is sent to the party is. With [`MediaSecurity::Dtls`] the keys come
    /// from a handshake.
    pub security: MediaSecurity,
    /// Who we are to the party in DTLS, once it was told.
    pub credentials: Option<Arc<Credentials>>,
    /// For RTCP: the stream of the RTP that it belongs to. SRTP with keys from the SDP is one and the same for both.
    pub rtp: Option<StreamId>,
    /// Whether the party knows RTCP feedback messages (RFC 4585).
    pub feedback: bool,
    /// ICE with the party, for a stream of RTP and the RTCP that belongs to it. None without ICE, and for a stream without
    /// ports.
    pub ice: Option<Box<IcePlan>>,
    /// Set if packets for this stream and others may arrive at the ports of one of them.
    pub bundle: Option<BundlePlan>,
    /// What marks packets for the party with their section, if they come without. None if it has not said that it knows the mark.
    pub label: Option<Label>,
    /// Clocks of the payload types that arrive here, as far as they are known.
    pub clocks: SmallVec<[Clock; 4]>,
    /// TOS or traffic class of the packets sent to the party.
    pub tos: u8,
    /// Counters and learned state, shared with signalling; the same for the stream's whole life.
    pub status: Arc<StreamStatus>,
}

impl StreamPlan {
    /// Plain RTP through one port, that goes nowhere yet: all else as it is where nobody says otherwise.
    pub fn plain(id: StreamId, port: LocalPort, signalled_at: Time) -> StreamPlan {
        StreamPlan {
            id,
            kind: StreamKind::Rtp,
            ports: SmallVec::from([port]),
            remote: None,
            learning: Learning::default(),
            signalled_at,
            other_source: SourcePolicy::default(),
            asymmetric: false,
            waits: false,
            pierces: false,
            recrypts: false,
            is_closed: false,
            even: PayloadTypes::default(),
            sinks: SmallVec::new(),
            rtcp_sinks: SmallVec::new(),
            check_sinks: SmallVec::new(),
            known: PayloadTypes::default(),
            payloads: Payloads::default(),
            security: MediaSecurity::Plain,
            credentials: None,
            rtp: None,
            feedback: false,
            ice: None,
            bundle: None,
            label: None,
            clocks: SmallVec::new(),
            tos: 0,
            status: Arc::default(),
        }
    }
}

/// What a stream's ports carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// RTP. RTCP is told apart on every such port (RFC 5761), announced as muxed or not.
    Rtp,
    /// RTCP on a port of its own.
    Rtcp,
    /// Datagrams of a kind unknown to us (T.38 and others): relayed as they are.
    Datagrams,
}

/// How the source of received media is learned (option `endpoint-learning`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Learning {
    /// Never: only the signalled address counts.
    Off,
    /// The first packet's source, at once.
    Immediate,
    /// The newest source during the window, settled by the first packet after it.
    Delayed,
    /// The best source during the window: the signalled address and port, else the same address, else the
    /// same port, else any.
    #[default]
    Heuristic,
}

/// What happens to packets of other sources once the source is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourcePolicy {
    /// Relayed all the same.
    #[default]
    Forward,
    /// Dropped (flag `strict-source`).
    Drop,
    /// Relayed, and the new source takes the place of the old (flag `media-handover`).
    Follow,
}
