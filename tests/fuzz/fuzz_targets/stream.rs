//! Any bytes of an ng connection: the same messages are found whole and byte by byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_common::ng::{SplitError, Splitter};

fuzz_target!(|data: &[u8]| {
    assert_eq!(split(data.chunks(1)), split([data]));
});

fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Option<SplitError>) {
    let (mut splitter, mut messages) = (Splitter::default(), Vec::new());
    for piece in pieces {
        splitter.push(piece);
        loop {
            match splitter.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}
