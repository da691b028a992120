//! TCP connections, whatever is spoken on them: sockets to arrive at, and bounds.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a peer may take for a whole request, or to take an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How long a connection may be silent between two requests.
pub(super) const IDLE: Duration = Duration::from_secs(3600);

/// How many connections one kind of listener serves at a time.
const MOST: usize = 1024;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 256;

/// When the system asks a silent peer whether it still lives.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// What to wait for when connections cannot be accepted: for want of file descriptors, say.
const RECOVERY: Duration = Duration::from_millis(100);

/// Binds a socket to each of the addresses, and serves each connection that arrives in a task of its own, for as
/// long as the runtime lives. Gives back the addresses, with the ports that were chosen where zero was asked for.
pub(super) fn listen<F>(
    addresses: &[SocketAddr],
    serve: impl Fn(TcpStream, SocketAddr) -> F + Clone + Send + 'static,
) -> io::Result<Vec<SocketAddr>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let bind = |address: &SocketAddr| {
        open(*address).map_err(|error| {
            let text = format!("cannot listen on {address}: {error}");
            io::Error::new(error.kind(), text)
        })
    };
    let listeners: Vec<TcpListener> = addresses.iter().map(bind).collect::<io::Result<_>>()?;
    let bound = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<io::Result<_>>()?;
    let room = Arc::new(Semaphore::new(MOST));
    for listener in listeners {
        tokio::spawn(accept(listener, Arc::clone(&room), serve.clone()));
    }
    Ok(bound)
}

/// Ends a connection so that what was written arrives: closing it with unread bytes would take that back.
pub(super) async fn part(stream: &mut TcpStream) {
    const LONGEST: Duration = Duration::from_secs(1);
    let read_all = async {
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Neither a lost connection nor a peer that goes on talking changes anything now.
    let _ = timeout(LONGEST, read_all).await;
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A restart must not wait until the connections of the last run are forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept<F>(
    listener: TcpListener,
    room: Arc<Semaphore>,
    serve: impl Fn(TcpStream, SocketAddr) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(RECOVERY).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            tracing::warn!(%peer, "connection refused: there are {MOST} already");
            continue;
        };
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%peer, %error, "connection lost");
            continue;
        }
        let served = serve(stream, peer);
        tokio::spawn(async move {
            served.await;
            drop(place);
        });
    }
}

/// Has the system end a connection whose peer is gone, or takes nothing.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
    socket.set_tcp_user_timeout(Some(PATIENCE))
}
