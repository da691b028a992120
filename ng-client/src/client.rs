//! One request at a time: sent, sent again while no reply comes, and given up in the end.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use relay_common::ng::{self, BodyError, Dictionary, Format, Frame};
use tokio::net::{ToSocketAddrs, UdpSocket, lookup_host};
use tokio::time::{Instant, timeout_at};

/// How long a request is repeated before it is given up.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How long the first repetition waits; every further one waits twice as long as the one before it.
const FIRST_REPETITION: Duration = Duration::from_millis(250);

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    server: SocketAddr,
    timeout: Duration,
    cookie_prefix: u64,
    requests: u64,
}

/// Why a request brought no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's name leads to no address.
    #[error("cannot find the server: {0}")]
    NoAddress(#[source] io::Error),
    /// The server's host says that nobody listens there.
    #[error("nobody listens at {0}")]
    Refused(SocketAddr),
    /// Nothing came back.
    #[error("no answer from {server} within {} s", timeout.as_secs_f32())]
    NoAnswer {
        /// Who was asked.
        server: SocketAddr,
        /// How long an answer was waited for.
        timeout: Duration,
    },
    /// Sending or receiving failed.
    #[error("cannot talk to {server}: {source}")]
    Io {
        /// Who was asked.
        server: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
    /// The reply is no dictionary.
    #[error("the reply is broken: {0}")]
    BrokenReply(#[from] BodyError),
    /// The server refused the request.
    #[error("{reason}")]
    Rejected {
        /// Its reason.
        reason: String,
        /// The whole reply.
        reply: Dictionary,
    },
}

impl Client {
    /// A client of the server at an address. Nothing is sent yet.
    pub async fn connect(server: impl ToSocketAddrs) -> Result<Client, ClientError> {
        let mut found = lookup_host(server).await.map_err(ClientError::NoAddress)?;
        let nothing = || ClientError::NoAddress(io::ErrorKind::NotFound.into());
        let server = found.next().ok_or_else(nothing)?;
        let any = match server {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let io = |source| ClientError::Io { server, source };
        let socket = UdpSocket::bind(any).await.map_err(io)?;
        socket.connect(server).await.map_err(io)?;
        Ok(Client {
            socket,
            server,
            timeout: TIMEOUT,
            cookie_prefix: RandomState::new().build_hasher().finish(),
            requests: 0,
        })
    }

    /// Sets how long a request is repeated before it is given up; three seconds if it is not set.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Client {
        Client { timeout, ..self }
    }

    /// The server's address.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// Sends a request and waits for its reply. What is not `ok` or `pong` is an error.
    pub async fn request(&mut self, request: &Dictionary) -> Result<Dictionary, ClientError> {
        let reply = self.exchange(request).await?;
        let result = reply.find("result").and_then(|result| result.text());
        if matches!(result.as_deref(), Some("ok" | "pong")) {
            return Ok(reply);
        }
        let explanation = ["error-reason", "message"].iter().find_map(|key| reply.find(key));
        let reason = match explanation.and_then(|text| text.text()) {
            Some(text) => text.into_owned(),
            None => "the reply tells neither success nor a reason".to_owned(),
        };
        Err(ClientError::Rejected { reason, reply })
    }

    async fn exchange(&mut self, request: &Dictionary) -> Result<Dictionary, ClientError> {
        self.requests += 1;
        let cookie = format!("{:016x}_{}", self.cookie_prefix, self.requests);
        let cookie = cookie.as_bytes();
        let body = ng::encode(request, Format::Bencode);
        let datagram = Frame { cookie, body: &body }.join();

        let end = Instant::now() + self.timeout;
        let mut wait = FIRST_REPETITION;
        // The socket may still hold an earlier request's error: it is reported once, and says nothing of this one.
        let mut sent = self.socket.send(&datagram).await;
        if matches!(&sent, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused) {
            sent = self.socket.send(&datagram).await;
        }
        loop {
            sent.map_err(|error| self.failed(error))?;
            let next = end.min(Instant::now() + wait);
            match timeout_at(next, self.reply(cookie)).await {
                Ok(reply) => return reply,
                Err(_) if next == end => {
                    let (server, timeout) = (self.server, self.timeout);
                    return Err(ClientError::NoAnswer { server, timeout });
                }
                Err(_) => wait *= 2,
            }
            sent = self.socket.send(&datagram).await;
        }
    }

    /// The reply of a cookie. Others are late ones to requests that were given up.
    async fn reply(&self, cookie: &[u8]) -> Result<Dictionary, ClientError> {
        let mut buf = vec![0; 1 << 16];
        loop {
            let length = self
                .socket
                .recv(&mut buf)
                .await
                .map_err(|error| self.failed(error))?;
            match Frame::split(&buf[..length]) {
                Some(frame) if frame.cookie == cookie => return Ok(ng::decode(frame.body)?.1.into()),
                Some(_) | None => {}
            }
        }
    }

    fn failed(&self, source: io::Error) -> ClientError {
        ClientError::of(self.server, source)
    }
}

impl ClientError {
    /// What became of talking to a server.
    pub(crate) fn of(server: SocketAddr, source: io::Error) -> ClientError {
        if source.kind() == io::ErrorKind::ConnectionRefused {
            return ClientError::Refused(server);
        }
        ClientError::Io { server, source }
    }
}
