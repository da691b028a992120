//! The way from the transports to the control thread: each connection is a task of its own, signalling is one.
//!
//! UDP does without it: the control thread reads those sockets itself.

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};

/// How many questions may wait. Connections beyond that wait with theirs, and are not read meanwhile.
const WAITING: usize = 256;

/// Where transports hand in what arrived. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Desk(mpsc::Sender<Question>);

/// Something that arrived, and waits for its answer.
#[derive(Debug)]
pub struct Question {
    /// Who asks.
    pub peer: SocketAddr,
    /// What.
    pub ask: Ask,
    answer: oneshot::Sender<Option<Vec<u8>>>,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A message of the ng protocol: cookie, space, body.
    Message(Vec<u8>),
    /// The body of a message that has no cookie.
    Body(Vec<u8>),
    /// A line of the CLI.
    Cli(String),
    /// The metrics page.
    Metrics,
}

impl Desk {
    /// A desk, and the end of it where questions come out.
    pub fn open() -> (Desk, mpsc::Receiver<Question>) {
        let (questions, queue) = mpsc::channel(WAITING);
        (Desk(questions), queue)
    }

    /// Asks, and waits for the answer. None if there is no answer to it, or nobody to give one any more.
    pub(super) async fn ask(&self, peer: SocketAddr, ask: Ask) -> Option<Vec<u8>> {
        let (answer, answered) = oneshot::channel();
        let question = Question { peer, ask, answer };
        self.0.send(question).await.ok()?;
        answered.await.ok()?
    }
}

impl Question {
    /// Gives the answer; none is an answer too.
    pub fn answer(self, answer: Option<Vec<u8>>) {
        // Whoever asked may be gone.
        let _ = self.answer.send(answer);
    }
}
