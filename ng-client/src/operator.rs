//! The CLI port of a relay: one line over TCP, answered with text, and the connection ends.

use std::io;
use std::time::Duration;

use relay_common::ng::octets;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs, lookup_host};
use tokio::time::timeout;

use crate::ClientError;

/// The longest answer, bytes: a line for each of some hundred thousand calls.
const MAX_ANSWER: u64 = 64 << 20;

/// Has a relay do what a line says, as an operator types it, and gives back its answer. `patience` is for all of it.
pub async fn operate(
    server: impl ToSocketAddrs,
    line: &str,
    patience: Duration,
) -> Result<String, ClientError> {
    let mut found = lookup_host(server).await.map_err(ClientError::NoAddress)?;
    let nothing = || ClientError::NoAddress(io::ErrorKind::NotFound.into());
    let server = found.next().ok_or_else(nothing)?;
    let exchange = async {
        let mut connection = TcpStream::connect(server).await?;
        // A line break would begin a second line.
        let line = line.replace(['\r', '\n'], " ");
        connection
            .write_all(&octets::into_bytes(format!("{line}\n")))
            .await?;
        let mut answer = Vec::new();
        connection.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        Ok(octets::into_text(answer))
    };
    match timeout(patience, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(ClientError::of(server, source)),
        Err(_) => Err(ClientError::NoAnswer {
            server,
            timeout: patience,
        }),
    }
}
