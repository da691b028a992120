//! The configuration: command line and file, parsed once into typed values.
//!
//! [`Config::load`] reads both by one table of options; where both say something, the command line
//! counts.

mod codecs;
mod error;
mod given;
mod groups;
pub mod ini;
mod interfaces;
mod load;
mod options;
mod preferences;
mod sections;
mod templates;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

pub use error::{ConfigError, Origin, ValueProblem};
pub use groups::{Alias, Group, Meaning};
pub use preferences::Preferences;
pub use templates::Templates;

use crate::host::AddressId;
use crate::plan::{Learning, MosModel};
use crate::sdp::AddressFamily;
use crate::sdp::Text;

/// What the program was asked to do.
#[derive(Clone, Debug)]
pub enum Start {
    /// Run.
    Run(Box<Config>),
    /// Print a text and exit.
    Print(String),
    /// Remove what a daemon that was killed has left in the kernel, and exit.
    CleanUp,
    /// Nothing: an option was given that acts and exits, and there is nothing to do here.
    Nothing,
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the signalling engine goes by.
    pub call: CallSettings,
    /// Where it is controlled through: at least one address.
    pub listen: Listeners,
    /// `templates`: the section of the file that it names.
    pub templates: Templates,
    /// Media ports of each local address, in the order of [`AddressId`].
    pub ports: Vec<PortRange>,
    /// `table`, `no-fallback`.
    pub kernel: KernelChoice,
    /// `software-id`.
    pub software: Option<String>,
    /// `xdp-mode`.
    pub xdp_mode: XdpMode,
    /// `xdp-interface`: devices with modes of their own.
    pub xdp_interfaces: Vec<(String, XdpMode)>,
    /// `unexpected-limit` and its like: what floods may cost.
    pub floods: FloodLimits,
    /// `dtls-cert-cipher` and its like.
    pub dtls: DtlsSettings,
    /// `max-load`, `max-cpu`, `max-bandwidth`.
    pub load_limits: LoadLimits,
    /// `num-threads`: media workers.
    pub num_threads: NonZeroUsize,
    /// `thread-stack`: bytes; none leaves it to the system.
    pub thread_stack: Option<usize>,
    /// `gather-time`: how long busy workers let packets gather.
    pub gather_time: Duration,
    /// `scheduling`, `priority`: of media workers.
    pub scheduling: Scheduling,
    /// `idle-scheduling`, `idle-priority`: of the threads that make certificates and follow routes.
    pub idle_scheduling: Scheduling,
    /// Where to log, and how much.
    pub log: LogSettings,
    /// `foreground`.
    pub foreground: bool,
    /// `pidfile`.
    pub pidfile: Option<PathBuf>,
    /// What to tell the operator about the configuration, one line each.
    pub warnings: Vec<String>,
}

/// Where the daemon is controlled through. IPv6 sockets are to be IPv6 only: a port alone stands for both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    /// `listen-ng`: ng over UDP.
    pub ng: Vec<SocketAddr>,
    /// `control-tos`: of replies over UDP; 0 leaves it as the system has it.
    pub tos: u8,
    /// `control-pmtu`: whether replies over UDP may be fragmented (`dont`) or not (`want`); none leaves it to the system.
    pub path_mtu: Option<PathMtu>,
    /// `http-idle-timeout`: how long an HTTP connection may be silent between two requests.
    pub http_idle: Option<Duration>,
    /// `listen-tcp-ng`: ng over TCP.
    pub tcp_ng: Vec<SocketAddr>,
    /// `listen-http`: HTTP and WebSocket.
    pub http: Vec<SocketAddr>,
    /// `listen-https`: the same over TLS.
    pub https: Vec<SocketAddr>,
    /// `https-cert`, `https-key`: there if `https` is not empty.
    pub tls: Option<TlsFiles>,
    /// `listen-cli`: the CLI port.
    pub cli: Vec<SocketAddr>,
}

/// What the system does about datagrams that are too long for a link on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathMtu {
    /// It finds out how long they may be, and fragments longer ones.
    Discover,
    /// It sends them as they are: routers may fragment them.
    Ignore,
}

/// How threads are scheduled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// `scheduling`; none leaves it as it is.
    pub policy: Option<SchedulingPolicy>,
    /// `priority`: of real-time policies 1 to 99, else what nice takes.
    pub priority: i32,
}

/// A policy of the system's scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulingPolicy {
    /// `SCHED_FIFO`.
    Fifo,
    /// `SCHED_RR`.
    RoundRobin,
    /// `SCHED_OTHER`.
    Other,
    /// `SCHED_BATCH`.
    Batch,
    /// `SCHED_IDLE`.
    Idle,
}

/// Above which no call begins. None of them counts unless it is set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadLimits {
    /// `max-load`: load average over a minute.
    pub load: Option<f64>,
    /// `max-cpu`: percentage of the time of all processors.
    pub cpu: Option<f64>,
    /// `max-bandwidth`: bytes received in a second.
    pub bandwidth: Option<u64>,
}

/// Whether media is relayed in the kernel. The number of the `table` does not matter beyond its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelChoice {
    /// In userspace only.
    Off,
    /// In the kernel where that works, else in userspace.
    Preferred,
    /// In the kernel; without it the daemon does not start.
    Required,
}

/// How we do DTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtlsSettings {
    /// What we show.
    pub certificate: CertificateSettings,
    /// `dtls-version`: the oldest version that is spoken.
    pub oldest: DtlsVersion,
    /// `dtls-ciphers`, as OpenSSL writes it.
    pub ciphers: String,
    /// `dtls-mtu`: the longest datagram of a handshake, bytes.
    pub mtu: u32,
}

impl DtlsSettings {
    /// Those of the reference.
    const CIPHERS: &str = "DEFAULT:!NULL:!aNULL:!SHA256:!SHA384:!aECDH:!AESGCM+AES256:!aPSK";
    const MTU: u32 = 1200;
}

impl Default for DtlsSettings {
    fn default() -> DtlsSettings {
        DtlsSettings {
            certificate: CertificateSettings::default(),
            oldest: DtlsVersion::default(),
            ciphers: DtlsSettings::CIPHERS.to_owned(),
            mtu: DtlsSettings::MTU,
        }
    }
}

/// A version of DTLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtlsVersion {
    /// 1.0 (RFC 4347), for peers from another time.
    V1_0,
    /// 1.2 (RFC 6347).
    #[default]
    V1_2,
}

/// The certificate that we show in DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateSettings {
    /// `dtls-cert-cipher`, `dtls-rsa-key-size`: what kind of key it has.
    pub key: CertificateKey,
    /// `dtls-signature`: how it is signed.
    pub signature: CertificateSignature,
    /// `dtls-cert-lifetime`: how long it is valid. New calls get another one after half of that.
    pub lifetime: Duration,
}

impl CertificateSettings {
    const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
}

impl Default for CertificateSettings {
    fn default() -> CertificateSettings {
        CertificateSettings {
            key: CertificateKey::default(),
            signature: CertificateSignature::default(),
            lifetime: CertificateSettings::LIFETIME,
        }
    }
}

/// What kind of key a certificate has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateKey {
    /// On the elliptic curve P-256.
    #[default]
    P256,
    /// RSA.
    Rsa {
        /// Bits of the modulus.
        bits: u32,
    },
}

/// The hash function of a certificate's signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateSignature {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-1, for peers from another time.
    Sha1,
}

/// Where to log, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `log-level`: the highest syslog severity that is logged, 0 to 7; more than that is no more.
    pub level: i8,
    /// `log-level-NAME`, where it was given; -1 for nothing at all.
    pub subsystems: Vec<(&'static str, i8)>,
    /// `log-stderr`: to standard error instead of syslog.
    pub stderr: bool,
    /// `log-facility`: syslog facility code, 0 to 23.
    pub facility: u8,
    /// `log-name`: name in syslog.
    pub name: String,
    /// Time stamps on standard error (not `no-log-timestamps`).
    pub timestamps: bool,
    /// `split-logs`: each line of a message for itself.
    pub split: bool,
    /// `max-log-line-length`: bytes; longer lines are broken.
    pub longest_line: Option<usize>,
    /// `log-mark-prefix`, `log-mark-suffix`: around what says who talks to whom.
    pub marks: (String, String),
    /// `log-srtp-keys`.
    pub keys: bool,
}

/// What the signalling engine goes by.
#[derive(Clone, Debug)]
pub struct CallSettings {
    /// Where media is received.
    pub interfaces: Interfaces,
    /// `timeout`: all receiving streams silent.
    pub timeout: Duration,
    /// `silent-timeout`: only streams that do not receive are left.
    pub silent_timeout: Duration,
    /// `offer-timeout`: nobody answered.
    pub offer_timeout: Duration,
    /// `final-timeout`: the call's whole life; none by default.
    pub final_timeout: Option<Duration>,
    /// `delete-delay`.
    pub delete_delay: Duration,
    /// `tos`.
    pub tos: u8,
    /// `endpoint-learning`.
    pub learning: Learning,
    /// `moh-attr-name`, `moh-prevent-double-hold`.
    pub music: MusicSettings,
    /// `mos`.
    pub mos: MosModel,
    /// `ssrc-reporting`.
    pub ssrc_reporting: SsrcReporting,
    /// `rtcp-interval`: between the reports of RTCP of our own.
    pub rtcp_interval: Duration,
    /// `sip-source`: addresses come from the SIP message unless it says otherwise.
    pub sip_source: bool,
    /// `max-sessions`: an offer of a new call above it is refused.
    pub max_sessions: Option<usize>,
    /// `reject-invalid-sdp`.
    pub reject_invalid_sdp: bool,
    /// `transcode-config`: the sections of the file that it names.
    pub preferences: Preferences,
    /// `save-interface-ports`: of an interface's addresses only one is used, also with ICE.
    pub saves_ports: bool,
    /// `dtls-passive`: whether the party opens a DTLS association if it leaves the choice to us.
    pub dtls_passive: bool,
    /// Time of day, since the Unix epoch, when [`crate::clock::Time`] was zero.
    pub epoch: Duration,
}

/// How relays tell each other of music on hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MusicSettings {
    /// `moh-attr-name`: an attribute of the session that says that the sender plays music for whom it holds.
    pub attribute: Option<Text>,
    /// `moh-prevent-double-hold`: no music is played for a party that says so itself.
    pub prevent_double_hold: bool,
}

/// The media ports of a local address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// `port-min` to `port-max`.
    pub ports: RangeInclusive<u16>,
    /// `exclude-ports`.
    pub excluded: Vec<RangeInclusive<u16>>,
}

/// The interfaces by name, and all their addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Every local address, whatever interfaces it belongs to: once for each range of ports there. [`AddressId`] is the index.
    pub addresses: Vec<IpAddr>,
    /// Their ports, where an interface has ports of its own.
    pub own_ports: Vec<Option<PortRange>>,
    /// In configured order; the first is the default.
    pub interfaces: Vec<Interface>,
    /// Those that stand for several others.
    pub groups: Vec<Group>,
    /// Those that are another name of one before them.
    pub aliases: Vec<Alias>,
}

/// One logical interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// In configured order; the first of a family is that family's primary one.
    pub addresses: Vec<InterfaceAddress>,
}

/// One address of a logical interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address that sockets are bound to.
    pub local: AddressId,
    /// What the SDP says.
    pub advertised: IpAddr,
}

impl Interfaces {
    /// The first interface, of those that are not several ones, with a local address.
    pub fn with_local(&self, address: IpAddr) -> Option<&Interface> {
        let is_it =
            |known: &InterfaceAddress| self.addresses.get(usize::from(known.local.0)) == Some(&address);
        let mut real = self.real();
        let found = real.find(|(_, interface)| interface.addresses.iter().any(is_it));
        found.map(|(_, interface)| interface)
    }

    /// The interface of a name; the default one (with a look at [`Interfaces::named`] to tell) for an unknown name.
    pub fn choose(&self, name: Option<&str>) -> Option<&Interface> {
        name.and_then(|name| self.named(name)).or(self.interfaces.first())
    }

    /// The interface of exactly this name.
    pub fn named(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }
}

impl Interface {
    /// The primary address of a family; without one, the first address of the other family.
    pub fn primary(&self, family: AddressFamily) -> Option<&InterfaceAddress> {
        self.addresses
            .iter()
            .find(|address| AddressFamily::of(address.advertised) == family)
            .or(self.addresses.first())
    }
}

/// Where the reply to a query has the statistics of SSRCs (option `ssrc-reporting`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SsrcReporting {
    /// In a table of all, and with each media section.
    #[default]
    Full,
    /// With each media section.
    Inline,
    /// In a table of all; the sections have the names alone.
    Global,
    /// Nowhere.
    None,
}

/// How the program is to be attached to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// Native where the driver takes it, else generic.
    #[default]
    Auto,
    /// In the driver, before the kernel allocates anything for a packet.
    Native,
    /// In the network stack's entry, on any device.
    Generic,
    /// Not at all.
    Off,
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            XdpMode::Auto => "native or generic",
            XdpMode::Native => "native",
            XdpMode::Generic => "generic",
            XdpMode::Off => "off",
        })
    }
}

/// How many packets the program and the workers take that do not come from the source that is expected at their port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FloodLimits {
    /// So many a second at each port; 0 for no limit.
    pub port: u32,
    /// So many a second from each network (/24 of IPv4, /48 of IPv6) to all ports; 0 for no limit.
    pub network: u32,
    /// Whether all packets are dropped that come to a port of the ranges without a socket.
    pub drop_unclaimed: bool,
}

/// The certificate that the daemon shows, with those that vouch for it, and its key: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `https-cert`.
    pub certificate: PathBuf,
    /// `https-key`; by default the file of the certificate.
    pub key: PathBuf,
}
