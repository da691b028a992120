//! A deadline that moves.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::clock::Time;

/// Waits for a deadline. It may be set before each wait: as long as it stays the same, that costs nothing.
#[derive(Debug)]
pub(super) struct Timer {
    due: Option<Time>,
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    /// One that is not set. Must be called within a tokio runtime with time.
    pub(super) fn new() -> Timer {
        Timer {
            due: None,
            sleep: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// Sets it, or none.
    pub(super) fn set(&mut self, due: Option<Time>) {
        if due == self.due {
            return;
        }
        self.due = due;
        if let Some(due) = due {
            self.sleep
                .as_mut()
                .reset(Instant::now() + due.since(Time::read()));
        }
    }

    /// Waits for the deadline; for ever if there is none.
    pub(super) async fn wait(&mut self) {
        if self.due.is_none() {
            return pending().await;
        }
        self.sleep.as_mut().await;
        self.due = None;
    }
}
