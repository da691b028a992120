//! WebSocket (RFC 6455): a message in, a message out.

use std::net::SocketAddr;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::http::header::UPGRADE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use relay_common::ng::{MAX_MESSAGE, octets};
use tokio::time::timeout;

use super::super::connections::IDLE;
use super::super::queue::{Incoming, RequestQueue};
use super::Client;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subprotocol {
    /// Messages with a cookie.
    Ng,
    /// Messages without one.
    NgPlain,
    /// Lines of the CLI.
    Cli,
    /// Every message comes back.
    Echo,
}

const SUBPROTOCOLS: [(&str, Subprotocol); 4] = [
    ("ng.rtpengine.com", Subprotocol::Ng),
    ("ng-plain.rtpengine.com", Subprotocol::NgPlain),
    ("cli.rtpengine.com", Subprotocol::Cli),
    ("echo.rtpengine.com", Subprotocol::Echo),
];

/// Takes requests for a WebSocket out of the others, whatever their path.
pub(super) async fn upgrade(
    State(queue): State<RequestQueue>,
    Extension(Client(peer)): Extension<Client>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
    next: Next,
) -> Response {
    let upgrade = request.headers().get(UPGRADE);
    if !upgrade.is_some_and(|wanted| wanted.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return next.run(request).await;
    }
    let socket = match socket {
        Ok(socket) => socket.protocols(SUBPROTOCOLS.map(|(name, _)| name)),
        Err(rejection) => return rejection.into_response(),
    };
    let chosen = socket.selected_protocol().and_then(|chosen| {
        let mut known = SUBPROTOCOLS.into_iter();
        known.find(|(name, _)| chosen.as_bytes() == name.as_bytes())
    });
    let Some((_, subprotocol)) = chosen else {
        return (StatusCode::BAD_REQUEST, "No known subprotocol\n").into_response();
    };
    socket
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |socket| converse(socket, subprotocol, peer, queue))
}

async fn converse(mut socket: WebSocket, subprotocol: Subprotocol, peer: SocketAddr, queue: RequestQueue) {
    while let Ok(Some(Ok(message))) = timeout(IDLE, socket.recv()).await {
        let bytes = match message {
            Message::Text(text) => axum::body::Bytes::from(text),
            Message::Binary(bytes) => bytes,
            // The library answers pings.
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return,
        };
        let answer = match subprotocol {
            Subprotocol::Ng => queue.ask(peer, Incoming::Message(bytes.into())).await,
            Subprotocol::NgPlain => queue.ask(peer, Incoming::Body(bytes.into())).await,
            Subprotocol::Cli => {
                let line = octets::text(&bytes).into_owned();
                queue.ask(peer, Incoming::Cli(line)).await
            }
            // Nothing comes back of nothing.
            Subprotocol::Echo => (!bytes.is_empty()).then(|| bytes.into()),
        };
        let Some(answer) = answer else {
            // As over UDP: there is no answer to what has no cookie.
            continue;
        };
        // Scripts in browsers go by that it is binary, whatever was sent.
        if socket.send(Message::Binary(answer.into())).await.is_err() {
            return;
        }
    }
}
