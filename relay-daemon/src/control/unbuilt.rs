//! Recording commands: recognised, their arguments checked, answered as the reference answers while no recording
//! is configured, and not done.

use relay_common::ng::Response;

use crate::call::{CallId, Command, Query, Reply};

use super::Engine;
use super::parse::{Message, RequestError};

const COMMANDS: [&str; 3] = ["start recording", "stop recording", "pause recording"];

/// A request for a command that is not built yet, its keys checked.
#[derive(Debug)]
pub(super) struct Unbuilt {
    command: &'static str,
    call: CallId,
}

impl Unbuilt {
    /// The name of the command, if it is one of these.
    pub(super) fn find(command: &str) -> Option<&'static str> {
        COMMANDS.into_iter().find(|name| *name == command)
    }

    /// Checks what can be told from the request alone.
    pub(super) fn check(command: &'static str, message: &Message) -> Result<Unbuilt, RequestError> {
        let call = message.call_id.as_deref().map(CallId::from);
        let call = call.ok_or(RequestError::NoCallId)?;
        Ok(Unbuilt { command, call })
    }

    /// Checks that the call exists, and answers.
    pub(super) fn respond(&self, engine: &mut dyn Engine) -> Response {
        if !exists(&self.call, engine) {
            return Response::error("Unknown call-id");
        }
        let command = self.command;
        tracing::warn!(command, "answered, but not done: recording is not supported yet");
        Response::ok()
    }
}

/// Whether a call exists: a query shows it.
fn exists(call_id: &CallId, engine: &mut dyn Engine) -> bool {
    let query = Query {
        call_id: call_id.clone(),
        from_tag: None,
        to_tag: None,
    };
    matches!(engine.run(Command::Query(query)), Ok(Reply::Statistics(_)))
}
