//! The CLI port: a line in, text out, and the connection is over.

use std::io;
use std::net::SocketAddr;

use relay_common::ng::octets;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connections::{PATIENCE, listen, part};
use super::queue::{Incoming, RequestQueue};

/// The longest line, in bytes.
const LONGEST: usize = 4096;

/// Serves the CLI at TCP addresses, for as long as the runtime lives. Gives back the addresses, with the ports that
/// were chosen where zero was asked for; the error names the address.
pub fn serve_cli(addresses: &[SocketAddr], queue: &RequestQueue) -> io::Result<Vec<SocketAddr>> {
    let queue = queue.clone();
    listen(addresses, move |stream, peer| {
        let queue = queue.clone();
        async move {
            if let Err(error) = serve(stream, peer, &queue).await {
                tracing::debug!(%peer, %error, "CLI connection lost");
            }
        }
    })
}

async fn serve(mut stream: TcpStream, peer: SocketAddr, queue: &RequestQueue) -> io::Result<()> {
    let line = timeout(PATIENCE, read_line(&mut stream)).await??;
    let line = octets::into_text(line);
    if let Some(text) = queue.ask(peer, Incoming::Cli(line)).await {
        stream.write_all(&text).await?;
    }
    part(&mut stream).await;
    Ok(())
}

/// What comes before the first line end, or before the end of the stream.
async fn read_line(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Ok(line);
        }
        if line.len() > LONGEST {
            return Err(io::Error::other("the line is too long"));
        }
        if stream.read_buf(&mut line).await? == 0 {
            return Ok(line);
        }
    }
}
