//! One snapshot type for everything that looks at calls: the query reply, the CLI, metrics.

mod client;
mod quality;
mod query;
mod reception;
mod statistics;

use std::net::{IpAddr, SocketAddr};
use std::ops::Add;
use std::time::Duration;

use relay_common::slot::PassReason;

pub use crate::config::SsrcReporting;
use crate::dtls::DtlsState;
use crate::plan::{IceState, KernelUse, Learned, Path, StreamKind};
use crate::sdp::Direction;
use crate::security::Suite;
use crate::srtp;

pub use client::{call_details, call_summary};
pub use quality::QualitySnapshot;
pub use query::query_reply;
pub use reception::{Reception, Samples, SsrcSnapshot};
pub use statistics::*;

/// A call at one moment. Times of day are counted from the Unix epoch.
#[derive(Clone, Debug, Default)]
pub struct CallSnapshot {
    /// Its call-id.
    pub call_id: String,
    /// Other call-ids that name it too.
    pub other_ids: Vec<String>,
    /// When it began.
    pub created: Duration,
    /// The control peer that began it.
    pub created_by: Option<SocketAddr>,
    /// TOS or traffic class of what it sends.
    pub tos: u8,
    /// How long ago it began.
    pub age: Duration,
    /// When the newest offer or answer came; zero if none did.
    pub last_signal: Duration,
    /// What is switched for the whole call: `media blocked`.
    pub controls: Vec<&'static str>,
    /// What the proxy stored with it.
    pub metadata: Option<String>,
    /// Whether another relay looks after it.
    pub is_foreign: bool,
    /// Whether its flows may enter the kernel.
    pub kernel: KernelUse,
    /// Whether the media has yet to follow the newest message.
    pub pending: bool,
    /// How long it lives unless a message comes before, if it is to be deleted.
    pub deleted_in: Option<Duration>,
    /// Why it ended, if it did.
    pub ended: Option<Termination>,
    /// Where the reply to a query has the statistics of SSRCs.
    pub ssrc_reporting: SsrcReporting,
    /// Its parties, or those that were asked for.
    pub parties: Vec<PartySnapshot>,
    /// What was received from all parties: RTP (and datagrams of unknown kind).
    pub rtp: Counts,
    /// What was received from all parties: RTCP.
    pub rtcp: Counts,
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// It was deleted.
    Regular,
    /// `timeout`: media was expected, and none came.
    Timeout,
    /// `silent-timeout`: nobody was to send.
    SilentTimeout,
    /// `offer-timeout`: nobody answered.
    OfferTimeout,
    /// `final-timeout`.
    FinalTimeout,
    /// The daemon ends.
    Forced,
}

/// A party.
#[derive(Clone, Debug, Default)]
pub struct PartySnapshot {
    /// Unique in the call: its tag, or a name that says that it has none.
    pub name: String,
    /// Its tag, if it has one.
    pub tag: Option<String>,
    /// Tags that it had before.
    pub aliases: Vec<String>,
    /// Branch of the request that went to it.
    pub branch: Option<String>,
    /// What the proxy calls it.
    pub label: Option<String>,
    /// What the proxy stored with it.
    pub metadata: Option<String>,
    /// When it appeared.
    pub created: Duration,
    /// Whose media it gets.
    pub subscriptions: Vec<Association>,
    /// Who gets its media.
    pub subscribers: Vec<Association>,
    /// What is switched for its media: `media blocked`.
    pub controls: Vec<&'static str>,
    /// Its media sections, in order.
    pub media: Vec<MediaSnapshot>,
}

/// The other end of a flow of media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Association {
    /// The tag of the party; empty for one without.
    pub tag: String,
    /// How the flow came about.
    pub kind: AssociationKind,
}

/// How a flow of media came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssociationKind {
    /// By offer and answer.
    OfferAnswer,
    /// By a subscription.
    PubSub,
}

impl AssociationKind {
    /// As the query reply spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            AssociationKind::OfferAnswer => "offer/answer",
            AssociationKind::PubSub => "pub/sub",
        }
    }
}

/// A media section of a party.
#[derive(Clone, Debug)]
pub struct MediaSnapshot {
    /// Kind of the media: `audio`.
    pub kind: String,
    /// Transport: `RTP/AVP`. None if it is not known what it is.
    pub protocol: Option<String>,
    /// What both sides can do, or what was offered while nobody has answered: `PCMA/8000`. The most wanted first.
    pub codecs: Vec<String>,
    /// The codec of the newest packet from the party, if that is known.
    pub codec: Option<String>,
    /// What the party does.
    pub direction: Direction,
    /// Whose media it gets: names of parties, and which of their sections, from 0.
    pub sources: Vec<(String, usize)>,
    /// What else is known.
    pub flags: Vec<MediaFlag>,
    /// The crypto suite, once it is agreed on.
    pub suite: Option<Suite>,
    /// What the party has reported, under each of its SSRCs.
    pub qualities: Vec<QualitySnapshot>,
    /// RTP and RTCP.
    pub streams: [StreamSnapshot; 2],
    /// Whether it was only named, so that there is nothing to these.
    pub is_bare: bool,
}

/// A fact about a media section. The order is that of the query reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MediaFlag {
    /// The party has spoken.
    Initialized,
    /// Media for the party goes to the signalled address, wherever it sends from.
    Asymmetric,
    /// Media may be sent to the party.
    Send,
    /// Media may come from the party.
    Receive,
    /// RTCP for the party goes to its RTP port.
    RtcpMux,
    /// SRTP with keys from DTLS.
    DtlsSrtp,
    /// We open the DTLS association.
    DtlsActive,
    /// The party opens it.
    DtlsPassive,
    /// SRTP with keys from the SDP.
    Sdes,
    /// The media passes from end to end, past us.
    Passthrough,
    /// The party does ICE, or is asked to.
    Ice,
    /// Candidates of the party may come later.
    TrickleIce,
    /// In ICE the relay decides, or would: usually where the party was offered to.
    IceControlling,
    /// The party has a lite agent.
    IceLitePeer,
    /// We have a lite agent.
    IceLiteSelf,
    /// Media may flow one way only, also through the kernel.
    Unidirectional,
    /// A party is told another packet time.
    PtimeOverride,
    /// The party takes RTCP feedback messages.
    RtcpFeedback,
    /// The party gets RTCP of ours.
    RtcpGenerator,
    /// The party hears itself.
    Echo,
    /// The party's media goes nowhere.
    Blackhole,
    /// What the party is sent is to be decoded.
    Transcoding,
}

/// One transport of a media section.
#[derive(Clone, Debug)]
pub struct StreamSnapshot {
    /// What it carries.
    pub kind: StreamKind,
    /// Our end.
    pub local: Local,
    /// What the SDP says instead of the local address.
    pub advertised: Option<IpAddr>,
    /// Where the party receives, as it says.
    pub signalled: Option<SocketAddr>,
    /// Where it is sent to as long as nothing is learned.
    pub target: Option<SocketAddr>,
    /// Where its packets come from.
    pub learned: Option<Learned>,
    /// Where they are relayed.
    pub path: Path,
    /// How far ICE with the party is; none without ICE.
    pub ice: Option<IceState>,
    /// How far DTLS with the party is; none without DTLS.
    pub dtls: Option<DtlsState>,
    /// What came from the party.
    pub received: Received,
    /// What went to the party.
    pub sent: Counts,
    /// When the newest packet came, or the newest message about the stream.
    pub last_activity: Duration,
    /// When the newest packet came to userspace.
    pub last_user_packet: Option<Duration>,
    /// When the newest packet came to the kernel.
    pub last_kernel_packet: Option<Duration>,
    /// How long ago the newest packet came.
    pub silent: Option<Duration>,
    /// SSRCs that were seen, in RTP or in RTCP, the newest first.
    pub ssrcs: Vec<SsrcSnapshot>,
    /// Of RTP: SSRCs that were sent to the party, the newest first. None where the kernel sends: it does not tell them apart.
    pub sent_ssrcs: Option<Vec<SsrcSnapshot>>,
    /// What the kernel passed to userspace while it was to relay.
    pub passed: Passed,
    /// Packets that SRTP refused, coming or going, by reason: those that there are.
    pub refused: Vec<(srtp::Error, u64)>,
    /// What else is known.
    pub flags: Vec<StreamFlag>,
}

/// Our end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// There is none: the section was rejected, the party deleted, RTCP muxed.
    Closed,
    /// RTCP is muxed, and never had a port of its own.
    WithoutPort(IpAddr),
    /// Address and port.
    Open(SocketAddr),
}

/// What came from a party.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Through the kernel.
    pub kernel: Counts,
    /// Through userspace.
    pub userspace: Counts,
}

/// Packets of a stream that the kernel did not relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Those that went to userspace while it relayed the others.
    pub packets: u64,
    /// Why the newest of these did.
    pub last: Option<PassReason>,
    /// Those that it dropped: too many from elsewhere than expected.
    pub limited: u64,
}

impl Add for Passed {
    type Output = Passed;

    fn add(self, other: Passed) -> Passed {
        Passed {
            packets: self.packets.saturating_add(other.packets),
            last: self.last.or(other.last),
            limited: self.limited.saturating_add(other.limited),
        }
    }
}

/// Packets and UDP payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets.
    pub packets: u64,
    /// UDP payload bytes.
    pub bytes: u64,
    /// Packets that could not be relayed.
    pub errors: u64,
}

/// A fact about a stream. The order is that of the query reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamFlag {
    /// It carries RTP.
    Rtp,
    /// It carries RTCP.
    Rtcp,
    /// RTCP is muxed into the other stream.
    FallbackRtcp,
    /// The party's address is known.
    Filled,
    /// The source is settled.
    Confirmed,
    /// Handed to the kernel.
    Kernelized,
    /// The kernel cannot have it.
    NoKernelSupport,
    /// The party's certificate is the one that its SDP names.
    DtlsVerified,
    /// Other sources are dropped.
    StrictSource,
    /// Other sources take over.
    MediaHandover,
}

impl Received {
    /// Kernel and userspace together.
    pub fn total(&self) -> Counts {
        self.kernel + self.userspace
    }

    /// What was added to an earlier count.
    pub fn since(self, earlier: Received) -> Received {
        Received {
            kernel: self.kernel.since(earlier.kernel),
            userspace: self.userspace.since(earlier.userspace),
        }
    }

    /// What that is in a second, if it took so long.
    pub fn per_second(self, period: Duration) -> Received {
        Received {
            kernel: self.kernel.per_second(period),
            userspace: self.userspace.per_second(period),
        }
    }
}

impl std::ops::Add for Received {
    type Output = Received;

    fn add(self, rhs: Received) -> Received {
        Received {
            kernel: self.kernel + rhs.kernel,
            userspace: self.userspace + rhs.userspace,
        }
    }
}

impl Counts {
    /// What was added to an earlier count.
    pub fn since(self, earlier: Counts) -> Counts {
        Counts {
            packets: self.packets.saturating_sub(earlier.packets),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            errors: self.errors.saturating_sub(earlier.errors),
        }
    }

    /// What that is in a second, if it took so long; nothing if it took no time.
    pub fn per_second(self, period: Duration) -> Counts {
        let rate = |count: u64| {
            let rate = u128::from(count) * 1_000_000_000 / period.as_nanos().max(1);
            if period.is_zero() {
                return 0;
            }
            u64::try_from(rate).unwrap_or(u64::MAX)
        };
        Counts {
            packets: rate(self.packets),
            bytes: rate(self.bytes),
            errors: rate(self.errors),
        }
    }
}

impl std::ops::Add for Counts {
    type Output = Counts;

    fn add(self, rhs: Counts) -> Counts {
        Counts {
            packets: self.packets.saturating_add(rhs.packets),
            bytes: self.bytes.saturating_add(rhs.bytes),
            errors: self.errors.saturating_add(rhs.errors),
        }
    }
}

impl Termination {
    /// The reason in a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Termination::Regular => "REGULAR",
            Termination::Timeout => "TIMEOUT",
            Termination::SilentTimeout => "SILENT_TIMEOUT",
            Termination::OfferTimeout => "OFFER_TIMEOUT",
            Termination::FinalTimeout => "FINAL_TIMEOUT",
            Termination::Forced => "FORCED",
        }
    }
}

impl MediaFlag {
    /// The flag as the query reply spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            MediaFlag::Initialized => "initialized",
            MediaFlag::Asymmetric => "asymmetric",
            MediaFlag::Send => "send",
            MediaFlag::Receive => "recv",
            MediaFlag::RtcpMux => "rtcp-mux",
            MediaFlag::DtlsSrtp => "DTLS-SRTP",
            MediaFlag::DtlsActive => "DTLS role active",
            MediaFlag::DtlsPassive => "DTLS role passive",
            MediaFlag::Sdes => "SDES",
            MediaFlag::Passthrough => "passthrough",
            MediaFlag::Ice => "ICE",
            MediaFlag::TrickleIce => "trickle ICE",
            MediaFlag::IceControlling => "ICE controlling",
            MediaFlag::IceLitePeer => "ICE-lite peer",
            MediaFlag::IceLiteSelf => "ICE-lite self",
            MediaFlag::Unidirectional => "unidirectional",
            MediaFlag::PtimeOverride => "ptime-override",
            MediaFlag::RtcpFeedback => "RTCP feedback",
            MediaFlag::RtcpGenerator => "RTCP generator",
            MediaFlag::Echo => "echo",
            MediaFlag::Blackhole => "blackhole",
            MediaFlag::Transcoding => "transcoding",
        }
    }
}

impl StreamFlag {
    /// The flag as the query reply spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            StreamFlag::Rtp => "RTP",
            StreamFlag::Rtcp => "RTCP",
            StreamFlag::FallbackRtcp => "fallback RTCP",
            StreamFlag::Filled => "filled",
            StreamFlag::Confirmed => "confirmed",
            StreamFlag::Kernelized => "kernelized",
            StreamFlag::NoKernelSupport => "no kernel support",
            StreamFlag::DtlsVerified => "DTLS fingerprint verified",
            StreamFlag::StrictSource => "strict source address",
            StreamFlag::MediaHandover => "media handover",
        }
    }
}
