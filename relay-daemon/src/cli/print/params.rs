//! Settings.

use std::fmt::Write;
use std::time::Duration;

use crate::call::Setting;
use crate::cli::Named;
use crate::config::{CallSettings, LoadLimits};
use crate::logging::LogLevels;

/// The settings that can change, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameters {
    /// Of signalling.
    pub(crate) call: Vec<Setting>,
    /// Of the machine.
    pub(crate) load: LoadLimits,
    /// Log levels by subsystem.
    pub(crate) log: Vec<(&'static str, u8)>,
}

/// A setting as it is shown.
struct Shown {
    option: &'static str,
    /// Seconds, or a number.
    value: i128,
    /// Microseconds, or the same number.
    raw: i128,
}

impl Parameters {
    pub(crate) fn read(settings: &CallSettings, load: LoadLimits, levels: &LogLevels) -> Parameters {
        Parameters {
            call: Named::ALL.iter().map(|(name, _)| name.read(settings)).collect(),
            load,
            log: levels.all().collect(),
        }
    }

    /// All of them, `key = value`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        for setting in &self.call {
            let Shown { option, value, .. } = Shown::of(*setting);
            let _ = writeln!(text, "{option} = {value}");
        }
        for (option, value) in self.load_limits() {
            let _ = writeln!(text, "{option} = {value}");
        }
        for (name, level) in &self.log {
            let _ = writeln!(text, "log-level-{name} = {level}");
        }
        text
    }

    /// What differs from an earlier moment: `key: before => after`, times in microseconds.
    pub(crate) fn difference(&self, earlier: &Parameters) -> String {
        let mut text = String::new();
        for (before, after) in earlier.call.iter().zip(&self.call) {
            let (before, after) = (Shown::of(*before), Shown::of(*after));
            if before.raw != after.raw {
                let _ = writeln!(text, "{}: {} => {}", after.option, before.raw, after.raw);
            }
        }
        for ((option, before), (_, after)) in earlier.load_limits().iter().zip(self.load_limits()) {
            if *before != after {
                let _ = writeln!(text, "{option}: {before} => {after}");
            }
        }
        for ((name, before), (_, after)) in earlier.log.iter().zip(&self.log) {
            if before != after {
                let _ = writeln!(text, "log-level-{name}: {before} => {after}");
            }
        }
        text
    }

    /// The limits of load, 0 for those that there are not.
    fn load_limits(&self) -> [(&'static str, String); 3] {
        let LoadLimits { load, cpu, bandwidth } = self.load;
        [
            ("max-load", load.unwrap_or_default().to_string()),
            ("max-cpu", cpu.unwrap_or_default().to_string()),
            ("max-bandwidth", bandwidth.unwrap_or_default().to_string()),
        ]
    }
}

/// The answer to `list NAME`.
pub(crate) fn setting(name: Named, settings: &CallSettings) -> String {
    let Shown { option, value, .. } = Shown::of(name.read(settings));
    match name {
        Named::Timeout | Named::SilentTimeout | Named::OfferTimeout | Named::FinalTimeout => {
            let label = option.to_ascii_uppercase().replace('-', "_");
            format!("{label}={value}\n")
        }
        Named::DeleteDelay => format!("{value}\n"),
        Named::MaxSessions => format!("Maximum sessions configured on rtpengine: {value}\n"),
    }
}

/// The name of a setting in commands, and its value.
pub(crate) fn changed(setting: Setting) -> (String, i128) {
    let Shown { option, value, .. } = Shown::of(setting);
    (option.replace('-', ""), value)
}

impl Shown {
    fn of(setting: Setting) -> Shown {
        match setting {
            Setting::Timeout(time) => Shown::time("timeout", time),
            Setting::SilentTimeout(time) => Shown::time("silent-timeout", time),
            Setting::OfferTimeout(time) => Shown::time("offer-timeout", time),
            Setting::FinalTimeout(time) => Shown::time("final-timeout", time.unwrap_or_default()),
            Setting::DeleteDelay(time) => Shown::time("delete-delay", time),
            Setting::MaxSessions(most) => {
                let most = most.map_or(-1, |most| i128::try_from(most).unwrap_or(i128::MAX));
                Shown {
                    option: "max-sessions",
                    value: most,
                    raw: most,
                }
            }
        }
    }

    fn time(option: &'static str, time: Duration) -> Shown {
        Shown {
            option,
            value: i128::from(time.as_secs()),
            raw: i128::try_from(time.as_micros()).unwrap_or(i128::MAX),
        }
    }
}
