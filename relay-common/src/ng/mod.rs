//! The ng control protocol: bencode, cookie framing, requests and responses.

mod value;

pub use value::{Dictionary, Value};
