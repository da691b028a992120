//! Requests as they come in.

use std::borrow::Cow;

use super::{BodyError, Entries, Format, Item, body};

/// A decoded request: a dictionary, and the notation in which it is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// How the request was written.
    pub format: Format,
    /// Its entries, in the order in which they came.
    pub entries: Entries<'a>,
}

impl<'a> Request<'a> {
    /// Decodes the body of a message.
    pub fn parse(body: &'a [u8]) -> Result<Request<'a>, BodyError> {
        let (format, entries) = body::decode(body)?;
        Ok(Request { format, entries })
    }

    /// The value of a key.
    pub fn find(&self, key: &str) -> Option<&Item<'a>> {
        let entry = self.entries.iter().find(|(name, _)| name == key)?;
        Some(&entry.1)
    }

    /// `command`: what is asked for.
    pub fn command(&self) -> Option<Cow<'_, str>> {
        self.find("command")?.text()
    }

    /// The text of `call-id`, however it is spelled.
    pub fn call_id(&self) -> Option<Cow<'_, str>> {
        let spellings = ["call-id", "call-ID", "call id", "call ID"];
        spellings.iter().find_map(|key| self.find(key))?.text()
    }
}
