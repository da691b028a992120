//! The control side: listeners, the cookie cache, and requests turned into commands, once.
//!
//! ```text
//! datagram -> Listener -> Control::handle -> cookie cache -> parse -> engine -> reply -> Listener
//! ```
//!
//! Everything but the [`Listener`] is pure: time and the engine are passed in.

mod cookies;
mod notices;
mod parse;
mod reply;
mod udp;
mod unbuilt;

pub use udp::{Listener, Peer};

use std::error::Error;

use relay_common::ng::{Format, Frame, Item, MAX_DATAGRAM, Request, Response};

use crate::call::{Command, CommandError, Reply};
use crate::clock::Time;
use crate::config::Templates;

use self::cookies::{Cookies, Known};
use self::notices::Notices;
use self::parse::Asked;

/// What carries out commands: [`crate::call::Calls`] and the driver around it, or a table in tests.
pub type Engine<'a> = dyn FnMut(Command) -> Result<Reply, CommandError> + 'a;

/// Answers messages of the ng protocol.
#[derive(Debug, Default)]
pub struct Control {
    templates: Templates,
    cookies: Cookies,
    notices: Notices,
}

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
    /// A repeated cookie gets the stored reply again, whatever else the datagram says. There is no reply to a
    /// datagram without a cookie, and none to one whose cookie is that of a request still in work: the reply to
    /// that one serves both.
    pub fn handle(&mut self, now: Time, datagram: &[u8], engine: &mut Engine<'_>) -> Option<Vec<u8>> {
        let frame = Frame::split(datagram)?;
        match self.cookies.begin(now, frame.cookie) {
            Known::Answered(reply) => return Some(reply.to_vec()),
            Known::InWork => return None,
            Known::New => {}
        }
        let reply = self.answer(frame, engine);
        self.cookies.finish(frame.cookie, &reply);
        Some(reply)
    }

    fn answer(&mut self, frame: Frame<'_>, engine: &mut Engine<'_>) -> Vec<u8> {
        let cookie = frame.cookie;
        let format = Format::of(frame.body).unwrap_or_default();
        let encode = |response: Response| {
            let body = response.encode(format);
            Frame { cookie, body: &body }.join()
        };
        let reply = encode(self.respond(frame.body, engine));
        if reply.len() <= MAX_DATAGRAM {
            return reply;
        }
        encode(Response::error(format!(
            "Reply of {} bytes is too large for a datagram",
            reply.len()
        )))
    }

    fn respond(&mut self, body: &[u8], engine: &mut Engine<'_>) -> Response {
        let request = match Request::parse(body) {
            Ok(request) => request,
            Err(error) => {
                let detail = error.source().map(ToString::to_string);
                tracing::warn!(%error, detail, "request refused");
                return Response::error(error.to_string());
            }
        };
        let name = request.command();
        let name = name.as_deref();
        match parse::asked(&request, &self.templates, &mut self.notices) {
            Ok(Asked::Ping) => Response::pong(),
            Ok(Asked::Command { command, load_limit }) => {
                let call_id = request.find("call-id").and_then(Item::text);
                let call_id = call_id.as_deref();
                let reply = engine(command);
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
