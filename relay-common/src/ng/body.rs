//! The body of a message: a dictionary in one of two notations.

use super::bencode::{self, BencodeError};
use super::{Dictionary, Entries, json};

/// How a body is written. A reply is written as its request was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Bencode.
    #[default]
    Bencode,
    /// JSON.
    Json,
}

/// Why a body is no dictionary. The texts are those that the protocol's clients know.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Nothing follows the cookie.
    #[error("Invalid data (no payload)")]
    Empty,
    /// The first byte begins neither a bencode dictionary nor a JSON object.
    #[error("Invalid NG data format")]
    Format,
    /// Broken bencode.
    #[error("Could not decode bencode dictionary")]
    Bencode(#[from] BencodeError),
    /// Broken JSON.
    #[error("Failed to parse JSON document")]
    Json(#[source] serde_json::Error),
    /// JSON, but not an object, or one that is too large.
    #[error("Could not decode JSON dictionary")]
    JsonDictionary,
}

impl Format {
    /// The format of a body, by its first byte; none if it begins neither.
    pub fn of(body: &[u8]) -> Option<Format> {
        match body.first() {
            Some(b'd') => Some(Format::Bencode),
            Some(b'{') => Some(Format::Json),
            Some(_) | None => None,
        }
    }
}

/// Decodes a body in the notation that its first byte tells.
pub fn decode(body: &[u8]) -> Result<(Format, Entries<'_>), BodyError> {
    if body.is_empty() {
        return Err(BodyError::Empty);
    }
    let format = Format::of(body).ok_or(BodyError::Format)?;
    let entries = match format {
        Format::Bencode => bencode::decode(body)?.0,
        Format::Json => json::decode(body)?,
    };
    Ok((format, entries))
}

/// Encodes a dictionary.
pub fn encode(dictionary: &Dictionary, format: Format) -> Vec<u8> {
    match format {
        Format::Bencode => bencode::encode(dictionary),
        Format::Json => json::encode(dictionary),
    }
}
