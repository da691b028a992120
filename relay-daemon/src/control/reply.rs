//! What the engine answered, as a response of the protocol.

use std::net::SocketAddr;

use relay_common::ng::{Dictionary, Outcome, Response, Value};

use crate::call::{CommandError, Reply, SubscribedMedia, Transformed};
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
        Reply::Own {
            call_id,
            from_tag,
            sdp,
        } => Response::ok()
            .with("call-id", &*call_id.0)
            .with("from-tag", &*from_tag.0)
            .with("sdp", sdp),
        Reply::Subscription {
            sdp,
            from_tags,
            is_single,
            to_tag,
            media,
        } => {
            let mut response = Response::ok().with("sdp", sdp);
            if let ([tag], true) = (&from_tags[..], is_single) {
                response = response.with("from-tag", &*tag.0);
            }
            let tags: Vec<Value> = from_tags.iter().map(|tag| Value::from(&*tag.0)).collect();
            response = response.with("from-tags", tags).with("to-tag", &*to_tag.0);
            match media {
                Some(media) => response
                    .with("tag-medias", tag_medias(&media))
                    .with("media-labels", media_labels(&media)),
                None => response,
            }
        }
        Reply::Transformed {
            call_id,
            from_tag,
            media,
        } => {
            let media: Vec<Value> = media.iter().map(transformed).collect();
            Response::ok()
                .with("call-id", &*call_id.0)
                .with("from-tag", &*from_tag.0)
                .with("media", media)
        }
        Reply::Done => Response::ok(),
        Reply::Stopped => Response::ok().with("last-frame-pos", 0_i64),
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

/// `[{tag, label?, medias: [{index, type, label, mode}]}]`, a section each, in their order.
fn tag_medias(media: &[SubscribedMedia]) -> Vec<Value> {
    let entry = |section: &SubscribedMedia| {
        let mut fields = Dictionary::new();
        fields.push("tag", &*section.tag.0);
        push_label(&mut fields, section.party_label.as_ref());
        fields.push("medias", vec![described(section).into()]);
        fields.into()
    };
    media.iter().map(entry).collect()
}

/// `{LABEL: {tag, index, type, label?, mode}}`, a section each.
fn media_labels(media: &[SubscribedMedia]) -> Dictionary {
    let mut labels = Dictionary::new();
    for section in media {
        let mut fields = Dictionary::new();
        fields.push("tag", &*section.tag.0);
        fields.push("index", section.index + 1);
        fields.push("type", section.kind.as_str());
        push_label(&mut fields, section.party_label.as_ref());
        fields.push("mode", section.direction.as_str());
        labels.push(section.label.clone().unwrap_or_default(), fields);
    }
    labels
}

fn described(section: &SubscribedMedia) -> Dictionary {
    let mut fields = Dictionary::new();
    fields.push("index", section.index + 1);
    fields.push("type", section.kind.as_str());
    push_label(&mut fields, section.label.as_ref());
    fields.push("mode", section.direction.as_str());
    fields
}

fn push_label(fields: &mut Dictionary, label: Option<&String>) {
    if let Some(label) = label {
        fields.push("label", label.as_str());
    }
}

fn transformed(media: &Transformed) -> Value {
    let mut fields = Dictionary::new();
    fields.push("id", media.id.as_str());
    let family = match media.address {
        SocketAddr::V4(_) => "IP4",
        SocketAddr::V6(_) => "IP6",
    };
    fields.push("family", family);
    fields.push("address", media.address.ip().to_string());
    fields.push("port", media.address.port());
    fields.into()
}

fn refusal(error: &CommandError, load_limit: bool) -> Response {
    let text = error.to_string();
    if let (CommandError::Limit(limit), true) = (error, load_limit) {
        return Response::new(Outcome::LoadLimit(limit.to_string().into()));
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
