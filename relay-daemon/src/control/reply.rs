//! What the engine answered, as a response of the protocol.

use relay_common::ng::{Dictionary, Outcome, Response, Value};

use crate::call::{CommandError, Reply};
use crate::report;

/// The response to a command. `load_limit`: the client understands the result of that name.
pub(super) fn response(reply: Result<Reply, CommandError>, load_limit: bool) -> Response {
    match reply {
        Ok(reply) => success(reply),
        Err(error) => refusal(&error, load_limit),
    }
}

fn success(reply: Reply) -> Response {
    match reply {
        Reply::Sdp(sdp) => Response::ok().with("sdp", sdp),
        Reply::Done => Response::ok(),
        Reply::Warning(text) => Response::ok().warning(text),
        Reply::Statistics(call) => fields(report::query_reply(&call)),
        Reply::CallIds(ids) => {
            let ids: Vec<Value> = ids.iter().map(|id| Value::from(&*id.0)).collect();
            Response::ok().with("calls", ids)
        }
        Reply::Calls(calls, total) => {
            let rows: Vec<Value> = calls
                .iter()
                .map(|call| report::call_summary(call).into())
                .collect();
            Response::ok().with("calls", rows).with("total", total)
        }
        Reply::Show(call) => fields(report::call_details(&call)),
    }
}

fn refusal(error: &CommandError, load_limit: bool) -> Response {
    let text = error.to_string();
    if *error == CommandError::SessionLimit && load_limit {
        return Response::new(Outcome::LoadLimit(text.into()));
    }
    let response = Response::error(text);
    if *error == CommandError::Rewriting {
        // The reference adds the text that it made: none.
        return response.with("sdp", "");
    }
    response
}

fn fields(fields: Dictionary) -> Response {
    Response {
        fields,
        ..Response::ok()
    }
}
