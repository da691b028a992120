//! How much is logged, by subsystem, changeable while the daemon runs.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Registry, reload};

/// The subsystems by the names of the reference, and the modules whose lines belong to them. Lines of all other
/// modules belong to `core`. Names without modules can be set, and nothing changes.
const SUBSYSTEMS: &[(&str, &[&str])] = &[
    (CORE, &[]),
    ("ffmpeg", &[]),
    ("internals", &[]),
    ("spandsp", &[]),
    ("transcoding", &[]),
    ("codec", &[]),
    ("rtcp", &["relay_daemon::session::rtcp"]),
    ("ice", &["relay_daemon::session::ice", "relay_daemon::call::ice"]),
    (
        "crypto",
        &["relay_daemon::session::dtls", "relay_daemon::call::crypto"],
    ),
    ("srtp", &["relay_daemon::session::srtp"]),
    ("http", &["relay_daemon::control::http", "hyper", "axum"]),
    ("control", &["relay_daemon::control"]),
    ("dtx", &[]),
];

const CORE: &str = "core";

/// The highest level: debugging.
pub(crate) const HIGHEST: u8 = 7;

/// The syslog levels of all subsystems, 0 to 7, and the way to the log that goes by them.
#[derive(Debug)]
pub struct LogLevels {
    levels: Vec<u8>,
    log: Option<reload::Handle<Targets, Registry>>,
}

/// There is no subsystem of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSubsystem;

impl LogLevels {
    /// The same level for all, and no log that goes by them.
    pub fn new(level: u8) -> LogLevels {
        LogLevels {
            levels: vec![level.min(HIGHEST); SUBSYSTEMS.len()],
            log: None,
        }
    }

    pub(super) fn connected(mut self, log: reload::Handle<Targets, Registry>) -> LogLevels {
        self.log = Some(log);
        self
    }

    /// The subsystems with their levels.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u8)> {
        SUBSYSTEMS
            .iter()
            .map(|(name, _)| *name)
            .zip(self.levels.iter().copied())
    }

    /// Sets the level of one subsystem, or of all.
    pub fn set(&mut self, subsystem: Option<&str>, level: u8) -> Result<(), UnknownSubsystem> {
        let level = level.min(HIGHEST);
        match subsystem {
            None => self.levels.fill(level),
            Some(name) => {
                let index = SUBSYSTEMS.iter().position(|(known, _)| *known == name);
                self.levels[index.ok_or(UnknownSubsystem)?] = level;
            }
        }
        self.apply();
        Ok(())
    }

    /// Logs more or less of everything, by so many levels.
    pub fn shift(&mut self, by: i8) {
        for level in &mut self.levels {
            *level = level.saturating_add_signed(by).min(HIGHEST);
        }
        self.apply();
    }

    /// What the log lets through.
    pub(super) fn targets(&self) -> Targets {
        let levels = SUBSYSTEMS.iter().zip(&self.levels);
        levels.fold(Targets::new(), |targets, ((name, modules), level)| {
            let filter = filter(*level);
            if *name == CORE {
                return targets.with_default(filter);
            }
            targets.with_targets(modules.iter().map(|module| (*module, filter)))
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
pub(super) fn filter(level: u8) -> LevelFilter {
    match level {
        0..=2 => LevelFilter::OFF,
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
    fn levels_have_ends() {
        let mut levels = LogLevels::new(200);
        levels.shift(1);
        assert!(levels.all().all(|(_, level)| level == 7));
        levels.shift(-100);
        assert!(levels.all().all(|(_, level)| level == 0));
    }
}
