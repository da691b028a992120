//! The control side: listeners, the cookie cache, and requests turned into commands, once.
//!
//! ```text
//! datagram -> Listener -> Control::handle -> cookie cache -> parse -> engine -> reply -> Listener
//! connection -> task -> RequestQueue -> the same -> task -> connection
//! ```
//!
//! [`Control`] is pure: time and the engine are passed in. The [`Listener`] belongs to the control thread; connections
//! ([`serve_ng`], [`serve_http`], [`serve_cli`]) are tasks of their own, which ask it through a [`RequestQueue`].

mod cli_port;
mod connections;
mod cookies;
mod http;
mod notices;
mod parse;
mod queue;
mod redact;
mod reply;
mod tcp;
mod udp;
mod unbuilt;

pub use cli_port::serve_cli;
pub use http::{TlsError, serve_http, serve_https};
pub use queue::{Incoming, QueuedRequest, RequestQueue};
pub use tcp::serve_ng;
pub use udp::{Listener, Peer};

use std::borrow::Cow;
use std::error::Error;

use relay_common::ng::{Dictionary, Format, Frame, MAX_DATAGRAM, Outcome, Request, Response, octets};

use crate::call::{Command, CommandError, Reply};
use crate::clock::Time;
use crate::config::Templates;
use crate::logging;
use crate::report::RequestKind;

use self::cookies::{Cookies, Known};
use self::notices::Notices;
use self::parse::Asked;

/// What carries out requests: the control thread with all that it owns.
pub trait Engine {
    /// Carries out a command of signalling.
    fn run(&mut self, command: Command) -> Result<Reply, CommandError>;

    /// What `statistics` tells.
    fn statistics(&mut self) -> Dictionary;

    /// Does what a line of the CLI asks for: the answer.
    fn cli(&mut self, line: &str) -> String;

    /// Whether what is said about a call is to be logged in full.
    fn is_debugged(&self, call_id: &str) -> bool;

    /// A request has arrived that was not answered before.
    fn arrived(&mut self);

    /// A request of this kind, if it is one that is counted, was answered; perhaps with an error.
    fn answered(&mut self, kind: Option<RequestKind>, failed: bool);
}

/// A function carries out commands alone. It has no statistics and no CLI.
impl<F: FnMut(Command) -> Result<Reply, CommandError>> Engine for F {
    fn run(&mut self, command: Command) -> Result<Reply, CommandError> {
        self(command)
    }

    fn statistics(&mut self) -> Dictionary {
        Dictionary::new()
    }

    fn cli(&mut self, _: &str) -> String {
        String::new()
    }

    fn is_debugged(&self, _: &str) -> bool {
        false
    }

    fn arrived(&mut self) {}

    fn answered(&mut self, _: Option<RequestKind>, _: bool) {}
}

/// Answers messages of the ng protocol.
#[derive(Debug, Default)]
pub struct Control {
    templates: Templates,
    cookies: Cookies,
    notices: Notices,
}

/// The longest reply where no datagram sets a limit. The number of calls is the real one.
const MAX_REPLY: usize = 64 << 20;

impl Control {
    /// Answers messages whose options may come from templates.
    pub fn new(templates: Templates) -> Control {
        Control {
            templates,
            ..Control::default()
        }
    }

    /// Answers one datagram: the reply, cookie included.
    ///
    /// A repeated cookie gets the stored reply again, whatever else the message says. There is no reply to a
    /// message without a cookie, and none to one whose cookie is that of a request still in work: the reply to
    /// that one serves both.
    pub fn handle(&mut self, now: Time, datagram: &[u8], engine: &mut dyn Engine) -> Option<Cow<'_, [u8]>> {
        self.handle_within(MAX_DATAGRAM, now, datagram, engine)
    }

    /// Answers one message of a transport without a limit to the length of replies. The cookies of all transports are
    /// the same.
    pub fn handle_long(&mut self, now: Time, message: &[u8], engine: &mut dyn Engine) -> Option<Vec<u8>> {
        let reply = self.handle_within(MAX_REPLY, now, message, engine);
        reply.map(Cow::into_owned)
    }

    /// Answers a body that came without a cookie.
    pub fn handle_body(&mut self, body: &[u8], engine: &mut dyn Engine) -> Vec<u8> {
        self.respond(body, engine).encode(format_of(body))
    }

    fn handle_within(
        &mut self,
        limit: usize,
        now: Time,
        message: &[u8],
        engine: &mut dyn Engine,
    ) -> Option<Cow<'_, [u8]>> {
        let frame = Frame::split(message)?;
        let join = |body: &[u8]| {
            let cookie = frame.cookie;
            Frame { cookie, body }.join()
        };
        match self.cookies.begin(now, frame.cookie) {
            Known::Answered(length) if length > limit => {
                return Some(Cow::Owned(join(&too_large(frame, length))));
            }
            Known::Answered(_) => return self.cookies.reply(frame.cookie).map(Cow::Borrowed),
            Known::InWork => return None,
            Known::New => {}
        }
        let mut reply = join(&self.handle_body(frame.body, engine));
        if reply.len() > limit {
            reply = join(&too_large(frame, reply.len()));
        }
        self.cookies.finish(frame.cookie, reply);
        self.cookies.reply(frame.cookie).map(Cow::Borrowed)
    }

    fn respond(&mut self, body: &[u8], engine: &mut dyn Engine) -> Response {
        engine.arrived();
        let (kind, response) = match Request::parse(body) {
            Ok(request) => {
                let name = request.command();
                let call_id = request.call_id();
                // A call may be gone afterwards, or not be there before.
                let is_debugged = |engine: &dyn Engine| {
                    let call_id = call_id.as_deref();
                    call_id.is_some_and(|call_id| engine.is_debugged(call_id))
                };
                let was_debugged = is_debugged(engine);
                let response = self.carry_out(&request, name.as_deref(), engine);
                if was_debugged || is_debugged(engine) {
                    log_in_full(call_id.as_deref(), body, &response);
                }
                (name.as_deref().and_then(RequestKind::of), response)
            }
            Err(error) => {
                let detail = error.source().map(ToString::to_string);
                tracing::warn!(%error, detail, "request refused");
                (None, Response::error(error.to_string()))
            }
        };
        let failed = matches!(response.outcome, Outcome::Error(_));
        engine.answered(kind, failed);
        response
    }

    fn carry_out(&mut self, request: &Request<'_>, name: Option<&str>, engine: &mut dyn Engine) -> Response {
        match parse::asked(request, &self.templates, &mut self.notices) {
            Ok(Asked::Ping) => Response::pong(),
            Ok(Asked::Statistics) => Response::ok().with("statistics", engine.statistics()),
            Ok(Asked::Cli(line)) => Response::ok().with("response", engine.cli(&line)),
            Ok(Asked::Command { command, load_limit }) => {
                let call_id = request.call_id();
                let call_id = call_id.as_deref();
                let reply = engine.run(command);
                match &reply {
                    Ok(_) => tracing::debug!(command = name, call_id, "command done"),
                    Err(error) => {
                        let detail = error.source().map(ToString::to_string);
                        tracing::info!(command = name, call_id, %error, detail, "command refused");
                    }
                }
                reply::response(reply, load_limit)
            }
            Ok(Asked::Unbuilt(unbuilt)) => unbuilt.respond(engine),
            Err(error) => {
                tracing::warn!(command = name, %error, "request refused");
                Response::error(error.to_string())
            }
        }
    }
}

/// Logs a request and the response to it, whatever the level of debugging is otherwise. Keys and passwords are left out, so
/// lengths may be greater than what is there.
fn log_in_full(call_id: Option<&str>, request: &[u8], response: &Response) {
    let response = response.clone().encode(format_of(request));
    let [request, response] = [request, &response].map(octets::text);
    // Keys are shown to who has asked for them.
    let shows_keys = tracing::enabled!(target: logging::KEYS, tracing::Level::ERROR);
    let shown = |message| match shows_keys {
        true => Cow::Borrowed(message),
        false => redact::without_secrets(message),
    };
    let [request, response] = [shown(&*request), shown(&*response)];
    tracing::info!(call_id, ?request, ?response, "call is debugged");
}

/// The body of the reply in the place of one that is too large.
fn too_large(request: Frame<'_>, length: usize) -> Vec<u8> {
    Response::error(format!("Reply of {length} bytes is too large for a datagram"))
        .encode(format_of(request.body))
}

/// How a request is answered, also a broken one.
fn format_of(request: &[u8]) -> Format {
    Format::of(request).unwrap_or_default()
}
