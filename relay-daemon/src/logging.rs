//! Where log lines go: standard error, or the local syslog socket.

mod levels;
mod lines;

use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

pub(crate) use self::levels::KEYS;
pub use self::levels::{LogLevels, UnknownSubsystem};
use self::lines::Pieces;
use crate::config::LogSettings;

const SYSLOG_SOCKET: &str = "/dev/log";

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// To standard error.
    Stderr,
    /// To syslog.
    Syslog,
}

/// Starts logging, for the rest of the process. Without a syslog socket, lines go to standard error, and
/// the first of them says so.
pub fn init(settings: &LogSettings) -> (LogTarget, LogLevels) {
    if settings.stderr {
        return (LogTarget::Stderr, log_to_stderr(settings));
    }
    match Syslog::open(Path::new(SYSLOG_SOCKET), settings) {
        Ok(syslog) => {
            // Syslog has a time and a severity of its own.
            let layer = fmt::layer()
                .with_target(false)
                .with_ansi(false)
                .with_level(false)
                .without_time()
                .fmt_fields(lines::fields(&settings.marks))
                .with_writer(syslog);
            (LogTarget::Syslog, start(settings, layer))
        }
        Err(error) => {
            let levels = log_to_stderr(settings);
            tracing::warn!("no syslog at {SYSLOG_SOCKET} ({error}): logging to standard error");
            (LogTarget::Stderr, levels)
        }
    }
}

fn log_to_stderr(settings: &LogSettings) -> LogLevels {
    let layer = fmt::layer()
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .fmt_fields(lines::fields(&settings.marks))
        .with_writer(Pieces::of(settings));
    if settings.timestamps {
        start(settings, layer)
    } else {
        start(settings, layer.without_time())
    }
}

fn start<L>(settings: &LogSettings, layer: L) -> LogLevels
where
    L: Layer<Layered<reload::Layer<Targets, Registry>, Registry>> + Send + Sync,
{
    let mut levels = LogLevels::new(settings.level);
    levels.show_keys(settings.keys);
    for (subsystem, level) in &settings.subsystems {
        // Every subsystem that has an option has a level.
        let _ = levels.set(Some(subsystem), *level);
    }
    let (filter, handle) = reload::Layer::new(levels.targets());
    Registry::default().with(filter).with(layer).init();
    levels.connected(handle)
}

/// The syslog severity of a line (RFC 5424 section 6.2.1).
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// The local syslog socket. Lines that it does not take at once are lost: a full syslog must not hold
/// up signalling.
#[derive(Debug)]
struct Syslog {
    socket: UnixDatagram,
    path: PathBuf,
    facility: u8,
    name: String,
    pieces: Pieces,
}

/// Sends each write as one line of one severity.
struct SyslogLine<'a> {
    syslog: &'a Syslog,
    severity: u8,
}

impl Syslog {
    fn open(path: &Path, settings: &LogSettings) -> io::Result<Syslog> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        // Only to learn whether somebody listens. Lines go out unconnected, so that a syslog daemon may restart.
        UnixDatagram::unbound()?.connect(path)?;
        Ok(Syslog {
            socket,
            path: path.to_owned(),
            facility: settings.facility,
            name: settings.name.clone(),
            pieces: Pieces::of(settings),
        })
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = SyslogLine<'a>;

    fn make_writer(&'a self) -> SyslogLine<'a> {
        SyslogLine {
            syslog: self,
            severity: severity(Level::INFO),
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> SyslogLine<'a> {
        SyslogLine {
            syslog: self,
            severity: severity(*metadata.level()),
        }
    }
}

impl Write for SyslogLine<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let Syslog {
            socket,
            path,
            facility,
            name,
            pieces,
        } = self.syslog;
        let priority = u16::from(*facility) * 8 + u16::from(self.severity);
        let head = format!("<{priority}>{name}[{}]: ", std::process::id());
        for piece in pieces.cut(text.trim_ascii_end()) {
            // Nothing sensible is left to do with a line that the log refuses.
            let _ = socket.send_to(&[head.as_bytes(), piece].concat(), path);
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::levels::filter;
    use super::*;
    use tracing::level_filters::LevelFilter;

    fn settings() -> LogSettings {
        LogSettings {
            level: 6,
            subsystems: Vec::new(),
            stderr: false,
            facility: 16,
            name: "relay".to_owned(),
            timestamps: true,
            split: false,
            longest_line: None,
            marks: Default::default(),
            keys: false,
        }
    }

    #[test]
    fn a_line_is_one_datagram_with_priority_name_and_pid() {
        let path = std::env::temp_dir().join(format!("relay-syslog-{}", std::process::id()));
        let receiver = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::open(&path, &settings()).unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(filter(6))
            .with_target(false)
            .with_ansi(false)
            .with_level(false)
            .without_time()
            .with_writer(syslog)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("not this");
            tracing::warn!("a warning");
            tracing::info!("a note");
        });
        let mut lines = Vec::new();
        for _ in 0..2 {
            let mut buffer = [0; 200];
            let length = receiver.recv(&mut buffer).unwrap();
            lines.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        std::fs::remove_file(path).unwrap();
        let pid = std::process::id();
        assert_eq!(
            lines,
            [
                format!("<132>relay[{pid}]: a warning"),
                format!("<134>relay[{pid}]: a note")
            ]
        );
    }

    #[test]
    fn without_a_socket_there_is_no_syslog() {
        assert!(Syslog::open(Path::new("/nonexistent/log"), &settings()).is_err());
    }

    #[test]
    fn levels_let_through_what_syslog_would() {
        for (level, severe) in [
            (Level::ERROR, 3),
            (Level::WARN, 4),
            (Level::INFO, 6),
            (Level::DEBUG, 7),
        ] {
            for threshold in -1..=8 {
                let passes = filter(threshold) >= LevelFilter::from_level(level);
                assert_eq!(
                    passes,
                    i16::from(severity(level)) <= i16::from(threshold),
                    "{level} at {threshold}"
                );
                assert_eq!(severity(level), severe);
            }
        }
    }
}
