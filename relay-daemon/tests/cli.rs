//! The daemon itself, and what an operator gets of it.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod common;

use std::net::UdpSocket;
use std::process::Command;

use common::{Daemon, at, media_port, phone};
use relay_common::ng::Value;

/// A call with the id `c`. Gives back the sockets of the phones, and the ports that they were told.
fn connect(daemon: &mut Daemon) -> [(UdpSocket, u16); 2] {
    let ip = daemon.ip();
    let ((alice, offer), (bob, answer)) = (phone(&ip), phone(&ip));
    let tags = [("call-id", "c"), ("from-tag", "a"), ("to-tag", "b")];
    let reply = daemon.ask("offer", &[&tags[..2], &[("sdp", &offer)]].concat());
    let for_bob = media_port(&reply);
    let reply = daemon.ask("answer", &[&tags[..], &[("sdp", &answer)]].concat());
    [(alice, media_port(&reply)), (bob, for_bob)]
}

/// The lines of a call without the duration, which differs from one look to the next.
fn timeless(text: &str) -> Vec<&str> {
    text.lines()
        .map(|line| line.split(", callduration").next().unwrap())
        .collect()
}

#[test]
fn calls_are_listed_shown_and_ended() {
    let mut daemon = Daemon::start(&[]);
    assert_eq!(
        daemon.cli("list sessions all"),
        "No sessions on this media relay.\n"
    );
    assert_eq!(
        daemon.cli("list sessions own"),
        "No own sessions on this media relay.\n"
    );
    assert_eq!(daemon.cli("list sessions c"), "\nCall ID not found (c).\n\n");
    assert_eq!(daemon.cli("terminate c"), "\nCall Id not found (c).\n\n");
    assert_eq!(daemon.cli("call c frob"), "No such call 'c'\n");

    let [(alice, for_alice), (bob, for_bob)] = connect(&mut daemon);
    assert_eq!(
        daemon.cli("list numsessions"),
        "Current sessions own: 1\nCurrent sessions foreign: 0\nCurrent sessions total: 1\n\
         Current transcoded media: 0\nCurrent sessions ipv4 only media: 1\n\
         Current sessions ipv6 only media: 0\nCurrent sessions ip mixed  media: 0\n"
    );
    let line = daemon.cli("list sessions all");
    let columns: Vec<&str> = line.trim_end().split(" | ").collect();
    assert_eq!(columns[0], format!("ID: {:>60}", "c"));
    assert_eq!(columns[1], "del:n");
    let created: u64 = columns[2]
        .strip_prefix("creat: ")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(created > 1_700_000_000);
    assert!(columns[3].starts_with(&format!("prx:{}:", daemon.ip())));
    assert_eq!(columns[4..], ["redis:-1", "frgn:n", "rec:n"]);

    let packet = *b"\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\xbe\xefpayload";
    alice.send_to(&packet, (daemon.ip().as_str(), for_alice)).unwrap();
    bob.recv(&mut [0; 100]).unwrap();
    let queried = daemon.ask("query", &[("call-id", "c")]);
    let media = |tag: &str| {
        let Value::List(sections) = at(&queried, &["tags", tag, "medias"]) else {
            panic!("{queried:?}")
        };
        sections[0].dictionary().unwrap().clone()
    };
    assert_eq!(media("a").find("codec").unwrap().text().unwrap(), "PCMU/8000");
    assert_eq!(media("b").find("codec"), None, "it has sent nothing");
    let shown = daemon.cli("call c info");
    assert_eq!(timeless(&shown), timeless(&daemon.cli("list sessions c")));
    let address = |port: u16| format!("{:>15}:{port:<5}", daemon.ip());
    let port_of = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    for expected in [
        "callid: c\n".to_owned(),
        "deletionmark: no\n".to_owned(),
        "--- Tag 'a', type: FROM_TAG, label '', branch '', callduration ".to_owned(),
        "--- Tag 'b', type: TO_TAG, label '', branch '', callduration ".to_owned(),
        "---     subscribed to media with monologue tag 'b' (index: 1)\n".to_owned(),
        "------ Media #1 (audio over RTP/AVP) using unknown codec\n".to_owned(),
        "------ Media #1 (audio over RTP/AVP) using PCMU/8000\n".to_owned(),
        format!(
            "-------- Port {} <> {}, SSRC beef, 1 p, 19 b, 0 e, ",
            address(for_alice),
            address(port_of(&alice))
        ),
        format!(
            "-------- Port {} <> {} (RTCP), SSRC 0, 0 p, 0 b, 0 e, ",
            address(for_bob + 1),
            address(port_of(&bob) + 1)
        ),
    ] {
        assert!(shown.contains(&expected), "{expected}: {shown}");
    }
    let party = daemon.cli("call c tag b info");
    assert!(party.starts_with("--- Tag 'b'"), "{party}");
    let (shown, party) = (timeless(&shown), timeless(&party));
    assert!(shown[..shown.len() - 1].ends_with(&party), "{party:?}");
    assert_eq!(daemon.cli("call c tag x info"), "No such tag 'x'\n");
    assert_eq!(daemon.cli("call c tag a"), "Incomplete command: \n");
    assert_eq!(daemon.cli("call c frob"), "Unknown command: frob\n");
    assert!(daemon.cli("call c help").contains("\ttag <tag> <option>\n"));

    daemon.ask("delete", &[("call-id", "c"), ("from-tag", "a")]);
    assert!(daemon.cli("list sessions own").contains(" | del:y | "));
    assert_eq!(daemon.cli("call c terminate"), "\nCall 'c' terminated.\n\n");
    connect(&mut daemon);
    assert_eq!(daemon.cli("terminate all"), "All calls terminated by operator.\n");
    assert!(
        daemon
            .cli("list numsessions")
            .starts_with("Current sessions own: 0\n")
    );
    let totals = daemon.cli("list totals");
    for line in [
        " Total forced terminated sessions                :2\n",
        " Total relayed packets (userspace)               :1\n",
        " Owned sessions                                  :0\n",
    ] {
        assert!(totals.contains(line), "{line}: {totals}");
    }
}

#[test]
fn settings_change_and_change_back() {
    let mut daemon = Daemon::start(&["--timeout=60"]);
    assert_eq!(daemon.cli("list timeout"), "TIMEOUT=60\n");
    assert_eq!(daemon.cli("set timeout 61"), "Success setting timeout to 61\n");
    assert_eq!(daemon.cli("get timeout"), "TIMEOUT=61\n");
    assert_eq!(daemon.cli("params diff"), "timeout: 60000000 => 61000000\n");
    assert!(daemon.cli("params start").contains("\ntimeout_us = 60000000\n"));
    assert!(daemon.cli("params current").contains("\ntimeout_us = 61000000\n"));
    assert_eq!(
        daemon.cli("set timeout many"),
        "Fail setting timeout to many; no digits found\n"
    );
    assert_eq!(
        daemon.cli("set maxsessions 0"),
        "Success setting maxsessions to 0\n"
    );
    let refused = daemon.ask("offer", &[("call-id", "c"), ("from-tag", "a"), ("sdp", "v=0")]);
    assert_eq!(
        refused.find("error-reason").unwrap().text().unwrap(),
        "Parallel session limit reached"
    );
    assert_eq!(daemon.cli("params revert"), "");
    assert_eq!(daemon.cli("list timeout"), "TIMEOUT=60\n");
    assert_eq!(daemon.cli("params diff"), "");
    assert_eq!(
        daemon.cli("set maxsessions -1"),
        "Success setting maxsessions to -1; disable feature\n"
    );
    assert_eq!(
        daemon.cli("list maxsessions"),
        "Maximum sessions configured on rtpengine: -1\n"
    );
    assert_eq!(daemon.cli("list deletedelay"), "30\n");
    assert_eq!(
        daemon.cli("list maxload"),
        "Maximum load average configured on rtpengine: 0.00\n"
    );
    assert_eq!(
        daemon.cli("set maxload 100000.5"),
        "Success setting maxload to 100000.50\n"
    );
    assert_eq!(
        daemon.cli("get maxload"),
        "Maximum load average configured on rtpengine: 100000.50\n"
    );
    assert_eq!(daemon.cli("set maxload 0"), "Success setting maxload to 0.00\n");

    // Limits of load come and go with the others.
    daemon.cli("set maxcpu 99.5");
    assert_eq!(daemon.cli("params diff"), "max-cpu: 0 => 99.5\n");
    assert!(
        daemon
            .cli("params current")
            .contains("\nbw_limit = 0\n[max-cpu = 99.5]\n")
    );
    assert_eq!(daemon.cli("params revert"), "");
    assert_eq!(
        daemon.cli("list maxcpu"),
        "Maximum CPU usage configured on rtpengine: 0.0\n"
    );

    // So does the TOS of replies, and what will matter to stores.
    assert_eq!(
        daemon.cli("set controltos 184"),
        "Success setting control-tos to 184\n"
    );
    assert_eq!(
        daemon.cli("set rediscmdtimeout 5"),
        "Success setting redis-cmd-timeout to 5\n"
    );
    assert_eq!(
        daemon.cli("params diff"),
        "control-tos: 0 => 184\nredis-cmd-timeout: 0 => 5\n"
    );
    daemon.ask("ping", &[]);
    daemon.cli("params revert");
    assert_eq!(daemon.cli("list controltos"), "0\n");

    // A shorter timeout counts for calls that are there already.
    connect(&mut daemon);
    daemon.cli("set timeout 0");
    while daemon.cli("list sessions all") != "No sessions on this media relay.\n" {}
    assert!(daemon.cli("list totals").contains("via TIMEOUT            :1\n"));
}

#[test]
fn what_is_said_about_a_call_is_logged_if_it_is_debugged() {
    let mut daemon = Daemon::start(&[]);
    assert_eq!(daemon.cli("debug c on"), "Call ID 'c' not found\n");
    connect(&mut daemon);
    assert_eq!(daemon.cli("call c debug on"), "Enabled debugging for call 'c'\n");
    daemon.ask("query", &[("call-id", "c"), ("from-tag", "first")]);
    let line = daemon.logged("call is debugged");
    assert!(line.contains("first") && line.contains("6:result2:ok"), "{line}");
    assert_eq!(daemon.cli("debug c off"), "Disabled debugging for call 'c'\n");
    daemon.ask("query", &[("call-id", "c"), ("from-tag", "second")]);
    let (_phone, offer) = phone(&daemon.ip());
    let third = [
        ("call-id", "d"),
        ("from-tag", "third"),
        ("sdp", &offer),
        ("flags", "debug"),
    ];
    daemon.ask("offer", &third);
    let line = daemon.logged("call is debugged");
    assert!(line.contains("third") && line.contains("m=audio"), "{line}");
    daemon.ask(
        "delete",
        &[("call-id", "d"), ("delete-delay", "0"), ("fourth", "4")],
    );
    assert!(daemon.logged("call is debugged").contains("fourth"));
}

#[test]
fn log_levels_change_by_command_and_by_signal() {
    let daemon = Daemon::start(&["--log-level=6", "--log-level-ice=7"]);
    assert_eq!(daemon.cli("list loglevel core"), "6\n");
    assert_eq!(daemon.cli("list loglevel ice"), "7\n");
    assert!(daemon.cli("list loglevel").contains("internals = -1\n"));
    assert!(daemon.cli("list loglevels").contains("ice - ICE\n"));
    assert_eq!(
        daemon.cli("set loglevel core 5"),
        "Success setting loglevel to 5\n"
    );
    assert_eq!(
        daemon.cli("set loglevel frob 6"),
        "Unknown log level subsystem: frob\n"
    );
    let signal = |name: &str| {
        let pid = daemon.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    signal("-USR1");
    while daemon.cli("list loglevel core") != "4\n" {}
    signal("-USR2");
    while daemon.cli("list loglevel core") != "5\n" {}
    assert_eq!(daemon.cli("list loglevel ice"), "7\n");
}

#[test]
fn calls_of_another_relay_are_told_apart_and_no_timeout_ends_them() {
    let mut daemon = Daemon::start(&[]);
    connect(&mut daemon);
    assert_eq!(
        daemon.cli("standby"),
        "Ok, all calls set to 'foreign (standby)'\n"
    );
    assert!(daemon.cli("list sessions foreign").contains(" | frgn:y | "));
    assert_eq!(
        daemon.cli("list sessions own"),
        "No own sessions on this media relay.\n"
    );
    assert!(daemon.cli("call c info").contains("\nforeign: yes\n"));
    assert!(
        daemon
            .cli("list numsessions")
            .contains("own: 0\nCurrent sessions foreign: 1\n")
    );
    daemon.cli("set timeout 0");
    daemon.cli("terminate own");
    assert!(daemon.cli("list sessions all").contains(" | frgn:y | "));
    assert_eq!(daemon.cli("active"), "Ok, all calls set to 'owned (active)'\n");
    while daemon.cli("list sessions all") != "No sessions on this media relay.\n" {}
}

#[test]
fn a_hangup_ends_with_status_42() {
    let mut daemon = Daemon::start(&[]);
    let pid = daemon.process.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(daemon.process.wait().unwrap().code(), Some(42));
}

#[test]
fn the_rest() {
    let mut daemon = Daemon::start(&[]);
    let usage = daemon.cli("usage");
    assert!(usage.contains("terminate") && usage.contains("        numsessions "));
    assert!(daemon.cli("help").contains("\tset <option>\n"));
    assert!(daemon.cli("set help").lines().count() > 2);
    assert_eq!(daemon.cli("frob"), "Unknown command: frob\n");
    assert_eq!(daemon.cli(""), "Incomplete command: \n");
    assert_eq!(daemon.cli("terminate"), "More parameters required.\n");
    assert_eq!(daemon.cli("media list files"), "");
    assert_eq!(
        daemon.cli("media evict db 5 6"),
        "Failed to evict 5\nFailed to evict 6\n"
    );
    assert_eq!(
        daemon.cli("kslist"),
        "Keyspace notification feature has not been configured.\n"
    );
    assert_eq!(daemon.cli("ping"), "pong\n");
    assert!(
        daemon
            .cli("list counters")
            .contains(" Packets per second (kernel)                     :0\n")
    );
    let interfaces = daemon.cli("list interfaces");
    assert!(
        interfaces.starts_with(&format!("Interface 'default' address '{}' (IPv4)\n", daemon.ip())),
        "{interfaces}"
    );
    assert!(interfaces.contains(" Port range: 30000 - 30099\n Ports used:     0 /   100 (  0.0%)\n"));
    let json: serde_json::Value = serde_json::from_str(&daemon.cli("list jsonstats")).unwrap();
    assert_eq!(json["currentstatistics"]["sessionsown"], 0);
    assert_eq!(json["totalstatistics"]["avgcallduration"], 0.0);
    assert_eq!(json["interfaces"][0]["address"], daemon.ip());

    // The same over the other ways in.
    let reply = daemon.ask("cli", &[("body", "list timeout")]);
    assert_eq!(reply.find("response").unwrap().text().unwrap(), "TIMEOUT=60\n");
    let page = ureq::get(format!("http://{}/cli/list+timeout", daemon.http))
        .call()
        .unwrap();
    assert_eq!(page.into_body().read_to_string().unwrap(), "TIMEOUT=60\n");
}
