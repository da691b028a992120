//! What `ng-client` shows of a running daemon.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};

use nix::pty::{OpenptyResult, Winsize, openpty};
use relay_tests::call::Call;
use relay_tests::daemon::{client_program, wait_until};
use relay_tests::flow::Traffic;
use relay_tests::lab::IpVersion;
use relay_tests::netns::requires_root;

use super::bench::Bench;

const OPTIONS: [&str; 4] = [
    "--table=0",
    "--no-fallback",
    "--xdp-mode=native",
    "--listen-cli=127.0.0.1:9900",
];

/// Runs the client in the relay's namespace.
fn run(bench: &Bench, arguments: &[&str]) -> Output {
    let mut command = client_program();
    command.args(arguments).stdin(Stdio::null());
    let child = bench
        .lab
        .relay
        .spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The number before these words.
fn number_before(text: &str, words: &str) -> u64 {
    let (before, _) = text.split_once(words).unwrap_or_else(|| panic!("{text}"));
    let number = before.rsplit([' ', '\n']).next().unwrap();
    number.replace(',', "").parse().unwrap()
}

#[test]
fn watching_shows_rates_and_the_kernel_s_share() {
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(&OPTIONS);
    assert_eq!(
        stdout(&run(&bench, &["watch", "--count", "1", "--interval", "0.1"])),
        "no calls\n0 packets/s\n"
    );

    let call = Call::new("call");
    let traffic = bench.talk(&call, IpVersion::V4, 4000).map(Traffic::start);
    call.wait_for_path(&mut bench.control, "kernel");
    // Nothing is in userspace any more when the first look comes.
    let text = stdout(&run(&bench, &["watch", "--count=2", "--interval=0.2"]));
    let tables: Vec<&str> = text.split("\n\n CALL-ID ").collect();
    assert_eq!(tables.len(), 2, "{text}");
    for table in tables {
        assert!(table.contains("KERNEL/s  USERSPACE/s  RELAYED IN\n"), "{text}");
        assert!(number_before(table, " packets/s, ") > 0, "{text}");
        assert_eq!(number_before(table, " % in the kernel"), 100, "{text}");
        assert!(table.contains("\n\n1 call\n"), "{text}");
    }
    for flow in traffic {
        flow.end();
    }
}

#[test]
fn at_a_terminal_a_key_ends_it() {
    if !requires_root() {
        return;
    }
    let bench = Bench::start(&OPTIONS);
    for key in ["q", "\x03"] {
        let mut terminal = Terminal::run(&bench, client_program().arg("watch"));
        terminal.wait_for("no calls");
        terminal.keys.write_all(key.as_bytes()).unwrap();
        let status = terminal.child.wait().unwrap();
        assert!(status.success(), "{key:?}: {status}");
    }
}

#[test]
fn lines_for_the_operator_s_port() {
    if !requires_root() {
        return;
    }
    let bench = Bench::start(&OPTIONS);
    let text = stdout(&run(&bench, &["cli", "list", "timeout"]));
    assert_eq!(text, "TIMEOUT=60\n");
    let text = stdout(&run(&bench, &["cli", "set", "maxsessions", "-1"]));
    assert_eq!(text, "Success setting maxsessions to -1; disable feature\n");
    let text = stdout(&run(&bench, &["--json", "cli", "frob"]));
    assert_eq!(text, "{\n  \"response\": \"Unknown command: frob\\n\"\n}\n");
    let nobody = run(&bench, &["cli", "--port=127.0.0.1:9901", "list", "timeout"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert_eq!(
        String::from_utf8_lossy(&nobody.stderr),
        "ng-client: nobody listens at 127.0.0.1:9901\n"
    );
}

/// A program at a terminal.
struct Terminal {
    child: Child,
    keys: File,
    text: String,
}

impl Terminal {
    fn run(bench: &Bench, command: &mut Command) -> Terminal {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
        command.stdin(slave.try_clone().unwrap());
        let child = bench.lab.relay.spawn(command.stdout(slave).stderr(Stdio::null()));
        Terminal {
            child,
            keys: master.into(),
            text: String::new(),
        }
    }

    fn wait_for(&mut self, words: &str) {
        wait_until(words, || {
            let mut buffer = [0; 1024];
            let length = self.keys.read(&mut buffer).unwrap();
            self.text.push_str(&String::from_utf8_lossy(&buffer[..length]));
            self.text.contains(words)
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended by itself, unless the test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
