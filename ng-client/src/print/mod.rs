//! Replies, as a person reads them.

mod calls;
mod show;
mod tree;
mod view;

use std::io::Write;

use ng_client::Dictionary;

use crate::args::{Args, Command};

/// Prints the reply to a command that went well.
pub(crate) fn reply(args: &Args, reply: &Dictionary) {
    if args.json {
        return json(reply);
    }
    let text = match &args.command {
        Command::Ping => "pong\n".to_owned(),
        Command::Offer(_) | Command::Answer(_) => view::text(reply, "sdp").into_owned(),
        Command::Delete { .. } | Command::Query { .. } => tree::text(reply),
        Command::List { .. } => view::lines(reply, "calls"),
        Command::Calls { offset, .. } => calls::table(reply, *offset),
        Command::Show { .. } => show::text(reply),
        Command::Kernel { .. } => String::new(),
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

/// Writes to standard output. Whoever reads it may have seen enough and be gone: that is no error.
fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
