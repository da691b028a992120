//! ng over TCP: the messages of UDP, one after the other. Each is answered before the next is looked at.

use std::io;
use std::net::SocketAddr;

use relay_common::ng::{SplitError, Splitter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::connections::{IDLE, PATIENCE, listen, part};
use super::queue::{Incoming, RequestQueue};

/// How many bytes are read at a time.
const PIECE: usize = 16 << 10;

/// Serves the ng protocol at TCP addresses, for as long as the runtime lives. Gives back the addresses, with the
/// ports that were chosen where zero was asked for; the error names the address.
pub fn serve_ng(addresses: &[SocketAddr], queue: &RequestQueue) -> io::Result<Vec<SocketAddr>> {
    let queue = queue.clone();
    listen(addresses, move |stream, peer| {
        let connection = Connection {
            stream,
            peer,
            queue: queue.clone(),
        };
        connection.serve()
    })
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    queue: RequestQueue,
}

/// Why a connection ends before its peer ends it.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Split(#[from] SplitError),
    #[error("silent for too long")]
    Silent,
    #[error("the daemon ends")]
    NoAnswer,
}

impl Connection {
    async fn serve(mut self) {
        match self.converse().await {
            Ok(()) => {}
            Err(Ended::Io(error)) => tracing::debug!(peer = %self.peer, %error, "ng connection lost"),
            Err(error) => tracing::info!(peer = %self.peer, %error, "ng connection closed"),
        }
    }

    async fn converse(&mut self) -> Result<(), Ended> {
        let mut splitter = Splitter::default();
        let mut piece = vec![0; PIECE];
        // Whoever has sent nothing sensible yet may not stay for long.
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            let read = timeout_at(deadline, self.stream.read(&mut piece)).await;
            let length = read.map_err(|_| Ended::Silent)??;
            if length == 0 {
                return Ok(());
            }
            let was_empty = splitter.is_empty();
            splitter.push(&piece[..length]);
            let answered = self.answer_all(&mut splitter).await?;
            deadline = match (splitter.is_empty(), answered) {
                (true, 0) => deadline,
                (true, _) => Instant::now() + IDLE,
                (false, 0) if !was_empty => deadline,
                (false, _) => Instant::now() + PATIENCE,
            };
        }
    }

    /// Answers the messages that are whole, and tells how many they were.
    async fn answer_all(&mut self, splitter: &mut Splitter) -> Result<usize, Ended> {
        let mut answered = 0;
        loop {
            match splitter.next_message() {
                Ok(Some(message)) => self.answer(message).await?,
                Ok(None) => return Ok(answered),
                Err(SplitError::Broken(message)) => {
                    self.answer(message.clone()).await?;
                    part(&mut self.stream).await;
                    return Err(SplitError::Broken(message).into());
                }
                Err(error) => return Err(error.into()),
            }
            answered += 1;
        }
    }

    async fn answer(&mut self, message: Vec<u8>) -> Result<(), Ended> {
        let answer = self.queue.ask(self.peer, Incoming::Message(message)).await;
        let reply = answer.ok_or(Ended::NoAnswer)?;
        Ok(self.stream.write_all(&reply).await?)
    }
}
