//! Why a configuration was refused.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::ini::IniError;

/// Where a setting was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    CommandLine,
    /// In a file, at a line.
    File(PathBuf, usize),
}

/// Why the daemon cannot be configured as asked.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line itself: an unknown option, a missing value.
    #[error("{0}")]
    CommandLine(String),
    /// The configuration file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of the configuration file.
    #[error("{}:{}: {source}", path.display(), source.line)]
    Line {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        source: IniError,
    },
    /// The configuration file lacks the section that was asked for.
    #[error("{}: no section [{section}]", path.display())]
    NoSection {
        /// Which file.
        path: PathBuf,
        /// What it lacks.
        section: String,
    },
    /// A key that is no option, or none for a file.
    #[error("{origin}: unknown option `{key}`")]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: String,
    },
    /// The value of an option.
    #[error("{origin}: {option} = {value}: {problem}")]
    Value {
        /// Where it was given.
        origin: Origin,
        /// Long name of the option.
        option: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        problem: ValueProblem,
    },
    /// No `interface`.
    #[error("no interface to receive media on: give at least one --interface, or --interfaces-config")]
    NoInterface,
    /// `listen-https` without `https-cert`.
    #[error("listen-https needs a certificate: give --https-cert")]
    NoCertificate,
    /// No listener.
    #[error(
        "nothing to be controlled through: give --listen-ng, --listen-tcp-ng, --listen-http or --listen-https"
    )]
    NoListener,
    /// `port-min` above `port-max`.
    #[error("port-min ({0}) is above port-max ({1})")]
    EmptyPortRange(u16, u16),
    /// `no-fallback` without a kernel to fall back from.
    #[error("no-fallback asks for the kernel, table = -1 for userspace only: give a table of 0 or more")]
    NoFallbackWithoutTable,
    /// More addresses than can be told apart.
    #[error("more than {0} local addresses")]
    TooManyAddresses(usize),
    /// Media cannot be received at an address.
    #[error("interface address {address} cannot be used: {source}")]
    NotLocal {
        /// Which address.
        address: IpAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The addresses of this machine cannot be listed.
    #[error("cannot list the addresses of this machine: {0}")]
    NoAddressList(io::Error),
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueProblem {
    /// Neither `true` nor `false`.
    #[error("expected true or false")]
    NotABoolean,
    /// Not a whole number, or out of range.
    #[error("expected a whole number from {0} to {1}")]
    NotInRange(i64, i64),
    /// Not a number, or less than zero.
    #[error("expected a number, not less than zero")]
    NotAnAmount,
    /// Not one of the words that the option takes.
    #[error("expected one of {0}")]
    NotOneOf(&'static str),
    /// Not the name of an attribute in SDP.
    #[error("expected the name of an SDP attribute")]
    NotAnAttribute,
    /// Not `DEVICE[=MODE]`.
    #[error("expected DEVICE[=MODE]")]
    NotADevice,
    /// Not `[ADDR:]PORT`.
    #[error("expected [ADDR:]PORT")]
    NotAListener,
    /// Not `[NAME/]ADDR[!ADVERTISED]`.
    #[error("expected [NAME/]ADDR[!ADVERTISED] or ALIAS=NAME")]
    NotAnInterface,
    /// Neither an address nor a system interface nor a host that resolves.
    #[error("{0} is neither an address nor a system interface nor a host name that resolves")]
    NoSuchHost(String),
    /// A system interface without addresses, or a machine with none but loopback.
    #[error("{0} has no usable address")]
    NoAddress(String),
    /// An alias of an interface that does not come before it.
    #[error("no interface {0} before this alias of it")]
    NoSuchInterface(String),
    /// An alias with the name of an interface.
    #[error("there is an interface {0} already")]
    NameTaken(String),
    /// Advertised address and local one are of different families.
    #[error("the advertised address {0} is of another family than the local one")]
    AdvertisedFamily(IpAddr),
    /// Not `PORT` or `PORT-PORT`.
    #[error("expected PORT or PORT-PORT, separated by `;`")]
    NotPorts,
    /// No port is left between `port-min` and `port-max`.
    #[error("no port is left")]
    NoPorts,
    /// A section without `address` and without `alias`.
    #[error("expected an `address` or an `alias` in this section")]
    NoAddressGiven,
    /// Not `NAME[/CLOCK[/CHANNELS]]`.
    #[error("expected NAME[/CLOCK[/CHANNELS]]")]
    NotACodec,
    /// Not a whole number, or zero.
    #[error("expected a whole number other than zero")]
    NotAPreference,
    /// No address and port of a relay.
    #[error("expected ADDRESS:PORT")]
    NotAPeer,
    /// A section of `transcode-config` without `source`.
    #[error("expected a `source` in this section")]
    NoSource,
    /// A section of `transcode-config` without `destination`.
    #[error("expected a `destination` in this section")]
    NoDestination,
    /// A section of `transcode-config` without `preference`.
    #[error("expected a `preference` or `transform` in this section")]
    NoPreference,
    /// The same address twice in one interface.
    #[error("interface {0} has this address already")]
    AddressTwice(String),
    /// A listener that was named before.
    #[error("{0} was given already")]
    ListenerTwice(SocketAddr),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::CommandLine => f.write_str("command line"),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
        }
    }
}
