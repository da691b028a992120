//! From text to typed values.

mod dtls;
mod log;
mod threads;
mod xdp;

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::codecs;
use super::error::{ConfigError, ValueProblem};
use super::given::{self, Given, Setting};
use super::ini::Ini;
use super::interfaces::SystemAddresses;
use super::{
    CallSettings, Config, Interfaces, KernelChoice, Listeners, LoadLimits, MusicSettings, PathMtu, PortRange,
    SsrcReporting, Start, TlsFiles,
};
use crate::clock::Time;
use crate::plan::{Learning, MosModel};
use crate::sdp::{Attribute, Text};

const DEFAULT_FILE: &str = "/etc/rtpengine/rtpengine.conf";
const DEFAULT_SECTION: &str = "rtpengine";
/// As many local addresses as the kernel's table of them holds.
const MAX_ADDRESSES: usize = relay_common::slot::MAX_LOCALS as usize;
/// The longest duration an option takes, in seconds: a hundred years or so.
const MAX_SECONDS: i64 = u32::MAX as i64;

const LEARNING_MODES: &[(&str, Learning)] = &[
    ("delayed", Learning::Delayed),
    ("immediate", Learning::Immediate),
    ("off", Learning::Off),
    ("heuristic", Learning::Heuristic),
];

const SSRC_REPORTING: &[(&str, SsrcReporting)] = &[
    ("full", SsrcReporting::Full),
    ("inline", SsrcReporting::Inline),
    ("global", SsrcReporting::Global),
    ("none", SsrcReporting::None),
];

impl Config {
    /// Reads the command line (the first argument is the program's name) and the configuration file.
    ///
    /// Looks up host names, and tries each address by binding a socket to it.
    pub fn load(arguments: impl IntoIterator<Item = OsString>) -> Result<Start, ConfigError> {
        let mut given = Given::from_command_line(arguments)?;
        if given.has("help") {
            return Ok(Start::Print(given::help()));
        }
        if given.has("version") {
            return Ok(Start::Print(format!("relay {}\n", env!("CARGO_PKG_VERSION"))));
        }
        if given.has("codecs") {
            return Ok(Start::Print(codecs::list()));
        }
        if given.has("cleanup") {
            return Ok(Start::CleanUp);
        }
        if given.asks_for_no_action() {
            return Ok(Start::Nothing);
        }
        read_file(&mut given)?;
        let system = SystemAddresses::read().map_err(|error| ConfigError::NoAddressList(error.into()))?;
        let config = Config::from_given(given, &system)?;
        config.call.interfaces.check_usable()?;
        Ok(Start::Run(Box::new(config)))
    }

    /// The settings from a command line and the text of a configuration file, whatever machine this is: addresses have to
    /// be written as such, nothing is looked up, and no address is tried. An option that acts and exits is ignored.
    pub fn from_text(
        arguments: impl IntoIterator<Item = OsString>,
        text: &str,
    ) -> Result<Config, ConfigError> {
        let mut given = Given::from_command_line(arguments)?;
        let section = section_of(&given);
        add_text(&mut given, Path::new(DEFAULT_FILE), text, &section, false)?;
        Config::from_given(given, &SystemAddresses::default())
    }

    fn from_given(given: Given, system: &SystemAddresses) -> Result<Config, ConfigError> {
        let (interfaces, ports) = network(&given, system)?;
        Ok(Config {
            listen: listeners(&given, system)?,
            call: call_settings(&given, interfaces)?,
            templates: given.templates.clone(),
            ports,
            kernel: kernel(&given)?,
            xdp_mode: xdp::mode(&given)?,
            xdp_interfaces: xdp::interfaces(&given)?,
            floods: xdp::floods(&given)?,
            dtls: dtls::settings(&given)?,
            load_limits: load_limits(&given)?,
            num_threads: num_threads(&given)?,
            thread_stack: threads::stack(&given)?,
            gather_time: threads::gather_time(&given)?,
            scheduling: threads::scheduling(&given, "scheduling", "priority")?,
            idle_scheduling: threads::scheduling(&given, "idle-scheduling", "idle-priority")?,
            software: given.value("software-id").map(str::to_owned),
            log: log::settings(&given)?,
            foreground: given.has("foreground"),
            pidfile: given.value("pidfile").map(PathBuf::from),
            warnings: given.warnings,
        })
    }
}

impl Interfaces {
    /// Binds a socket to each address: the only question that a system with non-local binding, a tentative
    /// address or a vanished interface answers right.
    fn check_usable(&self) -> Result<(), ConfigError> {
        for &address in &self.addresses {
            UdpSocket::bind((address, 0)).map_err(|source| ConfigError::NotLocal { address, source })?;
        }
        Ok(())
    }
}

fn read_file(given: &mut Given) -> Result<(), ConfigError> {
    let path = match given.value("config-file") {
        Some("none") => return Ok(()),
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(DEFAULT_FILE),
    };
    let asked_for = given.has("config-file") || given.has("config-section");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !asked_for => return Ok(()),
        Err(source) => return Err(ConfigError::Unreadable { path, source }),
    };
    let section = section_of(given);
    add_text(given, &path, &text, &section, asked_for)
}

fn section_of(given: &Given) -> String {
    given
        .value("config-section")
        .unwrap_or(DEFAULT_SECTION)
        .to_owned()
}

fn add_text(
    given: &mut Given,
    path: &Path,
    text: &str,
    section: &str,
    section_needed: bool,
) -> Result<(), ConfigError> {
    let ini = Ini::parse(text).map_err(|source| ConfigError::Line {
        path: path.to_owned(),
        source,
    })?;
    if section_needed && !ini.sections.iter().any(|name| name == section) {
        return Err(ConfigError::NoSection {
            path: path.to_owned(),
            section: section.to_owned(),
        });
    }
    given.add_file(path, &ini, section)?;
    given.add_interfaces(path, &ini)?;
    given.add_preferences(path, &ini)?;
    given.add_templates(path, &ini);
    Ok(())
}

fn call_settings(given: &Given, interfaces: Interfaces) -> Result<CallSettings, ConfigError> {
    let final_timeout = seconds(given, "final-timeout", 0)?;
    Ok(CallSettings {
        interfaces,
        timeout: seconds(given, "timeout", 60)?,
        silent_timeout: seconds(given, "silent-timeout", 3600)?,
        offer_timeout: seconds(given, "offer-timeout", 3600)?,
        final_timeout: Some(final_timeout).filter(|timeout| !timeout.is_zero()),
        delete_delay: seconds(given, "delete-delay", 30)?,
        tos: number(given, "tos", 0..=255, 0)?,
        learning: choice(
            given,
            "endpoint-learning",
            LEARNING_MODES,
            "delayed, immediate, off, heuristic",
        )?
        .unwrap_or_default(),
        music: music(given)?,
        mos: mos(given)?,
        ssrc_reporting: choice(
            given,
            "ssrc-reporting",
            SSRC_REPORTING,
            "full, inline, global, none",
        )?
        .unwrap_or_default(),
        rtcp_interval: Duration::from_millis(number(given, "rtcp-interval", 1..=i64::from(i32::MAX), 5000)?),
        sip_source: given.has("sip-source"),
        max_sessions: usize::try_from(number::<i64>(
            given,
            "max-sessions",
            -1..=i64::from(i32::MAX),
            -1,
        )?)
        .ok(),
        reject_invalid_sdp: given.has("reject-invalid-sdp"),
        preferences: given.preferences.clone(),
        saves_ports: given.has("save-interface-ports"),
        dtls_passive: given.has("dtls-passive"),
        epoch: epoch(),
    })
}

fn mos(given: &Given) -> Result<MosModel, ConfigError> {
    let mut model = MosModel::default();
    let Some(setting) = given.find("mos") else {
        return Ok(model);
    };
    for text in &setting.values {
        match text.as_str() {
            "CQ" => model.listening = false,
            "LQ" => model.listening = true,
            // By name the older formula, as with the reference; without it the simplified one is meant.
            "G.107" | "legacy" => model.legacy = true,
            "G.107.2" => model.legacy = false,
            _ => {
                let listed = ValueProblem::NotOneOf("CQ, LQ, G.107, G.107.2, legacy");
                return Err(bad_value(setting, text, listed));
            }
        }
    }
    Ok(model)
}

fn music(given: &Given) -> Result<MusicSettings, ConfigError> {
    let attribute = given.find("moh-attr-name").map(|setting| {
        let name = setting.values.last().map_or("", String::as_str);
        match Attribute::is_name(name) {
            true => Ok(Text::from(name)),
            false => Err(bad_value(setting, name, ValueProblem::NotAnAttribute)),
        }
    });
    Ok(MusicSettings {
        attribute: attribute.transpose()?,
        prevent_double_hold: given.has("moh-prevent-double-hold"),
    })
}

/// Time of day when the monotonic clock was zero.
fn epoch() -> Duration {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    since_epoch.saturating_sub(Time::read().since(Time(0)))
}

/// The interfaces, and the ports of each local address.
fn network(given: &Given, system: &SystemAddresses) -> Result<(Interfaces, Vec<PortRange>), ConfigError> {
    let setting = given.find("interface");
    if setting.is_none() && given.interfaces.is_empty() {
        return Err(ConfigError::NoInterface);
    }
    let general = ports(given)?;
    let mut interfaces = Interfaces::default();
    if let Some(setting) = setting {
        for value in &setting.values {
            let added = interfaces.add(value, system);
            added.map_err(|problem| bad_value(setting, value, problem))?;
        }
    }
    for section in &given.interfaces {
        section.add_to(&mut interfaces, &general, system)?;
    }
    if interfaces.addresses.len() > MAX_ADDRESSES {
        return Err(ConfigError::TooManyAddresses(MAX_ADDRESSES));
    }
    let general = PortRange {
        ports: general,
        excluded: Vec::new(),
    };
    let own = interfaces.own_ports.iter();
    let ports = own.map(|own| own.clone().unwrap_or_else(|| general.clone()));
    let ports = ports.collect();
    Ok((interfaces, ports))
}

fn listeners(given: &Given, system: &SystemAddresses) -> Result<Listeners, ConfigError> {
    let listeners = Listeners {
        ng: listeners_of(given, system, "listen-ng")?,
        tos: number(given, "control-tos", 0..=255, 0)?,
        path_mtu: choice(
            given,
            "control-pmtu",
            &[("want", PathMtu::Discover), ("dont", PathMtu::Ignore)],
            "want, dont",
        )?,
        http_idle: Some(seconds(given, "http-idle-timeout", 0)?).filter(|idle| !idle.is_zero()),
        tcp_ng: listeners_of(given, system, "listen-tcp-ng")?,
        http: listeners_of(given, system, "listen-http")?,
        https: listeners_of(given, system, "listen-https")?,
        tls: tls(given),
        cli: listeners_of(given, system, "listen-cli")?,
    };
    if !listeners.https.is_empty() && listeners.tls.is_none() {
        return Err(ConfigError::NoCertificate);
    }
    let proxies = [
        &listeners.ng,
        &listeners.tcp_ng,
        &listeners.http,
        &listeners.https,
    ];
    if proxies.iter().all(|listeners| listeners.is_empty()) {
        return Err(ConfigError::NoListener);
    }
    Ok(listeners)
}

fn tls(given: &Given) -> Option<TlsFiles> {
    let certificate = given.value("https-cert")?;
    Some(TlsFiles {
        certificate: certificate.into(),
        key: given.value("https-key").unwrap_or(certificate).into(),
    })
}

fn listeners_of(
    given: &Given,
    system: &SystemAddresses,
    option: &str,
) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut listeners = Vec::new();
    let Some(setting) = given.find(option) else {
        return Ok(listeners);
    };
    for value in &setting.values {
        for address in listener(value, system).map_err(|problem| bad_value(setting, value, problem))? {
            if listeners.contains(&address) {
                return Err(bad_value(setting, value, ValueProblem::ListenerTwice(address)));
            }
            listeners.push(address);
        }
    }
    Ok(listeners)
}

/// `[ADDR:]PORT`, with the brackets of an IPv6 address optional; the port alone means every address.
fn listener(text: &str, system: &SystemAddresses) -> Result<Vec<SocketAddr>, ValueProblem> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (Some(host), port),
        None => (None, text),
    };
    let port: u16 = port.parse().map_err(|_| ValueProblem::NotAListener)?;
    if port == 0 {
        return Err(ValueProblem::NotAListener);
    }
    let Some(host) = host else {
        return Ok(every_address(port));
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if bare.is_empty() || bare.contains([':', '[', ']']) {
        return Err(ValueProblem::NotAListener);
    }
    let ip = system.look_up(bare)?;
    Ok(vec![SocketAddr::new(ip, port)])
}

fn every_address(port: u16) -> Vec<SocketAddr> {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let has_v6 = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None).is_ok();
    if has_v6 { vec![v4, v6] } else { vec![v4] }
}

fn ports(given: &Given) -> Result<RangeInclusive<u16>, ConfigError> {
    let range = 1..=i64::from(u16::MAX);
    let min: u16 = number(given, "port-min", range.clone(), 30000)?;
    let max: u16 = number(given, "port-max", range, 39999)?;
    if min > max {
        return Err(ConfigError::EmptyPortRange(min, max));
    }
    Ok(min..=max)
}

fn kernel(given: &Given) -> Result<KernelChoice, ConfigError> {
    let table: i64 = number(given, "table", -1..=i64::from(i32::MAX), 0)?;
    match (table >= 0, given.has("no-fallback")) {
        (true, true) => Ok(KernelChoice::Required),
        (true, false) => Ok(KernelChoice::Preferred),
        (false, false) => Ok(KernelChoice::Off),
        (false, true) => Err(ConfigError::NoFallbackWithoutTable),
    }
}

fn num_threads(given: &Given) -> Result<NonZeroUsize, ConfigError> {
    let threads: u16 = number(given, "num-threads", 0..=1024, 0)?;
    Ok(NonZeroUsize::new(usize::from(threads)).unwrap_or_else(default_threads))
}

fn default_threads() -> NonZeroUsize {
    const AT_LEAST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);
    std::thread::available_parallelism().map_or(AT_LEAST, |cores| cores.max(AT_LEAST))
}

fn seconds(given: &Given, option: &'static str, default: u32) -> Result<Duration, ConfigError> {
    let seconds: u32 = number(given, option, 0..=MAX_SECONDS, default)?;
    Ok(Duration::from_secs(u64::from(seconds)))
}

fn load_limits(given: &Given) -> Result<LoadLimits, ConfigError> {
    let bandwidth: u64 = number(given, "max-bandwidth", 0..=i64::MAX, 0)?;
    Ok(LoadLimits {
        load: fraction(given, "max-load")?,
        cpu: fraction(given, "max-cpu")?,
        bandwidth: Some(bandwidth).filter(|bandwidth| *bandwidth > 0),
    })
}

/// A number that need not be whole; none if it is zero.
fn fraction(given: &Given, option: &'static str) -> Result<Option<f64>, ConfigError> {
    let Some(setting) = given.find(option) else {
        return Ok(None);
    };
    let text = setting.values.last().map_or("", String::as_str);
    let number = text
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0);
    let number = number.ok_or_else(|| bad_value(setting, text, ValueProblem::NotAnAmount))?;
    Ok(Some(number).filter(|number| *number > 0.0))
}

/// A whole number, decimal or hexadecimal with `0x`. The range must fit the type.
fn number<T: TryFrom<i64>>(
    given: &Given,
    option: &'static str,
    range: RangeInclusive<i64>,
    default: T,
) -> Result<T, ConfigError> {
    let Some(setting) = given.find(option) else {
        return Ok(default);
    };
    let text = setting.values.last().map_or("", String::as_str);
    parse_number(text)
        .filter(|number| range.contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| {
            bad_value(
                setting,
                text,
                ValueProblem::NotInRange(*range.start(), *range.end()),
            )
        })
}

fn parse_number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) if !digits.starts_with(['+', '-']) => i64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

/// One word of a list.
fn choice<T: Copy>(
    given: &Given,
    option: &'static str,
    words: &[(&str, T)],
    listed: &'static str,
) -> Result<Option<T>, ConfigError> {
    let Some(setting) = given.find(option) else {
        return Ok(None);
    };
    let text = setting.values.last().map_or("", String::as_str);
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, meaning)| Some(*meaning))
        .ok_or_else(|| bad_value(setting, text, ValueProblem::NotOneOf(listed)))
}

fn bad_value(setting: &Setting, value: &str, problem: ValueProblem) -> ConfigError {
    ConfigError::Value {
        origin: setting.origin.clone(),
        option: setting.option,
        value: value.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests;
