//! What is asked for by path.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, http};
use percent_encoding::percent_decode_str;
use relay_common::ng::{MAX_MESSAGE, octets};
use tokio::time::timeout;

use super::super::connections::PATIENCE;
use super::super::queue::{Incoming, RequestQueue};
use super::{Client, websocket};

/// The type of messages of the ng protocol.
const NG: &str = "application/x-rtpengine-ng";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// What scripts in browsers may do.
const CORS: [(http::HeaderName, &str); 4] = [
    (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (ACCESS_CONTROL_MAX_AGE, "86400"),
    (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
    (ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
];

/// All paths.
pub(super) fn router(queue: RequestQueue) -> Router {
    Router::new()
        .route("/ping", get(|| async { ([(CONTENT_TYPE, TEXT)], "pong\n") }))
        .route("/ng", post(ng))
        .route("/ng-plain", post(ng_plain))
        .route("/metrics", get(metrics))
        .route("/cli/", get(cli_path))
        .route("/cli/{*line}", get(cli_path))
        .route("/cli", post(cli_body))
        .with_state(queue.clone())
        .layer(DefaultBodyLimit::max(MAX_MESSAGE))
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .layer(middleware::from_fn_with_state(queue, websocket::upgrade))
        .layer(middleware::from_fn(surround))
}

/// What all requests have in common: they end in time, and browsers may make them.
async fn surround(request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::OK.into_response()
    } else {
        let response = timeout(PATIENCE, next.run(request)).await;
        response.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
    };
    for (name, value) in CORS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn ng(
    State(queue): State<RequestQueue>,
    Extension(Client(peer)): Extension<Client>,
    headers: HeaderMap,
    message: Bytes,
) -> Response {
    if content_type(&headers) != Some(NG) {
        return not_found().await;
    }
    match queue.ask(peer, Incoming::Message(message.into())).await {
        Some(reply) => ([(CONTENT_TYPE, NG)], reply).into_response(),
        None => (StatusCode::BAD_REQUEST, "The message has no cookie\n").into_response(),
    }
}

async fn ng_plain(
    State(queue): State<RequestQueue>,
    Extension(Client(peer)): Extension<Client>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // The reply goes by the type of the request, whatever its body is.
    let reply_type = match content_type(&headers) {
        Some(NG) => NG,
        Some(JSON) => JSON,
        Some(_) | None => return not_found().await,
    };
    match queue.ask(peer, Incoming::Body(body.into())).await {
        Some(reply) => ([(CONTENT_TYPE, reply_type)], reply).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn cli_path(
    State(queue): State<RequestQueue>,
    Extension(Client(peer)): Extension<Client>,
    uri: Uri,
) -> Response {
    // Of the path as it was sent: a space is a plus sign, and a plus sign is %2B.
    let line = uri.path().strip_prefix("/cli/").unwrap_or_default();
    let line = line.replace('+', " ");
    let line: Vec<u8> = percent_decode_str(&line).collect();
    cli(&queue, peer, octets::into_text(line)).await
}

async fn cli_body(
    State(queue): State<RequestQueue>,
    Extension(Client(peer)): Extension<Client>,
    headers: HeaderMap,
    line: Bytes,
) -> Response {
    if content_type(&headers) != Some(TEXT) {
        return not_found().await;
    }
    cli(&queue, peer, octets::text(&line).into_owned()).await
}

async fn cli(queue: &RequestQueue, peer: SocketAddr, line: String) -> Response {
    match queue.ask(peer, Incoming::Cli(line)).await {
        Some(text) => ([(CONTENT_TYPE, TEXT)], text).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn metrics(State(queue): State<RequestQueue>, Extension(Client(peer)): Extension<Client>) -> Response {
    const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
    match queue.ask(peer, Incoming::Metrics).await {
        Some(page) => ([(CONTENT_TYPE, TEXT_FORMAT)], page).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The type of a request's body, without parameters.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}

/// What a client gets for any other path, method or type.
async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, [(CONTENT_TYPE, TEXT)], "not found\n").into_response()
}
