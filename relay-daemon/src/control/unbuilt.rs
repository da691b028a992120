//! Commands of the reference that are not built yet. They are recognised, their arguments are checked as the
//! reference checks them, and they say that they are not supported.

use relay_common::ng::{Dictionary, Response, Value};

use crate::call::{CallId, Command, Query, Reply, Tag};
use crate::report;

use super::Engine;
use super::parse::{Message, RequestError, given};

/// What is known of a command that is not built yet.
#[derive(Debug)]
pub(super) struct Rules {
    name: &'static str,
    /// Keys that must be there, in the order in which they are missed.
    needs: &'static [Need],
    /// What is said if the call does not exist; none if it need not.
    unknown_call: Option<&'static str>,
    /// What is said if the party of the `to-tag` does not exist.
    unknown_party: Option<&'static str>,
    then: Then,
}

/// A request for a command that is not built yet, its keys checked.
#[derive(Debug)]
pub(super) struct Unbuilt {
    rules: &'static Rules,
    call: Option<CallId>,
    party: Option<Tag>,
}

/// A key that a command cannot do without.
#[derive(Clone, Copy, Debug)]
enum Need {
    Sdp,
    CallId,
    FromTag,
    ToTag,
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
    on_call("start forwarding", "Unknown call-id"),
    on_call("stop forwarding", "Unknown call-id"),
    on_call("block DTMF", "Unknown call-ID"),
    on_call("unblock DTMF", "Unknown call-ID"),
    on_call("block media", "Unknown call-ID"),
    on_call("unblock media", "Unknown call-ID"),
    on_call("silence media", "Unknown call-ID"),
    on_call("unsilence media", "Unknown call-ID"),
    on_call("play media", "Unknown call-ID"),
    on_call("stop media", "Unknown call-ID"),
    on_call("play DTMF", "Unknown call-ID"),
    on_call("subscribe request", "Unknown call-ID(s)"),
    Rules {
        needs: &[Need::CallId, Need::ToTag, Need::Sdp],
        ..on_party("subscribe answer", "Unknown call-ID")
    },
    on_party("unsubscribe", "Unknown call-ID"),
    on_party("inject start", "Unknown call-ID(s)"),
    on_party("inject stop", "Unknown call-ID(s)"),
    Rules {
        unknown_party: None,
        ..on_party("connect", "Unknown call-ID(s)")
    },
    Rules {
        needs: &[Need::Sdp],
        ..anywhere("publish")
    },
    anywhere("create"),
    Rules {
        needs: &[Need::CallId, Need::FromTag, Need::Sdp],
        ..on_call("create answer", "unknown call-ID")
    },
    anywhere("mesh"),
    anywhere("transform"),
    anywhere("cli"),
    anywhere("CLI"),
];

const fn anywhere(name: &'static str) -> Rules {
    Rules {
        name,
        needs: &[],
        unknown_call: None,
        unknown_party: None,
        then: Then::Refuse,
    }
}

const fn on_call(name: &'static str, unknown_call: &'static str) -> Rules {
    Rules {
        needs: &[Need::CallId],
        unknown_call: Some(unknown_call),
        ..anywhere(name)
    }
}

const fn on_party(name: &'static str, unknown_call: &'static str) -> Rules {
    Rules {
        needs: &[Need::CallId, Need::ToTag],
        unknown_party: Some("To-tag not found"),
        ..on_call(name, unknown_call)
    }
}

const fn recording(name: &'static str) -> Rules {
    Rules {
        then: Then::Accept,
        ..on_call(name, "Unknown call-id")
    }
}

impl Rules {
    /// Checks what can be told from the request alone.
    pub(super) fn check(&'static self, message: &Message) -> Result<Unbuilt, RequestError> {
        for need in self.needs {
            let (there, missing) = match need {
                Need::Sdp => (message.sdp.is_some(), RequestError::NoSdp),
                Need::CallId => (message.call_id.is_some(), RequestError::NoCallId),
                Need::FromTag => (message.from_tag.is_some(), RequestError::NoFromTag),
                Need::ToTag => (message.to_tag.is_some(), RequestError::NoToTag),
            };
            if !there {
                return Err(missing);
            }
        }
        Ok(Unbuilt {
            rules: self,
            call: message.call_id.as_deref().map(CallId::from),
            party: given(message.to_tag.as_deref()),
        })
    }
}

impl Unbuilt {
    /// Checks what must exist, and answers.
    pub(super) fn respond(&self, engine: &mut dyn Engine) -> Response {
        let rules = self.rules;
        if let Some(call) = &self.call {
            if let Some(unknown) = rules.unknown_call
                && !exists(call, None, engine)
            {
                return Response::error(unknown);
            }
            if let Some(unknown) = rules.unknown_party
                && !exists(call, self.party.as_ref(), engine)
            {
                return Response::error(unknown);
            }
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

/// Whether a call, or a party of it, exists: a query shows it.
fn exists(call_id: &CallId, tag: Option<&Tag>, engine: &mut dyn Engine) -> bool {
    let query = Query {
        call_id: call_id.clone(),
        from_tag: None,
        to_tag: tag.cloned(),
    };
    let Ok(Reply::Statistics(call)) = engine.run(Command::Query(query)) else {
        return false;
    };
    let nobody = Value::Dictionary(Dictionary::new());
    tag.is_none() || report::query_reply(&call).find("tags") != Some(&nobody)
}
