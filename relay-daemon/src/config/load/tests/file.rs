//! What a configuration file says.

use super::*;

#[test]
fn a_file_sets_what_the_command_line_leaves_open() {
    let text = "# comment\n[other]\ntimeout = 1\n\n[rtpengine]\ninterface = a/127.0.0.1; b/::1 ;\nlisten-ng=2223\n\
                timeout = 20\ndelete-delay = 7\nforeground = true\nlog-stderr = false\ntable = 3\nredis = x:1/2\n\
                sip-source=true\n[rtpengine]\ntos = 8";
    let config = from_file("--timeout=30 --table=-1", text).unwrap();
    assert_eq!(config.call.interfaces.interfaces.len(), 2);
    assert_eq!(config.call.timeout, Duration::from_secs(30));
    assert_eq!(config.call.delete_delay, Duration::from_secs(7));
    assert_eq!(config.call.tos, 8);
    assert_eq!(config.kernel, KernelChoice::Off);
    assert!(config.foreground && config.call.sip_source && !config.log.stderr);
    assert_eq!(
        config.warnings,
        ["x.conf:13: option `redis` is known but not built yet: ignored"]
    );

    let of_section = "[other]\ninterface = 127.0.0.1\nlisten-ng=1\ntimeout = 1\n[rtpengine]\ntimeout = 2";
    let config = from_file("--config-section=other", of_section).unwrap();
    assert_eq!(config.call.timeout, Duration::from_secs(1));
}

#[test]
fn a_repeated_key_counts_once_with_a_warning() {
    let text = "[rtpengine]\ninterface = 127.0.0.1\nlisten-ng = 2223\ntimeout = 1\ntimeout = 2\n";
    let config = from_file("", text).unwrap();
    assert_eq!(config.call.timeout, Duration::from_secs(2));
    assert_eq!(config.warnings, ["x.conf:5: `timeout` takes the place of line 4"]);
}

#[test]
fn mistakes_in_a_file_name_file_and_line() {
    assert_eq!(
        file_refusal("timeout = 1"),
        "x.conf:1: this entry belongs to no section: a `[section]` line must come first"
    );
    assert_eq!(file_refusal("[other]\n"), "x.conf: no section [rtpengine]");
    assert_eq!(
        file_refusal("[rtpengine]\n\ntimeuot = 1"),
        "x.conf:3: unknown option `timeuot`"
    );
    assert_eq!(
        file_refusal("[rtpengine]\nhelp = true"),
        "x.conf:2: unknown option `help`"
    );
    assert_eq!(
        file_refusal("[rtpengine]\nforeground = perhaps"),
        "x.conf:2: foreground = perhaps: expected true or false"
    );
    assert_eq!(
        file_refusal("[rtpengine]\nlisten-ng = 1\ninterface = 127.0.0.1;pub/"),
        "x.conf:3: interface = pub/: expected [NAME/]ADDR[!ADVERTISED] or ALIAS=NAME"
    );
}

#[test]
fn a_file_that_was_asked_for_must_exist() {
    let error = start("--config-file=/nonexistent/relay.conf")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot read /nonexistent/relay.conf: "),
        "{error}"
    );
}

#[test]
fn templates_come_from_their_section() {
    const REST: &str = "interface = 127.0.0.1\nlisten-ng = 2223\n";
    let text = format!("[rtpengine]\n{REST}templates = tpl\n[tpl]\noffer = ICE=remove replace-origin\n");
    let config = from_file("", &text).unwrap();
    assert_eq!(config.templates.find("offer"), Some("ICE=remove replace-origin"));
    assert_eq!(config.templates.find("answer"), None);
    assert_eq!(config.warnings, [""; 0]);

    let config = from_file("", &format!("[rtpengine]\n{REST}templates = other\n")).unwrap();
    assert_eq!(
        config.warnings,
        ["x.conf: there is no section [other] for `templates`"]
    );
}

#[test]
fn from_text_nothing_is_looked_up() {
    let from_text = |line: &str| Config::from_text(arguments(line), "[rtpengine]\nport-max = 30099\n");
    // Not an address of this machine.
    let config = from_text("--interface=203.0.113.1 --listen-ng=198.51.100.1:2223").unwrap();
    assert_eq!(config.ports, [plain(30000..=30099)]);
    for name in ["localhost", "lo", "any"] {
        let error = from_text(&format!("--interface={name} --listen-ng=127.0.0.1:2223"));
        assert!(error.is_err(), "{name}");
    }
    assert!(from_text("--interface=203.0.113.1 --listen-ng=localhost:2223").is_err());
}

#[test]
fn sections_prefer_codecs() {
    let text = "[rtpengine]\ntranscode-config = px\nlisten-ng = 2223\n[px-a]\nsource = opus\ndestination = PCMA/8000\n\
                preference = -2\n";
    let config = from_file("-i 127.0.0.1", text).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    let (opus, pcma) = (opus(), Codec::new(8));
    assert_eq!(config.call.preferences.weight(&opus, &pcma), -2);
    assert_eq!(config.call.preferences.weight(&pcma, &opus), 0);
    assert_eq!(config.call.preferences.weight(&opus, &Codec::new(0)), 0);
    let refusal = |from: &str, to: &str| {
        let error = from_file("-i 127.0.0.1", &text.replace(from, to)).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        refusal("preference = -2\n", ""),
        "x.conf:5: transcode-config = a: expected a `preference` or `transform` in this section"
    );
    assert_eq!(
        refusal("-2", "0"),
        "x.conf:7: preference = 0: expected a whole number other than zero"
    );
    assert_eq!(
        refusal("opus", ""),
        "x.conf:5: source = : expected NAME[/CLOCK[/CHANNELS]]"
    );
    // Somebody else is to do it: that is no preference.
    let other = text.replace(
        "preference = -2",
        "transform = 192.0.2.9:2223\nlocal-interface = x",
    );
    let other = from_file("-i 127.0.0.1", &other).unwrap();
    assert_eq!(other.call.preferences.weight(&opus, &pcma), 0);
    assert!(other.warnings[0].contains("`transform`"), "{:?}", other.warnings);
    assert_eq!(
        refusal("preference = -2", "transform = nobody"),
        "x.conf:7: transform = nobody: expected ADDRESS:PORT"
    );
    let nothing = from_file("-i 127.0.0.1", &text.replace("[px-a]", "[py-a]")).unwrap();
    assert!(nothing.warnings[0].contains("no section [px-NAME]"));
}

fn opus() -> Codec {
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 96\r\n\
               a=rtpmap:96 opus/48000/2\r\n";
    Description::parse(sdp).unwrap().media.remove(0).codecs.remove(0)
}
