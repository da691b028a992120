//! The table of calls, again and again.

mod screen;

use std::io::IsTerminal;
use std::time::Duration;

use ng_client::{Client, ClientError, Dictionary, command};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::args::{Args, Watch};
use crate::{connect, print};

use self::screen::Screen;

/// Watches until the count is reached, nobody reads any more, or somebody at the terminal has seen enough.
pub(crate) async fn watch(args: &Args, wanted: &Watch) -> Result<(), ClientError> {
    let mut client = connect(args).await?;
    if args.json || !std::io::stdout().is_terminal() {
        return print_tables(&mut client, args.json, wanted).await;
    }
    let (mut screen, mut quit) = Screen::open().map_err(|source| ClientError::Io {
        server: client.server(),
        source,
    })?;
    tokio::select! {
        outcome = show_tables(&mut client, wanted, &mut screen) => outcome,
        _ = quit.recv() => Ok(()),
    }
}

/// One below the other. The first look is not printed: it has nothing to compare with.
async fn print_tables(client: &mut Client, json: bool, wanted: &Watch) -> Result<(), ClientError> {
    let mut watcher = Watcher::new(client, wanted);
    if !json {
        watcher.look().await?;
    }
    let mut printed = 0;
    while wanted.count.is_none_or(|count| printed < count) {
        let (calls, table) = watcher.look().await?;
        let text = match json {
            true => format!("{}\n", calls.to_json()),
            false if printed > 0 => format!("\n{table}"),
            false => table,
        };
        if !print::out(&text) {
            return Ok(());
        }
        printed += 1;
    }
    Ok(())
}

/// One in place of the other.
async fn show_tables(client: &mut Client, wanted: &Watch, screen: &mut Screen) -> Result<(), ClientError> {
    let server = client.server();
    let mut watcher = Watcher::new(client, wanted);
    let mut shown = 0;
    while wanted.count.is_none_or(|count| shown < count) {
        let (_, table) = watcher.look().await?;
        screen
            .show(&table)
            .map_err(|source| ClientError::Io { server, source })?;
        shown += 1;
    }
    Ok(())
}

/// Looks once in every interval.
struct Watcher<'a> {
    client: &'a mut Client,
    limit: usize,
    ticks: tokio::time::Interval,
    began: Instant,
    rates: print::Rates,
}

impl<'a> Watcher<'a> {
    fn new(client: &'a mut Client, wanted: &Watch) -> Watcher<'a> {
        let mut ticks = interval(wanted.interval.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watcher {
            client,
            limit: wanted.limit,
            ticks,
            began: Instant::now(),
            rates: print::Rates::default(),
        }
    }

    /// The calls, and their table. The first one comes at once.
    async fn look(&mut self) -> Result<(Dictionary, String), ClientError> {
        self.ticks.tick().await;
        let calls = self.client.request(&command::calls(0, self.limit)).await?;
        let statistics = self.client.request(&command::statistics()).await?;
        let table = self.rates.table(self.began.elapsed(), &calls, &statistics);
        Ok((calls, table))
    }
}
