//! The ng control protocol: bencode and JSON bodies, cookie framing, requests and responses.
//!
//! ```text
//! datagram = cookie SP body        Frame::split
//! body     = bencode dictionary | JSON object
//! ```
//!
//! Bodies that come in are decoded into borrowed [`Item`]s, bodies that go out are built as [`Value`]s. Both hold bytes;
//! as text they are carried without loss ([`octets`]).

pub mod bencode;
mod body;
mod frame;
mod item;
mod json;
pub mod octets;
mod request;
mod response;
pub mod stream;
mod value;

pub use body::{BodyError, Format, decode, encode};
pub use frame::Frame;
pub use item::{Entries, Item};
pub use request::Request;
pub use response::{Outcome, Response};
pub use stream::{MAX_MESSAGE, SplitError, Splitter};
pub use value::{Dictionary, Value};

/// The largest UDP payload over IPv4, and so the largest message that fits one datagram: 65,535 bytes less the
/// headers of IPv4 and UDP.
pub const MAX_DATAGRAM: usize = 65_507;

/// How deep lists and dictionaries may nest in a body that is decoded. The deepest reply of the protocol, a
/// `query` with statistics, needs nine levels.
pub const MAX_DEPTH: usize = 32;

/// How many values, keys included, a body that is decoded may hold.
pub const MAX_ITEMS: usize = 65_536;
