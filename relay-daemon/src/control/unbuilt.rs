//! Commands of the reference that are not built yet. They are recognised, their arguments are checked as the
//! reference checks them, and they say that they are not supported.

use relay_common::ng::Response;

use crate::call::{CallId, Command, Query, Reply};

use super::Engine;
use super::parse::{Message, RequestError};

/// What is known of a command that is not built yet.
#[derive(Debug)]
pub(super) struct Rules {
    name: &'static str,
    /// Whether it is about a call, which must exist.
    needs_call: bool,
    then: Then,
}

/// A request for a command that is not built yet, its keys checked.
#[derive(Debug)]
pub(super) struct Unbuilt {
    rules: &'static Rules,
    call: Option<CallId>,
}

/// What happens if nothing is wrong with a request.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// An error that names the command.
    Refuse,
    /// `ok`, and a line in the log: so the reference answers recording commands while none is configured.
    Accept,
}

/// The rules of a command, if it is one of these.
pub(super) fn find(command: &str) -> Option<&'static Rules> {
    COMMANDS.iter().find(|rules| rules.name == command)
}

const COMMANDS: &[Rules] = &[
    recording("start recording"),
    recording("stop recording"),
    recording("pause recording"),
    anywhere("cli"),
    anywhere("CLI"),
];

const fn anywhere(name: &'static str) -> Rules {
    Rules {
        name,
        needs_call: false,
        then: Then::Refuse,
    }
}

const fn recording(name: &'static str) -> Rules {
    Rules {
        name,
        needs_call: true,
        then: Then::Accept,
    }
}

impl Rules {
    /// Checks what can be told from the request alone.
    pub(super) fn check(&'static self, message: &Message) -> Result<Unbuilt, RequestError> {
        let call = message.call_id.as_deref().map(CallId::from);
        match self.needs_call && call.is_none() {
            true => Err(RequestError::NoCallId),
            false => Ok(Unbuilt { rules: self, call }),
        }
    }
}

impl Unbuilt {
    /// Checks what must exist, and answers.
    pub(super) fn respond(&self, engine: &mut dyn Engine) -> Response {
        let rules = self.rules;
        if let Some(call) = &self.call
            && rules.needs_call
            && !exists(call, engine)
        {
            return Response::error("Unknown call-id");
        }
        match rules.then {
            Then::Refuse => Response::error(format!("Command not supported yet: {}", rules.name)),
            Then::Accept => {
                tracing::warn!(
                    command = rules.name,
                    "answered, but not done: recording is not supported yet"
                );
                Response::ok()
            }
        }
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
