//! What can be changed while the daemon runs.

use crate::call::Calls;
use crate::cli::StoreSetting;
use crate::cli::print::{self, Parameters};
use crate::config::LoadLimits;
use crate::logging::LogLevels;

/// What can be changed at run time, and how it was at the start.
pub(super) struct Controls {
    pub(super) log: LogLevels,
    /// TOS of the ng sockets.
    pub(super) control_tos: u8,
    pub(super) store: Vec<(StoreSetting, i32)>,
    /// What cannot be changed: `key = value`, line by line.
    pub(super) fixed: String,
    pub(super) start: Parameters,
}

impl Controls {
    pub(super) fn new(
        log: LogLevels,
        calls: &Calls,
        load: LoadLimits,
        control_tos: u8,
        fixed: String,
    ) -> Controls {
        let store: Vec<(StoreSetting, i32)> = StoreSetting::ALL
            .iter()
            .map(|(setting, _, _, default)| (*setting, *default))
            .collect();
        let start = Parameters {
            call: print::call_parameters(calls.settings()),
            load,
            log: log.all().collect(),
            control_tos,
            store: store.clone(),
        };
        Controls {
            log,
            control_tos,
            store,
            fixed,
            start,
        }
    }

    /// The settings as they are.
    pub(super) fn parameters(&self, calls: &Calls, load: LoadLimits) -> Parameters {
        Parameters {
            call: print::call_parameters(calls.settings()),
            load,
            log: self.log.all().collect(),
            control_tos: self.control_tos,
            store: self.store.clone(),
        }
    }

    pub(super) fn store(&self, wanted: StoreSetting) -> i32 {
        let mut store = self.store.iter();
        let found = store.find(|(setting, _)| *setting == wanted);
        found.map_or(0, |(_, value)| *value)
    }
}
