//! The command line, and the request that it asks for.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use ng_client::{Dictionary, Value, command};

/// Sends commands of the ng control protocol to a relay, lists its calls and shows them.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_STATUS)]
pub(crate) struct Args {
    /// Where the relay listens (its option --listen-ng).
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:2223"
    )]
    pub(crate) server: String,
    /// Print the whole reply as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How long to wait for the reply, while the request is repeated.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub(crate) timeout: Duration,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0  the relay did what it was asked for
  1  the relay refused; its reason is on standard error (and with --json its reply on standard output)
  2  the command line is wrong, or a file that it names cannot be read
  3  nobody listens there, no reply came, or one that cannot be read";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Request(Request),
    /// Watch the calls: a table of them, packets per second and the kernel's share, again and again. On a terminal, q or
    /// Ctrl-C ends it.
    Watch(Watch),
    /// Have the relay carry out a line of its CLI, for instance "list totals"; prints the answer.
    Cli(Cli),
}

/// What is asked for once.
#[derive(Debug, Subcommand)]
pub(crate) enum Request {
    /// Ask for a sign of life.
    Ping,
    /// Hand over the SDP of whoever makes an offer; prints the SDP for the other party.
    Offer(Signal),
    /// Hand over the SDP of whoever answers, with the tags of the offer; prints the SDP for the offerer.
    Answer(Signal),
    /// End a call, or the part of it that tags or a branch name; prints its statistics.
    Delete {
        /// Which call.
        call_id: String,
        #[command(flatten)]
        selection: Selection,
        /// How long to wait before it goes; the relay's configuration tells by default.
        #[arg(long, value_name = "SECONDS")]
        delay: Option<i64>,
        #[command(flatten)]
        options: Options,
    },
    /// Ask for the statistics of a call, as the proxy sees them.
    Query {
        /// Which call.
        call_id: String,
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        options: Options,
    },
    /// List call-ids.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 32)]
        limit: usize,
    },
    /// Show the calls in a table: parties, codecs, packets, and whether they are relayed in the kernel.
    Calls {
        /// How many of the oldest calls to leave out.
        #[arg(long, default_value_t = 0)]
        offset: usize,
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one call: every stream with its addresses, its counters, and where it is relayed.
    Show {
        /// Which call.
        call_id: String,
    },
    /// Let the media of one call into the kernel, or keep it in userspace.
    Kernel {
        /// On or off.
        state: State,
        /// Which call.
        call_id: String,
    },
}

/// How the calls are watched.
#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// Time from one table to the next.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) interval: Duration,
    /// How many tables; without end by default.
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// How many calls at most, the oldest first.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
}

/// A line for the CLI.
#[derive(Debug, clap::Args)]
pub(crate) struct Cli {
    /// Where the CLI listens (the relay's option --listen-cli).
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9900")]
    pub(crate) port: String,
    /// The words of the line.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) words: Vec<String>,
}

/// An offer or answer.
#[derive(Debug, clap::Args)]
pub(crate) struct Signal {
    /// Which call.
    #[arg(long, value_name = "ID")]
    call_id: String,
    /// The tag of whoever makes the offer.
    #[arg(long, value_name = "TAG")]
    from_tag: String,
    /// The tag of the other party; an answer must have it.
    #[arg(long, value_name = "TAG")]
    to_tag: Option<String>,
    /// The Via branch, which tells the legs of a forked call apart.
    #[arg(long, value_name = "BRANCH")]
    via_branch: Option<String>,
    /// The file with the SDP; standard input without it, or with "-".
    #[arg(long, value_name = "FILE")]
    sdp: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// Which part of a call.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// The party with this tag.
    #[arg(long, value_name = "TAG")]
    from_tag: Option<String>,
    /// The other party's tag.
    #[arg(long, value_name = "TAG")]
    to_tag: Option<String>,
    /// The leg with this Via branch.
    #[arg(long, value_name = "BRANCH")]
    via_branch: Option<String>,
}

/// What else a request may say.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// An entry of "flags"; may be repeated.
    #[arg(long = "flag", value_name = "FLAG")]
    flags: Vec<String>,
    /// An entry of "replace"; may be repeated.
    #[arg(long, value_name = "PART")]
    replace: Vec<String>,
    /// Any other key, for instance ICE=remove or direction=priv,pub; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Options in one string, as proxies send them.
    #[arg(long, value_name = "STRING")]
    rtpp_flags: Option<String>,
}

/// Whether a call may be relayed in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// It may.
    On,
    /// Its media stays in userspace.
    Off,
}

impl Request {
    /// The request; reads the SDP if there is one.
    pub(crate) fn request(&self) -> anyhow::Result<Dictionary> {
        Ok(match self {
            Request::Ping => command::ping(),
            Request::Offer(signal) => {
                let mut request = command::offer(&signal.call_id, &signal.from_tag, &signal.sdp()?);
                push(&mut request, "to-tag", signal.to_tag.as_deref());
                signal.finish(request)
            }
            Request::Answer(signal) => {
                let to_tag = signal.to_tag.as_deref().context("an answer needs --to-tag")?;
                let request = command::answer(&signal.call_id, &signal.from_tag, to_tag, &signal.sdp()?);
                signal.finish(request)
            }
            Request::Delete {
                call_id,
                selection,
                delay,
                options,
            } => {
                let mut request = command::delete(call_id);
                selection.add_to(&mut request);
                if let Some(delay) = delay {
                    request.push("delete-delay", *delay);
                }
                options.add_to(&mut request);
                request
            }
            Request::Query {
                call_id,
                selection,
                options,
            } => {
                let mut request = command::query(call_id);
                selection.add_to(&mut request);
                options.add_to(&mut request);
                request
            }
            Request::List { limit } => command::list(*limit),
            Request::Calls { offset, limit } => command::calls(*offset, *limit),
            Request::Show { call_id } => command::show(call_id),
            Request::Kernel { state, call_id } => command::kernel(call_id, *state == State::On),
        })
    }
}

impl Signal {
    fn sdp(&self) -> anyhow::Result<String> {
        let path = self.sdp.as_deref().filter(|path| *path != Path::new("-"));
        let Some(path) = path else {
            let mut sdp = String::new();
            let read = std::io::stdin().read_to_string(&mut sdp);
            read.context("cannot read the SDP from standard input")?;
            return Ok(sdp);
        };
        std::fs::read_to_string(path).with_context(|| format!("cannot read the SDP from {}", path.display()))
    }

    fn finish(&self, mut request: Dictionary) -> Dictionary {
        push(&mut request, "via-branch", self.via_branch.as_deref());
        self.options.add_to(&mut request);
        request
    }
}

impl Selection {
    fn add_to(&self, request: &mut Dictionary) {
        push(request, "from-tag", self.from_tag.as_deref());
        push(request, "to-tag", self.to_tag.as_deref());
        push(request, "via-branch", self.via_branch.as_deref());
    }
}

impl Options {
    fn add_to(&self, request: &mut Dictionary) {
        for (key, entries) in [("flags", &self.flags), ("replace", &self.replace)] {
            if !entries.is_empty() {
                let entries: Vec<Value> = entries.iter().map(|entry| entry.as_str().into()).collect();
                request.push(key, entries);
            }
        }
        for (key, value) in &self.set {
            push(request, key, Some(value));
        }
        push(request, "rtpp-flags", self.rtpp_flags.as_deref());
    }
}

fn push(request: &mut Dictionary, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        request.push(key, value);
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds")?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a number of seconds above zero".to_owned())
}
