//! Sends ng commands, lists calls, shows and watches them.

mod args;
mod print;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use ng_client::{Client, ClientError, Dictionary};
use serde_json::json;

use self::args::{Args, Cli, Command, Request};

const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const NO_ANSWER: u8 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Usage errors leave here, with status 2.
    let args = Args::parse();
    let outcome = match &args.command {
        Command::Request(command) => match command.request() {
            Ok(request) => ask(&args, command, &request).await,
            Err(error) => {
                eprintln!("ng-client: {error:#}");
                return ExitCode::from(USAGE);
            }
        },
        Command::Watch(command) => watch::watch(&args, command).await,
        Command::Cli(command) => operate(&args, command).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
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

async fn ask(args: &Args, command: &Request, request: &Dictionary) -> Result<(), ClientError> {
    let reply = connect(args).await?.request(request).await?;
    print::reply(args, command, &reply);
    Ok(())
}

async fn operate(args: &Args, command: &Cli) -> Result<(), ClientError> {
    let answer = ng_client::operate(&command.port, &command.words.join(" "), args.timeout).await?;
    print::out(&match args.json {
        true => format!("{:#}\n", json!({ "response": answer })),
        false => answer,
    });
    Ok(())
}

async fn connect(args: &Args) -> Result<Client, ClientError> {
    let client = Client::connect(&args.server).await?;
    Ok(client.with_timeout(args.timeout))
}
