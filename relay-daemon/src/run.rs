//! Start, wiring, shutdown.
//!
//! One thread, the control thread, owns signalling: it reads requests, runs [`Calls`], hands plans and sockets to the
//! workers, and only then sends the replies. It never waits for a worker.

mod limits;
mod node;

use std::future::pending;
use std::io;
use std::time::Duration;

use anyhow::{Context, bail};
use relay_common::ng::MAX_DATAGRAM;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::call::Calls;
use crate::clock::Time;
use crate::config::{Config, KernelChoice};
use crate::control::{Control, Listener};
use crate::datapath::kernel::{Kernel, KernelConfig, LocalPorts, XdpMode};
use crate::datapath::userspace::Workers;
use crate::plan::PortId;
use crate::ports::{DaemonHost, PortPool};

use self::node::Node;

/// How long the workers get at the end to close their sockets.
const RELEASE_GRACE: Duration = Duration::from_secs(1);

/// Runs the daemon until it is told to end. Calls `ready` once it serves.
pub fn run(config: Config, ready: impl FnOnce() -> io::Result<()>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread")?
        .block_on(serve(config, ready))
}

async fn serve(config: Config, ready: impl FnOnce() -> io::Result<()>) -> anyhow::Result<()> {
    limits::raise_open_files();
    let mut listener = listen(&config)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let locals = local_ports(&config);
    let kernel = start_kernel(&config, &locals)?;
    let host = DaemonHost::new(PortPool::new(&locals), kernel.slots());
    let (released, mut closed) = mpsc::unbounded_channel::<Vec<PortId>>();
    let workers = Workers::start(config.num_threads.get(), &kernel, move |ports| {
        // The receiver is gone only when the daemon ends.
        let _ = released.send(ports);
    })
    .context("cannot start the workers")?;
    let mut node = Node::new(
        Control::new(config.templates),
        Calls::new(config.call),
        host,
        workers,
    );
    ready()?;
    tracing::info!("ready");

    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            Some(ports) = closed.recv() => node.give_back(&ports),
            () = at(node.poll_timeout()) => node.handle_timeout(Time::read()),
            received = listener.recv(&mut buffer) => match received {
                Ok((length, peer)) => {
                    if let Some(reply) = node.handle_datagram(Time::read(), &buffer[..length])
                        && let Err(error) = listener.send(&peer, &reply).await
                    {
                        tracing::warn!(peer = %peer.address, %error, "cannot send a reply");
                    }
                }
                // What went wrong with one datagram does not concern the next.
                Err(error) => tracing::warn!(%error, "cannot receive a request"),
            },
        }
    }

    tracing::info!(calls = node.session_count(), "ending");
    node.end(Time::read());
    let all_closed = async {
        while node.ports_in_use() > 0 {
            match closed.recv().await {
                Some(ports) => node.give_back(&ports),
                None => break,
            }
        }
    };
    if tokio::time::timeout(RELEASE_GRACE, all_closed).await.is_err() {
        tracing::warn!("the workers did not close all sockets in time");
    }
    node.stop();
    drop(kernel);
    Ok(())
}

async fn at(deadline: Option<Time>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(Time::read())).await,
        None => pending().await,
    }
}

fn listen(config: &Config) -> anyhow::Result<Listener> {
    if config.listen_ng.is_empty() {
        bail!("no control address: give --listen-ng");
    }
    let listener = Listener::bind(&config.listen_ng).context("cannot listen for ng requests")?;
    tracing::info!(addresses = ?listener.addresses()?, "listening for ng requests");
    Ok(listener)
}

fn local_ports(config: &Config) -> Vec<LocalPorts> {
    let range = &config.ports;
    let addresses = config.call.interfaces.addresses.iter();
    addresses
        .map(|address| LocalPorts {
            address: *address,
            port_min: *range.start(),
            port_max: *range.end(),
        })
        .collect()
}

/// The kernel datapath as configured, or its stub with the reason, said once.
fn start_kernel(config: &Config, locals: &[LocalPorts]) -> anyhow::Result<Kernel> {
    if config.kernel == KernelChoice::Off {
        tracing::info!("relaying in userspace only (table is -1)");
        return Ok(Kernel::disabled("table is -1"));
    }
    let wanted = KernelConfig {
        locals: locals.to_vec(),
        mode: XdpMode::Auto,
        only: None,
    };
    match Kernel::start(&wanted) {
        Ok(kernel) => Ok(kernel),
        Err(error) if config.kernel == KernelChoice::Required => {
            Err(error).context("cannot relay in the kernel, and no-fallback forbids to go on without")
        }
        Err(error) => {
            tracing::warn!("relaying in userspace only: {error}");
            Ok(Kernel::disabled(error.to_string()))
        }
    }
}
