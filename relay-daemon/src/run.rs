//! Start, wiring, shutdown.
//!
//! One thread, the control thread, owns signalling: it reads requests, runs [`Calls`], hands plans and sockets to the
//! workers, and only then sends the replies. It never waits for a worker, but for a moment when a query comes right after
//! what it is about.

mod controls;
mod limits;
mod load;
mod meter;
mod node;
mod operator;
mod parameters;
mod renewal;
mod timer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use relay_common::ng::MAX_DATAGRAM;
use tokio::signal::unix::{SignalKind, signal};

use crate::call::Calls;
use crate::clock::Time;
use crate::config::{Config, KernelChoice, Listeners};
use crate::control::{Control, Listener, Peer, RequestQueue, serve_cli, serve_http, serve_https, serve_ng};
use crate::datapath::kernel::{Kernel, KernelConfig, LocalPorts};
use crate::datapath::userspace::{Threads, Workers};
use crate::dtls::Credentials;
use crate::host::AddressId;
use crate::identity;
use crate::logging::LogLevels;
use crate::ports::{ClosedPorts, DaemonHost, PortPool, united};

use self::controls::Controls;
use self::node::{Datapath, Node};
use self::parameters::fixed_parameters;
use self::renewal::Renewal;
use self::timer::Timer;

/// How long the workers get at the end to close their sockets.
const RELEASE_GRACE: Duration = Duration::from_secs(1);

/// Between two looks whether they have.
const RELEASE_GLANCE: Duration = Duration::from_millis(2);

/// How many datagrams are answered before anything else gets its turn.
const BURST: usize = 64;

/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to.
    Regular,
    /// SIGHUP: at once, without any ado.
    HangUp,
}

/// Runs the daemon until it is told to end. Calls `ready` once it serves.
pub fn run(config: Config, log: LogLevels, ready: impl FnOnce() -> io::Result<()>) -> anyhow::Result<Ending> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread")?
        .block_on(serve(config, log, ready))
}

async fn serve(
    config: Config,
    log: LogLevels,
    ready: impl FnOnce() -> io::Result<()>,
) -> anyhow::Result<Ending> {
    limits::raise_open_files();
    let (queue, mut requests) = RequestQueue::open();
    let mut listener = listen(&config.listen, &queue)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut less_log = signal(SignalKind::user_defined1())?;
    let mut more_log = signal(SignalKind::user_defined2())?;

    if let Some(choice) = config.listen.path_mtu {
        listener.set_path_mtu(choice).context("cannot set control-pmtu")?;
    }
    if let Some(id) = &config.software {
        identity::call_software(id);
    }
    let fixed = fixed_parameters(&config);
    let locals = local_ports(&config);
    let kernel = start_kernel(&config, &united(&locals))?;
    let host = DaemonHost::new(port_pool(&config, &locals), kernel.slots());
    let closed = ClosedPorts::default();
    let closes = closed.clone();
    let credentials = Arc::new(Credentials::generate(&config.dtls)?);
    let mut renewal = Renewal::start(config.dtls, config.idle_scheduling).context("cannot start a thread")?;
    let threads = Threads {
        count: config.num_threads.get(),
        stack: config.thread_stack,
        scheduling: config.scheduling,
        gather: config.gather_time,
    };
    let workers = Workers::start(threads, &kernel, move |ports| closes.put(ports))
        .context("cannot start the workers")?;
    let datapath = Datapath {
        host,
        workers,
        closed,
        kernel,
    };
    let mut control_tos = config.listen.tos;
    if control_tos > 0 {
        listener.set_tos(control_tos).context("cannot set control-tos")?;
    }
    let control = Control::new(config.templates);
    let calls = Calls::new(config.call, credentials);
    let controls = Controls::new(log, &calls, config.load_limits, control_tos, fixed);
    let mut node = Node::new(
        Time::read(),
        control,
        calls,
        config.load_limits,
        datapath,
        controls,
    );
    ready()?;
    tracing::info!("ready");

    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut timer = Timer::new();
    loop {
        timer.set(node.poll_timeout());
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => return Ok(Ending::HangUp),
            _ = less_log.recv() => node.shift_log_levels(-1),
            _ = more_log.recv() => node.shift_log_levels(1),
            credentials = renewal.next() => node.renew_credentials(credentials),
            () = timer.wait() => node.handle_timeout(Time::read()),
            Some(request) = requests.recv() => node.handle_queued(Time::read(), request),
            received = listener.recv(&mut buffer) => {
                answer_burst(received, &mut listener, &mut buffer, &mut node).await;
            }
        }
        node.finish(Time::read());
        if control_tos != node.control_tos() {
            control_tos = node.control_tos();
            if let Err(error) = listener.set_tos(control_tos) {
                tracing::warn!(%error, control_tos, "cannot set control-tos");
            }
        }
    }

    tracing::info!(calls = node.session_count(), "ending");
    node.end(Time::read());
    node.finish(Time::read());
    let all_closed = async {
        while !node.has_closed_all() {
            tokio::time::sleep(RELEASE_GLANCE).await;
        }
    };
    if tokio::time::timeout(RELEASE_GRACE, all_closed).await.is_err() {
        tracing::warn!("the workers did not close all sockets in time");
    }
    node.stop();
    Ok(Ending::Regular)
}

/// Answers a datagram, and those that wait behind it.
async fn answer_burst(
    first: io::Result<(usize, Peer)>,
    listener: &mut Listener,
    buffer: &mut [u8],
    node: &mut Node,
) {
    let mut received = first.map(Some);
    for rest in (0..BURST).rev() {
        let (length, peer) = match received {
            Ok(Some(datagram)) => datagram,
            Ok(None) => return,
            // What went wrong with one datagram does not concern the next.
            Err(error) => return tracing::warn!(%error, "cannot receive a request"),
        };
        let now = Time::read();
        if let Some(reply) = node.handle_datagram(now, peer.address, &buffer[..length])
            && let Err(error) = listener.send(&peer, &reply).await
        {
            tracing::warn!(peer = %peer.address, %error, "cannot send a reply");
        }
        // Workers are woken after the last one: on one processor they would take turns with this thread.
        node.take_note_of_ended();
        if rest == 0 {
            return;
        }
        received = listener.try_recv(buffer);
    }
}

/// Opens all control addresses. Connections are tasks from here on, which put their requests into the queue; datagrams the caller
/// receives itself.
fn listen(wanted: &Listeners, queue: &RequestQueue) -> anyhow::Result<Listener> {
    let listener = Listener::bind(&wanted.ng).context("cannot listen for ng requests")?;
    let tcp = serve_ng(&wanted.tcp_ng, queue).context("cannot listen for ng connections")?;
    let http = serve_http(&wanted.http, wanted.http_idle, queue).context("cannot listen for HTTP")?;
    let https = match &wanted.tls {
        Some(files) if !wanted.https.is_empty() => {
            serve_https(&wanted.https, files.acceptor()?, wanted.http_idle, queue)
        }
        Some(_) | None => Ok(Vec::new()),
    };
    let https = https.context("cannot listen for HTTPS")?;
    let cli = serve_cli(&wanted.cli, queue).context("cannot listen for the CLI")?;
    tracing::info!(ng = ?listener.addresses()?, ?tcp, ?http, ?https, ?cli, "listening");
    Ok(listener)
}

/// The ports of each [`AddressId`].
fn local_ports(config: &Config) -> Vec<LocalPorts> {
    let addresses = config.call.interfaces.addresses.iter();
    addresses
        .zip(&config.ports)
        .map(|(address, range)| LocalPorts {
            address: *address,
            port_min: *range.ports.start(),
            port_max: *range.ports.end(),
        })
        .collect()
}

fn port_pool(config: &Config, locals: &[LocalPorts]) -> PortPool {
    let mut pool = PortPool::new(locals);
    for (id, range) in (0..).map(AddressId).zip(&config.ports) {
        for ports in &range.excluded {
            pool.exclude(id, ports.clone());
        }
    }
    pool
}

/// The kernel datapath as configured, or its stub with the reason, said once.
fn start_kernel(config: &Config, locals: &[LocalPorts]) -> anyhow::Result<Kernel> {
    if config.kernel == KernelChoice::Off {
        tracing::info!("relaying in userspace only (table is -1)");
        return Ok(Kernel::disabled_with(locals, &config.floods, "table is -1"));
    }
    let wanted = KernelConfig {
        locals: locals.to_vec(),
        mode: config.xdp_mode,
        interfaces: config.xdp_interfaces.clone(),
        floods: config.floods,
        strict: config.kernel == KernelChoice::Required,
    };
    match Kernel::start(&wanted) {
        Ok(kernel) => Ok(kernel),
        Err(error) if config.kernel == KernelChoice::Required => {
            Err(error).context("cannot relay in the kernel, and no-fallback forbids to go on without")
        }
        Err(error) => {
            tracing::warn!("relaying in userspace only: {error}");
            Ok(Kernel::disabled_with(locals, &config.floods, error.to_string()))
        }
    }
}
