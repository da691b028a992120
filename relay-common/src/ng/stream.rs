//! Messages on a byte stream: `COOKIE SP body`, one after the other, with nothing between them.
//!
//! Where a message ends only its body tells: with the `e` or `}` that closes its dictionary.

use super::frame::MAX_COOKIE;

/// Finds the messages in a stream, however it is cut into pieces. Every byte is looked at once.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    /// Where in it the message begins that is not whole yet.
    start: usize,
    /// How far it has been looked at.
    scanned: usize,
    place: Place,
}

/// Why no further message can be found in a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No cookie where a message should begin.
    #[error("no cookie")]
    NoCookie,
    /// After its cookie the message is no dictionary. Holds its bytes up to where that shows, so that it can be
    /// answered.
    #[error("the body is no dictionary")]
    Broken(Vec<u8>),
    /// A message longer than [`MAX_MESSAGE`].
    #[error("a message of more than {MAX_MESSAGE} bytes")]
    TooLong,
}

/// The longest message that is accepted on a stream, in bytes.
pub const MAX_MESSAGE: usize = 1 << 20;

/// What the next byte is part of.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Cookie,
    /// The first byte after the space.
    Body,
    Bencode {
        depth: usize,
        token: Token,
    },
    Json {
        depth: usize,
        text: Text,
    },
}

#[derive(Clone, Copy, Debug)]
enum Token {
    /// None: the next byte begins one.
    Start,
    Integer,
    /// The length of a string, as far as it was read.
    Length(usize),
    /// So many bytes of a string are still to come.
    String(usize),
}

/// Whether braces count.
#[derive(Clone, Copy, Debug)]
enum Text {
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

/// How the body goes on.
enum Step {
    More,
    /// The body is whole.
    End,
    Broken,
}

impl Splitter {
    /// Adds what the stream brought.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, without line ends before it; none if more bytes are needed. After an error there is
    /// no way to go on.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, SplitError> {
        if self.scanned == self.start {
            self.pass_line_ends();
        }
        while let Some(byte) = self.buffer.get(self.scanned).copied() {
            let step = self.step(byte)?;
            if self.scanned - self.start > MAX_MESSAGE {
                return Err(SplitError::TooLong);
            }
            match step {
                Step::More => {}
                Step::End => return Ok(Some(self.take())),
                Step::Broken => return Err(SplitError::Broken(self.take())),
            }
        }
        Ok(None)
    }

    /// Whether the stream stands between two messages.
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    fn pass_line_ends(&mut self) {
        let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let rest = &self.buffer[self.start..];
        self.start += rest.iter().take_while(|byte| is_line_end(byte)).count();
        self.scanned = self.start;
    }

    /// Looks at a byte, and at those behind it where they need no look of their own.
    fn step(&mut self, byte: u8) -> Result<Step, SplitError> {
        let index = self.scanned;
        let length = index - self.start;
        self.scanned += 1;
        match &mut self.place {
            Place::Cookie if byte == b' ' && length == 0 => return Err(SplitError::NoCookie),
            Place::Cookie if byte == b' ' => self.place = Place::Body,
            Place::Cookie if length >= MAX_COOKIE => return Err(SplitError::NoCookie),
            Place::Cookie => {}
            Place::Body => {
                self.place = match byte {
                    b'd' => Place::Bencode {
                        depth: 1,
                        token: Token::Start,
                    },
                    b'{' => Place::Json {
                        depth: 1,
                        text: Text::Outside,
                    },
                    _ => return Ok(Step::Broken),
                };
            }
            Place::Bencode {
                token: Token::String(rest),
                ..
            } => {
                let there = (self.buffer.len() - index).min(*rest);
                *rest -= there;
                self.scanned = index + there;
                if *rest == 0
                    && let Place::Bencode { token, .. } = &mut self.place
                {
                    *token = Token::Start;
                }
            }
            Place::Bencode { depth, token } => return Ok(bencode(depth, token, byte)),
            Place::Json { depth, text } => return Ok(json(depth, text, byte)),
        }
        Ok(Step::More)
    }

    /// The bytes that have been looked at: the next message begins behind them.
    fn take(&mut self) -> Vec<u8> {
        let message = self.buffer[self.start..self.scanned].to_vec();
        self.start = self.scanned;
        self.place = Place::Cookie;
        message
    }
}

fn bencode(depth: &mut usize, token: &mut Token, byte: u8) -> Step {
    *token = match (*token, byte) {
        (Token::Start, b'd' | b'l') => {
            *depth += 1;
            Token::Start
        }
        (Token::Start, b'e') => {
            *depth -= 1;
            if *depth == 0 {
                return Step::End;
            }
            Token::Start
        }
        (Token::Start, b'i') => Token::Integer,
        (Token::Start, b'0'..=b'9') => Token::Length(usize::from(byte - b'0')),
        (Token::Integer, b'0'..=b'9' | b'-') => Token::Integer,
        (Token::Integer, b'e') => Token::Start,
        (Token::Length(length), b'0'..=b'9') => {
            let length = length * 10 + usize::from(byte - b'0');
            if length > MAX_MESSAGE {
                return Step::Broken;
            }
            Token::Length(length)
        }
        (Token::Length(0), b':') => Token::Start,
        (Token::Length(length), b':') => Token::String(length),
        (Token::Start | Token::Integer | Token::Length(_) | Token::String(_), _) => return Step::Broken,
    };
    Step::More
}

fn json(depth: &mut usize, text: &mut Text, byte: u8) -> Step {
    *text = match (*text, byte) {
        (Text::Outside, b'{') => {
            *depth += 1;
            Text::Outside
        }
        (Text::Outside, b'}') => {
            *depth -= 1;
            if *depth == 0 {
                return Step::End;
            }
            Text::Outside
        }
        (Text::Outside, b'"') => Text::Inside,
        (Text::Outside, _) => Text::Outside,
        (Text::Inside, b'"') => Text::Outside,
        (Text::Inside, b'\\') => Text::Escaped,
        (Text::Inside | Text::Escaped, _) => Text::Inside,
    };
    Step::More
}

/// All messages of a stream that comes in these pieces, and whether it ends between two.
fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Result<bool, SplitError>) {
    let (mut splitter, mut messages) = (Splitter::default(), Vec::new());
    for piece in pieces {
        splitter.push(piece);
        loop {
            match splitter.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
    }
    (messages, Ok(splitter.is_empty()))
}

/// Any bytes: the same messages are found whole and byte by byte.
///
/// # Panics
///
/// If something does not hold.
pub fn fuzz(data: &[u8]) {
    assert_eq!(split(data.chunks(1)), split([data]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Dictionary, Format, Frame, Value, decode, encode};
    use super::*;

    fn error(stream: &[u8]) -> SplitError {
        split([stream]).1.unwrap_err()
    }

    #[test]
    fn messages_follow_each_other_in_both_notations() {
        let messages = [
            &b"1 d7:command4:pinge"[..],
            br#"2 {"command":"ping","x":{"y":"}\"}"}}"#,
            b"3 d1:ali-12e0:d1:bleeee",
            b"4 {}",
        ];
        let stream = messages.concat();
        let (found, rest) = split([&stream[..]]);
        assert_eq!(found, messages);
        assert!(rest.unwrap());
        let (found, _) = split(stream.chunks(1));
        assert_eq!(found, messages);
    }

    #[test]
    fn line_ends_between_messages_are_passed_over() {
        let (found, _) = split([&b"\r\n1 {}\n2 de\n\n"[..]]);
        assert_eq!(found, [&b"1 {}"[..], b"2 de"]);
    }

    #[test]
    fn a_stream_that_is_none_of_messages_is_found_out() {
        assert_eq!(error(b" d7:command4:pinge"), SplitError::NoCookie);
        assert_eq!(error(&[b'x'; 2000]), SplitError::NoCookie);
        assert_eq!(error(b"1 GET /"), SplitError::Broken(b"1 G".to_vec()));
        assert_eq!(error(b"1 d7-command"), SplitError::Broken(b"1 d7-".to_vec()));
        assert_eq!(
            error(b"1 d99999999999999999999:"),
            SplitError::Broken(b"1 d9999999".to_vec())
        );
    }

    #[test]
    fn a_message_without_an_end_is_given_up() {
        let endless = [&b"1 d"[..], &b"0:".repeat(MAX_MESSAGE / 2)].concat();
        assert_eq!(error(&endless), SplitError::TooLong);
        let endless = [&b"1 {"[..], &[b' '; MAX_MESSAGE]].concat();
        assert_eq!(error(&endless), SplitError::TooLong);
        let long = format!("1 d1048576:{}", "x".repeat(MAX_MESSAGE));
        assert_eq!(error(long.as_bytes()), SplitError::TooLong);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::Integer),
            r#"[a-z"\\{}\[\]0-9:]{0,12}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                dictionary(inner).prop_map(Value::Dictionary),
            ]
        })
    }

    fn dictionary(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Dictionary> {
        let entries = prop::collection::btree_map("[a-z\"{}]{0,6}", value, 0..5);
        entries.prop_map(|entries| Dictionary(entries.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn any_messages_in_any_pieces_are_found(
            bodies in prop::collection::vec((dictionary(value()), any::<bool>()), 0..6),
            cuts in prop::collection::vec(1..40_usize, 1..60),
        ) {
            let mut stream = Vec::new();
            let mut sent = Vec::new();
            for (index, (body, is_json)) in bodies.iter().enumerate() {
                let format = if *is_json { Format::Json } else { Format::Bencode };
                let body = encode(body, format);
                let message = Frame { cookie: format!("c{index}").as_bytes(), body: &body }.join();
                stream.extend_from_slice(&message);
                sent.push(message);
            }
            let mut pieces = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, others) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = others;
            }
            let (found, end) = split(pieces);
            prop_assert_eq!(found, sent);
            prop_assert!(end.unwrap());
        }

        /// Whatever comes: no panic, no more kept than was sent, and what is found is what a datagram would be.
        #[test]
        fn any_bytes(pieces in prop::collection::vec("[ de0-9:il{}\"\\\\\n]{0,30}", 0..10)) {
            let sent: usize = pieces.iter().map(String::len).sum();
            fuzz(pieces.concat().as_bytes());
            let (found, _) = split(pieces.iter().map(String::as_bytes));
            prop_assert!(found.iter().map(Vec::len).sum::<usize>() <= sent);
            for message in found {
                let frame = Frame::split(&message);
                prop_assert!(frame.is_some());
                let _ = decode(frame.unwrap().body);
            }
        }
    }
}
