//! Start and end: with the kernel, without it, in the background.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use relay_tests::call::Call;
use relay_tests::daemon::{Control, Daemon, Process, in_foreground, is_served, program, wait_until};
use relay_tests::flow::Traffic;
use relay_tests::lab::{IpVersion, Lab};
use relay_tests::netns::requires_root;
use relay_tests::probe::Side;

use super::bench::{Bench, INTERFACES, audio, start, talk};

const KERNEL: [&str; 2] = ["--table=0", "--no-fallback"];

/// The same command, by somebody without any privilege but to be root by name.
fn without_privileges(command: &Command) -> Command {
    let mut unprivileged = Command::new("setpriv");
    unprivileged
        .args(["--bounding-set=-all", "--inh-caps=-all", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    unprivileged
}

fn has_xdp(lab: &Lab) -> bool {
    lab.relay.ip("link show").contains("xdp")
}

/// Waits for what the kernel does some moments after the program's last holder has gone.
fn wait_for_detachment(lab: &Lab) {
    wait_until("XDP is detached", || !has_xdp(lab));
}

#[test]
fn no_fallback_needs_the_kernel() {
    if !requires_root() {
        return;
    }
    let lab = Lab::new();
    let on_loopback = in_foreground(&[&KERNEL[..], &["--interface=127.0.0.1"]].concat());
    let everywhere = in_foreground(&[&KERNEL[..], &INTERFACES].concat());
    for (mut command, reason) in [
        (
            on_loopback,
            "no interface for the XDP program: lo: a loopback device",
        ),
        (
            without_privileges(&everywhere),
            "not permitted: it needs root, or the capabilities",
        ),
    ] {
        let ended = Process::start(&lab.relay, &mut command).wait();
        assert_eq!(ended.status.code(), Some(255), "{}", ended.log);
        let last = ended.log.lines().last().unwrap_or_default();
        let fatal = "Fatal error: cannot relay in the kernel, and no-fallback forbids to go on without: ";
        assert!(last.starts_with(&format!("{fatal}{reason}")), "{}", ended.log);
        assert!(!has_xdp(&lab));
    }
    let daemon = start(&lab, &KERNEL);
    assert!(has_xdp(&lab));
    assert_eq!(daemon.bpf_programs().len(), 1);
}

#[test]
fn userspace_does_without_privileges_and_without_programs() {
    if !requires_root() {
        return;
    }
    let lab = Lab::new();
    let asked_for = in_foreground(&[&["--table=-1"][..], &INTERFACES].concat());
    let fallen_back = without_privileges(&in_foreground(&[&["--table=0"][..], &INTERFACES].concat()));
    for (mut command, says) in [
        (asked_for, "relaying in userspace only (table is -1)"),
        (fallen_back, "relaying in userspace only: not permitted"),
    ] {
        let daemon = Daemon::start_command(&lab.relay, &mut command).unwrap();
        let log = daemon.log();
        assert_eq!(log.matches("userspace only").count(), 1, "{log}");
        assert!(log.contains(says), "{log}");
        assert!(!has_xdp(&lab));
        assert_eq!(daemon.bpf_programs(), [].into());
        let mut control = Control::connect(&lab.relay);
        let call = Call::new("call");
        for mut flow in talk(&lab, &mut control, &call, IpVersion::V4, 4000) {
            flow.pass(20);
            flow.check();
        }
        assert_eq!(call.path(&mut control, Side::Caller), "no kernel datapath");
    }
}

#[test]
fn a_signal_ends_it_cleanly() {
    if !requires_root() {
        return;
    }
    for (signal, with_calls) in [
        (Signal::SIGTERM, false),
        (Signal::SIGINT, false),
        (Signal::SIGTERM, true),
        (Signal::SIGINT, true),
    ] {
        let pidfile = PidFile::new();
        let mut bench = Bench::start(&[&KERNEL[..], &[&pidfile.option()]].concat());
        assert_eq!(pidfile.pid(), Some(bench.daemon.pid().cast_signed()));
        assert!(has_xdp(&bench.lab));
        if with_calls {
            let somewhere = audio(Side::Caller, IpVersion::V4, 4100);
            Call::new("unanswered").offer(&mut bench.control, somewhere);
            let call = Call::new("call");
            let traffic = bench.talk(&call, IpVersion::V4, 4000).map(Traffic::start);
            call.wait_for_path(&mut bench.control, "kernel");
            for flow in traffic {
                flow.end();
            }
        }
        let Bench { lab, daemon, .. } = bench;
        let ended = daemon.end(signal);
        assert!(
            ended.status.success(),
            "{signal}: {}:\n{}",
            ended.status,
            ended.log
        );
        // Nothing had to be waited for.
        assert!(!ended.log.contains("in time"), "{}", ended.log);
        let calls = if with_calls { 2 } else { 0 };
        assert_eq!(
            ended.log.matches("reason=\"FORCED\"").count(),
            calls,
            "{}",
            ended.log
        );
        wait_for_detachment(&lab);
        assert!(!pidfile.path.exists());
    }
}

#[test]
fn it_goes_into_the_background() {
    if !requires_root() {
        return;
    }
    // The daemon's parent will have gone: we take its place, to hear of its end.
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let lab = Lab::new();
    let pidfile = PidFile::new();
    let mut command = program();
    command
        .args([
            "--config-file=none",
            "--log-level=0",
            "--listen-ng=127.0.0.1:2223",
        ])
        .args(KERNEL)
        .args(INTERFACES)
        .arg(pidfile.option());
    let mut starter = Process::start(&lab.relay, &mut command);
    assert!(starter.exit_status().success());
    // It serves from the moment that the starter says so.
    assert!(is_served(&lab.relay) && has_xdp(&lab));
    let background = Background(Pid::from_raw(pidfile.pid().unwrap()));
    let pid = background.0;
    assert_eq!(
        fs::read_link(format!("/proc/{pid}/cwd")).unwrap(),
        PathBuf::from("/")
    );
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(background.wait(), Ok(WaitStatus::Exited(pid, 0)));
    wait_for_detachment(&lab);
    assert!(!pidfile.path.exists());
}

/// A daemon that is nobody's child but ours by adoption; killed in the end.
struct Background(Pid);

impl Background {
    fn wait(self) -> nix::Result<WaitStatus> {
        let pid = self.0;
        std::mem::forget(self);
        waitpid(pid, None)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

/// A place for a process id, removed in the end.
struct PidFile {
    path: PathBuf,
}

impl PidFile {
    fn new() -> PidFile {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("relay-tests-{}-{number}.pid", std::process::id());
        PidFile {
            path: std::env::temp_dir().join(name),
        }
    }

    fn option(&self) -> String {
        format!("--pidfile={}", self.path.display())
    }

    fn pid(&self) -> Option<i32> {
        fs::read_to_string(&self.path).ok()?.trim().parse().ok()
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
