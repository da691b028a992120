//! Requests, as dictionaries: whatever else a request is to say is pushed on to them.

use relay_common::ng::Dictionary;

/// `ping`.
pub fn ping() -> Dictionary {
    named("ping")
}

/// `offer`; `from_tag` is the tag of whoever makes it.
pub fn offer(call_id: &str, from_tag: &str, sdp: &str) -> Dictionary {
    let mut command = on_call("offer", call_id);
    command.push("from-tag", from_tag);
    command.push("sdp", sdp);
    command
}

/// `answer`, with the tags of the offer: the SDP is that of the `to_tag` side.
pub fn answer(call_id: &str, from_tag: &str, to_tag: &str, sdp: &str) -> Dictionary {
    let mut command = on_call("answer", call_id);
    command.push("from-tag", from_tag);
    command.push("to-tag", to_tag);
    command.push("sdp", sdp);
    command
}

/// `delete`: the whole call, unless tags or a branch are added.
pub fn delete(call_id: &str) -> Dictionary {
    on_call("delete", call_id)
}

/// `query`.
pub fn query(call_id: &str) -> Dictionary {
    on_call("query", call_id)
}

/// `list`: at most so many call-ids.
pub fn list(limit: usize) -> Dictionary {
    let mut command = named("list");
    command.push("limit", limit);
    command
}

/// `relay calls`: at most `limit` calls, the oldest `offset` ones left out.
pub fn calls(offset: usize, limit: usize) -> Dictionary {
    let mut command = named("relay calls");
    command.push("offset", offset);
    command.push("limit", limit);
    command
}

/// `statistics`: the relay in numbers.
pub fn statistics() -> Dictionary {
    named("statistics")
}

/// `relay show`: one call in detail.
pub fn show(call_id: &str) -> Dictionary {
    on_call("relay show", call_id)
}

/// `relay kernel`: whether the media of a call may be relayed in the kernel.
pub fn kernel(call_id: &str, allowed: bool) -> Dictionary {
    let mut command = on_call("relay kernel", call_id);
    command.push("state", if allowed { "on" } else { "off" });
    command
}

fn on_call(name: &str, call_id: &str) -> Dictionary {
    let mut command = named(name);
    command.push("call-id", call_id);
    command
}

fn named(name: &str) -> Dictionary {
    let mut command = Dictionary::new();
    command.push("command", name);
    command
}
