//! Sends ng commands, lists calls and shows them.

mod args;
mod print;

use std::process::ExitCode;

use clap::Parser;
use ng_client::{Client, ClientError, Dictionary};

use self::args::Args;

const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const NO_ANSWER: u8 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Usage errors leave here, with status 2.
    let args = Args::parse();
    let request = match args.command.request() {
        Ok(request) => request,
        Err(error) => {
            eprintln!("ng-client: {error:#}");
            return ExitCode::from(USAGE);
        }
    };
    match ask(&args, &request).await {
        Ok(reply) => {
            print::reply(&args, &reply);
            ExitCode::SUCCESS
        }
        Err(ClientError::Rejected { reason, reply }) => {
            if args.json {
                print::json(&reply);
            }
            eprintln!("ng-client: {reason}");
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            eprintln!("ng-client: {error}");
            ExitCode::from(NO_ANSWER)
        }
    }
}

async fn ask(args: &Args, request: &Dictionary) -> Result<Dictionary, ClientError> {
    let client = Client::connect(&args.server).await?;
    client.with_timeout(args.timeout).request(request).await
}
