//! Settings.

use std::fmt::Write;
use std::time::Duration;

use crate::call::Setting;
use crate::cli::{Named, StoreSetting};
use crate::config::{CallSettings, LoadLimits};

/// The settings that can change, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameters {
    /// Of signalling.
    pub(crate) call: Vec<Setting>,
    /// Of the machine.
    pub(crate) load: LoadLimits,
    /// Log levels by subsystem.
    pub(crate) log: Vec<(&'static str, i8)>,
    /// TOS of the ng sockets.
    pub(crate) control_tos: u8,
    /// Of stores.
    pub(crate) store: Vec<(StoreSetting, i32)>,
}

/// A setting as it is shown.
struct Shown {
    option: &'static str,
    /// Among all of them.
    key: &'static str,
    /// Seconds, or a number.
    value: i128,
    /// Microseconds, or the same number.
    raw: i128,
}

/// The settings of signalling that can change.
pub(crate) fn call_parameters(settings: &CallSettings) -> Vec<Setting> {
    Named::ALL.iter().map(|(name, _)| name.read(settings)).collect()
}

impl Parameters {
    /// All of them, `key = value`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        for (name, level) in &self.log {
            let _ = writeln!(text, "log-level-{name} = {level}");
        }
        for setting in &self.call {
            let Shown { key, raw, .. } = Shown::of(*setting);
            let _ = writeln!(text, "{key} = {raw}");
        }
        let _ = writeln!(text, "control_tos = {}", self.control_tos);
        for (setting, value) in &self.store {
            let _ = writeln!(text, "{} = {value}", setting.option().replace('-', "_"));
        }
        let LoadLimits { load, cpu, bandwidth } = self.load;
        let _ = writeln!(text, "bw_limit = {}", bandwidth.unwrap_or_default());
        let _ = writeln!(text, "[max-cpu = {:.1}]", cpu.unwrap_or_default());
        let _ = writeln!(text, "[max-load = {:.2}]", load.unwrap_or_default());
        text
    }

    /// What differs from an earlier moment: `key: before => after`, times in microseconds.
    pub(crate) fn difference(&self, earlier: &Parameters) -> String {
        let mut text = String::new();
        for ((name, before), (_, after)) in earlier.log.iter().zip(&self.log) {
            if before != after {
                let _ = writeln!(text, "log-level-{name}: {before} => {after}");
            }
        }
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
        if earlier.control_tos != self.control_tos {
            let _ = writeln!(
                text,
                "control-tos: {} => {}",
                earlier.control_tos, self.control_tos
            );
        }
        for ((setting, before), (_, after)) in earlier.store.iter().zip(&self.store) {
            if before != after {
                let _ = writeln!(text, "{}: {before} => {after}", setting.option());
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

/// What a setting is called once it is changed, and its value.
pub(crate) fn changed(setting: Setting) -> (&'static str, i128) {
    let Shown { value, .. } = Shown::of(setting);
    let name = match setting {
        Setting::DeleteDelay(_) => "delete-delay",
        Setting::MaxSessions(_) => "maxsessions",
        Setting::Timeout(_)
        | Setting::SilentTimeout(_)
        | Setting::OfferTimeout(_)
        | Setting::FinalTimeout(_) => "timeout",
    };
    (name, value)
}

impl Shown {
    fn of(setting: Setting) -> Shown {
        match setting {
            Setting::Timeout(time) => Shown::time("timeout", "timeout_us", time),
            Setting::SilentTimeout(time) => Shown::time("silent-timeout", "silent_timeout_us", time),
            Setting::OfferTimeout(time) => Shown::time("offer-timeout", "offer_timeout_us", time),
            Setting::FinalTimeout(time) => {
                Shown::time("final-timeout", "final_timeout_us", time.unwrap_or_default())
            }
            Setting::DeleteDelay(time) => Shown::time("delete-delay", "delete_delay_us", time),
            Setting::MaxSessions(most) => {
                let most = most.map_or(-1, |most| i128::try_from(most).unwrap_or(i128::MAX));
                Shown {
                    option: "max-sessions",
                    key: "max_sessions",
                    value: most,
                    raw: most,
                }
            }
        }
    }

    fn time(option: &'static str, key: &'static str, time: Duration) -> Shown {
        Shown {
            option,
            key,
            value: i128::from(time.as_secs()),
            raw: i128::try_from(time.as_micros()).unwrap_or(i128::MAX),
        }
    }
}
