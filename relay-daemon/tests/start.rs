//! What a shell or a service manager sees of a start: exit status and standard error.

use std::process::{Command, Output};

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
        (&["--config-file=none"][..], "give --listen-ng"),
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
