//! Cookie framing: `COOKIE`, one space, the body.

/// Clients send some 40 bytes. What is longer is no cookie: it would be kept, and sent back, for nothing.
pub(super) const MAX_COOKIE: usize = 1024;

/// A message split at its first space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Names the request; the reply carries the same.
    pub cookie: &'a [u8],
    /// What follows the space; may be empty.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Splits a message; none if it has no cookie, that is no space in its first bytes, or one at the beginning.
    pub fn split(message: &'a [u8]) -> Option<Frame<'a>> {
        let space = message
            .iter()
            .take(MAX_COOKIE + 1)
            .position(|byte| *byte == b' ')?;
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
        let endless = vec![b'x'; MAX_COOKIE];
        assert!(Frame::split(&[&endless, b" d".as_slice()].concat()).is_some());
        assert_eq!(Frame::split(&[&endless, b"x d".as_slice()].concat()), None);
    }
}
