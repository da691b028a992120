//! How long lines are, and what marks what tells who talks to whom.

use std::io::{self, Write};

use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

use crate::config::LogSettings;

/// Fields that tell who talks to whom, and what about.
const PRIVATE: [&str; 8] = [
    "call", "call_id", "tag", "peer", "source", "address", "request", "response",
];

/// Writes the fields of a message, `name=value`, with marks around the values of private ones.
pub(super) fn fields(marks: &(String, String)) -> impl for<'w> FormatFields<'w> + Send + Sync + use<> {
    let (prefix, suffix) = marks.clone();
    debug_fn(move |writer, field, value| match field.name() {
        "message" => write!(writer, "{value:?}"),
        name if PRIVATE.contains(&name) => write!(writer, "{name}={prefix}{value:?}{suffix}"),
        name => write!(writer, "{name}={value:?}"),
    })
    .delimited(" ")
}

/// What a message is cut into.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pieces {
    /// Each line for itself.
    split: bool,
    /// Bytes of a piece.
    longest: Option<usize>,
}

impl Pieces {
    pub(super) fn of(settings: &LogSettings) -> Pieces {
        Pieces {
            split: settings.split,
            longest: settings.longest_line,
        }
    }

    /// The pieces of a message, in order. Nothing is cut within a character of UTF-8.
    pub(super) fn cut(self, message: &[u8]) -> Vec<&[u8]> {
        let lines: Vec<&[u8]> = match self.split {
            true => message.split(|byte| *byte == b'\n').collect(),
            false => vec![message],
        };
        let lines = lines
            .into_iter()
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.flat_map(|line| self.broken(line)).collect()
    }

    fn broken(self, mut line: &[u8]) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        if let Some(longest) = self.longest {
            while line.len() > longest {
                let is_start = |end: &usize| line[*end] & 0xc0 != 0x80;
                let end = (1..=longest).rev().find(is_start).unwrap_or(longest);
                let (piece, rest) = line.split_at(end);
                pieces.push(piece);
                line = rest;
            }
        }
        pieces.push(line);
        pieces
    }
}

/// Standard error, a piece a line.
impl MakeWriter<'_> for Pieces {
    type Writer = PiecesToStderr;

    fn make_writer(&self) -> PiecesToStderr {
        PiecesToStderr(*self)
    }
}

pub(super) struct PiecesToStderr(Pieces);

impl Write for PiecesToStderr {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        if self.0.longest.is_none() {
            // What is split looks the same here.
            return io::stderr().write_all(message).map(|()| message.len());
        }
        let mut text = Vec::with_capacity(message.len() + 8);
        for piece in self.0.cut(message.trim_ascii_end()) {
            text.extend_from_slice(piece);
            text.push(b'\n');
        }
        io::stderr().write_all(&text).map(|()| message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn cut(split: bool, longest: Option<usize>, message: &str) -> Vec<String> {
        let pieces = Pieces { split, longest }.cut(message.as_bytes());
        let text = |piece: &&[u8]| String::from_utf8(piece.to_vec()).unwrap();
        pieces.iter().map(text).collect()
    }

    #[test]
    fn messages_are_cut_into_lines_and_lines_into_pieces() {
        assert_eq!(cut(false, None, "a\nbc"), ["a\nbc"]);
        assert_eq!(cut(true, None, "a\r\nbc"), ["a", "bc"]);
        assert_eq!(cut(true, Some(2), "a\nbcdef"), ["a", "bc", "de", "f"]);
        assert_eq!(cut(false, Some(2), ""), [""]);
        // Not within a character, unless it is longer than a piece.
        assert_eq!(cut(false, Some(3), "aäöü"), ["aä", "ö", "ü"]);
        assert_eq!(
            Pieces {
                split: false,
                longest: Some(1)
            }
            .cut("ä".as_bytes())
            .len(),
            2
        );
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn private_fields_are_marked() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_target(false)
            .with_ansi(false)
            .with_level(false)
            .without_time()
            .fmt_fields(fields(&("<<".to_owned(), ">>".to_owned())))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(call_id = "x y", calls = 3, "a call");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "a call call_id=<<\"x y\">> calls=3\n");
    }
}
