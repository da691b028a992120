//! The whole way from arguments and a file's text to settings.

mod file;

use super::super::options::{Kind, OPTIONS, Support};
use super::super::{LogSettings, Scheduling, SchedulingPolicy};
use super::*;
use crate::config::{FloodLimits, XdpMode};
use crate::sdp::{Codec, Description};

const NEEDED: &str = "--config-file=none --interface=127.0.0.1 --listen-ng=127.0.0.1:2223";

fn arguments(line: &str) -> Vec<OsString> {
    ["relay"]
        .into_iter()
        .chain(line.split_whitespace())
        .map(OsString::from)
        .collect()
}

fn start(line: &str) -> Result<Start, ConfigError> {
    Config::load(arguments(line))
}

fn config(line: &str) -> Config {
    match start(&format!("{NEEDED} {line}")).unwrap() {
        Start::Run(config) => *config,
        other @ (Start::Print(_) | Start::CleanUp | Start::Nothing) => panic!("{other:?}"),
    }
}

fn refusal(line: &str) -> String {
    start(&format!("{NEEDED} {line}")).unwrap_err().to_string()
}

/// The settings from the text of a file `x.conf`, with a command line.
fn from_file(line: &str, text: &str) -> Result<Config, ConfigError> {
    let mut given = Given::from_command_line(arguments(line))?;
    let section = section_of(&given);
    add_text(&mut given, Path::new("x.conf"), text, &section, true)?;
    Config::from_given(given, &SystemAddresses::read().unwrap())
}

fn file_refusal(text: &str) -> String {
    from_file("", text).unwrap_err().to_string()
}

/// A range without exceptions.
fn plain(ports: RangeInclusive<u16>) -> PortRange {
    PortRange {
        ports,
        excluded: Vec::new(),
    }
}

#[test]
fn defaults() {
    let config = config("");
    assert_eq!(config.ports, [plain(30000..=39999)]);
    assert_eq!(config.kernel, KernelChoice::Preferred);
    assert_eq!(config.xdp_mode, XdpMode::Auto);
    let floods = FloodLimits {
        port: 500,
        network: 10_000,
        drop_unclaimed: false,
    };
    assert_eq!(config.floods, floods);
    assert_eq!(config.xdp_interfaces, []);
    assert_eq!(config.listen.ng, ["127.0.0.1:2223".parse().unwrap()]);
    assert_eq!(
        (config.listen.tcp_ng, config.listen.http),
        (Vec::new(), Vec::new())
    );
    assert!(config.num_threads.get() >= 4);
    assert_eq!(config.gather_time, crate::datapath::userspace::GATHER_TIME);
    assert!(!config.foreground);
    assert_eq!(config.pidfile, None);
    assert_eq!(
        config.log,
        LogSettings {
            level: 6,
            subsystems: Vec::new(),
            stderr: false,
            facility: 3,
            name: "relay".to_owned(),
            timestamps: true,
            split: false,
            longest_line: Some(500),
            marks: Default::default(),
            keys: false,
        }
    );
    assert_eq!(
        (config.thread_stack, config.scheduling),
        (None, Scheduling::default())
    );
    assert_eq!((config.software, config.listen.path_mtu), (None, None));
    assert_eq!((config.listen.tos, config.listen.http_idle), (0, None));
    assert_eq!(config.warnings, [""; 0]);
    let call = config.call;
    assert_eq!(call.timeout, Duration::from_secs(60));
    assert_eq!(call.silent_timeout, Duration::from_secs(3600));
    assert_eq!(call.offer_timeout, Duration::from_secs(3600));
    assert_eq!(call.final_timeout, None);
    assert_eq!(call.delete_delay, Duration::from_secs(30));
    assert_eq!((call.tos, call.max_sessions), (0, None));
    assert_eq!(call.learning, Learning::Heuristic);
    assert!(!call.sip_source && !call.reject_invalid_sdp);
    assert!(call.epoch > Duration::from_secs(1_500_000_000));
}

#[test]
fn long_options_with_and_without_equals_sign() {
    for line in [
        "--port-min=40000 --port-max=40100 --table=0 --tos=184 --final-timeout=7",
        "--port-min 40000 --port-max 40100 --table 0 --tos 0xb8 --final-timeout 7",
    ] {
        let config = config(line);
        assert_eq!(config.ports, [plain(40000..=40100)]);
        assert_eq!(config.kernel, KernelChoice::Preferred);
        assert_eq!(config.call.tos, 184);
        assert_eq!(config.call.final_timeout, Some(Duration::from_secs(7)));
    }
}

#[test]
fn short_options_attached_detached_and_bundled() {
    let line = "relay --config-file=none -i127.0.0.1 -i ::1 -n 2223 -m 40000 -M40100 -o1 -s 2 -a3 -d 4 -T 5 \
                -t 6 -FEf -L7 -p /run/x.pid";
    let Start::Run(config) = Config::load(line.split_whitespace().map(OsString::from)).unwrap() else {
        panic!("not run");
    };
    assert_eq!(config.call.interfaces.addresses.len(), 2);
    assert_eq!(config.listen.ng[0], "0.0.0.0:2223".parse().unwrap());
    assert_eq!(config.ports, [plain(40000..=40100), plain(40000..=40100)]);
    assert_eq!(config.kernel, KernelChoice::Required);
    assert!(config.foreground && config.log.stderr);
    assert_eq!(config.log.level, 7);
    assert_eq!(config.pidfile, Some(PathBuf::from("/run/x.pid")));
    let call = config.call;
    assert_eq!(
        [
            call.timeout,
            call.silent_timeout,
            call.final_timeout.unwrap(),
            call.delete_delay
        ],
        [1, 2, 3, 4].map(Duration::from_secs)
    );
    assert_eq!(call.tos, 5);
}

#[test]
fn any_listener_will_do() {
    let alone = |listener: &str| start(&format!("--config-file=none -i 127.0.0.1 {listener}"));
    let Ok(Start::Run(config)) = alone("-N 127.0.0.1:2223 -N [::1]:2223") else {
        panic!("not run");
    };
    assert!(config.listen.ng.is_empty());
    assert_eq!(config.listen.tcp_ng.len(), 2);
    let Ok(Start::Run(config)) = alone("--listen-http=127.0.0.1:2225") else {
        panic!("not run");
    };
    assert_eq!(config.listen.http, ["127.0.0.1:2225".parse().unwrap()]);
    assert!(matches!(alone("").unwrap_err(), ConfigError::NoListener));
}

const SECTIONS: &str = "[rtpengine]
interfaces-config = intf
listen-ng = 2223
port-max = 30999

[intf-pub]
address = 127.0.0.1
advertised = 203.0.113.5
port-min = 20000
port-max = 20009
exclude-ports = 20001; 20004 - 20005 ;

[intf-two]
name = priv:a
address = 127.0.0.2
alias = internal

[intf-external]
alias = pub

[other]
nothing = here
";

#[test]
fn sections_describe_interfaces() {
    let config = from_file("", SECTIONS).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    let interfaces = &config.call.interfaces;
    let names: Vec<&str> = interfaces.interfaces.iter().map(|one| &one.name[..]).collect();
    assert_eq!(names, ["pub", "priv", "priv:a", "internal", "external"]);
    let advertised = |name: &str| interfaces.named(name).unwrap().addresses[0].advertised;
    assert_eq!(advertised("external"), "203.0.113.5".parse::<IpAddr>().unwrap());
    assert_eq!(advertised("internal"), advertised("priv"));
    assert_eq!(
        config.ports,
        [
            PortRange {
                ports: 20000..=20009,
                excluded: vec![20001..=20001, 20004..=20005],
            },
            plain(30000..=30999),
        ]
    );
    // They come after those of the option, and may share their addresses, with other ports there.
    let both = from_file("-i first/127.0.0.1", SECTIONS).unwrap();
    let interfaces = &both.call.interfaces;
    assert_eq!(interfaces.interfaces[0].name, "first");
    let range = |name: &str| {
        let address = interfaces.named(name).unwrap().addresses[0].local;
        let index = usize::from(address.0);
        (
            interfaces.addresses[index].to_string(),
            both.ports[index].ports.clone(),
        )
    };
    assert_eq!(range("first"), ("127.0.0.1".to_owned(), 30000..=30999));
    assert_eq!(range("pub"), ("127.0.0.1".to_owned(), 20000..=20009));
}

#[test]
fn mistakes_in_sections() {
    let refusal = |from: &str, to: &str| {
        assert!(SECTIONS.contains(from));
        from_file("", &SECTIONS.replace(from, to))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refusal("advertised =", "announced ="),
        "x.conf:8: unknown option `announced`"
    );
    assert_eq!(
        refusal("port-min = 20000", "port-min = 0"),
        "x.conf:9: port-min = 0: expected a whole number from 1 to 65535"
    );
    assert_eq!(
        refusal("port-max = 20009", "port-max = 10000"),
        "port-min (20000) is above port-max (10000)"
    );
    assert_eq!(
        refusal("20001;", "20001,"),
        "x.conf:11: exclude-ports = 20001, 20004 - 20005 ;: expected PORT or PORT-PORT, separated by `;`"
    );
    assert_eq!(
        refusal("20001;", "20000-20009;"),
        "x.conf:9: port-min = 20000: no port is left"
    );
    assert_eq!(
        refusal("alias = pub", "alias = nobody"),
        "x.conf:19: alias = nobody: no interface nobody before this alias of it"
    );
    assert_eq!(
        refusal("alias = pub", "port-min = 1"),
        "x.conf:19: interfaces-config = external: expected an `address` or an `alias` in this section"
    );
    let text = "[rtpengine]\ninterfaces-config = intf\nlisten-ng = 2223\n";
    let nothing = from_file("-i 127.0.0.1", text).unwrap();
    assert!(
        nothing.warnings[0].contains("no section [intf-NAME]"),
        "{:?}",
        nothing.warnings
    );
    assert!(matches!(
        from_file("", text).unwrap_err(),
        ConfigError::NoInterface
    ));
}

#[test]
fn negative_values() {
    for line in ["--table=-1", "--table -1", "-t-1", "-t -1"] {
        assert_eq!(config(line).kernel, KernelChoice::Off, "{line}");
    }
    for line in ["--max-sessions=-1", "--max-sessions -1"] {
        assert_eq!(config(line).call.max_sessions, None, "{line}");
    }
}

#[test]
fn limits_of_load_are_off_unless_they_are_set() {
    assert_eq!(config("").load_limits, LoadLimits::default());
    assert_eq!(
        config("--max-load=0 --max-cpu=0 --max-bandwidth=0").load_limits,
        LoadLimits::default()
    );
    let limits = LoadLimits {
        load: Some(3.5),
        cpu: Some(90.0),
        bandwidth: Some(1_000_000),
    };
    let line = "--max-load=3.5 --max-cpu=90 --max-bandwidth=1000000";
    assert_eq!(config(line).load_limits, limits);
}

#[test]
fn a_later_value_replaces_an_earlier_one_and_lists_grow() {
    let config = config("--timeout=1 --timeout=2 -f -f --interface=b/::1 --max-sessions=0");
    assert_eq!(config.call.timeout, Duration::from_secs(2));
    assert_eq!(config.call.interfaces.interfaces.len(), 2);
    assert_eq!(config.call.max_sessions, Some(0));
}

#[test]
fn every_unbuilt_option_is_accepted_with_one_warning() {
    let unbuilt = OPTIONS
        .iter()
        .filter(|option| option.support == Support::NotBuilt && option.kind != Kind::Act);
    for option in unbuilt {
        let mut forms = match option.kind {
            Kind::Flag | Kind::Act => vec![format!("--{}", option.name)],
            Kind::Value(_) | Kind::List(_) => {
                vec![format!("--{}=5", option.name), format!("--{} -1", option.name)]
            }
        };
        forms.extend(option.short.map(|short| match option.kind {
            Kind::Flag | Kind::Act => format!("-{short}"),
            Kind::Value(_) | Kind::List(_) => format!("-{short} x"),
        }));
        for form in forms {
            let warnings = config(&form).warnings;
            assert_eq!(warnings.len(), 1, "{form}");
            assert!(warnings[0].contains(&format!("`{}`", option.name)), "{form}");
        }
    }
}

#[test]
fn every_built_option_is_accepted_without_a_warning() {
    let given = "--help --version --cleanup --config-section=s --no-fallback --table=1 --num-threads=2 --gather-time=0 --log-facility=local3 \
                 --log-name=x --no-log-timestamps --offer-timeout=1 --endpoint-learning=off --rtcp-interval=100 --sip-source \
                 --moh-attr-name=X-music --moh-prevent-double-hold --reject-invalid-sdp --xdp-mode=generic --xdp-interface=eth0 \
         --xdp-interface=eth1=native --xdp-interface=eth0=off --unexpected-limit=7 --unexpected-network-limit=8 --drop-unclaimed";
    let given = Given::from_command_line(arguments(given)).unwrap();
    assert_eq!(given.warnings, [""; 0]);
    let config = config(
        "--no-fallback --table=1 --num-threads=2 --gather-time=0 --log-facility=local3 --log-name=x --no-log-timestamps \
         --offer-timeout=1 --endpoint-learning=off --rtcp-interval=100 --sip-source --moh-attr-name=X-music --moh-prevent-double-hold --reject-invalid-sdp --xdp-mode=generic --xdp-interface=eth0 \
         --xdp-interface=eth1=native --xdp-interface=eth0=off --unexpected-limit=7 --unexpected-network-limit=8 --drop-unclaimed",
    );
    let floods = FloodLimits {
        port: 7,
        network: 8,
        drop_unclaimed: true,
    };
    assert_eq!(config.floods, floods);
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!(config.call.music.attribute.as_deref(), Some("X-music"));
    assert!(config.call.music.prevent_double_hold);
    assert_eq!(config.call.rtcp_interval, Duration::from_millis(100));
    assert_eq!(config.kernel, KernelChoice::Required);
    assert_eq!(config.xdp_mode, XdpMode::Generic);
    assert_eq!(
        config.xdp_interfaces,
        [
            ("eth1".to_owned(), XdpMode::Native),
            ("eth0".to_owned(), XdpMode::Off)
        ]
    );
    assert_eq!(config.num_threads.get(), 2);
    assert_eq!(config.gather_time, Duration::ZERO);
    assert_eq!(
        (
            config.log.facility,
            config.log.name.as_str(),
            config.log.timestamps
        ),
        (19, "x", false)
    );
    assert_eq!(config.call.offer_timeout, Duration::from_secs(1));
    assert_eq!(config.call.learning, Learning::Off);
    assert!(config.call.sip_source && config.call.reject_invalid_sdp);
}

#[test]
fn options_that_act_and_exit() {
    assert!(
        matches!(start("--help"), Ok(Start::Print(text)) if text.contains("--listen-ng") && text.contains("redis"))
    );
    assert!(matches!(start("-v"), Ok(Start::Print(text)) if text.starts_with("relay ")));
    assert!(matches!(start("--codecs"), Ok(Start::Print(text)) if text.contains("PCMU: fully supported\n")));
    assert!(matches!(start("--nftables-stop"), Ok(Start::Nothing)));
}

#[test]
fn what_can_only_mean_nothing_here_is_accepted_in_silence() {
    let meaningless = OPTIONS
        .iter()
        .filter(|option| option.support == Support::Meaningless && option.kind != Kind::Act);
    for option in meaningless {
        let form = match option.kind {
            Kind::Flag | Kind::Act => format!("--{}", option.name),
            Kind::Value(_) | Kind::List(_) => format!("--{}=x", option.name),
        };
        assert_eq!(config(&form).warnings, [""; 0], "{form}");
        let value = if option.kind == Kind::Flag { "true" } else { "x" };
        let file = format!("[rtpengine]\n{} = {value}\n", option.name);
        let given = from_file("-i 127.0.0.1 -n 127.0.0.1:2223", &file).unwrap();
        assert_eq!(given.warnings, [""; 0], "{}", option.name);
    }
}

#[test]
fn threads_logs_and_control() {
    let config = config(
        "--thread-stack=512 --scheduling=rr --priority=7 --idle-scheduling=none --idle-priority=-3 -S -E \
         --split-logs --max-log-line-length=80 --log-mark-prefix=< --log-mark-suffix=> --log-srtp-keys \
         --log-format=parsable --control-tos=184 --control-pmtu=dont --http-idle-timeout=9 --software-id=x",
    );
    assert_eq!(config.thread_stack, Some(512 << 10));
    let rr = Scheduling {
        policy: Some(SchedulingPolicy::RoundRobin),
        priority: 7,
    };
    let nice = Scheduling {
        policy: None,
        priority: -3,
    };
    assert_eq!((config.scheduling, config.idle_scheduling), (rr, nice));
    let log = config.log;
    assert!(log.stderr && log.split && log.keys);
    assert_eq!(
        (log.longest_line, log.marks),
        (Some(80), ("<".to_owned(), ">".to_owned()))
    );
    let listen = config.listen;
    assert_eq!((listen.tos, listen.path_mtu), (184, Some(PathMtu::Ignore)));
    assert_eq!(listen.http_idle, Some(Duration::from_secs(9)));
    assert_eq!(config.software.as_deref(), Some("x"));
    assert!(config.call.saves_ports);
    assert!(refusal("--control-pmtu=x").contains("one of want, dont"));
    assert!(refusal("--log-format=x").contains("one of default, parsable"));
    assert!(refusal("--scheduling=x").contains("one of default, none, fifo"));
}

#[test]
fn mistakes_on_the_command_line() {
    assert!(refusal("--no-such-option").contains("--no-such-option"));
    assert!(refusal("-Z").contains("-Z"));
    assert!(refusal("stray").contains("stray"));
    assert!(refusal("--timeout").contains("--timeout"));
    assert!(refusal("--foreground=maybe").contains("--foreground"));
    assert_eq!(
        refusal("--timeout=soon"),
        "command line: timeout = soon: expected a whole number from 0 to 4294967295"
    );
    assert_eq!(
        refusal("--tos=256"),
        "command line: tos = 256: expected a whole number from 0 to 255"
    );
    assert_eq!(
        refusal("--moh-attr-name=a:b"),
        "command line: moh-attr-name = a:b: expected the name of an SDP attribute"
    );
    assert_eq!(
        refusal("--endpoint-learning=fast"),
        "command line: endpoint-learning = fast: expected one of delayed, immediate, off, heuristic"
    );
    for amount in ["much", "-1", "inf", "NaN"] {
        let refusal = refusal(&format!("--max-cpu={amount}"));
        assert!(
            refusal.ends_with("expected a number, not less than zero"),
            "{refusal}"
        );
    }
    assert!(refusal("--xdp-mode=offload").contains("one of auto, native, generic"));
    assert_eq!(
        refusal("-m 5000 -M 4000"),
        "port-min (5000) is above port-max (4000)"
    );
    assert!(refusal("--port-min=0").contains("port-min = 0"));
    assert!(refusal("--no-fallback --table=-1").contains("table"));
    assert!(refusal("--table=-2").contains("table = -2"));
    assert!(refusal("--log-level=128").contains("from -1 to 127"));
}

#[test]
fn an_interface_and_a_listener_are_needed() {
    let refusal = |line| start(line).unwrap_err().to_string();
    assert!(refusal("--config-file=none -n 2223").contains("--interface"));
    assert!(refusal("--config-file=none -i 127.0.0.1").contains("--listen-ng"));
    assert!(refusal("--config-file=none -n 2223 -i 192.0.2.77").contains("192.0.2.77 cannot be used"));
}

#[test]
fn listeners_in_all_forms() {
    let system = SystemAddresses::read().unwrap();
    let parsed = |text: &str| {
        let found = listener(text, &system)?;
        Ok::<_, ValueProblem>(found.iter().map(SocketAddr::to_string).collect::<Vec<_>>())
    };
    assert_eq!(parsed("127.0.0.1:2223").unwrap(), ["127.0.0.1:2223"]);
    assert_eq!(parsed("[::1]:2223").unwrap(), ["[::1]:2223"]);
    assert_eq!(parsed("2001:db8::1:2223").unwrap(), ["[2001:db8::1]:2223"]);
    assert_eq!(parsed("2223").unwrap()[0], "0.0.0.0:2223");
    assert_eq!(parsed("localhost:2223").unwrap().len(), 1);
    for text in [
        "",
        "0",
        "x",
        "1.2.3.4",
        "1.2.3.4:",
        ":2223",
        "1.2.3.4:70000",
        "[::1:2223",
    ] {
        assert_eq!(parsed(text), Err(ValueProblem::NotAListener), "{text}");
    }
}
