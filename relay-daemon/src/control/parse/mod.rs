//! Requests turned into commands, once: the only place that knows keys, flags and their spellings.

mod edits;
mod entries;
mod flag_string;
mod flags;
mod known;
mod media;
mod media_keys;
mod message;
mod options;
mod read;
mod secure;

use relay_common::ng::{Item, Request};

use crate::call::{CallId, Command, Delete, Fragment, Query, Signal, Tag};
use crate::config::Templates;
use crate::plan::KernelUse;

use super::notices::Notices;
use super::unbuilt::Unbuilt;

pub(super) use self::message::Message;

/// `limit` of `list` where a request names none.
const LIST_LIMIT: usize = 32;

/// `limit` of `relay calls` where a request names none.
const CALLS_LIMIT: usize = 100;

/// What a request asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// A sign of life.
    Ping,
    /// The daemon in numbers.
    Statistics,
    /// A line of the CLI.
    Cli(String),
    /// A command for the engine.
    Command {
        /// The command.
        command: Command,
        /// Whether the client understands the result `load limit`.
        load_limit: bool,
    },
    /// A command that is not built yet.
    Unbuilt(Unbuilt),
}

/// Why a request is refused before anybody is asked. The texts are those that the protocol's clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    /// No `command`.
    #[error("Dictionary contains no key \"command\"")]
    NoCommand,
    /// A command that nobody knows.
    #[error("Unrecognized command")]
    UnknownCommand,
    /// No `sdp`.
    #[error("No SDP body in message")]
    NoSdp,
    /// No `call-id`.
    #[error("No call-id in message")]
    NoCallId,
    /// No `from-tag`.
    #[error("No from-tag in message")]
    NoFromTag,
    /// No `to-tag`.
    #[error("No to-tag in message")]
    NoToTag,
    /// `list` with a `limit` below zero.
    #[error("No source-tag in message")]
    NoSourceTag,
    /// `limit` is negative.
    #[error("invalid limit, must be >= 0")]
    NegativeLimit,
    /// A key that takes a list or a dictionary holds something else.
    #[error("wrong type used")]
    WrongType,
    /// `sdp-attr` or `sdp-media-remove` for a section that is none.
    #[error("unsupported sdp section")]
    UnknownSection,
    /// What `sdp-attr` has for a section is no dictionary.
    #[error("wrong content given")]
    WrongContent,
    /// `sdp-attr` with a change that is none.
    #[error("unknown manipulation command")]
    UnknownChange,
    /// `block DTMF` with `trigger`.
    #[error("DTMF triggers are not supported yet")]
    NoTriggers,
    /// The CLI is to be asked, and nothing is said.
    #[error("No 'body' in message")]
    NoBody,
    /// `relay kernel` without a `state`.
    #[error("state must be \"on\" or \"off\"")]
    NoState,
}

/// What a request asks for. Unknown keys, flags and values are passed over, with a notice.
pub(super) fn asked(
    request: &Request<'_>,
    templates: &Templates,
    notices: &mut Notices,
) -> Result<Asked, RequestError> {
    let name = request.command().ok_or(RequestError::NoCommand)?;
    if name == "ping" {
        return Ok(Asked::Ping);
    }
    if name == "statistics" {
        return Ok(Asked::Statistics);
    }
    if matches!(&*name, "cli" | "CLI") {
        let line = request.find("body").and_then(Item::text);
        let line = line.filter(|line| !line.is_empty()).ok_or(RequestError::NoBody)?;
        return Ok(Asked::Cli(line.into_owned()));
    }
    if let Some(command) = Unbuilt::find(&name) {
        let message = Message::read(request, templates, notices);
        if let Some(error) = message.error {
            return Err(error);
        }
        return Unbuilt::check(command, &message).map(Asked::Unbuilt);
    }
    let build = match &*name {
        name if let Some(build) = media::find(name) => build,
        "offer" => offer,
        "answer" => answer,
        "delete" => delete,
        "query" => query,
        "list" => list,
        "relay calls" => calls,
        "relay show" => show,
        "relay kernel" => kernel,
        _ => return Err(RequestError::UnknownCommand),
    };
    let mut message = Message::read(request, templates, notices);
    let reads_only = matches!(&*name, "query" | "list") || name.starts_with("relay ");
    if let Some(error) = message.error.take().filter(|_| !reads_only) {
        return Err(error);
    }
    let load_limit = message.load_limit;
    let command = build(message)?;
    Ok(Asked::Command { command, load_limit })
}

fn offer(message: Message) -> Result<Command, RequestError> {
    let is_fragment = message.fragment;
    let signal = signal(message)?;
    if is_fragment {
        return Ok(Command::Fragment(Fragment {
            call_id: signal.call_id,
            from_tag: signal.from_tag,
            sdp: signal.sdp,
        }));
    }
    Ok(Command::Offer(Box::new(signal)))
}

fn answer(message: Message) -> Result<Command, RequestError> {
    let to_tag = message.to_tag.clone();
    let mut signal = signal(message)?;
    signal.to_tag = Some(to_tag.as_deref().map(Tag::from).ok_or(RequestError::NoToTag)?);
    Ok(Command::Answer(Box::new(signal)))
}

/// What offer and answer have in common. The order of the checks is the reference's.
fn signal(message: Message) -> Result<Signal, RequestError> {
    let sdp = message.sdp.ok_or(RequestError::NoSdp)?;
    let call_id = message.call_id.ok_or(RequestError::NoCallId)?;
    let from_tag = message.from_tag.ok_or(RequestError::NoFromTag)?;
    Ok(Signal {
        call_id: CallId::from(&*call_id),
        from_tag: Tag::from(&*from_tag),
        to_tag: given(message.to_tag.as_deref()),
        via_branch: given(message.via_branch.as_deref()),
        sdp,
        options: message.options,
    })
}

fn delete(message: Message) -> Result<Command, RequestError> {
    Ok(Command::Delete(Delete {
        call_id: message.call_id()?,
        from_tag: given(message.from_tag.as_deref()),
        to_tag: given(message.to_tag.as_deref()).filter(|_| message.to_tag_counts),
        via_branch: given(message.via_branch.as_deref()),
        delay: message.delete_delay,
        fatal: message.fatal,
        fast: message.fast,
    }))
}

fn query(message: Message) -> Result<Command, RequestError> {
    Ok(Command::Query(Query {
        call_id: message.call_id()?,
        from_tag: given(message.from_tag.as_deref()),
        to_tag: given(message.to_tag.as_deref()),
    }))
}

fn list(message: Message) -> Result<Command, RequestError> {
    let limit = message.limit.map_or(Ok(LIST_LIMIT), usize::try_from);
    let limit = limit.map_err(|_| RequestError::NegativeLimit)?;
    Ok(Command::List { limit })
}

fn calls(message: Message) -> Result<Command, RequestError> {
    let limit = message.limit.map_or(Ok(CALLS_LIMIT), usize::try_from);
    let limit = limit.map_err(|_| RequestError::NegativeLimit)?;
    let offset = message.offset;
    Ok(Command::Calls { offset, limit })
}

fn show(message: Message) -> Result<Command, RequestError> {
    message.call_id().map(Command::Show)
}

fn kernel(message: Message) -> Result<Command, RequestError> {
    let call_id = message.call_id()?;
    let kernel = match message.state.as_deref() {
        Some("on") => KernelUse::Allowed,
        Some("off") => KernelUse::SwitchedOff,
        Some(_) | None => return Err(RequestError::NoState),
    };
    Ok(Command::Kernel(call_id, kernel))
}

/// A tag or branch; an empty one counts as none.
pub(super) fn given<T: for<'a> From<&'a str>>(text: Option<&str>) -> Option<T> {
    text.filter(|text| !text.is_empty()).map(T::from)
}

#[cfg(test)]
mod tests;
