//! Session descriptions (RFC 8866): tolerant parsing, nothing lost, one writer.
//!
//! [`Description::parse`] takes an SDP apart: what the relay has to know becomes typed, all other attributes are
//! kept as they came. [`write`] puts the SDP for the other side together from the sender's description and
//! from what was negotiated for each media section. Lines that the relay answers for are made anew, all others are
//! copied, always in the same order and with CRLF.

mod attribute;
mod bandwidth;
mod codec;
mod connection;
mod crypto;
mod description;
mod direction;
mod dtls;
mod edit;
mod error;
mod extmap;
mod fmtp;
#[doc(hidden)]
pub mod fuzz;
mod ice;
mod media;
mod origin;
mod parse;
mod pattern;
mod protocol;
mod rewrite;
mod rtcp;
mod text;
mod write;

pub use attribute::Attribute;
pub use bandwidth::Bandwidth;
pub use codec::{Codec, RtpMap, static_payload_type};
pub use connection::{AddressFamily, address_type};
pub use crypto::Crypto;
pub use description::Description;
pub use direction::Direction;
pub use dtls::{Dtls, Fingerprint, Setup};
pub use edit::{AttributeEdit, AttributeEdits, Place};
pub use error::{Problem, SdpError};
pub use extmap::ExtMap;
pub use ice::{Candidate, Ice};
pub use media::{MediaKind, MediaSection};
pub use origin::Origin;
pub use parse::{BlankLine, MAX_BYTES, MAX_FORMATS, MAX_LINES, MAX_MEDIA};
pub use pattern::CodecPattern;
pub use protocol::Protocol;
pub use rewrite::{CopiedMedia, MediaRewrite, RejectedMedia, RelayedMedia, SessionRewrite};
pub use rtcp::Rtcp;
use text::Source;
pub use text::Text;
pub use write::write;
