//! What a shell or a service manager sees of a start: exit status and standard error.

use std::io::Read;
use std::net::UdpSocket;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn relay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_relay-daemon"))
        .args(arguments)
        .output()
        .expect("the daemon was built with this test")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn mistakes_are_fatal_errors_with_status_255() {
    for (arguments, says) in [
        (&["--config-file=none"][..], "give at least one --interface"),
        (&["--config-file=none", "-i", "127.0.0.1"], "give --listen-ng"),
        (&["--no-such-option"], "'--no-such-option'"),
        (
            &["--config-file=none", "-n", "2223", "-i", "192.0.2.77"],
            "192.0.2.77",
        ),
    ] {
        let output = relay(arguments);
        assert_eq!(output.status.code(), Some(255));
        let text = stderr(&output);
        assert!(text.starts_with("Fatal error: ") && text.contains(says), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn a_failure_behind_the_fork_reaches_whoever_started_the_daemon() {
    let output = relay(&[
        "--config-file=none",
        "-i127.0.0.1",
        "-n127.0.0.1:42223",
        "--log-stderr",
        "--pidfile=/nonexistent/pid",
    ]);
    assert_eq!(output.status.code(), Some(255));
    assert!(stderr(&output).contains("Fatal error: cannot write /nonexistent/pid: "));
}

#[test]
fn help_and_version_succeed() {
    assert!(relay(&["--help"]).status.success());
    let version = relay(&["-v"]);
    assert!(version.status.success());
    assert!(version.stdout.starts_with(b"relay "));
}

#[test]
fn in_the_background_the_starter_leaves_once_the_daemon_serves() {
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let pid_file = std::env::temp_dir().join(format!("relay-start-{}.pid", std::process::id()));
    let mut starter = Command::new(env!("CARGO_BIN_EXE_relay-daemon"))
        .args(["--config-file=none", "--table=-1", "-i127.0.0.1", "--log-stderr"])
        .arg(format!("--listen-ng=127.0.0.1:{port}"))
        .arg(format!("--pidfile={}", pid_file.display()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(starter.wait().unwrap().success());

    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", port)).unwrap();
    client.send(b"1 d7:command4:pinge").unwrap();
    let mut reply = [0; 100];
    let length = client.recv(&mut reply).unwrap();
    assert_eq!(&reply[..length], b"1 d6:result4:ponge");

    let daemon: i32 = std::fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert_ne!(u32::try_from(daemon).unwrap(), starter.id());
    kill(Pid::from_raw(daemon), Signal::SIGTERM).unwrap();
    // The daemon holds the last copy of the pipe: its end is the end of the daemon.
    let mut log = String::new();
    starter.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(!pid_file.exists(), "{log}");
}
