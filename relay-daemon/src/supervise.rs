//! Threads that the daemon cannot do without.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::thread::{Builder, JoinHandle};

/// The exit status of a daemon one of whose threads has died: an internal software error (`EX_SOFTWARE` of sysexits.h).
pub const DEAD_THREAD: i32 = 70;

/// How a thread ended that did not panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was told to.
    Wanted,
    /// It cannot go on.
    Broken,
}

/// Starts a thread without which the daemon is of no use. If it panics or cannot go on, the process ends with
/// [`DEAD_THREAD`]: a service manager starts it anew, whereas calls that are given to a dead thread are silent.
pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce() -> Ending + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    spawn_on(None, name, body)
}

/// The same with a stack of so many bytes.
pub(crate) fn spawn_on(
    stack: Option<usize>,
    name: &str,
    body: impl FnOnce() -> Ending + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    spawn_with(stack, name, body, |name, what| {
        tracing::error!(thread = name, "the thread {what}: the daemon ends");
        process::exit(DEAD_THREAD)
    })
}

fn spawn_with(
    stack: Option<usize>,
    name: &str,
    body: impl FnOnce() -> Ending + Send + 'static,
    died: impl FnOnce(&str, &str) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let thread = name.to_owned();
    let builder = Builder::new().name(thread.clone());
    let builder = match stack {
        Some(stack) => builder.stack_size(stack),
        None => builder,
    };
    builder.spawn(move || {
        // What it leaves behind is not looked at again.
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ending::Wanted) => {}
            Ok(Ending::Broken) => died(&thread, "cannot go on"),
            Err(_) => died(&thread, "has panicked"),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvError, channel};

    use super::*;

    /// What is said of a thread in the end.
    fn last_words(body: fn() -> Ending) -> Result<String, RecvError> {
        let (say, said) = channel();
        let thread = spawn_with(None, "relay-test", body, move |name, what| {
            say.send(format!("{name} {what}")).unwrap();
        });
        thread.unwrap().join().unwrap();
        said.recv()
    }

    #[test]
    fn a_thread_that_dies_is_noticed() {
        assert_eq!(
            last_words(|| panic!("as the test wants it")).as_deref(),
            Ok("relay-test has panicked")
        );
        assert_eq!(
            last_words(|| Ending::Broken).as_deref(),
            Ok("relay-test cannot go on")
        );
        assert_eq!(last_words(|| Ending::Wanted), Err(RecvError));
    }
}
