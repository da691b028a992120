//! Network namespaces and veth pairs for tests, made with `ip` and removed again.
//!
//! A closure enters a namespace on a thread of its own ([`Namespace::run`]); sockets that it opens stay
//! there. `ip netns exec` is not used: it mounts another /sys, without /sys/fs/bpf.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, PoisonError, RwLock};
use std::thread;

use nix::sched::{CloneFlags, setns};

const PREFIX: &str = "rl-test-";

/// Whether a test that needs namespaces can run: as root, with `ip`. If not, prints what is missing;
/// the test then returns.
#[must_use]
pub fn requires_root() -> bool {
    let missing = if !nix::unistd::geteuid().is_root() {
        "root"
    } else if ip_output("-V").is_err() {
        "ip (package iproute2)"
    } else {
        return true;
    };
    eprintln!("skipped: this test needs {missing}");
    false
}

/// A named network namespace of this test alone, with its loopback device up. Dropping it, by a panic
/// too, removes it and the devices in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one. `role` becomes a part of its name.
    pub fn new(role: &str) -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static LEFTOVERS: Once = Once::new();
        LEFTOVERS.call_once(remove_leftovers);

        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{role}-{}-{number}", std::process::id());
        // The first of all namespaces remounts /run/netns: only one process may do that.
        let lock = File::create("/run/relay-tests.lock").expect("/run can be written");
        lock.lock().expect("a lock can be waited for");
        ip(&format!("netns add {name}"));
        let namespace = Namespace { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` in it with these arguments, separated by spaces, and returns what it prints.
    pub fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.name))
    }

    /// Runs a closure in it, on a thread of its own.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter_and_work = || {
            self.enter();
            work()
        };
        thread::scope(|scope| scope.spawn(enter_and_work).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Starts a program in it.
    pub fn spawn(&self, command: &mut Command) -> Child {
        self.run(|| spawn(command).unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Sets a sysctl below `/proc/sys/net`.
    pub fn sysctl(&self, name: &str, value: &str) {
        self.run(|| {
            let path = Path::new("/proc/sys/net").join(name);
            fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        });
    }

    /// Switches one of a device's offloads, as `ethtool -K` does.
    pub fn set_offload(&self, device: &str, offload: Offload, on: bool) {
        self.run(|| ethtool(device, offload, on));
    }

    /// The ports of all UDP sockets, whatever address they are bound to.
    pub fn udp_ports(&self) -> Vec<u16> {
        // Of the thread: plain /proc/net is that of the process.
        let tables = self.run(|| {
            ["udp", "udp6"].map(|table| {
                fs::read_to_string(format!("/proc/thread-self/net/{table}"))
                    .expect("the kernel lists sockets")
            })
        });
        let lines = tables.iter().flat_map(|table| table.lines().skip(1));
        let local = |line: &str| {
            line.split_whitespace()
                .nth(1)?
                .rsplit_once(':')
                .map(|(_, port)| port.to_owned())
        };
        lines
            .filter_map(local)
            .filter_map(|port| u16::from_str_radix(&port, 16).ok())
            .collect()
    }

    /// The Ethernet address of a device.
    pub fn mac(&self, device: &str) -> [u8; 6] {
        let text = self.run(|| {
            let index = nix::net::if_::if_nametoindex(device).expect("the device exists");
            let link = nix::ifaddrs::getifaddrs()
                .expect("devices can be listed")
                .filter_map(|entry| entry.address?.as_link_addr().copied())
                .find(|link| link.ifindex() == usize::try_from(index).unwrap_or_default());
            link.and_then(|link| link.addr())
        });
        text.expect("the device has an Ethernet address")
    }

    /// Moves the calling thread into it, for good.
    pub fn enter(&self) {
        let file = File::open(Path::new("/run/netns").join(&self.name)).expect("the namespace exists");
        setns(&file, CloneFlags::CLONE_NEWNET).expect("root may enter namespaces");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Connects two namespaces by a veth pair, both ends up.
pub fn connect(one: (&Namespace, &str), other: (&Namespace, &str)) {
    let ((one, device), (other, peer)) = (one, other);
    ip(&format!(
        "link add {device} netns {} type veth peer name {peer} netns {}",
        one.name, other.name
    ));
    one.ip(&format!("link set {device} up"));
    other.ip(&format!("link set {peer} up"));
}

/// What a device does for the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Filling in the checksums of packets to be sent.
    TransmitChecksum,
    /// Merging received packets. A veth whose peer has it takes redirected frames.
    GenericReceive,
}

static FORKS: RwLock<()> = RwLock::new(());

/// Runs a closure that closes something whose end others can see: an address is free again, a program
/// detached. A child process that another test starts just then holds copies of all descriptors until it
/// runs its program; so nobody starts one meanwhile, of those who use this module.
pub fn without_forks<T>(work: impl FnOnce() -> T) -> T {
    let _no_forks = FORKS.read().unwrap_or_else(PoisonError::into_inner);
    work()
}

fn spawn(command: &mut Command) -> io::Result<Child> {
    let _fork = FORKS.write().unwrap_or_else(PoisonError::into_inner);
    // It returns when the child runs its program.
    command.spawn()
}

fn ip(arguments: &str) -> String {
    let output = ip_output(arguments).expect("ip can be run");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ip_output(arguments: &str) -> io::Result<Output> {
    let mut command = Command::new("ip");
    command
        .args(arguments.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    spawn(&mut command)?.wait_with_output()
}

fn remove(name: &str) {
    // Called while a test panics, too: a second panic would end the process.
    let removed = std::panic::catch_unwind(|| ip(&format!("netns del {name}")));
    if removed.is_err() {
        eprintln!("the namespace {name} could not be removed");
    }
}

/// Namespaces of test processes that were killed.
fn remove_leftovers() {
    let Ok(entries) = fs::read_dir("/run/netns") else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if owner(&name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove(&name);
        }
    }
}

/// The process that made a namespace; none if it is not one of ours.
fn owner(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix(PREFIX)?.rsplit('-');
    parts.next()?.parse::<u32>().ok()?;
    parts.next()?.parse().ok()
}

fn ethtool(device: &str, offload: Offload, on: bool) {
    /// `struct ethtool_value` of linux/ethtool.h.
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    const ETHTOOL_STXCSUM: u32 = 0x17;
    const ETHTOOL_SGRO: u32 = 0x2c;

    let mut value = Value {
        command: match offload {
            Offload::TransmitChecksum => ETHTOOL_STXCSUM,
            Offload::GenericReceive => ETHTOOL_SGRO,
        },
        data: u32::from(on),
    };
    // SAFETY: an ifreq is valid as zeroes.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback is up");
    // SAFETY: SIOCETHTOOL takes an ifreq that points to a command's struct; both live across the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    nix::errno::Errno::result(result).unwrap_or_else(|error| panic!("{device}: {offload:?}: {error}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_namespaces_have_an_owner() {
        assert_eq!(owner("rl-test-caller-17-2"), Some(17));
        assert_eq!(owner("rl-test-a-b-17-2"), Some(17));
        assert_eq!(owner("rl-other-17-2"), None);
        assert_eq!(owner("rl-test-17"), None);
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        if !requires_root() {
            return;
        }
        let mut name = String::new();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let namespace = Namespace::new("panic");
            namespace.name().clone_into(&mut name);
            assert!(Path::new("/run/netns").join(&name).exists());
            namespace.run(|| panic!("as intended"));
        }));
        assert!(result.is_err());
        assert!(!Path::new("/run/netns").join(&name).exists());
    }

    #[test]
    fn a_pair_connects() {
        if !requires_root() {
            return;
        }
        let (one, other) = (Namespace::new("one"), Namespace::new("other"));
        connect((&one, "a0"), (&other, "b0"));
        one.set_offload("a0", Offload::GenericReceive, true);
        assert!(one.ip("link show a0").contains("LOWER_UP"));
        assert_ne!(one.mac("a0"), other.mac("b0"));
        let socket = one.run(|| std::net::UdpSocket::bind("127.0.0.1:0")).unwrap();
        assert_eq!(one.udp_ports(), [socket.local_addr().unwrap().port()]);
        assert_eq!(other.udp_ports(), [0; 0]);
    }
}
