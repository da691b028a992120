//! The way from the transports to the control thread: each connection is a task of its own, signalling is one.
//!
//! UDP does without it: the control thread reads those sockets itself.

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};

/// How many requests may wait. Connections beyond that wait with theirs, and are not read meanwhile.
const WAITING: usize = 256;

/// The end of the queue where transports put what arrived. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RequestQueue(mpsc::Sender<QueuedRequest>);

/// A request that waits for its answer.
#[derive(Debug)]
pub struct QueuedRequest {
    /// The sender.
    pub peer: SocketAddr,
    /// What was sent.
    pub incoming: Incoming,
    answer: oneshot::Sender<Option<Vec<u8>>>,
}

/// What can arrive over a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message of the ng protocol: cookie, space, body.
    Message(Vec<u8>),
    /// The body of a message that has no cookie.
    Body(Vec<u8>),
    /// A line of the CLI.
    Cli(String),
    /// The metrics page.
    Metrics,
}

impl RequestQueue {
    /// A queue: the end to put requests in, and the one to take them out.
    pub fn open() -> (RequestQueue, mpsc::Receiver<QueuedRequest>) {
        let (requests, queue) = mpsc::channel(WAITING);
        (RequestQueue(requests), queue)
    }

    /// Puts a request in and waits for its answer. None if it has no answer, or the control thread has ended.
    pub(super) async fn ask(&self, peer: SocketAddr, incoming: Incoming) -> Option<Vec<u8>> {
        let (answer, answered) = oneshot::channel();
        let request = QueuedRequest {
            peer,
            incoming,
            answer,
        };
        self.0.send(request).await.ok()?;
        answered.await.ok()?
    }
}

impl QueuedRequest {
    /// Gives the answer; none is an answer too.
    pub fn answer(self, answer: Option<Vec<u8>>) {
        // Whoever asked may be gone.
        let _ = self.answer.send(answer);
    }
}
