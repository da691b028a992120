//! Commands as the signalling engine takes them: parsed once at the edge ([`crate::control`]), typed here.

mod bundle;
mod codecs;
mod crypto;
mod fax;
mod ice;
mod limit;
mod media;
mod music;

pub use bundle::{BundleOffer, BundleOptions};
pub use codecs::{CodecChoice, CodecOptions, CodecOrder, CodecSpec, NothingLeft};
pub use crypto::{DtlsOptions, OsrtpOptions, ParameterChanges, SdesOptions};
pub use fax::FaxOptions;
pub use ice::{IceLite, IceMode, IceOptions};
pub use limit::Limit;
pub use media::*;
pub use music::{Music, MusicSource};

use std::borrow::Borrow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::{KernelUse, Learning, SourcePolicy};
use crate::report::CallSnapshot;
use crate::sdp::{AddressFamily, AttributeEdits};

/// A call-id as the proxy sent it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub Arc<str>);

/// The tag of a party as the proxy sent it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub Arc<str>);

/// A Via branch, distinguishing the legs of a forked call.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Branch(pub Arc<str>);

macro_rules! text_newtype {
    ($($name:ident),*) => {$(
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(Arc::from(text))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    )*};
}
text_newtype!(CallId, Tag, Branch);

impl Borrow<str> for CallId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What signalling is asked to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// `offer`.
    Offer(Box<Signal>),
    /// `answer`.
    Answer(Box<Signal>),
    /// Candidates of one party.
    Fragment(Fragment),
    /// `delete`.
    Delete(Delete),
    /// `query`.
    Query(Query),
    /// `block media` and its like.
    Control(MediaControl),
    /// `play media`, `stop media`, `play DTMF`.
    Play(Play),
    /// `publish`.
    Publish(Box<Publish>),
    /// `subscribe request`.
    SubscribeRequest(Box<SubscribeRequest>),
    /// `subscribe answer`.
    SubscribeAnswer(Box<SubscribeAnswer>),
    /// `unsubscribe`.
    Unsubscribe(Unsubscribe),
    /// `connect`.
    Connect(Connect),
    /// `mesh`.
    Mesh(Mesh),
    /// `inject start`, `inject stop`.
    Inject(Inject),
    /// `create`.
    Create(Box<Create>),
    /// `create answer`.
    CreateAnswer(Box<CreateAnswer>),
    /// `transform`.
    Transform(Transform),
    /// `list`: at most so many call-ids.
    List {
        /// Highest number of call-ids in the reply.
        limit: usize,
    },
    /// `relay calls`, ours: snapshots of the calls, in the order of their creation.
    Calls {
        /// How many of the oldest calls to leave out.
        offset: usize,
        /// Highest number of calls in the reply.
        limit: usize,
    },
    /// `relay show`, ours: the snapshot of one call.
    Show(CallId),
    /// `relay kernel`, ours: moves one call in and out of the kernel by hand.
    Kernel(CallId, KernelUse),
}

/// Candidates that trickle in: an `offer` with the flag `fragment`.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// `call-id`.
    pub call_id: CallId,
    /// `from-tag`: the tag of whoever has the candidates.
    pub from_tag: Tag,
    /// `sdp`: it may start with attributes.
    pub sdp: String,
}

/// What an `offer` or `answer` says.
#[derive(Clone, Debug)]
pub struct Signal {
    /// `call-id`.
    pub call_id: CallId,
    /// `from-tag`: the tag of whoever made the offer.
    pub from_tag: Tag,
    /// `to-tag`: the tag of the other party; always there in an answer.
    pub to_tag: Option<Tag>,
    /// `via-branch`.
    pub via_branch: Option<Branch>,
    /// `sdp`, as it came.
    pub sdp: String,
    /// How it is to be handled.
    pub options: SignalOptions,
}

/// The options of an `offer` or `answer`. Everything at its default is what a message without
/// options asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignalOptions {
    /// `direction`, `from-interface` and `to-interface`.
    pub interfaces: InterfaceChoice,
    /// `address-family`: of the addresses in the SDP that goes out.
    pub address_family: Option<AddressFamily>,
    /// `media-address`: put into the SDP in place of the interface's address.
    pub media_address: Option<IpAddr>,
    /// `SIP-source-address` with `received-from`, or `trust-address`.
    pub address_trust: AddressTrust,
    /// `received-from`: where the SIP message came from. Counts where the configuration, or the message, takes
    /// media addresses from there.
    pub received_from: Option<IpAddr>,
    /// `replace`.
    pub replace: Replace,
    /// `transport-protocol`, lower case.
    pub transport_protocol: Option<String>,
    /// `rtcp-mux`.
    pub rtcp_mux: RtcpMuxOptions,
    /// `bundle`.
    pub bundle: BundleOptions,
    /// How `a=rtcp` is written.
    pub rtcp_attribute: RtcpAttribute,
    /// `ICE` and its like.
    pub ice: IceOptions,
    /// `SDES`.
    pub sdes: SdesOptions,
    /// `DTLS` and its like.
    pub dtls: DtlsOptions,
    /// `OSRTP`.
    pub osrtp: OsrtpOptions,
    /// `endpoint-learning`; default from the configuration.
    pub learning: Option<Learning>,
    /// `strict-source`, `media-handover`.
    pub other_source: SourcePolicy,
    /// Whether both of them are there: the one that stands last counts, but both are shown.
    pub strict_handover: bool,
    /// `asymmetric`.
    pub asymmetric: bool,
    /// `NAT-wait`: the sender of the SDP is sent nothing before it has sent something.
    pub nat_wait: bool,
    /// `pierce-NAT`: the sender of the SDP is sent empty packets until it has sent something.
    pub pierce_nat: bool,
    /// `recrypt`: SRTP of the sender is decrypted and encrypted anew, also where both sides have the same keys.
    pub recrypt: bool,
    /// `block-short`: packets of the sender that are shorter than its first one are dropped, from now on.
    pub block_short: bool,
    /// `port-latching`, `no-port-latching`.
    pub port_latching: PortLatching,
    /// `original-sendrecv`: copy the direction attribute.
    pub original_direction: bool,
    /// `generate-mid`.
    pub generate_mid: bool,
    /// `codec`, and flags about codecs.
    pub codecs: CodecOptions,
    /// `ptime`: what the receiver of an offer is told, ms. Packets pass as they are.
    pub ptime: Option<u32>,
    /// `ptime-reverse`: what the sender of an offer will be told, ms.
    pub ptime_reverse: Option<u32>,
    /// `extmap` `strip`: header extensions that do not pass.
    pub stripped_extensions: Extensions,
    /// `extmap` `mask`: header extensions of which the receiver of an offer is not told, though its sender is answered with
    /// them.
    pub masked_extensions: Extensions,
    /// `sdp-attr`.
    pub attributes: AttributeEdits,
    /// `sdp-media-remove`: kinds of media that the receiver of an offer does not see.
    pub removed_media: Vec<&'static str>,
    /// `loop-protect`.
    pub loop_protect: bool,
    /// `TOS`.
    pub tos: TosRule,
    /// `generate-RTCP`: the parties of the call get RTCP of ours. It stays until another message says otherwise.
    pub generate_rtcp: Option<bool>,
    /// `unidirectional`: the sender's media may flow one way only.
    pub unidirectional: bool,
    /// `debug`: from now on what is said about the call is logged in full.
    pub debug: bool,
    /// `media-echo`. It stays until another message has one.
    pub media_echo: Option<MediaEcho>,
    /// `drop-traffic`: whether all RTP of the call is dropped.
    pub drop_traffic: Option<bool>,
    /// `block-DTMF`: telephone events of the sender are dropped.
    pub block_events: bool,
    /// `label`.
    pub label: Option<String>,
    /// `metadata`.
    pub metadata: Option<String>,
    /// `reset`.
    pub reset: bool,
    /// What becomes of a tag that was never seen.
    pub strangers: Strangers,
    /// `moh`: music for whom the sender holds.
    pub music: Option<Music>,
    /// `T.38`: a gateway between T.38 and audio.
    pub fax: FaxOptions,
}

/// What becomes of tags that were never seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strangers {
    /// `alias-key`: when the sender of an offer is a party that is known by another tag.
    pub alias_key: AliasKey,
    /// `new-branch`: the sender of an answer is a party of its own, not one that has answered before.
    pub new_branch: bool,
    /// `provisional`: it is the one that has answered before, even if that was final.
    pub provisional: bool,
    /// `SIP-code` and `SIP-message-type`: the message is a final response.
    pub is_final: bool,
}

/// `alias-key`: what tells that an unknown tag belongs to a known party.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AliasKey {
    /// Nothing.
    #[default]
    Off,
    /// The same SDP as before.
    Sdp,
    /// The same address and port of the first media section.
    Address,
}

/// RTP header extensions, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Extensions {
    /// None.
    #[default]
    None,
    /// These.
    Named(Vec<String>),
    /// All.
    All,
}

impl Extensions {
    /// Whether an extension of this name is among them.
    pub fn names(&self, uri: &str) -> bool {
        match self {
            Extensions::None => false,
            Extensions::Named(uris) => uris.iter().any(|known| known == uri),
            Extensions::All => true,
        }
    }
}

/// Which interfaces a call uses, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceChoice {
    /// Towards the sender of the message.
    pub from: Option<String>,
    /// Towards its receiver.
    pub to: Option<String>,
    /// `inbound-peer`, `peer`: the one by which packets to this address leave counts towards the sender, if there is one.
    pub from_peer: Option<IpAddr>,
    /// `outbound-peer`: the same towards the receiver.
    pub to_peer: Option<IpAddr>,
}

impl InterfaceChoice {
    /// Puts names in the place of peers. `towards` tells which interface leads to an address.
    pub fn resolve(&mut self, towards: impl Fn(IpAddr) -> Option<String>) {
        let InterfaceChoice {
            from,
            to,
            from_peer,
            to_peer,
        } = self;
        for (name, peer) in [(from, from_peer), (to, to_peer)] {
            *name = peer.take().and_then(&towards).or(name.take());
        }
    }
}

impl Command {
    /// Which interfaces it names.
    pub fn interfaces_mut(&mut self) -> Option<&mut InterfaceChoice> {
        match self {
            Command::Offer(signal) | Command::Answer(signal) => Some(&mut signal.options.interfaces),
            Command::Publish(request) => Some(&mut request.options.interfaces),
            Command::SubscribeRequest(request) => Some(&mut request.options.interfaces),
            Command::SubscribeAnswer(answer) => Some(&mut answer.options.interfaces),
            Command::Create(request) => Some(&mut request.options.interfaces),
            Command::CreateAnswer(answer) => Some(&mut answer.options.interfaces),
            Command::Transform(request) => Some(&mut request.interfaces),
            Command::Fragment(_)
            | Command::Delete(_)
            | Command::Query(_)
            | Command::Control(_)
            | Command::Play(_)
            | Command::Unsubscribe(_)
            | Command::Connect(_)
            | Command::Mesh(_)
            | Command::Inject(_)
            | Command::List { .. }
            | Command::Calls { .. }
            | Command::Show(_)
            | Command::Kernel(..) => None,
        }
    }
}

impl SignalOptions {
    /// The source of the SIP message, if known, where media addresses are to be taken from that. `configured` is
    /// `sip-source`.
    pub(super) fn sip_source(&self, configured: bool) -> Option<Option<IpAddr>> {
        match self.address_trust {
            AddressTrust::Configured => configured.then_some(self.received_from),
            AddressTrust::Sdp => None,
            AddressTrust::SipSource(source) => Some(source),
        }
    }
}

/// Where media addresses are taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressTrust {
    /// Whatever the configuration says (`sip-source`).
    #[default]
    Configured,
    /// The SDP (flag `trust-address`).
    Sdp,
    /// The source of the SIP message (flag `SIP-source-address`), if known, with the port of the SDP.
    SipSource(Option<IpAddr>),
}

/// `replace`: which session lines are rewritten or kept stable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replace {
    /// `origin`: the address in `o=` stays; ours, if none was told yet.
    pub origin: bool,
    /// `username`: the user name that was told last stays.
    pub username: bool,
    /// `session-name`: the `s=` that was told last stays.
    pub session_name: bool,
    /// `origin-full`: all of `o=` stays, its version counted as with `version`.
    pub origin_full: bool,
    /// `zero-address`: a zero connection address is replaced as well.
    pub zero_address: bool,
    /// `SDP-version`: the version in `o=` grows whenever the SDP that goes out differs from the last one that was counted so.
    pub version: bool,
    /// `force-increment-sdp-ver`: the version in `o=` grows with every message, and once more where the other rule says so.
    pub force_version: bool,
}

/// `rtcp-mux`, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtcpMuxOptions {
    /// `offer`: offer it to the receiver even if the sender did not.
    pub offer: bool,
    /// `require`: offer it without a port to fall back to.
    pub require: bool,
    /// `demux`: accept it from the sender, do not offer it.
    pub demux: bool,
    /// `accept`: accept it from the sender, whatever the receiver does.
    pub accept: bool,
    /// `reject`: do not mux with the sender.
    pub reject: bool,
}

/// How `a=rtcp` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RtcpAttribute {
    /// The port alone.
    #[default]
    Port,
    /// Port and address (flag `full-rtcp-attribute`).
    Full,
    /// Left out (flag `no-rtcp-attribute`).
    Omitted,
}

/// Whether a changed remote address changes the local port that the other side is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortLatching {
    /// It does, unless the media uses ICE or does not receive.
    #[default]
    Automatic,
    /// Never (flag `port-latching`).
    Always,
    /// Always (flag `no-port-latching`).
    Never,
}

/// TOS or traffic class of the media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TosRule {
    /// The configured one: no `TOS`, or one of 256 or more.
    #[default]
    Configured,
    /// The one that the call has: a negative `TOS`.
    Keep,
    /// `TOS`.
    Set(u8),
}

/// `delete`.
#[derive(Clone, Debug)]
pub struct Delete {
    /// `call-id`.
    pub call_id: CallId,
    /// `from-tag`; without one the whole call goes.
    pub from_tag: Option<Tag>,
    /// `to-tag`, only if the flag `to-tag` says that it counts.
    pub to_tag: Option<Tag>,
    /// `via-branch`.
    pub via_branch: Option<Branch>,
    /// `delete-delay`; default from the configuration.
    pub delay: Option<Duration>,
    /// Flag `fatal`: not finding the call is an error.
    pub fatal: bool,
    /// Flag `fast`: no statistics in the reply.
    pub fast: bool,
}

/// `query`.
#[derive(Clone, Debug)]
pub struct Query {
    /// `call-id`.
    pub call_id: CallId,
    /// `from-tag`.
    pub from_tag: Option<Tag>,
    /// `to-tag`; counts before `from-tag`.
    pub to_tag: Option<Tag>,
}

/// What a command brought about.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The rewritten SDP.
    Sdp(String),
    /// Done, nothing to say.
    Done,
    /// What was played is no more, if anything was.
    Stopped,
    /// An SDP of the relay's own (`publish`, `create`).
    Own {
        /// `call-id`, made up or not.
        call_id: CallId,
        /// `from-tag`, likewise.
        from_tag: Tag,
        /// The SDP.
        sdp: String,
    },
    /// An offer to a subscriber (`subscribe request`).
    Subscription {
        /// The SDP.
        sdp: String,
        /// Tags of the sources.
        from_tags: Vec<Tag>,
        /// Whether it is about one section of one source.
        is_single: bool,
        /// `to-tag`, made up or not.
        to_tag: Tag,
        /// The sections, if they are to be described (`SIPREC`).
        media: Option<Vec<SubscribedMedia>>,
    },
    /// Ports (`transform`).
    Transformed {
        /// `call-id`, made up or not.
        call_id: CallId,
        /// `from-tag`, likewise.
        from_tag: Tag,
        /// The ports.
        media: Vec<Transformed>,
    },
    /// Done, with a warning.
    Warning(&'static str),
    /// The parties of one call that were asked for (`query`, `delete`).
    Statistics(Box<CallSnapshot>),
    /// Call-ids (`list`).
    CallIds(Vec<CallId>),
    /// Whole calls (`relay calls`), and how many there are in all.
    Calls(Vec<CallSnapshot>, usize),
    /// One call (`relay show`).
    Show(Box<CallSnapshot>),
}

/// Why a command was refused. A refused command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such call (`answer`, `query`).
    #[error("Unknown call-id")]
    UnknownCall,
    /// No such call, tag or branch (`delete` with `fatal`).
    #[error("Call-ID not found or tags didn't match")]
    NotFound,
    /// The SDP cannot be parsed.
    #[error("Failed to parse SDP")]
    BadSdp(#[source] crate::sdp::SdpError),
    /// The SDP parses but lacks what is needed.
    #[error("Incomplete SDP specification")]
    IncompleteSdp,
    /// No SDP can be made of it.
    #[error("Error rewriting SDP")]
    Rewriting,
    /// A tag that talks to itself, or an answer without an offer.
    #[error("Invalid dialogue association")]
    InvalidDialogue,
    /// No free port.
    #[error(transparent)]
    OutOfPorts(#[from] crate::host::OutOfPorts),
    /// No new call: too many, or the machine has too much to do.
    #[error("Parallel session limit reached")]
    Limit(Limit),
    /// A command about media does not fit.
    #[error(transparent)]
    Media(#[from] MediaError),
}
