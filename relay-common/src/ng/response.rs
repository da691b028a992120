//! Responses: the fields of a reply and the result that they come with.

use std::borrow::Cow;

use super::{Dictionary, Format, Value, body};

/// How a request went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `result` is `ok`.
    Ok,
    /// `result` is `pong`.
    Pong,
    /// `result` is `error`, with an `error-reason`.
    Error(Cow<'static, str>),
    /// `result` is `load limit`, with a `message`: for clients that say that they know it.
    LoadLimit(Cow<'static, str>),
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Everything but the result.
    pub fields: Dictionary,
    /// The result.
    pub outcome: Outcome,
}

impl Response {
    /// A reply that says `ok` and what is added to it.
    pub fn ok() -> Response {
        Response::new(Outcome::Ok)
    }

    /// The reply to `ping`.
    pub fn pong() -> Response {
        Response::new(Outcome::Pong)
    }

    /// A reply that refuses.
    pub fn error(reason: impl Into<Cow<'static, str>>) -> Response {
        Response::new(Outcome::Error(reason.into()))
    }

    /// A reply without fields.
    pub fn new(outcome: Outcome) -> Response {
        Response {
            fields: Dictionary::new(),
            outcome,
        }
    }

    /// Adds a field; the caller sees to it that its key is new.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Response {
        self.fields.push(key, value);
        self
    }

    /// Adds a `warning`.
    #[must_use]
    pub fn warning(self, text: &str) -> Response {
        self.with("warning", text)
    }

    /// The reply as a dictionary: the fields first, `result` after them, the reason of an error last.
    pub fn into_dictionary(self) -> Dictionary {
        let mut dictionary = self.fields;
        let (result, explanation) = match self.outcome {
            Outcome::Ok => ("ok", None),
            Outcome::Pong => ("pong", None),
            Outcome::Error(reason) => ("error", Some(("error-reason", reason))),
            Outcome::LoadLimit(message) => ("load limit", Some(("message", message))),
        };
        dictionary.push("result", result);
        if let Some((key, text)) = explanation {
            dictionary.push(key, text.into_owned());
        }
        dictionary
    }

    /// The body of the reply.
    pub fn encode(self, format: Format) -> Vec<u8> {
        body::encode(&self.into_dictionary(), format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_comes_after_the_fields() {
        let body = Response::ok()
            .with("sdp", "v=0")
            .warning("x")
            .encode(Format::Bencode);
        assert_eq!(body, b"d3:sdp3:v=07:warning1:x6:result2:oke");
    }

    #[test]
    fn an_error_has_its_reason_last() {
        let body = Response::error("Unknown call-id").encode(Format::Json);
        assert_eq!(body, br#"{"result":"error","error-reason":"Unknown call-id"}"#);
    }

    #[test]
    fn a_load_limit_is_no_error() {
        let response = Response::new(Outcome::LoadLimit("Parallel session limit reached".into()));
        let body = response.encode(Format::Bencode);
        assert_eq!(
            body,
            b"d6:result10:load limit7:message30:Parallel session limit reachede"
        );
    }
}
