//! Commands about the media of calls and who gets it.

use std::net::{IpAddr, SocketAddr};

use crate::sdp::Direction;

use super::{CallId, MusicSource, SignalOptions, Tag};

/// `block media`, `silence media`, `block DTMF`, `start forwarding`, and their opposites.
#[derive(Clone, Debug)]
pub struct MediaControl {
    /// `call-id`.
    pub call_id: CallId,
    /// What is switched.
    pub what: Controlled,
    /// On or off.
    pub on: bool,
    /// Whose media: without one, everybody's.
    pub source: Option<PartyChoice>,
    /// `to-tag`, `to-label`: only what goes there. Counts only with a source.
    pub sink: Option<PartyChoice>,
    /// `all`.
    pub flows: FlowChoice,
    /// `set-label`: what the source is called from now on.
    pub set_label: Option<String>,
}

/// What [`MediaControl`] switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controlled {
    /// Whether media is dropped.
    Media,
    /// Whether audio is replaced with silence.
    Silence,
    /// Whether telephone events are dropped.
    Events,
    /// Whether the recording daemon gets a copy.
    Forwarding,
}

/// How a command names a party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartyChoice {
    /// By its label.
    Label(String),
    /// By the address in its SDP. None if that cannot be read: which is an error, once the call is found.
    Address(Option<IpAddr>),
    /// By its tag.
    Tag(Tag),
}

/// How a command names the parties whose media it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceChoice {
    /// Not at all.
    #[default]
    Nobody,
    /// One party.
    One(PartyChoice),
    /// `from-tags`.
    Tags(Vec<Tag>),
    /// `all`: everybody in a dialogue.
    All,
}

/// `all`, for [`MediaControl`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlowChoice {
    /// Left out, or `none`.
    #[default]
    Unsaid,
    /// `all`: the whole call, and with it what was switched for single parties and flows.
    All,
    /// `offer-answer`: the flows that came about by offer and answer.
    OfferAnswer,
    /// `except-offer-answer`: the flows that came about otherwise.
    PubSub,
    /// `flows`: every flow that there is.
    Every,
}

/// `play media`, `stop media`, `play DTMF`.
#[derive(Clone, Debug)]
pub struct Play {
    /// `call-id`.
    pub call_id: CallId,
    /// To whom; of whom, for `play DTMF`.
    pub parties: SourceChoice,
    /// What.
    pub what: Playback,
}

/// What [`Play`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Playback {
    /// `play media`.
    Media {
        /// Where it is to come from; none if that is not said.
        source: Option<MusicSource>,
    },
    /// `stop media`.
    Stop,
    /// `play DTMF`.
    Dtmf {
        /// `code`; none if it is none of 0 to 15.
        code: Option<u8>,
    },
}

/// `publish`.
#[derive(Clone, Debug)]
pub struct Publish {
    /// `call-id`; one is made up if there is none.
    pub call_id: Option<CallId>,
    /// `from-tag`; one is made up if there is none.
    pub from_tag: Option<Tag>,
    /// `sdp`.
    pub sdp: String,
    /// Flag `bidirectional`: the publisher gets media as well.
    pub bidirectional: bool,
    /// How it is to be handled.
    pub options: SignalOptions,
}

/// `subscribe request`.
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    /// `call-id`.
    pub call_id: CallId,
    /// Whose media is wanted.
    pub sources: SourceChoice,
    /// `to-tag`; one is made up if there is none.
    pub to_tag: Option<Tag>,
    /// `set-label`, `to-label`: what the subscriber is called.
    pub label: Option<String>,
    /// What the flags say.
    pub flags: SubscriptionFlags,
    /// How the SDP is to be made.
    pub options: SignalOptions,
}

/// Flags of `subscribe request`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionFlags {
    /// `inactive`: nothing flows for now.
    pub inactive: bool,
    /// `bidirectional`: the source gets the subscriber's media as well.
    pub bidirectional: bool,
    /// `egress`: what is sent to the source, instead of what it sends.
    pub egress: bool,
    /// `mix`: one section for all sources of a kind.
    pub mix: bool,
    /// `RTCP-mirror`: the source gets the subscriber's RTCP.
    pub rtcp_mirror: bool,
    /// `SIPREC`: sections are labelled, and described in the reply.
    pub siprec: bool,
}

/// `subscribe answer`.
#[derive(Clone, Debug)]
pub struct SubscribeAnswer {
    /// `call-id`.
    pub call_id: CallId,
    /// `to-tag`: the subscriber's. Whether there is one matters only in a known call.
    pub to_tag: Option<Tag>,
    /// `sdp`, likewise.
    pub sdp: Option<String>,
    /// Flag `allow-transcoding`: codecs may be refused.
    pub may_refuse_codecs: bool,
    /// How it is to be handled.
    pub options: SignalOptions,
}

/// `unsubscribe`.
#[derive(Clone, Debug)]
pub struct Unsubscribe {
    /// `call-id`.
    pub call_id: CallId,
    /// `to-tag`: the subscriber's. Whether there is one matters only in a known call.
    pub to_tag: Option<Tag>,
    /// `from-tag` with the flag `directional`: only this source is given up.
    pub from_tag: Option<Tag>,
}

/// `connect`.
#[derive(Clone, Debug)]
pub struct Connect {
    /// `call-id`.
    pub call_id: CallId,
    /// Who is connected.
    pub sources: SourceChoice,
    /// `to-tag`: to whom. Whether there is one matters only once it is known who.
    pub to_tag: Option<Tag>,
    /// `to-call-id`: the call of the latter, if it is another one.
    pub to_call_id: Option<CallId>,
    /// In which way.
    pub mode: ConnectMode,
}

/// How parties are connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectMode {
    /// As by offer and answer, in place of whom they talked to before.
    #[default]
    Dialogue,
    /// The sources' media goes to the other party, too (`directional`).
    OneWay,
    /// And the other party's to the sources (`bidirectional`).
    BothWays,
}

/// `mesh`.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// `calls`: they become one.
    pub calls: Vec<CallId>,
    /// `tags`: who gets whose media.
    pub links: Vec<MeshLink>,
    /// Flag `bidirectional`: the other way, too.
    pub bidirectional: bool,
    /// Flag `unsubscribe`: whoever is named as a receiver gets nothing but what is named here.
    pub replace: bool,
}

/// An entry of `tags`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshLink {
    /// `from`: the source.
    pub from: Tag,
    /// `to`: the receivers.
    pub to: Vec<Tag>,
}

/// `inject start`, `inject stop`.
#[derive(Clone, Debug)]
pub struct Inject {
    /// `call-id`.
    pub call_id: CallId,
    /// `to-tag`: who gets the media.
    pub to_tag: Tag,
    /// `source-tag`: whose media it is.
    pub source_tag: Tag,
    /// `source-call-id`: the call of the latter, if it is another one.
    pub source_call_id: Option<CallId>,
    /// Start or stop.
    pub on: bool,
}

/// `create`: an offer of the relay's own.
#[derive(Clone, Debug)]
pub struct Create {
    /// `call-id`; one is made up if there is none.
    pub call_id: Option<CallId>,
    /// `from-tag`; one is made up if there is none.
    pub from_tag: Option<Tag>,
    /// The sections, as they stand in an SDP: `m=` lines with port 9, and attributes.
    pub media: Vec<CreateMedia>,
    /// How the SDP is to be made.
    pub options: SignalOptions,
}

/// An entry of `medias`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateMedia {
    /// The kind: `audio`.
    pub kind: String,
    /// The codecs, `NAME/CLOCK/CHANNELS`. Empty for those of the option `codec`, or what is usual.
    pub codecs: Vec<String>,
}

/// `create answer`.
#[derive(Clone, Debug)]
pub struct CreateAnswer {
    /// `call-id`.
    pub call_id: CallId,
    /// `from-tag`: of whoever was offered to.
    pub from_tag: Tag,
    /// `sdp`.
    pub sdp: String,
    /// How it is to be handled.
    pub options: SignalOptions,
}

/// `transform`: ports whose packets go on to an address.
#[derive(Clone, Debug)]
pub struct Transform {
    /// `call-id`; one is made up if there is none.
    pub call_id: Option<CallId>,
    /// `from-tag`; one is made up if there is none.
    pub from_tag: Option<Tag>,
    /// `interface`, `peer`.
    pub interfaces: super::InterfaceChoice,
    /// `media`.
    pub media: Vec<TransformMedia>,
}

/// An entry of `media`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransformMedia {
    /// `id`: what the client calls it.
    pub id: String,
    /// `type`: `audio`. None if nothing is said of it.
    pub kind: Option<String>,
    /// `destination`: where packets go. None if nothing is said of it.
    pub destination: Option<SocketAddr>,
}

/// A section of a subscription, as the reply to `subscribe request` describes it for SIPREC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribedMedia {
    /// Tag of the source.
    pub tag: Tag,
    /// What the source is called.
    pub party_label: Option<String>,
    /// Which of the source's sections it is, from 0.
    pub index: usize,
    /// Its kind: `audio`.
    pub kind: String,
    /// `a=label` in the SDP for the subscriber.
    pub label: Option<String>,
    /// What the source does.
    pub direction: Direction,
}

/// A port that was opened by `transform`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transformed {
    /// What the client calls it.
    pub id: String,
    /// Where packets are to be sent.
    pub address: SocketAddr,
}

/// `media-echo`: who hears himself. Seen from the sender of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaEcho {
    /// `blackhole`: nobody hears anything.
    Blackhole,
    /// `forward`: the receiver does, the sender hears nothing.
    Forward,
    /// `backwards`: the sender does, the receiver hears nothing.
    Backwards,
    /// `both`.
    Both,
}

/// Why a command about media was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// No such call (`block media` and its like).
    #[error("Unknown call-ID")]
    UnknownCall,
    /// No such call (`subscribe request`, `connect`, `inject start`).
    #[error("Unknown call-ID(s)")]
    UnknownCalls,
    /// No such call (`mesh`).
    #[error("Unknown call ID(s)")]
    UnknownMeshCalls,
    /// No such call (`create answer`).
    #[error("unknown call-ID")]
    UnknownCreatedCall,
    /// No party has the label.
    #[error("No monologue matching the given label")]
    NoLabel,
    /// `address` is none.
    #[error("Failed to parse network address")]
    BadAddress,
    /// No party is at the address.
    #[error("Failed to match address to any tag")]
    NoAddress,
    /// No party has the `from-tag`.
    #[error("From-tag given, but no such tag exists")]
    NoFromTag,
    /// No party has the `to-tag`.
    #[error("To-tag not found")]
    NoToTag,
    /// It is not said where packets go (`transform`).
    #[error("Failed to set up transform")]
    NoTransform,
    /// There is no section, or a section of a publisher has no codec that could be taken.
    #[error("Failed to create SDP")]
    NoSections,
    /// Whoever is to be called has answered with more sections than it was offered.
    #[error("failed to create SDP")]
    OverAnswered,
    /// A message to a known call lacks its `to-tag`.
    #[error("No to-tag in message")]
    ToTagMissing,
    /// A message to a known call lacks its `sdp`.
    #[error("No SDP body in message")]
    SdpMissing,
    /// No party has the `from-tag` (`unsubscribe`).
    #[error("From-tag not found")]
    NoUnsubscribedTag,
    /// No party has the tag of a `from` (`mesh`).
    #[error("Given from-tag not found")]
    NoMeshFrom,
    /// No party has a tag of a `to` (`mesh`).
    #[error("Given to-tag not found")]
    NoMeshTo,
    /// A link has no `from` (`mesh`).
    #[error("Empty/missing from-tag")]
    MeshFromMissing,
    /// A party would get its own media (`inject start`).
    #[error("Trying to inject to self")]
    InjectionToSelf,
    /// The party gets that media already (`inject start`).
    #[error("Failed to start inject")]
    NothingToInject,
    /// The party does not get that media (`inject stop`).
    #[error("Failed to stop inject")]
    NothingInjected,
    /// No party has the `source-tag`.
    #[error("Source-tag not found")]
    NoSourceTag,
    /// No party has the `from-tag` (`create answer`).
    #[error("from-tag not found")]
    NoCreatedTag,
    /// No party is named where one has to be.
    #[error("No participant party specified")]
    Nobody,
    /// No party has the `to-tag` of a flow.
    #[error("Media flow not found (to-tag not found)")]
    NoFlowToTag,
    /// No party has the `to-label` of a flow.
    #[error("Media flow not found (to-label not found)")]
    NoFlowToLabel,
    /// No media goes from the one party to the other.
    #[error("Media flow not found (to-tag not subscribed)")]
    NotSubscribed,
    /// No flow is of the wanted kind.
    #[error("No eligible media subscriptions found")]
    NoFlows,
    /// There is nothing to subscribe to.
    #[error("No medias found (no monologues matched)")]
    NoSources,
    /// The SDP of a subscriber does not fit what it was offered.
    #[error("Failed to process subscription answer")]
    SubscriptionRefused,
    /// `play media` without a file.
    #[error("No media file specified")]
    NoFile,
    /// `stop media` before anything was to be played.
    #[error("Not currently playing media")]
    NotPlaying,
    /// `play DTMF` without a telephone event.
    #[error("Out of range 'code' specified")]
    BadCode,
    /// `play DTMF` before any media came from the party.
    #[error("No SSRC context present for DTMF injection")]
    NoSsrc,
    /// A party that asked for music holds, but there is none; or `play media`: there is no player yet.
    #[error("Failed to start media playback from {0}")]
    NoMusic(MusicSource),
    /// Telephone events cannot be made yet.
    #[error("Command not supported yet: play DTMF")]
    NoEvents,
    /// A tag is in use in both calls.
    #[error("Failed to merge two calls into one (tag collision)")]
    TagCollision,
}
