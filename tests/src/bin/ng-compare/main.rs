//! `ng-compare`: random conversations to a reference daemon and to ours, side by side, and what is different.

mod arguments;
mod difference;
mod generate;
mod known;
mod packets;
mod pair;
mod play;
mod random;
mod replay;
mod report;
mod run;
mod shrink;

use std::process::ExitCode;

use nix::sys::resource::{Resource, setrlimit};
use relay_tests::netns::requires_root;

/// It cannot do what it is asked for.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("ng-compare: {error}\n\n{}", arguments::USAGE);
            return ExitCode::from(FAILED);
        }
    };
    if !requires_root() {
        return ExitCode::from(FAILED);
    }
    // A reference that crashes leaves no file behind: its memory is somebody else's program.
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        eprintln!("ng-compare: core files cannot be prevented: {error}");
        return ExitCode::from(FAILED);
    }
    match run::run(&arguments) {
        Ok(summary) if summary.differ == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ng-compare: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}
