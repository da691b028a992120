//! The real daemon in a network namespace, and a client that talks to it.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ng_client::{Client, ClientError, Dictionary, command};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::Lab;
use crate::netns::Namespace;

/// How long a test waits for what must come. Only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Where every daemon listens: each is alone in its namespace.
pub const SERVER: &str = "127.0.0.1:2223";

/// Between two looks at what cannot be awaited.
const GLANCE: Duration = Duration::from_millis(10);

/// A daemon that serves. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
}

/// A started daemon, whatever became of it. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Log,
}

/// How a process ended, and what was said on its standard error.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its log.
    pub log: String,
}

/// A client of a daemon that need not be awaited.
#[derive(Debug)]
pub struct Control {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

#[derive(Debug)]
struct Log {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// A command that runs the daemon, built as it is now, without arguments.
pub fn program() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PROGRAM.get_or_init(|| build("relay-daemon")))
}

/// A command that runs the client, built as it is now, without arguments.
pub fn client_program() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PROGRAM.get_or_init(|| build("ng-client")))
}

/// A command that runs the daemon in the foreground, with a log on standard error.
pub fn in_foreground(options: &[&str]) -> Command {
    let mut command = program();
    command
        .args(["--config-file=none", "--foreground", "--log-stderr"])
        .arg(format!("--listen-ng={SERVER}"))
        .args(options);
    command
}

/// Waits until something is the case; fails the test if it never is.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(GLANCE);
    }
}

/// Waits until a value is as expected; fails the test, and says what it is, if it never is.
pub fn wait_for_value<T: PartialEq + Debug>(expected: &T, mut value: impl FnMut() -> T) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let value = value();
        if value == *expected {
            return;
        }
        if Instant::now() >= deadline {
            panic!("waited in vain for {expected:?}: {value:?}");
        }
        thread::sleep(GLANCE);
    }
}

impl Daemon {
    /// Starts one, and returns when it answers.
    ///
    /// # Panics
    ///
    /// If it ends instead.
    pub fn start(namespace: &Namespace, options: &[&str]) -> Daemon {
        Daemon::start_command(namespace, &mut in_foreground(options))
            .unwrap_or_else(|ended| panic!("the daemon {}:\n{}", ended.status, ended.log))
    }

    /// Starts one, and returns when it answers, or when it has ended.
    pub fn start_command(namespace: &Namespace, command: &mut Command) -> Result<Daemon, Ended> {
        let mut process = Process::start(namespace, command);
        loop {
            if process.has_ended() {
                return Err(process.wait());
            }
            if is_served(namespace) {
                return Ok(Daemon { process });
            }
            thread::sleep(GLANCE);
        }
    }

    /// Starts one to be measured, ours or rtpengine, between the networks of a [`Lab`] and on one processor, with
    /// room for many calls and little to log.
    pub fn start_measured(
        lab: &Lab,
        program: &OsStr,
        processor: usize,
        options: &[&str],
    ) -> Result<Daemon, Ended> {
        let mut command = Command::new("taskset");
        command.args(["-c", &processor.to_string()]).arg(program);
        command.args([
            "--config-file=none",
            "--foreground",
            "--log-stderr",
            "--log-level=3",
        ]);
        command.args(["--interface=inner/10.9.1.1", "--interface=outer/10.9.2.1"]);
        command.args(["--port-min=20000", "--port-max=40000"]);
        command.arg(format!("--listen-ng={SERVER}")).args(options);
        Daemon::start_command(&lab.relay, &mut command)
    }

    /// A client of it.
    pub fn control(&self, namespace: &Namespace) -> Control {
        Control::connect(namespace)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        self.process.log.text()
    }

    /// Sends it a signal, and waits for its end.
    pub fn end(self, signal: Signal) -> Ended {
        let pid = Pid::from_raw(self.pid().cast_signed());
        kill(pid, signal).expect("the daemon still runs");
        self.process.wait()
    }

    /// Its memory that is not swapped out, bytes.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(path).expect("the daemon runs");
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = kilobytes.and_then(|rest| rest.trim().strip_suffix(" kB"));
        kilobytes
            .and_then(|number| number.parse::<u64>().ok())
            .expect("it has memory")
            * 1024
    }

    /// The ids of the BPF programs that it holds.
    pub fn bpf_programs(&self) -> BTreeSet<u32> {
        let folder = format!("/proc/{}/fdinfo", self.pid());
        let files = fs::read_dir(folder).expect("the daemon runs").flatten();
        let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
        let id = |text: String| {
            text.lines()
                .find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok())
        };
        texts.filter_map(id).collect()
    }
}

#[cfg(feature = "kernel")]
impl Daemon {
    /// The state of every slot that is shared with the XDP program.
    ///
    /// # Panics
    ///
    /// If there is no such table.
    pub fn slots(&self) -> Vec<relay_common::slot::SlotState> {
        use aya::maps::{Array, Map, MapData};
        use aya::programs::loaded_programs;
        use relay_common::slot::{Slot, SlotState};

        let programs = self.bpf_programs();
        let own = loaded_programs()
            .flatten()
            .find(|program| programs.contains(&program.id()));
        let maps = own.and_then(|program| program.map_ids().ok().flatten());
        let maps = maps
            .into_iter()
            .flatten()
            .filter_map(|id| MapData::from_id(id).ok());
        let is_table = |map: &MapData| map.info().is_ok_and(|info| info.name_as_str() == Some("SLOTS"));
        let table = maps.into_iter().find(is_table);
        let map = Map::from_map_data(table.expect("a table of slots")).expect("a map of a known type");
        let slots = Array::<_, Slot>::try_from(map).expect("an array of slots");
        let states = slots
            .iter()
            .map(|slot| match slot.expect("a slot can be read").state {
                state if state == SlotState::Unclaimed as u16 => SlotState::Unclaimed,
                state if state == SlotState::Claimed as u16 => SlotState::Claimed,
                _ => SlotState::Offloaded,
            });
        states.collect()
    }
}

impl Process {
    /// Starts a command whose standard error is the log.
    pub fn start(namespace: &Namespace, command: &mut Command) -> Process {
        let mut child = namespace.spawn(command.stdin(Stdio::null()).stderr(Stdio::piped()));
        let log = Log::read(child.stderr.take().expect("it is piped"));
        Process { child, log }
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub fn wait(mut self) -> Ended {
        Ended {
            status: self.exit_status(),
            log: self.log.whole(),
        }
    }

    /// Waits for its exit status. Others may go on with the log.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub fn exit_status(&mut self) -> ExitStatus {
        wait_until("the daemon ends", || self.has_ended());
        self.child.wait().expect("it has ended")
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("log of the daemon {}:\n{}", self.child.id(), self.log.text());
        }
    }
}

impl Log {
    fn read(stderr: ChildStderr) -> Log {
        let text = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&text);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut text = shared.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
            }
        });
        Log {
            text,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of it; waits until nobody can add to it.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading a log does not panic");
        }
        self.text()
    }
}

impl Control {
    /// A client of the daemon in a namespace.
    pub fn connect(namespace: &Namespace) -> Control {
        Control::with_timeout(namespace, PATIENCE)
    }

    /// Sends a request and waits for the reply.
    pub fn try_request(&mut self, request: &Dictionary) -> Result<Dictionary, ClientError> {
        self.runtime.block_on(self.client.request(request))
    }

    /// Sends a request that must succeed.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn request(&mut self, request: &Dictionary) -> Dictionary {
        self.try_request(request)
            .unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }

    /// The call-ids of all calls.
    pub fn calls(&mut self) -> Vec<String> {
        let reply = self.request(&command::list(1000));
        let calls = reply.find("calls").and_then(|calls| calls.list());
        let texts = calls.unwrap_or_default().iter().filter_map(|call| call.text());
        texts.map(|text| text.into_owned()).collect()
    }

    fn with_timeout(namespace: &Namespace, timeout: Duration) -> Control {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        // The socket stays in the namespace.
        let client = namespace.run(|| runtime.block_on(Client::connect(server())));
        let client = client.expect("there is a loopback device").with_timeout(timeout);
        Control { runtime, client }
    }
}

/// The address of [`SERVER`].
pub fn server() -> SocketAddr {
    SERVER.parse().expect("an address")
}

/// Whether a daemon answers.
pub fn is_served(namespace: &Namespace) -> bool {
    let mut control = Control::with_timeout(namespace, Duration::from_secs(1));
    control.try_request(&command::ping()).is_ok()
}

/// Builds a program, where cargo has put this test, since cargo gives a test the programs of its own package only.
fn build(package: &str) -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    // TARGET/PROFILE/deps/TEST
    let target = test.ancestors().nth(3).expect("cargo's layout");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package, "--bin", package]);
    if cfg!(not(feature = "kernel")) {
        cargo.arg("--no-default-features");
    }
    cargo
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let status = cargo.status().expect("cargo can be run");
    assert!(status.success(), "{cargo:?}: {status}");
    target.join("debug").join(package)
}
