//! The reference and our daemon, each in a network namespace of its own.

use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;
use relay_tests::daemon::{Daemon, SERVER};
use relay_tests::netns::Namespace;
use relay_tests::recording;

use crate::play::{Daemons, Heard, Setting};

/// How long a reply may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(4);

/// Both daemons, started for one setting.
pub(crate) struct Pair {
    servers: [Server; 2],
    /// Where configuration files are, and recordings.
    folder: PathBuf,
}

/// One daemon.
pub(crate) struct Server {
    program: PathBuf,
    is_reference: bool,
    namespace: Namespace,
    running: Option<(Daemon, UdpSocket)>,
    setting: Option<Setting>,
}

impl Pair {
    /// Makes the namespaces; nothing is started yet.
    pub(crate) fn new(reference: &Path, ours: &Path, number: usize) -> anyhow::Result<Pair> {
        let folder = std::env::temp_dir().join(format!("ng-compare-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Pair {
            servers: [Server::new(reference, true), Server::new(ours, false)],
            folder,
        })
    }

    /// Sees to it that both run with a setting; `anew` restarts them if they do already.
    pub(crate) fn start(&mut self, setting: &Setting, anew: bool) -> anyhow::Result<()> {
        for (index, server) in self.servers.iter_mut().enumerate() {
            server.start(setting, anew, &self.folder.join(index.to_string()))?;
        }
        Ok(())
    }

    /// What our daemon said, to find out why it ended.
    pub(crate) fn log(&self) -> String {
        self.servers[1]
            .running
            .as_ref()
            .map(|(daemon, _)| daemon.log())
            .unwrap_or_default()
    }
}

impl Daemons for Pair {
    fn exchange(&mut self, messages: [(String, Vec<u8>); 2]) -> [Heard; 2] {
        for (server, (cookie, body)) in self.servers.iter().zip(&messages) {
            server.send(cookie, body);
        }
        let [reference, ours] = &mut self.servers;
        let [first, second] = &messages;
        [reference.receive(&first.0), ours.receive(&second.0)]
    }

    fn open(&mut self, daemon: usize, address: SocketAddr) -> io::Result<UdpSocket> {
        self.servers[daemon].namespace.run(|| UdpSocket::bind(address))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // Nobody needs it any more, and if it cannot be removed nobody can do anything about it.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Server {
    /// Makes its namespace; nothing is started yet.
    pub(crate) fn new(program: &Path, is_reference: bool) -> Server {
        Server {
            program: program.to_owned(),
            is_reference,
            namespace: namespace(),
            running: None,
            setting: None,
        }
    }

    /// Sees to it that it runs with a setting. Files that it needs are put into a folder.
    pub(crate) fn start(&mut self, setting: &Setting, anew: bool, folder: &Path) -> anyhow::Result<()> {
        if !anew && self.running.is_some() && self.setting.as_ref() == Some(setting) {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        self.running = None;
        self.setting = Some(setting.clone());
        let mut command = Command::new(&self.program);
        command.arg("--table=-1").arg(format!("--listen-ng={SERVER}"));
        command.args(["--foreground", "--log-stderr", "--log-level=3"]);
        if self.is_reference {
            command.arg("--media-num-threads=2");
        }
        match setting.0["config"].as_str() {
            Some(config) => {
                let path = folder.join("daemon.conf");
                fs::write(&path, config)?;
                command.arg(format!("--config-file={}", path.display()));
            }
            None => {
                command.arg("--config-file=none");
            }
        }
        let options = recording::options(&setting.0);
        command.args(
            options
                .iter()
                .map(|option| option.replace("«DIR»", &folder.display().to_string())),
        );
        let daemon = match Daemon::start_command(&self.namespace, &mut command) {
            Ok(daemon) => daemon,
            Err(ended) => bail!("{command:?} {}: {}", ended.status, ended.log),
        };
        let socket = self.namespace.run(|| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(SERVER)?;
            io::Result::Ok(socket)
        })?;
        self.running = Some((daemon, socket));
        Ok(())
    }

    /// Sends it a message.
    pub(crate) fn send(&self, cookie: &str, body: &[u8]) {
        if let Some((_, socket)) = &self.running {
            // A daemon that has ended is noticed when its reply is waited for.
            let _ = socket.send(&[cookie.as_bytes(), b" ", body].concat());
        }
    }

    /// Waits for the reply to a message.
    pub(crate) fn receive(&mut self, cookie: &str) -> Heard {
        match self.wait_for(cookie, PATIENCE) {
            Heard::Silence => {}
            heard @ (Heard::Reply(_) | Heard::Gone) => return heard,
        }
        self.send("alive", b"d7:command4:pinge");
        match self.wait_for("alive", PATIENCE) {
            Heard::Reply(_) => Heard::Silence,
            Heard::Silence | Heard::Gone => Heard::Gone,
        }
    }

    fn wait_for(&self, cookie: &str, patience: Duration) -> Heard {
        let Some((_, socket)) = &self.running else {
            return Heard::Gone;
        };
        let deadline = Instant::now() + patience;
        let mut buffer = vec![0; 65_536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Heard::Silence;
            }
            if socket.set_read_timeout(Some(left)).is_err() {
                return Heard::Gone;
            }
            match socket.recv(&mut buffer) {
                Ok(length) => {
                    let reply = &buffer[..length];
                    let space = reply.iter().position(|byte| *byte == b' ').unwrap_or(length);
                    if reply[..space] == *cookie.as_bytes() {
                        return Heard::Reply(reply[(space + 1).min(length)..].to_vec());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Heard::Gone,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Silence,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Heard::Gone,
            }
        }
    }
}

/// With the addresses of `tests/fixtures/oracle/README.md`, those of clients too.
fn namespace() -> Namespace {
    let namespace = Namespace::new("compare");
    for address in ["203.0.113.1/32", "203.0.113.2/32", "203.0.113.3/32"] {
        namespace.ip(&format!("addr add {address} dev lo"));
    }
    for address in ["2001:db8:4321::1/128", "2001:db8:4321::2/128"] {
        namespace.ip(&format!("addr add {address} dev lo nodad"));
    }
    namespace.ip("route add local 198.51.96.0/20 dev lo");
    namespace.ip("-6 route add local 2001:db8:4321:100::/56 dev lo");
    namespace
}
