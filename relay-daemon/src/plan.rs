//! The vocabulary between signalling and media: what [`crate::call::Calls`] wants
//! ([`Plan`]), and the counters through which the media answers ([`StreamStatus`]).

mod bundle;
mod extensions;
mod progress;
mod quality;
mod reports;
mod sinks;
mod ssrcs;
mod transport;

pub use bundle::{BundlePlan, Label, Marks};
pub use extensions::{ExtensionFilter, Identifiers};
pub use progress::Progress;
pub use quality::{MosModel, Quality, Sample};
pub use reports::ReportPlan;
pub use sinks::{
    Coding, Conversion, EventConversion, PayloadTypes, Payloads, Renumbering, SinkPlan, Transcoding,
    Treatment,
};
pub use ssrcs::{Position, SsrcLog, SsrcUse};
pub use transport::{Host, IcePlan, IceState, SelectedPair};

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use relay_common::slot::{Clock, OtherSource};
use smallvec::SmallVec;

use crate::clock::Time;
use crate::dtls::{Credentials, DtlsState};
use crate::security::MediaSecurity;
use crate::srtp;

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

/// What is known of the source of a stream's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Address and port that packets came from.
    pub source: SocketAddr,
    /// Whether the learning window is over and the source final.
    pub settled: bool,
}

/// Why a flow is relayed in userspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum UserspaceReason {
    /// Nothing arrived yet.
    #[default]
    NoPacketYet = 0,
    /// The daemon runs without the kernel datapath.
    NoKernel = 1,
    /// RTCP, or datagrams of unknown kind.
    NotRtp = 2,
    /// The receiver's address is not known yet.
    NoReceiver = 3,
    /// Nobody may receive the media.
    NotForwarded = 4,
    /// More than one receiver.
    SeveralReceivers = 5,
    /// The source is not known well enough yet.
    Learning = 6,
    /// Switched off by hand.
    SwitchedOff = 7,
    /// The next hop is being looked up.
    ResolvingRoute = 8,
    /// No route to the receiver.
    NoRoute = 9,
    /// The next hop did not answer.
    NoNeighbour = 10,
    /// The receiver is reached through a device that XDP cannot redirect to.
    DeviceUnsuitable = 11,
    /// The receiver's address is one of this host.
    LocalReceiver = 12,
    /// The program is not attached to the interface of the local address.
    NotAttached = 13,
    /// Packets are changed on their way.
    Changed = 14,
    /// Packets of several media sections arrive at the port.
    Bundled = 15,
    /// The two sides are encrypted differently.
    Encryption = 16,
    /// The configuration keeps XDP from a device that the packets come or go by.
    DeviceNotAllowed = 17,
    /// Packets are dropped by what they carry.
    Filtered = 18,
    /// Media is decoded, and encoded anew.
    Transcoded = 19,
}

/// Where a stream's received media is relayed at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// By the XDP program.
    Kernel,
    /// By the worker, because.
    Userspace(UserspaceReason),
}

/// Counters and learned state of one stream. Written by the call's worker alone, read by anyone.
/// The kernel's share of the packets is not in here: it is read from the slots of the stream's ports.
#[derive(Debug, Default)]
pub struct StreamStatus {
    /// Packets received in userspace.
    pub packets_in: AtomicU64,
    /// UDP payload bytes received in userspace.
    pub bytes_in: AtomicU64,
    /// Received datagrams that could not be relayed: not RTP, foreign source, send failure.
    pub errors_in: AtomicU64,
    /// Packets sent to the party by userspace.
    pub packets_out: AtomicU64,
    /// UDP payload bytes sent to the party by userspace.
    pub bytes_out: AtomicU64,
    /// Packets that could not be sent to the party.
    pub errors_out: AtomicU64,
    /// Arrival of the newest packet seen by userspace, as [`Time`]; 0 for none.
    pub last_packet: AtomicU64,
    /// SSRC of the newest RTP packet seen by userspace, plus one in the upper half once there is one.
    ssrc: AtomicU64,
    /// Of RTP: SSRCs of the media section's RTP and RTCP that came from the party.
    pub heard: SsrcLog,
    /// The same of what went to it.
    pub sent: SsrcLog,
    /// The payload type that came most often, plus one; 0 for none.
    usual_payload_type: AtomicU8,
    /// Packets dropped as SRTP could not be read or made of them, by [`srtp::Error`].
    srtp_errors: [AtomicU64; srtp::Error::ALL.len()],
    /// [`Path`], encoded.
    path: AtomicU8,
    /// [`IceState`] and [`DtlsState`], plus one; 0 for none.
    ice: AtomicU8,
    dtls: AtomicU8,
    // Locked by the worker only when the source changes, never per packet.
    learned: Mutex<Option<Learned>>,
    // At most once a second and receiver.
    qualities: Mutex<Vec<Quality>>,
    // The same when ICE has come to something.
    selected: Mutex<Option<SelectedPair>>,
}

const PATH_KERNEL: u8 = u8::MAX;

impl StreamStatus {
    /// The learned source, if any.
    pub fn learned(&self) -> Option<Learned> {
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the learned source.
    pub fn publish_learned(&self, learned: Option<Learned>) {
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner) = learned;
    }

    /// What receivers of the party reported, one entry for each SSRC.
    pub fn qualities(&self) -> Vec<Quality> {
        self.qualities
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A receiver has reported.
    pub fn add_sample(&self, ssrc: u32, sample: Sample) {
        let mut qualities = self.qualities.lock().unwrap_or_else(PoisonError::into_inner);
        quality::add_sample(&mut qualities, ssrc, sample);
    }

    /// SSRC of the newest RTP packet seen by userspace.
    pub fn ssrc(&self) -> Option<u32> {
        let stored = self.ssrc.load(Ordering::Relaxed);
        u32::try_from(stored & 0xffff_ffff)
            .ok()
            .filter(|_| stored >> 32 != 0)
    }

    /// Publishes the SSRC of the newest RTP packet.
    pub fn publish_ssrc(&self, ssrc: u32) {
        self.ssrc.store(u64::from(ssrc) | 1 << 32, Ordering::Relaxed);
    }

    /// Whether anything was received that was let in.
    pub fn has_heard(&self) -> bool {
        self.last_packet.load(Ordering::Relaxed) != 0
    }

    /// Whether userspace received anything.
    pub fn has_packets(&self) -> bool {
        self.packets_in.load(Ordering::Relaxed) != 0
    }

    /// Counts a received datagram of so many bytes.
    pub fn count_in(&self, bytes: usize) {
        add(&self.packets_in, 1);
        add(&self.bytes_in, bytes as u64);
    }

    /// Counts a received datagram as not relayed.
    pub fn count_error_in(&self) {
        add(&self.errors_in, 1);
    }

    /// Counts a packet as dropped for want of what SRTP demands.
    pub fn count_srtp_error(&self, error: srtp::Error) {
        add(&self.srtp_errors[error as usize], 1);
    }

    /// Packets dropped for one reason.
    pub fn srtp_errors(&self, error: srtp::Error) -> u64 {
        self.srtp_errors[error as usize].load(Ordering::Relaxed)
    }

    /// How many packets SRTP refused, by reason: those that there are.
    pub fn refused_by_srtp(&self) -> Vec<(srtp::Error, u64)> {
        let counts = srtp::Error::ALL.map(|error| (error, self.srtp_errors(error)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Counts a sent datagram of so many bytes.
    pub fn count_out(&self, bytes: usize) {
        add(&self.packets_out, 1);
        add(&self.bytes_out, bytes as u64);
    }

    /// Counts a datagram that could not be sent.
    pub fn count_error_out(&self) {
        add(&self.errors_out, 1);
    }

    /// A packet of an acceptable source arrived.
    pub fn note_arrival(&self, now: Time) {
        self.last_packet.store(now.0, Ordering::Relaxed);
    }

    /// The payload type that came most often to userspace, of those that are known.
    pub fn usual_payload_type(&self) -> Option<u8> {
        self.usual_payload_type.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Publishes the payload type that came most often.
    pub fn publish_usual_payload_type(&self, payload_type: u8) {
        self.usual_payload_type.store(payload_type + 1, Ordering::Relaxed);
    }

    /// How far ICE with the party is; none without ICE.
    pub fn ice(&self) -> Option<IceState> {
        let code = self.ice.load(Ordering::Relaxed).checked_sub(1)?;
        IceState::ALL.get(usize::from(code)).copied()
    }

    /// What ICE has decided on; none before it is completed.
    pub fn selected(&self) -> Option<SelectedPair> {
        let selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        selected.clone()
    }

    /// Publishes what ICE has decided on.
    pub fn publish_selected(&self, selected: Option<SelectedPair>) {
        *self.selected.lock().unwrap_or_else(PoisonError::into_inner) = selected;
    }

    /// Publishes how far ICE with the party is.
    pub fn publish_ice(&self, state: Option<IceState>) {
        let code = state.map_or(0, |state| state as u8 + 1);
        self.ice.store(code, Ordering::Relaxed);
    }

    /// How far DTLS with the party is; none without DTLS.
    pub fn dtls(&self) -> Option<DtlsState> {
        let code = self.dtls.load(Ordering::Relaxed).checked_sub(1)?;
        DtlsState::ALL.get(usize::from(code)).copied()
    }

    /// Publishes how far DTLS with the party is.
    pub fn publish_dtls(&self, state: Option<DtlsState>) {
        let code = state.map_or(0, |state| state as u8 + 1);
        self.dtls.store(code, Ordering::Relaxed);
    }

    /// Where the stream's received media is relayed.
    pub fn path(&self) -> Path {
        match self.path.load(Ordering::Relaxed) {
            PATH_KERNEL => Path::Kernel,
            code => Path::Userspace(UserspaceReason::from_code(code)),
        }
    }

    /// Publishes where the stream's received media is relayed.
    pub fn publish_path(&self, path: Path) {
        let code = match path {
            Path::Kernel => PATH_KERNEL,
            Path::Userspace(reason) => reason as u8,
        };
        self.path.store(code, Ordering::Relaxed);
    }
}

/// Adds to a counter that only one thread writes: cheaper than an atomic addition.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(amount),
        Ordering::Relaxed,
    );
}

impl UserspaceReason {
    const ALL: [(UserspaceReason, &str); 20] = [
        (UserspaceReason::NoPacketYet, "no packet yet"),
        (UserspaceReason::NoKernel, "no kernel datapath"),
        (UserspaceReason::NotRtp, "not RTP"),
        (UserspaceReason::NoReceiver, "receiver not known yet"),
        (UserspaceReason::NotForwarded, "nobody may receive"),
        (UserspaceReason::SeveralReceivers, "several receivers"),
        (UserspaceReason::Learning, "source not settled"),
        (UserspaceReason::SwitchedOff, "switched off by hand"),
        (UserspaceReason::ResolvingRoute, "resolving the next hop"),
        (UserspaceReason::NoRoute, "no route"),
        (UserspaceReason::NoNeighbour, "next hop does not answer"),
        (
            UserspaceReason::DeviceUnsuitable,
            "device cannot be redirected to",
        ),
        (UserspaceReason::LocalReceiver, "receiver is this host"),
        (
            UserspaceReason::NotAttached,
            "program not attached to the interface",
        ),
        (UserspaceReason::Changed, "packets are changed"),
        (UserspaceReason::Bundled, "several media sections on one port"),
        (UserspaceReason::Encryption, "encrypted differently on both sides"),
        (
            UserspaceReason::DeviceNotAllowed,
            "device kept from XDP by configuration",
        ),
        (
            UserspaceReason::Filtered,
            "packets are dropped by what they carry",
        ),
        (UserspaceReason::Transcoded, "transcoded"),
    ];

    /// Number of reasons.
    pub const COUNT: usize = Self::ALL.len();

    /// All reasons.
    pub fn all() -> impl Iterator<Item = UserspaceReason> {
        Self::ALL.into_iter().map(|(reason, _)| reason)
    }

    fn from_code(code: u8) -> UserspaceReason {
        Self::ALL
            .get(usize::from(code))
            .map_or(UserspaceReason::NoPacketYet, |(reason, _)| *reason)
    }

    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// How the XDP program is to relay what arrives at one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffloadRule {
    /// The port.
    pub port: PortId,
    /// Its local address, the destination of received packets.
    pub local: SocketAddr,
    /// The source that packets are expected from.
    pub source: SocketAddr,
    /// What happens to other sources. While learning goes on: [`OtherSource::Pass`].
    pub other_source: OtherSource,
    /// Source of the relayed packets: the local port that the receiver was told.
    pub new_source: SocketAddr,
    /// Where the relayed packets go.
    pub new_destination: SocketAddr,
    /// Their TOS or traffic class.
    pub tos: u8,
    /// Payload types that must reach userspace, bit `pt % 64` of word `pt / 64`.
    pub userspace_payload_types: [u64; 2],
    /// Whether all other packets are dropped instead of relayed.
    pub blocked: bool,
    /// The clock of the media that was seen last, for its jitter.
    pub clock: Clock,
}
