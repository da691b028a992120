//! The relay daemon.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use relay_daemon::background::{PidFile, Starter};
use relay_daemon::config::{Config, Start};
use relay_daemon::logging::{self, LogTarget};
use relay_daemon::run::{self, Ending};

/// A call is some hundred small allocations, made by one message and freed by another: which glibc's takes a fifth of
/// the control thread's time for.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The exit status of a daemon that could not start.
const FATAL: u8 = 255;

/// The exit status of one that got SIGHUP, as with the reference.
const HUNG_UP: u8 = 42;

fn main() -> ExitCode {
    match Config::load(std::env::args_os()) {
        Ok(Start::Run(config)) => match start(*config) {
            Ok(Ending::Regular) => ExitCode::SUCCESS,
            Ok(Ending::HangUp) => ExitCode::from(HUNG_UP),
            Err(error) => fatal(&format!("{error:#}")),
        },
        Ok(Start::Print(text)) => {
            // A reader that has seen enough is no failure.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Start::CleanUp) => clean_up(),
        Ok(Start::Nothing) => ExitCode::SUCCESS,
        Err(error) => fatal(&error),
    }
}

fn start(config: Config) -> anyhow::Result<Ending> {
    let (target, log) = logging::init(&config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if target == LogTarget::Syslog {
        print_warnings(&config.warnings);
    }
    let starter = match config.foreground {
        true => Starter::foreground(),
        false => Starter::background().context("cannot go into the background")?,
    };
    let _pid_file = config
        .pidfile
        .as_deref()
        .map(|path| PidFile::write(path).with_context(|| format!("cannot write {}", path.display())))
        .transpose()?;
    run::run(config, log, || starter.ready(target == LogTarget::Stderr))
}

/// Success if nothing is left.
#[cfg(feature = "kernel")]
fn clean_up() -> ExitCode {
    use relay_daemon::datapath::kernel::{Fate, clean_up};

    let leftovers = match clean_up() {
        Ok(leftovers) => leftovers,
        Err(error) => return fatal(&error),
    };
    for leftover in &leftovers {
        println!("{leftover}");
    }
    match leftovers.iter().all(|leftover| leftover.fate == Fate::Removed) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

#[cfg(not(feature = "kernel"))]
fn clean_up() -> ExitCode {
    ExitCode::SUCCESS
}

fn print_warnings(warnings: &[String]) {
    for warning in warnings {
        eprintln!("Warning: {warning}");
    }
}

fn fatal(error: &impl Display) -> ExitCode {
    eprintln!("Fatal error: {error}");
    ExitCode::from(FATAL)
}
