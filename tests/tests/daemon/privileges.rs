//! What the kernel path needs of those who start the daemon, and what it leaves behind.

use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use relay_tests::call::Call;
use relay_tests::daemon::{Control, Daemon, in_foreground, program, wait_until};
use relay_tests::lab::{IpVersion, Lab};
use relay_tests::netns::requires_root;

use super::bench::{INTERFACES, start, talk};

/// As the README lists them.
const CAPABILITIES: [&str; 3] = ["bpf", "perfmon", "net_admin"];

/// The same command with these capabilities and no others, as root of a container has them.
fn with_capabilities(command: &Command, capabilities: &[&str]) -> Command {
    let set = capabilities.iter().map(|name| format!(",+{name}"));
    let mut limited = Command::new("setpriv");
    limited
        .arg(format!("--bounding-set=-all{}", set.collect::<String>()))
        .args(["--inh-caps=-all", "--no-new-privs", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    limited
}

#[test]
fn the_listed_capabilities_are_enough_and_none_is_too_much() {
    if !requires_root() {
        return;
    }
    let lab = Lab::new();
    let command = in_foreground(&[&["--no-fallback"][..], &INTERFACES].concat());
    let daemon = Daemon::start_command(&lab.relay, &mut with_capabilities(&command, &CAPABILITIES));
    let daemon = daemon.unwrap_or_else(|ended| panic!("{}", ended.log));
    let mut control = Control::connect(&lab.relay);
    for (version, port) in [(IpVersion::V4, 4000), (IpVersion::V6, 4100)] {
        let call = Call::new(&format!("call-{port}"));
        let mut flows = talk(&lab, &mut control, &call, version, port);
        wait_until("the call is in the kernel", || {
            flows.iter_mut().for_each(|flow| drop(flow.pass(1)));
            call.is_in_kernel(&mut control)
        });
        for flow in &mut flows {
            flow.pass(100);
            flow.check();
        }
    }
    assert!(daemon.end(Signal::SIGTERM).status.success());

    for missing in CAPABILITIES {
        let others = CAPABILITIES.into_iter().filter(|name| *name != missing);
        let mut command = with_capabilities(&command, &others.collect::<Vec<_>>());
        let ended = Daemon::start_command(&lab.relay, &mut command).err();
        let log = ended.unwrap_or_else(|| panic!("{missing} is not needed")).log;
        assert!(log.contains("not permitted: it needs root"), "{missing}: {log}");
    }
}

fn clean_up(lab: &Lab) -> Output {
    let mut command = program();
    command
        .arg("--cleanup")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    lab.relay.spawn(&mut command).wait_with_output().unwrap()
}

#[test]
fn cleaning_up_disturbs_nobody() {
    if !requires_root() {
        return;
    }
    let lab = Lab::new();
    let daemon = start(&lab, &["--no-fallback"]);
    let before = lab.relay.ip("link show");
    let output = clean_up(&lab);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let owner = format!("left alone: process {} has it", daemon.pid());
    for (line, device) in lines.iter().zip(["r0", "r1"]) {
        assert!(line.starts_with(device) && line.ends_with(&owner), "{line}");
    }
    assert_eq!((lines.len(), lab.relay.ip("link show")), (2, before));

    daemon.end(Signal::SIGKILL);
    wait_until("nothing is left", || {
        let output = clean_up(&lab);
        output.status.success() && output.stdout.is_empty()
    });
    assert!(!lab.relay.ip("link show").contains("xdp"));
}
