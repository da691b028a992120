//! HTTP and WebSocket.
//!
//! ```text
//! POST /ng         COOKIE SP body, application/x-rtpengine-ng
//! POST /ng-plain   body alone, application/x-rtpengine-ng or application/json
//! GET /ping        "pong"
//! GET /metrics     for Prometheus
//! GET /cli/LINE    a line of the CLI, "+" for spaces
//! POST /cli        the same, text/plain
//! WebSocket        on any path, by subprotocol: ng.rtpengine.com, ng-plain.rtpengine.com, cli.rtpengine.com,
//!                  echo.rtpengine.com
//! ```

mod routes;
mod tls;
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use openssl::ssl::SslAcceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::connections::{PATIENCE, listen};
use super::queue::RequestQueue;

pub use tls::TlsError;

/// The most bytes that a request's header may have.
const LONGEST_HEADER: usize = 16 << 10;

/// Serves HTTP at TCP addresses, for as long as the runtime lives. Gives back the addresses, with the ports that
/// were chosen where zero was asked for; the error names the address.
///
/// `idle` is how long a connection may be silent between two requests; by default as long as a request may take.
pub fn serve_http(
    addresses: &[SocketAddr],
    idle: Option<Duration>,
    queue: &RequestQueue,
) -> io::Result<Vec<SocketAddr>> {
    let router = routes::router(queue.clone());
    listen(addresses, move |stream, peer| {
        serve(stream, peer, router.clone(), idle)
    })
}

/// The same over TLS.
pub fn serve_https(
    addresses: &[SocketAddr],
    acceptor: SslAcceptor,
    idle: Option<Duration>,
    queue: &RequestQueue,
) -> io::Result<Vec<SocketAddr>> {
    let router = routes::router(queue.clone());
    listen(addresses, move |stream, peer| {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        async move {
            if let Some(stream) = tls::accept(&acceptor, stream, peer).await {
                serve(stream, peer, router, idle).await;
            }
        }
    })
}

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
struct Client(SocketAddr);

async fn serve<S>(stream: S, peer: SocketAddr, router: Router, idle: Option<Duration>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Client(peer));
        router.clone().call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // Counts between two requests of a connection as well.
        .header_read_timeout(idle.unwrap_or(PATIENCE))
        .max_buf_size(LONGEST_HEADER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "HTTP connection lost");
    }
}
