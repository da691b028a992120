//! Replies, as a person reads them.

mod calls;
mod rates;
mod show;
mod tree;
mod view;

use std::io::Write;

use ng_client::{Dictionary, octets};

use crate::args::{Args, Request};

pub(crate) use self::rates::Rates;

/// Prints the reply to a command that went well.
pub(crate) fn reply(args: &Args, command: &Request, reply: &Dictionary) {
    if args.json {
        return json(reply);
    }
    let text = match command {
        Request::Ping => "pong\n".to_owned(),
        Request::Offer(_) | Request::Answer(_) => view::text(reply, "sdp").into_owned(),
        Request::Delete { .. } | Request::Query { .. } => tree::text(reply),
        Request::List { .. } => view::lines(reply, "calls"),
        Request::Calls { offset, .. } => calls::table(reply, *offset),
        Request::Show { .. } => show::text(reply),
        Request::Kernel { .. } => String::new(),
    };
    out(&text);
    if reply.find("warning").is_some() {
        eprintln!(
            "ng-client: warning: {}",
            view::printable(&view::text(reply, "warning"))
        );
    }
}

/// Prints a reply as JSON.
pub(crate) fn json(reply: &Dictionary) {
    out(&format!("{:#}\n", reply.to_json()));
}

/// Writes to standard output. Whoever reads it may have seen enough and be gone: that is no error. Says whether somebody
/// still reads.
pub(crate) fn out(text: &str) -> bool {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(&octets::bytes(text))
        .and_then(|()| stdout.flush())
        .is_ok()
}
