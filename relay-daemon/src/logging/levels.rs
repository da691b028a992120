//! How much is logged, by subsystem, changeable while the daemon runs.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Registry, reload};

/// Part of the daemon, as the reference divides it.
struct Subsystem {
    name: &'static str,
    about: &'static str,
    /// The modules whose lines belong to it. Lines of all other modules belong to `core`. Where there are none, the level
    /// can be set, and nothing changes.
    modules: &'static [&'static str],
}

const fn subsystem(name: &'static str, about: &'static str, modules: &'static [&'static str]) -> Subsystem {
    Subsystem { name, about, modules }
}

const SUBSYSTEMS: &[Subsystem] = &[
    subsystem(CORE, "What belongs to no other subsystem", &[]),
    subsystem("ffmpeg", "FFmpeg: not used", &[]),
    subsystem(INTERNALS, "Internals: not used", &[]),
    subsystem("spandsp", "SpanDSP: not used", &[]),
    subsystem("transcoding", "Transcoding", &[]),
    subsystem("codec", "Negotiation of codecs", &[]),
    subsystem("rtcp", "RTCP", &["relay_daemon::session::rtcp"]),
    subsystem(
        "ice",
        "ICE",
        &["relay_daemon::session::ice", "relay_daemon::call::ice"],
    ),
    subsystem(
        "crypto",
        "Negotiation of encryption: SDES and DTLS",
        &["relay_daemon::session::dtls", "relay_daemon::call::crypto"],
    ),
    subsystem(
        "srtp",
        "Packets of SRTP and SRTCP",
        &["relay_daemon::session::srtp"],
    ),
    subsystem(
        "http",
        "HTTP and WebSocket",
        &["relay_daemon::control::http", "hyper", "axum"],
    ),
    subsystem("control", "Control protocols", &["relay_daemon::control"]),
    subsystem("dtx", "Discontinuous transmission", &[]),
];

const CORE: &str = "core";
const INTERNALS: &str = "internals";

/// The highest level: debugging.
pub(crate) const HIGHEST: i8 = 8;

/// The target of lines with keys of SRTP. They belong to no subsystem: only `log-srtp-keys` shows them.
pub(crate) const KEYS: &str = "srtp-keys";

/// The syslog levels of all subsystems, 0 to 7 and beyond; -1 for nothing. And the way to the log that goes by them.
#[derive(Debug)]
pub struct LogLevels {
    levels: Vec<i8>,
    shows_keys: bool,
    log: Option<reload::Handle<Targets, Registry>>,
}

/// There is no subsystem of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSubsystem;

impl LogLevels {
    /// The same level for all but `internals`, and no log that goes by them.
    pub fn new(level: i8) -> LogLevels {
        let level_of = |subsystem: &Subsystem| match subsystem.name {
            INTERNALS => -1,
            _ => level.clamp(-1, HIGHEST),
        };
        LogLevels {
            levels: SUBSYSTEMS.iter().map(level_of).collect(),
            shows_keys: false,
            log: None,
        }
    }

    /// Whether keys of SRTP are logged.
    pub(super) fn show_keys(&mut self, on: bool) {
        self.shows_keys = on;
    }

    /// The subsystems, and what they are.
    pub fn subsystems() -> impl Iterator<Item = (&'static str, &'static str)> {
        SUBSYSTEMS
            .iter()
            .map(|subsystem| (subsystem.name, subsystem.about))
    }

    pub(super) fn connected(mut self, log: reload::Handle<Targets, Registry>) -> LogLevels {
        self.log = Some(log);
        self
    }

    /// The subsystems with their levels.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, i8)> {
        SUBSYSTEMS
            .iter()
            .map(|subsystem| subsystem.name)
            .zip(self.levels.iter().copied())
    }

    /// Sets the level of one subsystem, or of all.
    pub fn set(&mut self, subsystem: Option<&str>, level: i8) -> Result<(), UnknownSubsystem> {
        let level = level.clamp(-1, HIGHEST);
        match subsystem {
            None => self.levels.fill(level),
            Some(name) => {
                let index = SUBSYSTEMS.iter().position(|known| known.name == name);
                self.levels[index.ok_or(UnknownSubsystem)?] = level;
            }
        }
        self.apply();
        Ok(())
    }

    /// Logs more or less of everything, by so many levels.
    pub fn shift(&mut self, by: i8) {
        for level in &mut self.levels {
            *level = level.saturating_add(by).clamp(-1, HIGHEST);
        }
        self.apply();
    }

    /// What the log lets through.
    pub(super) fn targets(&self) -> Targets {
        let levels = SUBSYSTEMS.iter().zip(&self.levels);
        let keys = if self.shows_keys {
            LevelFilter::ERROR
        } else {
            LevelFilter::OFF
        };
        let none = Targets::new().with_target(KEYS, keys);
        levels.fold(none, |targets, (subsystem, level)| {
            let filter = filter(*level);
            if subsystem.name == CORE {
                return targets.with_default(filter);
            }
            targets.with_targets(subsystem.modules.iter().map(|module| (*module, filter)))
        })
    }

    fn apply(&self) {
        // The log ends only with the process.
        if let Some(log) = &self.log {
            let _ = log.reload(self.targets());
        }
    }
}

/// The lines that a syslog level lets through, see [`super::severity`].
pub(super) fn filter(level: i8) -> LevelFilter {
    match level {
        ..=2 => LevelFilter::OFF,
        3 => LevelFilter::ERROR,
        4 | 5 => LevelFilter::WARN,
        6 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_subsystem_has_a_level_of_its_own() {
        let mut levels = LogLevels::new(6);
        levels.set(Some("control"), 7).unwrap();
        let would = |levels: &LogLevels, target| levels.targets().would_enable(target, &Level::DEBUG);
        assert!(would(&levels, "relay_daemon::control::tcp"));
        assert!(!would(&levels, "relay_daemon::control::http::routes"));
        assert!(!would(&levels, "relay_daemon::run"));
        levels.set(None, 7).unwrap();
        assert!(would(&levels, "relay_daemon::run"));
        levels.shift(-1);
        assert!(!would(&levels, "relay_daemon::run"));
        assert_eq!(levels.set(Some("nothing"), 7), Err(UnknownSubsystem));
        assert!(levels.all().all(|(_, level)| level == 6));
    }

    #[test]
    fn keys_are_shown_if_they_are_asked_for() {
        let mut levels = LogLevels::new(7);
        assert!(!levels.targets().would_enable(KEYS, &Level::ERROR));
        levels.show_keys(true);
        levels.set(None, 0).unwrap();
        assert!(levels.targets().would_enable(KEYS, &Level::ERROR));
    }

    #[test]
    fn levels_have_ends() {
        let mut levels = LogLevels::new(127);
        levels.shift(100);
        assert!(levels.all().all(|(_, level)| level == HIGHEST));
        levels.shift(-100);
        assert!(levels.all().all(|(_, level)| level == -1));
        assert!(
            LogLevels::new(6)
                .all()
                .all(|(name, level)| (level == -1) == (name == INTERNALS))
        );
    }
}
