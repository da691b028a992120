//! Cookie framing: `COOKIE`, one space, the body.

/// A message split at its first space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Names the request; the reply carries the same.
    pub cookie: &'a [u8],
    /// What follows the space; may be empty.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Splits a message; none if it has no cookie, that is no space, or one at the beginning.
    pub fn split(message: &'a [u8]) -> Option<Frame<'a>> {
        let space = message.iter().position(|byte| *byte == b' ')?;
        let (cookie, body) = (&message[..space], &message[space + 1..]);
        (!cookie.is_empty()).then_some(Frame { cookie, body })
    }

    /// The message.
    pub fn join(&self) -> Vec<u8> {
        [self.cookie, b" ", self.body].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_space() {
        let frame = Frame::split(b"12_a d7:command4:pinge x").unwrap();
        assert_eq!(frame.cookie, b"12_a");
        assert_eq!(frame.body, b"d7:command4:pinge x");
        assert_eq!(frame.join(), b"12_a d7:command4:pinge x");
    }

    #[test]
    fn an_empty_body_is_a_body() {
        assert_eq!(Frame::split(b"x ").unwrap().body, b"");
    }

    #[test]
    fn without_a_cookie_there_is_no_frame() {
        assert_eq!(Frame::split(b"d7:command4:pinge"), None);
        assert_eq!(Frame::split(b" d7:command4:pinge"), None);
        assert_eq!(Frame::split(b""), None);
    }
}
