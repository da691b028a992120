//! An asynchronous client of the ng control protocol over UDP.
//!
//! ```no_run
//! # async fn example() -> Result<(), ng_client::ClientError> {
//! use ng_client::{Client, command};
//!
//! let mut client = Client::connect("127.0.0.1:2223").await?;
//! let mut offer = command::offer("call-1", "caller", "v=0\r\n...");
//! offer.push("replace", "origin");
//! let reply = client.request(&offer).await?;
//! # Ok(())
//! # }
//! ```

mod client;
pub mod command;
mod operator;

pub use client::{Client, ClientError};
pub use operator::operate;
pub use relay_common::ng::{Dictionary, Value, octets};
