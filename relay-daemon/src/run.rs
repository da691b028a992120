//! Start, wiring, shutdown.

use std::io;

use crate::config::Config;

/// Runs the daemon until it is told to end. Calls `ready` once it serves.
pub fn run(config: Config, ready: impl FnOnce() -> io::Result<()>) -> anyhow::Result<()> {
    let _ = config;
    ready()?;
    Ok(())
}
